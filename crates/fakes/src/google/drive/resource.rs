//! Files, drives and users as JSON, with the fields that the resources have
//! (<https://developers.google.com/workspace/drive/api/reference/rest/v3/files>). `fields` is applied by whoever sends
//! an answer; only what a request without `fields` gets is decided here, and what surely nobody asked for left out.

use super::{Drive, FOLDER, File, Home, Person, ROOT, SharedDrive};
use crate::google::api::Request;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// A time as Drive writes it.
pub(super) fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// A resource in the making. Fields that a request does not request for are left out where that is easy to see, since
/// making them costs more than all else; `fields` is still applied afterwards.
struct Shown<'a> {
    fields: Map<String, Value>,
    mask: &'a str,
    everything: bool,
}

impl<'a> Shown<'a> {
    fn new(mask: &'a str) -> Self {
        let whole = |part: &str| {
            let word = part.trim_end_matches([',', '(', ')', '/']);
            let inside = part.strip_prefix(word).is_some_and(|end| end.starts_with(['(', '/']));
            !inside && ["file", "files", "changes"].contains(&word)
        };
        let everything = mask.contains('*') || mask.split_inclusive([',', '(', ')', '/']).any(whole);
        Self { fields: Map::new(), mask, everything }
    }

    fn put<V: Into<Value>>(&mut self, name: &str, value: impl FnOnce() -> V) {
        if self.everything || self.mask.contains(name) {
            self.fields.insert(name.to_owned(), value().into());
        }
    }
}

impl Drive {
    /// A file; without `fields` only the few that the service sends then.
    pub(super) fn show(&self, file: &File, request: &Request) -> Value {
        let mask = request.param("fields");
        let mut shown = Shown::new(mask.unwrap_or("kind,id,name,mimeType,driveId"));
        shown.put("kind", || "drive#file");
        shown.put("id", || file.id.clone());
        shown.put("name", || file.name.clone());
        shown.put("mimeType", || file.mime.clone());
        if let Some(id) = file.drive() {
            shown.put("driveId", || id);
        }
        if mask.is_some() {
            self.show_common(file, &mut shown);
            self.show_owner(file, &mut shown);
            self.show_content(file, &mut shown);
        }
        shown.fields.into()
    }

    fn show_common(&self, file: &File, shown: &mut Shown<'_>) {
        shown.put("starred", || false);
        shown.put("trashed", || file.trashed);
        shown.put("explicitlyTrashed", || file.explicitly_trashed);
        if let Some(parent) = &file.parent {
            shown.put("parents", || json!([parent]));
        }
        if !file.description.is_empty() {
            shown.put("description", || file.description.clone());
        }
        shown.put("version", || file.version.to_string());
        shown.put("spaces", || json!(["drive"]));
        shown.put("webViewLink", || link(file));
        shown.put("createdTime", || time(file.created));
        shown.put("modifiedTime", || time(file.modified));
        shown.put("modifiedByMe", || file.editor == self.me);
        shown.put("lastModifyingUser", || self.user(&file.editor));
        let mine = file.home == Home::Mine;
        let member = file.drive().is_some();
        shown.put("capabilities", || {
            json!({
                "canDownload": file.downloadable && !file.is_folder(),
                "canEdit": mine || member,
                "canShare": mine,
                "canListChildren": file.is_folder(),
                "canTrash": mine || member,
            })
        });
    }

    /// Who owns and shares it, which is not filled in shared drives.
    fn show_owner(&self, file: &File, shown: &mut Shown<'_>) {
        if file.drive().is_some() {
            shown.put("hasAugmentedPermissions", || false);
            return;
        }
        shown.put("ownedByMe", || file.home == Home::Mine);
        shown.put("owners", || json!([self.user(&file.owner)]));
        shown.put("shared", || file.home != Home::Mine || !file.shared_with.is_empty());
        match &file.home {
            Home::SharedWithMe { by, at } => {
                shown.put("sharedWithMeTime", || time(*at));
                shown.put("sharingUser", || self.user(by));
            }
            // Only who may share a file sees its permissions.
            _ => shown.put("permissions", || {
                let others = file.shared_with.iter().map(|email| permission(email, email, "writer"));
                let owner = permission(&file.owner.name, &file.owner.email, "owner");
                std::iter::once(owner).chain(others).collect::<Vec<_>>()
            }),
        }
    }

    fn show_content(&self, file: &File, shown: &mut Shown<'_>) {
        if file.is_native() {
            if self.document_sizes && !file.is_folder() {
                shown.put("size", || (file.content.len() + 1024).to_string());
            }
            return;
        }
        shown.put("size", || file.content.len().to_string());
        shown.put("quotaBytesUsed", || file.content.len().to_string());
        shown.put("originalFilename", || file.name.clone());
        if let Some((_, extension)) = file.name.rsplit_once('.') {
            shown.put("fileExtension", || extension);
        }
        // Not MD5, which nobody recomputes: 32 digits that follow the content.
        shown.put("md5Checksum", || file.digest.get(..32).unwrap_or_default());
        shown.put("sha256Checksum", || file.digest.clone());
        shown.put("headRevisionId", || format!("0B{}", file.digest.get(..20).unwrap_or_default()));
    }

    /// A user.
    pub(super) fn user(&self, person: &Person) -> Value {
        json!({
            "kind": "drive#user",
            "displayName": person.name,
            "emailAddress": person.email,
            "me": *person == self.me,
            "permissionId": permission_id(&person.email),
        })
    }

    /// A shared drive; without `fields` only the few that the service sends then.
    pub(super) fn show_drive(&self, drive: &SharedDrive, request: &Request) -> Value {
        let mut shown = json!({ "kind": "drive#drive", "id": drive.id, "name": drive.name });
        if request.param("fields").is_some() {
            shown["createdTime"] = time(drive.created).into();
            shown["hidden"] = false.into();
            shown["capabilities"] = json!({ "canListChildren": true, "canDownload": true });
        }
        shown
    }

    /// The top of My Drive or of a shared drive, which is a folder too.
    pub(super) fn top(&self, id: &str) -> Option<File> {
        let (name, home, created) = match self.drives.get(id) {
            Some(drive) => (drive.name.clone(), Home::Drive(drive.id.clone()), drive.created),
            None if id == ROOT => ("My Drive".to_owned(), Home::Mine, Timestamp::UNIX_EPOCH),
            None => return None,
        };
        Some(File {
            id: id.to_owned(),
            name,
            mime: FOLDER.to_owned(),
            parent: None,
            trashed: false,
            explicitly_trashed: false,
            created,
            modified: created,
            version: 1,
            home,
            owner: self.me.clone(),
            editor: self.me.clone(),
            content: [].into(),
            digest: String::new(),
            description: String::new(),
            shared_with: Vec::new(),
            downloadable: true,
            refusal: None,
        })
    }
}

fn link(file: &File) -> String {
    let id = &file.id;
    match file.mime.strip_prefix("application/vnd.google-apps.") {
        Some("folder") => format!("https://drive.google.com/drive/folders/{id}"),
        Some("document") => format!("https://docs.google.com/document/d/{id}/edit?usp=drivesdk"),
        Some("spreadsheet") => format!("https://docs.google.com/spreadsheets/d/{id}/edit?usp=drivesdk"),
        _ => format!("https://drive.google.com/file/d/{id}/view?usp=drivesdk"),
    }
}

fn permission(name: &str, email: &str, role: &str) -> Value {
    json!({
        "kind": "drive#permission",
        "id": permission_id(email),
        "type": "user",
        "emailAddress": email,
        "role": role,
        "displayName": name,
        "deleted": false,
        "pendingOwner": false,
    })
}

/// Digits that follow the address.
fn permission_id(email: &str) -> String {
    let sum = email.bytes().fold(17_u64, |sum, byte| sum.wrapping_mul(131).wrapping_add(byte.into()));
    format!("{sum:020}")
}
