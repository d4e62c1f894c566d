//! What left the debts of sinks without their consumers' yes: events that outlived their time to live, and events that
//! retention removed because they were owed for too long.

use std::collections::BTreeMap;

use inboxclaw_contract::sinks::{DROPPED, Expired, Lapse, Untold};
use inboxclaw_contract::turn::DeliveryState;
use inboxclaw_contract::{OwnerId, Seq};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use super::super::counts::{signed, unsigned};
use super::super::scan::{self, EventType, Floors, Marks};
use super::super::tx::Tx;
use super::super::values::{Micros, state_number};
use super::claims::{RetentionClaim, claims};

const EXPIRED_TO: &str = "SELECT expired_to FROM lapses WHERE sink = ?1 AND type = ?2";

const COUNT_OLD: &str = "
    SELECT count(*) FROM events INDEXED BY events_by_type
    WHERE type = ?1 AND seq > ?2 AND seq <= ?3 AND created_at <= ?4";

/// Deliveries that nobody holds and that may be too old.
const FREE: &str = "
    SELECT d.seq, e.type, e.created_at FROM deliveries d JOIN events e ON e.seq = d.seq
    WHERE d.sink = +?1 AND d.state = +?2 AND d.due <= ?3 ORDER BY d.seq LIMIT +?4";
/// Unless it was leased meanwhile.
const REMOVE_FREE: &str = "DELETE FROM deliveries WHERE sink = ?1 AND seq = ?2 AND state = ?3 AND due <= ?4";
/// How many deliveries of a sink are looked at in one go; most sinks have no more.
const FREE_AT_ONCE: i64 = 10_000;

const ADD_EXPIRED: &str = "
    INSERT INTO lapses (sink, type, expired, expired_to) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (sink, type) DO UPDATE SET expired = expired + ?3, expired_to = max(expired_to, ?4)";

const ADD_DROPPED: &str = "
    INSERT INTO lapses (sink, type, dropped, untold, first_seq, first_at, last_seq, last_at)
    VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (sink, type) DO UPDATE SET dropped = dropped + ?3, untold = untold + ?3,
        first_seq = iif(untold = 0, ?4, min(first_seq, ?4)), first_at = iif(untold = 0, ?5, min(first_at, ?5)),
        last_seq = iif(untold = 0, ?6, max(last_seq, ?6)), last_at = iif(untold = 0, ?7, max(last_at, ?7))";

const ALL: &str = "
    SELECT l.sink, t.name, l.expired, l.dropped, l.untold, l.first_seq, l.first_at, l.last_seq, l.last_at
    FROM lapses l JOIN event_types t ON t.id = l.type ORDER BY l.sink, t.name";

const SET_TOLD: &str = "
    UPDATE lapses SET untold = max(0, untold - ?3)
    WHERE sink = ?1 AND type = (SELECT id FROM event_types WHERE name = ?2)";

/// Events of one type that have outlived their time to live at a sink.
pub(super) struct Found {
    sink: OwnerId,
    type_id: i64,
    type_name: String,
    count: i64,
    /// Up to here, everything of the log is counted.
    to: i64,
    /// Deliveries that are to go, and the time at which nobody held them.
    deliveries: Vec<i64>,
    at: Micros,
}

/// Looks for events that have outlived their time to live at `now` and are not counted yet.
pub(super) fn expiring(connection: &Connection, now: Micros) -> rusqlite::Result<Vec<Found>> {
    let claims: Vec<_> = claims(connection)?.into_iter().filter(|it| it.selection.ttl.is_some()).collect();
    if claims.is_empty() {
        return Ok(Vec::new());
    }
    let types = scan::types(connection)?;
    let mut floors = Floors::new(connection, Marks::read(connection)?);
    let mut found = Vec::new();
    for claim in claims {
        let mut free = free(connection, &claim, &types, now)?;
        for event_type in &types {
            let deliveries = free.remove(&event_type.id).unwrap_or_default();
            found.extend(of_type(connection, &claim, event_type, &mut floors, deliveries, now)?);
        }
    }
    Ok(found)
}

fn of_type(
    connection: &Connection,
    claim: &RetentionClaim,
    event_type: &EventType,
    floors: &mut Floors<'_>,
    deliveries: Vec<i64>,
    now: Micros,
) -> rusqlite::Result<Option<Found>> {
    let Some(lane) = claim.selection.lane(&event_type.name, now.0) else { return Ok(None) };
    let Some(limit) = lane.created_after.map(|limit| limit.as_microsecond()) else { return Ok(None) };
    let mut counted = connection.prepare_cached(EXPIRED_TO)?;
    let counted: Option<i64> =
        counted.query_row((claim.sink.0, event_type.id), |row| row.get(0)).optional()?;
    let (from, to) = (lane.after.0.max(counted.unwrap_or(0)), floors.below(limit)?);
    let mut count = i64::try_from(deliveries.len()).unwrap_or(i64::MAX);
    if to > from {
        let range = (event_type.id, from, to, limit);
        count += connection.prepare_cached(COUNT_OLD)?.query_row(range, |row| row.get::<_, i64>(0))?;
    }
    let (sink, type_id, type_name) = (claim.sink, event_type.id, event_type.name.clone());
    Ok((count > 0).then_some(Found { sink, type_id, type_name, count, to, deliveries, at: now }))
}

/// Deliveries of a sink that nobody holds a lease on and that are too old, by the number of the type.
fn free(
    connection: &Connection,
    claim: &RetentionClaim,
    types: &[EventType],
    now: Micros,
) -> rusqlite::Result<BTreeMap<i64, Vec<i64>>> {
    let limits: BTreeMap<i64, i64> = types
        .iter()
        .filter_map(|it| {
            let limit = claim.selection.lane(&it.name, now.0)?.created_after?;
            Some((it.id, limit.as_microsecond()))
        })
        .collect();
    let mut find = connection.prepare_cached(FREE)?;
    let waiting = state_number(DeliveryState::Waiting);
    let mut rows = find.query((claim.sink.0, waiting, now, FREE_AT_ONCE))?;
    let mut free: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (type_id, created_at): (i64, i64) = (row.get(1)?, row.get(2)?);
        if limits.get(&type_id).is_some_and(|limit| created_at <= *limit) {
            free.entry(type_id).or_default().push(row.get(0)?);
        }
    }
    Ok(free)
}

/// Counts what was found, and ends its deliveries.
pub(super) fn expire(tx: &Tx<'_>, found: &[Found]) -> rusqlite::Result<Vec<Expired>> {
    let waiting = state_number(DeliveryState::Waiting);
    let mut add = tx.connection.prepare_cached(ADD_EXPIRED)?;
    let mut remove = tx.connection.prepare_cached(REMOVE_FREE)?;
    let mut expired = Vec::new();
    for one in found {
        let mut count = one.count;
        for seq in &one.deliveries {
            if remove.execute((one.sink.0, seq, waiting, one.at))? == 0 {
                count -= 1;
            }
        }
        add.execute((one.sink.0, one.type_id, count, one.to))?;
        let (event_type, count) = (one.type_name.clone(), unsigned(count));
        expired.push(Expired { sink: one.sink, event_type, count });
    }
    Ok(expired)
}

/// Events that retention removes although sinks owe them, by sink and number of the type.
#[derive(Default)]
pub(in super::super) struct Drops(BTreeMap<(OwnerId, i64), Untold>);

impl Drops {
    /// Notes one event that `sink` owed.
    pub(in super::super) fn add(&mut self, sink: OwnerId, event_type: &EventType, seq: i64, created_at: i64) {
        if event_type.name == DROPPED {
            return;
        }
        let place = (Seq(seq), Timestamp::from_microsecond(created_at).unwrap_or(Timestamp::UNIX_EPOCH));
        let all =
            self.0.entry((sink, event_type.id)).or_insert(Untold { count: 0, first: place, last: place });
        all.count += 1;
        all.first = (all.first.0.min(place.0), all.first.1.min(place.1));
        all.last = (all.last.0.max(place.0), all.last.1.max(place.1));
    }

    /// Stores them, to be told.
    pub(in super::super) fn store(self, tx: &Tx<'_>) -> rusqlite::Result<()> {
        let mut add = tx.connection.prepare_cached(ADD_DROPPED)?;
        for ((sink, type_id), Untold { count, first, last }) in self.0 {
            let (from, to) = ((first.0.0, Micros(first.1)), (last.0.0, Micros(last.1)));
            add.execute((sink.0, type_id, signed(count), from.0, from.1, to.0, to.1))?;
        }
        Ok(())
    }
}

/// Everything that ever lapsed.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Lapse>> {
    let mut all = connection.prepare_cached(ALL)?;
    all.query_map([], lapse)?.collect()
}

fn lapse(row: &Row<'_>) -> rusqlite::Result<Lapse> {
    let count = unsigned(row.get(4)?);
    let place = |seq: usize| -> rusqlite::Result<Option<(Seq, Timestamp)>> {
        let (seq, at): (Option<i64>, Option<Micros>) = (row.get(seq)?, row.get(seq + 1)?);
        Ok(seq.zip(at).map(|(seq, at)| (Seq(seq), at.0)))
    };
    let ends = place(5)?.zip(place(7)?).filter(|_| count > 0);
    Ok(Lapse {
        sink: OwnerId(row.get(0)?),
        event_type: row.get(1)?,
        expired: unsigned(row.get(2)?),
        dropped: unsigned(row.get(3)?),
        untold: ends.map(|(first, last)| Untold { count, first, last }),
    })
}

/// Notes that people know of what was dropped.
pub(super) fn set_told(tx: &Tx<'_>, lapse: &Lapse) -> rusqlite::Result<()> {
    let count = lapse.untold.map_or(0, |untold| untold.count);
    tx.connection
        .prepare_cached(SET_TOLD)?
        .execute((lapse.sink.0, &lapse.event_type, signed(count)))
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::super::plans::check(&[EXPIRED_TO, COUNT_OLD, FREE, REMOVE_FREE, SET_TOLD]);
    }
}
