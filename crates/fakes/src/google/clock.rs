//! The clock of the account: the machine's own, or moved or stopped by a script.

use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};

use crate::lock::locked;

/// A clock shared by a fake and whoever scripts it. It starts as the machine's own.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Mutex<State>>);

#[derive(Debug, Clone, Copy)]
enum State {
    Running(SignedDuration),
    Stopped(Timestamp),
}

impl Default for Clock {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State::Running(SignedDuration::ZERO))))
    }
}

impl Clock {
    /// The time that it shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match *locked(&self.0) {
            State::Running(offset) => Timestamp::now().saturating_add(offset).unwrap_or(Timestamp::MAX),
            State::Stopped(at) => at,
        }
    }

    /// Moves it by `step`, back when that is negative. A stopped clock stays stopped.
    pub fn advance(&self, step: SignedDuration) {
        let mut state = locked(&self.0);
        *state = match *state {
            State::Running(offset) => State::Running(offset.saturating_add(step)),
            State::Stopped(at) => State::Stopped(at.saturating_add(step).unwrap_or(Timestamp::MAX)),
        };
    }

    /// Sets it; it runs on from there.
    pub fn set(&self, now: Timestamp) {
        *locked(&self.0) = State::Running(now.duration_since(Timestamp::now()));
    }

    /// Stops it at `at`.
    pub fn stop(&self, at: Timestamp) {
        *locked(&self.0) = State::Stopped(at);
    }
}
