//! The folder itself: whether it is there, and whether it is the one that is known. Without these checks a disk
//! that is not mounted would look like a folder whose files were all deleted.

use std::fs;
use std::path::{Path, PathBuf};

use inboxclaw_contract::{Class, Failure};
use serde::{Deserialize, Serialize};

use super::record::Stat;
use super::trouble::class;

/// The folder as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Root {
    /// Absolute, links resolved.
    pub(super) path: PathBuf,
    dev: u64,
    ino: u64,
    is_empty: bool,
}

/// The entry about the folder. It exists from the first turn on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// As configured.
    path: String,
    dev: u64,
    ino: u64,
    /// Whether the baseline is complete. Until then nothing is reported.
    pub(super) complete: bool,
}

impl Mark {
    /// The key of the entry.
    pub(super) const KEY: &'static str = "baseline";

    /// The mark of a folder.
    pub(super) fn new(configured: &Path, root: &Root, complete: bool) -> Self {
        Self { path: configured.to_string_lossy().into_owned(), dev: root.dev, ino: root.ino, complete }
    }

    /// Whether what is known is about another folder: the setting changed, and leads somewhere else. A folder that
    /// was renamed, or made anew under the same name, is still the one that people mean.
    pub(super) fn is_other(&self, now: &Self) -> bool {
        self.path != now.path && self.ino != now.ino
    }

    /// Whether the folder looks like a mount point without its disk.
    pub(super) fn looks_unmounted(&self, root: &Root) -> bool {
        root.is_empty && self.dev != root.dev
    }
}

impl Root {
    /// Finds the folder. Blocks.
    ///
    /// # Errors
    /// Configuration when it is missing or no folder, else as the file system says.
    pub(super) fn open(configured: &Path) -> Result<Self, Failure> {
        let failure = |error: std::io::Error| {
            let class = match class(&error) {
                Class::Upstream => Class::Configuration,
                class => class,
            };
            let text = format!("path: cannot read the folder {}: {error}", configured.display());
            Failure::text(class, text).action("create or mount the folder, or correct path")
        };
        let path = fs::canonicalize(configured).map_err(failure)?;
        let metadata = fs::metadata(&path).map_err(failure)?;
        let is_empty = fs::read_dir(&path).map_err(failure)?.next().is_none();
        let stat = Stat::of(&metadata);
        Ok(Self { path, dev: stat.dev, ino: stat.ino, is_empty })
    }

    /// Checks that the folder is still the same one, before believing that something in it is gone. Blocks.
    ///
    /// # Errors
    /// As [`open`](Self::open), or Configuration when another folder has taken its place.
    pub(super) fn check(&self, configured: &Path) -> Result<(), Failure> {
        let now = Self::open(configured)?;
        if self.is_same(&now) {
            return Ok(());
        }
        let text = format!("path: the folder {} was replaced while it was read", configured.display());
        Err(Failure::text(Class::Configuration, text))
    }

    /// Whether both are one folder.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.path, self.dev, self.ino) == (&other.path, other.dev, other.ino)
    }
}

/// The failure of a folder that seems to lack its disk.
pub(super) fn unmounted(configured: &Path) -> Failure {
    let text = format!(
        "path: the folder {} is empty and on another device than before, so its files are not taken for deleted",
        configured.display()
    );
    Failure::text(Class::Configuration, text)
        .action("mount the disk; if the folder is meant to be empty, put any file into it")
}
