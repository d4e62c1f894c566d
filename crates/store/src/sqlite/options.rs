//! How a store is opened.

use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::Clock;

/// How a store is opened.
#[derive(Clone)]
pub struct Options {
    /// The wall clock behind the store's clock.
    pub clock: Arc<dyn Clock>,
    /// What a committed turn survives.
    pub durability: Durability,
    /// How much of the past is kept to be undone.
    pub history: HistoryBounds,
}

impl Options {
    /// Full durability and the usual history.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, durability: Durability::Full, history: HistoryBounds::default() }
    }
}

/// What a committed turn survives. The database stays whole either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the process, of the system, and a loss of power.
    #[default]
    Full,
    /// A crash of the process; the last turns may be lost with the system or the power.
    Normal,
}

/// How much history is kept. What is beyond either bound goes with the next sweeps.
#[derive(Debug, Clone, Copy)]
pub struct HistoryBounds {
    /// Turns up to this old.
    pub age: Duration,
    /// So many bytes for each owner.
    pub bytes: u64,
}

/// 7 days and 64 MiB for each owner.
impl Default for HistoryBounds {
    fn default() -> Self {
        Self { age: Duration::from_secs(7 * 24 * 60 * 60), bytes: 64 << 20 }
    }
}
