//! A turn: everything that one poll, one confirmation or one edit by a person wants stored, as plain data.
//! How it comes about is in `draft.rs`; how it is stored is in `store.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::delivery::DeliveryOrigin;
use crate::event::{NewEvent, Seq};
use crate::json::Json;
use crate::owner::{OwnerId, SpaceId};
use crate::state::{Entry, Expiry, Version};

/// Names one attempt to commit, so that a repeated request after a lost answer is not a second turn. Random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TurnId(pub u128);

/// A turn, ready to commit: all or nothing.
///
/// Within a turn the swap happens first, then the deletions by prefix, then the changes of single keys; the sweeps
/// follow after it.
#[derive(Debug, Clone)]
pub struct Turn {
    /// Names this attempt.
    pub turn_id: TurnId,
    /// Whose turn it is.
    pub owner: OwnerId,
    /// The version that the reads started from.
    pub base: Version,
    /// What was read: if any of it changed after `base`, the turn conflicts.
    pub reads: Reads,
    /// Preconditions on revisions; `None` means that the key must be absent.
    pub checks: Vec<(String, Option<Version>)>,
    /// The new cursor, if it changes; `Some(None)` clears it.
    pub cursor: Option<Option<String>>,
    /// Prefixes whose entries go.
    pub deleted_prefixes: Vec<String>,
    /// Changes of single keys.
    pub entries: BTreeMap<String, EntryChange>,
    /// Events in the order in which they get their seq.
    pub events: Vec<NewEvent>,
    /// What the owner, a sink, owes out of order from now on or no longer.
    pub deliveries: Vec<DeliveryChange>,
    /// Run facts that become true with this turn, of this owner or of another.
    pub facts: Vec<(OwnerId, FactsPatch)>,
    /// Entries that are to go because of their age, in steps after the turn.
    pub sweeps: Vec<Sweep>,
    /// Another space in place of the owner's, before everything else in this turn. Then all of the state counts as
    /// read: the turn conflicts unless the owner's version is still `base`.
    pub swap: Option<Swap>,
    /// Who edits, when a person does. Then a change of an expiry alone is a change like any other: it makes a version
    /// and a new revision, and history keeps the entry as it was.
    pub author: Option<String>,
    /// The version whose change this turn takes back, for [`PastTurn::undoes`](crate::store::PastTurn::undoes).
    pub undoes: Option<Version>,
}

impl Turn {
    /// An empty turn of `owner`.
    pub fn new(turn_id: TurnId, owner: OwnerId, base: Version) -> Self {
        Self {
            turn_id,
            owner,
            base,
            reads: Reads::default(),
            checks: Vec::new(),
            cursor: None,
            deleted_prefixes: Vec::new(),
            entries: BTreeMap::new(),
            events: Vec::new(),
            deliveries: Vec::new(),
            facts: Vec::new(),
            sweeps: Vec::new(),
            swap: None,
            author: None,
            undoes: None,
        }
    }

    /// Whether committing it would store nothing. An empty turn commits without a write.
    pub fn is_empty(&self) -> bool {
        self.checks.is_empty()
            && self.cursor.is_none()
            && self.deleted_prefixes.is_empty()
            && self.entries.is_empty()
            && self.events.is_empty()
            && self.deliveries.is_empty()
            && self.facts.is_empty()
            && self.sweeps.is_empty()
            && self.swap.is_none()
    }
}

/// Puts another space in the place of an owner's. The replaced one stays as long as history names it, without
/// secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swap {
    /// The space to put in place: one built for this owner, or one that its history names.
    pub space: SpaceId,
    /// Whether the secrets of the present space move into the new one. Secrets that the new one has under other keys
    /// go in any case unless it was just built.
    pub keep_secrets: bool,
}

/// Removes entries of a certain age. Like an expiry it changes no version and writes no history; it happens in steps
/// after the turn, so as not to hold up others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// A literal prefix.
    pub prefix: String,
    /// Which of the entry's times counts.
    pub by: Age,
    /// Entries whose time is before this go.
    pub before: Timestamp,
}

/// From when the age of an entry counts.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Age {
    /// From when the key was first put.
    Created,
    /// From when its value last changed.
    #[default]
    Updated,
}

impl Sweep {
    /// Whether an entry is to go.
    pub fn takes(&self, key: &str, created_at: Timestamp, updated_at: Timestamp) -> bool {
        let time = match self.by {
            Age::Created => created_at,
            Age::Updated => updated_at,
        };
        key.starts_with(&self.prefix) && time < self.before
    }
}

/// What a turn read of its owner's state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// Keys.
    pub keys: BTreeSet<String>,
    /// Listed prefixes.
    pub prefixes: BTreeSet<String>,
    /// The cursor.
    pub cursor: bool,
}

/// What happens to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryChange {
    /// The key gets this value.
    Put {
        /// The value.
        value: Json,
        /// When it expires.
        expiry: Expiry,
        /// Whether people see it masked.
        secret: bool,
    },
    /// The value stays, the expiry changes: without a version, unless a person does it
    /// ([`Turn::author`]). Nothing happens when the key is absent.
    Touch {
        /// When it expires.
        expiry: Expiry,
    },
    /// The entry comes back as it was, with its times and its expiry, under a new revision. What has expired since
    /// does not come back: then the key goes. Whether it is the same as what is there is a matter of value and
    /// secrecy, as with `Put`.
    Restore(Entry),
    /// The key goes.
    Delete,
}

/// A change of what a sink owes out of order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryChange {
    /// The event is owed: written, or written over.
    Owe {
        /// The event.
        seq: Seq,
        /// Its entity, so that events of one entity keep their order.
        entity: Option<String>,
        /// Whether it is still to be tried.
        state: DeliveryState,
        /// Not to be handed out before.
        due: Timestamp,
        /// How often it was tried.
        attempts: u32,
        /// Why the last try failed.
        error: Option<String>,
        /// When its first try had ended, if it was tried.
        tried_at: Option<Timestamp>,
        /// How it comes that it is delivered.
        origin: DeliveryOrigin,
    },
    /// The event is no longer owed.
    Done {
        /// The event.
        seq: Seq,
    },
    /// A person asks for another attempt at once. A dead letter waits again, with all its attempts, and out of order; what
    /// waits is due now. Nothing happens when the event is not owed by then.
    Retry {
        /// The event.
        seq: Seq,
    },
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// To be handed out when due.
    Waiting,
    /// A dead letter: the sink will never take it, or failed to for too long. Its `due` is when it became one. Kept until a
    /// person retries or drops it, or nobody does for too long
    /// ([`Sinks::expire_dead`](crate::store::Sinks::expire_dead)).
    Dead,
}

impl DeliveryState {
    /// The word for it in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Dead => "dead",
        }
    }
}

/// What became of a turn. A lost race is an answer, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is durable.
    Committed(Committed),
    /// None of it is stored: something it depends on changed. Read again and start over.
    Conflict(Conflict),
}

/// A turn that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The owner's version afterwards.
    pub version: Version,
    /// How many events the log got. 0 for a repeated commit of the same turn id.
    pub stored: u64,
    /// How many events were new and are pending, or became part of a pending event; see
    /// [`Coalescing`](crate::Coalescing). When a later one promotes that in the same turn, it counts as stored as well.
    pub pending: u64,
    /// How many events the source had reported before; they were not stored again.
    pub known: u64,
}

/// Why a turn was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// A key that the turn read or writes changed after its base.
    #[error("the key {0:?} changed meanwhile")]
    Key(String),
    /// A key under a prefix that the turn listed or deletes changed after its base.
    #[error("the key {key:?} under the prefix {prefix:?} changed meanwhile")]
    Prefix {
        /// What the turn listed.
        prefix: String,
        /// What changed.
        key: String,
    },
    /// The cursor changed after the turn's base.
    #[error("the cursor changed meanwhile")]
    Cursor,
    /// The changes since the base are no longer known.
    #[error("the state changed meanwhile")]
    Unknown,
    /// A precondition does not hold.
    #[error("the key {key:?} has revision {found:?}, not {wanted:?}")]
    Check {
        /// The key.
        key: String,
        /// What the turn wants; `None` for absent.
        wanted: Option<Version>,
        /// What is there.
        found: Option<Version>,
    },
}

/// Facts about how an owner runs. They are no state: they change no version, no history and no export.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFacts {
    /// Failures in a row.
    pub failures: u32,
    /// Not before this time, as the other side asked in a failure.
    pub next_at: Option<Timestamp>,
    /// A person stopped it.
    pub paused: bool,
    /// The health that was last announced by an event: `healthy` or `unhealthy`.
    pub announced: Option<String>,
    /// When a sink's consumer last took or confirmed something.
    pub seen_at: Option<Timestamp>,
}

/// A change of run facts: fields that are `None` stay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FactsPatch {
    /// See [`RunFacts::failures`].
    pub failures: Option<u32>,
    /// See [`RunFacts::next_at`]; `Some(Duration::ZERO)` clears it, else it is set that long after the store's now.
    pub next_in: Option<Duration>,
    /// See [`RunFacts::paused`].
    pub paused: Option<bool>,
    /// See [`RunFacts::announced`].
    pub announced: Option<String>,
    /// Sets [`RunFacts::seen_at`] to the store's now.
    pub seen: bool,
}
