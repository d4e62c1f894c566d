//! Counters per owner, for `/metrics`. They start at zero with the process and say nothing about health.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use inboxclaw_contract::Owner;

/// What one owner did since the start of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerStats {
    /// The source or sink.
    pub owner: Owner,
    /// Turns that committed, also those without changes.
    pub turns: u64,
    /// Turns refused because the state changed meanwhile.
    pub conflicts: u64,
    /// Turns that failed.
    pub failures: u64,
    /// Events that were new to the log.
    pub stored: u64,
    /// Events that the source had reported before.
    pub known: u64,
    /// Events that the sink's consumer took.
    pub delivered: u64,
    /// Events that the sink wants to be given again, once for each time.
    pub again: u64,
    /// Events that the sink will never take.
    pub dead: u64,
    /// Events of which the sink's condition could not be told, and that were sent all the same.
    pub undecided: u64,
}

/// The counters of one owner.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) turns: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) stored: AtomicU64,
    pub(crate) known: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) again: AtomicU64,
    pub(crate) dead: AtomicU64,
    pub(crate) undecided: AtomicU64,
}

/// The counters of all owners.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    owners: Mutex<BTreeMap<Owner, Arc<Counters>>>,
}

impl Stats {
    /// The counters of an owner, made when first asked for.
    pub(crate) fn of(&self, owner: &Owner) -> Arc<Counters> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.entry(owner.clone()).or_default().clone()
    }

    /// All of them, sources first, by name.
    pub(crate) fn snapshot(&self) -> Vec<OwnerStats> {
        let owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.iter().map(|(owner, counters)| counters.read(owner)).collect()
    }
}

impl Counters {
    fn read(&self, owner: &Owner) -> OwnerStats {
        OwnerStats {
            owner: owner.clone(),
            turns: self.turns.load(Relaxed),
            conflicts: self.conflicts.load(Relaxed),
            failures: self.failures.load(Relaxed),
            stored: self.stored.load(Relaxed),
            known: self.known.load(Relaxed),
            delivered: self.delivered.load(Relaxed),
            again: self.again.load(Relaxed),
            dead: self.dead.load(Relaxed),
            undecided: self.undecided.load(Relaxed),
        }
    }
}

/// Counts one, or more.
pub(crate) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Relaxed);
}
