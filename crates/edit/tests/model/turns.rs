//! What becomes of a turn, in the model.

use std::collections::BTreeMap;

use inboxclaw_contract::store::Before;
use inboxclaw_contract::turn::EntryChange;
use inboxclaw_contract::{Entry, Turn, Version};
use jiff::Timestamp;

use crate::state::{OwnerModel, Past, Row, Then, World, is_live, takes};

/// What must become of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Committed, with this version.
    Done(i64),
    /// A conflict.
    Conflict,
    /// Beyond a limit.
    Refused,
    /// Beyond a limit if what has expired still counts.
    RefusedOr(i64),
}

impl World {
    /// What must become of the turn, and the world afterwards if it is committed.
    pub(crate) fn turn(&self, turn: &Turn) -> (Expected, OwnerModel, u64) {
        let place = usize::try_from(turn.owner.0).unwrap() - 1;
        let (before, mut counter) = (&self.owners[place], self.counter);
        let mut after = before.clone();
        if turn.is_empty() {
            return (Expected::Done(before.version), after, counter);
        }
        if before.conflicts(turn, self.now) {
            return (Expected::Conflict, after, counter);
        }
        after.apply(turn, self.now, &mut counter);
        let version = after.version;
        let expected = match before.limit(&after, self.now) {
            None => Expected::RefusedOr(version),
            Some(false) => Expected::Refused,
            Some(true) => Expected::Done(version),
        };
        (expected, after, counter)
    }

    /// Whether not all changes since the turn's base are in history any more: then the version alone may decide.
    pub(crate) fn has_forgotten(&self, turn: &Turn) -> bool {
        let past = &self.owners[usize::try_from(turn.owner.0).unwrap() - 1].past;
        past.iter().any(|past| past.version > turn.base.0 && !past.kept)
    }
}

/// The entry of a change that is a matter of value and secrecy, and whether that is another one than before.
struct Outcome {
    entry: Entry,
    changed: bool,
}

impl OwnerModel {
    fn conflicts(&self, turn: &Turn, now: Timestamp) -> bool {
        if turn.swap.is_some() && turn.base.0 != self.version {
            return true;
        }
        let reads_cursor = turn.reads.cursor || turn.cursor.is_some();
        let reads_state = !turn.reads.keys.is_empty()
            || !turn.reads.prefixes.is_empty()
            || !turn.entries.is_empty()
            || !turn.deleted_prefixes.is_empty();
        let depends = |key: &String| {
            let mut prefixes = turn.reads.prefixes.iter().chain(&turn.deleted_prefixes);
            turn.reads.keys.contains(key)
                || turn.entries.contains_key(key)
                || prefixes.any(|prefix| key.starts_with(prefix.as_str()))
        };
        let mut newer = self.past.iter().filter(|past| past.version > turn.base.0);
        newer.any(|past| {
            (past.cursor.is_some() && reads_cursor)
                || past.before.keys().any(depends)
                || (past.replaced.is_some() && (reads_state || reads_cursor))
        }) || turn
            .checks
            .iter()
            .any(|(key, wanted)| self.live(key, now).map(|entry| entry.revision) != *wanted)
    }

    /// Whether the limits allow that this becomes `after`; `None` when that depends on what has expired.
    fn limit(&self, after: &Self, now: Timestamp) -> Option<bool> {
        let (stored_before, _) = self.counts(now);
        let (stored, live) = after.counts(now);
        let of = |limit: Option<u64>, stored_before: u64, stored: u64, live: u64| match limit {
            Some(limit) if stored > limit && live > limit && stored > stored_before => Some(false),
            Some(limit) if stored > limit => None,
            _ => Some(true),
        };
        let entries = of(self.policy.max_entries, stored_before.0, stored.0, live.0);
        let bytes = of(self.policy.max_bytes, stored_before.1, stored.1, live.1);
        match (entries, bytes) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (None, _) | (_, None) => None,
            _ => Some(true),
        }
    }

    fn apply(&mut self, turn: &Turn, now: Timestamp, counter: &mut u64) {
        let next = Version(self.version + 1);
        let mut before = BTreeMap::new();
        let replaced = turn.swap.map(|swap| {
            let to = self.ids.iter().position(|id| *id == Some(swap.space)).expect("a known space");
            let old = self.space;
            self.swap(to, swap.keep_secrets, now);
            old
        });
        for prefix in &turn.deleted_prefixes {
            self.delete_prefix(prefix, now, &mut before);
        }
        for (key, change) in &turn.entries {
            *counter += 1;
            // What a sweep of this very turn takes is gone before it puts anything.
            let swept = |entry: &&Entry| turn.sweeps.iter().any(|sweep| takes(sweep, entry));
            let old = self.live(key, now).filter(|entry| !swept(entry)).cloned();
            self.change((key, change, turn.author.is_some()), old, (now, next, *counter), &mut before);
        }
        let cursor = turn.cursor.clone().filter(|cursor| *cursor != self.cursor);
        let cursor = cursor.map(|cursor| std::mem::replace(&mut self.cursor, cursor));
        self.sweeps.extend(turn.sweeps.iter().cloned());
        if cursor.is_none() && before.is_empty() && replaced.is_none() {
            return;
        }
        *counter += 1;
        self.version = next.0;
        self.past.push(Past {
            version: next.0,
            at: now,
            author: turn.author.clone(),
            undoes: turn.undoes.map(|version| version.0),
            cursor,
            before,
            replaced,
            kept: true,
            order: *counter,
        });
        self.then.push(Then { rows: self.rows().clone(), cursor: self.cursor.clone(), space: self.space });
    }

    fn delete_prefix(&mut self, prefix: &str, now: Timestamp, before: &mut BTreeMap<String, Before>) {
        let keys: Vec<_> = self.rows().keys().filter(|key| key.starts_with(prefix)).cloned().collect();
        for key in keys {
            self.remove(&key, now, before);
        }
    }

    /// Removes a stored entry and notes it, if it is live.
    fn remove(&mut self, key: &str, now: Timestamp, before: &mut BTreeMap<String, Before>) {
        if let Some(row) = self.rows_mut().remove(key) {
            if is_live(&row.entry, now) {
                before.entry(key.to_owned()).or_insert_with(|| noted(Some(&row.entry)));
            } else {
                self.lose(row.born);
            }
        }
    }

    fn change(
        &mut self,
        (key, change, by_person): (&str, &EntryChange, bool),
        old: Option<Entry>,
        (now, next, born): (Timestamp, Version, u64),
        before: &mut BTreeMap<String, Before>,
    ) {
        let kept = old.as_ref().and_then(|old| old.expires_at);
        let outcome = match change {
            EntryChange::Put { value, expiry, secret } => {
                let put = Entry {
                    key: key.to_owned(),
                    value: value.clone(),
                    revision: next,
                    created_at: old.as_ref().map_or(now, |old| old.created_at),
                    updated_at: now,
                    expires_at: expiry.resolve(now, kept),
                    secret: *secret,
                };
                outcome(old.as_ref(), put, by_person)
            }
            EntryChange::Restore(entry) if is_live(entry, now) => {
                outcome(old.as_ref(), Entry { revision: next, ..entry.clone() }, by_person)
            }
            EntryChange::Touch { expiry } => {
                let Some(old) = &old else { return };
                let moved = Entry { revision: next, expires_at: expiry.resolve(now, kept), ..old.clone() };
                outcome(Some(old), moved, by_person)
            }
            EntryChange::Delete | EntryChange::Restore(_) => {
                if old.is_some() {
                    self.remove(key, now, before);
                }
                return;
            }
        };
        if outcome.changed {
            before.entry(key.to_owned()).or_insert_with(|| noted(old.as_ref()));
            let gone = self.rows_mut().insert(key.to_owned(), Row { entry: outcome.entry, born });
            if let Some(gone) = gone.filter(|_| old.is_none()) {
                self.lose(gone.born);
            }
        } else {
            let born = self.rows()[key].born;
            self.expire_at(born, outcome.entry.expires_at);
        }
    }
}

/// The same value put again only moves the expiry: a change if a person does it.
fn outcome(old: Option<&Entry>, new: Entry, by_person: bool) -> Outcome {
    match old.filter(|old| old.value == new.value && old.secret == new.secret) {
        Some(same) => {
            let changed = by_person && same.expires_at != new.expires_at;
            let revision = if changed { new.revision } else { same.revision };
            let entry = Entry { expires_at: new.expires_at, revision, ..same.clone() };
            Outcome { entry, changed }
        }
        None => Outcome { entry: new, changed: true },
    }
}

fn noted(old: Option<&Entry>) -> Before {
    match old {
        None => Before::Absent,
        Some(old) if old.secret => Before::Secret,
        Some(old) => Before::Entry(old.clone()),
    }
}
