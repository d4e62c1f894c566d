//! A consistent copy of a database, taken beside the program that writes it, or without it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::error::OpenError;
use super::open;
use super::pool::Way;
use super::scan::Marks;
use crate::path::{beside, folder};

/// Pages between two reports.
const STEP: i32 = 1_024;

/// How often a copy of a database at rest begins anew because somebody wrote it meanwhile.
const TRIES: usize = 10;

/// What a copy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Its size.
    pub bytes: u64,
    /// The number of its last event; 0 when it never had one.
    pub last_event: i64,
}

/// Called with the number of pages copied and of all.
pub type EachStep<'a> = &'a mut dyn FnMut(u64, u64);

/// Copies the database at `from`, as of one instant, to a new file `to` that only its owner can read. The file appears
/// under its name when it is whole, checked and on the disk. One that is there is only replaced with `replace`.
pub(super) fn copy(from: &Path, to: &Path, replace: bool, each: EachStep<'_>) -> Result<Copied, OpenError> {
    let from = fs::canonicalize(from).map_err(|error| OpenError::io(from, &error))?;
    if !replace && fs::symlink_metadata(to).is_ok() {
        return Err(exists(to));
    }
    refuse_own(&from, to)?;
    let partial = beside(to, ".partial");
    let copied = write(&from, &partial, each).and_then(|copied| {
        put_in_place(&partial, to, replace)?;
        Ok(copied)
    });
    if copied.is_err() {
        // A part of a copy is worth nothing.
        let _ = fs::remove_file(&partial);
    }
    copied
}

/// Refuses to write the copy over the database, or over a file beside it that belongs to it.
fn refuse_own(from: &Path, to: &Path) -> Result<(), OpenError> {
    let resolved = crate::path::resolved(to).map_err(|error| OpenError::io(to, &error))?;
    let own = ["", "-wal", "-shm", "-journal", ".lock", ".run"]
        .iter()
        .any(|suffix| beside(from, suffix) == resolved);
    if own {
        let reason = "it belongs to the database that is copied".to_owned();
        return Err(OpenError::Io { path: to.into(), reason });
    }
    Ok(())
}

/// Copies the database at `from` to a new file, and checks it.
pub(super) fn write(from: &Path, partial: &Path, each: EachStep<'_>) -> Result<Copied, OpenError> {
    for _ in 0..TRIES {
        let way = open::way(from)?;
        let copied = pages(&way, partial, each);
        if way.holds() {
            return copied;
        }
    }
    let reason = "it is replaced again and again while it is copied".to_owned();
    Err(OpenError::Sqlite { path: from.into(), reason })
}

fn pages(way: &Way, partial: &Path, each: EachStep<'_>) -> Result<Copied, OpenError> {
    let sqlite = |error| OpenError::sqlite(&way.file, &error);
    let failed = |error| OpenError::sqlite(partial, &error);
    let io = |error: io::Error| OpenError::io(partial, &error);
    match fs::remove_file(partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    drop(OpenOptions::new().create_new(true).write(true).mode(0o600).open(partial).map_err(io)?);
    let source = open::ours(way)?;
    // The instant is held over all steps: else the copy would begin anew with every turn of the program.
    let instant = source.unchecked_transaction().map_err(sqlite)?;
    let last_event = Marks::read(&instant).map_err(sqlite)?.head;
    let mut target = Connection::open(partial).map_err(failed)?;
    {
        let backup = Backup::new(&instant, &mut target).map_err(failed)?;
        while backup.step(STEP).map_err(failed)? != StepResult::Done {
            let progress = backup.progress();
            let count = |pages: i32| u64::try_from(pages).unwrap_or(0);
            each(count(progress.pagecount - progress.remaining), count(progress.pagecount));
        }
    }
    drop(target);
    drop(instant);
    check(partial, &way.file)?;
    let file = File::open(partial).map_err(io)?;
    file.sync_all().map_err(io)?;
    Ok(Copied { bytes: file.metadata().map_err(io)?.len(), last_event })
}

/// Looks whether the pages of the copy fit together: what is damaged in the database is damaged in it.
fn check(copy: &Path, database: &Path) -> Result<(), OpenError> {
    let sqlite = |error| OpenError::sqlite(database, &error);
    let way = open::way(copy)?;
    let found: String = way
        .connect()
        .and_then(|copy| copy.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)))
        .map_err(sqlite)?;
    if found == "ok" { Ok(()) } else { Err(OpenError::Damaged { path: database.into(), reason: found }) }
}

fn put_in_place(partial: &Path, to: &Path, replace: bool) -> Result<(), OpenError> {
    let io = |error: io::Error| OpenError::io(to, &error);
    if replace {
        fs::rename(partial, to).map_err(io)?;
    } else {
        match renameat_with(CWD, partial, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST) => return Err(exists(to)),
            // Some file systems cannot do that: a file that was made since the first look is lost there.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                fs::rename(partial, to).map_err(io)?
            }
            Err(error) => return Err(io(error.into())),
        }
    }
    File::open(folder(to)).and_then(|folder| folder.sync_all()).map_err(io)
}

fn exists(to: &Path) -> OpenError {
    OpenError::Io { path: to.into(), reason: "there is a file already; --force replaces it".to_owned() }
}
