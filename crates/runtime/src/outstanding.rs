//! What a push sink owes out of order, as plain data: which events wait for another try, and in which order
//! those of one entity may go. `delivery.rs` reads and stores it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use inboxclaw_contract::store::DeliveryRow;
use inboxclaw_contract::turn::{DeliveryChange, DeliveryState};
use inboxclaw_contract::{Delivery, DeliveryOrigin, Event, OwnerId, Seq};
use jiff::{SignedDuration, Timestamp};

/// Most characters of a reason.
const REASON_CHARS: usize = 500;

/// Events of one entity of one source, which keep their order.
type Line = (OwnerId, String);

/// Where an event stands: its place in the log, and the line that it belongs to, if it is about an entity.
pub(crate) struct Place {
    seq: Seq,
    line: Option<Line>,
}

impl From<&Event> for Place {
    fn from(event: &Event) -> Self {
        Self { seq: event.seq, line: line(event.source, event.entity_id.as_ref()) }
    }
}

impl From<&DeliveryRow> for Place {
    fn from(delivery: &DeliveryRow) -> Self {
        Self { seq: delivery.seq, line: line(delivery.source, delivery.entity_id.as_ref()) }
    }
}

/// The waiting events of a sink, and the changes of them that are not stored yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outstanding {
    waiting: BTreeMap<Seq, Waiting>,
    lines: HashMap<Line, BTreeSet<Seq>>,
    changes: Vec<DeliveryChange>,
}

/// An event that waits.
#[derive(Debug, Clone)]
struct Waiting {
    line: Option<Line>,
    due: Timestamp,
    attempts: u32,
    error: Option<String>,
}

impl Outstanding {
    /// Takes in what the store says, without a change. Dead events hold nobody up.
    pub(crate) fn note(&mut self, delivery: &DeliveryRow) {
        if delivery.state == DeliveryState::Waiting {
            let waiting = Waiting {
                line: Place::from(delivery).line,
                due: delivery.due,
                attempts: delivery.attempts,
                error: delivery.error.clone(),
            };
            self.insert(delivery.seq, waiting);
        }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether this event waits.
    pub(crate) fn holds(&self, seq: Seq) -> bool {
        self.waiting.contains_key(&seq)
    }

    /// When the next one is due.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.waiting.values().map(|waiting| waiting.due).min()
    }

    /// How often an event was tried.
    pub(crate) fn attempts(&self, seq: Seq) -> u32 {
        self.waiting.get(&seq).map_or(0, |waiting| waiting.attempts)
    }

    /// The next try of an event.
    pub(crate) fn delivery(&self, event: Event) -> Delivery {
        Delivery { attempt: self.attempts(event.seq).saturating_add(1), ..Delivery::first(event) }
    }

    /// When the event's line is free again: the due time of the last earlier event that waits, if one does.
    pub(crate) fn blocked(&self, event: impl Into<Place>) -> Option<Timestamp> {
        let Place { seq, line } = event.into();
        let seqs = self.lines.get(&line?)?;
        let last = seqs.range(..seq).next_back()?;
        self.waiting.get(last).map(|waiting| waiting.due)
    }

    /// Puts an event behind the earlier one of its line; `false` when none waits.
    pub(crate) fn put_behind<'a, E>(&mut self, event: &'a E) -> bool
    where
        Place: From<&'a E>,
    {
        let Some(due) = self.blocked(event) else { return false };
        let Place { seq, line } = event.into();
        let known = self.waiting.get(&seq);
        let (attempts, error) = known.map_or((0, None), |known| (known.attempts, known.error.clone()));
        self.owe(seq, Waiting { line, due: after(due), attempts, error });
        true
    }

    /// The event is to be tried again at `due`, and the later ones of its line after it.
    ///
    /// Events of one entity keep their order, so the due times along a line must grow strictly: a pass takes what is due
    /// in the order of seq, and an event whose earlier neighbour still waits is passed over until that one is done. Kept
    /// here in two directions. Downwards: this one is not due before the one ahead of it, which the same batch may have
    /// put off a moment ago. Upwards: each later one that would be due first moves right behind; one that is due later
    /// anyway stays, and the rest of the line is measured from it. Only rows that move are written.
    pub(crate) fn again(&mut self, event: &Event, due: Timestamp, reason: String) {
        let line = Place::from(event).line;
        // Within a batch an earlier one may have been put off as well.
        let mut due = self.blocked(event).map_or(due, |earlier| due.max(after(earlier)));
        let attempts = self.attempts(event.seq).saturating_add(1);
        self.owe(event.seq, Waiting { line: line.clone(), due, attempts, error: Some(cut(reason)) });
        let later: Vec<Seq> = line
            .and_then(|line| self.lines.get(&line))
            .map(|seqs| seqs.iter().copied().filter(|seq| *seq > event.seq).collect())
            .unwrap_or_default();
        for seq in later {
            let Some(waiting) = self.waiting.get(&seq).cloned() else { continue };
            if waiting.due <= due {
                self.owe(seq, Waiting { due: after(due), ..waiting });
            }
            due = self.waiting.get(&seq).map_or(due, |waiting| waiting.due);
        }
    }

    /// The event is no longer owed, whether it waited or was dead.
    pub(crate) fn done(&mut self, seq: Seq) {
        self.forget(seq);
        self.changes.push(DeliveryChange::Done { seq });
    }

    /// The sink will never take the event.
    pub(crate) fn dead(&mut self, event: &Event, now: Timestamp, reason: String) {
        let attempts = self.attempts(event.seq).saturating_add(1);
        self.forget(event.seq);
        self.changes.push(DeliveryChange::Owe {
            seq: event.seq,
            entity: event.entity_id.clone(),
            state: DeliveryState::Dead,
            due: now,
            attempts,
            error: Some(cut(reason)),
            tried_at: None,
            origin: DeliveryOrigin::Log,
        });
    }

    /// Forgets what should be due but was not found, among the seqs up to the last one looked at: a person
    /// dropped it.
    pub(crate) fn keep_due(&mut self, now: Timestamp, found: &BTreeSet<Seq>, up_to: Option<Seq>) {
        let looked = self.waiting.iter().filter(|(seq, _)| up_to.is_none_or(|up_to| **seq <= up_to));
        let due = looked.filter(|(seq, waiting)| waiting.due <= now && !found.contains(seq));
        let gone: Vec<Seq> = due.map(|(seq, _)| *seq).collect();
        gone.into_iter().for_each(|seq| self.forget(seq));
    }

    /// Whether there is nothing to store.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes since the last time, to be stored with the turn.
    pub(crate) fn take_changes(&mut self) -> Vec<DeliveryChange> {
        std::mem::take(&mut self.changes)
    }

    fn owe(&mut self, seq: Seq, waiting: Waiting) {
        self.changes.push(DeliveryChange::Owe {
            seq,
            entity: waiting.line.as_ref().map(|(_, entity)| entity.clone()),
            state: DeliveryState::Waiting,
            due: waiting.due,
            attempts: waiting.attempts,
            error: waiting.error.clone(),
            tried_at: None,
            origin: DeliveryOrigin::Log,
        });
        self.insert(seq, waiting);
    }

    fn insert(&mut self, seq: Seq, waiting: Waiting) {
        if let Some(line) = &waiting.line {
            self.lines.entry(line.clone()).or_default().insert(seq);
        }
        self.waiting.insert(seq, waiting);
    }

    fn forget(&mut self, seq: Seq) {
        let Some(line) = self.waiting.remove(&seq).and_then(|waiting| waiting.line) else { return };
        if let Some(seqs) = self.lines.get_mut(&line) {
            seqs.remove(&seq);
            if seqs.is_empty() {
                self.lines.remove(&line);
            }
        }
    }
}

/// The instant that lies so far ahead, or the end of time.
pub(crate) fn ahead(now: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

fn after(due: Timestamp) -> Timestamp {
    ahead(due, Duration::from_micros(1))
}

fn line(source: OwnerId, entity_id: Option<&String>) -> Option<Line> {
    entity_id.map(|entity| (source, entity.clone()))
}

fn cut(mut reason: String) -> String {
    if let Some((end, _)) = reason.char_indices().nth(REASON_CHARS) {
        reason.truncate(end);
    }
    reason
}

#[cfg(test)]
mod tests {
    use inboxclaw_contract::Json;

    use super::*;

    fn event(seq: i64, entity: &str) -> Event {
        Event {
            seq: Seq(seq),
            source: OwnerId(1),
            source_name: "s".to_owned(),
            event_id: seq.to_string(),
            event_type: "t".to_owned(),
            entity_id: (!entity.is_empty()).then(|| entity.to_owned()),
            created_at: at(0),
            occurred_at: None,
            data: Json::empty_object(),
            meta: Json::empty_object(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// The changes as `seq@microseconds`, or `-seq` when done.
    fn changes(outstanding: &mut Outstanding) -> Vec<String> {
        let show = |change| match change {
            DeliveryChange::Owe { seq, due, attempts, state, .. } => {
                format!("{}@{}x{attempts} {}", seq.0, due.as_microsecond(), state.as_str())
            }
            DeliveryChange::Done { seq } => format!("-{}", seq.0),
        };
        outstanding.take_changes().into_iter().map(show).collect()
    }

    #[test]
    fn later_events_of_an_entity_go_behind_the_one_that_waits() {
        let mut outstanding = Outstanding::default();
        outstanding.again(&event(1, "a"), at(5), "busy".to_owned());
        assert!(outstanding.put_behind(&event(2, "a")));
        assert!(outstanding.put_behind(&event(3, "a")));
        assert!(!outstanding.put_behind(&event(4, "b")));
        assert!(!outstanding.put_behind(&event(5, "")));
        let other_source = Event { source: OwnerId(2), ..event(6, "a") };
        assert!(!outstanding.put_behind(&other_source));
        assert_eq!(
            changes(&mut outstanding),
            ["1@5000000x1 waiting", "2@5000001x0 waiting", "3@5000002x0 waiting"]
        );
        outstanding.again(&event(1, "a"), at(9), "busy".to_owned());
        assert_eq!(
            changes(&mut outstanding),
            ["1@9000000x2 waiting", "2@9000001x0 waiting", "3@9000002x0 waiting"]
        );
        outstanding.done(Seq(1));
        assert_eq!(outstanding.blocked(&event(2, "a")), None);
        assert_eq!(outstanding.blocked(&event(3, "a")), Some(at(9) + SignedDuration::from_micros(1)));
        assert_eq!(outstanding.next_due(), Some(at(9) + SignedDuration::from_micros(1)));
    }

    #[test]
    fn what_is_put_off_in_one_batch_keeps_its_order() {
        let mut outstanding = Outstanding::default();
        outstanding.again(&event(1, "a"), at(9), String::new());
        outstanding.again(&event(2, "a"), at(5), String::new());
        outstanding.again(&event(3, "b"), at(5), String::new());
        assert_eq!(
            changes(&mut outstanding),
            ["1@9000000x1 waiting", "2@9000001x1 waiting", "3@5000000x1 waiting"]
        );
    }

    #[test]
    fn dead_events_hold_nobody_up() {
        let mut outstanding = Outstanding::default();
        outstanding.again(&event(1, "a"), at(5), String::new());
        outstanding.dead(&event(1, "a"), at(6), "no".repeat(1_000));
        assert!(!outstanding.put_behind(&event(2, "a")));
        assert_eq!(outstanding.len(), 0);
        assert_eq!(changes(&mut outstanding), ["1@5000000x1 waiting", "1@6000000x2 dead"]);
    }

    #[test]
    fn what_a_person_dropped_is_forgotten_once_it_is_due() {
        let mut outstanding = Outstanding::default();
        outstanding.again(&event(1, "a"), at(5), String::new());
        outstanding.again(&event(2, "b"), at(7), String::new());
        outstanding.keep_due(at(6), &BTreeSet::new(), None);
        assert!(!outstanding.holds(Seq(1)));
        assert!(outstanding.holds(Seq(2)));
    }
}
