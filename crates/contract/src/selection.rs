//! Which events a reader wants: types, places in the log, age. Plain data, evaluated per event type, so that
//! every store selects alike and no store knows the pattern language.

use std::collections::BTreeMap;

use inboxclaw_settings::{Patterns, Ttl};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::Seq;

/// What a reader wants of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Selection {
    /// The types that the sink takes.
    pub patterns: Patterns,
    /// Narrows the types for one request.
    #[serde(skip)]
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

    /// The same from another place on. A type that began later still begins there.
    #[must_use]
    pub fn from_place(&self, after: Seq) -> Self {
        let later = self.positions.iter().filter(|(_, place)| **place > after);
        let positions = later.map(|(name, place)| (name.clone(), *place)).collect();
        Self { after, positions, ..self.clone() }
    }

    /// The same from where a sink stands that began here and has this cursor: one place in the log, or as JSON a place
    /// for each event type. Without a cursor it stands where it began, and so does a type that the cursor does not name.
    ///
    /// # Errors
    /// When the cursor is neither.
    pub fn standing_at(&self, cursor: Option<&str>) -> Result<Self, String> {
        let Some(cursor) = cursor else { return Ok(self.clone()) };
        if let Ok(place) = cursor.parse() {
            return Ok(self.from_place(Seq(place)));
        }
        let places: BTreeMap<String, Seq> = serde_json::from_str(cursor)
            .map_err(|_| format!("the cursor {cursor:?} names no places in the log"))?;
        let mut standing = self.clone();
        standing.positions.extend(places);
        Ok(standing)
    }

    /// What is wanted of `event_type` at `now`; `None` when nothing is.
    pub fn lane(&self, event_type: &str, now: Timestamp) -> Option<Lane> {
        let wanted = self.patterns.matches(event_type)
            && self.selector.as_ref().is_none_or(|selector| selector.matches(event_type));
        if !wanted {
            return None;
        }
        let created_after = match self.ttl.as_ref().and_then(|ttl| ttl.of(event_type)) {
            Some(ttl) => jiff::SignedDuration::try_from(ttl).ok().and_then(|ttl| now.checked_sub(ttl).ok()),
            None => None,
        };
        Some(Lane { after: self.place(event_type), created_after })
    }

    /// The place after which events of a type are wanted, whether it is taken or not.
    pub fn place(&self, event_type: &str) -> Seq {
        self.positions.get(event_type).copied().unwrap_or(self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn began() -> Selection {
        let positions = BTreeMap::from([("late".to_owned(), Seq(50))]);
        Selection { after: Seq(10), positions, ..Selection::default() }
    }

    #[test]
    fn a_sink_stands_where_its_cursor_says_and_else_where_it_began() {
        let places = |cursor: Option<&str>| {
            let standing = began().standing_at(cursor).unwrap();
            (standing.place("a").0, standing.place("late").0)
        };
        assert_eq!(places(None), (10, 50));
        assert_eq!(places(Some("20")), (20, 50));
        assert_eq!(places(Some("60")), (60, 60));
        assert_eq!(places(Some(r#"{"a":30}"#)), (30, 50));
        assert_eq!(places(Some(r#"{"late":70}"#)), (10, 70));
        assert_eq!(places(Some(r#"{"late":5}"#)), (10, 5), "a person moved it back");
        assert!(began().standing_at(Some("x")).is_err());
    }

    #[test]
    fn a_selection_is_stored_without_what_a_single_request_wants() {
        let ttl = Ttl {
            default: None,
            by_type: BTreeMap::from([("a.*".into(), inboxclaw_settings::Interval::from_secs(60))]),
        };
        let patterns = Patterns::new(["a.*", "!a.x"]);
        let selection = Selection { ttl: Some(ttl), patterns, ..began() };
        let narrow = Selection { selector: Patterns::selector("a"), ..selection.clone() };
        let stored = serde_json::to_string(&narrow).unwrap();
        assert_eq!(serde_json::from_str::<Selection>(&stored).unwrap(), selection);
        let oldest = r#"{"patterns":"*","after":0,"positions":{},"ttl":null}"#;
        assert_eq!(serde_json::from_str::<Selection>(oldest).unwrap(), Selection::default());
    }
}
