//! What the tests of the store share: a clock that is moved by hand, and turns in few words.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test helpers")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use inboxclaw_contract::store::{DeliveryQuery, DeliveryRow, HistoryLimit, Page, PastTurn, Prune, ReadLimit};
use inboxclaw_contract::turn::{Committed, Conflict, EntryChange, Swap, TurnId};
use inboxclaw_contract::{
    Clock, Entry, Expiry, Intake, Json, NewEvent, Outcome, Owner, OwnerId, Patterns, Selection, Seq, SpaceId,
    Spaces, StartAt, Store, Turn, Version,
};
use jiff::Timestamp;

/// A clock that is moved by hand, and the time that really passed.
pub(crate) struct HandClock {
    wall: AtomicI64,
    passed: AtomicU64,
}

impl HandClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { wall: AtomicI64::new(1_700_000_000_000_000), passed: AtomicU64::new(0) })
    }

    /// The second that it shows.
    pub(crate) fn second(&self) -> i64 {
        self.wall.load(Ordering::Relaxed) / 1_000_000
    }

    /// Time passes; or the clock is set back.
    pub(crate) fn step(&self, seconds: i64) {
        self.passed.fetch_add(u64::try_from(seconds).unwrap_or(0), Ordering::Relaxed);
        self.jump(seconds);
    }

    /// The clock is set.
    pub(crate) fn jump(&self, seconds: i64) {
        self.wall.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.wall.load(Ordering::Relaxed)).unwrap()
    }

    fn uptime(&self) -> Duration {
        Duration::from_secs(self.passed.load(Ordering::Relaxed))
    }
}

/// Everything that a store can do.
pub(crate) trait Whole: Store + Spaces {}

impl<T: Store + Spaces> Whole for T {}

/// What a promise is tried on.
pub(crate) struct Ground {
    pub(crate) store: Arc<dyn Whole>,
    pub(crate) clock: Arc<HandClock>,
}

impl Ground {
    pub(crate) async fn source(&self, name: &str) -> OwnerId {
        self.store.register(&Owner::source(name), "test").await.unwrap()
    }

    pub(crate) async fn sink(&self, name: &str) -> OwnerId {
        self.store.register(&Owner::sink(name), "test").await.unwrap()
    }

    /// Up to where a reader of this selection is told that something is missing.
    pub(crate) async fn missed(&self, selection: &Selection) -> Option<i64> {
        self.page(selection).await.truncation.map(|truncation| truncation.up_to.0)
    }

    /// A sink that takes what `selection` says and stands where it begins.
    pub(crate) async fn owing(&self, name: &str, selection: &Selection) -> OwnerId {
        let sink = self.sink(name).await;
        let (patterns, ttl) = (selection.patterns.clone(), selection.ttl.clone());
        self.store.set_intake(sink, &Intake { patterns, ttl, start: StartAt::All }).await.unwrap();
        self.commit(self.turn(sink).await.cursor(&selection.after.0.to_string())).await;
        sink
    }

    /// A whole pass of retention with a bound for debts that nobody reaches; says how many events went.
    pub(crate) async fn prune(&self, older_than: u64) -> u64 {
        self.prune_all(older_than, 1_000_000_000).await
    }

    /// A whole pass of retention, in seconds; says how many events went.
    pub(crate) async fn prune_all(&self, older_than: u64, owed_max: u64) -> u64 {
        let prune = prune(older_than, owed_max, 1_000);
        let mut events = 0;
        loop {
            let step = self.store.prune(&prune).await.unwrap();
            events += step.events;
            if !step.more {
                return events;
            }
        }
    }

    /// A turn on the owner's version now.
    pub(crate) async fn turn(&self, owner: OwnerId) -> Turn {
        turn(owner, self.version(owner).await)
    }

    pub(crate) async fn version(&self, owner: OwnerId) -> Version {
        self.store.snapshot(owner).await.unwrap().version
    }

    /// Commits, and wants that to work.
    pub(crate) async fn commit(&self, turn: Turn) -> Committed {
        committed(self.store.commit(turn).await.unwrap())
    }

    /// Commits, and wants a conflict.
    pub(crate) async fn conflict(&self, turn: Turn) -> Conflict {
        match self.store.commit(turn).await.unwrap() {
            Outcome::Conflict(conflict) => conflict,
            Outcome::Committed(committed) => panic!("no conflict: {committed:?}"),
        }
    }

    /// The text under a key.
    pub(crate) async fn get(&self, owner: OwnerId, key: &str) -> Option<String> {
        let mut found = self.store.entries(owner, &[key.to_owned()]).await.unwrap();
        found.pop().unwrap().map(|entry| entry.value.as_str().to_owned())
    }

    /// The keys under a prefix.
    pub(crate) async fn keys(&self, owner: OwnerId, prefix: &str) -> Vec<String> {
        let found = self.store.list(owner, prefix, None, 1_000).await.unwrap();
        found.into_iter().map(|entry| entry.key).collect()
    }

    /// All entries.
    pub(crate) async fn all(&self, owner: OwnerId) -> Vec<Entry> {
        self.store.list(owner, "", None, 1_000_000).await.unwrap()
    }

    /// How many entries an owner has, and their bytes, as the store says.
    pub(crate) async fn counts(&self, owner: OwnerId) -> (u64, u64) {
        let all = self.store.owners().await.unwrap();
        let info = all.into_iter().find(|info| info.id == owner).unwrap();
        (info.entries, info.bytes)
    }

    /// The newest turn in an owner's history.
    pub(crate) async fn last(&self, owner: OwnerId) -> PastTurn {
        self.store.history(owner, None, HistoryLimit::turns(1)).await.unwrap().remove(0)
    }

    pub(crate) async fn page(&self, selection: &Selection) -> Page {
        let limit = ReadLimit { events: 1_000, bytes: 1 << 30, count: true };
        self.store.read(selection, limit).await.unwrap()
    }

    pub(crate) async fn deliveries(&self, sink: OwnerId, query: DeliveryQuery) -> Vec<DeliveryRow> {
        self.store.deliveries(sink, query).await.unwrap().deliveries
    }

    /// The ids of all events in the log.
    pub(crate) async fn event_ids(&self) -> Vec<String> {
        self.page(&Selection::all(Seq(0))).await.events.into_iter().map(|event| event.event_id).collect()
    }
}

/// What retention may remove, in seconds.
pub(crate) fn prune(older_than: u64, owed_max: u64, limit: usize) -> Prune {
    let [older_than, owed_max] = [older_than, owed_max].map(Duration::from_secs);
    Prune { older_than, owed_max, limit }
}

pub(crate) fn committed(outcome: Outcome) -> Committed {
    match outcome {
        Outcome::Committed(committed) => committed,
        Outcome::Conflict(conflict) => panic!("conflict: {conflict}"),
    }
}

/// A turn with an id of its own, also among those of a killed process.
pub(crate) fn turn(owner: OwnerId, base: Version) -> Turn {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = u128::from(std::process::id()) << 64 | u128::from(NEXT.fetch_add(1, Ordering::Relaxed));
    Turn::new(TurnId(id), owner, base)
}

pub(crate) fn json(text: &str) -> Json {
    Json::new(text).unwrap()
}

pub(crate) fn event(id: &str, event_type: &str) -> NewEvent {
    NewEvent::new(id, event_type, json("{}"))
}

pub(crate) fn of_type(pattern: &str, after: i64) -> Selection {
    Selection { patterns: Patterns::new([pattern]), ..Selection::all(Seq(after)) }
}

/// Turns in few words.
pub(crate) trait Words {
    fn put(self, key: &str, value: &str) -> Self;
    fn put_for(self, key: &str, value: &str, expiry: Expiry) -> Self;
    fn secret(self, key: &str, value: &str) -> Self;
    fn touch(self, key: &str, expiry: Expiry) -> Self;
    fn delete(self, key: &str) -> Self;
    fn delete_prefix(self, prefix: &str) -> Self;
    fn cursor(self, cursor: &str) -> Self;
    fn emit(self, id: &str, event_type: &str) -> Self;
    fn check(self, key: &str, revision: Option<i64>) -> Self;
    fn reads(self, keys: &[&str], prefixes: &[&str], cursor: bool) -> Self;
    fn restore(self, entry: Entry) -> Self;
    fn swap(self, space: SpaceId, keep_secrets: bool) -> Self;
    fn author(self, author: &str) -> Self;
}

impl Words for Turn {
    fn put(self, key: &str, value: &str) -> Self {
        self.put_for(key, value, Expiry::Keep)
    }

    fn put_for(mut self, key: &str, value: &str, expiry: Expiry) -> Self {
        self.entries.insert(key.into(), EntryChange::Put { value: json(value), expiry, secret: false });
        self
    }

    fn secret(mut self, key: &str, value: &str) -> Self {
        let put = EntryChange::Put { value: json(value), expiry: Expiry::Keep, secret: true };
        self.entries.insert(key.into(), put);
        self
    }

    fn touch(mut self, key: &str, expiry: Expiry) -> Self {
        self.entries.insert(key.into(), EntryChange::Touch { expiry });
        self
    }

    fn delete(mut self, key: &str) -> Self {
        self.entries.insert(key.into(), EntryChange::Delete);
        self
    }

    fn delete_prefix(mut self, prefix: &str) -> Self {
        self.deleted_prefixes.push(prefix.into());
        self
    }

    fn cursor(mut self, cursor: &str) -> Self {
        self.cursor = Some(Some(cursor.into()));
        self
    }

    fn emit(mut self, id: &str, event_type: &str) -> Self {
        self.events.push(event(id, event_type));
        self
    }

    fn check(mut self, key: &str, revision: Option<i64>) -> Self {
        self.checks.push((key.into(), revision.map(Version)));
        self
    }

    fn reads(mut self, keys: &[&str], prefixes: &[&str], cursor: bool) -> Self {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<BTreeSet<_>>();
        self.reads.keys = owned(keys);
        self.reads.prefixes = owned(prefixes);
        self.reads.cursor = cursor;
        self
    }

    fn restore(mut self, entry: Entry) -> Self {
        self.entries.insert(entry.key.clone(), EntryChange::Restore(entry));
        self
    }

    fn swap(mut self, space: SpaceId, keep_secrets: bool) -> Self {
        self.swap = Some(Swap { space, keep_secrets });
        self
    }

    fn author(mut self, author: &str) -> Self {
        self.author = Some(author.into());
        self
    }
}

/// So many seconds from now.
pub(crate) fn seconds(seconds: u64) -> Expiry {
    Expiry::For(Duration::from_secs(seconds))
}
