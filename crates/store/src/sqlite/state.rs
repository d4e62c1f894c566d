//! The states of owners, as the contract wants them read and written.

use async_trait::async_trait;
use inboxclaw_contract::store::PastTurn;
use inboxclaw_contract::turn::Committed;
use inboxclaw_contract::{Entry, Outcome, OwnerId, Snapshot, State, StoreError, Turn, Version};
use rusqlite::{CachedStatement, Connection, OptionalExtension};

use super::history::Walk;
use super::values::{End, Micros};
use super::{Shared, SqliteStore, apply, check, in_snapshot};

const HEAD: &str = "SELECT version, cursor FROM owners WHERE id = ?1";

/// One row for a known owner, empty when the key is absent.
const ENTRY: &str = "
    SELECT e.key, e.revision, e.created_at, e.updated_at, e.expires_at, e.secret, e.value
    FROM owners o LEFT JOIN entries e ON e.space = o.space AND e.key = +?2
        AND (e.expires_at IS NULL OR e.expires_at > ?3)
    WHERE o.id = +?1";

const LIST_FROM: &str = "
    SELECT key, revision, created_at, updated_at, expires_at, secret, value FROM entries
    WHERE space = (SELECT space FROM owners WHERE id = ?1) AND key >= ?2 AND key < ?3
        AND (expires_at IS NULL OR expires_at > ?4) ORDER BY key LIMIT +?5";

const LIST_AFTER: &str = "
    SELECT key, revision, created_at, updated_at, expires_at, secret, value FROM entries
    WHERE space = (SELECT space FROM owners WHERE id = ?1) AND key > ?2 AND key < ?3
        AND (expires_at IS NULL OR expires_at > ?4) ORDER BY key LIMIT +?5";

/// Reads of so many entries are done at once.
const FEW: usize = 64;

#[async_trait]
impl State for SqliteStore {
    async fn snapshot(&self, owner: OwnerId) -> Result<Snapshot, StoreError> {
        let found = self.shared.short(|connection, now| {
            let mut find = connection.prepare_cached(HEAD)?;
            let snapshot = |row: &rusqlite::Row<'_>| {
                Ok(Snapshot { version: Version(row.get(0)?), cursor: row.get(1)?, now: now.0 })
            };
            find.query_row([owner.0], snapshot).optional()
        });
        found?.ok_or(StoreError::NoOwner(owner))
    }

    async fn entries(&self, owner: OwnerId, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        let found = match keys {
            [key] => self.shared.short(|connection, now| {
                let mut find = connection.prepare_cached(ENTRY)?;
                Ok(one(&mut find, owner, key, now)?.map(|entry| vec![entry]))
            }),
            keys if keys.len() <= FEW => self.shared.short(|connection, now| {
                in_snapshot(connection, |connection| entries(connection, owner, keys, now))
            }),
            keys => {
                let keys = keys.to_vec();
                self.shared.long(move |connection, now| entries(connection, owner, &keys, now)).await
            }
        };
        found?.ok_or(StoreError::NoOwner(owner))
    }

    async fn list(
        &self,
        owner: OwnerId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let found = if limit <= FEW {
            self.shared.short(|connection, now| list(connection, owner, (prefix, after), limit, now))?
        } else {
            let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
            let read = move |connection: &Connection, now| {
                list(connection, owner, (&prefix, after.as_deref()), limit, now)
            };
            self.shared.long(read).await?
        };
        if found.is_empty() {
            self.shared.known(owner)?;
        }
        Ok(found)
    }

    async fn commit(&self, turn: Turn) -> Result<Outcome, StoreError> {
        let size = check::size(&turn)?;
        check::events(&turn)?;
        if turn.is_empty() {
            let version = self.shared.known(turn.owner)?;
            return Ok(Outcome::Committed(Committed { version, stored: 0, known: 0 }));
        }
        self.write(size, move |tx| apply::turn(tx, &turn)).await
    }

    async fn history(
        &self,
        owner: OwnerId,
        before: Option<Version>,
        limit: usize,
    ) -> Result<Vec<PastTurn>, StoreError> {
        let found = self.shared.long(move |connection, _| {
            let Some(mut walk) = Walk::start(connection, owner)? else { return Ok(None) };
            let mut turns = Vec::new();
            while turns.len() < limit
                && let Some(turn) = walk.next(|version| before.is_none_or(|before| version < before.0))?
            {
                turns.push(turn);
            }
            Ok(Some(turns))
        });
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
    /// The version of an owner.
    fn known(&self, owner: OwnerId) -> Result<Version, StoreError> {
        let version = self.short(|connection, _| {
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
) -> rusqlite::Result<Option<Vec<Option<Entry>>>> {
    let mut find = connection.prepare_cached(ENTRY)?;
    if keys.is_empty() {
        return Ok(one(&mut find, owner, "", now)?.map(|_| Vec::new()));
    }
    keys.iter().map(|key| one(&mut find, owner, key, now)).collect()
}

/// The entry under `key`; the outer `None` when there is no such owner.
fn one(
    find: &mut CachedStatement<'_>,
    owner: OwnerId,
    key: &str,
    now: Micros,
) -> rusqlite::Result<Option<Option<Entry>>> {
    find.query_row((owner.0, key, now), |row| {
        if row.get_ref(0)? == rusqlite::types::ValueRef::Null {
            Ok(None)
        } else {
            apply::entry(row).map(Some)
        }
    })
    .optional()
}

fn list(
    connection: &Connection,
    owner: OwnerId,
    (prefix, after): (&str, Option<&str>),
    limit: usize,
    now: Micros,
) -> rusqlite::Result<Vec<Entry>> {
    let (sql, start) = match after {
        Some(after) if after >= prefix => (LIST_AFTER, after),
        _ => (LIST_FROM, prefix),
    };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut find = connection.prepare_cached(sql)?;
    find.query_map((owner.0, start, End::of(prefix), now, limit), apply::entry)?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::plans::check(&[HEAD, ENTRY, LIST_FROM, LIST_AFTER]);
    }
}
