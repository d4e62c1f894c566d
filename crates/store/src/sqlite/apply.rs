//! Stores one turn: first everything is read and checked, then everything is written.

use inboxclaw_contract::turn::Committed;
use inboxclaw_contract::{Outcome, Turn, Version};

use super::append::Added;
use super::error::Fault;
use super::plan::Plan;
use super::recent::Change;
use super::tx::Tx;
use super::{append, coalesce, conflict, history, owners};

const SET_HEAD: &str = "
    UPDATE owners SET version = ?2, cursor = ?3, turn_id = ?4, history = ?5, history_bytes = ?6, space = ?7,
        entries = ?8, bytes = ?9
    WHERE id = ?1";

const SET_TURN_ID: &str =
    "UPDATE owners SET turn_id = ?2, space = ?3, entries = ?4, bytes = ?5 WHERE id = ?1";

/// Stores a turn, or says why not. A [`Fault::Answer`] and a conflict come before the first write.
pub(super) fn turn(tx: &mut Tx<'_>, turn: &Turn) -> Result<Outcome, Fault> {
    for (owner, _) in &turn.facts {
        tx.owner(*owner)?;
    }
    let owner = tx.owner(turn.owner)?;
    if owner.turn_id == Some(turn.turn_id.0) {
        return Ok(Outcome::Committed(Committed {
            version: Version(owner.version),
            stored: 0,
            pending: 0,
            known: 0,
        }));
    }
    if let Some(conflict) = conflict::find(tx, turn)? {
        return Ok(Outcome::Conflict(conflict));
    }
    let plan = Plan::new(tx, turn)?;
    let space = plan.write(tx, turn.owner)?;
    let mut wrote = !plan.is_idle();
    let Added { stored, known, pending } = coalesce::events(tx, turn)?;
    append::deliveries(tx, turn)?;
    for (owner, patch) in &turn.facts {
        wrote |= owners::patch_facts(tx, *owner, patch)?;
    }
    let owner = tx.owner(turn.owner)?;
    (owner.space, owner.counts, owner.turn_id) = (space, plan.after, Some(turn.turn_id.0));
    if !plan.replaced.is_empty() {
        set_head(tx, turn, &plan)?;
    } else if wrote || stored + pending > 0 || !turn.deliveries.is_empty() {
        set_turn_id(tx, turn)?;
    } else {
        // A turn that stored nothing may be repeated without harm: it is not worth an fsync.
    }
    tx.cache.asked.extend(turn.sweeps.iter().map(|sweep| (turn.owner, sweep.clone())));
    let version = Version(tx.owner(turn.owner)?.version);
    Ok(Outcome::Committed(Committed { version, stored, pending, known }))
}

/// Moves the owner on by one version, with a row of history.
fn set_head(tx: &mut Tx<'_>, turn: &Turn, plan: &Plan<'_>) -> Result<(), Fault> {
    let (connection, now) = (tx.connection, tx.clock.stamp);
    let version = plan.version + 1;
    let owner = tx.owner(turn.owner)?;
    let (row, bytes) = history::add(connection, turn, version, owner.history, now, &plan.replaced)?;
    owner.version = version;
    owner.history = Some(row);
    owner.history_bytes += bytes;
    if let Some(cursor) = &turn.cursor {
        owner.cursor.clone_from(cursor);
    }
    if plan.is_vast() {
        owner.recent.forget();
    } else {
        let keys = plan.replaced.entries.keys().cloned().collect();
        owner.recent.push(Change { version, cursor: plan.replaced.cursor.is_some(), keys });
    }
    connection.prepare_cached(SET_HEAD)?.execute((
        turn.owner.0,
        version,
        &owner.cursor,
        turn.turn_id.0.to_be_bytes(),
        owner.history,
        owner.history_bytes,
        owner.space,
        owner.counts.entries,
        owner.counts.bytes,
    ))?;
    tx.cache.changed.push((turn.owner, Version(version)));
    Ok(())
}

/// Notes the turn of an owner whose version stays.
fn set_turn_id(tx: &mut Tx<'_>, turn: &Turn) -> Result<(), Fault> {
    let connection = tx.connection;
    let owner = tx.owner(turn.owner)?;
    let turn_id = turn.turn_id.0.to_be_bytes();
    let row = (turn.owner.0, turn_id, owner.space, owner.counts.entries, owner.counts.bytes);
    connection.prepare_cached(SET_TURN_ID)?.execute(row)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::plans::check(&[SET_HEAD, SET_TURN_ID]);
    }
}
