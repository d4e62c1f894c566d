//! A store in memory, small and quick, that keeps the promises of the contract as the conformance suite checks them.
//!
//! It passes the core modules: [`turns`](crate::conformance::turns), [`state`](crate::conformance::state),
//! [`history`](crate::conformance::history), [`counts`](crate::conformance::counts),
//! [`log`](crate::conformance::log), [`sweeps`](crate::conformance::sweeps), [`clock`](crate::conformance::clock),
//! [`sinks`](crate::conformance::sinks), [`coalescing`](crate::conformance::coalescing) and
//! [`housekeeping`](crate::conformance::housekeeping). It leaves out the
//! modules of stores with [`Spaces`](inboxclaw_contract::Spaces): [`spaces`](crate::conformance::spaces),
//! [`swaps`](crate::conformance::swaps), [`building_spaces`](crate::conformance::building_spaces) and
//! [`owners`](crate::conformance::owners). A turn with a swap is
//! refused. It keeps nothing beyond its own life, so that durability is nothing to ask of it.

mod coalesce;
mod collected;
mod commit;
mod housekeeping;
mod log;
mod plan;
mod prune;
mod sinks;
mod state;
mod sweep;
mod time;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use inboxclaw_contract::coalesce::CoalesceRule;
use inboxclaw_contract::sinks::Lapse;
use inboxclaw_contract::store::{PastTurn, StateLimits, Truncation, TruncationCause};
use inboxclaw_contract::turn::{DeliveryState, RunFacts, Sweep, TurnId};
use inboxclaw_contract::{
    Clock, DeliveryOrigin, Entry, Event, Lane, Owner, OwnerId, Selection, Seq, StoreError, Version,
};
use jiff::Timestamp;
use tokio::sync::watch;

use collected::Collected;
use time::{Now, StoreTime};

/// A removal by age, and the key after which it goes on.
#[derive(PartialEq)]
struct AgeSweep {
    owner: OwnerId,
    sweep: Sweep,
    after: Option<String>,
}

impl AgeSweep {
    fn new(owner: OwnerId, sweep: Sweep) -> Self {
        Self { owner, sweep, after: None }
    }
}

/// A store in memory.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
    changes: watch::Sender<()>,
}

/// Everything that is stored.
#[derive(Default)]
struct Inner {
    time: StoreTime,
    /// By their number, which is the place in this list plus one.
    owners: Vec<Row>,
    /// How many turns were stored.
    turns: u64,
    events: BTreeMap<Seq, Event>,
    head: Seq,
    /// Every event type that the log ever held.
    types: BTreeSet<String>,
    /// What retention removed: place, type, and when it was stored.
    removed: Vec<(Seq, String, Timestamp)>,
    deliveries: BTreeMap<(OwnerId, Seq), OwedDelivery>,
    pending: BTreeMap<(OwnerId, String), Collected>,
    /// How many pending events there ever were.
    collected: i64,
    /// Removals by age that are not done yet.
    ages: VecDeque<AgeSweep>,
    lapses: BTreeMap<(OwnerId, String), Lapse>,
    /// Where the present pass of retention goes on.
    pruned_to: Seq,
}

/// An owner with all that it has.
struct Row {
    owner: Owner,
    connector: String,
    version: Version,
    cursor: Option<String>,
    entries: BTreeMap<String, Entry>,
    last_turn: Option<TurnId>,
    /// At which version the cursor changed, and each key, also those that are gone.
    cursor_changed: Version,
    changed: BTreeMap<String, Version>,
    /// A base before this version is too old to say what changed since.
    known_from: Version,
    history: Vec<PastTurn>,
    /// The ids of the events that it ever reported.
    reported: BTreeSet<String>,
    facts: RunFacts,
    claim: Option<(String, Timestamp)>,
    policy: StateLimits,
    /// The rules by which its events are joined.
    rules: Arc<[CoalesceRule]>,
    /// When the rules were last applied.
    rules_at: Option<Timestamp>,
    /// What a sink takes, from where it began.
    intake: Option<Selection>,
    left_at: Option<Timestamp>,
    /// Events that outlived their time to live at this sink and are counted.
    expired: BTreeSet<Seq>,
}

/// An event that a sink owes out of order.
struct OwedDelivery {
    state: DeliveryState,
    due: Timestamp,
    attempts: u32,
    error: Option<String>,
    tried_at: Option<Timestamp>,
    origin: DeliveryOrigin,
}

impl OwedDelivery {
    /// Another attempt at once.
    fn retry(&mut self, now: Timestamp) {
        if self.state == DeliveryState::Dead {
            (self.state, self.attempts, self.tried_at) = (DeliveryState::Waiting, 0, None);
            if self.origin == DeliveryOrigin::Log {
                self.origin = DeliveryOrigin::Retry;
            }
        }
        self.due = now;
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, inner: Mutex::default(), changes: watch::channel(()).0 }
    }

    /// All events of the log.
    pub fn logged(&self) -> Vec<Event> {
        self.read(|inner, _| inner.events.values().cloned().collect())
    }

    /// How many turns were stored.
    pub fn turns(&self) -> u64 {
        self.read(|inner, _| inner.turns)
    }

    /// Looks at what is stored.
    fn read<T>(&self, look: impl FnOnce(&Inner, Now) -> T) -> T {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let now = inner.time.look(&*self.clock, false);
        look(&inner, now)
    }

    /// Changes what is stored.
    fn write<T>(&self, change: impl FnOnce(&mut Inner, Now) -> T) -> T {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let now = inner.time.look(&*self.clock, false);
        change(&mut inner, now)
    }

    /// Waits until there is something to find.
    async fn once<T>(
        &self,
        find: impl Fn(&Inner) -> Result<Option<T>, StoreError> + Send,
    ) -> Result<T, StoreError> {
        let mut changes = self.changes.subscribe();
        loop {
            if let Some(found) = self.read(|inner, _| find(inner))? {
                return Ok(found);
            }
            // The sender lives as long as this store.
            let _ = changes.changed().await;
        }
    }
}

impl Inner {
    fn row(&self, id: OwnerId) -> Result<&Row, StoreError> {
        place(id).and_then(|place| self.owners.get(place)).ok_or(StoreError::NoOwner(id))
    }

    fn row_mut(&mut self, id: OwnerId) -> Result<&mut Row, StoreError> {
        place(id).and_then(|place| self.owners.get_mut(place)).ok_or(StoreError::NoOwner(id))
    }

    /// The owners with their numbers.
    fn rows(&self) -> impl Iterator<Item = (OwnerId, &Row)> {
        (1..).map(OwnerId).zip(&self.owners)
    }

    /// The furthest removal of what a reader wants, or a position that is none of this log.
    fn missed(
        &self,
        lane: impl Fn(&str) -> Option<Lane>,
        positions: impl IntoIterator<Item = Seq>,
    ) -> Option<Truncation> {
        let wanted = self
            .removed
            .iter()
            .filter(|(seq, event_type, at)| lane(event_type).is_some_and(|lane| is_in(lane, *seq, *at)));
        let removed = wanted.map(|(seq, ..)| (*seq, TruncationCause::Retention));
        let oldest = self.events.keys().next().map_or(self.head, |oldest| Seq(oldest.0 - 1));
        let beyond = positions.into_iter().filter(|position| *position > self.head);
        let beyond = beyond.map(|_| (oldest, TruncationCause::Restore));
        let furthest = removed.chain(beyond).max_by_key(|(up_to, _)| *up_to);
        furthest.map(|(up_to, cause)| Truncation { up_to, cause })
    }
}

impl Row {
    fn new(owner: Owner) -> Self {
        Self {
            owner,
            connector: String::new(),
            version: Version(0),
            cursor: None,
            entries: BTreeMap::new(),
            last_turn: None,
            cursor_changed: Version(0),
            changed: BTreeMap::new(),
            known_from: Version(0),
            history: Vec::new(),
            reported: BTreeSet::new(),
            facts: RunFacts::default(),
            claim: None,
            policy: StateLimits::default(),
            rules: Arc::from([]),
            rules_at: None,
            intake: None,
            left_at: None,
            expired: BTreeSet::new(),
        }
    }

    /// The entry under a key unless it has expired.
    fn live(&self, key: &str, now: Timestamp) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| is_live(entry, now))
    }

    /// How many entries there are and their bytes, also those that have expired and are not swept yet.
    fn counts(&self) -> (u64, u64) {
        (self.entries.len() as u64, self.entries.values().map(size).sum())
    }
}

fn place(id: OwnerId) -> Option<usize> {
    usize::try_from(id.0.checked_sub(1)?).ok()
}

fn is_live(entry: &Entry, now: Timestamp) -> bool {
    entry.expires_at.is_none_or(|at| at > now)
}

/// Whether a reader wants an event of this lane's type.
fn is_in(lane: Lane, seq: Seq, created_at: Timestamp) -> bool {
    seq > lane.after && lane.created_after.is_none_or(|limit| created_at > limit)
}

/// The bytes of an entry that count.
fn size(entry: &Entry) -> u64 {
    (entry.key.len() + entry.value.len()) as u64
}

/// As many of the first ones as fit into these bytes, but one at least.
fn within<T>(all: impl IntoIterator<Item = T>, most: usize, bytes: impl Fn(&T) -> usize) -> Vec<T> {
    let mut sum = 0_usize;
    let fits = |(place, one): &(usize, T)| {
        sum = sum.saturating_add(bytes(one));
        *place == 0 || sum <= most
    };
    all.into_iter().enumerate().take_while(fits).map(|(_, one)| one).collect()
}
