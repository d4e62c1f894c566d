//! Whether a turn may still be stored: what it read or writes must not have changed since its base.

use std::collections::VecDeque;

use inboxclaw_contract::Turn;
use inboxclaw_contract::turn::Conflict;

use super::apply::live_revision;
use super::error::Fault;
use super::history::{Step, Walk};
use super::tx::Tx;

/// How many bytes of keys are remembered for each owner, about. Older changes are looked up in history.
const REMEMBERED: usize = 64 << 10;
/// What a remembered change costs besides its keys, about.
const CHANGE_BYTES: usize = 64;
/// How far back history is searched; a turn that is further behind reads again.
const WALKED: usize = 1_000;

/// The last changes of an owner, without gaps up to its version.
#[derive(Default)]
pub(super) struct Recent {
    changes: VecDeque<Change>,
    bytes: usize,
}

/// What one turn changed.
pub(super) struct Change {
    /// The version that it made.
    pub(super) version: i64,
    pub(super) cursor: bool,
    pub(super) keys: Vec<String>,
}

impl Recent {
    pub(super) fn push(&mut self, change: Change) {
        self.bytes += change.size();
        self.changes.push_back(change);
        while self.bytes > REMEMBERED
            && let Some(oldest) = self.changes.pop_front()
        {
            self.bytes -= oldest.size();
        }
    }

    /// Forgets everything: the latest change is not known key by key.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The changes after the version `base`; `None` when not all of them are remembered.
    fn since(&self, base: i64) -> Option<impl Iterator<Item = &Change>> {
        let known = self.changes.front().is_some_and(|oldest| oldest.version <= base + 1);
        known.then(|| self.changes.iter().filter(move |change| change.version > base))
    }
}

impl Change {
    fn size(&self) -> usize {
        CHANGE_BYTES + self.keys.iter().map(|key| key.len() + size_of::<String>()).sum::<usize>()
    }
}

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

/// What the turn depends on and what changed after its base.
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
    if let Some(mut changes) = owner.recent.since(base) {
        return Ok(changes.find_map(|change| touched(turn, change)));
    }
    let mut walk = Walk::from(connection, turn.owner, head, version);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn change(version: i64, keys: usize) -> Change {
        Change { version, cursor: false, keys: vec!["k".repeat(1_000); keys] }
    }

    #[test]
    fn what_is_remembered_has_no_gaps_and_is_bounded() {
        let mut recent = Recent::default();
        assert!(recent.since(0).is_none());
        (1..=3).for_each(|version| recent.push(change(version, 1)));
        assert_eq!(recent.since(1).unwrap().map(|change| change.version).collect::<Vec<_>>(), [2, 3]);
        (4..=100).for_each(|version| recent.push(change(version, 1)));
        assert!(recent.since(1).is_none());
        assert!(recent.bytes <= REMEMBERED && recent.since(99).is_some());
        recent.push(change(101, 100));
        assert!(recent.since(100).is_none(), "a change too big to remember leaves nothing to be trusted");
        recent.push(change(102, 1));
        assert!(recent.since(100).is_none() && recent.since(101).is_some());
    }
}
