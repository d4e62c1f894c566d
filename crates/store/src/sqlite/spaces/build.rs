//! Making a space in steps: begun, filled, copied into. Who builds it is known in memory only (`writer_state.rs`), so that
//! nothing is left of it after a restart; sweeping removes what nobody builds any more.

use inboxclaw_contract::limits;
use inboxclaw_contract::space::{Copied, NewSpace};
use inboxclaw_contract::{Entry, OwnerId, SpaceId, StoreError};
use rusqlite::OptionalExtension;

use super::super::counts::Counts;
use super::super::error::Fault;
use super::super::rows::{self, PUT, columns};
use super::super::tx::Tx;
use super::super::values::End;
use super::read::is_named;

/// How many bytes one step of copying reads, about: turns wait for it.
pub(super) const COPIED_BYTES: usize = 1 << 20;

const ADD: &str = "INSERT INTO spaces (owner) VALUES (?1)";

const SIZE: &str =
    "SELECT octet_length(key) + octet_length(value) FROM entries WHERE space = ?1 AND key = ?2";

const DELETE: &str = "DELETE FROM entries WHERE space = ?1 AND key = ?2";

const STRETCH_FROM: &str = "
    SELECT key, octet_length(value) FROM entries WHERE space = +?1 AND key >= ?2 AND key < ?3
    ORDER BY key LIMIT +?4";

const STRETCH_AFTER: &str = "
    SELECT key, octet_length(value) FROM entries WHERE space = +?1 AND key > ?2 AND key < ?3
    ORDER BY key LIMIT +?4";

/// From the first key to the last one, both included.
const COPY: &str = concat!(
    "INSERT OR IGNORE INTO entries (space, ",
    columns!(),
    ") SELECT ?2, ",
    columns!(),
    " FROM entries
    WHERE space = +?1 AND key >= ?3 AND key <= ?4 AND secret = 0 AND (expires_at IS NULL OR expires_at > ?5)
    RETURNING octet_length(key) + octet_length(value)"
);

/// Begins an empty space.
pub(super) fn begin(tx: &mut Tx<'_>, owner: OwnerId) -> Result<NewSpace, Fault> {
    tx.owner(owner)?;
    let id = tx.connection.prepare_cached(ADD)?.insert([owner.0])?;
    let alive = tx.writer.begin(id, owner);
    Ok(NewSpace { id: SpaceId(id), owner, alive })
}

/// The bytes of keys and values that are to be put, if every key keeps its limit.
pub(super) fn size(changes: &[(String, Option<Entry>)]) -> Result<usize, StoreError> {
    let sizes = changes.iter().map(|(key, entry)| {
        limits::check_key(key).map_err(|error| StoreError::Refused(error.to_string()))?;
        Ok(key.len() + entry.as_ref().map_or(0, |entry| entry.value.len()))
    });
    sizes.sum()
}

/// Puts and removes entries. One that has expired goes like one that is to be removed.
pub(super) fn fill(
    tx: &mut Tx<'_>,
    space: SpaceId,
    changes: &[(String, Option<Entry>)],
) -> Result<(), Fault> {
    let owner = builder(tx, space)?;
    let revision = tx.owner(owner)?.version + 1;
    let mut change = Counts::default();
    let connection = tx.connection;
    let mut find = connection.prepare_cached(SIZE)?;
    let (mut put, mut delete) = (connection.prepare_cached(PUT)?, connection.prepare_cached(DELETE)?);
    for (key, entry) in changes {
        let old: Option<i64> = find.query_row((space.0, key), |row| row.get(0)).optional()?;
        if let Some(bytes) = old {
            change = change - Counts { entries: 1, bytes };
        }
        match entry.as_ref().filter(|entry| entry.expires_at.is_none_or(|at| at > tx.clock.trusted.0)) {
            Some(entry) => {
                change += Counts::row(key, entry.value.as_str());
                rows::put(&mut put, space.0, key, revision, entry)?;
            }
            None if old.is_some() => {
                delete.execute((space.0, key))?;
            }
            None => {}
        }
    }
    tx.count(space.0, change)
}

/// Copies one stretch of a space, by the keys after `after` under `prefix`.
pub(super) fn copy(
    tx: &mut Tx<'_>,
    from: SpaceId,
    to: SpaceId,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Copied, Fault> {
    builder(tx, to)?;
    // Part of a space that nobody names may be gone: whoever copies it would take that for all.
    if !is_named(tx.connection, from)? && tx.builder_of(from.0).is_none() {
        return Err(StoreError::Refused(format!("the space {} is gone", from.0)).into());
    }
    let Some(stretch) = Stretch::find(tx, from, prefix, after, limit)? else {
        return Ok(Copied::default());
    };
    let mut copied = Counts::default();
    let mut copy = tx.connection.prepare_cached(COPY)?;
    let mut rows = copy.query((from.0, to.0, &stretch.first, &stretch.last, tx.clock.trusted))?;
    while let Some(row) = rows.next()? {
        copied += Counts { entries: 1, bytes: row.get(0)? };
    }
    drop(rows);
    tx.count(to.0, copied)?;
    Ok(Copied { entries: stretch.entries, next: stretch.more.then_some(stretch.last) })
}

/// For whom a space is being built.
fn builder(tx: &Tx<'_>, space: SpaceId) -> Result<OwnerId, StoreError> {
    let refused = || StoreError::Refused(format!("the space {} is not being built any more", space.0));
    tx.builder_of(space.0).ok_or_else(refused)
}

/// The entries that one step of copying looks at.
struct Stretch {
    first: String,
    last: String,
    entries: u64,
    more: bool,
}

impl Stretch {
    fn find(
        tx: &Tx<'_>,
        space: SpaceId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> rusqlite::Result<Option<Self>> {
        let (sql, start) = match after {
            Some(after) if after >= prefix => (STRETCH_AFTER, after),
            _ => (STRETCH_FROM, prefix),
        };
        let most = i64::try_from(limit.max(1)).unwrap_or(i64::MAX);
        let mut find = tx.connection.prepare_cached(sql)?;
        let mut rows = find.query((space.0, start, End::of(prefix), most.saturating_add(1)))?;
        let mut found: Option<Self> = None;
        let mut bytes: i64 = 0;
        while let Some(row) = rows.next()? {
            bytes += row.get::<_, i64>(1)?;
            match &mut found {
                None => {
                    let first: String = row.get(0)?;
                    found = Some(Self { last: first.clone(), first, entries: 1, more: false });
                }
                Some(stretch) if stretch.entries >= most.unsigned_abs() || bytes > COPIED_BYTES as i64 => {
                    stretch.more = true;
                    break;
                }
                Some(stretch) => {
                    row.get_ref(0)?.as_str()?.clone_into(&mut stretch.last);
                    stretch.entries += 1;
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        let found = [SIZE, DELETE, STRETCH_FROM, STRETCH_AFTER, COPY];
        super::super::super::plans::check(&found);
    }
}
