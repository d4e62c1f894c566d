//! What one turn does to the entries and the cursor of its owner: worked out by reading, then written. Whether it may
//! be stored at all is in `conflict.rs`; putting another space in place is in `swap.rs`.

use inboxclaw_contract::turn::{EntryChange, Sweep};
use inboxclaw_contract::{Entry, Expiry, Json, OwnerId, StoreError, Turn};
use rusqlite::{CachedStatement, OptionalExtension};

use super::building_spaces;
use super::clock::Now;
use super::counts::{Counts, unsigned};
use super::error::Fault;
use super::history::Replaced;
use super::rows::{ENTRY, PUT, columns, entry};
use super::swap::{self, Swapping};
use super::sweep;
use super::tx::Tx;
use super::values::{End, Micros};

const LIVE_ENTRIES: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM entries WHERE space = ?1 AND key >= ?2 AND key < ?3 AND (expires_at IS NULL OR expires_at > ?4)"
);

const SUM: &str = "
    SELECT count(*), coalesce(sum(octet_length(key) + octet_length(value)), 0),
        max(expires_at) FILTER (WHERE expires_at <= ?4)
    FROM entries WHERE space = ?1 AND key >= ?2 AND key < ?3";

const TOUCH: &str = "
    UPDATE entries SET expires_at = ?3, revision = coalesce(?4, revision) WHERE space = ?1 AND key = ?2";

const DELETE: &str = "DELETE FROM entries WHERE space = ?1 AND key = ?2";

/// Expired entries go along; that is no change.
const DELETE_PREFIX: &str = "DELETE FROM entries WHERE space = ?1 AND key >= ?2 AND key < ?3";

const NAME: &str = "SELECT kind || ':' || name FROM owners WHERE id = ?1";

/// What a turn does to entries and cursor.
pub(super) struct Plan<'t> {
    /// The version that the turn starts from.
    pub(super) version: i64,
    pub(super) replaced: Replaced,
    /// What the owner's space holds before, and afterwards.
    before: Counts,
    pub(super) after: Counts,
    swapping: Option<Swapping>,
    /// The space in which everything happens; `None` for one that is still to be made.
    space: Option<i64>,
    /// None of them covers another.
    prefixes: Vec<&'t str>,
    writes: Vec<Write<'t>>,
    /// A person's change of an expiry alone is a change like any other; an owner's own is none.
    touches_count: bool,
    /// The latest expiry of what deletions by prefix remove that has expired already.
    expired_until: Option<i64>,
}

enum Write<'t> {
    Put {
        key: &'t str,
        value: &'t Json,
        secret: bool,
        times: (Micros, Micros),
        expires_at: Option<Micros>,
    },
    /// The value stays.
    Touch {
        key: &'t str,
        expires_at: Option<Micros>,
    },
    Delete {
        key: &'t str,
    },
}

impl<'t> Plan<'t> {
    /// Reads what the turn replaces. Nothing is written.
    ///
    /// # Errors
    /// Also when the turn wants a space that it cannot have, or its owner would hold more than it may.
    pub(super) fn new(tx: &mut Tx<'_>, turn: &'t Turn) -> Result<Self, Fault> {
        let owner = tx.owner(turn.owner)?;
        let (version, present, before) = (owner.version, owner.space, owner.counts);
        let mut replaced = Replaced::default();
        if turn.cursor.as_ref().is_some_and(|cursor| *cursor != owner.cursor) {
            replaced.cursor = Some(owner.cursor.clone());
        }
        let swapping = swap::plan(tx, turn)?;
        let (mut space, mut after, mut prefixes) = (Some(present), before, outermost(&turn.deleted_prefixes));
        if let Some(swapping) = &swapping {
            (space, after) = (swapping.space(), swapping.counts());
            replaced.space = swapping.counts_as_change().then_some(present);
        }
        if space.is_none() {
            prefixes.clear();
        }
        let writes = Vec::with_capacity(turn.entries.len());
        let touches_count = turn.author.is_some();
        let mut plan = Self {
            version,
            replaced,
            before,
            after,
            swapping,
            space,
            prefixes,
            writes,
            touches_count,
            expired_until: None,
        };
        plan.note_prefixes(tx)?;
        plan.note_keys(tx, turn)?;
        plan.check_limits(tx, turn.owner)?;
        Ok(plan)
    }

    /// Whether nothing of this needs a write.
    pub(super) fn is_idle(&self) -> bool {
        self.writes.is_empty() && self.swapping.is_none() && self.before == self.after
    }

    /// Whether the changes of this turn cannot be told key by key.
    pub(super) fn is_vast(&self) -> bool {
        self.replaced.too_much || self.replaced.space.is_some()
    }

    /// Writes the entries, and returns the space in which the owner has them now.
    pub(super) fn write(&self, tx: &mut Tx<'_>, owner: OwnerId) -> Result<i64, Fault> {
        let space = match (&self.swapping, self.space) {
            (None, Some(space)) => space,
            (Some(swapping), _) => swapping.write(tx, owner)?,
            (None, None) => return Err(StoreError::NoOwner(owner).into()),
        };
        let connection = tx.connection;
        for prefix in &self.prefixes {
            connection.prepare_cached(DELETE_PREFIX)?.execute((space, prefix, End::of(prefix)))?;
        }
        if let Some(until) = self.expired_until {
            sweep::swept_until(tx, space, until)?;
        }
        let (mut put, mut touch, mut delete) = (
            connection.prepare_cached(PUT)?,
            connection.prepare_cached(TOUCH)?,
            connection.prepare_cached(DELETE)?,
        );
        let built = tx.built_for(owner);
        for write in &self.writes {
            match write {
                Write::Put { key, value, secret, times, expires_at } => {
                    let (revision, value) = (self.version + 1, value.as_str());
                    building_spaces::renumber(tx, &built, key, revision)?;
                    put.execute((space, key, revision, times.0, times.1, expires_at, secret, value))?
                }
                Write::Touch { key, expires_at } if self.touches_count => {
                    let revision = self.version + 1;
                    building_spaces::renumber(tx, &built, key, revision)?;
                    touch.execute((space, key, expires_at, revision))?
                }
                Write::Touch { key, expires_at } => {
                    building_spaces::touch(tx, &built, space, key, *expires_at)?;
                    touch.execute((space, key, expires_at, None::<i64>))?
                }
                Write::Delete { key } => delete.execute((space, key))?,
            };
        }
        Ok(space)
    }

    fn note_prefixes(&mut self, tx: &Tx<'_>) -> rusqlite::Result<()> {
        let Some(space) = self.space else { return Ok(()) };
        for prefix in std::mem::take(&mut self.prefixes) {
            let range = (space, prefix, End::of(prefix), tx.clock.trusted);
            let (found, expired) = tx.connection.prepare_cached(SUM)?.query_row(range, |row| {
                Ok((Counts { entries: row.get(0)?, bytes: row.get(1)? }, row.get(2)?))
            })?;
            self.after = self.after - found;
            self.expired_until = self.expired_until.max(expired);
            if let Some(swapping) = &self.swapping {
                for moved in swapping.moved_under(prefix) {
                    self.after = self.after - moved.growth;
                    self.replaced.note(&moved.entry.key, Some(moved.entry.clone()));
                }
            }
            self.note_prefix(tx, space, prefix)?;
            self.prefixes.push(prefix);
        }
        Ok(())
    }

    fn note_prefix(&mut self, tx: &Tx<'_>, space: i64, prefix: &str) -> rusqlite::Result<()> {
        let mut find = tx.connection.prepare_cached(LIVE_ENTRIES)?;
        let mut rows = find.query((space, prefix, End::of(prefix), tx.clock.trusted))?;
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

    fn note_keys(&mut self, tx: &Tx<'_>, turn: &'t Turn) -> rusqlite::Result<()> {
        let mut find = tx.connection.prepare_cached(ENTRY)?;
        for (key, change) in &turn.entries {
            let gone = turn.deleted_prefixes.iter().any(|prefix| key.starts_with(prefix.as_str()));
            let old = if gone { None } else { self.row(&mut find, key)? };
            self.change(tx.clock, &turn.sweeps, key, change, old);
        }
        Ok(())
    }

    /// The row under `key` as the turn finds it.
    fn row(&self, find: &mut CachedStatement<'_>, key: &str) -> rusqlite::Result<Option<Entry>> {
        if let Some(moved) = self.swapping.as_ref().and_then(|swapping| swapping.moved(key)) {
            return Ok(Some(moved.entry.clone()));
        }
        let Some(space) = self.space else { return Ok(None) };
        find.query_row((space, key), entry).optional()
    }

    /// Decides what one change comes to, given the row before, be it expired.
    fn change(
        &mut self,
        now: Now,
        sweeps: &[Sweep],
        key: &'t str,
        change: &'t EntryChange,
        row: Option<Entry>,
    ) {
        let size = row.as_ref().map_or_else(Counts::default, |row| Counts::row(key, row.value.as_str()));
        let old = row.filter(|row| row.expires_at.is_none_or(|at| Micros(at) > now.trusted));
        // What a sweep of this very turn takes is gone before it puts anything.
        let old = old.filter(|old| !sweeps.iter().any(|it| it.takes(key, old.created_at, old.updated_at)));
        let write = Write::of(now, key, change, old.as_ref());
        match &write {
            None => return,
            Some(Write::Touch { .. }) if self.touches_count => self.replaced.note(key, old),
            Some(Write::Touch { .. }) => {}
            Some(Write::Put { value, .. }) => {
                self.after = self.after - size + Counts::row(key, value.as_str());
                self.replaced.note(key, old);
            }
            Some(Write::Delete { .. }) => {
                self.after = self.after - size;
                self.replaced.note(key, old);
            }
        }
        self.writes.extend(write);
    }

    /// Refuses to make more of what is too much already. Less is always welcome.
    fn check_limits(&self, tx: &Tx<'_>, owner: OwnerId) -> Result<(), Fault> {
        let Some(policy) = tx.writer.policies.get(&owner) else { return Ok(()) };
        let (before, after) = (self.before, self.after);
        for (what, before, after, limit) in [
            ("entries", before.entries, after.entries, policy.max_entries),
            ("bytes", before.bytes, after.bytes, policy.max_bytes),
        ] {
            if let Some(limit) = limit.filter(|limit| after > before && unsigned(after) > *limit) {
                let name: String =
                    tx.connection.prepare_cached(NAME)?.query_row([owner.0], |row| row.get(0))?;
                let refused = format!("{name} would have {after} {what} of state, the limit is {limit}");
                return Err(StoreError::OverLimit(refused).into());
            }
        }
        Ok(())
    }
}

impl<'t> Write<'t> {
    /// What a change comes to, given the live entry before. What is to expire after a while gets that long from its own
    /// stamp on: should a clock in doubt be right, nothing goes early.
    fn of(now: Now, key: &'t str, change: &'t EntryChange, old: Option<&Entry>) -> Option<Self> {
        let Now { trusted, stamp } = now;
        let kept = old.and_then(|old| old.expires_at).map(Micros);
        let resolve = |expiry: Expiry| expiry.resolve(stamp.0, kept.map(|at| at.0)).map(Micros);
        let touch = |expires_at: Option<Micros>| {
            (expires_at.map(Micros::get) != kept.map(Micros::get)).then_some(Self::Touch { key, expires_at })
        };
        let same = |value: &Json, secret| old.is_some_and(|old| old.value == *value && old.secret == secret);
        match change {
            EntryChange::Delete => old.map(|_| Self::Delete { key }),
            EntryChange::Touch { expiry } => old.and_then(|_| touch(resolve(*expiry))),
            EntryChange::Put { value, expiry, secret } => {
                let expires_at = resolve(*expiry);
                if same(value, *secret) {
                    return touch(expires_at);
                }
                let times = (old.map_or(stamp, |old| Micros(old.created_at)), stamp);
                Some(Self::Put { key, value, secret: *secret, times, expires_at })
            }
            EntryChange::Restore(entry) => {
                let expires_at = entry.expires_at.map(Micros);
                if expires_at.is_some_and(|at| at <= trusted) {
                    return old.map(|_| Self::Delete { key });
                }
                if same(&entry.value, entry.secret) {
                    return touch(expires_at);
                }
                let times = (Micros(entry.created_at), Micros(entry.updated_at));
                Some(Self::Put { key, value: &entry.value, secret: entry.secret, times, expires_at })
            }
        }
    }
}

/// The prefixes without those that another one covers.
fn outermost(prefixes: &[String]) -> Vec<&str> {
    let mut all: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    all.sort_unstable();
    // In this order, what a prefix covers follows it.
    all.dedup_by(|next, kept| next.starts_with(*kept));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::plans::check(&[LIVE_ENTRIES, SUM, TOUCH, DELETE, DELETE_PREFIX, NAME]);
    }

    #[test]
    fn a_prefix_within_another_is_not_counted_twice() {
        let all = ["b", "a/", "a", "a/b", "b", "c/d"].map(str::to_owned);
        assert_eq!(outermost(&all), ["a", "b", "c/d"]);
        assert_eq!(outermost(&["a".to_owned(), String::new()]), [""]);
    }
}
