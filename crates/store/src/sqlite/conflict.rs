//! Whether a turn may still be stored: what it read or writes must not have changed since its base.

use inboxclaw_contract::Turn;
use inboxclaw_contract::turn::Conflict;

use super::error::Fault;
use super::history::{Step, Walk};
use super::recent::Change;
use super::rows::live_revision;
use super::tx::Tx;

/// How far back history is searched; a turn that is further behind reads again.
const WALKED: usize = 1_000;

/// Why the turn cannot be stored, if so.
pub(super) fn find(tx: &mut Tx<'_>, turn: &Turn) -> Result<Option<Conflict>, Fault> {
    if turn.swap.is_some_and(|swap| tx.writer.is_overtaken(swap.space.0)) {
        return Ok(Some(Conflict::Unknown));
    }
    if let Some(conflict) = moved(tx, turn)? {
        return Ok(Some(conflict));
    }
    let space = tx.owner(turn.owner)?.space;
    for (key, wanted) in &turn.checks {
        let found = live_revision(tx, space, key)?;
        if found != *wanted {
            return Ok(Some(Conflict::Check { key: key.clone(), wanted: *wanted, found }));
        }
    }
    Ok(None)
}

/// Optimistic concurrency: what the turn depends on and what changed after its base.
///
/// A turn was worked out from the state at `base` and is judged at the present version. It may be stored if none of the
/// changes in between touches what it read or writes: then it would have been worked out the same from the present state.
/// So every change after `base` must be known key by key, without a gap. That is so because versions grow by one with each
/// row of history, and the writer is alone: `recent` and `history` say the same, and one of them reaches back to `base`,
/// or the answer is that nobody knows, which refuses the turn. A refusal too many costs a second reading; an approval too
/// many would lose somebody's change.
fn moved(tx: &mut Tx<'_>, turn: &Turn) -> Result<Option<Conflict>, Fault> {
    let (connection, base) = (tx.connection, turn.base.0);
    let owner = tx.owner(turn.owner)?;
    let (head, version) = (owner.history, owner.version);
    if version == base || !depends_on_state(turn) {
        return Ok(None);
    }
    if version < base || turn.swap.is_some() {
        // A base from the future comes from another database. A swap replaces what nobody has looked at.
        return Ok(Some(Conflict::Unknown));
    }
    // From memory, as nearly always: a source is one or two versions behind at most.
    if let Some(mut changes) = owner.recent.since(base) {
        return Ok(changes.find_map(|change| touched(turn, change)));
    }
    let mut walk = Walk::from(connection, turn.owner, head, version);
    // From history, newest first. A row that history has swept, a marker and a swap end the walk: what they changed is
    // not known key by key.
    for step in (0..WALKED).map(|step| version.saturating_sub_unsigned(step as u64)) {
        if step <= base {
            return Ok(None);
        }
        match walk.next(|_, _| Step::Take)? {
            Some(past) if !past.marker && past.replaced.is_none() => {
                let keys = past.entries.into_iter().map(|(key, _)| key).collect();
                let change = Change { version: past.version.0, cursor: past.cursor.is_some(), keys };
                if let Some(conflict) = touched(turn, &change) {
                    return Ok(Some(conflict));
                }
            }
            _ => break,
        }
    }
    Ok(Some(Conflict::Unknown))
}

/// Whether the turn reads or writes any state. Events, deliveries and run facts alone conflict with nothing.
fn depends_on_state(turn: &Turn) -> bool {
    turn.cursor.is_some()
        || turn.reads.cursor
        || !turn.reads.keys.is_empty()
        || !turn.reads.prefixes.is_empty()
        || !turn.entries.is_empty()
        || !turn.deleted_prefixes.is_empty()
        || turn.swap.is_some()
}

fn touched(turn: &Turn, change: &Change) -> Option<Conflict> {
    if change.cursor && (turn.reads.cursor || turn.cursor.is_some()) {
        return Some(Conflict::Cursor);
    }
    change.keys.iter().find_map(|key| {
        if turn.reads.keys.contains(key) || turn.entries.contains_key(key) {
            return Some(Conflict::Key(key.clone()));
        }
        let mut prefixes = turn.reads.prefixes.iter().chain(&turn.deleted_prefixes);
        let prefix = prefixes.find(|prefix| key.starts_with(prefix.as_str()))?;
        Some(Conflict::Prefix { prefix: prefix.clone(), key: key.clone() })
    })
}
