//! The lock that whoever writes holds for life. It lies beside the database, because opening and closing the
//! database file itself would drop the locks that SQLite holds on it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The right to write a database. Released when dropped; the file stays, since removing it would race.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why a lock was not taken.
#[derive(Debug)]
pub enum LockError {
    /// Another process, or another store of this one, holds it.
    Held,
    /// The file cannot be made or locked.
    Io(io::Error),
}

impl Lock {
    /// Takes the lock of the database at `db`, without waiting.
    ///
    /// # Errors
    /// [`LockError::Held`] when somebody else writes this database.
    pub fn take(db: &Path) -> Result<Self, LockError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(Self::path(db))
            .map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Held),
            Err(TryLockError::Error(error)) => Err(LockError::Io(error)),
        }
    }

    /// Where the lock of the database at `db` lies.
    pub fn path(db: &Path) -> PathBuf {
        beside(db, ".lock")
    }
}

/// The file beside `db` whose name is longer by `suffix`.
pub(crate) fn beside(db: &Path, suffix: &str) -> PathBuf {
    let mut path = db.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once_and_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("a.db");
        let lock = Lock::take(&db).unwrap();
        assert!(matches!(Lock::take(&db), Err(LockError::Held)));
        drop(lock);
        assert!(Lock::take(&db).is_ok());
        assert!(matches!(Lock::take(&dir.path().join("no/a.db")), Err(LockError::Io(_))));
    }
}
