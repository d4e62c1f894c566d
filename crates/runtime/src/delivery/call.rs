//! One call of a push sink, and how it can end.

use std::sync::Arc;

use inboxclaw_contract::{Class, Delivery, Failure, Receipt, Sender};
use tokio::time::Instant;

use crate::schedule::{Attempt, Bounds};
use crate::turn::{panicked, too_long};

/// The end of a call.
pub(super) struct Ended {
    pub(super) batch: Vec<Delivery>,
    pub(super) receipts: Vec<Receipt>,
    pub(super) begun: Instant,
    pub(super) end: End,
}

/// How a call ended.
pub(super) enum End {
    /// There is a receipt for each event.
    Whole,
    /// It broke off.
    BrokeOff(Failure),
    /// It took too long.
    TooLong(Failure),
    /// The program ends.
    Cut,
}

/// Runs one call of a sender.
pub(super) async fn call(sender: Arc<dyn Sender>, bounds: Bounds, batch: Vec<Delivery>) -> Ended {
    let (mut receipts, begun) = (Vec::new(), Instant::now());
    let attempt = bounds.attempt(async { sender.send(&batch, &mut receipts).await }).await;
    let end = End::of(attempt, &mut receipts, batch.len(), &bounds);
    Ended { batch, receipts, begun, end }
}

impl End {
    pub(super) fn of(
        attempt: Attempt<Result<(), Failure>>,
        receipts: &mut Vec<Receipt>,
        events: usize,
        bounds: &Bounds,
    ) -> Self {
        match attempt {
            Attempt::Done(Ok(())) if receipts.len() == events => Self::Whole,
            Attempt::Done(Ok(())) => {
                let text = format!("the sink gave {} receipts for {events} events", receipts.len());
                // Nobody knows which events they are for.
                receipts.clear();
                Self::BrokeOff(Failure::text(Class::Internal, text))
            }
            Attempt::Done(Err(failure)) => Self::BrokeOff(failure),
            Attempt::Panicked(message) => Self::BrokeOff(panicked("the sink", &message)),
            Attempt::TooLong => Self::TooLong(too_long("the delivery", bounds)),
            Attempt::Cut => Self::Cut,
        }
    }
}
