//! The part of a turn that is no state: its events, and what a sink owes out of order.

use inboxclaw_contract::turn::{DeliveryChange, DeliveryState};
use inboxclaw_contract::{NewEvent, OwnerId, Turn};
use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::event_counts;
use super::tx::{LogEnd, Tx};
use super::values::{Micros, origin_number, state_number};

const ADD_IDENTITY: &str = "INSERT OR IGNORE INTO identities (digest) VALUES (?1)";

const ADD_EVENT: &str = "
    INSERT INTO events (seq, type, source, created_at, occurred_at, event_id, entity, meta, data)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

const SET_STEP_BACK: &str = "INSERT OR REPLACE INTO meta (name, value) VALUES ('clock_stepped_back_at', ?1)";

const OWE: &str = "
    INSERT OR REPLACE INTO deliveries (sink, seq, state, due, attempts, entity, error, tried_at, origin)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

/// On the right of an assignment is the row as it was before. What belongs to a replay goes on belonging to it.
const RETRY: &str = "
    UPDATE deliveries SET due = ?3, state = ?4, attempts = iif(state = ?4, attempts, 0),
        tried_at = iif(state = ?4, tried_at, NULL), origin = iif(state = ?4, origin, coalesce(origin, 0))
    WHERE sink = ?1 AND seq = ?2";

const DONE: &str = "DELETE FROM deliveries WHERE sink = ?1 AND seq = ?2";

/// What became of the events of a turn.
#[derive(Default)]
pub(super) struct Added {
    /// The log has so many more.
    pub(super) stored: u64,
    /// So many were reported before.
    pub(super) known: u64,
    /// So many were collected.
    pub(super) pending: u64,
}

/// An event of a source as it is appended to the log.
pub(super) struct Logged<'a> {
    pub(super) source: OwnerId,
    pub(super) event_type: &'a str,
    pub(super) occurred_at: Option<Micros>,
    pub(super) event_id: &'a str,
    pub(super) entity: Option<&'a str>,
    pub(super) meta: &'a str,
    pub(super) data: &'a str,
}

/// Appends the events that the source has not reported before.
pub(super) fn events(tx: &mut Tx<'_>, turn: &Turn) -> rusqlite::Result<Added> {
    let mut added = Added::default();
    for event in &turn.events {
        if note_reported(tx, turn.owner, &event.event_id)? {
            append(tx, &Logged::of(turn.owner, event))?;
            added.stored += 1;
        } else {
            added.known += 1;
        }
    }
    Ok(added)
}

/// Notes that the source has reported an event of this id; `false` when it has before.
pub(super) fn note_reported(tx: &Tx<'_>, source: OwnerId, event_id: &str) -> rusqlite::Result<bool> {
    let added = tx.connection.prepare_cached(ADD_IDENTITY)?.execute([identity(source, event_id)])?;
    Ok(added > 0)
}

/// Appends an event to the log.
pub(super) fn append(tx: &mut Tx<'_>, event: &Logged<'_>) -> rusqlite::Result<()> {
    let seq = next_seq(tx)?;
    add(tx, event, seq, tx.clock.stamp)
}

fn add(tx: &mut Tx<'_>, event: &Logged<'_>, seq: i64, created_at: Micros) -> rusqlite::Result<()> {
    let event_type = tx.event_type(event.event_type)?;
    tx.connection.prepare_cached(ADD_EVENT)?.execute((
        seq,
        event_type,
        event.source.0,
        created_at,
        event.occurred_at,
        event.event_id,
        event.entity,
        event.meta,
        event.data,
    ))?;
    tx.cache.grown = true;
    event_counts::appended(tx, event_type, seq)
}

impl<'a> Logged<'a> {
    /// An event as it was reported.
    pub(super) fn of(source: OwnerId, event: &'a NewEvent) -> Self {
        Self {
            source,
            event_type: &event.event_type,
            occurred_at: event.occurred_at.map(Micros),
            event_id: &event.event_id,
            entity: event.entity_id.as_deref(),
            meta: event.meta.as_str(),
            data: event.data.as_str(),
        }
    }
}

/// Appends an event of another database under the number and with the time that it had there. The number must be beyond
/// the end of the log.
pub(super) fn imported(
    tx: &mut Tx<'_>,
    source: OwnerId,
    event: &NewEvent,
    seq: i64,
    created_at: Micros,
) -> rusqlite::Result<()> {
    if !note_reported(tx, source, &event.event_id)? {
        return Ok(());
    }
    let connection = tx.connection;
    let end = tx.log()?;
    move_on(connection, end, seq, created_at.get())?;
    add(tx, &Logged::of(source, event), seq, created_at)
}

/// Changes what the sink owes out of order.
pub(super) fn deliveries(tx: &Tx<'_>, turn: &Turn) -> rusqlite::Result<()> {
    for change in &turn.deliveries {
        match change {
            DeliveryChange::Owe { seq, entity, state, due, attempts, error, tried_at, origin } => {
                let row = (
                    turn.owner.0,
                    seq.0,
                    state_number(*state),
                    Micros(*due),
                    attempts,
                    entity,
                    error,
                    tried_at.map(Micros),
                    origin_number(*origin),
                );
                tx.connection.prepare_cached(OWE)?.execute(row)?;
            }
            DeliveryChange::Done { seq } => {
                tx.connection.prepare_cached(DONE)?.execute((turn.owner.0, seq.0))?;
            }
            DeliveryChange::Retry { seq } => {
                let row = (turn.owner.0, seq.0, tx.clock.trusted, state_number(DeliveryState::Waiting));
                tx.connection.prepare_cached(RETRY)?.execute(row)?;
            }
        }
    }
    Ok(())
}

/// The number of the next event.
fn next_seq(tx: &mut Tx<'_>) -> rusqlite::Result<i64> {
    let (connection, now) = (tx.connection, tx.clock.stamp.get());
    let end = tx.log()?;
    let seq = end.head + 1;
    move_on(connection, end, seq, now)?;
    Ok(seq)
}

/// Moves the end of the log on to an event. Where its time is before that of the last one, a note is left: up to there,
/// times do not grow with seq.
fn move_on(connection: &Connection, end: &mut LogEnd, seq: i64, created_at: i64) -> rusqlite::Result<()> {
    if created_at < end.created_at {
        connection.prepare_cached(SET_STEP_BACK)?.execute([end.head])?;
    }
    *end = LogEnd { head: seq, created_at };
    Ok(())
}

/// 128 bits are enough that two events of one program never meet.
fn identity(source: OwnerId, event_id: &str) -> [u8; 16] {
    let digest = Sha256::new().chain_update(source.0.to_be_bytes()).chain_update(event_id).finalize();
    let mut short = [0; 16];
    short.copy_from_slice(&digest[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::plans::check(&[ADD_IDENTITY, ADD_EVENT, OWE, RETRY, DONE]);
    }
}
