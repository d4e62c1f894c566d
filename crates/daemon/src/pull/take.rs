//! Which events a batch holds: the union of the deliveries that are due and the log beyond the positions. No I/O.
//!
//! A batch is cut only at its end. So per event type it holds everything unconfirmed up to its last event of that
//! type, except what is leased to somebody else: what it `excluded`.

use std::collections::{BTreeMap, BTreeSet};

use inboxclaw_contract::store::{Delivery, Page};
use inboxclaw_contract::turn::DeliveryState;
use inboxclaw_contract::{Event, Selection, Seq};
use jiff::Timestamp;

/// How much a batch may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Most events.
    pub(super) events: usize,
    /// Most bytes, unless a single event is larger.
    pub(super) bytes: usize,
    /// For a leased batch: how many events that have no delivery yet it may add.
    pub(super) fresh: Option<usize>,
}

/// What a batch holds: events that were leased before, and fresh ones of the log.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Those that have a delivery, without their bodies.
    pub(super) again: Vec<Delivery>,
    /// Those that have none.
    pub(super) fresh: Vec<Event>,
    /// The last seq of each event type.
    pub(super) last: BTreeMap<String, Seq>,
    /// The deliveries up to `last` that were not due.
    pub(super) excluded: Vec<Seq>,
    /// How many more events could have been taken.
    pub(super) remaining: u64,
}

impl Taken {
    /// How many events it holds.
    pub(super) fn len(&self) -> usize {
        self.again.len() + self.fresh.len()
    }
}

/// An event that can be taken.
enum Found {
    Again(Delivery),
    Fresh(Event),
}

impl Found {
    fn seq(&self) -> Seq {
        match self {
            Self::Again(delivery) => delivery.seq,
            Self::Fresh(event) => event.seq,
        }
    }

    /// Its share of the bytes of a batch.
    fn size(&self) -> usize {
        match self {
            Self::Again(delivery) => delivery.bytes,
            Self::Fresh(event) => event.data.len() + event.meta.len(),
        }
    }
}

/// Picks the events of a batch from all deliveries of the sink and a page of the log.
pub(super) fn take(rows: Vec<Delivery>, page: Page, wanted: &Selection, now: Timestamp, room: Room) -> Taken {
    let overlaps: Vec<Seq> = overlap(&rows, wanted, now).map(|row| row.seq).collect();
    let known: BTreeSet<Seq> = rows.iter().map(|row| row.seq).collect();
    let held: Vec<(Seq, String)> =
        rows.iter().filter(|row| !is_due(row, now)).map(|row| (row.seq, row.event_type.clone())).collect();
    let due = rows.into_iter().filter(|row| is_due(row, now) && is_wanted(row, wanted, now));
    // What lies beyond the page is not read yet, so a delivery from there would leave a gap behind it.
    let end = if page.complete { None } else { page.events.last().map(|event| event.seq) };
    let (due, beyond): (Vec<_>, Vec<_>) = due.partition(|row| end.is_none_or(|end| row.seq <= end));
    // What the log counts beyond the page, and the deliveries count as well.
    let twice = end.map_or(0, |end| overlaps.iter().filter(|seq| **seq > end).count());
    let mut found: Vec<Found> = due.into_iter().map(Found::Again).collect();
    found.extend(page.events.into_iter().filter(|event| !known.contains(&event.seq)).map(Found::Fresh));
    found.sort_by_key(Found::seq);
    let fits = fitting(&found, room);
    let left = (beyond.len() + found.len() - fits) as u64;
    let mut taken =
        Taken { remaining: page.remaining.saturating_sub(twice as u64) + left, ..Taken::default() };
    for found in found.into_iter().take(fits) {
        match found {
            Found::Again(delivery) => {
                taken.last.insert(delivery.event_type.clone(), delivery.seq);
                taken.again.push(delivery);
            }
            Found::Fresh(event) => {
                taken.last.insert(event.event_type.clone(), event.seq);
                taken.fresh.push(event);
            }
        }
    }
    let is_excluded = |(seq, kind): &(Seq, String)| taken.last.get(kind).is_some_and(|last| seq <= last);
    taken.excluded = held.into_iter().filter(|row| is_excluded(row)).map(|(seq, _)| seq).collect();
    taken
}

/// The deliveries that lie beyond the positions, so that the log gives their events, too. There are none unless the
/// state changed while it was read, or a person moved a position back.
pub(super) fn overlap<'a>(
    rows: &'a [Delivery],
    wanted: &'a Selection,
    now: Timestamp,
) -> impl Iterator<Item = &'a Delivery> + Clone {
    rows.iter().filter(move |row| {
        let lane = wanted.lane(&row.event_type, now);
        lane.is_some_and(|lane| row.seq > lane.after) && is_wanted(row, wanted, now)
    })
}

/// Whether the event has outlived its time to live, whoever asks.
pub(super) fn is_outlived(row: &Delivery, wanted: &Selection, now: Timestamp) -> bool {
    let everybody = Selection { ttl: wanted.ttl.clone(), ..Selection::default() };
    !is_wanted(row, &everybody, now)
}

fn is_due(row: &Delivery, now: Timestamp) -> bool {
    row.state == DeliveryState::Waiting && row.due <= now
}

fn is_wanted(row: &Delivery, wanted: &Selection, now: Timestamp) -> bool {
    let lane = wanted.lane(&row.event_type, now);
    lane.is_some_and(|lane| lane.created_after.is_none_or(|after| row.created_at > after))
}

/// How many of the first events fit. The first one does, however large, unless nothing may be leased any more.
fn fitting(found: &[Found], room: Room) -> usize {
    let (mut bytes, mut fresh) = (0, 0);
    let fits = |(number, found): &(usize, &Found)| {
        bytes += found.size();
        fresh += usize::from(matches!(found, Found::Fresh(_)));
        let may_lease = room.fresh.is_none_or(|most| fresh <= most);
        *number < room.events && may_lease && (bytes <= room.bytes || *number == 0)
    };
    found.iter().enumerate().take_while(fits).count()
}

#[cfg(test)]
mod tests {
    use inboxclaw_contract::{Json, OwnerId, Patterns};

    use super::*;

    const NOW: i64 = 1_000;

    fn event(seq: i64, kind: &str) -> Event {
        Event {
            seq: Seq(seq),
            source: OwnerId(1),
            source_name: "s".to_owned(),
            event_id: format!("e{seq}"),
            event_type: kind.to_owned(),
            entity_id: None,
            created_at: at(NOW - 500),
            occurred_at: None,
            data: Json::empty_object(),
            meta: Json::empty_object(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn row(seq: i64, kind: &str, due: i64) -> Delivery {
        Delivery {
            seq: Seq(seq),
            source: OwnerId(1),
            event_type: kind.to_owned(),
            entity_id: None,
            created_at: at(NOW - 500),
            bytes: 4,
            state: DeliveryState::Waiting,
            due: at(due),
            attempts: 1,
            error: None,
        }
    }

    fn page(events: &[(i64, &str)], remaining: u64) -> Page {
        let events = events.iter().map(|(seq, kind)| event(*seq, kind)).collect();
        Page { events, remaining, complete: remaining == 0, head: Seq(100), truncation: None }
    }

    const ROOM: Room = Room { events: 10, bytes: 1000, fresh: None };

    /// The seqs taken, those excluded, and how many remain.
    fn check(rows: Vec<Delivery>, page: Page, wanted: &Selection, room: Room) -> (Vec<i64>, Vec<i64>, u64) {
        let taken = take(rows, page, wanted, at(NOW), room);
        let numbers = |seqs: &[Seq]| seqs.iter().map(|seq| seq.0).collect();
        let again = taken.again.iter().map(|row| row.seq);
        let seqs: BTreeSet<Seq> = taken.fresh.iter().map(|event| event.seq).chain(again).collect();
        assert_eq!(seqs.len(), taken.len());
        (numbers(&seqs.into_iter().collect::<Vec<_>>()), numbers(&taken.excluded), taken.remaining)
    }

    /// A selection for the positions of `a` and `b`.
    fn after(a: i64, b: i64) -> Selection {
        let positions = [("a".to_owned(), Seq(a)), ("b".to_owned(), Seq(b))];
        Selection { positions: positions.into(), ..Selection::default() }
    }

    #[test]
    fn due_deliveries_and_the_log_are_one_list() {
        let rows = || vec![row(1, "a", NOW), row(2, "a", NOW + 1), row(4, "b", NOW - 1)];
        let log = || page(&[(3, "b"), (5, "a"), (6, "b")], 0);
        assert_eq!(check(rows(), log(), &after(2, 4), ROOM), (vec![1, 3, 4, 5, 6], vec![2], 0));
        let short = Room { events: 2, ..ROOM };
        // The type of the excluded one stands in the batch only up to 1.
        assert_eq!(check(rows(), log(), &after(2, 4), short), (vec![1, 3], vec![], 3));
        let only_b = Selection { selector: Patterns::selector("b"), ..after(2, 4) };
        assert_eq!(check(rows(), page(&[(6, "b")], 0), &only_b, ROOM), (vec![4, 6], vec![], 0));
    }

    /// Confirming 9 would confirm 5 to 8, which are not read yet.
    #[test]
    fn nothing_is_taken_from_behind_the_end_of_a_page() {
        let log = page(&[(4, "a")], 3);
        assert_eq!(check(vec![row(9, "a", NOW)], log, &after(0, 0), ROOM), (vec![4], vec![], 3));
        let log = page(&[(4, "a")], 3);
        assert_eq!(check(vec![row(9, "a", NOW)], log, &after(9, 0), ROOM), (vec![4], vec![], 4));
        assert_eq!(check(vec![row(9, "a", NOW)], page(&[], 0), &after(9, 0), ROOM), (vec![9], vec![], 0));
    }

    /// A position that was moved back: the log gives leased events again.
    #[test]
    fn an_event_with_a_delivery_is_not_taken_from_the_log() {
        let rows = vec![row(1, "a", NOW + 1), row(2, "a", NOW), row(9, "a", NOW + 1)];
        let log = page(&[(1, "a"), (2, "a"), (3, "a")], 2);
        assert_eq!(check(rows, log, &after(0, 0), ROOM), (vec![2, 3], vec![1], 1));
    }

    #[test]
    fn leases_are_bounded_by_what_is_left() {
        let fresh = |events| Room { fresh: Some(events), ..ROOM };
        let log = || page(&[(5, "a"), (6, "a")], 0);
        let rows = || vec![row(1, "a", NOW)];
        assert_eq!(check(rows(), log(), &after(4, 0), fresh(1)), (vec![1, 5], vec![], 1));
        assert_eq!(check(rows(), log(), &after(4, 0), fresh(0)), (vec![1], vec![], 2));
        assert_eq!(check(vec![], log(), &after(4, 0), fresh(0)), (vec![], vec![], 2));
        let narrow = |bytes| Room { bytes, ..ROOM };
        assert_eq!(check(rows(), log(), &after(4, 0), narrow(11)), (vec![1, 5], vec![], 1), "4 bytes each");
        assert_eq!(check(vec![], log(), &after(4, 0), narrow(1)), (vec![5], vec![], 1), "a large one alone");
    }

    #[test]
    fn only_what_waits_is_due() {
        let dead = Delivery { state: DeliveryState::Dead, ..row(1, "a", NOW - 1) };
        let log = page(&[(5, "a")], 0);
        assert_eq!(check(vec![dead], log, &after(4, 0), ROOM), (vec![5], vec![1], 0));
    }
}
