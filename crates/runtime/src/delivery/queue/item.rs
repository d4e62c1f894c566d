//! An unfinished event of a push sink, and its row.

use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::turn::{DeliveryChange, DeliveryState};
use inboxclaw_contract::{DeliveryOrigin, Event, OwnerId, Seq};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Most characters of a reason.
const REASON_CHARS: usize = 500;

/// Events that wait for each other: of one entity of one source, or all.
pub(super) type Line = Arc<(OwnerId, String)>;

/// An unfinished event.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) line: Option<Line>,
    /// Its body, from when it was read until it is sent; later ones are read when they are sent again.
    pub(super) event: Option<Event>,
    pub(super) stored: bool,
    /// Since when it is being sent.
    pub(super) sending: Option<Instant>,
    /// When it was read, or may be sent again after a call that failed.
    pub(super) ready: Instant,
    pub(super) due: Timestamp,
    pub(super) attempts: u32,
    pub(super) tried_at: Option<Timestamp>,
    pub(super) origin: DeliveryOrigin,
    /// Calls with it that failed, and how many events had succeeded before the first.
    pub(super) misses: u32,
    pub(super) successes: u64,
}

/// What to send.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::delivery) struct Picked {
    /// The events, in the order of the log.
    pub(in crate::delivery) seqs: Vec<Seq>,
    /// The bodies that are at hand.
    pub(in crate::delivery) bodies: Vec<Event>,
}

impl Item {
    pub(super) fn new(line: Option<Line>, event: Option<Event>) -> Self {
        Self {
            line,
            event,
            stored: false,
            sending: None,
            ready: Instant::now(),
            due: Timestamp::MIN,
            attempts: 0,
            tried_at: None,
            origin: DeliveryOrigin::Log,
            misses: 0,
            successes: 0,
        }
    }

    pub(super) fn change(&self, seq: Seq, state: DeliveryState, error: Option<String>) -> DeliveryChange {
        DeliveryChange::Owe {
            seq,
            entity: self.line.as_ref().map(|line| line.1.clone()).filter(|entity| !entity.is_empty()),
            state,
            due: self.due,
            attempts: self.attempts,
            error,
            tried_at: self.tried_at,
            origin: self.origin,
        }
    }
}

/// The instant that lies so far ahead, or the end of time.
pub(in crate::delivery) fn ahead(now: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

pub(super) fn size(event: &Event) -> usize {
    event.data.len() + event.meta.len()
}

pub(super) fn cut(mut reason: String) -> String {
    if let Some((end, _)) = reason.char_indices().nth(REASON_CHARS) {
        reason.truncate(end);
    }
    reason
}
