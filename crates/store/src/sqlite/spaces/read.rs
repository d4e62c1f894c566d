//! Looking into spaces: what an owner has, pages of it, all of it, single entries, and what is about to expire.

use inboxclaw_contract::space::{EachEntry, EntryInfo, Look, Looked, SpaceInfo};
use inboxclaw_contract::{Entry, OwnerId, Snapshot, SpaceId, StoreError, Version};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use super::super::counts::unsigned;
use super::super::values::{End, Micros, Text};
use super::super::{Shared, apply, in_snapshot};

const HEAD: &str =
    "SELECT version, space, entries, bytes, cursor FROM owners WHERE id = ?1 AND forgotten = 0";

/// The value last, so that what is not asked for is never loaded.
const LOOK_FROM: &str = "
    SELECT key, revision, created_at, updated_at, expires_at, secret, octet_length(value),
        CASE WHEN ?5 THEN value END
    FROM entries WHERE space = +?1 AND key >= ?2 AND key < ?3 AND (expires_at IS NULL OR expires_at > ?4)
    ORDER BY key LIMIT +?6";

const LOOK_AFTER: &str = "
    SELECT key, revision, created_at, updated_at, expires_at, secret, octet_length(value),
        CASE WHEN ?5 THEN value END
    FROM entries WHERE space = +?1 AND key > ?2 AND key < ?3 AND (expires_at IS NULL OR expires_at > ?4)
    ORDER BY key LIMIT +?6";

const ALL: &str = "
    SELECT key, revision, created_at, updated_at, expires_at, secret, value FROM entries
    WHERE space = +?1 AND key >= ?2 AND key < ?3 AND (expires_at IS NULL OR expires_at > ?4) ORDER BY key";

const ENTRY: &str = "
    SELECT key, revision, created_at, updated_at, expires_at, secret, value FROM entries
    WHERE space = ?1 AND key = ?2 AND (expires_at IS NULL OR expires_at > ?3)";

const EXPIRING: &str = "
    SELECT key, expires_at FROM entries INDEXED BY entries_by_expiry
    WHERE space = +?1 AND expires_at > ?2 ORDER BY expires_at, key LIMIT +?3";

const SWEPT_UNTIL: &str = "
    SELECT (SELECT swept_until FROM spaces WHERE id = space) FROM owners WHERE id = ?1 AND forgotten = 0";

/// The space that an owner has; `None` when there is no such owner.
pub(super) fn info(connection: &Connection, owner: OwnerId) -> rusqlite::Result<Option<SpaceInfo>> {
    let info = |row: &Row<'_>| {
        Ok(SpaceInfo {
            version: Version(row.get(0)?),
            id: SpaceId(row.get(1)?),
            entries: unsigned(row.get(2)?),
            bytes: unsigned(row.get(3)?),
        })
    };
    connection.prepare_cached(HEAD)?.query_row([owner.0], info).optional()
}

/// A page; `None` when there is no such owner.
pub(super) fn look(
    connection: &Connection,
    owner: OwnerId,
    look: &Look,
    now: Micros,
) -> rusqlite::Result<Option<Looked>> {
    let Some(info) = info(connection, owner)? else { return Ok(None) };
    let (sql, start) = match look.after.as_deref() {
        Some(after) if after >= look.prefix.as_str() => (LOOK_AFTER, after),
        _ => (LOOK_FROM, look.prefix.as_str()),
    };
    let most = look.entries.max(1);
    // One more than wanted tells whether there is more.
    let limit = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
    let mut find = connection.prepare_cached(sql)?;
    let mut rows = find.query((info.id.0, start, End::of(&look.prefix), now, look.values, limit))?;
    let mut page = Looked::default();
    let mut bytes: u64 = 0;
    while let Some(row) = rows.next()? {
        let size = unsigned(row.get(6)?);
        bytes += if look.values { size } else { 0 };
        let full = page.entries.len() >= most || bytes > look.bytes as u64;
        if let (true, Some(last)) = (full, page.entries.last()) {
            page.next = Some(last.key.clone());
            break;
        }
        page.entries.push(entry_info(row, size)?);
    }
    Ok(Some(page))
}

/// Calls `each` for the live entries under a prefix, on a connection that nobody else waits for.
pub(super) fn scan(
    shared: &Shared,
    owner: OwnerId,
    prefix: &str,
    each: EachEntry,
) -> Result<Snapshot, StoreError> {
    let now = shared.clock.now();
    let connection = shared.answer(shared.pool.separate())?;
    let done = in_snapshot(&connection, |connection| walk(shared, connection, (owner, prefix, now), each));
    shared.answer(Some(done))?.ok_or(StoreError::NoOwner(owner))
}

fn walk(
    shared: &Shared,
    connection: &Connection,
    (owner, prefix, now): (OwnerId, &str, Micros),
    mut each: EachEntry,
) -> rusqlite::Result<Option<Snapshot>> {
    let head = connection.query_row(HEAD, [owner.0], |row| {
        let snapshot = Snapshot { version: Version(row.get(0)?), cursor: row.get(4)?, now: now.0 };
        Ok((snapshot, row.get::<_, i64>(1)?))
    });
    let Some((snapshot, space)) = head.optional()? else { return Ok(None) };
    let mut find = connection.prepare(ALL)?;
    let mut rows = find.query((space, prefix, End::of(prefix), now))?;
    while let Some(row) = rows.next()? {
        // A store that closes does not wait for whoever reads on.
        if shared.pool.is_closed() {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT),
                Some("the store is closed".into()),
            ));
        }
        if !each(apply::entry(row)?) {
            break;
        }
    }
    Ok(Some(snapshot))
}

/// The live entries of a space under `keys`. One that nobody names has none: part of it may be gone already.
pub(super) fn entries_in(
    connection: &Connection,
    space: SpaceId,
    keys: &[String],
    now: Micros,
) -> rusqlite::Result<Vec<Option<Entry>>> {
    if !super::is_named(connection, space)? {
        return Ok(vec![None; keys.len()]);
    }
    let mut find = connection.prepare_cached(ENTRY)?;
    keys.iter().map(|key| find.query_row((space.0, key, now), apply::entry).optional()).collect()
}

/// What expires after an instant, first the first; `None` when there is no such owner.
pub(super) fn expiring(
    connection: &Connection,
    owner: OwnerId,
    after: Timestamp,
    limit: usize,
) -> rusqlite::Result<Option<Vec<(String, Timestamp)>>> {
    let Some(info) = info(connection, owner)? else { return Ok(None) };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut find = connection.prepare_cached(EXPIRING)?;
    let found = find.query_map((info.id.0, Micros(after), limit), |row| {
        let expires_at: Micros = row.get(1)?;
        Ok((row.get(0)?, expires_at.0))
    })?;
    found.collect::<rusqlite::Result<_>>().map(Some)
}

/// The latest expiry that a sweep removed from the space in place; the outer `None` when there is no such owner.
pub(super) fn swept_until(
    connection: &Connection,
    owner: OwnerId,
) -> rusqlite::Result<Option<Option<Timestamp>>> {
    let found = connection
        .prepare_cached(SWEPT_UNTIL)?
        .query_row([owner.0], |row| row.get::<_, Option<Micros>>(0))
        .optional()?;
    Ok(found.map(|until| until.map(|until| until.0)))
}

fn entry_info(row: &Row<'_>, size: u64) -> rusqlite::Result<EntryInfo> {
    let (created_at, updated_at): (Micros, Micros) = (row.get(2)?, row.get(3)?);
    let (expires_at, value): (Option<Micros>, Option<Text>) = (row.get(4)?, row.get(7)?);
    Ok(EntryInfo {
        key: row.get(0)?,
        revision: Version(row.get(1)?),
        created_at: created_at.0,
        updated_at: updated_at.0,
        expires_at: expires_at.map(|at| at.0),
        secret: row.get(5)?,
        size,
        value: value.map(|value| value.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::super::plans::check(&[HEAD, LOOK_FROM, LOOK_AFTER, ALL, ENTRY, EXPIRING, SWEPT_UNTIL]);
    }
}
