//! Finds files: regular ones, and links to such. Links to folders are not followed, so no walk goes in circles;
//! pipes, sockets and devices are never opened. A folder is watched before it is read, so that nothing which
//! appears in it afterwards is missed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, DirEntry, ReadDir};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::budget::Budget;
use super::filter::Filter;
use super::look::{is_absent, real};
use super::mounts::is_top;
use super::path::Rel;
use super::record::Stat;
use super::watch::Watch;

/// A walk that can pause.
pub(super) struct Walk {
    root: PathBuf,
    filter: Arc<Filter>,
    watch: Option<Arc<Watch>>,
    /// Where to start: files, folders or nothing any more.
    starts: BTreeSet<Rel>,
    folders: Vec<Rel>,
    reading: Option<(Rel, ReadDir)>,
    found: Found,
}

/// What a walk found.
#[derive(Default)]
pub(super) struct Found {
    /// The files that are looked at.
    pub(super) files: HashMap<Rel, Stat>,
    /// What could not be read. What is known at or below these paths is neither there nor gone.
    pub(super) blocked: BTreeMap<Rel, io::Error>,
    /// The folders that are the top of another file system than the one around them.
    pub(super) mounts: BTreeSet<Rel>,
}

impl Walk {
    /// A walk from `starts`, the root for everything.
    pub(super) fn new(
        root: PathBuf,
        filter: Arc<Filter>,
        watch: Option<Arc<Watch>>,
        starts: BTreeSet<Rel>,
    ) -> Self {
        Self { root, filter, watch, starts, folders: Vec::new(), reading: None, found: Found::default() }
    }

    /// Goes on until the end (`true`) or until the budget is spent. Blocks.
    pub(super) fn advance(&mut self, budget: &mut Budget) -> bool {
        while !budget.is_spent() {
            budget.take(1);
            if let Some((folder, mut entries)) = self.reading.take() {
                match entries.next() {
                    Some(Ok(entry)) => {
                        self.entry(&folder, &entry);
                        self.reading = Some((folder, entries));
                    }
                    Some(Err(error)) => self.block(folder, error),
                    None => {}
                }
            } else if let Some(folder) = self.folders.pop() {
                self.open(folder);
            } else if let Some(start) = self.starts.pop_first() {
                self.start(start);
            } else {
                return true;
            }
        }
        false
    }

    /// What was found.
    pub(super) fn into_found(self) -> Found {
        self.found
    }

    fn start(&mut self, path: Rel) {
        match real(&self.root, &path).and_then(fs::symlink_metadata) {
            Ok(metadata) if metadata.is_dir() => {
                if path.is_root() || self.filter.wants_folder_here(&path) {
                    self.folders.push(path);
                }
            }
            Ok(metadata) if self.filter.wants_file_here(&path) => self.file(path, metadata.is_symlink()),
            Ok(_) => {}
            Err(error) => self.block(path, error),
        }
    }

    fn open(&mut self, folder: Rel) {
        let full = folder.under(&self.root);
        match self.is_folder(&folder) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return self.block(folder, error),
        }
        if let Some(watch) = &self.watch {
            watch.add(&full);
        }
        match fs::read_dir(&full) {
            Ok(entries) => self.reading = Some((folder, entries)),
            Err(error) => self.block(folder, error),
        }
    }

    /// Whether it is a folder still, and no link in its place. Takes note of where another file system begins.
    fn is_folder(&mut self, folder: &Rel) -> io::Result<bool> {
        let metadata = fs::symlink_metadata(folder.under(&self.root))?;
        if is_top(&self.root, folder, &metadata)? {
            self.found.mounts.insert(folder.clone());
        }
        Ok(metadata.is_dir())
    }

    fn entry(&mut self, folder: &Rel, entry: &DirEntry) {
        let path = folder.join(&entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => {
                if self.filter.wants_folder_here(&path) {
                    self.folders.push(path);
                }
            }
            Ok(kind) if !kind.is_file() && !kind.is_symlink() => {}
            Ok(kind) if self.filter.wants_file_here(&path) => self.file(path, kind.is_symlink()),
            Ok(_) => {}
            Err(error) => self.block(path, error),
        }
    }

    /// Takes a file, or the file that a link leads to.
    fn file(&mut self, path: Rel, is_link: bool) {
        let full = path.under(&self.root);
        if is_link && self.filter.own.is_behind(&full) {
            return;
        }
        match fs::metadata(full) {
            Ok(metadata) if metadata.is_file() => {
                self.found.files.insert(path, Stat::of(&metadata));
            }
            Ok(_) => {}
            Err(error) => self.block(path, error),
        }
    }

    fn block(&mut self, path: Rel, error: io::Error) {
        if !is_absent(&error) {
            self.found.blocked.insert(path, error);
        }
    }
}
