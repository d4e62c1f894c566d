//! Change logs, shared drives and the account as answers. Facts from the references of `changes`, `drives` and `about`
//! below <https://developers.google.com/workspace/drive/api/reference/rest/v3> and from the guides
//! <https://developers.google.com/workspace/drive/api/guides/manage-changes> and
//! <https://developers.google.com/workspace/drive/api/guides/handle-errors>.

use super::log::{Entry, Item, Log};
use super::resource::time;
use super::{Drive, Home, USER};
use crate::google::api::{Request, Response};
use crate::google::pages::{self, Token, TokenScope};
use serde_json::{Map, Value, json};

/// A parameter that has no sense.
pub(super) fn invalid(message: &str) -> Response {
    Response::error(400, "invalid", message)
}

pub(super) fn no_drive(id: &str) -> Response {
    Response::error(404, "notFound", &format!("Shared drive not found: {id}"))
}

impl Drive {
    pub(super) fn start_token(&self, request: &Request) -> Response {
        let (name, log) = match self.log_of(request) {
            Ok(log) => log,
            Err(refused) => return refused,
        };
        let token = Token { place: log.next.to_string(), blank: false };
        let token = TokenScope::of_log(name, log.epoch).encode(&token);
        Response::json(json!({ "kind": "drive#startPageToken", "startPageToken": token }))
    }

    pub(super) fn list_changes(&self, request: &Request) -> Response {
        let (name, log) = match self.log_of(request) {
            Ok(log) => log,
            Err(refused) => return refused,
        };
        let scope = TokenScope::of_log(name, log.epoch);
        let token = match opened(request, scope, log) {
            Ok(token) => token,
            Err(refused) => return refused,
        };
        let (entries, next) = match (&token.blank, token.place.parse()) {
            (true, _) => (Vec::new(), Some(Token { blank: false, ..token })),
            (false, Err(_)) => return invalid("Invalid Value"),
            (false, Ok(place)) => {
                let shown = log.since(place).filter_map(|(place, entry)| {
                    self.change_entry(entry, name, request).map(|shown| (place, shown))
                });
                self.paging.cut(shown, page_size(request, 100, 1000), |(place, _)| place.to_string())
            }
        };
        let mut body = Map::new();
        body.insert("kind".to_owned(), "drive#changeList".into());
        match next {
            Some(next) => body.insert("nextPageToken".to_owned(), scope.encode(&next).into()),
            None => {
                let end = Token { place: log.next.to_string(), blank: false };
                body.insert("newStartPageToken".to_owned(), scope.encode(&end).into())
            }
        };
        body.insert("changes".to_owned(), entries.into_iter().map(|(_, shown)| shown).collect());
        Response::json(body.into())
    }

    /// The log that a request is about: the user's, or that of a shared drive.
    fn log_of<'a>(&'a self, request: &'a Request) -> Result<(&'a str, &'a Log), Response> {
        let name = request.param("driveId").unwrap_or(USER);
        if name != USER && !request.is("supportsAllDrives") {
            return Err(Response::error(403, "teamDrivesNotSupported", "driveId needs supportsAllDrives."));
        }
        self.logs.get_key_value(name).map(|(name, log)| (name.as_str(), log)).ok_or_else(|| no_drive(name))
    }

    /// What an entry of a log shows now to this request, if anything.
    fn change_entry(&self, entry: &Entry, log: &str, request: &Request) -> Option<Value> {
        let all_drives = request.is("supportsAllDrives") && request.is("includeItemsFromAllDrives");
        let id = match &entry.item {
            Item::File(id) => id,
            Item::Drive(id) => return all_drives.then(|| self.drive_entry(entry, id, request)),
        };
        let file = self.file(id);
        let restricted = log == USER && request.is("restrictToMyDrive");
        let listed = file.filter(|file| {
            let guest =
                log == USER && file.drive().is_some() && self.drive_items_in_user_corpus && all_drives;
            (file.corpus() == log || guest) && (!restricted || file.home == Home::Mine)
        });
        let known = !restricted || entry.mine;
        if listed.is_none() && (!known || request.param("includeRemoved") == Some("false")) {
            return None;
        }
        let mut shown = frame("file", entry, listed.is_none());
        shown["fileId"] = id.clone().into();
        if let Some(file) = listed.or(file.filter(|_| request.is("includeCorpusRemovals"))) {
            shown["file"] = self.show(file, request);
        }
        if self.drive_id_on_file_changes
            && let Some(drive) = file.and_then(|file| file.drive()).or((log != USER).then_some(log))
        {
            shown["driveId"] = drive.into();
        }
        Some(shown)
    }

    fn drive_entry(&self, entry: &Entry, id: &str, request: &Request) -> Value {
        let drive = self.drives.get(id);
        let mut shown = frame("drive", entry, drive.is_none());
        shown["driveId"] = id.into();
        if let Some(drive) = drive {
            shown["drive"] = self.show_drive(drive, request);
        }
        shown
    }

    pub(super) fn list_drives(&self, request: &Request) -> Response {
        if self.drives_denied {
            let message = "Insufficient Permission: Request had insufficient authentication scopes.";
            return Response::error(403, "insufficientPermissions", message);
        }
        let scope = TokenScope::of(request, self.listings);
        let (drives, next) = match request.param("pageToken").map(|token| scope.decode(token)) {
            Some(None) => return invalid("Invalid Value"),
            Some(Some(token)) if token.blank => (Vec::new(), Some(Token { blank: false, ..token })),
            token => {
                let first = token.flatten().map(|token| token.place).unwrap_or_default();
                let rest = self.drives.range(first..).map(|(_, drive)| drive);
                self.paging.cut(rest, page_size(request, 10, 100), |drive| drive.id.clone())
            }
        };
        let drives: Value = drives.into_iter().map(|drive| self.show_drive(drive, request)).collect();
        let mut body = json!({ "kind": "drive#driveList", "drives": drives });
        if let Some(next) = next {
            body["nextPageToken"] = scope.encode(&next).into();
        }
        Response::json(body)
    }

    pub(super) fn get_drive(&self, id: &str) -> Response {
        let all = Request::new("", &[("fields", "*")]);
        self.drives.get(id).map_or_else(|| no_drive(id), |drive| Response::json(self.show_drive(drive, &all)))
    }

    pub(super) fn about(&self, request: &Request) -> Response {
        if request.param("fields").is_none() {
            return Response::error(400, "required", "The 'fields' parameter is required for this method.");
        }
        Response::json(json!({
            "kind": "drive#about",
            "user": self.user(&self.me),
            "appInstalled": false,
            "canCreateDrives": true,
            "maxUploadSize": "5242880000000",
            "storageQuota": { "usage": "0", "usageInDrive": "0", "usageInDriveTrash": "0" },
        }))
    }
}

/// The page token of a request for changes.
fn opened(request: &Request, scope: TokenScope, log: &Log) -> Result<Token, Response> {
    let Some(sealed) = request.param("pageToken").filter(|sealed| !sealed.is_empty()) else {
        return Err(Response::error(400, "required", "Required parameter: pageToken"));
    };
    match pages::read(sealed) {
        Some((found, token)) if found == scope => Ok(token),
        Some((found, _)) if found.query == scope.query && found.epoch < scope.epoch => {
            Err(match log.refused {
                400 => invalid("Invalid Value"),
                404 => Response::error(404, "notFound", "Page token not found."),
                410 => Response::error(410, "gone", "The page token is no longer valid."),
                other => Response::error(other, "invalid", "Invalid Value"),
            })
        }
        _ => Err(invalid("Invalid Value")),
    }
}

fn frame(kind: &str, entry: &Entry, removed: bool) -> Value {
    json!({
        "kind": "drive#change",
        "type": kind,
        "changeType": kind,
        "time": time(entry.at),
        "removed": removed,
    })
}

pub(super) fn page_size(request: &Request, usual: usize, largest: usize) -> usize {
    request.number("pageSize", usual).clamp(1, largest)
}
