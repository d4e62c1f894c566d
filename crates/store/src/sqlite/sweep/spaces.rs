//! A pass over all spaces: removes what has expired in those that somebody names, and those that nobody does.

use inboxclaw_contract::OwnerId;
use jiff::SignedDuration;

use super::super::error::Fault;
use super::super::tx::Tx;
use super::history::{bound, surplus};
use super::room::{Gone, Room};

/// How many spaces are read in one go, and how many of those reads one step does at most.
const PAGE: usize = 200;
const PAGES: usize = 5;

/// For so long what has expired is left to those who watch. Nobody else sees it.
const LEFT: SignedDuration = SignedDuration::from_secs(10);

const NEXT: &str = "
    SELECT s.id, s.owner, o.space IS s.id,
        EXISTS (SELECT 1 FROM history h WHERE h.replaced = s.id AND h.owner = s.owner), s.bytes
    FROM spaces s LEFT JOIN owners o ON o.id = s.owner WHERE s.id > +?1 ORDER BY s.id LIMIT +?2";

const EXPIRED: &str = "
    SELECT key, octet_length(key) + octet_length(value), expires_at FROM entries INDEXED BY entries_by_expiry
    WHERE space = +?1 AND expires_at <= ?2 ORDER BY expires_at LIMIT +?3";

const SWEPT_UNTIL: &str = "UPDATE spaces SET swept_until = max(coalesce(swept_until, ?2), ?2) WHERE id = ?1";

const FIRST: &str = "
    SELECT key, octet_length(key) + octet_length(value) FROM entries WHERE space = +?1 ORDER BY key LIMIT +?2";
const DELETE_FIRST: &str = "DELETE FROM entries WHERE space = ?1 AND key <= ?2";
const DELETE_SPACE: &str = "DELETE FROM spaces WHERE id = ?1";

struct Space {
    id: i64,
    owner: OwnerId,
    in_place: bool,
    replaced: bool,
    bytes: i64,
}

/// One step; returns whether there is more to do.
pub(super) fn step(tx: &mut Tx<'_>, room: &mut Room) -> Result<bool, Fault> {
    for _ in 0..PAGES {
        let page = page(tx)?;
        for space in &page {
            if !done_with(tx, space, room)? {
                return Ok(true);
            }
            let pass = &mut tx.writer.round.spaces;
            pass.after = space.id;
            if space.replaced && !space.in_place {
                pass.replaced.entry(space.owner).or_default().push((space.id, space.bytes));
            }
        }
        if page.len() < PAGE {
            return Ok(end(tx)?);
        }
    }
    Ok(true)
}

fn page(tx: &Tx<'_>) -> rusqlite::Result<Vec<Space>> {
    let mut next = tx.connection.prepare_cached(NEXT)?;
    let rows = next.query_map((tx.writer.round.spaces.after, PAGE as i64), |row| {
        Ok(Space {
            id: row.get(0)?,
            owner: OwnerId(row.get(1)?),
            in_place: row.get(2)?,
            replaced: row.get(3)?,
            bytes: row.get(4)?,
        })
    })?;
    rows.collect()
}

/// Ends the pass; returns whether it found something for the next step.
fn end(tx: &mut Tx<'_>) -> rusqlite::Result<bool> {
    let pass = std::mem::take(&mut tx.writer.round.spaces);
    for (owner, spaces) in pass.replaced {
        if spaces.iter().map(|(_, bytes)| bytes).sum::<i64>() > bound(tx)
            && let Some(surplus) = surplus(tx, owner, &spaces)?
        {
            tx.writer.round.surplus = Some(surplus);
            return Ok(true);
        }
    }
    Ok(false)
}

/// Does what is to be done in one space, as far as there is room. Returns whether that was all.
fn done_with(tx: &mut Tx<'_>, space: &Space, room: &mut Room) -> Result<bool, Fault> {
    if space.in_place || space.replaced {
        expired(tx, space.id, room)
    } else if tx.builder_of(space.id).is_some() {
        Ok(true)
    } else {
        drop_space(tx, space.id, room)
    }
}

fn expired(tx: &mut Tx<'_>, space: i64, room: &mut Room) -> Result<bool, Fault> {
    let Ok(limit) = tx.clock.trusted.0.checked_sub(LEFT) else { return Ok(true) };
    let (mut gone, mut until) = (Gone::of(space), None);
    let mut find = tx.connection.prepare_cached(EXPIRED)?;
    let mut rows = find.query((space, limit.as_microsecond(), room.entries))?;
    while !room.is_used()
        && let Some(row) = rows.next()?
    {
        gone.add(room, row.get(0)?, row.get(1)?);
        until = Some(row.get(2)?);
    }
    drop(rows);
    let Some(until) = until else { return Ok(true) };
    gone.remove(tx)?;
    swept_until(tx, space, until)?;
    Ok(!room.is_used())
}

/// Notes that entries went which had expired, the last of them at `until`.
pub(in super::super) fn swept_until(tx: &Tx<'_>, space: i64, until: i64) -> rusqlite::Result<()> {
    tx.connection.prepare_cached(SWEPT_UNTIL)?.execute((space, until)).map(drop)
}

/// Removes a space from its first key on. Its counts no longer matter to anybody.
fn drop_space(tx: &mut Tx<'_>, space: i64, room: &mut Room) -> Result<bool, Fault> {
    let mut find = tx.connection.prepare_cached(FIRST)?;
    let mut rows = find.query((space, room.entries))?;
    let mut last: Option<String> = None;
    while !room.is_used()
        && let Some(row) = rows.next()?
    {
        last = Some(row.get(0)?);
        room.entries -= 1;
        room.bytes -= row.get::<_, i64>(1)?;
    }
    drop(rows);
    if let Some(last) = last {
        tx.connection.prepare_cached(DELETE_FIRST)?.execute((space, last))?;
    }
    if room.is_used() {
        return Ok(false);
    }
    tx.connection.prepare_cached(DELETE_SPACE)?.execute([space])?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::super::plans::check(&[NEXT, EXPIRED, SWEPT_UNTIL, FIRST, DELETE_FIRST, DELETE_SPACE]);
    }
}
