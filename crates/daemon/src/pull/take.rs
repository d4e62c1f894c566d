//! Which events a batch holds: the union of the deliveries that are due and the log beyond the positions. No I/O.
//!
//! A batch is cut only at its end. So per event type it holds everything unconfirmed up to its last event of that
//! type, except what is leased to somebody else: what it `excluded`.

use std::collections::{BTreeMap, BTreeSet};

use inboxclaw_contract::store::{Owed, Page};
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
    pub(super) fresh: Option<Fresh>,
}

/// How many deliveries may still be added.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fresh {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// What a batch holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// The events, in the order of seq.
    pub(super) events: Vec<Event>,
    /// How often each event was leased before, in the same order.
    pub(super) attempts: Vec<u32>,
    /// The last seq of each event type.
    pub(super) last: BTreeMap<String, Seq>,
    /// The deliveries up to `last` that were not due.
    pub(super) excluded: Vec<Seq>,
    /// How many more events could have been taken.
    pub(super) remaining: u64,
}

/// Picks the events of a batch from all deliveries of the sink and a page of the log.
pub(super) fn take(rows: Vec<Owed>, page: Page, wanted: &Selection, now: Timestamp, room: Room) -> Taken {
    let overlaps: Vec<Seq> = overlap(&rows, wanted, now).map(|row| row.event.seq).collect();
    let known: BTreeSet<Seq> = rows.iter().map(|row| row.event.seq).collect();
    let held: Vec<(Seq, String)> = rows
        .iter()
        .filter(|row| !is_due(row, now))
        .map(|row| (row.event.seq, row.event.event_type.clone()))
        .collect();
    let due = rows.into_iter().filter(|row| is_due(row, now) && is_wanted(&row.event, wanted, now));
    // What lies beyond the page is not read yet, so a delivery from there would leave a gap behind it.
    let end = if page.complete { None } else { page.events.last().map(|event| event.seq) };
    let (due, beyond): (Vec<_>, Vec<_>) = due.partition(|row| end.is_none_or(|end| row.event.seq <= end));
    // What the log counts beyond the page, and the deliveries count as well.
    let twice = end.map_or(0, |end| overlaps.iter().filter(|seq| **seq > end).count());
    let mut found: Vec<(Event, Option<u32>)> =
        due.into_iter().map(|row| (row.event, Some(row.attempts))).collect();
    found.extend(
        page.events.into_iter().filter(|event| !known.contains(&event.seq)).map(|event| (event, None)),
    );
    found.sort_by_key(|(event, _)| event.seq);
    let fits = fitting(&found, room);
    let left = (beyond.len() + found.len() - fits) as u64;
    let mut taken =
        Taken { remaining: page.remaining.saturating_sub(twice as u64) + left, ..Taken::default() };
    for (event, attempts) in found.into_iter().take(fits) {
        taken.last.insert(event.event_type.clone(), event.seq);
        taken.attempts.push(attempts.unwrap_or(0));
        taken.events.push(event);
    }
    let is_excluded = |(seq, kind): &(Seq, String)| taken.last.get(kind).is_some_and(|last| seq <= last);
    taken.excluded = held.into_iter().filter(|row| is_excluded(row)).map(|(seq, _)| seq).collect();
    taken
}

/// The deliveries that lie beyond the positions, so that the log gives their events, too. There are none unless the
/// state changed while it was read, or a person moved a position back.
pub(super) fn overlap<'a>(
    rows: &'a [Owed],
    wanted: &'a Selection,
    now: Timestamp,
) -> impl Iterator<Item = &'a Owed> + Clone {
    rows.iter().filter(move |row| {
        let lane = wanted.lane(&row.event.event_type, now);
        lane.is_some_and(|lane| row.event.seq > lane.after) && is_wanted(&row.event, wanted, now)
    })
}

/// Whether the event has outlived its time to live, whoever asks.
pub(super) fn is_outlived(event: &Event, wanted: &Selection, now: Timestamp) -> bool {
    let everybody = Selection { ttl: wanted.ttl.clone(), ..Selection::default() };
    !is_wanted(event, &everybody, now)
}

/// An event's share of the bytes of a batch.
pub(super) fn size(event: &Event) -> usize {
    event.data.len() + event.meta.len()
}

fn is_due(row: &Owed, now: Timestamp) -> bool {
    row.state == DeliveryState::Waiting && row.due <= now
}

fn is_wanted(event: &Event, wanted: &Selection, now: Timestamp) -> bool {
    let lane = wanted.lane(&event.event_type, now);
    lane.is_some_and(|lane| lane.created_after.is_none_or(|after| event.created_at > after))
}

/// How many of the first events fit. The first one does, however large, unless nothing may be leased any more.
fn fitting(found: &[(Event, Option<u32>)], room: Room) -> usize {
    let (mut bytes, mut fresh, mut fresh_bytes) = (0, 0, 0);
    let fits = |(number, (event, attempts)): &(usize, &(Event, Option<u32>))| {
        bytes += size(event);
        if attempts.is_none() {
            fresh += 1;
            fresh_bytes += size(event);
        }
        let may_lease = room.fresh.is_none_or(|room| fresh <= room.events);
        let small = bytes <= room.bytes && room.fresh.is_none_or(|room| fresh_bytes <= room.bytes);
        *number < room.events && may_lease && (small || *number == 0)
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

    fn row(seq: i64, kind: &str, due: i64) -> Owed {
        let state = DeliveryState::Waiting;
        Owed { event: event(seq, kind), state, due: at(due), attempts: 1, error: None }
    }

    fn page(events: &[(i64, &str)], remaining: u64) -> Page {
        let events = events.iter().map(|(seq, kind)| event(*seq, kind)).collect();
        Page { events, remaining, complete: remaining == 0, head: Seq(100), truncation: None }
    }

    const ROOM: Room = Room { events: 10, bytes: 1000, fresh: None };

    /// The seqs taken, those excluded, and how many remain.
    fn check(rows: Vec<Owed>, page: Page, wanted: &Selection, room: Room) -> (Vec<i64>, Vec<i64>, u64) {
        let taken = take(rows, page, wanted, at(NOW), room);
        let numbers = |seqs: &[Seq]| seqs.iter().map(|seq| seq.0).collect();
        let seqs: Vec<Seq> = taken.events.iter().map(|event| event.seq).collect();
        (numbers(&seqs), numbers(&taken.excluded), taken.remaining)
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
        let fresh = |events, bytes| Room { fresh: Some(Fresh { events, bytes }), ..ROOM };
        let log = || page(&[(5, "a"), (6, "a")], 0);
        let rows = || vec![row(1, "a", NOW)];
        assert_eq!(check(rows(), log(), &after(4, 0), fresh(1, 1000)), (vec![1, 5], vec![], 1));
        assert_eq!(check(rows(), log(), &after(4, 0), fresh(0, 0)), (vec![1], vec![], 2));
        assert_eq!(check(rows(), log(), &after(4, 0), fresh(2, 7)), (vec![1, 5], vec![], 1), "4 bytes each");
        assert_eq!(check(vec![], log(), &after(4, 0), fresh(0, 0)), (vec![], vec![], 2));
        assert_eq!(
            check(vec![], log(), &after(4, 0), fresh(2, 1)),
            (vec![5], vec![], 1),
            "a large one alone"
        );
        assert_eq!(check(vec![], log(), &after(4, 0), Room { bytes: 1, ..ROOM }), (vec![5], vec![], 1));
    }

    #[test]
    fn only_what_waits_is_due() {
        let dead = Owed { state: DeliveryState::Dead, ..row(1, "a", NOW - 1) };
        let log = page(&[(5, "a")], 0);
        assert_eq!(check(vec![dead], log, &after(4, 0), ROOM), (vec![5], vec![1], 0));
    }
}
