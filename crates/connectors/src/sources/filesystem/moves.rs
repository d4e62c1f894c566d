//! Detects renames: by inode, or else by a content that only one file lost and only one gained. Two paths that exist at
//! the same time are never a rename, whatever inode they share.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::budget::Budget;
use super::compare::Differences;
use super::path::RelPath;
use super::read_file::{Depth, ReadOutcome, Reading, read_file};
use super::record::{Record, Stat};
use super::root::Root;
use super::worklist::Worklist;

/// Largest file, in bytes, that is read to find out whether it is another one under a new name: others wait meanwhile.
const LARGEST: u64 = 64 << 20;

/// A search for renames that can pause.
pub(super) struct Moves {
    gone: BTreeMap<RelPath, Record>,
    new: BTreeMap<RelPath, Stat>,
    /// Old path by new path, and the stat there.
    moved: BTreeMap<RelPath, (RelPath, Stat)>,
    forgotten: BTreeSet<RelPath>,
    changed: BTreeMap<RelPath, Stat>,
    /// How the candidates are read.
    depth: Depth,
    /// New files that have the size of one that is gone.
    to_read: Vec<RelPath>,
    reading: Option<Reading>,
    /// New files by the digest of their content.
    read: HashMap<String, Vec<RelPath>>,
}

impl Moves {
    /// Pairs by inode; what is left has to be read, unless it is larger than `most`.
    pub(super) fn new(differences: Differences, most: u64) -> Self {
        let Differences { forgotten, gone, new, changed } = differences;
        let mut gone: BTreeMap<RelPath, Record> = gone.into_iter().collect();
        let mut new: BTreeMap<RelPath, Stat> = new.into_iter().collect();
        let moved = by_inode(&mut gone, &mut new);
        let most = most.min(LARGEST);
        let lost = gone.values().filter(|record| record.sha256.is_some()).map(|record| record.stat.size);
        let sizes: HashSet<u64> = lost.filter(|size| (1..=most).contains(size)).collect();
        let to_read = new.iter().filter(|(_, stat)| sizes.contains(&stat.size)).map(|(path, _)| path.clone());
        Self {
            to_read: to_read.collect(),
            gone,
            new,
            moved,
            forgotten,
            changed,
            depth: Depth { keep: 0, whole: true, most, at_rest_by: None },
            reading: None,
            read: HashMap::new(),
        }
    }

    /// Goes on until the end (`true`) or until the budget is spent. Blocks.
    pub(super) fn advance(&mut self, root: &Root, budget: &mut Budget) -> bool {
        while let Some(path) = self.to_read.pop() {
            if budget.is_spent() {
                self.to_read.push(path);
                return false;
            }
            budget.take(1);
            match read_file(root, &path, self.depth, budget, self.reading.take()) {
                ReadOutcome::File(seen) => {
                    if let Some(sha256) = seen.sha256 {
                        self.read.entry(sha256).or_default().push(path);
                    }
                }
                ReadOutcome::Unfinished(reading) => {
                    self.reading = Some(*reading);
                    self.to_read.push(path);
                    return false;
                }
                // The turn that reports it says what is wrong with it.
                ReadOutcome::Absent | ReadOutcome::Unstable(_) | ReadOutcome::Unreadable(_) => {}
            }
        }
        true
    }

    /// Everything that is to be done, at the end.
    pub(super) fn into_worklist(mut self) -> Worklist {
        let mut lost: HashMap<&str, Vec<&RelPath>> = HashMap::new();
        for (path, record) in &self.gone {
            if let Some(sha256) = &record.sha256 {
                lost.entry(sha256).or_default().push(path);
            }
        }
        let pairs = self.read.iter().filter_map(|(sha256, to)| {
            match (lost.get(sha256.as_str())?.as_slice(), to.as_slice()) {
                ([from], [to]) => Some((to.clone(), (*from).clone())),
                _ => None,
            }
        });
        let pairs: Vec<(RelPath, RelPath)> = pairs.collect();
        for (to, from) in pairs {
            self.gone.remove(&from);
            if let Some(stat) = self.new.remove(&to) {
                self.moved.insert(to, (from, stat));
            }
        }
        let gone = self.gone.into_keys().collect();
        Worklist::new(self.forgotten, gone, self.moved, self.new, self.changed)
    }
}

/// Takes out the pairs that are one file, the first of several paths in order.
fn by_inode(
    gone: &mut BTreeMap<RelPath, Record>,
    new: &mut BTreeMap<RelPath, Stat>,
) -> BTreeMap<RelPath, (RelPath, Stat)> {
    let mut lost: HashMap<(u64, u64), Vec<RelPath>> = HashMap::new();
    for (path, record) in gone.iter().rev() {
        lost.entry((record.stat.dev, record.stat.ino)).or_default().push(path.clone());
    }
    let mut moved = BTreeMap::new();
    for (to, stat) in &*new {
        let Some(candidates) = lost.get_mut(&(stat.dev, stat.ino)) else { continue };
        let is_match = |from: &RelPath| gone.get(from).is_some_and(|record| record.stat.is_same_file(stat));
        if let Some(at) = candidates.iter().rposition(is_match) {
            moved.insert(to.clone(), (candidates.remove(at), *stat));
        }
    }
    for (to, (from, _)) in &moved {
        new.remove(to);
        gone.remove(from);
    }
    moved
}
