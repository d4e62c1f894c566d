//! Why a store cannot be opened, and what a failed statement means for those who wait for it.

use std::io;
use std::path::{Path, PathBuf};

use inboxclaw_contract::StoreError;
use rusqlite::ErrorCode;
use rusqlite::ffi;
use rustix::io::Errno;

/// What the system says when there is no room: on the disk, for a file of that size, for this user.
const NO_ROOM: [i32; 3] =
    [Errno::NOSPC.raw_os_error(), Errno::FBIG.raw_os_error(), Errno::DQUOT.raw_os_error()];

/// Why a store cannot be opened. Every text names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Somebody else writes it.
    #[error("{} is in use by another inboxclaw{}", path.display(), pid.map_or(String::new(), |pid| format!(" (process {pid})")))]
    Locked {
        /// The database.
        path: PathBuf,
        /// The process, if it said so in its run file.
        pid: Option<u32>,
    },
    /// The file belongs to another program. It was not touched.
    #[error(
        "{} {found}; it was not touched. Set `database.db_path` to a new file to go on{}", path.display(),
        import_hint(path, found)
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// What is to be imported is not the database of the Python program.
    #[error("{} {found}", path.display())]
    NotForerunner {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// The file has more names than one. SQLite keeps a log beside each, so nobody would see what another one writes.
    #[error(
        "{} has {links} names (hard links) and may have 1 only: remove the others, or set `database.db_path` to a new \
        file", path.display()
    )]
    Linked {
        /// The database.
        path: PathBuf,
        /// How many names it has.
        links: u64,
    },
    /// It is what is left of a database, and nothing is in it. It was not touched.
    #[error(
        "{} {found}: it was lost, or copied without what lies beside it. Restore it from a backup with `inboxclaw store \
        restore FILE`, or remove {} to begin anew", path.display(), path.display()
    )]
    Remains {
        /// The file.
        path: PathBuf,
        /// What it looks like.
        found: &'static str,
    },
    /// Another file took its place while its write-ahead log stayed. It was not touched.
    #[error(
        "{path} was replaced while {path}-wal, the log of the file before, stayed beside it; to read the two together \
        would mix them. To go on with the new file, remove {path}-wal and {path}-shm; next time, `inboxclaw store \
        restore FILE` does all of it. If nobody replaced the file, remove {path}.lock", path = path.display()
    )]
    Parted {
        /// The database.
        path: PathBuf,
    },
    /// A newer program wrote it.
    #[error(
        "{} has the layout {found}, this program knows layouts up to {known}: use the newer program, or the backup \
        that it made", path.display()
    )]
    NewerVersion {
        /// The database.
        path: PathBuf,
        /// Its layout.
        found: i64,
        /// The newest layout known.
        known: i64,
    },
    /// A file or folder cannot be made, read or locked.
    #[error("cannot use {}: {reason}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// SQLite refused.
    #[error("cannot open {}: {reason}", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
    /// There is no room on its disk, or no more than a limit allows.
    #[error("cannot open {}: there is no room on its disk", path.display())]
    Full {
        /// The database, or a file beside it.
        path: PathBuf,
    },
    /// The database is damaged.
    #[error("{} is damaged: {reason}; restore it from a backup", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
}

/// What a database of the Python program is called.
pub(super) const FORERUNNER: &str = "is probably the database of the Python program";

/// How what is in a database of the Python program comes over.
fn import_hint(path: &Path, found: &str) -> String {
    if found != FORERUNNER {
        return String::new();
    }
    format!(
        ", then `inboxclaw store import-forerunner {}` brings over what it holds, so that nothing is missed and nothing \
         comes twice",
        path.display()
    )
}

impl OpenError {
    pub(super) fn io(path: impl Into<PathBuf>, error: &io::Error) -> Self {
        let path = path.into();
        match error.raw_os_error() {
            Some(errno) if NO_ROOM.contains(&errno) => Self::Full { path },
            _ => Self::Io { path, reason: error.to_string() },
        }
    }

    pub(super) fn sqlite(path: impl Into<PathBuf>, error: &rusqlite::Error) -> Self {
        let (errno, path, reason) = (last_errno(), path.into(), error.to_string());
        match error.sqlite_error() {
            Some(found) if is_damage(found.code) => Self::Damaged { path, reason },
            Some(found) if is_full(found, errno) => Self::Full { path },
            _ => Self::Sqlite { path, reason },
        }
    }
}

/// Why a piece of work did not do what it was asked.
pub(super) enum Fault {
    /// It was refused before its first write: the rest of the transaction is not concerned.
    Answer(StoreError),
    /// A statement failed: the transaction is spoiled.
    Sql(rusqlite::Error),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Answer(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// What the error of the last system call was. To be asked right after SQLite failed, on the same thread: it
/// tells a full disk from a broken one where SQLite's own code does not.
pub(super) fn last_errno() -> Option<i32> {
    io::Error::last_os_error().raw_os_error()
}

/// What a failed write means.
pub(super) fn of_write(error: &rusqlite::Error, errno: Option<i32>) -> StoreError {
    let text = error.to_string();
    match error.sqlite_error() {
        Some(found) if is_full(found, errno) => StoreError::Full(text),
        Some(found) if matches!(found.code, ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StoreError::Full(format!("another program holds the database: {text}"))
        }
        Some(found) if is_damage(found.code) => StoreError::Broken(StoreError::Damaged(text).to_string()),
        _ => StoreError::Broken(text),
    }
}

/// What a failed read means.
pub(super) fn of_read(error: &rusqlite::Error) -> StoreError {
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(code) if is_damage(code) => StoreError::Damaged(text),
        None if is_unreadable(error) => StoreError::Damaged(text),
        _ => StoreError::Read(text),
    }
}

/// Whether pages do not fit together: then nothing more may be written, unlike beside a value that cannot be read.
pub(super) fn is_torn(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code().is_some_and(is_damage)
}

/// Whether a column holds what was never put there.
fn is_unreadable(error: &rusqlite::Error) -> bool {
    use rusqlite::Error;
    matches!(
        error,
        Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnType(..)
            | Error::Utf8Error(..)
    )
}

/// Whether a statement failed because there was no room for what it writes beside the database.
pub(super) fn is_out_of_room(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|found| is_full(found, last_errno()))
}

fn is_damage(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
}

/// SQLite names only ENOSPC a full disk; a quota and a limit on file sizes are as curable.
fn is_full(error: &ffi::Error, errno: Option<i32>) -> bool {
    let grows = [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_SHMSIZE, ffi::SQLITE_IOERR_TRUNCATE];
    error.code == ErrorCode::DiskFull
        || grows.contains(&error.extended_code) && errno.is_some_and(|errno| NO_ROOM.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn only_what_room_or_patience_cures_leaves_the_store_usable() {
        let full = |code, errno: Errno| {
            matches!(of_write(&failure(code), Some(errno.raw_os_error())), StoreError::Full(_))
        };
        assert!(full(ffi::SQLITE_FULL, Errno::AGAIN));
        assert!(full(ffi::SQLITE_IOERR_WRITE, Errno::FBIG));
        assert!(full(ffi::SQLITE_IOERR_WRITE, Errno::DQUOT));
        assert!(full(ffi::SQLITE_BUSY, Errno::AGAIN));
        assert!(!full(ffi::SQLITE_IOERR_WRITE, Errno::IO));
        assert!(
            !full(ffi::SQLITE_IOERR_FSYNC, Errno::NOSPC),
            "after a failed fsync nobody knows what is on disk"
        );
        assert!(!full(ffi::SQLITE_CORRUPT, Errno::NOSPC));
    }

    #[test]
    fn damage_is_called_by_its_name() {
        assert!(matches!(of_read(&failure(ffi::SQLITE_CORRUPT)), StoreError::Damaged(_)));
        assert!(matches!(of_read(&failure(ffi::SQLITE_IOERR_READ)), StoreError::Read(_)));
        let blob = rusqlite::Error::InvalidColumnType(7, "data".into(), rusqlite::types::Type::Blob);
        assert!(matches!(of_read(&blob), StoreError::Damaged(_)));
        assert!((is_torn(&failure(ffi::SQLITE_NOTADB)), is_torn(&blob)) == (true, false));
        let StoreError::Broken(text) = of_write(&failure(ffi::SQLITE_CORRUPT), None) else { panic!() };
        assert!(text.contains("damaged") && text.contains("store restore FILE"), "{text}");
    }
}
