//! Walks over the log by event type: what a selection wants, in the order of seq, from the index alone.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use inboxclaw_contract::Lane as Wanted;
use rusqlite::{Connection, OptionalExtension, Row};

use super::event_counts;

const TYPES: &str = "SELECT id, name, pruned, pruned_at FROM event_types";

const MARKS: &str = "
    SELECT coalesce((SELECT max(seq) FROM events), 0),
        coalesce((SELECT value FROM meta WHERE name = 'head'), 0),
        coalesce((SELECT value FROM meta WHERE name = 'clock_stepped_back_at'), 0)";

const STRETCH: &str = "
    SELECT seq FROM events INDEXED BY events_by_type
    WHERE type = +?1 AND seq > ?2 AND seq <= ?3 AND created_at > ?4 ORDER BY seq LIMIT +?5";

/// For the stretch before the last step back of the clock, where each time has to be looked at.
const COUNT: &str = "
    SELECT count(*) FROM events INDEXED BY events_by_type
    WHERE type = ?1 AND seq > ?2 AND seq <= ?3 AND created_at > ?4";

const PROBE: &str = "SELECT seq, created_at FROM events WHERE seq > ?1 ORDER BY seq LIMIT 1";

/// How many places a lane reads ahead, first and at most.
const AHEAD: i64 = 32;
const MOST_AHEAD: i64 = 1_024;

/// Places in the log that reads need to know.
#[derive(Clone, Copy)]
pub(super) struct Marks {
    /// The last seq ever given.
    pub(super) head: i64,
    /// Up to here, times do not grow with seq, because the clock went back.
    pub(super) stepped_back: i64,
}

impl Marks {
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        connection.prepare_cached(MARKS)?.query_row([], |row| {
            let (last, given): (i64, i64) = (row.get(0)?, row.get(1)?);
            Ok(Self { head: last.max(given), stepped_back: row.get(2)? })
        })
    }
}

/// An event type, and what retention has removed of it.
pub(super) struct EventType {
    pub(super) id: i64,
    pub(super) name: String,
    /// The last place, 0 when nothing was removed, and the latest time, in microseconds.
    pub(super) pruned: i64,
    pub(super) pruned_at: i64,
}

/// Every event type.
pub(super) fn types(connection: &Connection) -> rusqlite::Result<Vec<EventType>> {
    let mut all = connection.prepare_cached(TYPES)?;
    let event_type = |row: &Row<'_>| {
        Ok(EventType { id: row.get(0)?, name: row.get(1)?, pruned: row.get(2)?, pruned_at: row.get(3)? })
    };
    all.query_map([], event_type)?.collect()
}

/// Finds the places from which on everything was stored after some time, without looking at what is before.
pub(super) struct Floors<'a> {
    connection: &'a Connection,
    marks: Marks,
    /// Times in microseconds and their places; a handful, one for each time to live.
    known: Vec<(i64, i64)>,
}

impl<'a> Floors<'a> {
    pub(super) fn new(connection: &'a Connection, marks: Marks) -> Self {
        Self { connection, marks, known: Vec::new() }
    }

    /// Up to here, times do not grow with seq.
    pub(super) fn stepped_back(&self) -> i64 {
        self.marks.stepped_back
    }

    /// The last place, after the last step back of the clock, up to which everything was stored at `time` or before.
    pub(super) fn below(&mut self, time: i64) -> rusqlite::Result<i64> {
        if let Some((_, place)) = self.known.iter().find(|(known, _)| *known == time) {
            return Ok(*place);
        }
        let place = self.search(time)?;
        self.known.push((time, place));
        Ok(place)
    }

    /// Searches by halves; gaps that retention has left are jumped over.
    fn search(&self, time: i64) -> rusqlite::Result<i64> {
        let mut probe = self.connection.prepare_cached(PROBE)?;
        let mut next = |after: i64| probe.query_row([after], |row| Ok((row.get(0)?, row.get(1)?))).optional();
        // Everything up to `old` is old enough; everything after `new` is newer, or there is nothing.
        let (mut old, mut new) = (self.marks.stepped_back, self.marks.head);
        while old < new {
            let middle = old + (new - old) / 2;
            let found: Option<(i64, i64)> = next(middle)?;
            match found {
                Some((seq, created_at)) if created_at <= time => old = seq,
                _ => new = middle,
            }
        }
        Ok(old)
    }
}

/// What a selection wants of one event type: one stretch of the log, or two around the last step back of the clock.
pub(super) struct Lane {
    pub(super) type_id: i64,
    pub(super) type_name: String,
    /// Both ends of each stretch: the first excluded, the last included.
    stretches: VecDeque<(i64, i64)>,
    /// Only what was stored after this time, in microseconds.
    stored_after: i64,
    found: VecDeque<i64>,
    ahead: i64,
}

impl Lane {
    /// The lanes of what is wanted.
    pub(super) fn of(
        connection: &Connection,
        wanted: Vec<(EventType, Wanted)>,
        marks: Marks,
    ) -> rusqlite::Result<Vec<Self>> {
        let mut floors = Floors::new(connection, marks);
        let mut lanes = Vec::new();
        for (event_type, lane) in wanted {
            let after = lane.after.0;
            let mut stretches = VecDeque::new();
            let mut stored_after = i64::MIN;
            if let Some(time) = lane.created_after {
                stored_after = time.as_microsecond();
                if after < marks.stepped_back {
                    stretches.push_back((after, marks.stepped_back));
                }
                stretches.push_back((after.max(floors.below(stored_after)?), i64::MAX));
            } else {
                stretches.push_back((after, i64::MAX));
            }
            lanes.push(Self {
                type_id: event_type.id,
                type_name: event_type.name,
                stretches,
                stored_after,
                found: VecDeque::new(),
                ahead: AHEAD,
            });
        }
        Ok(lanes)
    }

    /// The next place in this lane.
    fn next(&mut self, connection: &Connection) -> rusqlite::Result<Option<i64>> {
        while self.found.is_empty() {
            let Some((after, last)) = self.stretches.front().copied() else { return Ok(None) };
            let mut find = connection.prepare_cached(STRETCH)?;
            let found =
                find.query_map((self.type_id, after, last, self.stored_after, self.ahead), |row| row.get(0))?;
            self.found = found.collect::<rusqlite::Result<_>>()?;
            match self.found.back() {
                Some(place) => self.stretches[0].0 = *place,
                None => drop(self.stretches.pop_front()),
            }
            self.ahead = (self.ahead * 2).min(MOST_AHEAD);
        }
        Ok(self.found.pop_front())
    }

    /// How many places the lane holds after `after`, whether they were read ahead or not.
    fn count(&self, connection: &Connection, after: i64) -> rusqlite::Result<u64> {
        let mut count = self.found.iter().filter(|place| **place > after).count() as u64;
        let mut find = connection.prepare_cached(COUNT)?;
        for (from, last) in &self.stretches {
            let from = *from.max(&after);
            count += if *last == i64::MAX {
                // All of it was stored late enough: that is why the stretch begins where it does.
                event_counts::after(connection, self.type_id, from)?
            } else {
                let more = find.query_row((self.type_id, from, last, self.stored_after), |row| row.get(0));
                more.map(i64::unsigned_abs)?
            };
        }
        Ok(count)
    }
}

/// Several lanes as one, in the order of seq.
pub(super) struct Merge<'a> {
    connection: &'a Connection,
    lanes: Vec<Lane>,
    /// The next place of each lane that has one.
    next: BinaryHeap<Reverse<(i64, usize)>>,
}

impl<'a> Merge<'a> {
    pub(super) fn new(connection: &'a Connection, lanes: Vec<Lane>) -> rusqlite::Result<Self> {
        let mut merge = Self { connection, lanes, next: BinaryHeap::new() };
        (0..merge.lanes.len()).try_for_each(|lane| merge.refill(lane))?;
        Ok(merge)
    }

    /// The next place and its event type, which stays until it is taken with [`pop`](Self::pop).
    pub(super) fn peek(&self) -> Option<(i64, &str)> {
        let Reverse((place, lane)) = self.next.peek()?;
        Some((*place, &self.lanes[*lane].type_name))
    }

    pub(super) fn pop(&mut self) -> rusqlite::Result<()> {
        match self.next.pop() {
            Some(Reverse((_, lane))) => self.refill(lane),
            None => Ok(()),
        }
    }

    /// How many places are left.
    pub(super) fn count(&self) -> rusqlite::Result<u64> {
        let Some((next, _)) = self.peek() else { return Ok(0) };
        // The next place of each lane has left it, and all of them are still to come.
        let started = self.next.len() as u64;
        self.lanes.iter().try_fold(started, |sum, lane| Ok(sum + lane.count(self.connection, next)?))
    }

    fn refill(&mut self, lane: usize) -> rusqlite::Result<()> {
        if let Some(place) = self.lanes[lane].next(self.connection)? {
            self.next.push(Reverse((place, lane)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::plans::check(&[MARKS, STRETCH, COUNT, PROBE]);
    }
}
