//! Events: what a source emits and what the log holds.

use jiff::Timestamp;

use crate::json::Json;
use crate::limits::{EVENT_TEXT_BYTES, LimitError, check_size, check_text};
use crate::owner::OwnerId;

/// An event's place in the log. Grows with each stored event, is never reused, and may have gaps.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub i64);

/// An event as a source hands it to its draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Names the upstream change, unique per source: never a counter of ours, never content alone.
    /// An event of an id that the source reported before is not stored again.
    pub event_id: String,
    /// Dot-separated type, such as `fs.file_created`.
    pub event_type: String,
    /// What the event is about (a path, a message id); events of one entity keep their order.
    pub entity_id: Option<String>,
    /// When it happened upstream, if known.
    pub occurred_at: Option<Timestamp>,
    /// The payload, a JSON object.
    pub data: Json,
    /// Facts about the event itself, a JSON object, mostly empty.
    pub meta: Json,
}

impl NewEvent {
    /// An event without entity, time and meta.
    pub fn new(event_id: impl Into<String>, event_type: impl Into<String>, data: Json) -> Self {
        Self {
            event_id: event_id.into(),
            event_type: event_type.into(),
            entity_id: None,
            occurred_at: None,
            data,
            meta: Json::empty_object(),
        }
    }

    /// Says what the event is about.
    #[must_use]
    pub fn entity(mut self, entity_id: impl Into<String>) -> Self {
        self.entity_id = Some(entity_id.into());
        self
    }

    /// Says when it happened.
    #[must_use]
    pub fn at(mut self, occurred_at: Timestamp) -> Self {
        self.occurred_at = Some(occurred_at);
        self
    }

    /// Checks the texts and that data and meta are objects.
    ///
    /// # Errors
    /// [`EventError`] naming what is wrong.
    pub fn check(&self) -> Result<(), EventError> {
        check_text("the event id", &self.event_id, EVENT_TEXT_BYTES)?;
        check_text("the event type", &self.event_type, EVENT_TEXT_BYTES)?;
        if let Some(entity_id) = &self.entity_id {
            check_size("the entity id", entity_id.len(), EVENT_TEXT_BYTES)?;
        }
        for (what, json) in [("data", &self.data), ("meta", &self.meta)] {
            if !json.is_object() {
                return Err(EventError::NotAnObject { what, event_id: self.event_id.clone() });
            }
        }
        Ok(())
    }

    /// Its share of a turn's size, in bytes.
    pub fn size(&self) -> usize {
        self.event_id.len()
            + self.event_type.len()
            + self.entity_id.as_ref().map_or(0, String::len)
            + self.data.len()
            + self.meta.len()
    }
}

/// Why an event cannot be emitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// A text is too long, empty or holds control characters.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// Data or meta is JSON, but not an object.
    #[error("{what} of the event {event_id:?} is not a JSON object")]
    NotAnObject {
        /// `data` or `meta`.
        what: &'static str,
        /// The event.
        event_id: String,
    },
}

/// An event in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the log, `id` in the envelope.
    pub seq: Seq,
    /// The source that reported it.
    pub source: OwnerId,
    /// The source's name at the time of reading.
    pub source_name: String,
    /// See [`NewEvent::event_id`].
    pub event_id: String,
    /// See [`NewEvent::event_type`].
    pub event_type: String,
    /// See [`NewEvent::entity_id`].
    pub entity_id: Option<String>,
    /// When it was stored, by the store's clock, to the microsecond.
    pub created_at: Timestamp,
    /// See [`NewEvent::occurred_at`].
    pub occurred_at: Option<Timestamp>,
    /// See [`NewEvent::data`].
    pub data: Json,
    /// See [`NewEvent::meta`].
    pub meta: Json,
}
