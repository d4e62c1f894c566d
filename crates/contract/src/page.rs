//! What is asked of the log and what it answers: pages of events, searches, deliveries. Plain data.

use inboxclaw_settings::Patterns;
use jiff::Timestamp;

use crate::delivery::DeliveryOrigin;
use crate::event::{Event, Seq};
use crate::owner::OwnerId;
use crate::turn::DeliveryState;

/// How much a read may return. At least one event is returned if there is one, however large.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimit {
    /// Most events.
    pub events: usize,
    /// Most bytes of data and meta together.
    pub bytes: usize,
    /// Whether to count what the selection holds beyond the page.
    pub count: bool,
}

/// A page of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T = Event> {
    /// The events, in the order of seq.
    pub events: Vec<T>,
    /// How many more the selection holds; 0 unless asked for.
    pub remaining: u64,
    /// Whether the page holds all of the selection. Then a reader that follows the log may move on to `head`.
    pub complete: bool,
    /// The log's last seq at the instant of the read.
    pub head: Seq,
    /// Set when a reader at the positions of the selection has missed something that it wants.
    pub truncation: Option<Truncation>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        let (events, head) = (Vec::new(), Seq::default());
        Self { events, remaining: 0, complete: false, head, truncation: None }
    }
}

/// What is known of an event without reading its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Its place in the log.
    pub seq: Seq,
    /// Its type.
    pub event_type: String,
    /// What it is about.
    pub entity_id: Option<String>,
    /// The bytes of its data and meta.
    pub bytes: usize,
}

/// What a reader has missed. Whatever it wants after [`up_to`](Self::up_to) can still be read, all of it; what it
/// wants up to there, only in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncation {
    /// The last place that concerns what is missing.
    pub up_to: Seq,
    /// Why it is missing.
    pub cause: TruncationCause,
}

/// Why a reader cannot read all that it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TruncationCause {
    /// Retention has removed an event after the reader's position, of a type that it wants and within its time to
    /// live. Retention of other types truncates nobody.
    Retention,
    /// The position is none of this log: it lies in the gap that a restore left in the numbers, or beyond the end. The
    /// reader has seen events that the present log does not hold, and may have missed others.
    Restore,
}

/// Which deliveries of a sink to read.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryQuery {
    /// Only those in this state.
    pub state: Option<DeliveryState>,
    /// Only those after this place.
    pub after: Seq,
    /// Most rows.
    pub rows: usize,
    /// Most bytes of the texts in the rows together; one row is given even when it is larger.
    pub bytes: usize,
}

impl DeliveryQuery {
    /// The first rows of all that is owed, waiting or dead.
    pub fn all(rows: usize) -> Self {
        Self { state: None, after: Seq(0), rows, bytes: usize::MAX }
    }
}

/// Deliveries of a sink.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryPage {
    /// The deliveries, in the order of seq.
    pub deliveries: Vec<DeliveryRow>,
    /// Whether these are all that were asked for.
    pub complete: bool,
}

/// An event that a sink owes out of order: what is known of it without reading its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// The event's place in the log.
    pub seq: Seq,
    /// The source that reported it.
    pub source: OwnerId,
    /// Its type.
    pub event_type: String,
    /// What it is about.
    pub entity_id: Option<String>,
    /// When it was stored.
    pub created_at: Timestamp,
    /// The bytes of its data and meta.
    pub bytes: usize,
    /// Whether it is still to be tried.
    pub state: DeliveryState,
    /// Not to be handed out before.
    pub due: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last try failed.
    pub error: Option<String>,
    /// When its first try had ended, if it was tried.
    pub tried_at: Option<Timestamp>,
    /// How it comes that it is delivered.
    pub origin: DeliveryOrigin,
}

impl DeliveryRow {
    /// The bytes of its texts.
    pub fn size(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        self.event_type.len() + text(&self.entity_id) + text(&self.error)
    }
}

/// What people look for in the log. By default no events at all, of any size.
#[derive(Debug, Clone)]
pub struct Find {
    /// Only these.
    pub seqs: Option<Vec<Seq>>,
    /// Only this type, exactly.
    pub event_type: Option<String>,
    /// Only types that match.
    pub patterns: Option<Patterns>,
    /// Only of this source, by name.
    pub source: Option<String>,
    /// Only events after this place.
    pub after: Option<Seq>,
    /// Most events.
    pub limit: usize,
    /// Skip so many.
    pub offset: usize,
    /// Most bytes of data and meta; one event is given even when it is larger. What is left of the page is named in
    /// [`Found::rest`].
    pub bytes: usize,
}

impl Default for Find {
    fn default() -> Self {
        Self {
            seqs: None,
            event_type: None,
            patterns: None,
            source: None,
            after: None,
            limit: 0,
            offset: 0,
            bytes: usize::MAX,
        }
    }
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The page, as far as the bytes allow.
    pub events: Vec<Event>,
    /// The rest of the page, in order.
    pub rest: Vec<Seq>,
    /// How many match, before paging.
    pub total: u64,
    /// Set when a reader at [`Find::after`] has missed something of that type, of whatever source.
    pub truncation: Option<Truncation>,
}
