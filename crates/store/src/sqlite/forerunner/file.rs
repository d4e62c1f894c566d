//! The file of the Python program. It is read without a lock and without making a file, so that nothing of it changes and
//! a program that still runs is not held up; whether it changed meanwhile is looked at afterwards. A journal beside it
//! holds what a crash left: reading past it would give half a transaction, and working it up changes the file, so that
//! then a private copy of both is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::super::error::OpenError;
use super::super::open::{APPLICATION_ID, immutable};
use crate::path::beside;

/// What SQLite keeps beside a file that holds what is not in it, or not yet.
const LOGS: [&str; 2] = ["-journal", "-wal"];

/// The file, open.
pub(super) struct ForeignFile {
    path: PathBuf,
    /// The file and its logs as they were when it was opened.
    facts: [Option<Facts>; 3],
    pub(super) connection: Connection,
    /// The columns of its tables.
    columns: BTreeMap<String, BTreeSet<String>>,
    /// Removed with everything in it once the file is closed.
    _copy: Option<Scratch>,
}

/// What tells whether a file was written: device, number, size and the time of the last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Facts(u64, u64, u64, i64, i64);

/// A folder of ours.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed can only be read by its owner.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl ForeignFile {
    pub(super) fn open(path: &Path, scratch: &Path) -> Result<Self, OpenError> {
        let path = fs::canonicalize(path).map_err(|error| OpenError::io(path, &error))?;
        let sqlite = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => foreign(&path, "is no SQLite database"),
            _ => OpenError::sqlite(&path, &error),
        };
        let facts = facts(&path);
        let has_log = facts[1..].iter().flatten().any(|facts| facts.2 > 0);
        let copy = has_log.then(|| copied(&path, scratch)).transpose()?;
        let connection = match &copy {
            None => Connection::open_with_flags(
                immutable(&path),
                OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI,
            ),
            Some(copy) => Connection::open_with_flags(copy.0.join("copy"), OpenFlags::SQLITE_OPEN_READ_WRITE),
        };
        let connection = connection.map_err(sqlite)?;
        let id: i64 =
            connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(sqlite)?;
        if id == APPLICATION_ID {
            return Err(foreign(&path, "is a database of this program already, not of the Python program"));
        }
        let columns = columns(&connection).map_err(sqlite)?;
        if !columns.contains_key("events") || !columns.contains_key("sources") {
            return Err(foreign(&path, "is not the database of the Python program"));
        }
        let file = Self { path, facts, connection, columns, _copy: copy };
        file.check()?;
        Ok(file)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails when the file was written since it was opened.
    pub(super) fn check(&self) -> Result<(), OpenError> {
        if facts(&self.path) == self.facts {
            return Ok(());
        }
        Err(broken(&self.path, "it was changed while it was read: stop the Python program and try again"))
    }

    /// Whether there is such a table. Older databases lack some.
    pub(super) fn has(&self, table: &str) -> bool {
        self.columns.contains_key(table)
    }

    /// The column, or `NULL` where an older database lacks it.
    pub(super) fn column<'a>(&self, table: &str, column: &'a str) -> &'a str {
        if self.columns.get(table).is_some_and(|columns| columns.contains(column)) { column } else { "NULL" }
    }
}

fn foreign(path: &Path, found: &'static str) -> OpenError {
    OpenError::NotForerunner { path: path.into(), found }
}

fn facts(path: &Path) -> [Option<Facts>; 3] {
    let of = |path: PathBuf| {
        let found = fs::metadata(path).ok()?;
        Some(Facts(found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
    };
    [of(path.into()), of(beside(path, LOGS[0])), of(beside(path, LOGS[1]))]
}

/// Copies the file and its logs into a folder that only its owner can read.
fn copied(path: &Path, scratch: &Path) -> Result<Scratch, OpenError> {
    let folder = scratch.join(format!(".inboxclaw-import-{}", std::process::id()));
    let io = |error| OpenError::io(&folder, &error);
    // Of a process of the same number that was killed.
    let _ = fs::remove_dir_all(&folder);
    DirBuilder::new().mode(0o700).create(&folder).map_err(io)?;
    let copy = Scratch(folder.clone());
    fs::copy(path, folder.join("copy")).map_err(io)?;
    for log in LOGS {
        let from = beside(path, log);
        if from.exists() {
            fs::copy(from, folder.join(format!("copy{log}"))).map_err(io)?;
        }
    }
    Ok(copy)
}

fn columns(connection: &Connection) -> rusqlite::Result<BTreeMap<String, BTreeSet<String>>> {
    let mut all = connection.prepare(
        "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'",
    )?;
    let mut rows = all.query([])?;
    let mut columns: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        columns.entry(row.get(0)?).or_default().insert(row.get(1)?);
    }
    Ok(columns)
}

/// An error about the file of the Python program.
pub(super) fn broken(path: &Path, error: impl std::fmt::Display) -> OpenError {
    OpenError::Sqlite { path: PathBuf::from(path), reason: error.to_string() }
}
