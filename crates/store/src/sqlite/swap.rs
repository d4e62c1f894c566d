//! Puts another space in place of an owner's: one that was built, one that history names, or a fresh one when a turn
//! deletes a lot. The space that is replaced keeps no secret; it goes with the last history row that names it, which
//! is the business of `sweep.rs`.

use std::collections::BTreeMap;
use std::ops::Bound;

use inboxclaw_contract::{Entry, OwnerId, StoreError, Turn};
use rusqlite::OptionalExtension;

use super::counts::Counts;
use super::error::Fault;
use super::rows::{self, ENTRY, PUT, columns, entry};
use super::tx::Tx;
use super::values::Micros;

/// Deleting more entries than this at once is done by a fresh space, so that others need not wait for it.
const FEW: i64 = 1_000;

const COUNTS: &str = "SELECT entries, bytes FROM spaces WHERE id = ?1";
const IN_HISTORY: &str = "SELECT EXISTS (SELECT 1 FROM history WHERE replaced = ?1 AND owner = +?2)";
const ANY_LIVE: &str = "
    SELECT EXISTS (SELECT 1 FROM entries WHERE space = ?1 AND (expires_at IS NULL OR expires_at > ?2))";

/// The planner would rather read the whole space.
const SECRETS: &str =
    concat!("SELECT ", columns!(), " FROM entries INDEXED BY entries_secret WHERE space = ?1 AND secret = 1");
const DELETE_SECRETS: &str = "DELETE FROM entries INDEXED BY entries_secret WHERE space = ?1 AND secret = 1";

const ADD: &str = "INSERT INTO spaces (owner) VALUES (?1)";
const SET_COUNTS: &str = "UPDATE spaces SET entries = ?2, bytes = ?3 WHERE id = ?1";

/// A change of spaces, worked out.
pub(super) struct Swapping {
    from: i64,
    /// What is left in the space that goes.
    left: Counts,
    /// `None` for a fresh space.
    to: Option<i64>,
    /// What is in the space that comes, secrets that move into it included.
    counts: Counts,
    /// The secrets that move, by key.
    moved: BTreeMap<String, Moved>,
    counts_as_change: bool,
}

/// A secret that moves into the space that comes.
pub(super) struct Moved {
    pub(super) entry: Entry,
    /// What the space grows by.
    pub(super) growth: Counts,
}

impl Swapping {
    /// The space that comes; `None` for a fresh one.
    pub(super) fn space(&self) -> Option<i64> {
        self.to
    }

    /// What it holds, secrets that move into it included.
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether there was anything that is seen to change. Clearing away what has expired is no change.
    pub(super) fn counts_as_change(&self) -> bool {
        self.counts_as_change
    }

    /// The secret that moves under `key`.
    pub(super) fn moved(&self, key: &str) -> Option<&Moved> {
        self.moved.get(key)
    }

    /// The secrets that move under a prefix.
    pub(super) fn moved_under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Moved> {
        let from = self.moved.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.take_while(move |(key, _)| key.starts_with(prefix)).map(|(_, moved)| moved)
    }

    /// Does it, and returns the space that is in place now.
    pub(super) fn write(&self, tx: &mut Tx<'_>, owner: OwnerId) -> Result<i64, Fault> {
        let connection = tx.connection;
        let to = match self.to {
            Some(space) => space,
            None => connection.prepare_cached(ADD)?.insert([owner.0])?,
        };
        connection.prepare_cached(DELETE_SECRETS)?.execute([self.from])?;
        let left = (self.from, self.left.entries, self.left.bytes);
        connection.prepare_cached(SET_COUNTS)?.execute(left)?;
        let mut put = connection.prepare_cached(PUT)?;
        for Moved { entry, .. } in self.moved.values() {
            rows::put(&mut put, to, &entry.key, entry.revision.0, entry)?;
        }
        tx.cache.placed.push((to, tx.writer.last_begun()));
        Ok(to)
    }
}

/// The change of spaces that a turn needs, if it needs one. Nothing is written yet.
///
/// Swapping costs the same for ten entries and ten million: the owner's row names another space, and the rows of the one
/// before go later, with the history that can put it back. Only secrets are moved one by one, because history keeps none:
/// they leave the space that goes, and live ones come along unless the other space has a secret of its own there. The
/// counts are worked out here and not by counting rows: `left` is what the space before holds without its secrets, and
/// each secret that moves adds its own size less that of the row which it replaces, be that one expired.
///
/// A turn that clears everything is a swap with a fresh space, which is the quickest way to delete many entries. It counts
/// as a change only if any of them was live: clearing away what has expired changes no version.
///
/// # Errors
/// When the turn wants a space that it cannot have.
pub(super) fn plan(tx: &mut Tx<'_>, turn: &Turn) -> Result<Option<Swapping>, Fault> {
    let owner = tx.owner(turn.owner)?;
    let (from, holds) = (owner.space, owner.counts);
    let clears = turn.deleted_prefixes.iter().any(String::is_empty);
    let wanted = turn.swap.map(|swap| acceptable(tx, turn.owner, from, swap.space.0)).transpose()?;
    if wanted.is_none() && !(clears && holds.entries > FEW) {
        return Ok(None);
    }
    let secrets: Vec<Entry> =
        tx.connection.prepare_cached(SECRETS)?.query_map([from], entry)?.collect::<rusqlite::Result<_>>()?;
    let counts_as_change = match wanted {
        Some(_) => true,
        None => {
            tx.connection.prepare_cached(ANY_LIVE)?.query_row((from, tx.clock.trusted), |row| row.get(0))?
        }
    };
    let left = holds - sum(&secrets);
    let (counts, moved) = (Counts::default(), BTreeMap::new());
    let mut swapping = Swapping { from, left, to: None, counts, moved, counts_as_change };
    // What a turn both puts in place and clears is empty: a fresh space is the quickest.
    if let (Some(swap), Some(counts), false) = (turn.swap, wanted, clears) {
        (swapping.to, swapping.counts) = (Some(swap.space.0), counts);
        if swap.keep_secrets {
            swapping.take_along(tx, secrets)?;
        }
    }
    Ok(Some(swapping))
}

/// What the space `to` holds, if `owner` may have it in place of `from`.
fn acceptable(tx: &Tx<'_>, owner: OwnerId, from: i64, to: i64) -> Result<Counts, Fault> {
    let connection = tx.connection;
    let known = |tx: &Tx<'_>| -> rusqlite::Result<bool> {
        if tx.builder_of(to) == Some(owner) {
            return Ok(true);
        }
        connection.prepare_cached(IN_HISTORY)?.query_row((to, owner.0), |row| row.get(0))
    };
    let counts = connection
        .prepare_cached(COUNTS)?
        .query_row([to], |row| Ok(Counts { entries: row.get(0)?, bytes: row.get(1)? }));
    match counts.optional()? {
        Some(counts) if from != to && known(tx)? => Ok(counts),
        _ => {
            Err(StoreError::Refused(format!("the space {to} was not built for this owner, or is gone"))
                .into())
        }
    }
}

impl Swapping {
    /// Has the live ones of `secrets` move, unless the space that comes has a secret of its own there.
    fn take_along(&mut self, tx: &Tx<'_>, secrets: Vec<Entry>) -> rusqlite::Result<()> {
        let live = |entry: &Entry| entry.expires_at.is_none_or(|at| Micros(at) > tx.clock.trusted);
        let mut find = tx.connection.prepare_cached(ENTRY)?;
        for secret in secrets.into_iter().filter(live) {
            let there = find.query_row((self.to, &secret.key), entry).optional()?;
            if there.as_ref().is_some_and(|there| there.secret && live(there)) {
                continue;
            }
            let growth = sum(std::slice::from_ref(&secret)) - sum(there.as_slice());
            self.counts += growth;
            self.moved.insert(secret.key.clone(), Moved { entry: secret, growth });
        }
        Ok(())
    }
}

fn sum(entries: &[Entry]) -> Counts {
    entries.iter().fold(Counts::default(), |sum, entry| sum + Counts::row(&entry.key, entry.value.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::plans::check(&[COUNTS, IN_HISTORY, ANY_LIVE, SECRETS, DELETE_SECRETS, ADD, SET_COUNTS]);
    }
}
