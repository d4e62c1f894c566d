//! Retention: removes events that are old and that nobody owes. Their identities stay.

use inboxclaw_contract::store::{Prune, Pruned};
use inboxclaw_contract::{OwnerId, Selection};
use jiff::SignedDuration;
use rusqlite::CachedStatement;

use super::error::Fault;
use super::event_counts;
use super::scan::{self, Floors, Marks};
use super::tx::Tx;

/// How many places are looked at in one go.
const CHUNK: i64 = 512;

const OLDEST: &str = "
    SELECT seq, created_at FROM events INDEXED BY events_by_type
    WHERE type = +?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT +?4";

const OWING: &str = "SELECT sink FROM deliveries WHERE seq = ?1";
const DELETE_EVENT: &str = "DELETE FROM events WHERE seq = ?1";
const DELETE_DELIVERIES: &str = "DELETE FROM deliveries WHERE seq = ?1";
const SET_HEAD: &str = "
    INSERT INTO meta (name, value) VALUES ('head', ?1) ON CONFLICT (name) DO UPDATE SET value = max(value, ?1)";
const SET_PRUNED: &str = "
    UPDATE event_types SET pruned = max(pruned, ?2), pruned_at = max(pruned_at, ?3) WHERE id = ?1";

/// What may go of one event type.
struct Bounds {
    type_id: i64,
    /// Nothing beyond this place.
    last: i64,
    /// Only what was stored at this time or before.
    stored: i64,
    /// For each selection: kept when after that place and stored after that time.
    kept: Vec<(i64, i64)>,
}

/// One step.
pub(super) fn step(tx: &mut Tx<'_>, prune: &Prune) -> Result<Pruned, Fault> {
    let age = SignedDuration::try_from(prune.older_than).ok();
    let Some(limit) = age.and_then(|age| tx.now.0.checked_sub(age).ok()) else {
        return Ok(Pruned::default());
    };
    // Longer ago than the limit: what was stored at it stays.
    let stored = limit.as_microsecond() - 1;
    let marks = Marks::read(tx.connection)?;
    let mut floors = Floors::new(tx.connection, marks);
    let mut gone = Vec::new();
    let (mut removed, mut seqs) = (Vec::new(), Vec::new());
    for event_type in scan::types(tx.connection)? {
        let before = gone.len();
        let bounds = Bounds::new(tx, &mut floors, (event_type.id, &event_type.name), stored, &prune.owed)?;
        // Up to the last step back of the clock a place says nothing about time: each event there is looked at.
        let last = bounds.last.max(marks.stepped_back);
        collect(tx, &bounds, last, &prune.sinks, prune.limit, &mut gone)?;
        let of_type = &gone[before..];
        if let Some((last, _)) = of_type.last() {
            let latest = of_type.iter().map(|(_, created_at)| *created_at).max();
            removed.push((event_type.id, *last, latest));
            seqs.push((event_type.id, of_type.iter().map(|(seq, _)| *seq).collect::<Vec<_>>()));
        }
        if gone.len() >= prune.limit {
            break;
        }
    }
    // The end of the log must be known before its last event goes.
    tx.log()?;
    for (seq, _) in &gone {
        tx.connection.prepare_cached(DELETE_EVENT)?.execute([seq])?;
        tx.connection.prepare_cached(DELETE_DELIVERIES)?.execute([seq])?;
    }
    for (type_id, seqs) in &seqs {
        event_counts::removed(tx, *type_id, seqs)?;
    }
    for of_type in &removed {
        tx.connection.prepare_cached(SET_PRUNED)?.execute(*of_type)?;
    }
    if let Some(last) = removed.iter().map(|(_, last, _)| *last).max() {
        tx.connection.prepare_cached(SET_HEAD)?.execute([last])?;
    }
    Ok(Pruned { events: gone.len() as u64, more: !gone.is_empty() && gone.len() >= prune.limit })
}

impl Bounds {
    fn new(
        tx: &Tx<'_>,
        floors: &mut Floors<'_>,
        (type_id, name): (i64, &str),
        stored: i64,
        owed: &[Selection],
    ) -> rusqlite::Result<Self> {
        let mut last = floors.below(stored)?;
        let mut kept = Vec::new();
        for lane in owed.iter().filter_map(|selection| selection.lane(name, tx.now.0)) {
            let stored_after = lane.created_after.map_or(i64::MIN, |time| time.as_microsecond());
            let expired = if lane.created_after.is_some() { floors.below(stored_after)? } else { i64::MIN };
            last = last.min(lane.after.0.max(expired));
            kept.push((lane.after.0, stored_after));
        }
        Ok(Self { type_id, last, stored, kept })
    }

    fn frees(&self, seq: i64, created_at: i64) -> bool {
        let owed = |(after, stored_after): &(i64, i64)| seq > *after && created_at > *stored_after;
        created_at <= self.stored && !self.kept.iter().any(owed)
    }
}

/// Collects up to `limit` places in all, with their times.
fn collect(
    tx: &Tx<'_>,
    bounds: &Bounds,
    last: i64,
    sinks: &[OwnerId],
    limit: usize,
    gone: &mut Vec<(i64, i64)>,
) -> rusqlite::Result<()> {
    let mut find = tx.connection.prepare_cached(OLDEST)?;
    let mut owing = tx.connection.prepare_cached(OWING)?;
    let mut after = 0;
    loop {
        let found: Vec<(i64, i64)> = find
            .query_map((bounds.type_id, after, last, CHUNK), |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let Some((end, _)) = found.last() else { return Ok(()) };
        after = *end;
        for (seq, created_at) in found {
            if gone.len() >= limit {
                return Ok(());
            }
            if bounds.frees(seq, created_at) && !is_owed(&mut owing, seq, sinks)? {
                gone.push((seq, created_at));
            }
        }
    }
}

fn is_owed(owing: &mut CachedStatement<'_>, seq: i64, sinks: &[OwnerId]) -> rusqlite::Result<bool> {
    let mut rows = owing.query([seq])?;
    while let Some(row) = rows.next()? {
        if sinks.contains(&OwnerId(row.get(0)?)) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::plans::check(&[OLDEST, OWING, DELETE_EVENT, DELETE_DELIVERIES, SET_PRUNED, SET_HEAD]);
    }
}
