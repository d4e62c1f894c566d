//! What a turn comes to, before anything of it is stored.

use std::collections::BTreeMap;

use inboxclaw_contract::store::Before;
use inboxclaw_contract::turn::EntryChange;
use inboxclaw_contract::{Entry, Expiry, StoreError, Turn, Version};

use super::time::Now;
use super::{Row, size};

/// A turn that replaces more than this is a marker in history.
const REPLACED_BYTES: u64 = 16 << 20;

/// The entries that a turn writes, and what they replace.
pub(super) struct Plan {
    /// What is under each key afterwards; `None` removes it.
    pub(super) writes: BTreeMap<String, Option<Entry>>,
    /// What was under the keys that change, for history.
    pub(super) replaced: Vec<(String, Before)>,
    pub(super) is_marker: bool,
    /// The cursor before, if it changes.
    pub(super) cursor: Option<Option<String>>,
    pub(super) version: Version,
}

impl Plan {
    pub(super) fn of(row: &Row, turn: &Turn, now: Now) -> Self {
        let next = Version(row.version.0 + 1);
        let mut writes = BTreeMap::new();
        for prefix in &turn.deleted_prefixes {
            let under = row.entries.range(prefix.clone()..).map(|(key, _)| key);
            writes.extend(under.take_while(|key| key.starts_with(prefix)).map(|key| (key.clone(), None)));
        }
        for (key, change) in &turn.entries {
            let is_swept = |old: &&Entry| {
                turn.sweeps.iter().any(|sweep| sweep.takes(key, old.created_at, old.updated_at))
            };
            // A prefix of this turn may have taken it already, and what a sweep of this turn takes is gone as well.
            let old = row.live(key, now.trusted).filter(|old| !writes.contains_key(key) && !is_swept(old));
            if let Some(write) = write(key, change, old, turn.author.is_some(), next, now) {
                writes.insert(key.clone(), write);
            }
        }
        let mut replaced = Vec::new();
        for (key, new) in &writes {
            let old = row.live(key, now.trusted);
            // Without a new revision it is a touch; nothing in place of nothing clears away what has expired.
            let is_change = new.as_ref().map_or(old.is_some(), |new| new.revision == next);
            if is_change {
                replaced.push((key.clone(), before(old)));
            }
        }
        let cursor = turn.cursor.as_ref().filter(|cursor| **cursor != row.cursor).map(|_| row.cursor.clone());
        let is_changed = cursor.is_some() || !replaced.is_empty();
        let bytes: u64 =
            replaced.iter().map(|(_, old)| if let Before::Entry(old) = old { size(old) } else { 0 }).sum();
        let version = if is_changed { next } else { row.version };
        Self { writes, replaced, is_marker: bytes > REPLACED_BYTES, cursor, version }
    }

    /// Refuses to make more of what is too much already. Less is always welcome.
    pub(super) fn check_limits(&self, row: &Row) -> Result<(), StoreError> {
        if row.policy.max_entries.is_none() && row.policy.max_bytes.is_none() {
            return Ok(());
        }
        let before = row.counts();
        let old: Vec<_> = self.writes.keys().filter_map(|key| row.entries.get(key)).collect();
        let new: Vec<_> = self.writes.values().flatten().collect();
        let bytes = |entries: &[&Entry]| entries.iter().map(|entry| size(entry)).sum::<u64>();
        let after = (before.0 - old.len() as u64 + new.len() as u64, before.1 - bytes(&old) + bytes(&new));
        for (what, before, after, limit) in [
            ("entries", before.0, after.0, row.policy.max_entries),
            ("bytes", before.1, after.1, row.policy.max_bytes),
        ] {
            if let Some(limit) = limit.filter(|limit| after > before && after > *limit) {
                let (kind, name) = (row.owner.kind, &row.owner.name);
                return Err(StoreError::OverLimit(format!(
                    "{kind}:{name} would have {after} {what} of state, the limit is {limit}"
                )));
            }
        }
        Ok(())
    }
}

/// What one change writes, given the live entry before; `None` when it changes nothing.
fn write(
    key: &str,
    change: &EntryChange,
    old: Option<&Entry>,
    by_person: bool,
    next: Version,
    now: Now,
) -> Option<Option<Entry>> {
    let resolve = |expiry: Expiry| expiry.resolve(now.stamp, old.and_then(|old| old.expires_at));
    // A change of the expiry alone makes a revision only when a person does it.
    let touch = |expires_at| {
        let old = old.filter(|old| old.expires_at != expires_at)?;
        let revision = if by_person { next } else { old.revision };
        Some(Some(Entry { expires_at, revision, ..old.clone() }))
    };
    let (new, expires_at) = match change {
        EntryChange::Delete => return old.map(|_| None),
        EntryChange::Touch { expiry } => return touch(resolve(*expiry)),
        EntryChange::Restore(entry) if entry.expires_at.is_some_and(|at| at <= now.trusted) => {
            return old.map(|_| None);
        }
        EntryChange::Restore(entry) => (entry.clone(), entry.expires_at),
        EntryChange::Put { value, expiry, secret } => {
            let created_at = old.map_or(now.stamp, |old| old.created_at);
            let (updated_at, expires_at) = (now.stamp, resolve(*expiry));
            let (key, value, revision, secret) = (key.to_owned(), value.clone(), next, *secret);
            (Entry { key, value, revision, created_at, updated_at, expires_at, secret }, expires_at)
        }
    };
    if old.is_some_and(|old| old.value == new.value && old.secret == new.secret) {
        return touch(expires_at);
    }
    Some(Some(Entry { key: key.to_owned(), revision: next, ..new }))
}

/// What history keeps of an entry.
fn before(old: Option<&Entry>) -> Before {
    match old {
        None => Before::Absent,
        Some(old) if old.secret => Before::Secret,
        Some(old) => Before::Entry(old.clone()),
    }
}
