//! The events: their types, ids and data.

use inboxclaw_contract::{Failure, Json, NewEvent};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::classify::{self, Kind};
use super::snapshot::Snapshot;
use crate::google::timestamp;
use crate::textdiff::TextDiff;

/// The texts that a file may have without, and which are left out then.
const OPTIONAL: [&str; 5] = ["modificationDate", "description", "lastModifyingUser", "webViewLink", "size"];

impl Kind {
    /// The type of its event.
    pub(super) const fn event_type(self) -> &'static str {
        match self {
            Self::Created => "google.drive.file_created",
            Self::Updated => "google.drive.file_updated",
            Self::Moved => "google.drive.file_moved",
            Self::Trashed => "google.drive.file_trashed",
            Self::Untrashed => "google.drive.file_untrashed",
            Self::SharedWithYou => "google.drive.file_shared_with_you",
            Self::Removed => "google.drive.file_removed",
        }
    }
}

/// When something happened, and what tells it from its like in the id of its event.
#[derive(Debug, Clone)]
pub(super) struct EventTime {
    pub(super) at: Timestamp,
    pub(super) unique: String,
}

impl EventTime {
    /// By the service's time, else by the version of the file, else by now.
    pub(super) fn of(time: Option<&str>, version: Option<&str>, now: Timestamp) -> Self {
        let at = time.and_then(timestamp::read).unwrap_or(now);
        let unique = time.or(version).map_or_else(|| timestamp::write(at), str::to_owned);
        Self { at, unique }
    }
}

/// What happened to a file that is there.
///
/// # Errors
/// When the data is beyond what an event holds even without the difference of texts.
pub(super) fn change(
    kind: Kind,
    before: Option<&Snapshot>,
    now: &Snapshot,
    diff: Option<&TextDiff>,
    when: &EventTime,
) -> Result<NewEvent, Failure> {
    let data = data(kind, before, now, diff);
    let data = match Json::from_value(&data) {
        // Settings may ask for more of the texts than an event holds.
        Err(_) if diff.is_some() => Json::from_value(&self::data(kind, before, now, None)),
        data => data,
    };
    Ok(event(kind, &now.file_id, data.map_err(Failure::internal)?, when))
}

/// That a file is gone; `known` is what was known of it, if anything.
///
/// # Errors
/// When the data is beyond what an event holds.
pub(super) fn removal(id: &str, known: Option<&Snapshot>, when: &EventTime) -> Result<NewEvent, Failure> {
    let data = json!({
        "fileId": id,
        "lastKnownName": known.and_then(|known| known.name.as_ref()),
        "lastKnownMimeType": known.and_then(|known| known.mime_type.as_ref()),
        "lastKnownParentIds": known.map(|known| known.parents.as_slice()).unwrap_or_default(),
    });
    Ok(event(Kind::Removed, id, Json::from_value(&data).map_err(Failure::internal)?, when))
}

fn event(kind: Kind, id: &str, data: Json, when: &EventTime) -> NewEvent {
    let event_type = kind.event_type();
    let event_id = format!("drive-{id}-{event_type}-{}", when.unique);
    NewEvent::new(event_id, event_type, data).entity(id).at(when.at)
}

fn data(
    kind: Kind,
    before: Option<&Snapshot>,
    now: &Snapshot,
    diff: Option<&TextDiff>,
) -> Map<String, Value> {
    let mut data = common(now);
    let mut set = |name: &str, value: Value| {
        data.insert(name.to_owned(), value);
    };
    match kind {
        Kind::Created => {
            if let Some(text) = now.indexable_text.as_ref().filter(|text| !text.is_empty()) {
                set("indexableText", json!(text));
            }
            set("createdTime", json!(now.created_time));
        }
        Kind::Updated => {
            let changes = before.map(|before| classify::updates(before, now)).unwrap_or_default();
            if !changes.is_empty() {
                set("changes", Value::Object(changes));
            }
            if let Some(diff) = diff {
                set("contentDiff", json!(diff));
            }
        }
        Kind::Moved => {
            let before = before.map(|before| before.parents.as_slice()).unwrap_or_default();
            set("parentIds", json!({ "before": before, "after": now.parents }));
        }
        Kind::Trashed | Kind::Untrashed => {
            set("trashedBefore", json!(kind == Kind::Untrashed));
            set("trashedAfter", json!(kind == Kind::Trashed));
        }
        Kind::SharedWithYou => {
            set("sharedWithMeTime", json!(now.shared_with_me_time));
            set("sharingUser", json!(now.sharing_user));
        }
        Kind::Removed => {}
    }
    data
}

fn common(file: &Snapshot) -> Map<String, Value> {
    let mut data = Map::new();
    data.insert("fileId".to_owned(), json!(file.file_id));
    data.insert("name".to_owned(), json!(file.name));
    data.insert("mimeType".to_owned(), json!(file.mime_type));
    data.insert("parentIds".to_owned(), json!(file.parents));
    data.insert("owners".to_owned(), file.owners.clone().unwrap_or_else(|| json!([])));
    let values = [
        json!(file.modified_time),
        json!(file.description),
        json!(file.last_modifying_user),
        json!(file.web_view_link),
        json!(file.size),
    ];
    let there = OPTIONAL.into_iter().zip(values).filter(|(_, value)| !is_empty(value));
    data.extend(there.map(|(name, value)| (name.to_owned(), value)));
    data
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}
