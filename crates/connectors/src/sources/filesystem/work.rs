//! What is to be done after a comparison, in the order in which it is reported: what is gone, renamed, new, changed.
//! Each task is looked at once more right before it is written, since time has passed. Left out: the writing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use super::budget::Budget;
use super::look::{Look, Reading, is_gone, look};
use super::path::Rel;

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
    Forget(Rel),
    /// A file that is no longer there.
    Gone(Rel),
    /// A file under another path.
    Moved {
        /// Where it was.
        from: Rel,
        /// Where it is.
        to: Rel,
    },
    /// A file that was not known.
    New(Rel),
    /// A file that has to be read again.
    Changed(Rel),
}

/// A task with what the file system says about it right now.
pub(super) struct Checked {
    pub(super) task: Task,
    /// Whether nothing is left at the old path, for tasks that have one.
    pub(super) gone: Option<io::Result<bool>>,
    /// What is at the new path, for tasks that have one.
    pub(super) look: Option<Look>,
}

impl Checked {
    fn is_move(&self) -> bool {
        matches!(self.task, Task::Moved { .. })
    }
}

/// Tasks in order.
#[derive(Default)]
pub(super) struct Worklist {
    forgotten: BTreeSet<Rel>,
    gone: BTreeSet<Rel>,
    /// Old path by new path.
    moved: BTreeMap<Rel, Rel>,
    new: BTreeSet<Rel>,
    changed: BTreeSet<Rel>,
    reading: Option<Reading>,
}

impl Worklist {
    /// A list of these tasks; `moved` holds the old path by the new one.
    pub(super) fn new(
        forgotten: BTreeSet<Rel>,
        gone: BTreeSet<Rel>,
        moved: BTreeMap<Rel, Rel>,
        new: BTreeSet<Rel>,
        changed: BTreeSet<Rel>,
    ) -> Self {
        Self { forgotten, gone, moved, new, changed, reading: None }
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
            Task::Moved { from, to } => drop(self.moved.insert(to, from)),
            Task::New(path) => drop(self.new.insert(path)),
            Task::Changed(path) => drop(self.changed.insert(path)),
        }
    }

    fn pop(&mut self) -> Option<Task> {
        let task = self.forgotten.pop_first().map(Task::Forget);
        let task = task.or_else(|| self.gone.pop_first().map(Task::Gone));
        let task = task.or_else(|| self.moved.pop_first().map(|(to, from)| Task::Moved { from, to }));
        let task = task.or_else(|| self.new.pop_first().map(Task::New));
        task.or_else(|| self.changed.pop_first().map(Task::Changed))
    }

    /// Takes and checks the next tasks, as far as the budget goes. `keep` says how many bytes of a file's beginning
    /// are needed. Blocks.
    pub(super) fn check(
        &mut self,
        root: &Path,
        keep: impl Fn(&Rel) -> usize,
        budget: &mut Budget,
    ) -> Vec<Checked> {
        let mut checked = Vec::new();
        let mut heads = 0;
        let most = BATCH.min(budget.steps() / CHANGES + 1);
        while checked.len() < most && heads < HEADS && !budget.is_spent() {
            let Some(task) = self.pop() else { break };
            // A file that was moved may turn out to have changed, and takes its place among those.
            if matches!(task, Task::Changed(_)) && checked.iter().any(Checked::is_move) {
                self.put(task);
                break;
            }
            let (old, now) = match &task {
                Task::Forget(_) => (None, None),
                Task::Gone(path) => (Some(path), None),
                Task::Moved { from, to } => (Some(from), Some(to)),
                Task::New(path) | Task::Changed(path) => (None, Some(path)),
            };
            let gone = old.map(|path| is_gone(root, path));
            let look = now.map(|path| look(root, path, keep(path), budget, self.reading.take()));
            match look {
                Some(Look::Unfinished(reading)) => {
                    self.reading = Some(*reading);
                    self.put(task);
                    break;
                }
                look => {
                    if let Some(Look::File(seen)) = &look {
                        heads += seen.head.len();
                    }
                    checked.push(Checked { task, gone, look });
                }
            }
        }
        checked
    }
}
