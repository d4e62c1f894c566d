//! What a watcher is told, and how it looks.

use inboxclaw_contract::space::EntryInfo;
use inboxclaw_contract::store::PastTurn;
use inboxclaw_contract::{Editable, Entry, Json, OwnerId, StoreError, Version};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::sse::frames;
use crate::states::types::{StateEntry, Time};

/// A key was put or deleted (`event: change`).
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WatchChange {
    /// The version that the change made.
    version: i64,
    /// When.
    at: Time,
    /// Who, when a person did it.
    author: Option<String>,
    /// The key.
    key: String,
    /// What happened to it.
    op: WatchOp,
    /// The entry as it is now; left out for a deletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<StateEntry>,
}

/// What happened to a key.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WatchOp {
    /// It has a value.
    Put,
    /// It is gone.
    Delete,
}

/// An entry expired (`event: expire`).
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WatchExpiry {
    /// The key.
    key: String,
    /// The instant from which no read sees it.
    expires_at: Time,
}

/// The cursor changed (`event: cursor`).
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WatchCursor {
    /// The version that the change made.
    version: i64,
    /// The cursor as it is now.
    cursor: Option<String>,
}

/// List the state again (`event: reset`): at the start, and when too much changed at once.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WatchReset {
    /// The version of the state. A listing from now on holds at least this.
    version: i64,
}

/// Something to tell. `id` is there where a client that has it has everything up to that version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    Changed { id: Option<Version>, version: Version, at: Timestamp, author: Option<String>, key: String },
    Cursor { id: Option<Version>, version: Version },
    Expired { id: Version, key: String, at: Timestamp },
    Reset { version: Version },
}

impl News {
    pub(super) fn changed(turn: &PastTurn, key: &str) -> Self {
        let (version, at, author) = (turn.version, turn.at, turn.author.clone());
        Self::Changed { id: None, version, at, author, key: key.to_owned() }
    }

    pub(super) fn set_id(&mut self, version: Version) {
        if let Self::Changed { id, .. } | Self::Cursor { id, .. } = self {
            *id = Some(version);
        }
    }

    pub(super) fn id(&self) -> Option<Version> {
        match self {
            Self::Changed { id, .. } | Self::Cursor { id, .. } => *id,
            Self::Expired { id: version, .. } | Self::Reset { version } => Some(*version),
        }
    }

    /// The message. What the state holds is read only now, one entry at a time.
    pub(super) async fn write(
        self,
        store: &dyn Editable,
        owner: OwnerId,
        secrets: bool,
    ) -> Result<String, StoreError> {
        let id = self.id().map(|id| id.0);
        Ok(match self {
            Self::Changed { version, at, author, key, .. } => {
                let found = store.entries(owner, std::slice::from_ref(&key)).await?.pop().flatten();
                let entry = found.map(|entry| StateEntry::of(EntryInfo::from(on_one_line(entry)), secrets));
                let op = if entry.is_some() { WatchOp::Put } else { WatchOp::Delete };
                let change = WatchChange { version: version.0, at: Time(at), author, key, op, entry };
                message(id, "change", &change)
            }
            Self::Cursor { version, .. } => {
                let cursor = store.snapshot(owner).await?.cursor;
                message(id, "cursor", &WatchCursor { version: version.0, cursor })
            }
            Self::Expired { key, at, .. } => {
                message(id, "expire", &WatchExpiry { key, expires_at: Time(at) })
            }
            Self::Reset { version } => message(id, "reset", &WatchReset { version: version.0 }),
        })
    }
}

fn message(id: Option<i64>, event: &str, data: &impl Serialize) -> String {
    match serde_json::to_string(data) {
        Ok(data) => frames::message(id, event, &data),
        Err(error) => {
            tracing::error!(%error, "a message cannot be written");
            String::new()
        }
    }
}

/// A line end in the text of a value would end the message's line.
fn on_one_line(mut entry: Entry) -> Entry {
    if entry.value.as_str().contains(['\n', '\r']) {
        let mut text = String::with_capacity(entry.value.len());
        entry.value.write_compact(&mut text);
        entry.value = Json::from_store(text.into());
    }
    entry
}
