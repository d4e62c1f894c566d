//! History beyond its bounds: too old, too many bytes of an owner, or replaced spaces that are too large.

use std::collections::{HashMap, HashSet};

use inboxclaw_contract::OwnerId;
use jiff::SignedDuration;
use rusqlite::OptionalExtension;

use super::super::error::Fault;
use super::super::tx::Tx;
use super::super::writer_state::{SpacesPass, Surplus};

/// How many rows one step removes at most.
const STEP: usize = 500;
/// No right clock stamped what is further in the future.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);
/// How many rows one step looks at for those of one owner, or for those beyond their age.
const WINDOW: i64 = 5_000;

const OLDEST: &str = "SELECT id, owner, bytes, replaced IS NOT NULL, at FROM history ORDER BY id LIMIT +?1";
const DELETE: &str = "DELETE FROM history WHERE id = ?1";
const LESS: &str = "UPDATE owners SET history_bytes = history_bytes - ?2 WHERE id = ?1";

const OVER: &str = "SELECT id, history_bytes FROM owners WHERE history_bytes > ?1 LIMIT 1";
const ENDS: &str =
    "SELECT coalesce((SELECT min(id) FROM history), 0), coalesce((SELECT max(id) FROM history), 0)";
const OF_OWNER: &str = "
    SELECT id, owner, bytes, replaced IS NOT NULL FROM history WHERE id > ?1 AND id <= ?2 AND owner = +?3
    ORDER BY id LIMIT +?4";
const RECOUNT: &str = "
    UPDATE owners SET history_bytes = (SELECT coalesce(sum(bytes), 0) FROM history WHERE owner = ?1) WHERE id = ?1";

const NAMING: &str = "SELECT id FROM history WHERE replaced = ?1 AND owner = +?2";

/// Finds the oldest rows that must go for the replaced spaces of `owner` to be within the bound of bytes. The one
/// that was replaced last does not count: however large, it is what an undo wants most.
pub(super) fn surplus(
    tx: &Tx<'_>,
    owner: OwnerId,
    spaces: &[(i64, i64)],
) -> rusqlite::Result<Option<Surplus>> {
    let mut naming = tx.connection.prepare_cached(NAMING)?;
    let mut rows: Vec<(i64, i64, i64)> = Vec::new();
    for (space, bytes) in spaces {
        for row in naming.query_map((space, owner.0), |row| row.get(0))? {
            rows.push((row?, *space, *bytes));
        }
    }
    rows.sort_unstable_by(|one, other| other.cmp(one));
    let mut counted: HashSet<i64> = rows.first().map(|(_, space, _)| *space).into_iter().collect();
    let mut room = bound(tx);
    for (row, space, bytes) in rows {
        room -= if counted.insert(space) { bytes } else { 0 };
        if room < 0 {
            return Ok(Some(Surplus { owner, after: 0, last: row }));
        }
    }
    Ok(None)
}

/// The bytes that an owner's history may have.
pub(super) fn bound(tx: &Tx<'_>) -> i64 {
    i64::try_from(tx.history.bytes).unwrap_or(i64::MAX)
}

/// One step; returns how many rows went, and whether there is more to do.
pub(super) fn step(tx: &mut Tx<'_>) -> Result<(u64, bool), Fault> {
    let old = too_old(tx)?;
    let (many, more) = too_much(tx)?;
    let surplus = too_large(tx)?;
    let more = more || old >= STEP || tx.writer.round.surplus.is_some();
    Ok(((old + many + surplus) as u64, more))
}

/// A row that goes.
struct Gone {
    id: i64,
    owner: OwnerId,
    bytes: i64,
    /// Whether it keeps a space.
    replaced: bool,
}

/// History beyond its age. Rows are in the order of commit, so the oldest are the first. What a clock in doubt stamped,
/// which then was wrong, is as old as what follows it.
fn too_old(tx: &mut Tx<'_>) -> rusqlite::Result<usize> {
    let before =
        |age: SignedDuration| tx.clock.trusted.0.checked_sub(age).ok().map(|time| time.as_microsecond());
    let Some(limit) = SignedDuration::try_from(tx.history.age).ok().and_then(before) else { return Ok(0) };
    let Some(ahead) = before(-AHEAD) else { return Ok(0) };
    let mut find = tx.connection.prepare_cached(OLDEST)?;
    let mut rows = find.query([WINDOW])?;
    let (mut gone, mut old) = (Vec::new(), 0);
    while old < STEP
        && let Some(row) = rows.next()?
    {
        let at: i64 = row.get(4)?;
        if at > limit && at < ahead {
            break;
        }
        gone.push(Gone::read(row)?);
        old = if at <= limit { gone.len() } else { old };
    }
    drop(rows);
    gone.truncate(old);
    remove(tx, &gone)?;
    Ok(gone.len())
}

/// History of the first owner that has too many bytes, its oldest first. The walk goes on where the last step
/// ended, because rows of an owner lie between those of all others.
fn too_much(tx: &mut Tx<'_>) -> rusqlite::Result<(usize, bool)> {
    let bound = bound(tx);
    let over = tx.connection.prepare_cached(OVER)?.query_row([bound], |row| Ok((row.get(0)?, row.get(1)?)));
    let Some((owner, mut bytes)): Option<(i64, i64)> = over.optional()? else { return Ok((0, false)) };
    let ends = ends(tx)?;
    let from = tx.cache.trimmed.get(&owner).copied().unwrap_or(0).max(ends.0 - 1);
    let to = from.saturating_add(WINDOW).min(ends.1);
    let mut gone: Vec<Gone> = Vec::new();
    let mut find = tx.connection.prepare_cached(OF_OWNER)?;
    let mut rows = find.query((from, to, owner, STEP as i64))?;
    while bytes > bound
        && let Some(row) = rows.next()?
    {
        let row = Gone::read(row)?;
        bytes -= row.bytes;
        gone.push(row);
    }
    drop(rows);
    // Where the step was full or enough, the rest of the window is still to be looked at.
    let looked_at = match gone.last() {
        Some(last) if bytes <= bound || gone.len() == STEP => last.id,
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

/// History of an owner whose replaced spaces are too large.
fn too_large(tx: &mut Tx<'_>) -> rusqlite::Result<usize> {
    let Some(Surplus { owner, after, last }) = tx.writer.round.surplus.take() else { return Ok(0) };
    let from = after.max(ends(tx)?.0 - 1);
    let to = from.saturating_add(WINDOW).min(last);
    let mut find = tx.connection.prepare_cached(OF_OWNER)?;
    let found = find.query_map((from, to, owner.0, STEP as i64), Gone::read)?;
    let gone = found.collect::<rusqlite::Result<Vec<_>>>()?;
    remove(tx, &gone)?;
    let after = gone.last().filter(|_| gone.len() == STEP).map_or(to, |last| last.id);
    if after < last {
        tx.writer.round.surplus = Some(Surplus { owner, after, last });
    }
    Ok(gone.len())
}

/// The numbers of the first row and of the last one.
fn ends(tx: &Tx<'_>) -> rusqlite::Result<(i64, i64)> {
    tx.connection.prepare_cached(ENDS)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
}

fn remove(tx: &mut Tx<'_>, rows: &[Gone]) -> rusqlite::Result<()> {
    let mut delete = tx.connection.prepare_cached(DELETE)?;
    let mut freed: HashMap<OwnerId, i64> = HashMap::new();
    for row in rows {
        delete.execute([row.id])?;
        *freed.entry(row.owner).or_default() += row.bytes;
    }
    for (owner, bytes) in freed {
        tx.connection.prepare_cached(LESS)?.execute((owner.0, bytes))?;
        if let Some(known) = tx.cache.known_owner(owner) {
            known.history_bytes -= bytes;
        }
    }
    if rows.iter().any(|row| row.replaced) {
        // Spaces may have lost their last name, also those that the pass has left behind.
        tx.writer.round.spaces = SpacesPass::default();
    }
    Ok(())
}

impl Gone {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { id: row.get(0)?, owner: OwnerId(row.get(1)?), bytes: row.get(2)?, replaced: row.get(3)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::super::plans::check(&[DELETE, LESS, ENDS, OF_OWNER, NAMING]);
    }
}
