//! The file behind a path: where it really lies, and whether the path still names it.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Most links that are followed to a file that does not exist yet; as many as the system follows itself.
const LINKS: usize = 40;

/// Where the file at `path` really lies, with every link followed, also a link to a file that does not exist yet.
/// SQLite keeps its log there, so the lock and the run file must lie there as well.
///
/// # Errors
/// When the folder does not exist or cannot be looked into.
pub fn resolved(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::canonicalize(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let folder = fs::canonicalize(folder(&path))?;
        path = match (fs::read_link(&path), path.file_name()) {
            (Ok(target), _) => folder.join(target),
            (Err(_), Some(name)) => return Ok(folder.join(name)),
            (Err(error), None) => return Err(error),
        };
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("more than {LINKS} links follow each other")))
}

/// The folder of the file at `path`.
pub(crate) fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The file beside `db` whose name is longer by `suffix`.
pub(crate) fn beside(db: &Path, suffix: &str) -> PathBuf {
    let mut path = db.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// What makes a file itself, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The file of which these are the facts.
    pub(crate) fn of(facts: &Metadata) -> Self {
        Self { device: facts.dev(), inode: facts.ino() }
    }

    /// Whether `path` still names this file. What cannot be looked at counts as unchanged: that says nothing.
    pub(crate) fn is_at(self, path: &Path) -> bool {
        match fs::metadata(path) {
            Ok(facts) => Self::of(&facts) == self,
            Err(error) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_also_to_a_file_that_is_still_to_come() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(root.join("one/data")).unwrap();
        fs::create_dir_all(root.join("three/data")).unwrap();
        symlink("../../one/data/a.db", root.join("three/data/b.db")).unwrap();
        symlink("three/data", root.join("folder")).unwrap();
        let real = root.join("one/data/a.db");
        for _ in ["missing", "there"] {
            for name in ["one/data/a.db", "three/data/b.db", "folder/b.db", "one/data/../data/a.db"] {
                assert_eq!(resolved(&root.join(name)).unwrap(), real, "{name}");
            }
            fs::write(&real, "").unwrap();
        }
        assert!(resolved(&root.join("none/a.db")).is_err());
        symlink("loop", root.join("loop")).unwrap();
        assert!(resolved(&root.join("loop")).is_err());
    }
}
