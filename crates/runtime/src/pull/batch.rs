//! Which events a batch holds: the union of the deliveries that are due and the log beyond the positions. No I/O, and
//! no bodies of events.
//!
//! A batch is cut only at its end. So per event type it holds everything unconfirmed up to its last event of that
//! type, except what is leased to somebody else: what it `excluded`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use inboxclaw_contract::store::{DeliveryRow, EventRow, Page};
use inboxclaw_contract::turn::DeliveryState;
use inboxclaw_contract::{Selection, Seq};
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

/// What a batch holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Its events, in the order of seq.
    pub(super) items: Vec<Item>,
    /// The last seq of each event type.
    pub(super) last: BTreeMap<String, Seq>,
    /// The deliveries up to `last` that were not due.
    pub(super) excluded: Vec<Seq>,
    /// How many more events the next request of the same kind would find, were these confirmed or leased.
    pub(super) remaining: u64,
}

/// An event that can be taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) row: EventRow,
    /// How often it was leased; `None` when it has no delivery.
    pub(super) leased: Option<u32>,
}

/// Picks the events of a batch from all deliveries of the sink and a page of the log.
pub(super) fn take(
    rows: Vec<DeliveryRow>,
    page: Page<EventRow>,
    wanted: &Selection,
    now: Timestamp,
    room: Room,
) -> Taken {
    let overlaps: Vec<Seq> = overlap(&rows, wanted, now).map(|row| row.seq).collect();
    let known: BTreeSet<Seq> = rows.iter().map(|row| row.seq).collect();
    let held: Vec<(Seq, String)> =
        rows.iter().filter(|row| !is_due(row, now)).map(|row| (row.seq, row.event_type.clone())).collect();
    let due = rows.into_iter().filter(|row| is_due(row, now) && is_wanted(row, wanted, now));
    // What lies beyond the page is not read yet, so a delivery from there would leave a gap behind it.
    let end = if page.complete { None } else { page.events.last().map(|row| row.seq) };
    let (due, beyond): (Vec<_>, Vec<_>) = due.partition(|row| end.is_none_or(|end| row.seq <= end));
    // What the log counts beyond the page, and the deliveries count as well.
    let twice = end.map_or(0, |end| overlaps.iter().filter(|seq| **seq > end).count());
    let mut found: Vec<Item> = due.into_iter().map(Item::from).collect();
    let fresh = page.events.into_iter().filter(|row| !known.contains(&row.seq));
    found.extend(fresh.map(|row| Item { row, leased: None }));
    found.sort_by_key(|item| item.row.seq);
    let left = found.split_off(fitting(&found, room));
    let mut taken = Taken { items: found, ..Taken::default() };
    for Item { row, .. } in &taken.items {
        taken.last.insert(row.event_type.clone(), row.seq);
    }
    let may_lease = room.fresh.map(|most| most.saturating_sub(taken.fresh()) as u64);
    let unread = page.remaining.saturating_sub(twice as u64);
    taken.remaining = remaining(&left, unread, beyond.len() as u64, may_lease);
    let is_excluded = |(seq, kind): &(Seq, String)| taken.last.get(kind).is_some_and(|last| seq <= last);
    taken.excluded = held.into_iter().filter(|row| is_excluded(row)).map(|(seq, _)| seq).collect();
    taken
}

/// How many of the events that were not taken a next request could take: all, unless it may lease only so many that
/// have no delivery. What comes behind the first that it may not lease is not there for it, until something is
/// confirmed. `left` is in the order of seq, `unread` ones of the log and `beyond` ones with a delivery follow.
fn remaining(left: &[Item], unread: u64, beyond: u64, may_lease: Option<u64>) -> u64 {
    let Some(mut may_lease) = may_lease else { return left.len() as u64 + unread + beyond };
    let mut count = 0;
    for item in left {
        if item.leased.is_none() {
            if may_lease == 0 {
                return count;
            }
            may_lease -= 1;
        }
        count += 1;
    }
    count + unread.min(may_lease) + if unread <= may_lease { beyond } else { 0 }
}

impl Taken {
    /// How many of its events have no delivery.
    fn fresh(&self) -> usize {
        self.items.iter().filter(|item| item.leased.is_none()).count()
    }
}

impl From<DeliveryRow> for Item {
    fn from(delivery: DeliveryRow) -> Self {
        let DeliveryRow { seq, event_type, entity_id, bytes, attempts, .. } = delivery;
        Self { row: EventRow { seq, event_type, entity_id, bytes }, leased: Some(attempts) }
    }
}

/// The deliveries that lie beyond the positions, so that the log gives their events, too. There are none unless the
/// state changed while it was read, or a person moved a position back.
pub(super) fn overlap<'a>(
    rows: &'a [DeliveryRow],
    wanted: &'a Selection,
    now: Timestamp,
) -> impl Iterator<Item = &'a DeliveryRow> + Clone {
    rows.iter().filter(move |row| {
        let lane = wanted.lane(&row.event_type, now);
        lane.is_some_and(|lane| row.seq > lane.after) && is_wanted(row, wanted, now)
    })
}

/// How long until the first of the deliveries that are wanted and not due yet.
pub(super) fn next_due(rows: &[DeliveryRow], wanted: &Selection, now: Timestamp) -> Option<Duration> {
    let held = rows.iter().filter(|row| row.state == DeliveryState::Waiting && row.due > now);
    let due = held.filter(|row| is_wanted(row, wanted, now)).map(|row| row.due).min()?;
    Duration::try_from(due.duration_since(now)).ok()
}

/// Whether the event has outlived its time to live, whoever asks.
pub(super) fn is_outlived(row: &DeliveryRow, wanted: &Selection, now: Timestamp) -> bool {
    let everybody = Selection { ttl: wanted.ttl.clone(), ..Selection::default() };
    !is_wanted(row, &everybody, now)
}

fn is_due(row: &DeliveryRow, now: Timestamp) -> bool {
    row.state == DeliveryState::Waiting && row.due <= now
}

fn is_wanted(row: &DeliveryRow, wanted: &Selection, now: Timestamp) -> bool {
    let lane = wanted.lane(&row.event_type, now);
    lane.is_some_and(|lane| lane.created_after.is_none_or(|after| row.created_at > after))
}

/// How many of the first events fit. The first one does, however large, unless nothing may be leased any more.
fn fitting(found: &[Item], room: Room) -> usize {
    let (mut bytes, mut fresh) = (0, 0);
    let fits = |(number, item): &(usize, &Item)| {
        bytes += item.row.bytes;
        fresh += usize::from(item.leased.is_none());
        let may_lease = room.fresh.is_none_or(|most| fresh <= most);
        *number < room.events && may_lease && (bytes <= room.bytes || *number == 0)
    };
    found.iter().enumerate().take_while(fits).count()
}

#[cfg(test)]
mod tests {
    use inboxclaw_contract::DeliveryOrigin;
    use inboxclaw_contract::OwnerId;
    use inboxclaw_settings::Patterns;

    use super::*;

    const NOW: i64 = 1_000;

    fn event(seq: i64, kind: &str) -> EventRow {
        EventRow { seq: Seq(seq), event_type: kind.to_owned(), entity_id: None, bytes: 4 }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn row(seq: i64, kind: &str, due: i64) -> DeliveryRow {
        DeliveryRow {
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
            tried_at: None,
            origin: DeliveryOrigin::Log,
        }
    }

    fn page(events: &[(i64, &str)], remaining: u64) -> Page<EventRow> {
        let events = events.iter().map(|(seq, kind)| event(*seq, kind)).collect();
        Page { events, remaining, complete: remaining == 0, head: Seq(100), truncation: None }
    }

    const ROOM: Room = Room { events: 10, bytes: 1000, fresh: None };

    /// The seqs taken, those excluded, and how many remain.
    fn check(
        rows: Vec<DeliveryRow>,
        page: Page<EventRow>,
        wanted: &Selection,
        room: Room,
    ) -> (Vec<i64>, Vec<i64>, u64) {
        let taken = take(rows, page, wanted, at(NOW), room);
        let numbers = |seqs: &[Seq]| seqs.iter().map(|seq| seq.0).collect();
        let seqs: Vec<Seq> = taken.items.iter().map(|item| item.row.seq).collect();
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
        let fresh = |events| Room { fresh: Some(events), ..ROOM };
        let log = || page(&[(5, "a"), (6, "a")], 0);
        let rows = || vec![row(1, "a", NOW)];
        assert_eq!(check(rows(), log(), &after(4, 0), fresh(1)), (vec![1, 5], vec![], 0));
        assert_eq!(check(rows(), log(), &after(4, 0), fresh(0)), (vec![1], vec![], 0));
        assert_eq!(check(vec![], log(), &after(4, 0), fresh(0)), (vec![], vec![], 0));
        let short = Room { events: 1, ..fresh(2) };
        assert_eq!(
            check(rows(), log(), &after(4, 0), short),
            (vec![1], vec![], 2),
            "those can be leased next"
        );
        let narrow = |bytes| Room { bytes, ..ROOM };
        assert_eq!(check(rows(), log(), &after(4, 0), narrow(11)), (vec![1, 5], vec![], 1), "4 bytes each");
        assert_eq!(check(vec![], log(), &after(4, 0), narrow(1)), (vec![5], vec![], 1), "a large one alone");
    }

    /// A consumer that goes on while something remains comes to an end.
    #[test]
    fn what_cannot_be_leased_does_not_remain() {
        let fresh = |events| Room { fresh: Some(events), ..ROOM };
        let rows = || vec![row(1, "a", NOW), row(9, "b", NOW)];
        let log = || page(&[(5, "a"), (6, "a")], 0);
        assert_eq!(check(rows(), log(), &after(4, 9), fresh(0)), (vec![1], vec![], 0), "9 is behind 5");
        assert_eq!(check(rows(), log(), &after(4, 9), Room { events: 1, ..fresh(2) }), (vec![1], vec![], 3));
        assert_eq!(check(rows(), log(), &after(4, 9), Room { events: 1, ..fresh(1) }), (vec![1], vec![], 1));
        let log = || page(&[(5, "a")], 7);
        assert_eq!(check(rows(), log(), &after(4, 9), fresh(3)), (vec![1, 5], vec![], 2));
        assert_eq!(check(rows(), log(), &after(4, 9), fresh(8)), (vec![1, 5], vec![], 8));
        assert_eq!(check(rows(), log(), &after(4, 9), ROOM), (vec![1, 5], vec![], 8));
    }

    #[test]
    fn only_what_waits_is_due() {
        let dead = DeliveryRow { state: DeliveryState::Dead, ..row(1, "a", NOW - 1) };
        let log = page(&[(5, "a")], 0);
        assert_eq!(check(vec![dead], log, &after(4, 0), ROOM), (vec![5], vec![1], 0));
    }
}
