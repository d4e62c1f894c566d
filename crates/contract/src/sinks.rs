//! What sinks take and what they owe, as plain data: what promise 6 is about. The store keeps it
//! ([`Sinks`](crate::store::Sinks)).

use inboxclaw_settings::{Patterns, Ttl};
use jiff::Timestamp;

use crate::event::Seq;
use crate::owner::{OwnerId, StartAt};
use crate::selection::Selection;

/// The type of the events that tell of events which retention removed although a sink still owed them. That one of
/// these was itself removed is not told: for a sink that nobody reads it would never end.
pub const DROPPED: &str = "inboxclaw.sink.dropped";

/// Debts are counted up to this number; see [`Debt::count`].
pub const COUNTED: u64 = 10_000;

/// What a sink takes, as the configuration says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intake {
    /// The event types.
    pub patterns: Patterns,
    /// For how long; `None` for as long as the log holds them.
    pub ttl: Option<Ttl>,
    /// Where it begins when it is new.
    pub start: StartAt,
}

/// What a sink owes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkDebts {
    /// The sink.
    pub sink: OwnerId,
    /// Since when the configuration does not name it; `None` while it does.
    pub left_at: Option<Timestamp>,
    /// Why its cursor cannot be read; it is taken to owe everything then.
    pub problem: Option<String>,
    /// By event type; types of which it owes nothing are left out. Without dead letters.
    pub types: Vec<Debt>,
    /// What it owes out of order.
    pub deliveries: DeliveryCounts,
}

/// How many deliveries a sink has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Those that are still to be tried, or that a consumer holds a lease on.
    pub waiting: u64,
    /// Dead letters.
    pub dead: u64,
    /// When the oldest dead letter became one.
    pub dead_since: Option<Timestamp>,
}

/// What a sink owes of one event type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debt {
    /// The type.
    pub event_type: String,
    /// How many events; exact up to [`COUNTED`], which stands for all beyond.
    pub count: u64,
    /// The oldest of them and when it was stored.
    pub oldest: (Seq, Timestamp),
    /// The newest of them and when it was stored.
    pub newest: (Seq, Timestamp),
}

/// Events that outlived their time to live unconfirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// Who owed them.
    pub sink: OwnerId,
    /// Their type.
    pub event_type: String,
    /// How many.
    pub count: u64,
}

/// What ever left the debts of a sink without its consumer's yes, of one event type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lapse {
    /// Who owed it.
    pub sink: OwnerId,
    /// The type.
    pub event_type: String,
    /// How many events outlived their time to live.
    pub expired: u64,
    /// How many events retention removed, because they were owed for too long.
    pub dropped: u64,
    /// The part of `dropped` that people were not told of yet.
    pub untold: Option<Untold>,
}

/// Events that retention removed although a sink owed them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Untold {
    /// How many.
    pub count: u64,
    /// The first of them and when it was stored.
    pub first: (Seq, Timestamp),
    /// The last of them and when it was stored.
    pub last: (Seq, Timestamp),
}

impl Intake {
    /// What a sink selects that is new, and begins at `begin`.
    pub fn begin(&self, begin: Seq) -> Selection {
        let (patterns, ttl) = (self.patterns.clone(), self.ttl.clone());
        Selection { patterns, ttl, after: begin, ..Selection::default() }
    }

    /// What a sink selects that was there before with the selection `before` and has this cursor. `types` are the event
    /// types of the log, and `head` is its end.
    pub fn follow<'a>(
        &self,
        before: &Selection,
        cursor: Option<&str>,
        types: impl IntoIterator<Item = &'a str>,
        head: Seq,
    ) -> Selection {
        let standing = before.standing_at(cursor).unwrap_or_else(|_| before.clone());
        let mut selection = Selection { positions: before.positions.clone(), ..self.begin(before.after) };
        for name in types {
            match (before.patterns.matches(name), self.patterns.matches(name)) {
                // Unless it was taken earlier: then its place is known.
                (false, true) => drop(selection.positions.entry(name.to_owned()).or_insert(head)),
                (true, false) => drop(selection.positions.insert(name.to_owned(), standing.place(name))),
                _ => {}
            }
        }
        selection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intake(patterns: &[&str]) -> Intake {
        Intake { patterns: Patterns::new(patterns), ttl: None, start: StartAt::Now }
    }

    #[test]
    fn a_type_that_is_taken_later_begins_at_the_end_and_one_that_comes_back_where_it_stood() {
        let types = ["a", "b", "c"];
        let first = intake(&["a"]).begin(Seq(10));
        let second = intake(&["a", "b"]).follow(&first, Some(r#"{"a":15}"#), types, Seq(20));
        assert_eq!((second.place("a"), second.place("b"), second.after), (Seq(10), Seq(20), Seq(10)));
        let third = intake(&["b"]).follow(&second, Some(r#"{"a":25}"#), types, Seq(30));
        assert_eq!((third.place("a"), third.place("b")), (Seq(25), Seq(20)));
        let fourth = intake(&["*"]).follow(&third, Some(r#"{"a":25}"#), types, Seq(40));
        let places = types.map(|name| fourth.place(name).0);
        assert_eq!(places, [25, 20, 40]);
        // A type that nobody has seen yet has only events to come.
        assert_eq!(fourth.place("d"), Seq(10));
        let same = intake(&["*"]).follow(&fourth, None, types, Seq(50));
        assert_eq!(same, fourth);
    }

    #[test]
    fn a_push_sink_that_is_behind_gets_a_later_type_from_the_end_on() {
        let first = intake(&["a"]).begin(Seq(0));
        let second = intake(&["a", "b"]).follow(&first, Some("5"), ["a", "b"], Seq(20));
        let standing = second.standing_at(Some("5")).unwrap();
        assert_eq!((standing.place("a"), standing.place("b")), (Seq(5), Seq(20)));
    }
}
