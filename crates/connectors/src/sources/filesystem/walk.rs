//! Finds files: regular ones, and links to such. Links to folders are not followed, so no walk goes in circles;
//! pipes, sockets and devices are never opened. A folder is watched before it is read, so that nothing which
//! appears in it afterwards is missed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use rustix::fs::{Dir, FileType};

use super::budget::Budget;
use super::links::{Hidden, PathMatch};
use super::path::RelPath;
use super::record::{FileKind, Stat, Status};
use super::root::Root;
use super::tree::{is_absent, is_dots, is_of_kernel};
use super::watch::Watch;

/// A walk that can pause.
pub(super) struct Walk {
    root: Root,
    watch: Option<Arc<Watch>>,
    /// Where to start: files, folders or nothing any more.
    starts: BTreeSet<RelPath>,
    folders: Vec<RelPath>,
    reading: Option<(RelPath, Dir)>,
    /// Whether the file systems that were met, by device, are made up by the kernel.
    kernel: HashMap<u64, bool>,
    found: WalkResult,
}

/// What a walk found.
#[derive(Default)]
pub(super) struct WalkResult {
    /// The files that are looked at.
    pub(super) files: HashMap<RelPath, Stat>,
    /// What could not be read. What is known at or below these paths is neither there nor gone.
    pub(super) blocked: BTreeMap<RelPath, io::Error>,
    /// What is there and not looked at: links, and folders with all below them.
    pub(super) hidden: BTreeMap<RelPath, Hidden>,
    /// The folders that are the top of another file system than the one around them.
    pub(super) mounts: BTreeSet<RelPath>,
}

impl Walk {
    /// A walk from `starts`, the root for everything.
    pub(super) fn new(root: Root, watch: Option<Arc<Watch>>, starts: BTreeSet<RelPath>) -> Self {
        Self {
            root,
            watch,
            starts,
            folders: Vec::new(),
            reading: None,
            kernel: HashMap::new(),
            found: WalkResult::default(),
        }
    }

    /// Goes on until the end (`true`) or until the budget is spent. Blocks.
    pub(super) fn advance(&mut self, budget: &mut Budget) -> bool {
        while !budget.is_spent() {
            budget.take(1);
            if let Some((folder, mut entries)) = self.reading.take() {
                match entries.read() {
                    Some(Ok(entry)) => {
                        let name = OsStr::from_bytes(entry.file_name().to_bytes());
                        self.entry(&folder, &entries, name, entry.file_type());
                        self.reading = Some((folder, entries));
                    }
                    Some(Err(error)) => self.block(folder, error.into()),
                    None => {}
                }
            } else if let Some(folder) = self.folders.pop() {
                if let Err(error) = self.open(&folder) {
                    self.block(folder, error);
                }
            } else if let Some(start) = self.starts.pop_first() {
                if let Err(error) = self.start(&start) {
                    self.block(start, error);
                }
            } else {
                return true;
            }
        }
        false
    }

    /// What was found.
    pub(super) fn into_found(self) -> WalkResult {
        self.found
    }

    fn start(&mut self, path: &RelPath) -> io::Result<()> {
        let filter = self.root.filter.clone();
        match self.root.tree.place(path)?.status()?.kind {
            FileKind::Folder if path.is_root() || filter.wants_folder_here(path) => {
                self.folders.push(path.clone())
            }
            FileKind::File | FileKind::Link if filter.wants_file_here(path) => self.find(path)?,
            FileKind::File | FileKind::Link | FileKind::Folder | FileKind::Special => {}
        }
        Ok(())
    }

    /// Opens a folder to read it, unless it is none any more. Takes note of where another file system begins.
    fn open(&mut self, path: &RelPath) -> io::Result<()> {
        let folder = self.root.tree.folder(path)?;
        let dev = Status::of(&folder)?.stat.dev;
        if self.root.is_forbidden(path) || self.is_of_kernel(dev, &folder)? {
            self.found.hidden.insert(path.clone(), Hidden::Kernel);
            return Ok(());
        }
        if !path.is_root() && self.root.tree.folder_status(&path.parent())?.stat.dev != dev {
            self.found.mounts.insert(path.clone());
        }
        if let Some(watch) = &self.watch {
            watch.add(&self.root, path, folder.as_fd());
        }
        self.reading = Some((path.clone(), Dir::new(folder)?));
        Ok(())
    }

    fn is_of_kernel(&mut self, dev: u64, folder: &OwnedFd) -> io::Result<bool> {
        if dev == self.root.tree.stat.dev {
            return Ok(false);
        }
        if let Some(known) = self.kernel.get(&dev) {
            return Ok(*known);
        }
        let is_of_kernel = is_of_kernel(folder)?;
        self.kernel.insert(dev, is_of_kernel);
        Ok(is_of_kernel)
    }

    fn entry(&mut self, folder: &RelPath, entries: &Dir, name: &OsStr, kind: FileType) {
        if is_dots(name.as_bytes()) {
            return;
        }
        let path = folder.join(name);
        let is_folder = match kind {
            FileType::Directory => true,
            FileType::RegularFile | FileType::Symlink => false,
            // Not every file system tells the kind along with the name.
            FileType::Unknown => match entries.fd().map_err(Into::into).and_then(|fd| Status::at(fd, name)) {
                Ok(status) => status.kind == FileKind::Folder,
                Err(error) => return self.block(path, error),
            },
            _ => return,
        };
        if is_folder {
            if self.root.filter.wants_folder_here(&path) {
                self.folders.push(path);
            }
        } else if self.root.filter.wants_file_here(&path)
            && let Err(error) = self.file(&path, entries, name)
        {
            self.block(path, error);
        }
    }

    /// Takes what is in the folder that is being read.
    fn file(&mut self, path: &RelPath, entries: &Dir, name: &OsStr) -> io::Result<()> {
        let status = Status::at(entries.fd()?, name)?;
        // The usual case needs no second look.
        if status.kind == FileKind::File && status.stat.dev == self.root.tree.stat.dev {
            self.found.files.insert(path.clone(), status.stat);
            return Ok(());
        }
        self.find(path)
    }

    /// Takes what is at a path.
    fn find(&mut self, path: &RelPath) -> io::Result<()> {
        match self.root.find(path)? {
            PathMatch::File(_, stat) => drop(self.found.files.insert(path.clone(), stat)),
            PathMatch::Hidden(hidden) => drop(self.found.hidden.insert(path.clone(), hidden)),
            PathMatch::Other => {}
        }
        Ok(())
    }

    fn block(&mut self, path: RelPath, error: io::Error) {
        if !is_absent(&error) {
            self.found.blocked.insert(path, error);
        }
    }
}
