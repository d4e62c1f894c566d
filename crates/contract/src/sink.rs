//! The contract of a sink that pushes. Sinks that consumers pull from (`http_pull`, `sse`) are routes over the
//! log and live in the daemon.

use std::time::Duration;

use async_trait::async_trait;

use crate::draft::Draft;
use crate::event::Event;
use crate::failure::Failure;

/// Hands events to somebody. One method; the runtime owns position, retries, order and limits.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Delivers a batch and says for each event, in the same order, what became of it, as soon as that is known. The
    /// receipts and the draft commit together; a crash before that repeats the batch (delivery is at least once).
    ///
    /// # Errors
    /// A [`Failure`] stands for the events without a receipt: they are tried again after the back-off of its class. The
    /// receipts that were given before it are kept, and with them the draft; so they are when the batch takes too long.
    /// Without any receipt nothing is stored.
    async fn deliver(
        &self,
        batch: &[Delivery],
        receipts: &mut Vec<Receipt>,
        draft: &mut Draft<'_>,
    ) -> Result<(), Failure>;
}

/// An event that is handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The event.
    pub event: Event,
    /// Which try this is, from 1. Tries that ended without a receipt are not counted.
    pub attempt: u32,
}

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// The consumer has it.
    Done,
    /// Try again, not before `wait` if given.
    Again {
        /// The wait that the consumer asked for.
        wait: Option<Duration>,
        /// Why.
        reason: String,
    },
    /// The consumer will never take it.
    Never {
        /// Why.
        reason: String,
    },
}
