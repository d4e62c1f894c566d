//! The files that the program itself writes, such as its database. They are left out: to report one would be a commit,
//! which changes it again, without end. Links are resolved, since a folder has as many names as links lead to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::path::RelPath;
use crate::lock::lock;

/// The program's own files. Until they are resolved, none is known.
#[derive(Debug, Default)]
pub(super) struct OwnFiles {
    configured: Vec<PathBuf>,
    resolved: Mutex<Resolved>,
}

#[derive(Debug, Default)]
struct Resolved {
    absolute: Vec<PathBuf>,
    /// Those below the root.
    below: Vec<RelPath>,
}

impl OwnFiles {
    /// The files at these absolute paths, with all that belongs to them.
    pub(super) fn new(configured: Vec<PathBuf>) -> Self {
        Self { configured, resolved: Mutex::default() }
    }

    /// Finds out where they are now, and where that is below `root`, whose links are resolved. Blocks.
    pub(super) fn resolve(&self, root: &Path) {
        let absolute: Vec<PathBuf> = self.configured.iter().flat_map(|path| places(path)).collect();
        let below = absolute.iter().filter_map(|path| RelPath::below(root, path)).collect();
        *lock(&self.resolved) = Resolved { absolute, below };
    }

    /// Whether the path is that of such a file.
    pub(super) fn holds(&self, path: &RelPath) -> bool {
        lock(&self.resolved).below.iter().any(|own| path.belongs_to(own))
    }

    /// Whether such a file is at an absolute path without links.
    pub(super) fn is_at(&self, target: &Path) -> bool {
        let root = Path::new("/");
        let Some(target) = RelPath::below(root, target) else { return false };
        let resolved = lock(&self.resolved);
        resolved
            .absolute
            .iter()
            .filter_map(|own| RelPath::below(root, own))
            .any(|own| target.belongs_to(&own))
    }
}

/// Where a file is: beside its name lies what is named after it, and where a link in its place leads lies the file.
fn places(path: &Path) -> Vec<PathBuf> {
    let folder = path.parent().map(|folder| fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned()));
    let named = folder.zip(path.file_name()).map(|(folder, name)| folder.join(name));
    let file = fs::canonicalize(path).ok().filter(|file| Some(file) != named.as_ref());
    named.into_iter().chain(file).collect()
}
