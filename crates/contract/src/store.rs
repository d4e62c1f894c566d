//! The contract of a store: three small traits. A store keeps the numbered promises of ARCHITECTURE.md;
//! nothing of any database shows in here.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::event::{Event, Seq};
use crate::owner::{Owner, OwnerId, OwnerKind};
use crate::selection::Selection;
use crate::space::SpaceId;
use crate::state::{Entry, Snapshot, Version};
use crate::turn::{Age, DeliveryState, FactsPatch, Outcome, RunFacts, Turn};

/// A whole store.
pub trait Store: State + Log + Keeper {}

impl<T: State + Log + Keeper> Store for T {}

/// The private states of owners, and the one way to write: [`commit`](Self::commit).
#[async_trait]
pub trait State: Send + Sync {
    /// What a draft of `owner` starts from.
    async fn snapshot(&self, owner: OwnerId) -> Result<Snapshot, StoreError>;

    /// The entries under `keys`, in the order asked; `None` for absent and expired ones.
    async fn entries(&self, owner: OwnerId, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError>;

    /// Up to `limit` live entries under a literal, case-sensitive prefix, in the order of their keys' bytes,
    /// after the key `after`. Resume with the last key of the answer.
    async fn list(
        &self,
        owner: OwnerId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError>;

    /// Up to `limit` keys of live entries under a prefix, as [`list`](Self::list) would give them, without their
    /// values.
    async fn keys(
        &self,
        owner: OwnerId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let entries = self.list(owner, prefix, after, limit).await?;
        Ok(entries.into_iter().map(|entry| entry.key).collect())
    }

    /// Stores a turn, all or nothing. `Committed` means durable and visible to every later read;
    /// `Conflict` that nothing of it is stored. A repeated commit of the owner's last turn id answers
    /// `Committed` and stores nothing.
    ///
    /// # Errors
    /// [`StoreError::Full`]: nothing is stored, try later. [`StoreError::Refused`]: nothing is stored, and never will be.
    /// [`StoreError::OverLimit`]: nothing is stored until the state is smaller.
    /// Anything else: the store is no longer usable, and the turn may or may not be durable.
    async fn commit(&self, turn: Turn) -> Result<Outcome, StoreError>;

    /// The owner's last turns that changed its state, newest first, older than `before`, with what they replaced: up
    /// to `limit` turns and about `bytes` of what they replaced, but one if there is one. An empty answer means that
    /// nothing older is known.
    async fn history(
        &self,
        owner: OwnerId,
        before: Option<Version>,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<PastTurn>, StoreError>;

    /// Returns the owner's version once it is beyond `after`. May be dropped at any await.
    async fn changed(&self, owner: OwnerId, after: Version) -> Result<Version, StoreError>;
}

/// The log of events.
#[async_trait]
pub trait Log: Send + Sync {
    /// The first events of a selection, in the order of seq, as of one instant.
    async fn read(&self, selection: &Selection, limit: ReadLimit) -> Result<Page, StoreError>;

    /// The page that [`read`](Self::read) would give, without the bodies of its events.
    async fn rows(&self, selection: &Selection, limit: ReadLimit) -> Result<Page<EventRow>, StoreError>;

    /// What `sink` owes out of order, in the order of seq and without the bodies of the events, which
    /// [`events`](Self::events) gives. Only deliveries whose event is still in the log.
    async fn deliveries(&self, sink: OwnerId, query: DeliveryQuery) -> Result<DeliveryPage, StoreError>;

    /// One event; `None` when there is none (any more).
    async fn event(&self, seq: Seq) -> Result<Option<Event>, StoreError>;

    /// The events of these seqs, in the order asked, as of one instant. It ends before more than `bytes` of data and
    /// meta, but gives one event if there is one; those that are gone are left out.
    async fn events(&self, seqs: &[Seq], bytes: usize) -> Result<Vec<Event>, StoreError>;

    /// A page of events for people, newest first, with the number of all that match.
    async fn find(&self, find: &Find) -> Result<Found, StoreError>;

    /// Returns the log's last seq once it is beyond `after`. May be dropped at any await.
    async fn grown(&self, after: Seq) -> Result<Seq, StoreError>;

    /// The log's last seq, 0 before the first event.
    async fn head(&self) -> Result<Seq, StoreError>;
}

/// Housekeeping: owners, run facts, claims, and the removal of what nobody needs.
#[async_trait]
pub trait Keeper: Send + Sync {
    /// The id of an owner, registered with its connector type if it is new. The type of a known owner is
    /// brought up to date; its state stays.
    async fn register(&self, owner: &Owner, connector: &str) -> Result<OwnerId, StoreError>;

    /// Every owner ever registered, also those no longer configured, by kind and name.
    async fn owners(&self) -> Result<Vec<OwnerInfo>, StoreError>;

    /// How an owner runs.
    async fn facts(&self, owner: OwnerId) -> Result<RunFacts, StoreError>;

    /// Sets the rules for an owner's state, in place of those before. They are not stored: the configuration tells
    /// them anew at each start.
    async fn govern(&self, owner: OwnerId, policy: Policy) -> Result<(), StoreError>;

    /// Changes run facts outside a turn.
    async fn set_facts(&self, owner: OwnerId, patch: FactsPatch) -> Result<(), StoreError>;

    /// Claims an owner for `holder` for that long, by the store's clock; extends a claim of the same holder.
    /// `false` when somebody else holds it. Saves double work only: correctness never depends on it.
    async fn claim(&self, owner: OwnerId, holder: &str, lasts: Duration) -> Result<bool, StoreError>;

    /// Removes some of what has expired or was dropped: entries, also by the rules and sweeps for their age, history
    /// beyond its bounds, spaces that nobody names. Small steps; `more` says whether another call would find
    /// something.
    async fn sweep(&self) -> Result<Swept, StoreError>;

    /// Removes up to `limit` events that are past retention and that nobody owes. Their identities stay.
    async fn prune(&self, prune: &Prune) -> Result<Pruned, StoreError>;

    /// How the store is, as it noticed by itself. Cheap, and asks nobody.
    fn condition(&self) -> Condition {
        Condition::default()
    }
}

/// How a store is.
#[derive(Debug, Clone, Default)]
pub struct Condition {
    /// Bytes that are stored and not yet in their place. They go there when nobody reads what was before.
    pub log_bytes: u64,
    /// What went wrong, whoever asked: damage since it was found, another failed read for some minutes.
    pub trouble: Option<StoreError>,
}

/// How much a read may return. At least one event is returned if there is one, however large.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimit {
    /// Most events.
    pub events: usize,
    /// Most bytes of data and meta together.
    pub bytes: usize,
    /// Whether to count what the selection holds beyond the page.
    pub count: bool,
}

/// A page of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T = Event> {
    /// The events, in the order of seq.
    pub events: Vec<T>,
    /// How many more the selection holds; 0 unless asked for.
    pub remaining: u64,
    /// Whether the page holds all of the selection. Then a reader that follows the log may move on to `head`.
    pub complete: bool,
    /// The log's last seq at the instant of the read.
    pub head: Seq,
    /// Set when a reader at the positions of the selection has missed something that it wants.
    pub truncation: Option<Truncation>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        let (events, head) = (Vec::new(), Seq::default());
        Self { events, remaining: 0, complete: false, head, truncation: None }
    }
}

/// What is known of an event without reading its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Its place in the log.
    pub seq: Seq,
    /// Its type.
    pub event_type: String,
    /// What it is about.
    pub entity_id: Option<String>,
    /// The bytes of its data and meta.
    pub bytes: usize,
}

/// What a reader has missed. Whatever it wants after [`up_to`](Self::up_to) can still be read, all of it; what it
/// wants up to there, only in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncation {
    /// The last place that concerns what is missing.
    pub up_to: Seq,
    /// Why it is missing.
    pub cause: TruncationCause,
}

/// Why a reader cannot read all that it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TruncationCause {
    /// Retention has removed an event after the reader's position, of a type that it wants and within its time to
    /// live. Retention of other types truncates nobody.
    Retention,
    /// The position is none of this log: it lies in the gap that a restore left in the numbers, or beyond the end. The
    /// reader has seen events that the present log does not hold, and may have missed others.
    Restore,
}

/// Which deliveries of a sink to read.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryQuery {
    /// Only those that wait and are due at the store's now; else also those due later, and dead ones.
    pub due: bool,
    /// Most rows.
    pub rows: usize,
    /// Most bytes of the texts in the rows together; one row is given even when it is larger.
    pub bytes: usize,
}

impl DeliveryQuery {
    /// Up to so many rows of what is owed, whether it is due or not.
    pub fn all(rows: usize) -> Self {
        Self { due: false, rows, bytes: usize::MAX }
    }

    /// Up to so many rows of what is due.
    pub fn due(rows: usize) -> Self {
        Self { due: true, rows, bytes: usize::MAX }
    }
}

/// Deliveries of a sink.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryPage {
    /// The deliveries, in the order of seq.
    pub deliveries: Vec<Delivery>,
    /// Whether these are all that were asked for.
    pub complete: bool,
}

/// An event that a sink owes out of order: what is known of it without reading its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The event's place in the log.
    pub seq: Seq,
    /// The source that reported it.
    pub source: OwnerId,
    /// Its type.
    pub event_type: String,
    /// What it is about.
    pub entity_id: Option<String>,
    /// When it was stored.
    pub created_at: Timestamp,
    /// The bytes of its data and meta.
    pub bytes: usize,
    /// Whether it is still to be tried.
    pub state: DeliveryState,
    /// Not to be handed out before.
    pub due: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last try failed.
    pub error: Option<String>,
}

impl Delivery {
    /// The bytes of its texts.
    pub fn size(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        self.event_type.len() + text(&self.entity_id) + text(&self.error)
    }
}

/// What people look for in the log. By default no events at all, of any size.
#[derive(Debug, Clone)]
pub struct Find {
    /// Only these.
    pub seqs: Option<Vec<Seq>>,
    /// Only this type, exactly.
    pub event_type: Option<String>,
    /// Only of this source, by name.
    pub source: Option<String>,
    /// Only events after this place.
    pub after: Option<Seq>,
    /// Most events.
    pub limit: usize,
    /// Skip so many.
    pub offset: usize,
    /// Most bytes of data and meta; one event is given even when it is larger. What is left of the page is named in
    /// [`Found::rest`].
    pub bytes: usize,
}

impl Default for Find {
    fn default() -> Self {
        Self {
            seqs: None,
            event_type: None,
            source: None,
            after: None,
            limit: 0,
            offset: 0,
            bytes: usize::MAX,
        }
    }
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The page, as far as the bytes allow.
    pub events: Vec<Event>,
    /// The rest of the page, in order.
    pub rest: Vec<Seq>,
    /// How many match, before paging.
    pub total: u64,
    /// Set when a reader at [`Find::after`] has missed something of that type, of whatever source.
    pub truncation: Option<Truncation>,
}

/// An owner as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerInfo {
    /// Its number.
    pub id: OwnerId,
    /// Source or sink.
    pub kind: OwnerKind,
    /// Its name.
    pub name: String,
    /// Its connector type.
    pub connector: String,
    /// Its version.
    pub version: Version,
    /// Its cursor.
    pub cursor: Option<String>,
    /// How many entries it has, with those that have expired and are not swept yet.
    pub entries: u64,
    /// The bytes of their keys and values.
    pub bytes: u64,
}

/// The rules for an owner's state. By default there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Entries that go at a certain age. Sweeps see to it; for an exact instant there is [`Expiry`](crate::Expiry).
    pub expire: Vec<Expire>,
    /// Most entries: a turn that would make them more is refused.
    pub max_entries: Option<u64>,
    /// Most bytes of keys and values: a turn that would make them more is refused.
    pub max_bytes: Option<u64>,
}

/// From this part of a limit on, in percent, people are told.
pub const NEAR: u64 = 80;

/// How much of a limit is used, in percent, rounded down; `None` without a limit.
pub fn share(used: u64, limit: Option<u64>) -> Option<u64> {
    let percent = (u128::from(used) * 100).checked_div(u128::from(limit?)).unwrap_or(100);
    Some(u64::try_from(percent).unwrap_or(u64::MAX))
}

/// A rule by which entries go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expire {
    /// A literal prefix.
    pub prefix: String,
    /// The age.
    pub after: Duration,
    /// From when the age counts.
    pub by: Age,
}

/// A turn in an owner's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastTurn {
    /// The version that it made.
    pub version: Version,
    /// When, by the store's clock.
    pub at: Timestamp,
    /// Who, when a person did it.
    pub author: Option<String>,
    /// The cursor before, if the turn changed it.
    pub cursor: Option<Option<String>>,
    /// The changed entries as they were before, by key.
    pub entries: Vec<(String, Before)>,
    /// The turn replaced more than history keeps of one turn: only the fact that it happened is known.
    pub marker: bool,
    /// The space that the turn replaced: `cursor` and `entries` tell the rest of what it did.
    pub replaced: Option<SpaceId>,
    /// The version whose change this turn took back.
    pub undoes: Option<Version>,
}

/// What was under a key before a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Absent,
    /// This entry.
    Entry(Entry),
    /// A secret, which history does not keep.
    Secret,
}

/// What a sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Entries: expired, too old, or of a space that nobody names.
    pub entries: u64,
    /// History rows.
    pub history: u64,
    /// Whether there is more to do.
    pub more: bool,
}

/// What retention may remove.
#[derive(Debug, Clone)]
pub struct Prune {
    /// Only events stored longer ago than this.
    pub older_than: Duration,
    /// What the sinks owe: events that one of the selections still wants stay.
    pub owed: Vec<Selection>,
    /// The sinks whose out-of-order deliveries keep an event.
    pub sinks: Vec<OwnerId>,
    /// Most events in this step.
    pub limit: usize,
}

/// What retention removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Events.
    pub events: u64,
    /// Whether there is more to do.
    pub more: bool,
}

/// Why a store could not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No room to write, or another program holds the store for long. Nothing of the request is stored; reads go
    /// on; it may work later.
    #[error("cannot write for now: {0}")]
    Full(String),
    /// The request is beyond a limit or otherwise not acceptable. Nothing is stored.
    #[error("{0}")]
    Refused(String),
    /// The owner's state would grow beyond a limit of its [`Policy`]. Nothing is stored.
    #[error("{0}")]
    OverLimit(String),
    /// There is no owner of that number.
    #[error("there is no owner {0:?}")]
    NoOwner(OwnerId),
    /// The data is damaged. Nothing is written any more where that could make it worse; what is whole can be read.
    #[error(
        "the database is damaged: {0}; stop the program and restore a backup with `inboxclaw store restore FILE`"
    )]
    Damaged(String),
    /// A read failed; the store may still be usable.
    #[error("cannot read the store: {0}")]
    Read(String),
    /// A write failed for another reason than room, or the data is damaged. The store refuses everything
    /// from now on: stop, and say so.
    #[error("the store failed: {0}")]
    Broken(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_limits_round_down_and_never_divide_by_zero() {
        for (used, limit, percent) in
            [(0, Some(10), Some(0)), (799, Some(1000), Some(79)), (3, Some(0), Some(100)), (3, None, None)]
        {
            assert_eq!(share(used, limit), percent);
        }
    }
}
