//! Stores one turn: first everything is read and checked, then everything is written.

use inboxclaw_contract::turn::{Committed, EntryChange};
use inboxclaw_contract::{Entry, Json, Outcome, Turn, Version};
use rusqlite::{CachedStatement, OptionalExtension, Row};

use super::conflict::{self, Change};
use super::error::Fault;
use super::history::{self, Replaced};
use super::tx::Tx;
use super::values::{End, Micros, Text};
use super::{append, owners};

const LIVE_ENTRY: &str = "
    SELECT key, revision, created_at, updated_at, expires_at, secret, value FROM entries
    WHERE space = ?1 AND key = ?2 AND (expires_at IS NULL OR expires_at > ?3)";

const LIVE_REVISION: &str =
    "SELECT revision FROM entries WHERE space = ?1 AND key = ?2 AND (expires_at IS NULL OR expires_at > ?3)";

const LIVE_ENTRIES: &str = "
    SELECT key, revision, created_at, updated_at, expires_at, secret, value FROM entries
    WHERE space = ?1 AND key >= ?2 AND key < ?3 AND (expires_at IS NULL OR expires_at > ?4)";

const PUT: &str = "
    INSERT INTO entries (space, key, revision, created_at, updated_at, expires_at, secret, value)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT (space, key) DO UPDATE SET revision = excluded.revision, created_at = excluded.created_at,
        updated_at = excluded.updated_at, expires_at = excluded.expires_at, secret = excluded.secret,
        value = excluded.value";

const TOUCH: &str = "UPDATE entries SET expires_at = ?3 WHERE space = ?1 AND key = ?2";

const DELETE: &str = "DELETE FROM entries WHERE space = ?1 AND key = ?2";

/// Expired entries go along; that is no change.
const DELETE_PREFIX: &str = "DELETE FROM entries WHERE space = ?1 AND key >= ?2 AND key < ?3";

const SET_HEAD: &str = "
    UPDATE owners SET version = ?2, cursor = ?3, turn_id = ?4, history = ?5, history_bytes = ?6 WHERE id = ?1";

const SET_TURN_ID: &str = "UPDATE owners SET turn_id = ?2 WHERE id = ?1";

/// Stores a turn, or says why not. A [`Fault::Answer`] and a conflict come before the first write.
pub(super) fn turn(tx: &mut Tx<'_>, turn: &Turn) -> Result<Outcome, Fault> {
    for (owner, _) in &turn.facts {
        tx.owner(*owner)?;
    }
    let owner = tx.owner(turn.owner)?;
    if owner.turn_id == Some(turn.turn_id.0) {
        return Ok(Outcome::Committed(Committed { version: Version(owner.version), stored: 0, known: 0 }));
    }
    if let Some(conflict) = conflict::find(tx, turn)? {
        return Ok(Outcome::Conflict(conflict));
    }
    let plan = Plan::new(tx, turn)?;
    let mut wrote = plan.write_entries(tx, turn)?;
    let (stored, known) = append::events(tx, turn)?;
    append::deliveries(tx, turn)?;
    for (owner, patch) in &turn.facts {
        wrote |= owners::patch_facts(tx, *owner, patch)?;
    }
    if plan.replaced.is_empty() {
        // A turn that stored nothing may be repeated without harm: it is not worth an fsync.
        set_turn_id(tx, turn, wrote || stored > 0 || !turn.deliveries.is_empty())?;
    } else {
        set_head(tx, turn, &plan)?;
    }
    let version = Version(tx.owner(turn.owner)?.version);
    Ok(Outcome::Committed(Committed { version, stored, known }))
}

/// The revision of a live entry.
pub(super) fn live_revision(tx: &Tx<'_>, space: i64, key: &str) -> rusqlite::Result<Option<Version>> {
    let mut find = tx.connection.prepare_cached(LIVE_REVISION)?;
    find.query_row((space, key, tx.now), |row| row.get(0).map(Version)).optional()
}

/// An entry from the columns key, revision, created_at, updated_at, expires_at, secret, value.
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

/// What a turn does to entries and cursor.
struct Plan<'t> {
    replaced: Replaced,
    writes: Vec<Write<'t>>,
    /// The version and the space that the turn starts from.
    version: i64,
    space: i64,
}

enum Write<'t> {
    Put { key: &'t str, value: &'t Json, secret: bool, created_at: Micros, expires_at: Option<Micros> },
    Touch { key: &'t str, expires_at: Option<Micros> },
    Delete { key: &'t str },
}

impl<'t> Plan<'t> {
    fn new(tx: &mut Tx<'_>, turn: &'t Turn) -> Result<Self, Fault> {
        let owner = tx.owner(turn.owner)?;
        let (version, space) = (owner.version, owner.space);
        let mut replaced = Replaced::default();
        if turn.cursor.as_ref().is_some_and(|cursor| *cursor != owner.cursor) {
            replaced.cursor = Some(owner.cursor.clone());
        }
        let mut plan = Self { replaced, writes: Vec::with_capacity(turn.entries.len()), version, space };
        for prefix in &turn.deleted_prefixes {
            plan.note_prefix(tx, prefix)?;
        }
        let mut find = tx.connection.prepare_cached(LIVE_ENTRY)?;
        for (key, change) in &turn.entries {
            let gone = turn.deleted_prefixes.iter().any(|prefix| key.starts_with(prefix.as_str()));
            let old = if gone { None } else { plan.old(&mut find, key, tx.now)? };
            plan.change(tx.now, key, change, old);
        }
        Ok(plan)
    }

    fn old(&self, find: &mut CachedStatement<'_>, key: &str, now: Micros) -> rusqlite::Result<Option<Entry>> {
        find.query_row((self.space, key, now), entry).optional()
    }

    fn note_prefix(&mut self, tx: &Tx<'_>, prefix: &str) -> rusqlite::Result<()> {
        let mut find = tx.connection.prepare_cached(LIVE_ENTRIES)?;
        let mut rows = find.query((self.space, prefix, End::of(prefix), tx.now))?;
        while let Some(row) = rows.next()? {
            // Once there is too much for history, how much more does not matter.
            if self.replaced.too_much {
                break;
            }
            let old = entry(row)?;
            self.replaced.note(&old.key.clone(), Some(old));
        }
        Ok(())
    }

    /// Decides what one change comes to, given the live entry before.
    fn change(&mut self, now: Micros, key: &'t str, change: &'t EntryChange, old: Option<Entry>) {
        let kept = old.as_ref().and_then(|old| old.expires_at);
        let resolve = |expiry: inboxclaw_contract::Expiry| expiry.resolve(now.0, kept).map(Micros);
        let moves =
            |expires_at: Option<Micros>| expires_at.map(Micros::get) != kept.map(|at| Micros(at).get());
        let write = match change {
            EntryChange::Delete => old.is_some().then_some(Write::Delete { key }),
            EntryChange::Touch { expiry } => {
                let expires_at = resolve(*expiry);
                if old.is_some() && moves(expires_at) {
                    self.writes.push(Write::Touch { key, expires_at });
                }
                None
            }
            EntryChange::Put { value, expiry, secret } => {
                let expires_at = resolve(*expiry);
                if old.as_ref().is_some_and(|old| old.value == *value && old.secret == *secret) {
                    if moves(expires_at) {
                        self.writes.push(Write::Touch { key, expires_at });
                    }
                    None
                } else {
                    let created_at = old.as_ref().map_or(now, |old| Micros(old.created_at));
                    Some(Write::Put { key, value, secret: *secret, created_at, expires_at })
                }
            }
        };
        if let Some(write) = write {
            self.replaced.note(key, old);
            self.writes.push(write);
        }
    }

    /// Writes the entries, and says whether there were any.
    fn write_entries(&self, tx: &Tx<'_>, turn: &Turn) -> rusqlite::Result<bool> {
        let (connection, space) = (tx.connection, self.space);
        for prefix in &turn.deleted_prefixes {
            connection.prepare_cached(DELETE_PREFIX)?.execute((space, prefix, End::of(prefix)))?;
        }
        let (mut put, mut touch, mut delete) = (
            connection.prepare_cached(PUT)?,
            connection.prepare_cached(TOUCH)?,
            connection.prepare_cached(DELETE)?,
        );
        for write in &self.writes {
            match write {
                Write::Put { key, value, secret, created_at, expires_at } => {
                    let revision = self.version + 1;
                    let value = value.as_str();
                    put.execute((space, key, revision, created_at, tx.now, expires_at, secret, value))?
                }
                Write::Touch { key, expires_at } => touch.execute((space, key, expires_at))?,
                Write::Delete { key } => delete.execute((space, key))?,
            };
        }
        Ok(!self.writes.is_empty())
    }
}

/// Moves the owner on by one version, with a row of history.
fn set_head(tx: &mut Tx<'_>, turn: &Turn, plan: &Plan<'_>) -> Result<(), Fault> {
    let (connection, now) = (tx.connection, tx.now);
    let version = plan.version + 1;
    let replaced = &plan.replaced;
    let owner = tx.owner(turn.owner)?;
    let link = (turn.owner, version, owner.history);
    let (row, bytes) = history::add(connection, link, now, turn.author.as_deref(), replaced)?;
    owner.version = version;
    owner.turn_id = Some(turn.turn_id.0);
    owner.history = Some(row);
    owner.history_bytes += bytes;
    if let Some(cursor) = &turn.cursor {
        owner.cursor.clone_from(cursor);
    }
    if replaced.too_much {
        owner.recent.forget();
    } else {
        let keys = replaced.entries.keys().cloned().collect();
        owner.recent.push(Change { version, cursor: replaced.cursor.is_some(), keys });
    }
    let turn_id = turn.turn_id.0.to_be_bytes();
    let head = (turn.owner.0, version, &owner.cursor, turn_id, owner.history, owner.history_bytes);
    connection.prepare_cached(SET_HEAD)?.execute(head)?;
    tx.cache.changed.push((turn.owner, Version(version)));
    Ok(())
}

fn set_turn_id(tx: &mut Tx<'_>, turn: &Turn, durable: bool) -> Result<(), Fault> {
    tx.owner(turn.owner)?.turn_id = Some(turn.turn_id.0);
    if durable {
        let turn_id = turn.turn_id.0.to_be_bytes();
        tx.connection.prepare_cached(SET_TURN_ID)?.execute((turn.owner.0, turn_id))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::plans::check(&[
            LIVE_ENTRY,
            LIVE_REVISION,
            LIVE_ENTRIES,
            PUT,
            TOUCH,
            DELETE,
            DELETE_PREFIX,
            SET_HEAD,
            SET_TURN_ID,
        ]);
    }
}
