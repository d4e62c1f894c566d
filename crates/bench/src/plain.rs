//! The peer: the statements that a turn needs, by hand in plain rusqlite, with the same tables, indexes and pragmas.
//! It has no queue, no checks and no conflict rule, so the difference to it is what the store costs.

use std::path::Path;

use inboxclaw_contract::OwnerId;
use rusqlite::Connection;
use sha2::{Digest, Sha256};

use crate::data;
use crate::ours::{EVENT_TYPE, next};

/// A connection to a database that our store has made and closed, so that tables and settings are the same.
pub(crate) struct Plain {
    connection: Connection,
    seq: i64,
    version: i64,
}

/// One turn's share of a transaction.
pub(crate) struct PlainTurn {
    pub(crate) owner: OwnerId,
    pub(crate) events: usize,
}

impl Plain {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(Self { connection: open(path)?, seq: 0, version: 0 })
    }

    /// All of these turns in one durable transaction.
    pub(crate) fn commit(&mut self, turns: &[PlainTurn]) -> anyhow::Result<()> {
        let transaction = self.connection.transaction()?;
        let now = jiff::Timestamp::now().as_microsecond();
        for turn in turns {
            let first = next(turn.events);
            for n in 0..turn.events {
                self.seq += 1;
                event(&transaction, self.seq, turn.owner, now, first + n as u64)?;
            }
            self.version += 1;
            head(&transaction, self.version, turn.owner, now, first)?;
        }
        transaction.commit()?;
        Ok(())
    }
}

/// Opens a database that our store has made, with the settings that our store gives its own connections.
pub(crate) fn open(path: &Path) -> anyhow::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.execute("INSERT OR IGNORE INTO event_types (name) VALUES (?1)", [EVENT_TYPE])?;
    Ok(connection)
}

pub(crate) fn event(
    connection: &Connection,
    seq: i64,
    owner: OwnerId,
    now: i64,
    id: u64,
) -> anyhow::Result<()> {
    let event_id = format!("event-{id}");
    let digest = Sha256::new().chain_update(owner.0.to_be_bytes()).chain_update(&event_id).finalize();
    connection
        .prepare_cached("INSERT OR IGNORE INTO identities (digest) VALUES (?1)")?
        .execute([&digest[..16]])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO events (seq, type, source, created_at, occurred_at, event_id, entity, meta, data)
         VALUES (?1, 1, ?2, ?3, NULL, ?4, ?5, '{}', ?6)",
    )?;
    insert.execute((seq, owner.0, now, event_id, format!("thing-{id}"), data::event(id)))?;
    Ok(())
}

/// The history row and the head of the owner.
fn head(connection: &Connection, version: i64, owner: OwnerId, now: i64, first: u64) -> anyhow::Result<()> {
    let mut history = connection.prepare_cached(
        "INSERT INTO history (owner, version, previous, at, bytes, author, changes)
         VALUES (?1, ?2, ?3, ?4, 30, NULL, ?5)",
    )?;
    history.execute((owner.0, version, version - 1, now, format!("cursor-{first} before").as_bytes()))?;
    let row = connection.last_insert_rowid();
    let mut update = connection.prepare_cached(
        "UPDATE owners SET version = ?2, cursor = ?3, turn_id = ?4, history = ?5, history_bytes = ?6 WHERE id = ?1",
    )?;
    let turn_id = u128::from(first).to_be_bytes();
    update.execute((owner.0, version, format!("cursor-{first}"), &turn_id[..], row, version * 30))?;
    Ok(())
}
