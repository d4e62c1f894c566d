//! Single turns of connectors over a store in memory, and what they stored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use inboxclaw_contract::turn::EntryChange;
use inboxclaw_contract::{
    Delivery, Entry, Event, Failure, Housekeeping, Next, OpenTurn, Outcome, Owner, OwnerId, Receipt, Settled,
    Sink, Source, State,
};

use crate::words::turn_id;
use crate::{HandClock, MemoryStore, committed, turn};

/// The state and the events of one connector, with a clock that is moved by hand.
pub struct Recorder {
    store: MemoryStore,
    clock: Arc<HandClock>,
    owner: OwnerId,
    rewinds: AtomicU64,
}

/// What a committed poll did.
#[derive(Debug)]
pub struct Polled {
    /// What the source wants next.
    pub next: Next,
    /// The events that were new.
    pub events: Vec<Event>,
    /// The parts that failed.
    pub problems: Vec<Failure>,
    /// What was said that is no failure.
    pub notices: Vec<String>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorder {
    /// An empty state at noon of 2026-11-22.
    pub fn new() -> Self {
        let clock = HandClock::at("2026-11-22T12:00:00Z".parse().unwrap());
        let store = MemoryStore::new(clock.clone());
        let owner = now(store.register(&Owner::source("test"), "test")).unwrap();
        Self { store, clock, owner, rewinds: AtomicU64::new(0) }
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Begins a turn.
    pub async fn draft(&self) -> OpenTurn<'_> {
        OpenTurn::open(&self.store, self.owner, turn_id()).await.unwrap()
    }

    /// The cursor.
    pub fn cursor(&self) -> Option<String> {
        now(self.store.snapshot(self.owner)).unwrap().cursor
    }

    /// The live keys with their values.
    pub fn values(&self) -> BTreeMap<String, String> {
        self.entries().into_iter().map(|entry| (entry.key, entry.value.as_str().to_owned())).collect()
    }

    /// The live entries, without those that turns swept.
    pub fn entries(&self) -> Vec<Entry> {
        while now(self.store.sweep()).unwrap().more {}
        now(self.store.list(self.owner, "", None, usize::MAX)).unwrap()
    }

    /// All stored events.
    pub fn events(&self) -> Vec<Event> {
        self.store.logged()
    }

    /// How many turns wrote something.
    pub fn writes(&self) -> u64 {
        self.store.turns() - self.rewinds.load(Ordering::Relaxed)
    }

    /// Cursor and entries as they are, for [`rewind`](Self::rewind).
    pub fn saved(&self) -> (Option<String>, BTreeMap<String, Entry>) {
        let entries = self.entries().into_iter().map(|entry| (entry.key.clone(), entry));
        (self.cursor(), entries.collect())
    }

    /// A person puts cursor and entries back; what has expired does not come back, events and their identities stay.
    pub fn rewind(&self, (cursor, entries): (Option<String>, BTreeMap<String, Entry>)) {
        let mut turn = turn(self.owner, now(self.store.snapshot(self.owner)).unwrap().version);
        turn.cursor = Some(cursor);
        turn.deleted_prefixes.push(String::new());
        turn.entries = entries.into_iter().map(|(key, entry)| (key, EntryChange::Restore(entry))).collect();
        turn.author = Some("test".to_owned());
        committed(now(self.store.commit(turn)).unwrap());
        self.rewinds.fetch_add(1, Ordering::Relaxed);
    }
}

/// One turn of a source.
pub async fn poll(source: &dyn Source, recorder: &Recorder) -> Result<Polled, Failure> {
    let before = recorder.events().len();
    let mut draft = recorder.draft().await;
    match source.poll(&mut draft).await {
        Ok(next) => {
            let (problems, notices) = (draft.take_problems(), draft.take_notices());
            let outcome = draft.commit().await.unwrap();
            assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
            while recorder.store.sweep().await.unwrap().more {}
            source.settled(Settled::Committed);
            Ok(Polled { next, events: recorder.events().split_off(before), problems, notices })
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
    recorder: &Recorder,
    commit: bool,
) -> Result<Vec<Receipt>, Failure> {
    let mut draft = recorder.draft().await;
    let batch: Vec<Delivery> = batch.iter().cloned().map(Delivery::first).collect();
    let mut receipts = Vec::new();
    sink.deliver(&batch, &mut receipts, &mut draft).await?;
    if commit {
        draft.commit().await.unwrap();
    }
    Ok(receipts)
}

/// The answer of a store in memory, which is there at once.
fn now<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().unwrap()
}
