//! Removes what has expired: entries, and history beyond its bounds. Changes no version and writes no history.

use std::collections::HashMap;

use inboxclaw_contract::OwnerId;
use inboxclaw_contract::store::Swept;
use jiff::SignedDuration;
use rusqlite::OptionalExtension;

use super::error::Fault;
use super::tx::Tx;

/// How much one step removes at most of each kind; turns wait for it.
const STEP: usize = 500;
/// How many rows of history one step looks at when an owner has too many bytes.
const WINDOW: i64 = 5_000;

const EXPIRED: &str = "SELECT space, key FROM entries WHERE expires_at <= ?1 ORDER BY expires_at LIMIT +?2";
const DELETE_ENTRY: &str = "DELETE FROM entries WHERE space = ?1 AND key = ?2";

const OLDEST: &str = "SELECT id, owner, bytes, at FROM history ORDER BY id LIMIT +?1";
const DELETE_HISTORY: &str = "DELETE FROM history WHERE id = ?1";
const LESS_HISTORY: &str = "UPDATE owners SET history_bytes = history_bytes - ?2 WHERE id = ?1";

const OVER: &str = "SELECT id, history_bytes FROM owners WHERE history_bytes > ?1 LIMIT 1";
const ENDS: &str =
    "SELECT coalesce((SELECT min(id) FROM history), 0), coalesce((SELECT max(id) FROM history), 0)";
const OF_OWNER: &str =
    "SELECT id, bytes FROM history WHERE id > ?1 AND id <= ?2 AND owner = +?3 ORDER BY id LIMIT +?4";
const RECOUNT: &str = "
    UPDATE owners SET history_bytes = (SELECT coalesce(sum(bytes), 0) FROM history WHERE owner = ?1) WHERE id = ?1";

/// One step.
pub(super) fn step(tx: &mut Tx<'_>) -> Result<Swept, Fault> {
    let entries = expired(tx)?;
    let old = too_old(tx)?;
    let (surplus, more) = too_much(tx)?;
    Ok(Swept {
        entries: entries as u64,
        history: (old + surplus) as u64,
        more: entries == STEP || old == STEP || more,
    })
}

fn expired(tx: &Tx<'_>) -> rusqlite::Result<usize> {
    let found: Vec<(i64, String)> = tx
        .connection
        .prepare_cached(EXPIRED)?
        .query_map((tx.now, STEP as i64), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut delete = tx.connection.prepare_cached(DELETE_ENTRY)?;
    for (space, key) in &found {
        delete.execute((space, key))?;
    }
    Ok(found.len())
}

/// History beyond its age. Rows are in the order of commit, so the oldest are the first.
fn too_old(tx: &mut Tx<'_>) -> rusqlite::Result<usize> {
    let age = SignedDuration::try_from(tx.history.age).ok();
    let Some(limit) = age.and_then(|age| tx.now.0.checked_sub(age).ok()) else { return Ok(0) };
    let limit = limit.as_microsecond();
    let mut find = tx.connection.prepare_cached(OLDEST)?;
    let rows = find.query_map([STEP as i64], |row| {
        Ok((row.get::<_, i64>(3)?, (row.get(0)?, OwnerId(row.get(1)?), row.get(2)?)))
    })?;
    let mut gone: Vec<(i64, OwnerId, i64)> = Vec::new();
    for row in rows {
        let (at, row) = row?;
        if at > limit {
            break;
        }
        gone.push(row);
    }
    remove(tx, &gone)?;
    Ok(gone.len())
}

/// History of the first owner that has too many bytes, its oldest first. The walk goes on where the last step
/// ended, because rows of an owner lie between those of all others.
fn too_much(tx: &mut Tx<'_>) -> rusqlite::Result<(usize, bool)> {
    let bound = i64::try_from(tx.history.bytes).unwrap_or(i64::MAX);
    let over = tx.connection.prepare_cached(OVER)?.query_row([bound], |row| Ok((row.get(0)?, row.get(1)?)));
    let Some((owner, mut bytes)): Option<(i64, i64)> = over.optional()? else { return Ok((0, false)) };
    let ends: (i64, i64) =
        tx.connection.prepare_cached(ENDS)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let from = tx.cache.trimmed.get(&owner).copied().unwrap_or(0).max(ends.0 - 1);
    let to = from.saturating_add(WINDOW).min(ends.1);
    let mut gone = Vec::new();
    let mut find = tx.connection.prepare_cached(OF_OWNER)?;
    let mut rows = find.query((from, to, owner, STEP as i64))?;
    while bytes > bound
        && let Some(row) = rows.next()?
    {
        let size: i64 = row.get(1)?;
        bytes -= size;
        gone.push((row.get(0)?, OwnerId(owner), size));
    }
    drop(rows);
    // Where the step was full or enough, the rest of the window is still to be looked at.
    let looked_at = match gone.last() {
        Some((last, ..)) if bytes <= bound || gone.len() == STEP => *last,
        _ => to,
    };
    tx.cache.trimmed.insert(owner, looked_at);
    remove(tx, &gone)?;
    if bytes > bound && looked_at >= ends.1 {
        // All rows are gone and the sum is not: it was wrong.
        tx.connection.prepare_cached(RECOUNT)?.execute([owner])?;
        tx.cache.forget_owner(OwnerId(owner));
        tx.cache.trimmed.remove(&owner);
    }
    Ok((gone.len(), true))
}

fn remove(tx: &mut Tx<'_>, rows: &[(i64, OwnerId, i64)]) -> rusqlite::Result<()> {
    let mut delete = tx.connection.prepare_cached(DELETE_HISTORY)?;
    let mut freed: HashMap<OwnerId, i64> = HashMap::new();
    for (id, owner, bytes) in rows {
        delete.execute([id])?;
        *freed.entry(*owner).or_default() += bytes;
    }
    for (owner, bytes) in freed {
        tx.connection.prepare_cached(LESS_HISTORY)?.execute((owner.0, bytes))?;
        if let Some(known) = tx.cache.known_owner(owner) {
            known.history_bytes -= bytes;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::plans::check(&[EXPIRED, DELETE_ENTRY, DELETE_HISTORY, LESS_HISTORY, ENDS, OF_OWNER]);
    }
}
