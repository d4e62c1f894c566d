//! Time and randomness of tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use inboxclaw_contract::{Clock, Random};
use jiff::Timestamp;

/// A clock that is moved by hand, and the time that really passed. Both in microseconds.
pub struct HandClock {
    wall: AtomicI64,
    passed: AtomicU64,
}

impl HandClock {
    /// A clock that shows some time in 2023.
    pub fn new() -> Arc<Self> {
        Self::at(Timestamp::from_second(1_700_000_000).unwrap())
    }

    /// A clock that shows this time.
    pub fn at(time: Timestamp) -> Arc<Self> {
        Arc::new(Self { wall: AtomicI64::new(time.as_microsecond()), passed: AtomicU64::new(0) })
    }

    /// The second that it shows.
    pub fn second(&self) -> i64 {
        self.wall.load(Ordering::Relaxed) / 1_000_000
    }

    /// The clock is set to this time.
    pub fn set(&self, time: Timestamp) {
        self.wall.store(time.as_microsecond(), Ordering::Relaxed);
    }

    /// So many seconds pass; or the clock is set back.
    pub fn step(&self, seconds: i64) {
        self.passed.fetch_add(u64::try_from(seconds).unwrap_or(0) * 1_000_000, Ordering::Relaxed);
        self.jump(seconds);
    }

    /// The clock is set so many seconds ahead or back.
    pub fn jump(&self, seconds: i64) {
        self.wall.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }

    /// Time passes.
    pub fn advance(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap();
        self.passed.fetch_add(micros, Ordering::Relaxed);
        self.wall.fetch_add(i64::try_from(micros).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.wall.load(Ordering::Relaxed)).unwrap()
    }

    fn uptime(&self) -> Duration {
        Duration::from_micros(self.passed.load(Ordering::Relaxed))
    }
}

/// Numbers in place of chance: 0, 1, 2, …
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Random for Counter {
    fn next(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Numbers that no other test of this process has, nor a process beside it: for the ids of turns.
pub struct Unique;

impl Random for Unique {
    fn next(&self) -> u128 {
        crate::turn_id().0
    }
}
