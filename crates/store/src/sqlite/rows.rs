//! The rows of the table of entries, as everybody reads and writes them.

use inboxclaw_contract::{Entry, Version};
use rusqlite::{CachedStatement, OptionalExtension, Row};

use super::tx::Tx;
use super::values::{Micros, Text};

/// The columns of an entry besides its space, in the order in which `entry` takes them.
macro_rules! columns {
    () => {
        concat!(columns!(without value), ", value")
    };
    (without value) => {
        "key, revision, created_at, updated_at, expires_at, secret"
    };
}

pub(super) use columns;

/// Any row under a key: also one that has expired is in the way of a new one, and counted.
pub(super) const ENTRY: &str = concat!("SELECT ", columns!(), " FROM entries WHERE space = ?1 AND key = ?2");

/// Writes a row over whatever is there. Its parameters are the space and the columns.
pub(super) const PUT: &str = concat!(
    "INSERT INTO entries (space, ",
    columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT (space, key) DO UPDATE SET revision = excluded.revision, created_at = excluded.created_at,
        updated_at = excluded.updated_at, expires_at = excluded.expires_at, secret = excluded.secret,
        value = excluded.value"
);

const LIVE_REVISION: &str =
    "SELECT revision FROM entries WHERE space = ?1 AND key = ?2 AND (expires_at IS NULL OR expires_at > ?3)";

/// Writes an entry under `key` of `space` as it is, but for its revision.
pub(super) fn put(
    statement: &mut CachedStatement<'_>,
    space: i64,
    key: &str,
    revision: i64,
    entry: &Entry,
) -> rusqlite::Result<()> {
    let (created_at, updated_at) = (Micros(entry.created_at), Micros(entry.updated_at));
    let (expires_at, value) = (entry.expires_at.map(Micros), entry.value.as_str());
    let row = (space, key, revision, created_at, updated_at, expires_at, entry.secret, value);
    statement.execute(row).map(drop)
}

/// The revision of a live entry.
pub(super) fn live_revision(tx: &Tx<'_>, space: i64, key: &str) -> rusqlite::Result<Option<Version>> {
    let mut find = tx.connection.prepare_cached(LIVE_REVISION)?;
    find.query_row((space, key, tx.clock.trusted), |row| row.get(0).map(Version)).optional()
}

/// An entry from its `columns`.
pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let (created_at, updated_at): (Micros, Micros) = (row.get(2)?, row.get(3)?);
    let (expires_at, value): (Option<Micros>, Text) = (row.get(4)?, row.get(6)?);
    Ok(Entry {
        key: row.get(0)?,
        value: value.0,
        revision: Version(row.get(1)?),
        created_at: created_at.0,
        updated_at: updated_at.0,
        expires_at: expires_at.map(|at| at.0),
        secret: row.get(5)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::plans::check(&[ENTRY, PUT, LIVE_REVISION]);
    }
}
