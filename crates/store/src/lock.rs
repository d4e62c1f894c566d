//! The lock that whoever writes holds for life. It lies beside the database, because opening and closing the
//! database file itself would drop the locks that SQLite holds on it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::note::Note;
use crate::path::{FileId, beside};

/// How often a lock file is opened anew because somebody removed it in that moment.
const TRIES: usize = 10;

/// The right to write a database. Released when dropped; the file stays for the next run.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
    /// Whether the file was not there before.
    made: bool,
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
        let path = Self::path(db);
        for _ in 0..TRIES {
            let (file, made) = open(&path).map_err(LockError::Io)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(LockError::Held),
                Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
            }
            // Whoever was here before may have removed the file since it was opened: then the lock protects nothing.
            let facts = file.metadata().map_err(LockError::Io)?;
            if FileId::of(&facts).is_at(&path) {
                return Ok(Self { file, path, made });
            }
        }
        Err(LockError::Held)
    }

    /// Whether somebody holds the lock of the database at `db`. Makes no file. It is tried for a moment, so somebody who
    /// takes it at that instant has to try again. What cannot be looked at counts as free.
    pub fn is_held(db: &Path) -> bool {
        let file = File::open(Self::path(db));
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Releases the lock of a database that is not used after all, and leaves no file that was not there before.
    pub(crate) fn undo(self) {
        if self.made {
            // Still under the lock, so that nobody else has it already. A file too many does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }

    /// What the file says of the database.
    pub(crate) fn note(&self) -> Option<Note> {
        Note::read(&self.file)
    }

    /// The file, to be written into. It must be closed before the lock is released.
    pub(crate) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Whether the file was copied here, and `note` with it.
    pub(crate) fn is_copied(&self, note: &Note) -> bool {
        note.is_copied(&self.file)
    }

    /// Where the lock of the database at `db` lies.
    pub fn path(db: &Path) -> PathBuf {
        beside(db, ".lock")
    }
}

/// The file, and whether it was made just now.
fn open(path: &Path) -> io::Result<(File, bool)> {
    let mut how = OpenOptions::new();
    how.read(true).write(true).mode(0o600);
    match how.clone().create_new(true).open(path) {
        Ok(file) => Ok((file, true)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            how.create(true).truncate(false).open(path).map(|file| (file, false))
        }
        Err(error) => Err(error),
    }
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
        assert!(Lock::is_held(&db));
        drop(lock);
        assert!(!Lock::is_held(&db) && !Lock::is_held(&dir.path().join("b.db")));
        assert!(!Lock::path(&dir.path().join("b.db")).exists());
        assert!(Lock::take(&db).is_ok());
        assert!(matches!(Lock::take(&dir.path().join("no/a.db")), Err(LockError::Io(_))));
    }

    #[test]
    fn a_lock_that_is_undone_removes_only_the_file_that_it_made() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("a.db");
        Lock::take(&db).unwrap().undo();
        assert!(!Lock::path(&db).exists());
        drop(Lock::take(&db).unwrap());
        Lock::take(&db).unwrap().undo();
        assert!(Lock::path(&db).exists());
    }
}
