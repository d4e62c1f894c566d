//! How much one turn may do before it lets others have a turn.

use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::Clock;
use jiff::Timestamp;

/// Most paths walked, compared or changed in one turn, each counted by itself.
pub(super) const STEPS: usize = 10_000;
/// Most bytes read in one turn. A byte to be stored counts as [`STORED`].
const BYTES: u64 = 256 << 20;
/// A turn may hold 256 MiB, a quarter of it for texts leaves room for all else.
pub(super) const STORED: usize = 4;
/// A turn starts nothing new after this time.
const SECONDS: u64 = 10;
/// How long a file is read in the background before it is the turn of others.
const SLICE: Duration = Duration::from_millis(300);

/// What is left of a turn.
#[derive(Clone)]
pub(super) struct Budget {
    bytes: u64,
    steps: usize,
    clock: Arc<dyn Clock>,
    end: Timestamp,
}

impl Budget {
    /// A whole turn, from now on.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let now = clock.now();
        let end = now.checked_add(Duration::from_secs(SECONDS)).unwrap_or(Timestamp::MAX);
        Self { bytes: BYTES, steps: STEPS, clock, end }
    }

    /// A short part of a turn, after which others come first.
    pub(super) fn slice(clock: Arc<dyn Clock>) -> Self {
        let end = clock.now().checked_add(SLICE).unwrap_or(Timestamp::MAX);
        Self { end, ..Self::new(clock) }
    }

    /// Starts counting steps again, for the next stage of the same turn.
    pub(super) fn restart(&mut self) {
        self.steps = STEPS;
    }

    /// Takes `steps`.
    pub(super) fn take(&mut self, steps: usize) {
        self.steps = self.steps.saturating_sub(steps);
    }

    /// How many steps are left.
    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    /// How many bytes are left.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes bytes that were read, or that the store is to write.
    pub(super) fn take_bytes(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes as u64);
    }

    /// Whether nothing is left.
    pub(super) fn is_spent(&self) -> bool {
        self.steps == 0 || self.bytes == 0 || self.clock.now() >= self.end
    }
}

#[cfg(test)]
impl Budget {
    /// A budget that ends after so many bytes.
    pub(super) fn of_bytes(bytes: usize) -> Self {
        struct Stopped;
        impl Clock for Stopped {
            fn now(&self) -> Timestamp {
                Timestamp::UNIX_EPOCH
            }
        }
        Self { bytes: bytes as u64, ..Self::new(Arc::new(Stopped)) }
    }
}
