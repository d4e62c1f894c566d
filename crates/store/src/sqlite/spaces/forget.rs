//! Forgetting an owner: at once it has nothing any more, and in steps its rows go. Its number stays for what it ever
//! reported; the entries go with their space, by sweeping.

use inboxclaw_contract::{OwnerId, StoreError, Version};
use rusqlite::OptionalExtension;

use super::super::error::Fault;
use super::super::tx::Tx;
use super::super::{pending, sinks};

/// How many rows of each kind one step removes at most, and how many bytes of history.
const STEP: usize = 2_000;
const STEP_BYTES: i64 = 8 << 20;

const HEAD: &str = "SELECT forgotten, version, history FROM owners WHERE id = ?1";

const ADD_SPACE: &str = "INSERT INTO spaces (owner) VALUES (?1)";

/// The version grows, so that a turn in flight conflicts, and so that the row shows that it was once in use.
const RESET: &str = "
    UPDATE owners SET forgotten = 1, space = ?2, entries = 0, bytes = 0,
        version = version + (version > 0 OR turn_id IS NOT NULL), turn_id = NULL, cursor = NULL,
        failures = 0, next_at = NULL, paused = 0, announced = NULL, seen_at = NULL,
        claim_holder = NULL, claim_until = NULL
    WHERE id = ?1";

const ROW: &str = "SELECT previous, bytes FROM history WHERE id = ?1 AND owner = ?2";
const DELETE_ROW: &str = "DELETE FROM history WHERE id = ?1";
const SET_HISTORY: &str =
    "UPDATE owners SET history = ?2, history_bytes = max(0, history_bytes - ?3) WHERE id = ?1";

const DELETE_DELIVERIES: &str = "
    DELETE FROM deliveries WHERE sink = ?1
        AND seq IN (SELECT seq FROM deliveries WHERE sink = +?1 ORDER BY seq LIMIT +?2)";

/// One step; `true` when nothing is left to do.
pub(super) fn step(tx: &mut Tx<'_>, owner: OwnerId) -> Result<bool, Fault> {
    let connection = tx.connection;
    let head = connection
        .prepare_cached(HEAD)?
        .query_row([owner.0], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get::<_, Option<i64>>(2)?)));
    let (forgotten, version, history): (bool, _, _) = head.optional()?.ok_or(StoreError::NoOwner(owner))?;
    if !forgotten {
        let space = connection.prepare_cached(ADD_SPACE)?.insert([owner.0])?;
        connection.prepare_cached(RESET)?.execute((owner.0, space))?;
        sinks::forget(connection, owner)?;
        tx.cache.changed.push((owner, Version(version + 1)));
    }
    // With each step, because the cached row holds numbers that change here.
    tx.cache.forget_owner(owner);
    tx.writer.forget(owner);
    let left = remove_history(tx, owner, history)?;
    let deliveries = connection.prepare_cached(DELETE_DELIVERIES)?.execute((owner.0, STEP as i64))?;
    let is_rid = pending::forget(tx, owner, STEP as i64)?;
    Ok(left.is_none() && deliveries < STEP && is_rid)
}

/// Removes rows from the newest on, and returns the next one. Should the owner come back before all are gone, its
/// first row names one of another version, where every walk ends.
fn remove_history(tx: &Tx<'_>, owner: OwnerId, head: Option<i64>) -> rusqlite::Result<Option<i64>> {
    let mut find = tx.connection.prepare_cached(ROW)?;
    let mut delete = tx.connection.prepare_cached(DELETE_ROW)?;
    let (mut next, mut freed) = (head, 0);
    for _ in 0..STEP {
        let Some(id) = next else { break };
        let row = find.query_row((id, owner.0), |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)));
        // Where a row is gone, the older ones are.
        let Some((previous, bytes)) = row.optional()? else {
            next = None;
            break;
        };
        delete.execute([id])?;
        next = previous;
        freed += bytes;
        if freed >= STEP_BYTES {
            break;
        }
    }
    if head.is_some() {
        tx.connection.prepare_cached(SET_HISTORY)?.execute((owner.0, next, freed))?;
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::super::plans::check(&[HEAD, RESET, ROW, DELETE_ROW, SET_HISTORY, DELETE_DELIVERIES]);
    }
}
