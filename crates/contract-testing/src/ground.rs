//! What a test of the contract stands on: a store, its clock, and what is asked of them in few words.

use std::any::Any;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::store::{
    DeliveryQuery, DeliveryRow, HistoryLimit, Page, PastTurn, Prune, ReadLimit, Retention,
};
use inboxclaw_contract::turn::{Committed, Conflict};
use inboxclaw_contract::{
    Entry, Intake, Outcome, Owner, OwnerId, Selection, Seq, Spaces, StartAt, Store, Turn, Version,
};

use crate::{HandClock, Words, committed, turn};

/// A store with its clock.
pub struct Ground {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The clock that it was opened with.
    pub clock: Arc<HandClock>,
    /// What must outlive the store, such as the folder that it is in.
    keep: Box<dyn Any + Send + Sync>,
}

/// A store with spaces.
pub struct SpacesGround {
    /// The same store.
    pub spaces: Arc<dyn Spaces>,
    ground: Ground,
}

impl SpacesGround {
    /// A store over this clock.
    pub fn new(store: Arc<impl Store + Spaces + 'static>, clock: Arc<HandClock>) -> Self {
        Self { spaces: store.clone(), ground: Ground::new(store, clock) }
    }

    /// Drops `keep` after the store.
    #[must_use]
    pub fn keeping(mut self, keep: impl Any + Send + Sync) -> Self {
        self.ground.keep = Box::new(keep);
        self
    }
}

impl Deref for SpacesGround {
    type Target = Ground;

    fn deref(&self) -> &Ground {
        &self.ground
    }
}

impl Ground {
    /// A store over this clock.
    pub fn new(store: Arc<dyn Store>, clock: Arc<HandClock>) -> Self {
        Self { store, clock, keep: Box::new(()) }
    }

    /// Registers a source.
    pub async fn source(&self, name: &str) -> OwnerId {
        self.store.register(&Owner::source(name), "test").await.unwrap()
    }

    /// Registers a sink.
    pub async fn sink(&self, name: &str) -> OwnerId {
        self.store.register(&Owner::sink(name), "test").await.unwrap()
    }

    /// Up to where a reader of this selection is told that something is missing.
    pub async fn missed(&self, selection: &Selection) -> Option<i64> {
        self.page(selection).await.truncation.map(|truncation| truncation.up_to.0)
    }

    /// A sink that takes what `selection` says and stands where it begins.
    pub async fn owing(&self, name: &str, selection: &Selection) -> OwnerId {
        let sink = self.sink(name).await;
        let (patterns, ttl) = (selection.patterns.clone(), selection.ttl.clone());
        self.store.set_intake(sink, &Intake { patterns, ttl, start: StartAt::All }).await.unwrap();
        self.commit(self.turn(sink).await.cursor(&selection.after.0.to_string())).await;
        sink
    }

    /// A whole pass of retention with a bound for debts that nobody reaches; says how many events went.
    pub async fn prune(&self, older_than: u64) -> u64 {
        self.prune_all(older_than, 1_000_000_000).await
    }

    /// A whole pass of retention, in seconds; says how many events went.
    pub async fn prune_all(&self, older_than: u64, owed_max: u64) -> u64 {
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

    /// Sweeps until there is nothing more to do; says how many entries went.
    pub async fn sweep(&self) -> u64 {
        let mut entries = 0;
        for _ in 0..1_000 {
            let swept = self.store.sweep().await.unwrap();
            assert!(swept.entries <= 500, "a step is small");
            entries += swept.entries;
            if !swept.more {
                return entries;
            }
        }
        panic!("sweeping does not come to an end");
    }

    /// A turn on the owner's version now.
    pub async fn turn(&self, owner: OwnerId) -> Turn {
        turn(owner, self.version(owner).await)
    }

    /// The version of an owner.
    pub async fn version(&self, owner: OwnerId) -> Version {
        self.store.snapshot(owner).await.unwrap().version
    }

    /// Commits, and wants that to work.
    pub async fn commit(&self, turn: Turn) -> Committed {
        committed(self.store.commit(turn).await.unwrap())
    }

    /// Commits, and wants a conflict.
    pub async fn conflict(&self, turn: Turn) -> Conflict {
        match self.store.commit(turn).await.unwrap() {
            Outcome::Conflict(conflict) => conflict,
            Outcome::Committed(committed) => panic!("no conflict: {committed:?}"),
        }
    }

    /// The text under a key.
    pub async fn get(&self, owner: OwnerId, key: &str) -> Option<String> {
        let mut found = self.store.entries(owner, &[key.to_owned()]).await.unwrap();
        found.pop().unwrap().map(|entry| entry.value.as_str().to_owned())
    }

    /// The keys under a prefix.
    pub async fn keys(&self, owner: OwnerId, prefix: &str) -> Vec<String> {
        let found = self.store.list(owner, prefix, None, 1_000).await.unwrap();
        found.into_iter().map(|entry| entry.key).collect()
    }

    /// All entries.
    pub async fn all(&self, owner: OwnerId) -> Vec<Entry> {
        self.store.list(owner, "", None, 1_000_000).await.unwrap()
    }

    /// How many entries an owner has, and their bytes, as the store says.
    pub async fn counts(&self, owner: OwnerId) -> (u64, u64) {
        let all = self.store.owners().await.unwrap();
        let info = all.into_iter().find(|info| info.id == owner).unwrap();
        (info.entries, info.bytes)
    }

    /// The newest turn in an owner's history.
    pub async fn last(&self, owner: OwnerId) -> PastTurn {
        self.store.history(owner, None, HistoryLimit::turns(1)).await.unwrap().remove(0)
    }

    /// The first thousand events of a selection.
    pub async fn page(&self, selection: &Selection) -> Page {
        let limit = ReadLimit { events: 1_000, bytes: 1 << 30, count: true };
        self.store.read(selection, limit).await.unwrap()
    }

    /// What a sink owes out of order.
    pub async fn deliveries(&self, sink: OwnerId, query: DeliveryQuery) -> Vec<DeliveryRow> {
        self.store.deliveries(sink, query).await.unwrap().deliveries
    }

    /// The ids of all events in the log.
    pub async fn event_ids(&self) -> Vec<String> {
        self.page(&Selection::all(Seq(0))).await.events.into_iter().map(|event| event.event_id).collect()
    }
}

/// What retention may remove, in seconds.
pub fn prune(older_than: u64, owed_max: u64, limit: usize) -> Prune {
    let [older_than, owed_max] = [older_than, owed_max].map(Duration::from_secs);
    Prune { keep: Retention::all(older_than), owed_max, limit }
}
