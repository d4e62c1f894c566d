//! The contract of a store: five small traits. A store keeps the numbered promises of ARCHITECTURE.md; nothing of any
//! database shows in here.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use inboxclaw_settings::pattern::by_type;
use jiff::Timestamp;

use crate::coalesce::{
    CoalesceRule, PendingChoice, PendingCount, PendingEnd, PendingEnded, PendingPage, PendingQuery, Promoted,
};
use crate::event::{Event, Seq};
use crate::owner::{Owner, OwnerId, OwnerKind, SpaceId};
pub use crate::page::{
    DeliveryPage, DeliveryQuery, DeliveryRow, EventRow, Find, Found, Page, ReadLimit, Truncation,
    TruncationCause,
};
use crate::selection::Selection;
use crate::sinks::{Expired, Intake, Lapse, SinkDebts};
use crate::state::{Entry, Snapshot, Version};
use crate::turn::{Age, FactsPatch, Outcome, RunFacts, Turn};

/// A whole store.
pub trait Store: State + Log + Housekeeping + Sinks + Coalescing {}

impl<T: State + Log + Housekeeping + Sinks + Coalescing> Store for T {}

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

    /// The owner's last turns that changed its state, newest first, older than `before`, with what they replaced. An
    /// empty answer means that nothing older is known.
    async fn history(
        &self,
        owner: OwnerId,
        before: Option<Version>,
        limit: HistoryLimit,
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
pub trait Housekeeping: Send + Sync {
    /// The id of an owner, registered with its connector type if it is new. The type of a known owner is
    /// brought up to date; its state stays.
    async fn register(&self, owner: &Owner, connector: &str) -> Result<OwnerId, StoreError>;

    /// Every owner ever registered, also those no longer configured, by kind and name.
    async fn owners(&self) -> Result<Vec<OwnerInfo>, StoreError>;

    /// How an owner runs.
    async fn facts(&self, owner: OwnerId) -> Result<RunFacts, StoreError>;

    /// Sets the rules for an owner's state, in place of those before. They are not stored: the configuration tells
    /// them anew at each start.
    async fn set_limits(&self, owner: OwnerId, policy: StateLimits) -> Result<(), StoreError>;

    /// Changes run facts outside a turn.
    async fn set_facts(&self, owner: OwnerId, patch: FactsPatch) -> Result<(), StoreError>;

    /// Claims an owner for `holder` for that long, by the store's clock; extends a claim of the same holder.
    /// `false` when somebody else holds it. Saves double work only: correctness never depends on it.
    async fn claim(&self, owner: OwnerId, holder: &str, lasts: Duration) -> Result<bool, StoreError>;

    /// How the store's clock stands. Notes where the wall clock is now.
    async fn clock(&self) -> Result<ClockState, StoreError>;

    /// Follows the wall clock although it is in doubt, because a person says that it is right.
    async fn accept_clock(&self) -> Result<ClockState, StoreError>;

    /// Removes some of what has expired or was dropped: entries, also by the rules and sweeps for their age, history
    /// beyond its bounds, spaces that nobody names. Small steps; `more` says whether another call would find
    /// something.
    async fn sweep(&self) -> Result<Swept, StoreError>;

    /// Removes some events that are past retention and that no sink owes any more; see [`Prune`]. Their identities stay.
    /// Small steps; `more` says whether another call would look at more.
    async fn prune(&self, prune: &Prune) -> Result<Pruned, StoreError>;

    /// Removes some of the oldest events while the store holds more than `max_bytes`: first those that nobody owes, however
    /// young they are, then those that somebody does, which [`lapses`](Sinks::lapses) tells of. At most `limit` in this step.
    async fn make_room(&self, max_bytes: u64, limit: usize) -> Result<Room, StoreError>;

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
    /// How its clock stands, where it has one.
    pub clock: Option<ClockState>,
}

/// What the sinks of the configuration take, and what they owe to their consumers.
#[async_trait]
pub trait Sinks: Send + Sync {
    /// Sets what a sink takes, in place of what it took before, and says where it began. A sink of which the store hears
    /// for the first time begins as [`Intake::start`] says. A type that it did not take before begins at the end of the
    /// log; one that it took earlier goes on from where it stood.
    async fn set_intake(&self, sink: OwnerId, intake: &Intake) -> Result<Selection, StoreError>;

    /// Says which sinks the configuration names. The store notes since when it does not name the others.
    async fn set_configured(&self, sinks: &[OwnerId]) -> Result<(), StoreError>;

    /// What each sink owes: every one with an intake, also those that the configuration does not name.
    async fn debts(&self) -> Result<Vec<SinkDebts>, StoreError>;

    /// Counts the events that have outlived their time to live unconfirmed since the last call, which is how they leave
    /// what a sink owes. Waiting deliveries of such events go, unless a consumer holds a lease on them.
    async fn expire(&self) -> Result<Vec<Expired>, StoreError>;

    /// Removes some dead letters that nobody retried or dropped for longer than `dead_max`, and counts them as dropped.
    /// Their events stay as long as retention keeps them. Small steps, of `limit` at most; `more` says whether another call
    /// may find something.
    async fn expire_dead(&self, dead_max: Duration, limit: usize) -> Result<ExpiredDead, StoreError>;

    /// What ever left the debts of sinks without their consumers' yes.
    async fn lapses(&self) -> Result<Vec<Lapse>, StoreError>;

    /// Notes that people were told of what was dropped, as [`lapses`](Self::lapses) gave it.
    async fn set_told(&self, lapse: &Lapse) -> Result<(), StoreError>;

    /// Ends what a sink owes that the configuration does not name. Where it stands stays known as long as its state.
    async fn release(&self, sink: OwnerId) -> Result<(), StoreError>;
}

/// Pending events, which [`State::commit`] collects by the rules of their source.
///
/// A commit first notes the id of each event as reported; an event that was reported before changes nothing. Else an
/// event for which there is a rule, and which names its entity, joins the pending event of its source and entity. One that
/// names no entity is stored at once.
#[async_trait]
pub trait Coalescing: Send + Sync {
    /// Sets the rules of a source, in place of those before. They are not stored: the configuration tells them anew at
    /// each start. What is pending stays so until its time, whatever the rules are by then.
    async fn set_coalescing(&self, source: OwnerId, rules: Vec<CoalesceRule>) -> Result<(), StoreError>;

    /// A page of pending events for people.
    async fn pending(&self, query: &PendingQuery) -> Result<PendingPage, StoreError>;

    /// How many events are pending, by source; sources without any are left out.
    async fn pending_counts(&self) -> Result<Vec<PendingCount>, StoreError>;

    /// Promotes up to `limit` pending events whose windows have ended, in the order of their ends.
    async fn promote(&self, limit: usize) -> Result<Promoted, StoreError>;

    /// Ends some of the chosen pending events after the number `after` (0 to begin). Small steps.
    async fn end_pending(
        &self,
        choice: &PendingChoice,
        end: PendingEnd,
        after: i64,
    ) -> Result<PendingEnded, StoreError>;

    /// Returns when a pending event is due, once that is before `before` (`None`: once there is any). It may be due later
    /// than that says, never earlier. May be dropped at any await.
    async fn pending_before(&self, before: Option<Timestamp>) -> Result<Timestamp, StoreError>;
}

/// How the store's clock stands beside the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockState {
    /// The time by which ages are judged: a draft's `now`.
    pub now: Timestamp,
    /// The wall clock, by which events are stamped.
    pub wall: Timestamp,
    /// Set while the wall clock is in doubt, because it stands more than a day ahead of the last time that is known:
    /// how long until it is followed all the same. Until then nothing is removed because of it.
    pub doubted: Option<Duration>,
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
pub struct StateLimits {
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

/// How much of a history to read. One turn is given if there is one, however large.
#[derive(Debug, Clone, Copy)]
pub struct HistoryLimit {
    /// Most turns.
    pub turns: usize,
    /// Most bytes of what they replaced, about.
    pub bytes: usize,
}

impl HistoryLimit {
    /// Up to so many turns of any size.
    pub const fn turns(turns: usize) -> Self {
        Self { turns, bytes: usize::MAX }
    }
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

/// What retention may remove. What the sinks owe, the store knows by their intakes, cursors and deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prune {
    /// Only events that were stored longer ago than this says of their type.
    pub keep: Retention,
    /// What a sink owes of an event stored longer ago than this keeps it no more. A sink that left the configuration
    /// longer ago keeps nothing.
    pub owed_max: Duration,
    /// Most events removed in this step.
    pub limit: usize,
}

/// How long events are kept that nobody owes any more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    /// By pattern: the exact type decides, else the longest prefix, else `*`. `None` is for ever.
    pub by_type: BTreeMap<String, Option<Duration>>,
    /// The types that no pattern matches.
    pub default: Option<Duration>,
}

impl Retention {
    /// So long, whatever the type.
    pub fn all(age: Duration) -> Self {
        Self { by_type: BTreeMap::new(), default: Some(age) }
    }

    /// How long events of this type are kept; `None` for ever.
    pub fn of(&self, event_type: &str) -> Option<Duration> {
        *by_type(&self.by_type, event_type).unwrap_or(&self.default)
    }

    /// Whether every event is kept for ever.
    pub fn is_endless(&self) -> bool {
        self.default.is_none() && self.by_type.values().all(Option::is_none)
    }
}

/// What retention removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Events.
    pub events: u64,
    /// Whether the pass over the log is not at its end yet.
    pub more: bool,
}

/// Dead letters that went because nobody acted on them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExpiredDead {
    /// How many.
    pub letters: u64,
    /// Whether there may be more.
    pub more: bool,
}

/// How full a store is, and what was removed to make room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// The bytes that the store holds, as before this step. What is free to be used again does not count.
    pub bytes: u64,
    /// Events removed.
    pub events: u64,
    /// Whether another call may find something.
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
    /// The owner's state would grow beyond a limit of its [`StateLimits`]. Nothing is stored.
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
    #[test]
    fn the_nearest_pattern_says_how_long_events_are_kept() {
        let day = |days: u64| Some(Duration::from_secs(days * 86_400));
        let by_type = [("a.*", day(2)), ("a.b.*", None), ("a.b.c", day(1)), ("x", day(9))];
        let by_type = by_type.map(|(pattern, age)| (pattern.to_owned(), age)).into();
        let retention = Retention { by_type, default: day(30) };
        for (event_type, age) in [
            ("a.b.c", day(1)),
            ("a.b.d", None),
            ("a.x", day(2)),
            ("a", day(30)),
            ("x", day(9)),
            ("x.y", day(30)),
        ] {
            assert_eq!(retention.of(event_type), age, "{event_type}");
        }
        assert!(!retention.is_endless() && Retention::default().is_endless());
    }
}
