//! The states of owners, as the contract wants them read and written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use inboxclaw_contract::store::{HistoryLimit, PastTurn};
use inboxclaw_contract::turn::Committed;
use inboxclaw_contract::{Entry, Outcome, OwnerId, Snapshot, State, StoreError, Turn, Version};
use rusqlite::{CachedStatement, Connection, OptionalExtension, ToSql};

use super::history::{Step, Walk};
use super::rows::{columns, entry};
use super::shared::Shared;
use super::store::SqliteStore;
use super::values::{End, Micros};
use super::{apply, check};

const HEAD: &str = "SELECT version, cursor FROM owners WHERE id = ?1 AND forgotten = 0";

/// One row for a known owner, empty when the key is absent.
const ENTRY: &str = concat!(
    "SELECT ",
    columns!(without value),
    ", CASE WHEN octet_length(value) <= ?4 THEN value END AS value
    FROM owners o LEFT JOIN entries e ON e.space = o.space AND e.key = +?2
        AND (e.expires_at IS NULL OR e.expires_at > ?3)
    WHERE o.id = +?1 AND o.forgotten = 0"
);

const LIST_FROM: &str = concat!(
    "SELECT ",
    columns!(without value),
    ", CASE WHEN octet_length(value) <= ?6 THEN value END AS value
    FROM entries
    WHERE space = (SELECT space FROM owners WHERE id = ?1) AND key >= ?2 AND key < ?3
        AND (expires_at IS NULL OR expires_at > ?4) ORDER BY key LIMIT +?5"
);

const LIST_AFTER: &str = concat!(
    "SELECT ",
    columns!(without value),
    ", CASE WHEN octet_length(value) <= ?6 THEN value END AS value
    FROM entries
    WHERE space = (SELECT space FROM owners WHERE id = ?1) AND key > ?2 AND key < ?3
        AND (expires_at IS NULL OR expires_at > ?4) ORDER BY key LIMIT +?5"
);

const KEYS_FROM: &str = "
    SELECT key FROM entries
    WHERE space = (SELECT space FROM owners WHERE id = ?1) AND key >= ?2 AND key < ?3
        AND (expires_at IS NULL OR expires_at > ?4) ORDER BY key LIMIT +?5";

const KEYS_AFTER: &str = "
    SELECT key FROM entries
    WHERE space = (SELECT space FROM owners WHERE id = ?1) AND key > ?2 AND key < ?3
        AND (expires_at IS NULL OR expires_at > ?4) ORDER BY key LIMIT +?5";

#[async_trait]
impl State for SqliteStore {
    async fn snapshot(&self, owner: OwnerId) -> Result<Snapshot, StoreError> {
        let found = self.shared.small(|connection, now| {
            let mut find = connection.prepare_cached(HEAD)?;
            let snapshot = |row: &rusqlite::Row<'_>| {
                Ok(Snapshot { version: Version(row.get(0)?), cursor: row.get(1)?, now: now.0 })
            };
            find.query_row([owner.0], snapshot).optional()
        });
        found?.ok_or(StoreError::NoOwner(owner))
    }

    async fn entries(&self, owner: OwnerId, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        let wanted = keys.to_vec();
        let read = move |connection: &Connection, now, most| entries(connection, owner, &wanted, now, most);
        self.shared.few(keys.len(), read).await?.ok_or(StoreError::NoOwner(owner))
    }

    async fn list(
        &self,
        owner: OwnerId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let range = Range::new(owner, prefix, after, limit);
        self.shared.stretch(range, [LIST_FROM, LIST_AFTER], entry).await
    }

    async fn keys(
        &self,
        owner: OwnerId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let range = Range::new(owner, prefix, after, limit);
        self.shared.stretch(range, [KEYS_FROM, KEYS_AFTER], |row| row.get(0)).await
    }

    async fn commit(&self, turn: Turn) -> Result<Outcome, StoreError> {
        let size = check::size(&turn)?;
        check::events(&turn)?;
        if turn.is_empty() {
            let version = self.shared.known(turn.owner)?;
            return Ok(Outcome::Committed(Committed { version, stored: 0, pending: 0, known: 0 }));
        }
        self.write(size, move |tx| apply::turn(tx, &turn)).await
    }

    async fn history(
        &self,
        owner: OwnerId,
        before: Option<Version>,
        limit: HistoryLimit,
    ) -> Result<Vec<PastTurn>, StoreError> {
        let shared = self.shared.clone();
        let found =
            self.shared.long(move |connection, _| page(connection, &shared.pages, owner, before, limit));
        found.await?.ok_or(StoreError::NoOwner(owner))
    }

    async fn changed(&self, owner: OwnerId, after: Version) -> Result<Version, StoreError> {
        if self.writer.is_none() {
            return Err(StoreError::Refused(
                "the store was opened for reading only, it cannot be waited for".into(),
            ));
        }
        let mut news = self.shared.watch.owner(owner).ok_or_else(|| self.shared.gone())?;
        let mut version = self.shared.known(owner)?;
        while version <= after {
            news.changed().await.map_err(|_| self.shared.gone())?;
            version = *news.borrow_and_update();
        }
        Ok(version)
    }
}

impl Shared {
    /// Reads the keys of a range, a few at once.
    async fn stretch<T: Send + 'static>(
        self: &Arc<Self>,
        range: Range,
        statements: [&'static str; 2],
        row: fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let (owner, entries) = (range.owner, usize::try_from(range.limit).unwrap_or(usize::MAX));
        let read =
            move |connection: &Connection, now, most| range.read(connection, now, statements, row, most);
        let found = self.few(entries, read).await?;
        if found.is_empty() {
            self.known(owner)?;
        }
        Ok(found)
    }

    /// The version of an owner.
    fn known(&self, owner: OwnerId) -> Result<Version, StoreError> {
        let version = self.small(|connection, _| {
            connection.prepare_cached(HEAD)?.query_row([owner.0], |row| row.get(0).map(Version)).optional()
        });
        version?.ok_or(StoreError::NoOwner(owner))
    }
}

/// The entries under `keys`; `None` when there is no such owner.
fn entries(
    connection: &Connection,
    owner: OwnerId,
    keys: &[String],
    now: Micros,
    most: i64,
) -> rusqlite::Result<Option<Vec<Option<Entry>>>> {
    let mut find = connection.prepare_cached(ENTRY)?;
    if keys.is_empty() {
        return Ok(one(&mut find, owner, "", now, most)?.map(|_| Vec::new()));
    }
    keys.iter().map(|key| one(&mut find, owner, key, now, most)).collect()
}

/// The entry under `key`; the outer `None` when there is no such owner.
fn one(
    find: &mut CachedStatement<'_>,
    owner: OwnerId,
    key: &str,
    now: Micros,
    most: i64,
) -> rusqlite::Result<Option<Option<Entry>>> {
    find.query_row((owner.0, key, now, most), |row| {
        if row.get_ref(0)? == rusqlite::types::ValueRef::Null { Ok(None) } else { entry(row).map(Some) }
    })
    .optional()
}

/// The live entries under a prefix and after a key, up to a limit.
struct Range {
    owner: OwnerId,
    prefix: String,
    after: Option<String>,
    limit: i64,
}

impl Range {
    fn new(owner: OwnerId, prefix: &str, after: Option<&str>, limit: usize) -> Self {
        // A key before all of the prefix is as good as none.
        let after = after.filter(|after| *after >= prefix).map(str::to_owned);
        Self { owner, prefix: prefix.to_owned(), after, limit: i64::try_from(limit).unwrap_or(i64::MAX) }
    }

    /// Reads them with the first of two statements, which starts at a key, or the second, which starts after one.
    fn read<T>(
        &self,
        connection: &Connection,
        now: Micros,
        [from, beyond]: [&str; 2],
        row: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
        most: i64,
    ) -> rusqlite::Result<Vec<T>> {
        let (sql, start) = match &self.after {
            Some(after) => (beyond, after),
            None => (from, &self.prefix),
        };
        let mut find = connection.prepare_cached(sql)?;
        let (owner, end) = (self.owner.0, End::of(&self.prefix));
        let all: [&dyn ToSql; 6] = [&owner, start, &end, &now, &self.limit, &most];
        // Keys alone are small.
        let used = &all[..find.parameter_count().min(all.len())];
        find.query_map(used, row)?.collect()
    }
}

/// A page of history; `None` when there is no such owner. Rows are linked one to the other, so the place where the
/// last page ended is worth remembering.
fn page(
    connection: &Connection,
    pages: &Mutex<HashMap<OwnerId, (i64, i64)>>,
    owner: OwnerId,
    before: Option<Version>,
    limit: HistoryLimit,
) -> rusqlite::Result<Option<Vec<PastTurn>>> {
    let pages = || pages.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(mut walk) = Walk::start(connection, owner)? else { return Ok(None) };
    let known = pages().get(&owner).copied();
    if let Some((row, version)) = known.filter(|(_, version)| before == Some(Version(version + 1))) {
        walk = Walk::from(connection, owner, Some(row), version);
    }
    let (mut turns, mut left) = (Vec::new(), Some(limit.bytes));
    while turns.len() < limit.turns {
        let first = turns.is_empty();
        let turn = walk.next(|version, size| {
            if before.is_some_and(|before| version >= before.0) {
                return Step::Pass;
            }
            left = left.and_then(|left| left.checked_sub(size));
            if first || left.is_some() { Step::Take } else { Step::End }
        })?;
        let Some(turn) = turn else { break };
        turns.push(turn);
    }
    match walk.place() {
        Some(place) => pages().insert(owner, place),
        None => pages().remove(&owner),
    };
    Ok(Some(turns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::plans::check(&[HEAD, ENTRY, LIST_FROM, LIST_AFTER, KEYS_FROM, KEYS_AFTER]);
    }
}
