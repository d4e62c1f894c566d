//! Undo: one change taken back, key by key.

use std::collections::{BTreeMap, HashSet};

use inboxclaw_contract::space::SpaceInfo;
use inboxclaw_contract::store::{Before, PastTurn};
use inboxclaw_contract::{Entry, OwnerId, Version};
use jiff::Timestamp;

use crate::editor::{Editor, Progress, READ_KEYS, TRIES};
use crate::error::EditError;
use crate::history::{PastState, Walk, marker};
use crate::restore::{Restored, Target, Why, restore};

/// Most keys that an error names.
const NAMED: usize = 100;

/// Which change to take back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The newest by a person that is still in effect and takes nothing back itself.
    Person,
    /// The newest of any kind that is still in effect and takes nothing back itself.
    Any,
    /// The one that made this version.
    Version(Version),
}

/// What an undo took back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// The change that was taken back, by the version that it had made.
    pub undid: Version,
    /// When that change was made.
    pub at: Timestamp,
    /// Who had made it, when a person had.
    pub author: Option<String>,
    /// The owner's version afterwards.
    pub version: Version,
    /// How many entries are as before again. All of them when a whole space came back.
    pub entries: u64,
    /// Whether the cursor is as before again.
    pub cursor: bool,
    /// Keys that are not as before: those that are or were a secret are left alone, and what has expired since does not
    /// come back.
    pub left: Vec<String>,
}

/// A change to be taken back.
struct Candidate {
    turn: PastTurn,
    /// The state right after it, or why that is not known.
    after: Result<PastState, EditError>,
}

/// What was changed since a change that is to be taken back.
#[derive(Default)]
struct Since {
    keys: Vec<String>,
    cursor: bool,
    /// All of the state: another space is in place.
    all: bool,
}

impl Editor {
    /// Takes back a change, key by key. Refused when a key was changed since, unless `force`. Of a change that replaced
    /// the whole space, the replaced one comes back: then any change since counts.
    ///
    /// # Errors
    /// [`EditError::Nothing`], [`EditError::Changed`], [`EditError::Kept`], [`EditError::Forgotten`], [`EditError::Marker`],
    /// [`EditError::Busy`], or the store's.
    pub async fn undo(
        &self,
        owner: OwnerId,
        which: Which,
        force: bool,
        progress: Progress<'_>,
    ) -> Result<Undone, EditError> {
        for _ in 0..TRIES {
            let base = self.store.space(owner).await?;
            let Candidate { turn, after } = candidate(self, owner, base, which).await?;
            if turn.marker {
                return Err(marker(&turn));
            }
            if !force {
                let after = after.as_ref().map_err(Clone::clone)?;
                refuse_changed(self, owner, base, &turn, after).await?;
            }
            let (undid, at, author) = (turn.version, turn.at, turn.author.clone());
            let keys: Vec<String> = turn.entries.iter().take(NAMED).map(|(key, _)| key.clone()).collect();
            let lost = if turn.replaced.is_some() { secrets(&turn) } else { Vec::new() };
            let target = target(base, turn, after, force)?;
            let Some(done) = restore(self, owner, base, target, progress).await? else { continue };
            let Restored { base, version, entries, cursor, mut left } = done;
            left.extend(lost);
            if base < version || force || matches!(which, Which::Version(_)) {
                return Ok(Undone { undid, at, author, version, entries, cursor, left });
            }
            // To go on to an older change would take back what nobody meant. What it put may have expired.
            let keys = if left.is_empty() { keys } else { left };
            return Err(EditError::Kept { version: undid.0, keys });
        }
        Err(EditError::Busy)
    }
}

/// Finds the change to be taken back, and how the state was right after it.
async fn candidate(
    editor: &Editor,
    owner: OwnerId,
    base: SpaceInfo,
    which: Which,
) -> Result<Candidate, EditError> {
    let mut walk = Walk::new(editor, owner, base.version);
    let mut after = Ok(PastState::new(base));
    let mut undone = HashSet::new();
    while let Some(turn) = walk.next().await? {
        let found = match which {
            Which::Version(version) => version == turn.version,
            _ if undone.contains(&turn.version) => false,
            _ if turn.undoes.is_some() => {
                undone.extend(turn.undoes);
                false
            }
            Which::Any => true,
            Which::Person => turn.author.is_some(),
        };
        if found {
            return Ok(Candidate { turn, after });
        }
        after = after.and_then(|mut past| past.take_back(&turn).map(|()| past));
    }
    Err(match which {
        Which::Version(Version(version)) if version > base.version.0 || version < 1 => {
            let newest = base.version.0;
            EditError::Forgotten(format!("no change made version {version}: the newest is version {newest}"))
        }
        Which::Version(Version(version)) => {
            walk.forgotten(&format!("the change that made version {version}"))
        }
        Which::Person | Which::Any => EditError::Nothing,
    })
}

fn target(
    base: SpaceInfo,
    turn: PastTurn,
    after: Result<PastState, EditError>,
    force: bool,
) -> Result<Target, EditError> {
    let undoes = Some(turn.version);
    if turn.replaced.is_none() {
        let changes = turn.entries.into_iter().collect();
        return Ok(Target { space: base.id, changes, cursor: turn.cursor, undoes, why: Why::Undo });
    }
    // The space comes back as it was when it was replaced, should it have been in place again since.
    let mut before = after?;
    before.take_back(&turn)?;
    let (changes, why) = (before.take_changes(), Why::UndoSwap { force });
    Ok(Target { space: before.space, changes, cursor: turn.cursor, undoes, why })
}

async fn refuse_changed(
    editor: &Editor,
    owner: OwnerId,
    base: SpaceInfo,
    turn: &PastTurn,
    after: &PastState,
) -> Result<(), EditError> {
    let since = if turn.replaced.is_some() {
        since_swap(editor, owner, base, after).await?
    } else {
        since(editor, owner, base, turn, after).await?
    };
    let cursor = if since.cursor { after.cursor.as_ref() } else { None };
    let present = editor.store.snapshot(owner).await?.cursor;
    let cursor = cursor.is_some_and(|cursor| *cursor != present);
    if since.keys.is_empty() && !cursor && !since.all {
        return Ok(());
    }
    let more = since.keys.len();
    let keys = since.keys.into_iter().take(NAMED).collect();
    Err(EditError::Changed { version: turn.version.0, keys, more, cursor })
}

/// What was changed since an ordinary change, among what it changed.
async fn since(
    editor: &Editor,
    owner: OwnerId,
    base: SpaceInfo,
    turn: &PastTurn,
    after: &PastState,
) -> Result<Since, EditError> {
    let mut since = Since { cursor: turn.cursor.is_some(), ..Since::default() };
    let none = BTreeMap::new();
    let changes = after.changes().unwrap_or(&none);
    for entries in turn.entries.chunks(READ_KEYS) {
        let keys: Vec<String> = entries.iter().map(|(key, _)| key.clone()).collect();
        let present = editor.store.entries(owner, &keys).await?;
        // In the same space, what no turn changed is as it was.
        let there = if after.space == base.id {
            present.clone()
        } else {
            editor.store.entries_in(after.space, &keys).await?
        };
        for (((key, old), present), there) in entries.iter().zip(present).zip(there) {
            let changed = changes.get(key);
            let then = changed.cloned().unwrap_or_else(|| there.map_or(Before::Absent, before));
            let postponed = changed.is_some() && expiry_differs(old, &then, present.as_ref());
            if differs(&then, present.as_ref()) || postponed {
                since.keys.push(key.clone());
            }
        }
    }
    Ok(since)
}

/// What was changed since a change that replaced the space: anything counts.
async fn since_swap(
    editor: &Editor,
    owner: OwnerId,
    base: SpaceInfo,
    after: &PastState,
) -> Result<Since, EditError> {
    let mut since = Since { cursor: true, all: after.space != base.id, ..Since::default() };
    let none = BTreeMap::new();
    let changes: Vec<_> = after.changes().unwrap_or(&none).iter().collect();
    for changes in changes.chunks(READ_KEYS) {
        let keys: Vec<String> = changes.iter().map(|(key, _)| (*key).clone()).collect();
        let present = editor.store.entries(owner, &keys).await?;
        for ((key, then), present) in changes.iter().zip(present) {
            if differs(then, present.as_ref()) {
                since.keys.push((*key).clone());
            }
        }
    }
    Ok(since)
}

/// The keys of secrets that a turn replaced: they do not come back with the space.
fn secrets(turn: &PastTurn) -> Vec<String> {
    let secrets = turn.entries.iter().filter(|(_, before)| *before == Before::Secret);
    secrets.map(|(key, _)| key.clone()).collect()
}

fn before(entry: Entry) -> Before {
    if entry.secret { Before::Secret } else { Before::Entry(entry) }
}

/// Whether a change of `old` to `then` that left the value alone was followed by another expiry. Where the value changed,
/// that alone counts: a source postpones expiries all the time.
fn expiry_differs(old: &Before, then: &Before, present: Option<&Entry>) -> bool {
    match (old, then, present) {
        (Before::Entry(old), Before::Entry(then), Some(present)) => {
            old.value == then.value && then.expires_at != present.expires_at
        }
        _ => false,
    }
}

/// Whether something else is there than then. Secrets are left alone in any case.
fn differs(then: &Before, present: Option<&Entry>) -> bool {
    match (then, present) {
        (Before::Secret, _) => false,
        (_, Some(present)) if present.secret => false,
        (Before::Absent, present) => present.is_some(),
        (Before::Entry(then), present) => present.is_none_or(|present| present.value != then.value),
    }
}
