//! What the writer knows without reading, because nobody else writes: the heads of owners, the numbers of event
//! types, the end of the log. All of it is forgotten when a transaction fails, and read again.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use inboxclaw_contract::turn::Sweep;
use inboxclaw_contract::{OwnerId, StoreError, Version};
use rusqlite::{Connection, OptionalExtension};

use super::clock::Now;
use super::counts::Counts;
use super::error::Fault;
use super::options::HistoryBounds;
use super::recent::Recent;
use super::writer_state::{Asked, WriterState};

const OWNER: &str = "
    SELECT version, cursor, space, turn_id, history, history_bytes, entries, bytes FROM owners
    WHERE id = ?1 AND forgotten = 0";

const LOG_END: &str = "
    SELECT coalesce((SELECT value FROM meta WHERE name = 'head'), 0), seq, created_at
    FROM (SELECT 1) LEFT JOIN (SELECT seq, created_at FROM events ORDER BY seq DESC LIMIT 1)";

const EVENT_TYPES: &str = "SELECT name, id FROM event_types";

const ADD_EVENT_TYPE: &str = "INSERT INTO event_types (name) VALUES (?1)";

/// Counts of a space stand in its owner's row while it is in place, else in its own.
const OWNER_OF: &str = "SELECT owner FROM spaces WHERE id = ?1";
const COUNT_OWNER: &str = "UPDATE owners SET entries = ?2, bytes = ?3 WHERE id = ?1";
const COUNT_SPACE: &str = "UPDATE spaces SET entries = entries + ?2, bytes = bytes + ?3 WHERE id = ?1";

/// A transaction in the making.
pub(super) struct Tx<'a> {
    pub(super) connection: &'a Connection,
    pub(super) cache: &'a mut Cache,
    /// What outlives this transaction, stored or not.
    pub(super) writer: &'a mut WriterState,
    /// The store's clock for everything in this transaction.
    pub(super) clock: Now,
    pub(super) history: HistoryBounds,
}

/// What the writer remembers. Holds true for the transaction in the making, or for what is committed.
#[derive(Default)]
pub(super) struct Cache {
    owners: HashMap<OwnerId, OwnerRow>,
    types: Option<HashMap<String, i64>>,
    log: Option<LogEnd>,
    /// How many events of each type come after its last block, for those types to which the writer has appended.
    pub(super) uncounted: HashMap<i64, i64>,
    /// Owners whose version this transaction has changed.
    pub(super) changed: Vec<(OwnerId, Version)>,
    /// Whether this transaction has added to the log.
    pub(super) grown: bool,
    /// The sweeps that turns of this transaction ask for.
    pub(super) asked: Vec<(OwnerId, Sweep)>,
    /// What is left to do of the sweeps that earlier turns asked for, once this transaction has done some.
    pub(super) sweeps: Option<VecDeque<Asked>>,
    /// The spaces that turns of this transaction have put in place, each with the last one begun before.
    pub(super) placed: Vec<(i64, i64)>,
    /// How many pending events each source has, once that was looked up.
    pub(super) pending: Option<HashMap<OwnerId, i64>>,
    /// When the first pending event is due, if this transaction has looked.
    pub(super) next_due: Option<Option<i64>>,
    /// When the first one is due of those that this transaction has collected.
    pub(super) collected: Option<i64>,
    /// How far the history of each owner has been trimmed to its bound of bytes, by row.
    pub(super) trimmed: HashMap<i64, i64>,
}

/// The head of an owner.
pub(super) struct OwnerRow {
    pub(super) version: i64,
    pub(super) cursor: Option<String>,
    pub(super) space: i64,
    pub(super) turn_id: Option<u128>,
    /// The newest row of its history.
    pub(super) history: Option<i64>,
    pub(super) history_bytes: i64,
    /// What its space holds.
    pub(super) counts: Counts,
    pub(super) recent: Recent,
}

/// Where the log ends.
#[derive(Clone, Copy)]
pub(super) struct LogEnd {
    /// The last seq ever given.
    pub(super) head: i64,
    /// When the last event was stored, in microseconds.
    pub(super) created_at: i64,
}

impl Tx<'_> {
    /// The head of an owner. Forgotten ones are none.
    pub(super) fn owner(&mut self, owner: OwnerId) -> Result<&mut OwnerRow, Fault> {
        match self.cache.owners.entry(owner) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let row =
                    self.connection.prepare_cached(OWNER)?.query_row([owner.0], owner_row).optional()?;
                Ok(place.insert(row.ok_or(StoreError::NoOwner(owner))?))
            }
        }
    }

    /// The number of an event type, given now if it is new.
    pub(super) fn event_type(&mut self, name: &str) -> rusqlite::Result<i64> {
        let types = match &mut self.cache.types {
            Some(types) => types,
            none => {
                let mut all = self.connection.prepare_cached(EVENT_TYPES)?;
                let all = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
                none.insert(all.collect::<rusqlite::Result<_>>()?)
            }
        };
        if let Some(id) = types.get(name) {
            return Ok(*id);
        }
        let id = self.connection.prepare_cached(ADD_EVENT_TYPE)?.insert([name])?;
        types.insert(name.to_owned(), id);
        Ok(id)
    }

    /// Where the log ends, to be moved on.
    pub(super) fn log(&mut self) -> rusqlite::Result<&mut LogEnd> {
        match &mut self.cache.log {
            Some(end) => Ok(end),
            none => {
                let end = self.connection.prepare_cached(LOG_END)?.query_row([], |row| {
                    let (given, seq): (i64, Option<i64>) = (row.get(0)?, row.get(1)?);
                    let created_at: Option<i64> = row.get(2)?;
                    Ok(LogEnd {
                        head: seq.unwrap_or(0).max(given),
                        created_at: created_at.unwrap_or(i64::MIN),
                    })
                })?;
                Ok(none.insert(end))
            }
        }
    }

    /// Changes the counts of `space` by `change`, wherever they stand. For everything but turns, which write the
    /// counts together with their owner's head.
    pub(super) fn count(&mut self, space: i64, change: Counts) -> Result<(), Fault> {
        if change == Counts::default() {
            return Ok(());
        }
        let connection = self.connection;
        let owner = connection.prepare_cached(OWNER_OF)?.query_row([space], |row| row.get(0).map(OwnerId));
        if let Some(id) = owner.optional()? {
            match self.owner(id) {
                Ok(owner) if owner.space == space => {
                    owner.counts += change;
                    let row = (id.0, owner.counts.entries, owner.counts.bytes);
                    connection.prepare_cached(COUNT_OWNER)?.execute(row)?;
                    return Ok(());
                }
                // Of a forgotten owner no space is in place.
                Ok(_) | Err(Fault::Answer(StoreError::NoOwner(_))) => {}
                Err(fault) => return Err(fault),
            }
        }
        connection.prepare_cached(COUNT_SPACE)?.execute((space, change.entries, change.bytes))?;
        Ok(())
    }

    /// For whom `space` is being built; `None` when nobody builds it any more, or when it has been put in place.
    pub(super) fn builder_of(&self, space: i64) -> Option<OwnerId> {
        let owner = self.writer.builder_of(space)?;
        let is_placed = self.cache.placed.iter().any(|(placed, _)| *placed == space);
        (!is_placed).then_some(owner)
    }

    /// The spaces that are being built for `owner`.
    pub(super) fn built_for(&self, owner: OwnerId) -> Vec<i64> {
        let all = self.writer.begun();
        all.filter(|space| self.builder_of(*space) == Some(owner)).collect()
    }
}

impl Cache {
    /// Where the log ends, if that is known.
    pub(super) fn log_end(&self) -> Option<LogEnd> {
        self.log
    }

    /// Forgets one owner, so that it is read again.
    pub(super) fn forget_owner(&mut self, owner: OwnerId) {
        self.owners.remove(&owner);
    }

    /// The head of an owner, if it is known.
    pub(super) fn known_owner(&mut self, owner: OwnerId) -> Option<&mut OwnerRow> {
        self.owners.get_mut(&owner)
    }
}

fn owner_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<OwnerRow> {
    let turn_id: Option<[u8; 16]> = row.get(3)?;
    Ok(OwnerRow {
        version: row.get(0)?,
        cursor: row.get(1)?,
        space: row.get(2)?,
        turn_id: turn_id.map(u128::from_be_bytes),
        history: row.get(4)?,
        history_bytes: row.get(5)?,
        counts: Counts { entries: row.get(6)?, bytes: row.get(7)? },
        recent: Recent::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::plans::check(&[OWNER_OF, COUNT_OWNER, COUNT_SPACE]);
    }
}
