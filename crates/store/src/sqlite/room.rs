//! Room: removes the oldest events while the database holds more than it may, first those that nobody owes.
//!
//! What counts are the pages in use: the file does not shrink, SQLite uses the free ones again.

use std::collections::BTreeMap;

use inboxclaw_contract::OwnerId;
use inboxclaw_contract::store::Room;
use rusqlite::Connection;

use super::counts::unsigned;
use super::error::Fault;
use super::prune;
use super::scan::{self, EventType};
use super::sinks::claims::{RetentionClaim, claims};
use super::sinks::lapses::Drops;
use super::tx::Tx;
use super::writer_state::RoomPlace;

/// How many places one step looks at.
const LOOKED_AT: i64 = 4_096;

const USED: &str = "
    SELECT (page_count - freelist_count) * page_size
    FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()";
const OLDEST: &str = "
    SELECT seq, type, created_at, octet_length(data) + octet_length(meta) FROM events
    WHERE seq > ?1 ORDER BY seq LIMIT +?2";
const OWING: &str = "SELECT sink FROM deliveries WHERE seq = ?1";

/// The bytes in use.
pub(super) fn used(connection: &Connection) -> rusqlite::Result<u64> {
    connection.prepare_cached(USED)?.query_row([], |row| Ok(unsigned(row.get(0)?)))
}

/// One event, as far as it matters here.
struct Place {
    seq: i64,
    type_id: i64,
    created_at: i64,
    bytes: u64,
}

/// One step.
pub(super) fn step(tx: &mut Tx<'_>, max_bytes: u64, limit: usize) -> Result<Room, Fault> {
    let bytes = used(tx.connection)?;
    let RoomPlace { mut after, owed } = std::mem::take(&mut tx.writer.room);
    let Some(mut over) = bytes.checked_sub(max_bytes).filter(|over| *over > 0) else {
        return Ok(Room { bytes, ..Room::default() });
    };
    let claims = claims(tx.connection)?;
    let types: BTreeMap<i64, EventType> =
        scan::types(tx.connection)?.into_iter().map(|event_type| (event_type.id, event_type)).collect();
    let places = places(tx.connection, after)?;
    let mut is_last = places.len() < usize::try_from(LOOKED_AT).unwrap_or(usize::MAX);
    let (mut gone, mut drops, mut events) = (BTreeMap::<i64, Vec<(i64, i64)>>::new(), Drops::default(), 0);
    for place in places {
        if over == 0 || events >= limit.max(1) as u64 {
            is_last = false;
            break;
        }
        after = place.seq;
        let Some(event_type) = types.get(&place.type_id) else { continue };
        let sinks = owing(tx, &claims, event_type, &place)?;
        if !owed && !sinks.is_empty() {
            continue;
        }
        sinks.into_iter().for_each(|sink| drops.add(sink, event_type, place.seq, place.created_at));
        gone.entry(place.type_id).or_default().push((place.seq, place.created_at));
        over = over.saturating_sub(place.bytes);
        events += 1;
    }
    prune::remove(tx, &gone.into_iter().collect::<Vec<_>>())?;
    drops.store(tx)?;
    tx.writer.room = match (is_last, owed) {
        (true, false) => RoomPlace { after: 0, owed: true },
        (true, true) => RoomPlace::default(),
        (false, _) => RoomPlace { after, owed },
    };
    Ok(Room { bytes, events, more: !(is_last && owed) })
}

fn places(connection: &Connection, after: i64) -> rusqlite::Result<Vec<Place>> {
    let mut find = connection.prepare_cached(OLDEST)?;
    let rows = find.query_map((after, LOOKED_AT), |row| {
        let (seq, type_id, created_at) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Place { seq, type_id, created_at, bytes: unsigned(row.get(3)?) })
    })?;
    rows.collect()
}

/// The sinks that owe an event, also those that keep it for a person.
fn owing(
    tx: &Tx<'_>,
    claims: &[RetentionClaim],
    event_type: &EventType,
    place: &Place,
) -> rusqlite::Result<Vec<OwnerId>> {
    let mut find = tx.connection.prepare_cached(OWING)?;
    let rows = find.query_map([place.seq], |row| row.get(0).map(OwnerId))?;
    let mut owing: Vec<OwnerId> = rows.collect::<rusqlite::Result<_>>()?;
    owing.retain(|sink| claims.iter().any(|claim| claim.sink == *sink));
    for claim in claims {
        let Some(lane) = claim.selection.lane(&event_type.name, tx.clock.trusted.0) else { continue };
        let alive = lane.created_after.map_or(i64::MIN, |time| time.as_microsecond());
        if place.seq > lane.after.0 && place.created_at > alive && !owing.contains(&claim.sink) {
            owing.push(claim.sink);
        }
    }
    Ok(owing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::plans::check(&[OLDEST, OWING]);
    }
}
