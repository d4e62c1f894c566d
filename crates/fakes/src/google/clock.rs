//! The clock of the account: the machine's, moved or stopped as a script wants it.

use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};

use crate::lock::locked;

/// A clock shared by a fake and whoever scripts it. It starts as the machine's own.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Mutex<Face>>);

#[derive(Debug, Clone, Copy)]
enum Face {
    Running(SignedDuration),
    Stopped(Timestamp),
}

impl Default for Clock {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Face::Running(SignedDuration::ZERO))))
    }
}

impl Clock {
    /// What it shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match *locked(&self.0) {
            Face::Running(offset) => Timestamp::now().saturating_add(offset).unwrap_or(Timestamp::MAX),
            Face::Stopped(at) => at,
        }
    }

    /// Moves it by `step`, back when that is negative. A stopped clock stays stopped.
    pub fn advance(&self, step: SignedDuration) {
        let mut face = locked(&self.0);
        *face = match *face {
            Face::Running(offset) => Face::Running(offset.saturating_add(step)),
            Face::Stopped(at) => Face::Stopped(at.saturating_add(step).unwrap_or(Timestamp::MAX)),
        };
    }

    /// Sets it; it runs on from there.
    pub fn set(&self, now: Timestamp) {
        *locked(&self.0) = Face::Running(now.duration_since(Timestamp::now()));
    }

    /// Stops it at `at`.
    pub fn stop(&self, at: Timestamp) {
        *locked(&self.0) = Face::Stopped(at);
    }
}
