//! Retention: removes events that are old and that nobody owes any more. Their identities stay.
//!
//! A pass goes over the log type by type, in steps that hold up no turn: each looks at a bounded number of places and
//! the next one goes on behind them. So it ends also where most of what it looks at stays, as after the clock was set
//! back, when a place in the log says nothing about time.

use std::collections::VecDeque;
use std::time::Duration;

use inboxclaw_contract::OwnerId;
use inboxclaw_contract::store::{Prune, Pruned};
use inboxclaw_contract::turn::DeliveryState;
use jiff::{SignedDuration, Timestamp};
use rusqlite::CachedStatement;

use super::error::Fault;
use super::event_counts;
use super::scan::{self, EventType, Floors, Marks};
use super::sinks::claims::{RetentionClaim, claims};
use super::sinks::lapses::Drops;
use super::tx::Tx;
use super::values::{Micros, state_of};
use super::writer_state::PrunePlace;

/// How many places are read in one go, and how many one step looks at.
const CHUNK: i64 = 512;
const LOOKED_AT: usize = 4_096;

const OLDEST: &str = "
    SELECT seq, created_at FROM events INDEXED BY events_by_type
    WHERE type = +?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT +?4";

const OWING: &str = "SELECT sink, state FROM deliveries WHERE seq = ?1";
const DELETE_EVENT: &str = "DELETE FROM events WHERE seq = ?1";
const DELETE_DELIVERIES: &str = "DELETE FROM deliveries WHERE seq = ?1";
const SET_HEAD: &str = "
    INSERT INTO meta (name, value) VALUES ('head', ?1) ON CONFLICT (name) DO UPDATE SET value = max(value, ?1)";
const SET_PRUNED: &str = "
    UPDATE event_types SET pruned = max(pruned, ?2), pruned_at = max(pruned_at, ?3) WHERE id = ?1";

/// The times that decide, in microseconds: what was stored at them or before is concerned.
struct Ages {
    /// Past retention.
    old: i64,
    /// No longer owed to anybody.
    owed: i64,
}

/// What keeps an event of one type: a sink that wants it.
struct Kept {
    sink: OwnerId,
    /// It wants what is after this place and was stored after this time.
    after: i64,
    alive: i64,
}

/// What may go of one event type.
struct Bounds<'a> {
    event_type: &'a EventType,
    /// Nothing beyond this place.
    last: i64,
    ages: &'a Ages,
    kept: Vec<Kept>,
    /// The sinks that keep anything at all.
    claims: &'a [RetentionClaim],
}

/// What one step found.
struct Step {
    /// How many more places it may look at, and how many it may free.
    look: usize,
    free: usize,
    /// What goes: places with their times, in the order in which they were found.
    gone: Vec<(i64, i64)>,
    drops: Drops,
}

/// One step.
pub(super) fn step(tx: &mut Tx<'_>, prune: &Prune) -> Result<Pruned, Fault> {
    let owed = Ages::owed(tx.clock.trusted, prune);
    let marks = Marks::read(tx.connection)?;
    let mut floors = Floors::new(tx.connection, marks);
    let mut claims = claims(tx.connection)?;
    claims.retain(|claim| claim.left_at.is_none_or(|left_at| left_at.get() > owed));
    let pass = std::mem::take(&mut tx.writer.prune);
    let mut types = scan::types(tx.connection)?;
    types.sort_unstable_by_key(|event_type| event_type.id);
    let mut left: VecDeque<EventType> = types.into_iter().filter(|it| it.id >= pass.type_id).collect();
    let free = prune.limit.max(1);
    let mut step = Step { look: LOOKED_AT, free, gone: Vec::new(), drops: Drops::default() };
    let mut removed = Vec::new();
    while let Some(event_type) = left.pop_front() {
        // Some types may be kept for ever.
        let Some(ages) = Ages::of(&event_type, tx.clock.trusted, prune) else { continue };
        let before = step.gone.len();
        let after = if event_type.id == pass.type_id { pass.after } else { 0 };
        let bounds = Bounds::new(tx, &mut floors, &event_type, &ages, &claims)?;
        let next = step.walk(tx, &bounds, after)?;
        let of_type = &step.gone[before..];
        removed.push((event_type.id, of_type.to_vec()));
        if let Some(after) = next {
            tx.writer.prune = PrunePlace { type_id: event_type.id, after };
            break;
        }
    }
    remove(tx, &removed)?;
    let (events, more) = (step.gone.len() as u64, tx.writer.prune.type_id > 0);
    step.drops.store(tx)?;
    Ok(Pruned { events, more })
}

/// Removes events, given as places with their times by the number of the type, and marks where they were.
pub(super) fn remove(tx: &mut Tx<'_>, removed: &[(i64, Vec<(i64, i64)>)]) -> Result<(), Fault> {
    // The end of the log must be known before its last event goes.
    tx.log()?;
    for (type_id, places) in removed {
        let (last, newest) = (places.iter().map(|it| it.0).max(), places.iter().map(|it| it.1).max());
        let Some((last, newest)) = last.zip(newest) else { continue };
        let seqs: Vec<i64> = places.iter().map(|(seq, _)| *seq).collect();
        for seq in &seqs {
            tx.connection.prepare_cached(DELETE_EVENT)?.execute([seq])?;
            tx.connection.prepare_cached(DELETE_DELIVERIES)?.execute([seq])?;
        }
        event_counts::removed(tx, *type_id, &seqs)?;
        tx.connection.prepare_cached(SET_PRUNED)?.execute((type_id, last, newest))?;
        tx.connection.prepare_cached(SET_HEAD)?.execute([last])?;
    }
    Ok(())
}

impl Ages {
    /// `None` when events of that type are kept for ever.
    fn of(event_type: &EventType, now: Micros, prune: &Prune) -> Option<Self> {
        // Longer ago than the limit: what was stored at it stays.
        let old = before(now, prune.keep.of(&event_type.name)?)? - 1;
        Some(Self { old, owed: Self::owed(now, prune) })
    }

    /// No longer owed to anybody, whatever its type.
    fn owed(now: Micros, prune: &Prune) -> i64 {
        before(now, prune.owed_max).unwrap_or(i64::MIN).saturating_sub(1)
    }
}

/// So long ago; `None` when that is before all time.
fn before(now: Micros, age: Duration) -> Option<i64> {
    let age = SignedDuration::try_from(age).ok()?;
    now.0.checked_sub(age).ok().map(Timestamp::as_microsecond)
}

impl<'a> Bounds<'a> {
    fn new(
        tx: &Tx<'_>,
        floors: &mut Floors<'_>,
        event_type: &'a EventType,
        ages: &'a Ages,
        claims: &'a [RetentionClaim],
    ) -> rusqlite::Result<Self> {
        let mut last = floors.below(ages.old)?;
        let mut kept = Vec::new();
        for claim in claims {
            let Some(lane) = claim.selection.lane(&event_type.name, tx.clock.trusted.0) else { continue };
            let alive = lane.created_after.map_or(i64::MIN, |time| time.as_microsecond());
            // Up to here it owes nothing any more, because of its position or because of the time.
            let free = lane.after.0.max(floors.below(alive.max(ages.owed))?);
            last = last.min(free);
            kept.push(Kept { sink: claim.sink, after: lane.after.0, alive });
        }
        // Up to the last step back of the clock a place says nothing about time: each event there is looked at.
        let last = last.max(floors.stepped_back());
        Ok(Self { event_type, last, ages, kept, claims })
    }

    /// Whether an event goes; if so, notes the sinks that owed it.
    fn frees(
        &self,
        owing: &mut CachedStatement<'_>,
        (seq, created_at): (i64, i64),
        drops: &mut Drops,
    ) -> rusqlite::Result<bool> {
        if created_at > self.ages.old {
            return Ok(false);
        }
        let wants = |kept: &&Kept| seq > kept.after && created_at > kept.alive;
        let mut owed: Vec<OwnerId> = self.kept.iter().filter(wants).map(|kept| kept.sink).collect();
        let mut rows = owing.query([seq])?;
        while let Some(row) = rows.next()? {
            let (sink, state) = (OwnerId(row.get(0)?), state_of(row.get(1)?));
            if !self.claims.iter().any(|claim| claim.sink == sink) {
                continue;
            }
            if state == DeliveryState::Dead {
                // Kept for a person.
                return Ok(false);
            }
            owed.push(sink);
        }
        if !owed.is_empty() && created_at > self.ages.owed {
            return Ok(false);
        }
        owed.sort_unstable();
        owed.dedup();
        for sink in owed {
            drops.add(sink, self.event_type, seq, created_at);
        }
        Ok(true)
    }
}

impl Step {
    /// Looks at the places of one type after `after`. Returns where to go on, when that was not all.
    fn walk(&mut self, tx: &Tx<'_>, bounds: &Bounds<'_>, mut after: i64) -> rusqlite::Result<Option<i64>> {
        let mut find = tx.connection.prepare_cached(OLDEST)?;
        let mut owing = tx.connection.prepare_cached(OWING)?;
        loop {
            if self.look == 0 || self.free == 0 {
                return Ok(Some(after));
            }
            let most = CHUNK.min(i64::try_from(self.look).unwrap_or(CHUNK));
            let found: Vec<(i64, i64)> = find
                .query_map((bounds.event_type.id, after, bounds.last, most), |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?
                .collect::<rusqlite::Result<_>>()?;
            if found.is_empty() {
                return Ok(None);
            }
            for place in found {
                if self.free == 0 {
                    break;
                }
                self.look -= 1;
                after = place.0;
                if bounds.frees(&mut owing, place, &mut self.drops)? {
                    self.free -= 1;
                    self.gone.push(place);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::plans::check(&[OLDEST, OWING, DELETE_EVENT, DELETE_DELIVERIES, SET_PRUNED, SET_HEAD]);
    }
}
