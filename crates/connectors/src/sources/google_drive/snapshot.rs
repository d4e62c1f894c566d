//! What was last seen of a file: the shape of its entry, which also reads what the forerunner wrote, and what follows
//! from it. Texts have entries of their own.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::api::File;

/// The type of a folder.
const FOLDER: &str = "application/vnd.google-apps.folder";

/// A file as it was last seen. Times and sizes are the service's texts; what is not known is left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Snapshot {
    pub(super) file_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mime_type: Option<String>,
    /// In order of their ids.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) parents: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) trashed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) created_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) modified_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) owned_by_me: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) owners: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shared_with_me_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sharing_user: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) permissions: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) indexable_text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_modifying_user: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) web_view_link: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) can_download: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) drive_id: Option<String>,
    /// Of the text in the entry beside, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_hash: Option<String>,
    /// The text, where the forerunner kept it.
    #[serde(default, skip_serializing)]
    pub(super) content_snapshot: Option<String>,
}

/// Where a value may be null in entries of the forerunner.
fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl From<File> for Snapshot {
    fn from(mut file: File) -> Self {
        file.parents.sort();
        Self {
            file_id: file.id,
            name: file.name,
            mime_type: file.mime_type,
            parents: file.parents,
            trashed: file.trashed,
            created_time: file.created_time,
            modified_time: file.modified_time,
            owned_by_me: file.owned_by_me,
            owners: file.owners,
            shared_with_me_time: file.shared_with_me_time,
            sharing_user: file.sharing_user,
            permissions: file.permissions,
            description: file.description,
            indexable_text: file.content_hints.and_then(|hints| hints.indexable_text),
            last_modifying_user: file.last_modifying_user,
            web_view_link: file.web_view_link,
            size: file.size,
            version: file.version,
            can_download: file.capabilities.and_then(|capabilities| capabilities.can_download),
            drive_id: file.drive_id,
            content_hash: None,
            content_snapshot: None,
        }
    }
}

impl Snapshot {
    pub(super) fn is_folder(&self) -> bool {
        self.mime_type.as_deref() == Some(FOLDER)
    }

    pub(super) fn is_owned(&self) -> bool {
        self.owned_by_me == Some(true)
    }

    /// Somebody else's, and shared on purpose, not merely seen by its link.
    pub(super) fn is_shared_with_me(&self) -> bool {
        !self.is_owned() && self.is_reached_on_purpose()
    }

    /// Whether the file concerns the user: their own, or shared on purpose.
    pub(super) fn is_intended(&self) -> bool {
        self.is_owned() || self.is_reached_on_purpose()
    }

    fn is_reached_on_purpose(&self) -> bool {
        self.drive_id.is_some()
            || self.shared_with_me_time.is_some()
            || self.sharing_user.is_some()
            || self
                .permissions
                .as_ref()
                .and_then(Value::as_array)
                .is_some_and(|all| all.iter().any(names_people))
    }
}

/// Whether a permission is one of people, not of everybody with a link.
fn names_people(permission: &Value) -> bool {
    let is_people = |kind: &Value| matches!(kind.as_str(), Some("user" | "group"));
    let details = permission["permissionDetails"].as_array();
    is_people(&permission["type"])
        || details.is_some_and(|all| all.iter().any(|detail| is_people(&detail["permissionType"])))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn snapshots_of_the_forerunner_are_read() {
        let old = json!({
            "file_id": "a", "name": "n", "mime_type": null, "parents": null, "trashed": null, "created_time": null,
            "modified_time": "t", "owned_by_me": null, "owners": [{"displayName": "I"}], "shared_with_me_time": null,
            "sharing_user": null, "permissions": null, "description": null, "indexable_text": null,
            "last_modifying_user": null, "web_view_link": null, "size": "7", "content_hash": "h",
            "content_snapshot": "text",
        });
        let read: Snapshot = serde_json::from_value(old).unwrap();
        assert_eq!(read.content_snapshot.as_deref(), Some("text"));
        assert_eq!(
            serde_json::to_value(&read).unwrap(),
            json!({
                "file_id": "a", "name": "n", "parents": [], "trashed": false, "modified_time": "t",
                "owners": [{"displayName": "I"}], "size": "7", "content_hash": "h",
            })
        );
    }

    #[test]
    fn what_is_shared_on_purpose() {
        let file = |value: Value| serde_json::from_value::<File>(value).map(Snapshot::from).unwrap();
        for (value, intended, with_me) in [
            (json!({ "ownedByMe": true }), true, false),
            (json!({ "ownedByMe": true, "driveId": "d" }), true, false),
            (json!({ "driveId": "d" }), true, true),
            (json!({ "sharedWithMeTime": "t" }), true, true),
            (json!({ "sharingUser": {} }), true, true),
            (json!({ "permissions": [{ "type": "group" }] }), true, true),
            (
                json!({ "permissions": [{ "type": "x", "permissionDetails": [{ "permissionType": "user" }] }] }),
                true,
                true,
            ),
            (json!({ "permissions": [{ "type": "anyone" }, { "type": "domain" }] }), false, false),
            (json!({ "ownedByMe": false }), false, false),
            (json!({}), false, false),
        ] {
            let file = file(value.clone());
            assert_eq!((file.is_intended(), file.is_shared_with_me()), (intended, with_me), "{value}");
        }
    }
}
