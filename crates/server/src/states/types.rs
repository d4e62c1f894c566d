//! What requests and answers look like as JSON. These types are also where the served description of the API takes its
//! schemas from.

use std::borrow::Cow;

use inboxclaw_contract::Json;
use inboxclaw_contract::space::EntryInfo;
use inboxclaw_contract::store::{Before, PastTurn};
use inboxclaw_edit::{Deleted, ImportSummary, Rewound, Undone};
use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

/// Most keys of a turn that history names.
const KEYS: usize = 100;

/// A time: RFC 3339 in UTC, with `Z`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(transparent)]
pub struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time", "description": "RFC 3339, UTC" })
    }
}

/// A value, or `null` in place of a secret one.
#[derive(Debug, Clone)]
pub(crate) enum Shown {
    Value(Json),
    Masked,
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(serializer),
            Self::Masked => serializer.serialize_unit(),
        }
    }
}

impl JsonSchema for Shown {
    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "Any JSON value, byte for byte as it was put; null for a masked secret" })
    }
}

/// An entry of a state.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StateEntry {
    /// Its key.
    pub(crate) key: String,
    /// Its value; left out where only keys were asked for, null for a masked secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<Shown>,
    /// The version of the owner's state that put this value, or in which a person changed its expiry. The ETag.
    pub(crate) revision: i64,
    /// When the key was first put.
    pub(crate) created_at: Time,
    /// When the value last changed.
    pub(crate) updated_at: Time,
    /// When it will be gone, if ever.
    pub(crate) expires_at: Option<Time>,
    /// Bytes of the value.
    pub(crate) size: u64,
    /// Whether the value is a secret; left out where it is none.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) secret: bool,
}

impl StateEntry {
    /// As people see it; secrets are masked unless they are asked for.
    pub(crate) fn of(entry: EntryInfo, secrets: bool) -> Self {
        let mask = entry.secret && !secrets;
        Self {
            key: entry.key,
            value: entry.value.map(|value| if mask { Shown::Masked } else { Shown::Value(value) }),
            revision: entry.revision.0,
            created_at: Time(entry.created_at),
            updated_at: Time(entry.updated_at),
            expires_at: entry.expires_at.map(Time),
            size: entry.size,
            secret: entry.secret,
        }
    }
}

/// A page of entries, in the order of their keys' bytes.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StatePage {
    /// The entries.
    pub(crate) entries: Vec<StateEntry>,
    /// Where the next page starts, to be given as `after`; null at the end.
    pub(crate) next: Option<String>,
}

/// A value that was put.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct PutEntry {
    /// The key.
    pub key: String,
    /// The entry's revision now. Unchanged when value and expiry were there already.
    pub revision: i64,
    /// The version of the owner's state now.
    pub version: i64,
}

/// What a deletion by prefix or age removed, or would remove.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct DeletedEntries {
    /// How many entries.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// The version of the owner's state afterwards.
    pub version: i64,
    /// Whether nothing was removed because that was only asked about.
    pub dry_run: bool,
}

impl DeletedEntries {
    pub(super) fn of(deleted: Deleted, dry_run: bool) -> Self {
        Self { entries: deleted.entries, bytes: deleted.bytes, version: deleted.version.0, dry_run }
    }
}

/// An owner's cursor.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct StateCursor {
    /// The cursor; null when there is none.
    pub cursor: Option<String>,
    /// The version of the owner's state.
    pub version: i64,
}

/// The new cursor.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetCursor {
    /// The cursor; null clears it.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schemars(required)]
    pub(crate) cursor: Option<String>,
}

/// Turns that changed a state, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct HistoryPage {
    /// The turns.
    pub(crate) turns: Vec<HistoryTurn>,
    /// Where the next page starts, to be given as `before`; null when nothing older is known.
    pub(crate) next: Option<i64>,
}

/// A turn that changed a state.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct HistoryTurn {
    /// The version that it made.
    pub(crate) version: i64,
    /// When.
    pub(crate) at: Time,
    /// Who, when a person did it.
    pub(crate) author: Option<String>,
    /// The version whose change it took back, when it is an undo.
    pub(crate) undoes: Option<i64>,
    /// The cursor before; null when the turn left it alone.
    pub(crate) cursor: Option<HistoryCursor>,
    /// The keys that it changed, the first hundred.
    pub(crate) keys: Vec<HistoryKey>,
    /// How many more keys it changed.
    pub(crate) more_keys: usize,
    /// Whether it replaced more than history keeps of one turn, so that it cannot be taken back.
    pub(crate) marker: bool,
    /// Whether it put other entries in place of all.
    pub(crate) replaced: bool,
}

/// A cursor that a turn changed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct HistoryCursor {
    /// What it was before; null when there was none.
    pub(crate) before: Option<String>,
}

/// A key that a turn changed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct HistoryKey {
    /// The key.
    pub(crate) key: String,
    /// What was there before.
    pub(crate) before: HistoryBefore,
    /// The value before, where it was asked for and there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<Shown>,
}

/// What was under a key before a turn.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HistoryBefore {
    /// Nothing.
    Absent,
    /// An entry.
    Entry,
    /// A secret, which history does not keep.
    Secret,
}

impl HistoryTurn {
    pub(super) fn of(turn: PastTurn, values: bool) -> Self {
        let more_keys = turn.entries.len().saturating_sub(KEYS);
        let keys = turn.entries.into_iter().take(KEYS).map(|(key, before)| {
            let (before, value) = match before {
                Before::Absent => (HistoryBefore::Absent, None),
                Before::Secret => (HistoryBefore::Secret, None),
                Before::Entry(entry) => (HistoryBefore::Entry, values.then_some(Shown::Value(entry.value))),
            };
            HistoryKey { key, before, value }
        });
        Self {
            version: turn.version.0,
            at: Time(turn.at),
            author: turn.author,
            undoes: turn.undoes.map(|version| version.0),
            cursor: turn.cursor.map(|before| HistoryCursor { before }),
            keys: keys.collect(),
            more_keys,
            marker: turn.marker,
            replaced: turn.replaced.is_some(),
        }
    }
}

/// Which change to take back: by default the newest by a person.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct UndoWhat {
    /// The newest of any kind.
    pub(crate) turn: bool,
    /// The one that made this version.
    pub(crate) version: Option<i64>,
    /// Also when something of it was changed since.
    pub(crate) force: bool,
}

/// What an undo took back.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct UndoneChange {
    /// The version that the change had made.
    pub undid: i64,
    /// When it was made.
    pub at: Time,
    /// Who had made it, when a person had.
    pub author: Option<String>,
    /// The version of the owner's state afterwards.
    pub version: i64,
    /// How many entries are as before again.
    pub entries: u64,
    /// Whether the cursor is as before again.
    pub cursor: bool,
    /// Keys that were left as they are: secrets, and what has expired since.
    pub left: Vec<String>,
}

impl From<Undone> for UndoneChange {
    fn from(undone: Undone) -> Self {
        Self {
            undid: undone.undid.0,
            at: Time(undone.at),
            author: undone.author,
            version: undone.version.0,
            entries: undone.entries,
            cursor: undone.cursor,
            left: undone.left,
        }
    }
}

/// Where to rewind to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RewindTo {
    /// A version, a time (RFC 3339), or how long ago (`1h`).
    pub(crate) to: VersionOrTime,
}

/// A version, or a time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "to must be a version, a time, or a length of time")]
pub(crate) enum VersionOrTime {
    /// A version of the owner's state.
    Version(i64),
    /// A time (RFC 3339), or how long ago (`1h`).
    Time(String),
}

/// What a rewind did.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct RewoundState {
    /// The version whose state is back.
    pub to: i64,
    /// The version of the owner's state afterwards.
    pub version: i64,
    /// How many turns were taken back.
    pub turns: u64,
    /// How many entries differ from before.
    pub entries: u64,
    /// Whether the cursor differs from before.
    pub cursor: bool,
    /// Keys that were left as they are: secrets, and what has expired since.
    pub left: Vec<String>,
}

impl From<Rewound> for RewoundState {
    fn from(rewound: Rewound) -> Self {
        Self {
            to: rewound.to.0,
            version: rewound.version.0,
            turns: rewound.turns,
            entries: rewound.entries,
            cursor: rewound.cursor,
            left: rewound.left,
        }
    }
}

/// What an import or a copy brought.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ImportedEntries {
    /// Entries read.
    pub entries: u64,
    /// Entries left out because they have expired.
    pub expired: u64,
    /// Entries left out because they are secrets whose value was not given.
    pub secrets: u64,
    /// The version of the owner's state afterwards.
    pub version: i64,
}

impl From<ImportSummary> for ImportedEntries {
    fn from(summary: ImportSummary) -> Self {
        let ImportSummary { entries, expired, secrets, version } = summary;
        Self { entries, expired, secrets, version: version.0 }
    }
}
