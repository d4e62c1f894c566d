//! Finds out which files were only renamed: by inode, or else by a content that only one file lost and only one
//! gained. Two paths that exist at the same time are never a rename, whatever inode they share.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

use super::budget::Budget;
use super::compare::Differences;
use super::look::{Look, Reading, look};
use super::path::Rel;
use super::record::{Record, Stat};
use super::work::Worklist;

/// A search for renames that can pause.
pub(super) struct Moves {
    gone: BTreeMap<Rel, Record>,
    new: BTreeSet<Rel>,
    /// Old path by new path.
    moved: BTreeMap<Rel, Rel>,
    forgotten: BTreeSet<Rel>,
    changed: BTreeSet<Rel>,
    /// New files that have the size of one that is gone.
    to_read: Vec<Rel>,
    reading: Option<Reading>,
    /// New files by the digest of their content.
    read: HashMap<String, Vec<Rel>>,
}

impl Moves {
    /// Pairs by inode; what is left has to be read.
    pub(super) fn new(differences: Differences) -> Self {
        let Differences { forgotten, gone, new, changed } = differences;
        let mut gone: BTreeMap<Rel, Record> = gone.into_iter().collect();
        let mut new: BTreeMap<Rel, Stat> = new.into_iter().collect();
        let moved = by_inode(&mut gone, &mut new);
        let sizes: HashSet<u64> =
            gone.values().map(|record| record.stat.size).filter(|size| *size > 0).collect();
        let to_read = new.iter().filter(|(_, stat)| sizes.contains(&stat.size)).map(|(path, _)| path.clone());
        Self {
            to_read: to_read.collect(),
            gone,
            new: new.into_keys().collect(),
            moved,
            forgotten,
            changed,
            reading: None,
            read: HashMap::new(),
        }
    }

    /// Goes on until the end (`true`) or until the budget is spent. Blocks.
    pub(super) fn advance(&mut self, root: &Path, budget: &mut Budget) -> bool {
        while let Some(path) = self.to_read.pop() {
            if budget.is_spent() {
                self.to_read.push(path);
                return false;
            }
            budget.take(1);
            match look(root, &path, 0, budget, self.reading.take()) {
                Look::File(seen) => self.read.entry(seen.sha256).or_default().push(path),
                Look::Unfinished(reading) => {
                    self.reading = Some(*reading);
                    self.to_read.push(path);
                    return false;
                }
                // The turn that reports it says what is wrong with it.
                Look::Absent | Look::Unstable | Look::Unreadable(_) => {}
            }
        }
        true
    }

    /// Everything that is to be done, at the end.
    pub(super) fn into_worklist(mut self) -> Worklist {
        let mut lost: HashMap<&str, Vec<&Rel>> = HashMap::new();
        for (path, record) in &self.gone {
            lost.entry(&record.sha256).or_default().push(path);
        }
        let pairs = self.read.iter().filter_map(|(sha256, to)| {
            match (lost.get(sha256.as_str())?.as_slice(), to.as_slice()) {
                ([from], [to]) => Some((to.clone(), (*from).clone())),
                _ => None,
            }
        });
        let pairs: Vec<(Rel, Rel)> = pairs.collect();
        for (to, from) in pairs {
            self.gone.remove(&from);
            self.new.remove(&to);
            self.moved.insert(to, from);
        }
        Worklist::new(self.forgotten, self.gone.into_keys().collect(), self.moved, self.new, self.changed)
    }
}

/// Takes out the pairs that are one file, the first of several paths in order.
fn by_inode(gone: &mut BTreeMap<Rel, Record>, new: &mut BTreeMap<Rel, Stat>) -> BTreeMap<Rel, Rel> {
    let mut lost: HashMap<(u64, u64), Vec<Rel>> = HashMap::new();
    for (path, record) in gone.iter().rev() {
        lost.entry((record.stat.dev, record.stat.ino)).or_default().push(path.clone());
    }
    let mut moved = BTreeMap::new();
    for (to, stat) in &*new {
        let Some(candidates) = lost.get_mut(&(stat.dev, stat.ino)) else { continue };
        let is_match = |from: &Rel| gone.get(from).is_some_and(|record| record.stat.is_same_file(stat));
        if let Some(at) = candidates.iter().rposition(is_match) {
            moved.insert(to.clone(), candidates.remove(at));
        }
    }
    for (to, from) in &moved {
        new.remove(to);
        gone.remove(from);
    }
    moved
}
