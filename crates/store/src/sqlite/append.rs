//! The part of a turn that is no state: its events, and what a sink owes out of order.

use inboxclaw_contract::turn::{DeliveryChange, DeliveryState};
use inboxclaw_contract::{OwnerId, Turn};
use sha2::{Digest, Sha256};

use super::event_counts;
use super::tx::Tx;
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

/// Appends the events that the source has not reported before; returns how many were new and how many known.
pub(super) fn events(tx: &mut Tx<'_>, turn: &Turn) -> rusqlite::Result<(u64, u64)> {
    let (mut stored, mut known) = (0, 0);
    for event in &turn.events {
        let digest = identity(turn.owner, &event.event_id);
        if tx.connection.prepare_cached(ADD_IDENTITY)?.execute([digest])? == 0 {
            known += 1;
            continue;
        }
        let event_type = tx.event_type(&event.event_type)?;
        let seq = next_seq(tx)?;
        tx.connection.prepare_cached(ADD_EVENT)?.execute((
            seq,
            event_type,
            turn.owner.0,
            tx.clock.stamp,
            event.occurred_at.map(Micros),
            &event.event_id,
            &event.entity_id,
            event.meta.as_str(),
            event.data.as_str(),
        ))?;
        event_counts::appended(tx, event_type, seq)?;
        stored += 1;
    }
    tx.cache.grown |= stored > 0;
    Ok((stored, known))
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

/// The number of the next event. Where its time is before that of the last one, a note is left: up to there, times
/// do not grow with seq.
fn next_seq(tx: &mut Tx<'_>) -> rusqlite::Result<i64> {
    let (connection, now) = (tx.connection, tx.clock.stamp.get());
    let end = tx.log()?;
    if now < end.created_at {
        connection.prepare_cached(SET_STEP_BACK)?.execute([end.head])?;
    }
    end.created_at = now;
    end.head += 1;
    Ok(end.head)
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
