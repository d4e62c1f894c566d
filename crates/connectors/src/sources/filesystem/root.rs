//! The folder itself: whether it is there, and whether it is the one that is known. Without these checks a disk
//! that is not mounted would look like a folder whose files were all deleted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use inboxclaw_contract::{Class, Failure};
use serde::{Deserialize, Serialize};

use super::look::is_absent;
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

    /// Whether it is about the folder of this setting.
    pub(super) fn is_of(&self, configured: &Path) -> bool {
        self.path == configured.to_string_lossy()
    }

    /// Whether what is known is about another folder: the setting changed, and leads somewhere else. A folder that
    /// was renamed, or made anew under the same name, is still the one that people mean.
    pub(super) fn is_other(&self, now: &Self) -> bool {
        self.path != now.path && (self.dev, self.ino) != (now.dev, now.ino)
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
    /// What the file system says; [`failure`] tells it to people.
    pub(super) fn open(configured: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(configured)?;
        let metadata = fs::metadata(&path)?;
        let is_empty = fs::read_dir(&path)?.next().is_none();
        let stat = Stat::of(&metadata);
        Ok(Self { path, dev: stat.dev, ino: stat.ino, is_empty })
    }

    /// Checks that the folder is still the same one, before believing that something in it is gone. Blocks.
    ///
    /// # Errors
    /// As [`open`](Self::open), or Upstream when another folder has taken its place.
    pub(super) fn check(&self, configured: &Path) -> Result<(), Failure> {
        let now = Self::open(configured).map_err(|error| failure(configured, &error, true))?;
        if self.is_same(&now) {
            return Ok(());
        }
        let text = format!("path: the folder {} was replaced while it was read", configured.display());
        Err(Failure::text(Class::Upstream, text))
    }

    /// Whether both are one folder.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.path, self.dev, self.ino) == (&other.path, other.dev, other.ino)
    }
}

/// The failure of a folder that cannot be read. One that was there before (`is_known`) comes back by itself, with its
/// disk or its server, and is looked for soon; one that nobody has seen yet is a mistake in the settings.
pub(super) fn failure(configured: &Path, error: &io::Error, is_known: bool) -> Failure {
    let class = if is_absent(error) && !is_known { Class::Configuration } else { class(error) };
    let text = format!("path: cannot read the folder {}: {error}", configured.display());
    let failure = Failure::text(class, text);
    if is_absent(error) || class == Class::Authorization {
        failure.action("create or mount the folder, make it readable, or correct path")
    } else {
        failure
    }
}

/// The failure of a folder that seems to lack its disk.
pub(super) fn unmounted(configured: &Path) -> Failure {
    let text = format!(
        "path: the folder {} is empty and on another device than before, so its files are not taken for deleted",
        configured.display()
    );
    Failure::text(Class::Upstream, text)
        .action("mount the disk; if the folder is meant to be empty, put any file into it")
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn only_a_folder_that_was_never_there_waits_for_a_person() {
        let class = |error: Errno, is_known| failure(Path::new("/f"), &error.into(), is_known).class;
        for error in [Errno::NOENT, Errno::NOTDIR, Errno::LOOP] {
            assert_eq!(class(error, false), Class::Configuration, "{error}");
            assert_eq!(class(error, true), Class::Upstream, "{error}");
        }
        // The process or the machine is out of something for a moment, or a disk is.
        for error in [Errno::MFILE, Errno::NFILE, Errno::IO, Errno::NOMEM, Errno::STALE] {
            assert_eq!(class(error, false), Class::Upstream, "{error}");
            assert_eq!(class(error, true), Class::Upstream, "{error}");
        }
        assert_eq!(class(Errno::ACCESS, true), Class::Authorization);
    }
}
