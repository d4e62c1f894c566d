//! What each sink owes, by event type: found from the index alone, and counted only up to a bound.

use std::collections::BTreeMap;

use inboxclaw_contract::sinks::{COUNTED, Debt, DeliveryCounts, SinkDebts};
use inboxclaw_contract::turn::DeliveryState;
use inboxclaw_contract::{OwnerId, Seq};
use rusqlite::{Connection, OptionalExtension};

use super::super::counts::{signed, unsigned};
use super::super::scan::{self, EventType, Floors, Marks};
use super::super::values::{Micros, state_number};
use super::claims::{RetentionClaim, claims};

/// The ends of what a sink wants of a type, from a place on that is after all that is too old.
const FIRST: &str = "
    SELECT seq, created_at FROM events INDEXED BY events_by_type
    WHERE type = +?1 AND seq > ?2 AND created_at > ?3 ORDER BY seq LIMIT 1";
const LAST: &str = "
    SELECT seq, created_at FROM events INDEXED BY events_by_type
    WHERE type = +?1 AND seq > ?2 AND created_at > ?3 ORDER BY seq DESC LIMIT 1";
const COUNT: &str = "
    SELECT count(*) FROM (
        SELECT 1 FROM events INDEXED BY events_by_type
        WHERE type = +?1 AND seq > ?2 AND created_at > ?3 LIMIT +?4)";

const WAITING: &str = "
    SELECT e.type, e.seq, e.created_at FROM deliveries d JOIN events e ON e.seq = d.seq
    WHERE d.sink = +?1 AND d.state = +?2 ORDER BY d.seq LIMIT +?3";

const DELIVERIES: &str = "
    SELECT count(*), min(due) FROM deliveries INDEXED BY deliveries_by_due WHERE sink = ?1 AND state = ?2";

/// What every sink owes at `now`.
pub(super) fn all(connection: &Connection, now: Micros) -> rusqlite::Result<Vec<SinkDebts>> {
    let marks = Marks::read(connection)?;
    let mut floors = Floors::new(connection, marks);
    let types = scan::types(connection)?;
    let claims = claims(connection)?.into_iter();
    claims.map(|claim| of(connection, claim, &types, &mut floors, now)).collect()
}

fn of(
    connection: &Connection,
    claim: RetentionClaim,
    types: &[EventType],
    floors: &mut Floors<'_>,
    now: Micros,
) -> rusqlite::Result<SinkDebts> {
    let mut waiting = waiting(connection, &claim)?;
    let mut owed = Vec::new();
    for event_type in types {
        let of_log = of_log(connection, &claim, event_type, floors, now)?;
        let debt = joined(of_log, waiting.remove(&event_type.id));
        owed.extend(debt.map(|debt| Debt { event_type: event_type.name.clone(), ..debt }));
    }
    let RetentionClaim { sink, left_at, problem, .. } = claim;
    let deliveries = counts(connection, sink)?;
    Ok(SinkDebts { sink, left_at: left_at.map(|at| at.0), problem, types: owed, deliveries })
}

/// What a sink wants of one type beyond its position.
fn of_log(
    connection: &Connection,
    claim: &RetentionClaim,
    event_type: &EventType,
    floors: &mut Floors<'_>,
    now: Micros,
) -> rusqlite::Result<Option<Debt>> {
    let Some(lane) = claim.selection.lane(&event_type.name, now.0) else { return Ok(None) };
    let (mut after, mut stored_after) = (lane.after.0, i64::MIN);
    if let Some(time) = lane.created_after {
        stored_after = time.as_microsecond();
        // What is too old need not be walked over, but where times do not grow with seq.
        let floor = floors.below(stored_after)?;
        after = if after < floors.stepped_back() { after } else { after.max(floor) };
    }
    let range = (event_type.id, after, stored_after);
    let end = |sql| {
        let mut find = connection.prepare_cached(sql)?;
        let found = find.query_row(range, |row| Ok((Seq(row.get(0)?), row.get::<_, Micros>(1)?.0)));
        found.optional()
    };
    let (Some(oldest), Some(newest)) = (end(FIRST)?, end(LAST)?) else { return Ok(None) };
    let range = (event_type.id, after, stored_after, signed(COUNTED));
    let count: i64 = connection.prepare_cached(COUNT)?.query_row(range, |row| row.get(0))?;
    Ok(Some(Debt { event_type: String::new(), count: unsigned(count), oldest, newest }))
}

/// What a sink owes out of order and still hands out, by the number of the type.
fn waiting(connection: &Connection, claim: &RetentionClaim) -> rusqlite::Result<BTreeMap<i64, Debt>> {
    let mut find = connection.prepare_cached(WAITING)?;
    let mut rows = find.query((claim.sink.0, state_number(DeliveryState::Waiting), signed(COUNTED)))?;
    let mut waiting: BTreeMap<i64, Debt> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let place = (Seq(row.get(1)?), row.get::<_, Micros>(2)?.0);
        let one = Debt { event_type: String::new(), count: 1, oldest: place, newest: place };
        let type_id = row.get(0)?;
        let sum = joined(waiting.remove(&type_id), Some(one));
        waiting.extend(sum.map(|sum| (type_id, sum)));
    }
    Ok(waiting)
}

/// How many deliveries a sink has.
fn counts(connection: &Connection, sink: OwnerId) -> rusqlite::Result<DeliveryCounts> {
    let of = |state| {
        let mut count = connection.prepare_cached(DELIVERIES)?;
        count.query_row((sink.0, state_number(state)), |row| {
            Ok((unsigned(row.get(0)?), row.get::<_, Option<Micros>>(1)?))
        })
    };
    let (waiting, _) = of(DeliveryState::Waiting)?;
    let (dead, since) = of(DeliveryState::Dead)?;
    Ok(DeliveryCounts { waiting, dead, dead_since: since.map(|at| at.0) })
}

/// Two debts of the same type as one.
fn joined(one: Option<Debt>, other: Option<Debt>) -> Option<Debt> {
    let (one, other) = match (one, other) {
        (Some(one), Some(other)) => (one, other),
        (one, other) => return one.or(other),
    };
    Some(Debt {
        count: (one.count + other.count).min(COUNTED),
        oldest: one.oldest.min(other.oldest),
        newest: one.newest.max(other.newest),
        ..one
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::super::plans::check(&[FIRST, LAST, WAITING, DELIVERIES]);
    }
}
