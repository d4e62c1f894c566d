//! The settings that belong to the program itself: `database`, and what every source and every sink has.
//! Left out: `server`, which stands beside the server, and what each kind has of its own.

use std::collections::BTreeMap;

use inboxclaw_settings::{Interval, Patterns, Size, coerce};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::coalesce::CoalesceSettings;
use super::retention::RetentionAge;
use super::states::{Start, StateSettings};

const DAY: u64 = 24 * 60 * 60;

/// Where events and states are kept, and for how long.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DatabaseSettings {
    /// Days to keep events; those that a sink is still owed stay for longer (`owed_max`). 0 or less keeps them for ever.
    #[serde(deserialize_with = "coerce::lax")]
    pub(super) retention_days: i64,
    /// Another name for `retention_days`; wins when both are given.
    #[serde(deserialize_with = "coerce::lax")]
    pub(super) days: Option<i64>,
    /// The same for event types, by pattern: an exact type, a prefix such as `mock.*`, or `*` for all. The exact type
    /// decides, else the longest prefix, else `*`, else `retention_days`.
    pub(super) retention: BTreeMap<String, RetentionAge>,
    /// The database file, relative to the folder of the configuration file. Folders are created.
    #[serde(deserialize_with = "coerce::lax")]
    pub(super) db_path: String,
    /// No meaning any more: statements are never logged.
    #[serde(deserialize_with = "coerce::lax")]
    #[schemars(extend("deprecated" = true))]
    pub(super) echo: Option<bool>,
    /// `full`: what was committed survives a power cut. `normal`: a power cut may take the last moments, but
    /// never damages the file; faster on slow disks.
    pub(super) durability: Durability,
    /// How long a sink is owed an event, counted from when it was stored: what nobody confirmed by then, retention may
    /// remove. Health warns from 80 % of it on; what went is told by an event `inboxclaw.sink.dropped`. A sink that leaves
    /// this file is owed its events for as long.
    pub(super) owed_max: Interval,
    /// How long a dead letter (an event that a sink could not deliver and no longer tries) waits for a person. What nobody
    /// retried or dropped by then goes, which an event `inboxclaw.sink.dropped` tells; health warns from 80 % of it on.
    pub(super) dead_max: Interval,
    /// How large the database may become: a number of bytes, or a text such as `2 GiB`. Beyond it the oldest events go,
    /// first those that no sink is owed, then the others, which an event `inboxclaw.sink.dropped` tells. Health warns from
    /// 80 % of it on. The file keeps its size; room in it is used again. No limit unless given.
    #[serde(deserialize_with = "coerce::lax")]
    pub(super) max_bytes: Option<Size>,
    /// How much of each owner's past is kept for undo.
    pub(super) history: History,
    /// A PostgreSQL address. Not available in this version yet.
    #[serde(deserialize_with = "coerce::lax")]
    pub(super) url: Option<String>,
}

/// When a commit counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Durability {
    /// Survives a power cut.
    Full,
    /// Survives a crash of the program, but perhaps not a power cut.
    Normal,
}

/// Bounds of the history of each source and sink.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct History {
    /// How far back it goes.
    pub(super) age: Interval,
    /// How large it may become for one source or sink: a number of bytes, or a text such as `64 MiB`.
    pub(super) size: Size,
}

/// What every source has besides the settings of its kind.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct SourceCommon {
    /// Rules that join events of one entity, which come in quick succession, into one. Until its window has passed such an
    /// event is pending: `inboxclaw pending-events` shows it. An event of another type of the same entity ends the window,
    /// so that the order stays. Events that name no entity are stored at once.
    pub(super) coalesce: Vec<CoalesceSettings>,
    /// Rules for the source's state.
    pub(super) state: StateSettings,
    /// Whether the source is paused when it is first set up, until `inboxclaw source resume NAME` starts it. Later
    /// starts of the program leave it as it is.
    #[serde(deserialize_with = "coerce::lax")]
    pub(super) stopped: bool,
    /// Where the source begins while it has no state: `now` with what changes from now on, `all` with everything there
    /// is, or with what changed since a date (`2026-01-31`, which begins at 00:00 UTC), a time
    /// (`2026-01-31T08:00:00Z`) or so long ago (`7d`). Not every kind of source can choose; what it does otherwise
    /// stands with its own keys.
    pub(super) start: Option<Start>,
}

/// What every sink has besides the settings of its kind.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct SinkCommon {
    /// Which event types the sink takes.
    #[serde(rename = "match")]
    pub(super) patterns: Patterns,
    /// Rules for the sink's state.
    pub(super) state: StateSettings,
}

/// What a sink that remembers how far it came has besides.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct SinkStart {
    /// Where the sink begins when it is new: `now` with the events stored from now on, which is the default, `all` with
    /// the first event of the log, or with what was stored since a date (`2026-01-31`, which begins at 00:00 UTC), a time
    /// (`2026-01-31T08:00:00Z`) or so long ago (`7d`). A sink that is known goes on where it was; an event type that it
    /// takes later begins with the events stored from then on.
    pub(super) start: Option<Start>,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            retention_days: 30,
            days: None,
            retention: BTreeMap::new(),
            db_path: "./data/data2.db".to_owned(),
            echo: None,
            durability: Durability::Full,
            owed_max: Interval::from_secs(30 * DAY),
            dead_max: Interval::from_secs(30 * DAY),
            max_bytes: None,
            history: History::default(),
            url: None,
        }
    }
}

impl Default for History {
    fn default() -> Self {
        Self { age: Interval::from_secs(7 * DAY), size: Size(64 << 20) }
    }
}
