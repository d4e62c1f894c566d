//! The contract of a sink that pushes. Sinks that consumers pull from (`http_pull`, `sse`) are routes over the
//! log and live in the server.

use std::time::Duration;

use async_trait::async_trait;

use crate::delivery::Delivery;
use crate::draft::Draft;
use crate::failure::Failure;

/// A sink that pushes, in one of the two shapes that there are.
pub enum Push {
    /// Remembers something of what it delivered: one batch at a time, whose receipts commit together with its draft.
    Sink(Box<dyn Sink>),
    /// Remembers nothing: several batches at a time, whose receipts commit behind the sends.
    Sender(Box<dyn Sender>),
}

/// Hands events to somebody and keeps a state of its own about it. One method; the runtime owns position, retries,
/// order and limits.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Delivers a batch and says for each event, in the same order, what became of it, as soon as that is known. The
    /// receipts and the draft commit together; a crash before that repeats the batch (delivery is at least once).
    ///
    /// # Errors
    /// As [`Sender::send`]. Without any receipt nothing of the draft is stored.
    async fn deliver(
        &self,
        batch: &[Delivery],
        receipts: &mut Vec<Receipt>,
        draft: &mut Draft<'_>,
    ) -> Result<(), Failure>;
}

/// Hands events to somebody and remembers nothing. One method; the runtime owns position, retries, order and limits.
#[async_trait]
pub trait Sender: Send + Sync {
    /// Sends a batch and says for each event, in the same order, what became of it, as soon as that is known. It is called
    /// again while earlier calls still run, never with the same event, and as often at a time as `concurrency` says. A
    /// crash repeats what was sent and not yet recorded (delivery is at least once).
    ///
    /// # Errors
    /// A [`Failure`] says that the receiver is down or takes nothing for now, whatever the event. The events without a
    /// receipt are sent again after the back-off of its class, which counts as no attempt. What is wrong with one event
    /// is a [`Receipt`].
    async fn send(&self, batch: &[Delivery], receipts: &mut Vec<Receipt>) -> Result<(), Failure>;
}

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// The consumer has it.
    Done,
    /// This event failed: try it again, not before `wait` if given. After as many attempts as the sink's policy allows it
    /// is a dead letter.
    Again {
        /// The wait that the consumer asked for.
        wait: Option<Duration>,
        /// Why.
        reason: String,
    },
    /// The consumer will never take it: a dead letter.
    Never {
        /// Why.
        reason: String,
    },
}
