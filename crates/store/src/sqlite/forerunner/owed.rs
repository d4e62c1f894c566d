//! What a sink of the Python program still owed, and how it is told here.
//!
//! A sink here stands at a place in the log, a pull sink at one for each event type: it owes everything behind that, and
//! before it what it has a delivery for. So its place is that of the last event that it does not owe, and what it owes
//! before that gets a delivery. Then it owes exactly what it owed, however much that is, and the deliveries are few where
//! it was simply behind.

use std::collections::{BTreeMap, HashMap};

use inboxclaw_contract::Seq;
use jiff::{SignedDuration, Timestamp};

use super::plan::{DeliveryTable, ImportedSink, OwedRow, SinkSurvey, Stand};
use super::rows::Mark;

/// An event of the log, as far as sinks are concerned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) seq: i64,
    /// Which of the types.
    pub(super) event_type: usize,
    pub(super) created_at: Timestamp,
}

/// What an event is to a sink.
enum Owed {
    Delivered,
    GivenUp,
    Expired,
    Yes(OwedRow),
}

/// What a sink owes of the events in `log`, which are in the order of seq. `active_at` is when the Python program was there
/// last: what it would still have delivered then is owed, however long ago that is.
pub(super) fn owed(
    sink: &ImportedSink,
    marks: &HashMap<i64, Mark>,
    log: &[Place],
    types: &[String],
    active_at: Timestamp,
) -> SinkSurvey {
    let mut survey = SinkSurvey { name: sink.name.clone(), ..SinkSurvey::default() };
    let taken: Vec<bool> = types.iter().map(|name| sink.intake.patterns.matches(name)).collect();
    let alive: Vec<Option<Timestamp>> = types.iter().map(|name| alive(sink, name, active_at)).collect();
    // The last event that is not owed as one behind the place: by type, or of all.
    let by_type = sink.table == DeliveryTable::Pull;
    let mut last: BTreeMap<usize, i64> = BTreeMap::new();
    let mut all: Vec<(usize, OwedRow)> = Vec::new();
    for place in log.iter().filter(|place| taken[place.event_type]) {
        let lane = if by_type { place.event_type } else { 0 };
        match what(sink, marks.get(&place.seq), *place, alive[place.event_type]) {
            Owed::Yes(row) => {
                if row.attempts > 0 {
                    last.insert(lane, place.seq);
                }
                all.push((lane, row));
                survey.owed += 1;
                continue;
            }
            Owed::Delivered => survey.delivered += 1,
            Owed::GivenUp => survey.given_up += 1,
            Owed::Expired => survey.expired += 1,
        }
        last.insert(lane, place.seq);
    }
    let is_before = |(lane, row): &(usize, OwedRow)| last.get(lane).is_some_and(|last| row.seq <= *last);
    let rows = all.into_iter().filter(is_before).map(|(_, row)| row).collect();
    survey.stand = Stand { cursor: cursor(by_type, &last, types), rows };
    survey
}

fn what(sink: &ImportedSink, mark: Option<&Mark>, place: Place, alive: Option<Timestamp>) -> Owed {
    let mark = mark.copied().unwrap_or_default();
    if mark.done {
        Owed::Delivered
    } else if mark.tries > 0 && mark.tries >= sink.max_attempts {
        Owed::GivenUp
    } else if alive.is_some_and(|alive| place.created_at <= alive) {
        Owed::Expired
    } else {
        Owed::Yes(OwedRow {
            seq: place.seq,
            attempts: mark.tries,
            tried_at: mark.tried_at.filter(|_| mark.tries > 0),
        })
    }
}

/// The time after which events of a type are young enough; `None` when they never grow too old.
fn alive(sink: &ImportedSink, event_type: &str, active_at: Timestamp) -> Option<Timestamp> {
    let ttl = SignedDuration::try_from(sink.ttl.as_ref()?.of(event_type)?).ok()?;
    active_at.checked_sub(ttl).ok()
}

fn cursor(by_type: bool, last: &BTreeMap<usize, i64>, types: &[String]) -> Option<String> {
    if last.is_empty() {
        return None;
    }
    if !by_type {
        return last.values().max().map(i64::to_string);
    }
    let places: BTreeMap<&str, Seq> =
        last.iter().filter_map(|(lane, seq)| Some((types.get(*lane)?.as_str(), Seq(*seq)))).collect();
    serde_json::to_string(&places).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use inboxclaw_contract::{Intake, StartAt};
    use inboxclaw_settings::{Interval, Patterns, Ttl};

    use super::*;

    const NOW: i64 = 1_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn sink(table: DeliveryTable, patterns: &[&str]) -> ImportedSink {
        ImportedSink {
            name: "s".to_owned(),
            connector: "c".to_owned(),
            intake: Intake { patterns: Patterns::new(patterns), ttl: None, start: StartAt::All },
            table,
            ttl: None,
            max_attempts: 3,
        }
    }

    fn done() -> Mark {
        Mark { done: true, tries: 1, tried_at: None }
    }

    fn failed(tries: u32) -> Mark {
        Mark { done: false, tries, tried_at: Some(at(NOW)) }
    }

    /// Ten events, a second apart, of the types `a` (odd) and `b` (even).
    fn check(sink: &ImportedSink, marks: &[(i64, Mark)]) -> (Option<String>, Vec<i64>, [u64; 4]) {
        let types = ["a".to_owned(), "b".to_owned()];
        let place =
            |seq: i64| Place { seq, event_type: usize::from(seq % 2 == 0), created_at: at(NOW - 10 + seq) };
        let log: Vec<Place> = (1..=10).map(place).collect();
        let survey = owed(sink, &marks.iter().copied().collect(), &log, &types, at(NOW));
        let counts = [survey.owed, survey.delivered, survey.given_up, survey.expired];
        (survey.stand.cursor, survey.stand.rows.iter().map(|row| row.seq).collect(), counts)
    }

    #[test]
    fn a_sink_stands_behind_what_it_does_not_owe() {
        let webhook = sink(DeliveryTable::Webhook, &["*"]);
        assert_eq!(check(&webhook, &[]), (None, vec![], [10, 0, 0, 0]));
        let some = [(1, done()), (3, done()), (4, failed(3))];
        assert_eq!(check(&webhook, &some), (Some("4".into()), vec![2], [7, 2, 1, 0]));
        let all: Vec<(i64, Mark)> = (1..=10).map(|seq| (seq, done())).collect();
        assert_eq!(check(&webhook, &all), (Some("10".into()), vec![], [0, 10, 0, 0]));
    }

    /// So that its attempts are counted on.
    #[test]
    fn what_was_tried_has_a_delivery() {
        let command = sink(DeliveryTable::Command, &["*"]);
        assert_eq!(check(&command, &[(2, failed(1))]), (Some("2".into()), vec![1, 2], [10, 0, 0, 0]));
        let no_retries = ImportedSink { max_attempts: 0, ..command };
        assert_eq!(check(&no_retries, &[(2, failed(1))]), (Some("2".into()), vec![1], [9, 0, 1, 0]));
    }

    #[test]
    fn a_pull_sink_stands_at_a_place_for_each_type() {
        let pull = sink(DeliveryTable::Pull, &["*"]);
        let some = [(2, done()), (5, done())];
        let (cursor, rows, counts) = check(&pull, &some);
        assert_eq!(cursor.as_deref(), Some(r#"{"a":5,"b":2}"#));
        assert_eq!((rows, counts), (vec![1, 3], [8, 2, 0, 0]));
        let only_b = sink(DeliveryTable::Pull, &["b"]);
        assert_eq!(check(&only_b, &some), (Some(r#"{"b":2}"#.into()), vec![], [4, 1, 0, 0]));
    }

    #[test]
    fn what_was_too_old_when_the_program_last_ran_is_not_owed() {
        let ttl = Ttl {
            default: Some(Interval::from_secs(5)),
            by_type: [("a".to_owned(), Interval::from_secs(2))].into(),
        };
        assert_eq!(ttl.of("a"), Some(Duration::from_secs(2)));
        let webhook = ImportedSink { ttl: Some(ttl), ..sink(DeliveryTable::Webhook, &["*"]) };
        // Of `a` only 9 is younger than 2 s, of `b` those after 5.
        assert_eq!(check(&webhook, &[]), (Some("7".into()), vec![6], [4, 0, 0, 6]));
    }
}
