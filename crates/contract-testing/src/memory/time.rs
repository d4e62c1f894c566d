//! The store's two times: the stamp, which what is stored gets, and the trusted time, which judges ages. They are one
//! unless the wall clock is in doubt.

use std::time::Duration;

use inboxclaw_contract::Clock;
use inboxclaw_contract::store::ClockState;
use jiff::{SignedDuration, Timestamp};

/// Steps back up to this are absorbed.
const ABSORBED: SignedDuration = SignedDuration::from_mins(1);
/// A clock that is further ahead than the time that passed is in doubt.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);
/// For so long; then it is followed.
const DOUBTED: Duration = Duration::from_secs(60 * 60);

/// Both times at one instant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) stamp: Timestamp,
    pub(super) trusted: Timestamp,
}

#[derive(Default)]
pub(super) struct StoreTime {
    /// What was last known, and the uptime at that instant.
    last: Option<(Now, Duration)>,
    /// The uptime at which the wall clock came into doubt.
    doubted: Option<Duration>,
}

impl StoreTime {
    /// Takes in what the wall clock shows. With `accept` it is followed whatever it shows.
    pub(super) fn look(&mut self, clock: &dyn Clock, accept: bool) -> Now {
        let (wall, uptime) = (whole_micros(clock.now()), clock.uptime());
        let Some((last, at)) = self.last else {
            return self.set(Now { stamp: wall, trusted: wall }, uptime);
        };
        let passed = SignedDuration::try_from(uptime.saturating_sub(at)).unwrap_or(SignedDuration::MAX);
        let expected = last.trusted.checked_add(passed).unwrap_or(Timestamp::MAX);
        let is_over = self.doubted.is_some_and(|since| uptime.saturating_sub(since) >= DOUBTED);
        if wall.duration_since(expected) <= AHEAD || is_over || accept || clock.witness().is_some() {
            self.doubted = None;
            let now = absorbed(last.trusted, wall);
            return self.set(Now { stamp: now, trusted: now }, uptime);
        }
        self.doubted.get_or_insert(uptime);
        self.set(Now { stamp: absorbed(last.stamp, wall), trusted: expected }, uptime)
    }

    /// How the clock stands after a look.
    pub(super) fn report(&self, now: Now, clock: &dyn Clock) -> ClockState {
        let left = |since| DOUBTED.saturating_sub(clock.uptime().saturating_sub(since));
        ClockState { now: now.trusted, wall: clock.now(), doubted: self.doubted.map(left) }
    }

    fn set(&mut self, now: Now, uptime: Duration) -> Now {
        self.last = Some((now, uptime));
        now
    }
}

/// The time after `last` at which the wall clock shows `wall`: it stands still while a small step back is absorbed.
fn absorbed(last: Timestamp, wall: Timestamp) -> Timestamp {
    if wall < last && last.duration_since(wall) <= ABSORBED { last } else { wall }
}

/// The contract's times are whole microseconds.
fn whole_micros(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}
