//! Entries come to an owner, from an import or a copy: over those that are there, or in place of them.

use std::collections::{BTreeMap, BTreeSet};

use inboxclaw_contract::space::Look;
use inboxclaw_contract::turn::EntryChange;
use inboxclaw_contract::{Entry, OwnerId, Turn, Version};

use crate::bulk::{Build, Meanwhile};
use crate::editor::{Editor, Progress, TRIES};
use crate::error::EditError;
use crate::restore::change;

/// How entries come to those that are there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Over those of the same key, secrets too; others and the cursor stay.
    #[default]
    Merge,
    /// In place of all, with the cursor where it is told. Secrets stay, unless a secret comes under the same key.
    Replace,
}

/// What an import or a copy brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportSummary {
    /// Entries read, with those left out.
    pub entries: u64,
    /// Entries left out because they have expired.
    pub expired: u64,
    /// Entries left out because they are secrets whose value was not given.
    pub secrets: u64,
    /// The owner's version afterwards.
    pub version: Version,
}

/// Entries on their way to an owner: kept while they are few, then filled into a space.
pub(crate) struct Upsert<'a> {
    editor: &'a Editor,
    owner: OwnerId,
    mode: Mode,
    progress: Progress<'a>,
    few: Vec<Entry>,
    bytes: usize,
    many: Option<Many<'a>>,
    /// Entries read so far.
    read: u64,
}

struct Many<'a> {
    build: Build<'a>,
    /// The owner's secrets, which an entry may be to replace.
    secrets: BTreeSet<String>,
}

impl<'a> Upsert<'a> {
    pub(crate) fn new(editor: &'a Editor, owner: OwnerId, mode: Mode, progress: Progress<'a>) -> Self {
        Self { editor, owner, mode, progress, few: Vec::new(), bytes: 0, many: None, read: 0 }
    }

    /// Counts an entry that was read; also one that is not brought.
    pub(crate) fn read(&mut self) {
        self.read += 1;
        if self.read.is_multiple_of(self.editor.steps.step_entries as u64) {
            (self.progress)(self.read, None);
        }
    }

    /// Takes an entry. No key may come twice.
    pub(crate) async fn add(&mut self, entry: Entry) -> Result<(), EditError> {
        if let Some(many) = &mut self.many {
            return many.add(entry).await;
        }
        self.bytes += entry.key.len() + entry.value.len();
        self.few.push(entry);
        if self.editor.steps.is_small(self.few.len(), self.bytes) { Ok(()) } else { self.begin_many().await }
    }

    /// Puts an entry over one that came before, or takes it away. Only once there are many.
    pub(crate) async fn amend(&mut self, key: String, entry: Option<Entry>) -> Result<(), EditError> {
        if let Some(many) = &mut self.many { many.put(key, entry).await } else { Ok(()) }
    }

    /// Builds a space from now on, however few there are.
    pub(crate) async fn begin_many(&mut self) -> Result<(), EditError> {
        let secrets = match self.mode {
            Mode::Merge => secrets(self.editor, self.owner).await?,
            // They stay in any case.
            Mode::Replace => BTreeSet::new(),
        };
        let build = Build::begin(self.editor, self.owner, self.progress).await?;
        let many = self.many.insert(Many { build, secrets });
        for entry in std::mem::take(&mut self.few) {
            many.add(entry).await?;
        }
        Ok(())
    }

    /// Puts everything in place, with the cursor if it is to be replaced; `None` when a merge is to be worked out anew.
    pub(crate) async fn finish(self, cursor: Option<Option<String>>) -> Result<Option<Version>, EditError> {
        let (editor, owner, mode, progress) = (self.editor, self.owner, self.mode, self.progress);
        progress(self.read, None);
        if let Some(Many { mut build, .. }) = self.many {
            build.done = self.read;
            build.cursor = cursor;
            return finish_many(build, editor, owner, mode).await;
        }
        let space = editor.store.space(owner).await?;
        let (entries, bytes) = (usize::try_from(space.entries), usize::try_from(space.bytes));
        let room = editor.steps.is_small(
            entries.unwrap_or(usize::MAX).saturating_add(self.few.len()),
            bytes.unwrap_or(usize::MAX).saturating_add(self.bytes),
        );
        if mode == Mode::Replace && !room {
            let mut build = Build::begin(editor, owner, progress).await?;
            for entry in self.few {
                build.add(entry.key.clone(), Some(entry)).await?;
            }
            build.cursor = cursor;
            return finish_many(build, editor, owner, mode).await;
        }
        for _ in 0..TRIES {
            let base = editor.store.snapshot(owner).await?.version;
            let mut turn = editor.turn(owner, base);
            if mode == Mode::Replace {
                replace(editor, &mut turn, &self.few, cursor.clone()).await?;
            } else {
                turn.entries = self.few.iter().map(restored).collect();
            }
            if turn.is_empty() {
                return Ok(Some(base));
            }
            if let Some(committed) = editor.commit(turn).await? {
                return Ok(Some(committed.version));
            }
        }
        Err(EditError::Busy)
    }
}

impl Many<'_> {
    async fn add(&mut self, entry: Entry) -> Result<(), EditError> {
        self.put(entry.key.clone(), Some(entry)).await
    }

    async fn put(&mut self, key: String, entry: Option<Entry>) -> Result<(), EditError> {
        if self.secrets.contains(&key) {
            // The owner's secret moves into the built space, over what is there; only then comes the entry.
            match &entry {
                Some(entry) if !entry.secret => {
                    self.build.entries.insert(key.clone(), change(Some(entry.clone())));
                }
                _ => drop(self.build.entries.remove(&key)),
            }
        }
        self.build.add(key, entry).await
    }
}

async fn finish_many(
    mut build: Build<'_>,
    editor: &Editor,
    owner: OwnerId,
    mode: Mode,
) -> Result<Option<Version>, EditError> {
    let base = editor.store.space(owner).await?;
    let swapped = if mode == Mode::Replace {
        build.swap(base, Meanwhile::Drop).await?
    } else {
        build.of = Some(build.done + base.entries);
        build.copy(base.id).await?;
        build.swap(base, Meanwhile::Keep(&BTreeMap::new())).await?
    };
    Ok(swapped.map(|(_, version)| version))
}

/// Makes of a turn one that leaves these entries and secrets, and nothing else.
async fn replace(
    editor: &Editor,
    turn: &mut Turn,
    entries: &[Entry],
    cursor: Option<Option<String>>,
) -> Result<(), EditError> {
    let mut look = look(editor);
    let mut secrets = BTreeSet::new();
    loop {
        let page = editor.store.look(turn.owner, &look).await?;
        for entry in page.entries {
            if entry.secret {
                secrets.insert(entry.key);
            } else {
                turn.entries.insert(entry.key, EntryChange::Delete);
            }
        }
        look.after = page.next;
        if look.after.is_none() {
            break;
        }
    }
    let wanted = entries.iter().filter(|entry| entry.secret || !secrets.contains(&entry.key));
    turn.entries.extend(wanted.map(restored));
    turn.cursor = cursor;
    // In place of all that is there, also of what comes meanwhile.
    turn.reads.prefixes.insert(String::new());
    Ok(())
}

fn restored(entry: &Entry) -> (String, EntryChange) {
    (entry.key.clone(), change(Some(entry.clone())))
}

/// The keys of an owner's secrets.
async fn secrets(editor: &Editor, owner: OwnerId) -> Result<BTreeSet<String>, EditError> {
    let mut look = look(editor);
    let mut secrets = BTreeSet::new();
    loop {
        let page = editor.store.look(owner, &look).await?;
        secrets.extend(page.entries.into_iter().filter(|entry| entry.secret).map(|entry| entry.key));
        look.after = page.next;
        if look.after.is_none() {
            return Ok(secrets);
        }
    }
}

/// All entries without their values, from the first page on.
fn look(editor: &Editor) -> Look {
    let entries = editor.steps.step_entries;
    Look { prefix: String::new(), after: None, entries, bytes: usize::MAX, values: false }
}
