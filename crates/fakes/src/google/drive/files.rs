//! Listings, files and their content as answers. Facts from the references of `files.list`, `files.get` and
//! `files.export` below <https://developers.google.com/workspace/drive/api/reference/rest/v3/files>, the guide
//! <https://developers.google.com/workspace/drive/api/guides/search-files>, and the list of errors in
//! <https://developers.google.com/workspace/drive/api/guides/handle-errors>.

use super::changes::{invalid, no_drive, page_size};
use super::{DOC, Drive, File, Home, ROOT, USER};
use crate::google::api::{Request, Response};
use crate::google::pages::{Token, TokenScope};
use serde_json::{Value, json};

/// The largest export in bytes.
const LARGEST_EXPORT: usize = 10 * 1024 * 1024;

fn bad(message: &str) -> Response {
    Response::error(400, "badRequest", message)
}

fn no_file(id: &str) -> Response {
    Response::error(404, "notFound", &format!("File not found: {id}."))
}

/// A condition of a search.
enum Term {
    MyOwn,
    SharedWithMe,
    Trashed(bool),
    Inside(String),
    Mime { name: String, is: bool },
}

impl Term {
    fn read(text: &str) -> Option<Self> {
        let quoted = |text: &str| Some(text.trim().strip_prefix('\'')?.strip_suffix('\'')?.to_owned());
        let text = text.trim();
        if text == "sharedWithMe" {
            return Some(Self::SharedWithMe);
        }
        if let Some(id) = text.strip_suffix("in parents") {
            let id = quoted(id)?;
            return Some(Self::Inside(if id == "root" { ROOT.to_owned() } else { id }));
        }
        if let Some(owner) = text.strip_suffix("in owners") {
            return (quoted(owner)? == "me").then_some(Self::MyOwn);
        }
        let (field, value) = text.split_once('=')?;
        match (field.trim_end(), value.trim()) {
            ("trashed", "true") => Some(Self::Trashed(true)),
            ("trashed", "false") => Some(Self::Trashed(false)),
            ("mimeType", name) => Some(Self::Mime { name: quoted(name)?, is: true }),
            ("mimeType !", name) => Some(Self::Mime { name: quoted(name)?, is: false }),
            _ => None,
        }
    }

    fn holds(&self, file: &File) -> bool {
        match self {
            Self::MyOwn => file.home == Home::Mine,
            Self::SharedWithMe => matches!(file.home, Home::SharedWithMe { .. }),
            Self::Trashed(trashed) => file.trashed == *trashed,
            Self::Inside(id) => file.parent.as_ref() == Some(id),
            Self::Mime { name, is } => (file.mime == *name) == *is,
        }
    }
}

impl Drive {
    pub(super) fn list_files(&self, request: &Request) -> Response {
        let search = request.param("q").filter(|search| !search.trim().is_empty());
        let Some(terms) =
            search.map_or(Some(Vec::new()), |search| search.split(" and ").map(Term::read).collect())
        else {
            return invalid("Invalid Value");
        };
        let scope = TokenScope::of(request, self.listings);
        let (files, next) = match request.param("pageToken").map(|token| scope.decode(token)) {
            Some(None) => return invalid("Invalid Value"),
            Some(Some(token)) if token.blank => (Vec::new(), Some(Token { blank: false, ..token })),
            token => {
                let first = token.flatten().and_then(|token| token.place.parse().ok()).unwrap_or(0);
                match self.corpus(first, &terms, request) {
                    Err(refused) => return refused,
                    Ok(files) => {
                        let files = files.filter(|(_, file)| terms.iter().all(|term| term.holds(file)));
                        self.paging
                            .cut(files, page_size(request, 100, 1000), |(serial, _)| serial.to_string())
                    }
                }
            }
        };
        let files: Value = files.into_iter().map(|(_, file)| self.show(file, request)).collect();
        let mut body = json!({
            "kind": "drive#fileList",
            "incompleteSearch": self.incomplete_search,
            "files": files,
        });
        if let Some(next) = next {
            body["nextPageToken"] = scope.encode(&next).into();
        }
        Response::json(body)
    }

    /// The files that a request searches, from a place on.
    fn corpus<'a>(
        &'a self,
        first: u64,
        terms: &'a [Term],
        request: &'a Request,
    ) -> Result<impl Iterator<Item = (u64, &'a File)>, Response> {
        let all_drives = request.is("supportsAllDrives") && request.is("includeItemsFromAllDrives");
        let drive = request.param("driveId");
        let corpora = request.param("corpora").unwrap_or(if drive.is_some() { "drive" } else { "user" });
        let name = match (corpora, drive) {
            ("user", None) if self.drive_items_in_user_corpus && all_drives => None,
            ("user", None) => Some(USER),
            ("allDrives", None) if all_drives => None,
            ("drive", Some(id)) if all_drives && self.drives.contains_key(id) => Some(id),
            ("drive", Some(id)) if all_drives => return Err(no_drive(id)),
            ("drive" | "allDrives", _) if !all_drives => {
                return Err(bad("corpora needs supportsAllDrives and includeItemsFromAllDrives."));
            }
            (_, Some(_)) | ("drive", None) => {
                return Err(bad("driveId must be given if and only if corpora is drive."));
            }
            _ => return Err(invalid("Invalid Value")),
        };
        // The narrowest index there is.
        let folder = terms.iter().find_map(|term| if let Term::Inside(id) = term { Some(id) } else { None });
        let index = match (folder, name) {
            (Some(folder), _) => self.children.get(folder).map(|set| set.range(first..)),
            (None, Some(name)) => self.corpora.get(name).map(|set| set.range(first..)),
            (None, None) => None,
        };
        let everything = folder.is_none() && name.is_none();
        let everything = everything.then(|| self.files.range(first..)).into_iter().flatten();
        let indexed = index.into_iter().flatten();
        let indexed = indexed.filter_map(|serial| Some((*serial, self.files.get(serial)?)));
        let files = everything.map(|(serial, file)| (*serial, file)).chain(indexed);
        Ok(files.filter(move |(_, file)| name.is_none_or(|name| file.corpus() == name)))
    }

    pub(super) fn get_file(&self, id: &str, request: &Request) -> Response {
        let id = if id == "root" { ROOT } else { id };
        let top = self.top(id);
        let Some(file) = self.file(id).or(top.as_ref()) else { return no_file(id) };
        if file.drive().is_some() && !request.is("supportsAllDrives") {
            return no_file(id);
        }
        if request.param("alt") != Some("media") {
            return Response::json(self.show(file, request));
        }
        if let Some(refused) =
            refused(file, "cannotDownloadFile", "This file cannot be downloaded by the user.")
        {
            return refused;
        }
        if file.is_native() {
            let message =
                "Only files with binary content can be downloaded. Use Export with Docs Editors files.";
            return Response::error(403, "fileNotDownloadable", message);
        }
        Response::bytes(served_as(&file.mime), file.content.to_vec())
    }

    pub(super) fn export(&self, id: &str, request: &Request) -> Response {
        let Some(file) = self.file(id) else { return no_file(id) };
        let Some(wanted) = request.param("mimeType") else {
            return Response::error(400, "required", "Required parameter: mimeType");
        };
        if let Some(refused) = refused(file, "cannotExportFile", "This file cannot be exported by the user.")
        {
            return refused;
        }
        if !file.is_native() || file.is_folder() {
            return Response::error(403, "fileNotExportable", "Export only supports Docs Editors files.");
        }
        let formats: &[&str] = match file.mime.as_str() {
            DOC => &["text/plain", "text/markdown", "text/html", "application/pdf"],
            _ => &["application/pdf"],
        };
        if !formats.contains(&wanted) {
            return bad("The requested conversion is not supported.");
        }
        if file.content.len() > LARGEST_EXPORT {
            return Response::error(403, "exportSizeLimitExceeded", "This file is too large to be exported.");
        }
        Response::bytes(served_as(wanted), file.content.to_vec())
    }
}

/// Why the content of a file is refused: what a script said, or the want of a right.
fn refused(file: &File, reason: &str, message: &str) -> Option<Response> {
    if let Some((status, reason)) = &file.refusal {
        return Some(Response::error(*status, reason, "The content of this file is refused."));
    }
    (!file.downloadable).then(|| Response::error(403, reason, message))
}

fn served_as(mime: &str) -> &'static str {
    const KNOWN: [&str; 6] =
        ["text/plain", "text/markdown", "text/html", "text/csv", "application/json", "application/pdf"];
    KNOWN.into_iter().find(|known| *known == mime).unwrap_or("application/octet-stream")
}
