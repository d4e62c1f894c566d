//! Looking into spaces: what an owner has, pages of it, single entries, and what is about to expire.

use inboxclaw_contract::space::{EntryInfo, Look, Looked, SpaceInfo};
use inboxclaw_contract::{Entry, OwnerId, SpaceId, Version};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use super::super::counts::unsigned;
use super::super::reading::too_large;
use super::super::rows::{columns, entry};
use super::super::values::{End, Micros, Text};

pub(super) const HEAD: &str =
    "SELECT version, space, entries, bytes, cursor FROM owners WHERE id = ?1 AND forgotten = 0";

/// The value last, so that what is not asked for is never loaded.
const LOOK_FROM: &str = concat!(
    "SELECT ",
    columns!(without value),
    ", octet_length(value), CASE WHEN octet_length(value) <= ?5 THEN value END
    FROM entries WHERE space = +?1 AND key >= ?2 AND key < ?3 AND (expires_at IS NULL OR expires_at > ?4)
    ORDER BY key LIMIT +?6"
);

const LOOK_AFTER: &str = concat!(
    "SELECT ",
    columns!(without value),
    ", octet_length(value), CASE WHEN octet_length(value) <= ?5 THEN value END
    FROM entries WHERE space = +?1 AND key > ?2 AND key < ?3 AND (expires_at IS NULL OR expires_at > ?4)
    ORDER BY key LIMIT +?6"
);

const LIVE_ENTRY: &str = concat!(
    "SELECT ",
    columns!(without value),
    ", CASE WHEN octet_length(value) <= ?4 THEN value END AS value
    FROM entries WHERE space = ?1 AND key = ?2 AND (expires_at IS NULL OR expires_at > ?3)"
);

const EXPIRING: &str = "
    SELECT key, expires_at FROM entries INDEXED BY entries_by_expiry
    WHERE space = +?1 AND expires_at > ?2 ORDER BY expires_at, key LIMIT +?3";

const SWEPT_UNTIL: &str = "
    SELECT (SELECT swept_until FROM spaces WHERE id = space) FROM owners WHERE id = ?1 AND forgotten = 0";

/// One row when the space is in place, or history names it.
const NAMED: &str = "
    SELECT 1 FROM spaces s JOIN owners o ON o.id = s.owner
    WHERE s.id = +?1
        AND (o.space = s.id OR EXISTS (SELECT 1 FROM history h WHERE h.replaced = s.id AND h.owner = o.id))";

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
    largest: i64,
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
    let largest = if look.values { largest } else { -1 };
    let mut rows = find.query((info.id.0, start, End::of(&look.prefix), now, largest, limit))?;
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
        let entry = entry_info(row, size)?;
        if look.values && entry.value.is_none() {
            return Err(too_large(7));
        }
        page.entries.push(entry);
    }
    Ok(Some(page))
}

/// The live entries of a space under `keys`. One that nobody names has none: part of it may be gone already.
pub(super) fn entries_in(
    connection: &Connection,
    space: SpaceId,
    keys: &[String],
    now: Micros,
    most: i64,
) -> rusqlite::Result<Vec<Option<Entry>>> {
    if !is_named(connection, space)? {
        return Ok(vec![None; keys.len()]);
    }
    let mut find = connection.prepare_cached(LIVE_ENTRY)?;
    keys.iter().map(|key| find.query_row((space.0, key, now, most), entry).optional()).collect()
}

/// Whether a space is in place or named by history. All others are on their way out, or being built.
pub(super) fn is_named(connection: &Connection, space: SpaceId) -> rusqlite::Result<bool> {
    connection.prepare_cached(NAMED)?.exists([space.0])
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
        super::super::super::plans::check(&[
            HEAD,
            LOOK_FROM,
            LOOK_AFTER,
            LIVE_ENTRY,
            EXPIRING,
            SWEPT_UNTIL,
            NAMED,
        ]);
    }
}
