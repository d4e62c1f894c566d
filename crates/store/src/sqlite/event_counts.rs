//! How many events of a type come after a place, without walking over all of them.
//!
//! The log of each type is cut into blocks of [`BLOCK`] events, as they are appended; a row says where a block ends and
//! how many of its events are still there. So a count walks over the rest of the block that holds the place and over
//! what comes after the last block, at most a block of each, and adds up the numbers of the blocks between. A row is
//! written once for a whole block, and again when retention removes some of it.

use rusqlite::{Connection, OptionalExtension};

use super::tx::Tx;

/// How many events make a block. The migration that made the first blocks knows this number, too.
const BLOCK: i64 = 1_024;

const WALK: &str = "
    SELECT count(*) FROM events INDEXED BY events_by_type WHERE type = ?1 AND seq > ?2 AND seq <= ?3";

const LAST_BLOCK: &str = "SELECT coalesce(max(last), 0) FROM event_counts WHERE type = +?1";

const BLOCK_OF: &str = "SELECT last FROM event_counts WHERE type = +?1 AND last >= ?2 ORDER BY last LIMIT 1";

const SUM: &str = "SELECT coalesce(sum(count), 0), coalesce(max(last), ?2) FROM event_counts WHERE type = +?1 AND last > ?2";

const ADD_BLOCK: &str = "INSERT INTO event_counts (type, last, count) VALUES (?1, ?2, ?3)";

const TAKE: &str = "UPDATE event_counts SET count = count - ?3 WHERE type = ?1 AND last = ?2";

/// A block that holds nothing any more is none: the next one begins where it began.
const DROP_EMPTY: &str = "DELETE FROM event_counts WHERE type = ?1 AND last = ?2 AND count = 0";

/// How many events of that type come after the place.
pub(super) fn after(connection: &Connection, type_id: i64, place: i64) -> rusqlite::Result<u64> {
    let mut walk = connection.prepare_cached(WALK)?;
    let mut walk = |from: i64, last: i64| walk.query_row((type_id, from, last), |row| row.get::<_, i64>(0));
    let Some(block) = block_of(connection, type_id, place.saturating_add(1))? else {
        return walk(place, i64::MAX).map(i64::unsigned_abs);
    };
    let sum = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let (blocks, last) = connection.prepare_cached(SUM)?.query_row((type_id, block), sum)?;
    Ok((walk(place, block)? + blocks + walk(last, i64::MAX)?).unsigned_abs())
}

/// Where the block ends that holds the place; `None` behind the last block.
fn block_of(connection: &Connection, type_id: i64, place: i64) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached(BLOCK_OF)?.query_row((type_id, place), |row| row.get(0)).optional()
}

/// Counts an event that was just appended.
pub(super) fn appended(tx: &mut Tx<'_>, type_id: i64, seq: i64) -> rusqlite::Result<()> {
    let uncounted = match tx.cache.uncounted.get(&type_id) {
        Some(known) => known + 1,
        None => {
            let last: i64 =
                tx.connection.prepare_cached(LAST_BLOCK)?.query_row([type_id], |row| row.get(0))?;
            tx.connection.prepare_cached(WALK)?.query_row((type_id, last, seq), |row| row.get(0))?
        }
    };
    if uncounted >= BLOCK {
        tx.connection.prepare_cached(ADD_BLOCK)?.execute((type_id, seq, uncounted))?;
    }
    tx.cache.uncounted.insert(type_id, if uncounted >= BLOCK { 0 } else { uncounted });
    Ok(())
}

/// Takes events of one type, in the order of seq, from the blocks that held them.
pub(super) fn removed(tx: &mut Tx<'_>, type_id: i64, mut seqs: &[i64]) -> rusqlite::Result<()> {
    tx.cache.uncounted.remove(&type_id);
    while let Some(first) = seqs.first()
        && let Some(block) = block_of(tx.connection, type_id, *first)?
    {
        let held = seqs.partition_point(|seq| *seq <= block);
        let count = i64::try_from(held).unwrap_or(i64::MAX);
        tx.connection.prepare_cached(TAKE)?.execute((type_id, block, count))?;
        tx.connection.prepare_cached(DROP_EMPTY)?.execute((type_id, block))?;
        seqs = &seqs[held..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::plans::check(&[WALK, LAST_BLOCK, BLOCK_OF, SUM, ADD_BLOCK, TAKE, DROP_EMPTY]);
    }
}
