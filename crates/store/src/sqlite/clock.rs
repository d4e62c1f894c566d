//! The store's one clock: the wall clock to the microsecond, with small steps back absorbed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use inboxclaw_contract::Clock;
use jiff::Timestamp;

use super::values::Micros;

/// Steps back up to this are absorbed: the clock stands still until the wall clock has caught up. Larger ones
/// were made on purpose and are followed.
const ABSORBED: i64 = 60 * 1_000_000;

pub(super) struct StoreClock {
    wall: Arc<dyn Clock>,
    /// What was last returned, in microseconds.
    last: AtomicI64,
}

impl StoreClock {
    /// A clock that has already shown `last`, in microseconds; `i64::MIN` for a new one.
    pub(super) fn new(wall: Arc<dyn Clock>, last: i64) -> Self {
        Self { wall, last: AtomicI64::new(last) }
    }

    pub(super) fn now(&self) -> Micros {
        let wall = self.wall.now().as_microsecond();
        let follow = |last: i64| if absorbs(last, wall) { last } else { wall };
        let mut last = self.last.load(Ordering::Relaxed);
        let now = loop {
            let now = follow(last);
            match self.last.compare_exchange_weak(last, now, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break now,
                Err(found) => last = found,
            }
        };
        if now < last {
            let seconds = (last - now) / 1_000_000;
            tracing::warn!("the clock went back by {seconds} s; the store follows it");
        }
        Micros(Timestamp::from_microsecond(now).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    /// What the clock showed last, in microseconds.
    pub(super) fn last(&self) -> i64 {
        self.last.load(Ordering::Relaxed)
    }
}

fn absorbs(last: i64, wall: i64) -> bool {
    wall < last && last.saturating_sub(wall) <= ABSORBED
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Wall(AtomicI64);

    impl Clock for Wall {
        fn now(&self) -> Timestamp {
            Timestamp::from_nanosecond(i128::from(self.0.load(Ordering::Relaxed)) * 1_000 + 999).unwrap()
        }
    }

    #[test]
    fn small_steps_back_are_absorbed_and_larger_ones_followed() {
        let wall = Arc::new(Wall(AtomicI64::new(100_000_000)));
        let clock = StoreClock::new(wall.clone(), i64::MIN);
        let at = |micros| {
            wall.0.store(micros, Ordering::Relaxed);
            clock.now().get()
        };
        assert_eq!(at(100_000_000), 100_000_000);
        assert_eq!(at(40_000_000), 100_000_000);
        assert_eq!(at(100_000_001), 100_000_001);
        assert_eq!(at(40_000_000), 40_000_000);
        assert_eq!(at(40_000_007), 40_000_007);
    }
}
