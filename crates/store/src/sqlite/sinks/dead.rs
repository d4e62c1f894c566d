//! The end of dead letters that nobody acted on: they are no longer owed, which is counted and told as what retention
//! drops. Their events stay until retention removes them.

use std::time::Duration;

use inboxclaw_contract::OwnerId;
use inboxclaw_contract::store::ExpiredDead;
use inboxclaw_contract::turn::DeliveryState;
use jiff::SignedDuration;
use rusqlite::Connection;

use super::super::scan;
use super::super::tx::Tx;
use super::super::values::{Micros, state_number};
use super::lapses::Drops;

/// All sinks that are known: one that has left the configuration may have dead letters, too.
const SINKS: &str = "SELECT id FROM owners WHERE kind = 'sink' ORDER BY id";

/// A dead letter is due since it is one.
const OLD: &str = "
    SELECT d.seq, e.type, e.created_at
    FROM deliveries d INDEXED BY deliveries_by_due LEFT JOIN events e ON e.seq = d.seq
    WHERE d.sink = +?1 AND d.state = +?2 AND d.due < ?3 ORDER BY d.due LIMIT +?4";

const REMOVE: &str = "DELETE FROM deliveries WHERE sink = ?1 AND seq = ?2";

/// A dead letter: its place, and the type and time of its event while that is there.
type Letter = (i64, Option<i64>, Option<i64>);

/// Ends up to `limit` dead letters that are older than `dead_max`.
pub(super) fn expire(tx: &Tx<'_>, dead_max: Duration, limit: usize) -> rusqlite::Result<ExpiredDead> {
    let before =
        SignedDuration::try_from(dead_max).ok().and_then(|age| tx.clock.trusted.0.checked_sub(age).ok());
    let Some(before) = before.map(Micros) else { return Ok(ExpiredDead::default()) };
    let limit = limit.max(1);
    let (mut left, mut drops, mut types) = (limit, Drops::default(), None);
    for sink in sinks(tx.connection)? {
        let letters = old(tx.connection, sink, before, left)?;
        for (seq, type_id, created_at) in &letters {
            tx.connection.prepare_cached(REMOVE)?.execute((sink.0, seq))?;
            let types = match &mut types {
                Some(types) => types,
                none => none.insert(scan::types(tx.connection)?),
            };
            let event_type = types.iter().find(|it| Some(it.id) == *type_id);
            if let (Some(event_type), Some(created_at)) = (event_type, created_at) {
                drops.add(sink, event_type, *seq, *created_at);
            }
        }
        left -= letters.len();
        if left == 0 {
            break;
        }
    }
    drops.store(tx)?;
    Ok(ExpiredDead { letters: (limit - left) as u64, more: left == 0 })
}

fn sinks(connection: &Connection) -> rusqlite::Result<Vec<OwnerId>> {
    let mut all = connection.prepare_cached(SINKS)?;
    all.query_map([], |row| row.get(0).map(OwnerId))?.collect()
}

fn old(connection: &Connection, sink: OwnerId, before: Micros, most: usize) -> rusqlite::Result<Vec<Letter>> {
    let mut find = connection.prepare_cached(OLD)?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = find.query_map((sink.0, state_number(DeliveryState::Dead), before, most), |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::super::plans::check(&[OLD, REMOVE]);
    }
}
