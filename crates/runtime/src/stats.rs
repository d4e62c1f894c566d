//! Counters per owner, for `/metrics`. They start at zero with the process and say nothing about health.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use inboxclaw_contract::{DeliveryOrigin, Owner};
use jiff::Timestamp;

/// What one owner did since the start of the process.
#[derive(Debug, Clone, PartialEq)]
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
    /// How long events took from being stored to being taken.
    pub latency: LatencyStats,
}

/// The upper bounds of the buckets of [`LatencyStats`], in seconds. The last bucket has none.
pub const LATENCY_BUCKETS: [f64; 12] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3_600.0, 86_400.0];

/// How long events took: a histogram.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LatencyStats {
    /// How many took no longer than the bound of each bucket and longer than the one before; the last one took longer than
    /// all.
    pub buckets: [u64; LATENCY_BUCKETS.len() + 1],
    /// The sum of all, in seconds.
    pub seconds: f64,
}

/// The same while it is counted.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    buckets: [AtomicU64; LATENCY_BUCKETS.len() + 1],
    micros: AtomicU64,
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
    latency: Latency,
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

impl Latency {
    fn add(&self, took: Duration) {
        let bucket = LATENCY_BUCKETS.iter().position(|bound| took.as_secs_f64() <= *bound);
        if let Some(bucket) = self.buckets.get(bucket.unwrap_or(LATENCY_BUCKETS.len())) {
            count(bucket, 1);
        }
        count(&self.micros, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    fn read(&self) -> LatencyStats {
        let buckets = self.buckets.each_ref().map(|bucket| bucket.load(Relaxed));
        LatencyStats { buckets, seconds: Duration::from_micros(self.micros.load(Relaxed)).as_secs_f64() }
    }
}

impl Counters {
    /// An event that was stored at `stored` was taken at `now`. What a person sends once more is left out: how old that is
    /// says nothing about the sink.
    pub(crate) fn received(&self, stored: Timestamp, now: Timestamp, origin: DeliveryOrigin) {
        if origin == DeliveryOrigin::Log {
            self.latency.add(Duration::try_from(now.duration_since(stored)).unwrap_or_default());
        }
    }

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
            latency: self.latency.read(),
        }
    }
}

/// Counts one, or more.
pub(crate) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_counted_in_the_first_bucket_that_holds_it() {
        let counters = Counters::default();
        let at = |millis| Timestamp::from_millisecond(millis).unwrap_or_default();
        for millis in [-5, 10, 11, 86_400_000, 86_400_001] {
            counters.received(at(0), at(millis), DeliveryOrigin::Log);
        }
        counters.received(at(0), at(1), DeliveryOrigin::Retry);
        let LatencyStats { buckets, seconds } = counters.read(&Owner::sink("k")).latency;
        assert_eq!(buckets, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert!((seconds - 172_800.022).abs() < 1e-6, "{seconds}");
    }
}
