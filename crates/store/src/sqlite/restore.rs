//! Puts a backup in the place of a database. The one that was there is kept aside, and numbers of events jump.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::backup::{self, EachStep};
use super::error::OpenError;
use super::open::{self, Prepared};
use crate::note::Notebook;
use crate::path::{beside, folder, resolved};

/// What lies beside a database and belongs to it.
const LOGS: [&str; 2] = ["-wal", "-journal"];

/// A database that was put in place.
#[derive(Debug)]
pub struct Restored {
    /// To be opened once, which brings it to the layout of this program and has the numbers jump. It holds the lock.
    pub prepared: Prepared,
    /// Where the database that was there is now.
    pub aside: Option<PathBuf>,
    /// The number of the last event in the backup.
    pub last_event: i64,
}

/// See [`SqliteStore::restore`](super::SqliteStore::restore).
pub(super) fn restore(
    db: &Path,
    from: &Path,
    aside: &str,
    each: EachStep<'_>,
) -> Result<Restored, OpenError> {
    let from = fs::canonicalize(from).map_err(|error| OpenError::io(from, &error))?;
    let parent = folder(db);
    fs::create_dir_all(parent).map_err(|error| OpenError::io(parent, &error))?;
    let db = resolved(db).map_err(|error| OpenError::io(db, &error))?;
    if from == db {
        let reason = "it is the database itself, not a backup of it".to_owned();
        return Err(OpenError::Io { path: from, reason });
    }
    let lock = open::take_lock(&db)?;
    let new = beside(&db, ".restoring");
    let copied = backup::write(&from, &new, each).inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })?;
    // From here on the note says it: should this be killed, the next start has the numbers jump.
    let io = |error: io::Error| OpenError::io(&db, &error);
    let mut notebook =
        lock.file().and_then(|file| Notebook::new(file, &db, lock.note().unwrap_or_default())).map_err(io)?;
    notebook.restored();
    let aside = if db.exists() { Some(beside(&db, aside)) } else { None };
    if let Some(aside) = &aside {
        keep(&db, aside).map_err(io)?;
    }
    // A log that stayed would be read over the file that takes the place.
    for suffix in LOGS.into_iter().chain(["-shm"]) {
        remove(&beside(&db, suffix)).map_err(io)?;
    }
    fs::rename(&new, &db).map_err(io)?;
    File::open(folder(&db)).and_then(|folder| folder.sync_all()).map_err(io)?;
    Ok(Restored { prepared: open::restored(lock, db), aside, last_event: copied.last_event })
}

/// Gives the database and its logs second names. While a database has two, nobody starts on it: should this be killed
/// before the other one is in its place, nothing is begun on half of it.
fn keep(db: &Path, aside: &Path) -> io::Result<()> {
    fs::hard_link(db, aside)?;
    for suffix in LOGS {
        match fs::hard_link(beside(db, suffix), beside(aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
