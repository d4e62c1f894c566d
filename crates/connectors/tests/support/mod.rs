//! What the tests of connectors share: a state in memory with a clock that is set by hand, and one turn around a
//! poll or a delivery. Left out: several owners, history and watching.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use inboxclaw_connectors::google::limiter::InTurn;
use inboxclaw_contract::store::{HistoryLimit, PastTurn};
use inboxclaw_contract::turn::{Committed, Conflict, EntryChange, TurnId};
use inboxclaw_contract::{
    Clock, Delivery, Entry, Event, Failure, NewEvent, Next, OpenTurn, Outcome, Outside, OwnerId, Random,
    Receipt, Settled, Shared, Sink, Snapshot, Source, State, StoreError, Turn, Version,
};
use jiff::Timestamp;

/// The owner of the state.
pub const OWNER: OwnerId = OwnerId(1);

/// The state of one owner.
pub struct Memory {
    inner: Mutex<Inner>,
}

struct Inner {
    now: Timestamp,
    version: Version,
    cursor: Option<String>,
    cursor_changed: Version,
    entries: BTreeMap<String, Entry>,
    changed: BTreeMap<String, Version>,
    last_turn: Option<TurnId>,
    ids: HashSet<String>,
    events: Vec<NewEvent>,
    writes: u64,
}

impl Memory {
    /// An empty state at noon of 2026-11-22.
    pub fn new() -> Self {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let inner = Inner {
            now,
            version: Version(0),
            cursor: None,
            cursor_changed: Version(0),
            entries: BTreeMap::new(),
            changed: BTreeMap::new(),
            last_turn: None,
            ids: HashSet::new(),
            events: Vec::new(),
            writes: 0,
        };
        Self { inner: Mutex::new(inner) }
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let mut inner = self.lock();
        inner.now = inner.now.checked_add(by).unwrap();
        let now = inner.now;
        inner.entries.retain(|_, entry| entry.expires_at.is_none_or(|at| at > now));
    }

    /// The cursor.
    pub fn cursor(&self) -> Option<String> {
        self.lock().cursor.clone()
    }

    /// The live keys with their values.
    pub fn values(&self) -> BTreeMap<String, String> {
        let inner = self.lock();
        inner.entries.values().map(|entry| (entry.key.clone(), entry.value.as_str().to_owned())).collect()
    }

    /// The live entries.
    pub fn entries_now(&self) -> Vec<Entry> {
        self.lock().entries.values().cloned().collect()
    }

    /// All stored events.
    pub fn events(&self) -> Vec<NewEvent> {
        self.lock().events.clone()
    }

    /// How many turns wrote something.
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// Cursor and entries as they are, for [`rewind`](Self::rewind).
    pub fn saved(&self) -> (Option<String>, BTreeMap<String, Entry>) {
        let inner = self.lock();
        (inner.cursor.clone(), inner.entries.clone())
    }

    /// Puts cursor and entries back; events and their identities stay, as in a store.
    pub fn rewind(&self, (cursor, entries): (Option<String>, BTreeMap<String, Entry>)) {
        let mut inner = self.lock();
        inner.cursor = cursor;
        inner.entries = entries;
        inner.version.0 += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }
}

#[async_trait]
impl State for Memory {
    async fn snapshot(&self, _: OwnerId) -> Result<Snapshot, StoreError> {
        let inner = self.lock();
        Ok(Snapshot { version: inner.version, cursor: inner.cursor.clone(), now: inner.now })
    }

    async fn entries(&self, _: OwnerId, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        let inner = self.lock();
        Ok(keys.iter().map(|key| inner.entries.get(key).cloned()).collect())
    }

    async fn list(
        &self,
        _: OwnerId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let inner = self.lock();
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let listed = inner.entries.range::<str, _>((from, Bound::Unbounded));
        let listed = listed.take_while(|(key, _)| key.starts_with(prefix)).take(limit);
        Ok(listed.map(|(_, entry)| entry.clone()).collect())
    }

    async fn commit(&self, turn: Turn) -> Result<Outcome, StoreError> {
        Ok(self.lock().commit(turn))
    }

    async fn history(
        &self,
        _: OwnerId,
        _: Option<Version>,
        _: HistoryLimit,
    ) -> Result<Vec<PastTurn>, StoreError> {
        Ok(Vec::new())
    }

    async fn changed(&self, _: OwnerId, _: Version) -> Result<Version, StoreError> {
        std::future::pending().await
    }
}

impl Inner {
    fn commit(&mut self, turn: Turn) -> Outcome {
        let nothing = Committed { version: self.version, stored: 0, known: 0 };
        if turn.is_empty() || self.last_turn == Some(turn.turn_id) {
            return Outcome::Committed(nothing);
        }
        if let Some(conflict) = self.conflict(&turn) {
            return Outcome::Conflict(conflict);
        }
        self.last_turn = Some(turn.turn_id);
        self.writes += 1;
        let next = Version(self.version.0 + 1);
        let mut changed = false;
        for prefix in &turn.deleted_prefixes {
            let gone: Vec<String> =
                self.entries.keys().filter(|key| key.starts_with(prefix)).cloned().collect();
            changed |= gone.into_iter().filter(|key| self.delete(key, next)).count() > 0;
        }
        for (key, change) in turn.entries {
            changed |= match change {
                EntryChange::Delete => self.delete(&key, next),
                change => self.put(key, change, next),
            };
        }
        // A store does it a little later, in steps.
        for sweep in &turn.sweeps {
            self.entries.retain(|key, entry| !sweep.takes(key, entry.created_at, entry.updated_at));
        }
        if let Some(cursor) = turn.cursor.filter(|cursor| *cursor != self.cursor) {
            self.cursor = cursor;
            self.cursor_changed = next;
            changed = true;
        }
        if changed {
            self.version = next;
        }
        let (mut stored, mut known) = (0, 0);
        for event in turn.events {
            let is_new = self.ids.insert(event.event_id.clone());
            *if is_new { &mut stored } else { &mut known } += 1;
            if is_new {
                self.events.push(event);
            }
        }
        Outcome::Committed(Committed { version: self.version, stored, known })
    }

    fn conflict(&self, turn: &Turn) -> Option<Conflict> {
        if let Some((key, wanted)) = turn.checks.iter().find(|(key, wanted)| self.revision(key) != *wanted) {
            return Some(Conflict::Check { key: key.clone(), wanted: *wanted, found: self.revision(key) });
        }
        if turn.base == self.version {
            return None;
        }
        let touched = |key: &String| self.changed.get(key).is_some_and(|version| *version > turn.base);
        let key = turn.reads.keys.iter().chain(turn.entries.keys()).find(|key| touched(key));
        let prefixes = turn.reads.prefixes.iter().chain(&turn.deleted_prefixes);
        let prefix = prefixes.flat_map(|prefix| self.changed.keys().map(move |key| (prefix, key)));
        let prefix =
            prefix.into_iter().find(|(prefix, key)| key.starts_with(prefix.as_str()) && touched(key));
        let cursor = (turn.reads.cursor || turn.cursor.is_some()) && self.cursor_changed > turn.base;
        key.map(|key| Conflict::Key(key.clone()))
            .or(prefix.map(|(prefix, key)| Conflict::Prefix { prefix: prefix.clone(), key: key.clone() }))
            .or(cursor.then_some(Conflict::Cursor))
    }

    fn revision(&self, key: &str) -> Option<Version> {
        self.entries.get(key).map(|entry| entry.revision)
    }

    fn delete(&mut self, key: &str, version: Version) -> bool {
        let was_there = self.entries.remove(key).is_some();
        if was_there {
            self.changed.insert(key.to_owned(), version);
        }
        was_there
    }

    fn put(&mut self, key: String, change: EntryChange, version: Version) -> bool {
        let now = self.now;
        match (self.entries.get_mut(&key), change) {
            (Some(entry), EntryChange::Touch { expiry }) => {
                entry.expires_at = expiry.resolve(now, entry.expires_at);
                false
            }
            (Some(entry), EntryChange::Put { value, expiry, secret }) => {
                entry.expires_at = expiry.resolve(now, entry.expires_at);
                let is_same = entry.value == value && entry.secret == secret;
                if !is_same {
                    (entry.value, entry.secret, entry.updated_at, entry.revision) =
                        (value, secret, now, version);
                    self.changed.insert(key, version);
                }
                !is_same
            }
            (None, EntryChange::Put { value, expiry, secret }) => {
                let expires_at = expiry.resolve(now, None);
                let (created_at, updated_at, revision) = (now, now, version);
                let entry =
                    Entry { key: key.clone(), value, revision, created_at, updated_at, expires_at, secret };
                self.entries.insert(key.clone(), entry);
                self.changed.insert(key, version);
                true
            }
            (_, EntryChange::Touch { .. } | EntryChange::Restore(_) | EntryChange::Delete) => false,
        }
    }
}

/// A clock that stands still and randomness that counts.
#[derive(Default)]
pub struct Steady(AtomicU64);

impl Clock for Steady {
    fn now(&self) -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }
}

impl Random for Steady {
    fn next(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// The outside of a connector called `test`. A request that Google refuses ends its turn there: what becomes of the turn is
/// what the tests of sources are about.
pub fn outside(base_dir: impl Into<PathBuf>) -> Outside {
    let shared = Arc::new(Shared::default());
    shared.get_or_make(InTurn::KEY, || Ok::<_, Infallible>(InTurn::NEVER)).unwrap();
    let (clock, random) = (Arc::new(Steady::default()), Arc::new(Steady::default()));
    let (base_dir, own_files) = (base_dir.into(), Vec::new());
    Outside {
        name: "test".to_owned(),
        base_dir,
        own_files,
        own_server: None,
        start: None,
        clock,
        random,
        shared,
    }
}

/// What a committed poll did.
#[derive(Debug)]
pub struct Polled {
    /// What the source wants next.
    pub next: Next,
    /// The events that were new.
    pub events: Vec<NewEvent>,
    /// The parts that failed.
    pub problems: Vec<Failure>,
    /// What was said that is no failure.
    pub notices: Vec<String>,
}

/// One turn of a source.
pub async fn poll(source: &dyn Source, memory: &Memory) -> Result<Polled, Failure> {
    let before = memory.events().len();
    let mut draft = OpenTurn::open(memory, OWNER, turn_id()).await.unwrap();
    match source.poll(&mut draft).await {
        Ok(next) => {
            let (problems, notices) = (draft.take_problems(), draft.take_notices());
            let outcome = draft.commit().await.unwrap();
            assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
            source.settled(Settled::Committed);
            Ok(Polled { next, events: memory.events().split_off(before), problems, notices })
        }
        Err(failure) => {
            source.settled(Settled::Dropped);
            Err(failure)
        }
    }
}

/// One turn of a sink. Without `commit` it ends as in a crash after the delivery.
pub async fn deliver(
    sink: &dyn Sink,
    batch: &[Event],
    memory: &Memory,
    commit: bool,
) -> Result<Vec<Receipt>, Failure> {
    let mut draft = OpenTurn::open(memory, OWNER, turn_id()).await.unwrap();
    let batch: Vec<_> = batch.iter().map(|event| Delivery { event: event.clone(), attempt: 1 }).collect();
    let mut receipts = Vec::new();
    sink.deliver(&batch, &mut receipts, &mut draft).await?;
    if commit {
        draft.commit().await.unwrap();
    }
    Ok(receipts)
}

/// Another turn.
pub fn turn_id() -> TurnId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    TurnId(u128::from(NEXT.fetch_add(1, Ordering::Relaxed)))
}
