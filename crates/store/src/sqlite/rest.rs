//! A database at rest: a file that nobody has open, without a write-ahead log. It is read without any lock and without
//! making a file, from read-only media as well. A program that starts meanwhile rewrites pages under its readers, so
//! each read is checked afterwards, and done again where that happened: what it gave then may be a mixture that never
//! existed, and is shown to nobody.
//!
//! Why this is enough: a writer makes its log before it changes the file, takes it away only after it has changed the
//! file for the last time, and the system notes the time of a change before others see it.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::path::beside;

/// A file as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rest {
    path: PathBuf,
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Rest {
    /// The database at `path`; `None` when somebody has it open, or there is none.
    pub(super) fn of(path: &Path) -> Option<Self> {
        // Before the log is looked for: who takes it away has changed the file.
        let facts = fs::metadata(path).ok()?;
        (!beside(path, "-wal").exists()).then(|| Self::new(path, &facts))
    }

    /// Whether it still is as it was, and was so all the time.
    pub(super) fn holds(&self) -> bool {
        Self::of(&self.path).as_ref() == Some(self)
    }

    fn new(path: &Path, facts: &Metadata) -> Self {
        Self {
            path: path.into(),
            device: facts.dev(),
            inode: facts.ino(),
            size: facts.size(),
            modified: (facts.mtime(), facts.mtime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_or_another_file_ends_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("a.db"), dir.path().join("b.db"));
        assert_eq!(Rest::of(&path), None);
        fs::write(&path, "one").unwrap();
        fs::write(&other, "two").unwrap();
        let rest = Rest::of(&path).unwrap();
        assert!(rest.holds());
        fs::write(dir.path().join("a.db-wal"), "").unwrap();
        assert!(!rest.holds());
        fs::remove_file(dir.path().join("a.db-wal")).unwrap();
        assert!(rest.holds());
        fs::rename(&other, &path).unwrap();
        assert!(!rest.holds());
    }
}
