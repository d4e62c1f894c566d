//! What the edits of people come to, in the model: each is one turn on the state as it is, or is refused.

use std::collections::{BTreeMap, BTreeSet};

use inboxclaw_contract::store::Before;
use inboxclaw_contract::turn::{Age, EntryChange, Swap};
use inboxclaw_contract::{Entry, OwnerId, Turn, Version};
use inboxclaw_edit::{EntryFilter, Mode, Which};
use jiff::{SignedDuration, Timestamp};

use crate::ground::turn;
use crate::state::{OwnerModel, Past, Row, Rows, is_live};

/// What an edit comes to.
#[derive(Debug)]
pub(crate) enum Edit {
    /// This turn.
    Turn(Box<Turn>),
    /// History does not know enough.
    Forgotten,
    /// The promises say nothing of it.
    Unsaid,
}

/// What was changed since a change that is to be taken back.
#[derive(Debug, Default)]
pub(crate) struct Since {
    /// These keys for sure.
    pub(crate) keys: BTreeSet<String>,
    /// These perhaps: what they had was a secret, which history does not know.
    pub(crate) doubts: BTreeSet<String>,
    pub(crate) cursor: bool,
    /// Another space is in place, so that keys cannot be told one by one.
    pub(crate) all: bool,
}

impl Since {
    pub(crate) fn is_sure(&self) -> bool {
        self.cursor || !self.keys.is_empty()
    }
}

/// What was exported.
#[derive(Debug, Clone)]
pub(crate) struct Exported {
    pub(crate) text: Vec<u8>,
    /// With the values of secrets.
    pub(crate) secrets: bool,
    pub(crate) entries: Vec<Entry>,
    pub(crate) cursor: Option<String>,
}

impl OwnerModel {
    /// A turn by a person on the state as it is.
    pub(crate) fn edit(&self, id: OwnerId) -> Turn {
        let mut turn = turn(id, Version(self.version));
        turn.author = Some("cli:ada".into());
        turn
    }

    /// The change that is to be taken back; `Err(true)` when history may have known one.
    pub(crate) fn candidate(&self, which: Which) -> Result<&Past, bool> {
        let kept = || self.past.iter().rev().take_while(|past| past.kept);
        if let Which::Version(version) = which {
            return kept().find(|past| past.version == version.0).ok_or(true);
        }
        let mut undone = BTreeSet::new();
        for past in kept() {
            if undone.contains(&past.version) {
                continue;
            }
            if let Some(version) = past.undoes {
                undone.insert(version);
            } else if which == Which::Any || past.author.is_some() {
                return Ok(past);
            }
        }
        Err(self.past.iter().any(|past| !past.kept))
    }

    /// What was changed since `past`.
    pub(crate) fn since(&self, past: &Past, now: Timestamp) -> Since {
        let then = &self.then[usize::try_from(past.version).unwrap()];
        let mut keys: BTreeSet<&String> = past.before.keys().collect();
        let mut cursor = past.cursor.is_some();
        if past.replaced.is_some() {
            keys.extend(then.rows.keys().chain(self.rows().keys()));
            cursor = true;
        }
        let mut since = Since { cursor: cursor && then.cursor != self.cursor, ..Since::default() };
        since.all = past.replaced.is_some() && then.space != self.space;
        for key in keys {
            let then = then.rows.get(key);
            let differs = match past.before.get(key) {
                Some(Before::Entry(old)) if past.replaced.is_none() => self
                    .differs(then, key, now)
                    .map(|differs| differs || self.is_postponed(old, then, key, now)),
                _ => self.differs(then, key, now),
            };
            match differs {
                Some(true) => since.keys.insert(key.clone()),
                Some(false) => false,
                None => since.doubts.insert(key.clone()),
            };
        }
        since
    }

    /// Whether what is under a key is another value than what was there then.
    fn differs(&self, then: Option<&Row>, key: &str, now: Timestamp) -> Option<bool> {
        let present = self.rows().get(key);
        if then.map(|row| row.born) == present.map(|row| row.born) {
            return Some(false);
        }
        let present = present.map(|row| &row.entry).filter(|entry| is_live(entry, now));
        match (then.map(|row| &row.entry), present) {
            (None, None) => Some(false),
            (Some(then), _) if then.secret || !is_live(then, now) => None,
            (_, Some(present)) if present.secret => None,
            (Some(then), Some(present)) => Some(then.value != present.value),
            _ => Some(true),
        }
    }

    /// Whether a change of the expiry of `old` alone was followed by another one.
    fn is_postponed(&self, old: &Entry, then: Option<&Row>, key: &str, now: Timestamp) -> bool {
        let (Some(then), Some(present)) = (then, self.rows().get(key)) else { return false };
        then.born != present.born
            && is_live(&present.entry, now)
            && old.value == then.entry.value
            && then.entry.expires_at != present.entry.expires_at
    }

    /// The turn that takes `past` back.
    pub(crate) fn undo(&self, id: OwnerId, past: &Past, now: Timestamp) -> Edit {
        if past.replaced.is_some() {
            // The whole space comes back as it was, should it have been in place again since.
            let Edit::Turn(mut turn) = self.rewind(id, past.version - 1, now) else { return Edit::Unsaid };
            turn.undoes = Some(Version(past.version));
            turn.cursor.clone_from(&past.cursor);
            return Edit::Turn(turn);
        }
        let mut turn = self.edit(id);
        turn.undoes = Some(Version(past.version));
        turn.cursor.clone_from(&past.cursor);
        for (key, before) in &past.before {
            if self.live(key, now).is_some_and(|present| present.secret) {
                continue;
            }
            let change = match before {
                Before::Secret => continue,
                Before::Absent => EntryChange::Delete,
                Before::Entry(entry) => EntryChange::Restore(entry.clone()),
            };
            turn.entries.insert(key.clone(), change);
        }
        Edit::Turn(Box::new(turn))
    }

    /// The version that was in place at a time.
    pub(crate) fn version_at(&self, time: Timestamp) -> Option<i64> {
        let mut kept = self.past.iter().rev().take_while(|past| past.kept);
        let all_kept = self.past.first().is_none_or(|past| past.kept);
        kept.find(|past| past.at <= time).map(|past| past.version).or(all_kept.then_some(0))
    }

    /// The turn that leads to the state of a version.
    pub(crate) fn rewind(&self, id: OwnerId, to: i64, now: Timestamp) -> Edit {
        let Some(then) = usize::try_from(to).ok().and_then(|to| self.then.get(to)) else {
            return Edit::Forgotten;
        };
        if self.past.iter().any(|past| past.version > to && !past.kept) {
            return Edit::Forgotten;
        }
        let mut turn = self.edit(id);
        if to == self.version {
            return Edit::Turn(Box::new(turn));
        }
        turn.cursor = Some(then.cursor.clone());
        if then.space != self.space {
            let Some(space) = self.ids[then.space] else { return Edit::Unsaid };
            turn.swap = Some(Swap { space, keep_secrets: true });
        }
        let there = &self.spaces[then.space];
        let hidden = self.hidden(to, then.space);
        for key in there.keys().chain(then.rows.keys()) {
            if hidden.contains(key) || self.live(key, now).is_some_and(|present| present.secret) {
                continue;
            }
            if let Some(change) = restored(there, &then.rows, key) {
                turn.entries.insert(key.clone(), change);
            }
        }
        Edit::Turn(Box::new(turn))
    }

    /// Keys of a space whose first change after a version was one of a secret. That it came with a swap, and was not
    /// there at that version, is known to nobody.
    fn hidden(&self, to: i64, space: usize) -> BTreeSet<&String> {
        let newer = self.past.iter().filter(|past| past.version > to);
        let here = newer.filter(|past| self.then[usize::try_from(past.version).unwrap()].space == space);
        let mut first = BTreeMap::new();
        for (key, before) in here.flat_map(|past| &past.before) {
            first.entry(key).or_insert(before);
        }
        first.into_iter().filter(|(_, before)| **before == Before::Secret).map(|(key, _)| key).collect()
    }

    /// The turn that brings entries, and with `Replace` the cursor.
    pub(crate) fn bring(&self, id: OwnerId, from: &Exported, mode: Mode, now: Timestamp) -> Turn {
        let mut turn = self.edit(id);
        let secret = |key: &str| self.live(key, now).is_some_and(|present| present.secret);
        if mode == Mode::Replace {
            turn.cursor = Some(from.cursor.clone());
            let there = self.rows().values().map(|row| &row.entry).filter(|entry| !entry.secret);
            turn.entries.extend(there.map(|entry| (entry.key.clone(), EntryChange::Delete)));
        }
        for entry in from.entries.iter().filter(|entry| is_live(entry, now)) {
            let unknown = entry.secret && !from.secrets;
            let stays = mode == Mode::Replace && secret(&entry.key) && !entry.secret;
            if !unknown && !stays {
                turn.entries.insert(entry.key.clone(), EntryChange::Restore(entry.clone()));
            }
        }
        turn
    }

    /// The live entries of a choice.
    pub(crate) fn chosen(&self, choice: &EntryFilter, now: Timestamp) -> BTreeMap<String, u64> {
        let young = |entry: &Entry| match choice.older_than {
            None => false,
            Some((age, by)) => {
                let time = if by == Age::Created { entry.created_at } else { entry.updated_at };
                time >= now.checked_sub(SignedDuration::try_from(age).unwrap()).unwrap()
            }
        };
        let all = self.all_live(now).into_iter();
        all.filter(|entry| entry.key.starts_with(&choice.prefix) && !young(entry))
            .map(|entry| (entry.key.clone(), (entry.key.len() + entry.value.len()) as u64))
            .collect()
    }
}

/// What a key needs to be as it was then, if anything.
fn restored(there: &Rows, then: &Rows, key: &str) -> Option<EntryChange> {
    let (present, then) = (there.get(key), then.get(key));
    if present.map(|row| row.born) == then.map(|row| row.born) {
        return None;
    }
    match then {
        None => Some(EntryChange::Delete),
        Some(row) if row.entry.secret => None,
        Some(row) => Some(EntryChange::Restore(row.entry.clone())),
    }
}
