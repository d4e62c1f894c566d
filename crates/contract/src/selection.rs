//! Which events a reader wants: types, places in the log, age. Plain data, evaluated per event type, so that
//! every store selects alike and no store knows the pattern language.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::event::Seq;
use crate::pattern::{Patterns, Ttl};

/// What a reader wants of the log.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The types that the sink takes.
    pub patterns: Patterns,
    /// Narrows the types for one request.
    pub selector: Option<Patterns>,
    /// Only events after this place, for types without a place of their own.
    pub after: Seq,
    /// Only events after these places, by event type.
    pub positions: BTreeMap<String, Seq>,
    /// Only events that have not outlived their time to live.
    pub ttl: Option<Ttl>,
}

/// What a reader wants of one event type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// Only events after this place.
    pub after: Seq,
    /// Only events stored after this time.
    pub created_after: Option<Timestamp>,
}

impl Selection {
    /// Everything after `after`.
    pub fn all(after: Seq) -> Self {
        Self { after, ..Self::default() }
    }

    /// What is wanted of `event_type` at `now`; `None` when nothing is.
    pub fn lane(&self, event_type: &str, now: Timestamp) -> Option<Lane> {
        let wanted = self.patterns.matches(event_type)
            && self.selector.as_ref().is_none_or(|selector| selector.matches(event_type));
        if !wanted {
            return None;
        }
        let after = self.positions.get(event_type).copied().unwrap_or(self.after);
        let created_after = match self.ttl.as_ref().and_then(|ttl| ttl.of(event_type)) {
            Some(ttl) => jiff::SignedDuration::try_from(ttl).ok().and_then(|ttl| now.checked_sub(ttl).ok()),
            None => None,
        };
        Some(Lane { after, created_after })
    }
}
