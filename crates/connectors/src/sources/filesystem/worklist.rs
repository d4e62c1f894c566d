//! The tasks that a comparison found, in the order in which they are reported: deleted, renamed, new, changed. Each
//! file is read once more right before its task is written, since time has passed. Large files and those that are still
//! being written are deferred. Left out: the writing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use super::budget::Budget;
use super::config::Config;
use super::deferred::{DeferredFiles, Note, SMALL};
use super::path::RelPath;
use super::read_file::{Depth, ReadOutcome, Reading, is_gone, read_file};
use super::record::Stat;
use super::root::Root;
use crate::lock::lock;

/// Most tasks looked at before their entries are written.
const BATCH: usize = 256;
/// Most changes that one task makes: an event, and two of each kind of entry.
const CHANGES: usize = 7;
/// Most bytes of file beginnings held by a batch, beyond those of its last file.
const HEADS: usize = 16 << 20;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Task {
    /// Drop an entry without a word.
    Forget(RelPath),
    /// A file that is no longer there.
    Gone(RelPath),
    /// A file under another path.
    Moved {
        /// Where it was.
        from: RelPath,
        /// Where it is.
        to: RelPath,
        /// What the file system said of it there.
        stat: Stat,
    },
    /// A file that was not known.
    New(RelPath, Stat),
    /// A file that has to be read again.
    Changed(RelPath, Stat),
}

/// A task with what the file system says about it right now.
pub(super) struct CheckedTask {
    pub(super) task: Task,
    /// Whether nothing is left at the old path, for tasks that have one.
    pub(super) gone: Option<io::Result<bool>>,
    /// What is at the new path, for tasks that have one.
    pub(super) look: Option<ReadOutcome>,
}

impl CheckedTask {
    fn is_move(&self) -> bool {
        matches!(self.task, Task::Moved { .. })
    }
}

/// How the files of a pass are looked at.
#[derive(Clone)]
pub(super) struct ReadPolicy {
    pub(super) config: Arc<Config>,
    /// How files behaved lately.
    pub(super) later: Arc<Mutex<DeferredFiles>>,
    pub(super) now: Timestamp,
    /// Whether a baseline is taken: it does not wait for large files to be read, nor for any to be at rest.
    pub(super) is_silent: bool,
    /// Whether large files are read: nobody is held up.
    pub(super) is_patient: bool,
}

/// What to do with a file.
enum ReadPlan {
    Look(Depth),
    Wait(Note),
}

impl ReadPolicy {
    /// What to do with a file that is new or changed.
    fn plan(&self, path: &RelPath, stat: &Stat) -> ReadPlan {
        let depth = self.depth(path);
        if self.is_silent {
            return ReadPlan::Look(Depth { whole: stat.size <= SMALL, at_rest_by: None, ..depth });
        }
        let later = lock(&self.later);
        if later.is_early(path, self.now) {
            ReadPlan::Wait(Note::Early)
        } else if later.is_restless(path, self.now) {
            ReadPlan::Look(Depth { whole: false, at_rest_by: None, ..depth })
        } else if stat.size > SMALL && stat.size <= depth.most && !self.is_patient {
            ReadPlan::Wait(Note::Large)
        } else {
            ReadPlan::Look(depth)
        }
    }

    /// How to look at a file under its new name. A large one is not read for that.
    fn moved(&self, path: &RelPath, stat: &Stat) -> Depth {
        Depth { whole: stat.size <= SMALL, at_rest_by: None, ..self.depth(path) }
    }

    fn depth(&self, path: &RelPath) -> Depth {
        Depth {
            keep: self.config.keep(path),
            whole: true,
            most: self.config.hash_bytes,
            at_rest_by: Some(self.now),
        }
    }
}

/// Tasks in order.
#[derive(Default)]
pub(super) struct Worklist {
    forgotten: BTreeSet<RelPath>,
    gone: BTreeSet<RelPath>,
    /// Old path by new path, and the stat there.
    moved: BTreeMap<RelPath, (RelPath, Stat)>,
    new: BTreeMap<RelPath, Stat>,
    changed: BTreeMap<RelPath, Stat>,
    reading: Option<Reading>,
    /// What was left for later, with the sizes.
    pub(super) notes: Vec<(RelPath, u64, Note)>,
}

impl Worklist {
    /// A list of these tasks; `moved` holds the old path by the new one.
    pub(super) fn new(
        forgotten: BTreeSet<RelPath>,
        gone: BTreeSet<RelPath>,
        moved: BTreeMap<RelPath, (RelPath, Stat)>,
        new: BTreeMap<RelPath, Stat>,
        changed: BTreeMap<RelPath, Stat>,
    ) -> Self {
        Self { forgotten, gone, moved, new, changed, ..Self::default() }
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.forgotten.is_empty()
            && self.gone.is_empty()
            && self.moved.is_empty()
            && self.new.is_empty()
            && self.changed.is_empty()
    }

    /// Adds a task, at its place in the order.
    pub(super) fn put(&mut self, task: Task) {
        match task {
            Task::Forget(path) => drop(self.forgotten.insert(path)),
            Task::Gone(path) => drop(self.gone.insert(path)),
            Task::Moved { from, to, stat } => drop(self.moved.insert(to, (from, stat))),
            Task::New(path, stat) => drop(self.new.insert(path, stat)),
            Task::Changed(path, stat) => drop(self.changed.insert(path, stat)),
        }
    }

    fn pop(&mut self) -> Option<Task> {
        let task = self.forgotten.pop_first().map(Task::Forget);
        let task = task.or_else(|| self.gone.pop_first().map(Task::Gone));
        let moved = |(to, (from, stat))| Task::Moved { from, to, stat };
        let task = task.or_else(|| self.moved.pop_first().map(moved));
        let task = task.or_else(|| self.new.pop_first().map(|(path, stat)| Task::New(path, stat)));
        task.or_else(|| self.changed.pop_first().map(|(path, stat)| Task::Changed(path, stat)))
    }

    /// Takes and checks the next tasks, as far as the budget goes. Blocks.
    pub(super) fn check(
        &mut self,
        root: &Root,
        policy: &ReadPolicy,
        budget: &mut Budget,
    ) -> Vec<CheckedTask> {
        let mut checked = Vec::new();
        let mut heads = 0;
        let most = BATCH.min(budget.steps() / CHANGES + 1);
        // `most` is at least one, so a turn with anything left of its budget comes further. A task that is not finished
        // goes back to its place in the order, with what was read of it.
        while checked.len() < most && heads < HEADS && !budget.is_spent() {
            let Some(task) = self.pop() else { break };
            // A file that was moved may turn out to have changed, and takes its place among those.
            if matches!(task, Task::Changed(..)) && checked.iter().any(CheckedTask::is_move) {
                self.put(task);
                break;
            }
            let (gone, look) = match &task {
                Task::Forget(_) => (None, None),
                Task::Gone(path) => (Some(is_gone(root, path)), None),
                Task::Moved { from, to, stat } => {
                    let look = self.look(root, to, policy.moved(to, stat), budget);
                    (Some(is_gone(root, from)), Some(look))
                }
                Task::New(path, stat) | Task::Changed(path, stat) => match policy.plan(path, stat) {
                    ReadPlan::Look(depth) => (None, Some(self.look(root, path, depth, budget))),
                    ReadPlan::Wait(note) => {
                        self.notes.push((path.clone(), stat.size, note));
                        budget.take(1);
                        continue;
                    }
                },
            };
            match look {
                Some(ReadOutcome::Unfinished(reading)) => {
                    self.reading = Some(*reading);
                    self.put(task);
                    break;
                }
                look => {
                    if let Some(ReadOutcome::File(seen)) = &look {
                        heads += seen.head.len();
                        self.note_unread(&task, seen.sha256.is_some(), policy);
                    }
                    checked.push(CheckedTask { task, gone, look });
                }
            }
        }
        checked
    }

    fn look(&mut self, root: &Root, path: &RelPath, depth: Depth, budget: &mut Budget) -> ReadOutcome {
        read_file(root, path, depth, budget, self.reading.take())
    }

    /// What a baseline takes note of without reading it is read later, when nothing else is to be done.
    fn note_unread(&mut self, task: &Task, is_read: bool, policy: &ReadPolicy) {
        if let Task::New(path, stat) | Task::Changed(path, stat) = task
            && policy.is_silent
            && !is_read
            && stat.size <= policy.config.hash_bytes
        {
            self.notes.push((path.clone(), stat.size, Note::Large));
        }
    }
}
