//! Puts back what was: entries over a space, which may be another one than the owner's. In one turn where that is
//! enough, else by a space built in steps. Undo and rewind find out what is to be put back.

use std::collections::BTreeMap;

use inboxclaw_contract::space::SpaceInfo;
use inboxclaw_contract::store::Before;
use inboxclaw_contract::turn::{EntryChange, Swap};
use inboxclaw_contract::{Entry, OwnerId, Snapshot, SpaceId, Turn, Version};

use crate::bulk::{Build, Meanwhile};
use crate::editor::{Editor, Progress, READ_KEYS};
use crate::error::EditError;

/// What is to be put back.
pub(crate) struct Target {
    /// The space that is to be in place.
    pub(crate) space: SpaceId,
    /// What is to be under these keys of it.
    pub(crate) changes: BTreeMap<String, Before>,
    /// The cursor, if it is put back.
    pub(crate) cursor: Option<Option<String>>,
    /// The version that this takes back, when it is an undo.
    pub(crate) undoes: Option<Version>,
    /// What becomes of changes that turns make meanwhile.
    pub(crate) why: Why,
}

/// Why something is put back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// One turn is taken back; changes of other keys stay.
    Undo,
    /// A turn that replaced the space is taken back; what changed since goes along only by `force`.
    UndoSwap { force: bool },
    /// The state is to be as it was.
    Rewind,
}

/// What was put back.
pub(crate) struct Restored {
    /// The version before.
    pub(crate) base: Version,
    /// The version afterwards.
    pub(crate) version: Version,
    /// Entries that differ from before; all when another space came.
    pub(crate) entries: u64,
    /// Whether the cursor differs from before.
    pub(crate) cursor: bool,
    /// Keys that are not as they were: a secret, or what has expired since.
    pub(crate) left: Vec<String>,
}

/// What putting back comes to, key by key.
#[derive(Default)]
struct Judged {
    /// What is written; `None` when the key goes.
    writes: Vec<(String, Option<Entry>)>,
    differing: u64,
    left: Vec<String>,
    /// What was looked at and left alone.
    secrets: Vec<String>,
}

/// Puts back `target`, worked out at `base`; `None` when it is to be worked out anew.
pub(crate) async fn restore(
    editor: &Editor,
    owner: OwnerId,
    base: SpaceInfo,
    mut target: Target,
    progress: Progress<'_>,
) -> Result<Option<Restored>, EditError> {
    let now = editor.store.snapshot(owner).await?;
    if now.version != base.version {
        return Ok(None);
    }
    let swaps = target.space != base.id;
    let size = |(key, before): (&String, &Before)| {
        key.len() + if let Before::Entry(entry) = before { entry.value.len() } else { 0 }
    };
    let small = editor.steps.is_small(target.changes.len(), target.changes.iter().map(size).sum());
    // In another space something else may be under a key, and in this one something may come while a copy is built:
    // what is absent then and now is written too.
    let absent = swaps || !small;
    let judged = judge(editor, owner, &now, &mut target.changes, absent, small.then_some(progress)).await?;
    let cursor = target.cursor.as_ref().is_some_and(|cursor| *cursor != now.cursor);
    let (entries, left) = (judged.differing, judged.left.clone());
    let done = if small {
        let turn = small_turn(editor, owner, base, &target, judged);
        if turn.is_empty() {
            Some((base.version, base.version))
        } else {
            editor.commit(turn).await?.map(|committed| (base.version, committed.version))
        }
    } else {
        build(editor, owner, base, target, judged, progress).await?
    };
    let Some((base, version)) = done else { return Ok(None) };
    let entries = if swaps { editor.store.space(owner).await?.entries } else { entries };
    Ok(Some(Restored { base, version, entries, cursor, left }))
}

/// Decides for each key what happens to it. What it was is taken out of `changes`; its keys stay.
async fn judge(
    editor: &Editor,
    owner: OwnerId,
    now: &Snapshot,
    changes: &mut BTreeMap<String, Before>,
    absent: bool,
    progress: Option<Progress<'_>>,
) -> Result<Judged, EditError> {
    let keys: Vec<String> = changes.keys().cloned().collect();
    let mut befores = changes.values_mut();
    let mut judged = Judged::default();
    let mut done = 0;
    for keys in keys.chunks(READ_KEYS) {
        let present = editor.store.entries(owner, keys).await?;
        for ((key, present), before) in keys.iter().zip(present).zip(&mut befores) {
            judged.key(now, key, std::mem::replace(before, Before::Absent), present, absent);
        }
        done += keys.len() as u64;
        if let Some(progress) = progress {
            progress(done, None);
        }
    }
    Ok(judged)
}

impl Judged {
    fn key(&mut self, now: &Snapshot, key: &str, before: Before, present: Option<Entry>, absent: bool) {
        if before == Before::Secret || present.as_ref().is_some_and(|present| present.secret) {
            self.left.push(key.to_owned());
            self.secrets.push(key.to_owned());
            return;
        }
        let entry = if let Before::Entry(entry) = before { Some(entry) } else { None };
        let (live, expired) = match entry {
            Some(entry) if entry.expires_at.is_some_and(|at| at <= now.now) => (None, true),
            entry => (entry, false),
        };
        if expired {
            self.left.push(key.to_owned());
        }
        let seen = |entry: Option<&Entry>| entry.map(|entry| (entry.value.clone(), entry.expires_at));
        let same = seen(live.as_ref()) == seen(present.as_ref());
        self.differing += u64::from(!same);
        if live.is_some() || present.is_some() || absent {
            self.writes.push((key.to_owned(), live));
        }
    }
}

fn small_turn(editor: &Editor, owner: OwnerId, base: SpaceInfo, target: &Target, judged: Judged) -> Turn {
    let mut turn = editor.turn(owner, base.version);
    turn.undoes = target.undoes;
    turn.cursor.clone_from(&target.cursor);
    turn.entries = judged.writes.into_iter().map(|(key, entry)| (key, change(entry))).collect();
    turn.reads.keys = judged.secrets.into_iter().collect();
    if target.why != Why::Undo {
        // All of the state is to be as it was, also what changes meanwhile.
        turn.reads.prefixes.insert(String::new());
        turn.reads.cursor = true;
    }
    if target.space != base.id {
        turn.swap = Some(Swap { space: target.space, keep_secrets: true });
    }
    turn
}

/// What puts this under a key.
pub(crate) fn change(entry: Option<Entry>) -> EntryChange {
    entry.map_or(EntryChange::Delete, EntryChange::Restore)
}

async fn build(
    editor: &Editor,
    owner: OwnerId,
    base: SpaceInfo,
    mut target: Target,
    judged: Judged,
    progress: Progress<'_>,
) -> Result<Option<(Version, Version)>, EditError> {
    let mut build = Build::begin(editor, owner, progress).await?;
    if target.space == base.id {
        build.of = Some(base.entries + judged.writes.len() as u64);
    }
    build.cursor = target.cursor.take();
    build.undoes = target.undoes;
    build.copy(target.space).await?;
    for (key, entry) in judged.writes {
        build.add(key, entry).await?;
    }
    let meanwhile = match target.why {
        Why::Undo => Meanwhile::Keep(&target.changes),
        Why::UndoSwap { force: false } => Meanwhile::Refuse,
        why => Meanwhile::TakeBack {
            taken: (target.space == base.id).then_some(&mut target.changes),
            cursor: why == Why::Rewind,
        },
    };
    build.swap(base, meanwhile).await
}
