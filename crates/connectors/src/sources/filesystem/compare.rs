//! Compares what a walk found with what is known: only what differs goes on. Reads entries page by page and holds
//! nothing of those that agree.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use inboxclaw_contract::limits::KEY_BYTES;
use inboxclaw_contract::{Draft, Entry, Failure};

use super::budget::Budget;
use super::filter::Filter;
use super::inbox::Scopes;
use super::path::{KeyFamily, RelPath};
use super::record::{Record, Stat};
use super::walk::WalkResult;

/// Entries read at once.
const PAGE: usize = 1_000;

/// What differs.
#[derive(Default)]
pub(super) struct Differences {
    /// Known, and no longer looked at by the settings.
    pub(super) forgotten: BTreeSet<RelPath>,
    /// Known, and no longer there.
    pub(super) gone: Vec<(RelPath, Record)>,
    /// There, and not known.
    pub(super) new: Vec<(RelPath, Stat)>,
    /// Known, and to be read again.
    pub(super) changed: BTreeMap<RelPath, Stat>,
}

/// A comparison that can pause.
pub(super) struct Comparison {
    filter: Arc<Filter>,
    files: HashMap<RelPath, Stat>,
    blocked: BTreeSet<RelPath>,
    /// Where what is known is forgotten without a word.
    hidden: BTreeSet<RelPath>,
    /// The largest file that is read, in bytes.
    most: u64,
    /// Where to compare; the root for everything.
    starts: BTreeSet<RelPath>,
    /// Starts whose own entry is still to be read.
    single: Vec<RelPath>,
    /// Prefixes to list, and the key to resume after in the first.
    prefixes: VecDeque<String>,
    after: Option<String>,
    differences: Differences,
}

impl Comparison {
    /// A comparison of what was found when `scopes` were walked. What is known at or below `hidden` paths is
    /// forgotten without a word; files of up to `most` bytes that were never read are.
    pub(super) fn new(
        filter: Arc<Filter>,
        scopes: &Scopes,
        found: WalkResult,
        hidden: BTreeSet<RelPath>,
        most: u64,
    ) -> Self {
        let all = scopes.all.then(|| KeyFamily::File.prefixes().map(str::to_owned));
        Self {
            filter,
            files: found.files,
            blocked: found.blocked.into_keys().collect(),
            hidden,
            most,
            starts: if scopes.all { BTreeSet::from([RelPath::root()]) } else { scopes.paths.clone() },
            single: if scopes.all { Vec::new() } else { scopes.paths.iter().cloned().collect() },
            prefixes: all.into_iter().flatten().collect(),
            after: None,
            differences: Differences::default(),
        }
    }

    /// Goes on until the end (`true`) or until the budget is spent.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) async fn advance(
        &mut self,
        draft: &mut Draft<'_>,
        budget: &mut Budget,
    ) -> Result<bool, Failure> {
        while !budget.is_spent() {
            if !self.single.is_empty() {
                self.read_single(draft, budget).await?;
            } else if let Some(prefix) = self.prefixes.front().cloned() {
                let page = draft.list(&prefix, self.after.as_deref(), PAGE).await?;
                budget.take(page.len().max(1));
                self.after = page.last().map(|entry| entry.key.clone());
                if page.len() < PAGE {
                    self.prefixes.pop_front();
                    self.after = None;
                }
                page.iter().for_each(|entry| self.known(entry));
            } else {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What differs, at the end.
    pub(super) fn into_differences(mut self) -> Differences {
        self.differences.new = self.files.into_iter().collect();
        self.differences
    }

    async fn read_single(&mut self, draft: &mut Draft<'_>, budget: &mut Budget) -> Result<(), Failure> {
        let paths = self.single.split_off(self.single.len().saturating_sub(PAGE));
        budget.take(paths.len());
        let keys: Vec<String> = paths.iter().map(|path| path.key(KeyFamily::File).0).collect();
        for (path, entry) in paths.iter().zip(draft.entries(&keys).await?) {
            match entry {
                Some(entry) => self.known(&entry),
                // It may be a folder, or have been one.
                None => self.below(path),
            }
        }
        Ok(())
    }

    /// Plans to read what is known below a folder.
    fn below(&mut self, folder: &RelPath) {
        let [plain, hashed] = KeyFamily::File.prefixes();
        let prefix = format!("{plain}{}/", folder.escaped());
        if prefix.len() <= KEY_BYTES {
            self.prefixes.push_front(prefix);
        }
        if !self.prefixes.iter().any(|prefix| prefix == hashed) {
            self.prefixes.push_back(hashed.to_owned());
        }
    }

    fn known(&mut self, entry: &Entry) {
        // An entry that a person made unreadable says nothing; then the file is read, or the entry goes.
        let record: Option<Record> = entry.parse().ok();
        let Some(path) = path_of(entry, record.as_ref()) else { return };
        if self.blocked.iter().any(|blocked| path.is_within(blocked)) {
            self.files.remove(&path);
            return;
        }
        if !self.starts.iter().any(|start| path.is_within(start)) {
            return;
        }
        match (self.files.remove(&path), record) {
            (Some(stat), Some(record))
                if record.stat == stat && !record.fresh && !self.is_unread(&record) => {}
            (Some(stat), _) => {
                self.differences.changed.insert(path, stat);
            }
            (None, Some(record)) if self.filter.wants_file(&path) && !self.is_hidden(&path) => {
                self.differences.gone.push((path, record))
            }
            (None, _) => {
                self.differences.forgotten.insert(path);
            }
        }
    }

    fn is_unread(&self, record: &Record) -> bool {
        record.sha256.is_none() && record.stat.size <= self.most
    }

    fn is_hidden(&self, path: &RelPath) -> bool {
        let parents =
            std::iter::successors(Some(path.clone()), |path| path.split().map(|(folder, _)| folder));
        !self.hidden.is_empty() && parents.into_iter().any(|path| self.hidden.contains(&path))
    }
}

fn path_of(entry: &Entry, record: Option<&Record>) -> Option<RelPath> {
    let [plain, _] = KeyFamily::File.prefixes();
    match entry.key.strip_prefix(plain) {
        Some(path) => RelPath::from_escaped(path),
        None => RelPath::from_escaped(record?.path.as_deref()?),
    }
}
