//! The store of the tests: in memory, over a clock that follows paused time. It can be told to fail and to conflict,
//! and counts its writes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use inboxclaw_contract::store::{DeliveryQuery, DeliveryRow, Prune, StateLimits};
use inboxclaw_contract::turn::{Conflict, FactsPatch, RunFacts};
use inboxclaw_contract::{
    Clock, Housekeeping, Log, Outcome, Owner, OwnerId, Random, State, StoreError, Turn,
};
use inboxclaw_contract_testing::{Intercepted, Interceptor, MemoryStore, committed, turn};
use jiff::Timestamp;
use tokio::time::Instant;

const READS: [&str; 11] = [
    "snapshot",
    "entries",
    "read",
    "deliveries",
    "events",
    "event",
    "head",
    "owners",
    "facts",
    "debts",
    "lapses",
];
const WRITES: [&str; 4] = ["set_facts", "claim", "set_told", "release"];

/// The time since the start of a test, from the first of January 2026 on.
pub struct Paused {
    base: Timestamp,
    start: Instant,
}

impl Clock for Paused {
    fn now(&self) -> Timestamp {
        self.base + self.start.elapsed()
    }
}

/// Distinct numbers, also in the next life of the program, whose upper half is fixed, which decides the jitter.
pub struct Numbers(pub u64);

impl Random for Numbers {
    fn next(&self) -> u128 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        u128::from(self.0) << 64 | u128::from(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

pub type Memory = Intercepted<MemoryStore, Faulty>;

/// What the store is to do wrong, and what was asked of it.
#[derive(Default)]
pub struct Faults {
    /// Every write finds no room.
    pub full: bool,
    /// Every read fails.
    pub unreadable: bool,
    /// Every write fails for good.
    pub broken: bool,
    /// That people were told of drops cannot be written.
    pub forgetful: bool,
    /// So many turns of these owners conflict, one after the other.
    pub conflicts: BTreeMap<OwnerId, u32>,
    /// Writes take so long.
    pub slow: Duration,
    /// How often something was written, and somebody claimed an owner.
    pub writes: usize,
    pub claims: usize,
    /// What was asked to be pruned.
    pub prunes: Vec<(Duration, Prune)>,
    pub sweeps: Vec<Duration>,
    /// The rules for each owner as last told.
    pub policies: BTreeMap<OwnerId, StateLimits>,
}

pub struct Faulty {
    pub clock: Arc<Paused>,
    faults: Mutex<Faults>,
}

/// An empty store.
pub fn memory() -> Arc<Memory> {
    let base = "2026-01-01T00:00:00Z".parse().unwrap();
    let clock = Arc::new(Paused { base, start: Instant::now() });
    let store = Arc::new(MemoryStore::new(clock.clone()));
    Arc::new(Intercepted { store, by: Faulty { clock, faults: Mutex::default() } })
}

impl Faulty {
    /// Changes what goes wrong, or looks at what was asked.
    pub fn with<T>(&self, work: impl FnOnce(&mut Faults) -> T) -> T {
        work(&mut self.faults.lock().unwrap())
    }

    fn read(&self) -> Result<(), StoreError> {
        if self.with(|faults| faults.unreadable) {
            Err(StoreError::Read("told to".to_owned()))
        } else {
            Ok(())
        }
    }

    async fn write(&self) -> Result<(), StoreError> {
        let slow = self.with(|faults| faults.slow);
        if !slow.is_zero() {
            tokio::time::sleep(slow).await;
        }
        self.with(|faults| match (faults.full, faults.broken) {
            (true, _) => Err(StoreError::Full("told to".to_owned())),
            (_, true) => Err(StoreError::Broken("told to".to_owned())),
            _ => {
                faults.writes += 1;
                Ok(())
            }
        })
    }
}

#[async_trait]
impl Interceptor for Faulty {
    async fn before(&self, method: &'static str) -> Result<(), StoreError> {
        let at = self.clock.start.elapsed();
        match method {
            "claim" => self.with(|faults| faults.claims += 1),
            "sweep" => self.with(|faults| faults.sweeps.push(at)),
            // It writes only where something is due.
            "promote" if self.with(|faults| faults.full) => {
                return Err(StoreError::Full("told to".to_owned()));
            }
            "set_told" if self.with(|faults| faults.forgetful) => {
                return Err(StoreError::Full("told to".to_owned()));
            }
            _ => {}
        }
        if READS.contains(&method) {
            self.read()
        } else if WRITES.contains(&method) {
            self.write().await
        } else {
            Ok(())
        }
    }

    async fn commit(&self, turn: &Turn) -> Result<Option<Outcome>, StoreError> {
        if turn.is_empty() {
            self.read()?;
        } else {
            self.write().await?;
        }
        Ok(self.with(|faults| {
            let left = faults.conflicts.get_mut(&turn.owner).filter(|left| **left > 0)?;
            *left -= 1;
            Some(Outcome::Conflict(Conflict::Unknown))
        }))
    }

    fn prune(&self, prune: &Prune) {
        let at = self.clock.start.elapsed();
        self.with(|faults| faults.prunes.push((at, prune.clone())));
    }

    fn set_limits(&self, owner: OwnerId, policy: &StateLimits) {
        self.with(|faults| faults.policies.insert(owner, policy.clone()));
    }
}

/// Looks into the store and edits by people, by the names of owners and past all faults.
pub trait ByName {
    fn id(&self, owner: &Owner) -> OwnerId;
    fn cursor(&self, owner: &Owner) -> Option<String>;
    fn run_facts(&self, owner: &Owner) -> RunFacts;
    fn owed(&self, sink: &Owner) -> Vec<DeliveryRow>;
    fn pause(&self, owner: &Owner, paused: bool);
    fn edit(&self, owner: &Owner, change: impl FnOnce(&mut Turn));
    /// A new cursor.
    fn edit_cursor(&self, owner: &Owner, cursor: Option<&str>) {
        self.edit(owner, |turn| turn.cursor = Some(cursor.map(str::to_owned)));
    }
}

impl ByName for Memory {
    fn id(&self, owner: &Owner) -> OwnerId {
        let all = now(self.store.owners());
        all.iter()
            .find(|row| (row.kind, &row.name) == (owner.kind, &owner.name))
            .expect("a registered owner")
            .id
    }

    fn cursor(&self, owner: &Owner) -> Option<String> {
        now(self.store.snapshot(self.id(owner))).cursor
    }

    fn run_facts(&self, owner: &Owner) -> RunFacts {
        now(self.store.facts(self.id(owner)))
    }

    fn owed(&self, sink: &Owner) -> Vec<DeliveryRow> {
        now(self.store.deliveries(self.id(sink), DeliveryQuery::all(usize::MAX))).deliveries
    }

    fn pause(&self, owner: &Owner, paused: bool) {
        let patch = FactsPatch { paused: Some(paused), ..FactsPatch::default() };
        now(self.store.set_facts(self.id(owner), patch));
    }

    fn edit(&self, owner: &Owner, change: impl FnOnce(&mut Turn)) {
        let id = self.id(owner);
        let mut turn = turn(id, now(self.store.snapshot(id)).version);
        change(&mut turn);
        turn.author = Some("test".to_owned());
        committed(now(self.store.commit(turn)));
    }
}

/// The answer of a store in memory, which is there at once.
fn now<T>(answer: impl Future<Output = Result<T, StoreError>>) -> T {
    answer.now_or_never().unwrap().unwrap()
}
