//! Gives the room of what was removed back to the file system, while nobody has the database open.
//!
//! A running program uses that room again, so that its file grows to what it once held and stays there. To move pages to the
//! front while it runs (`auto_vacuum`) would cost every write a second page to keep, for a file that grows back anyway.

use std::fs;
use std::path::Path;

use super::error::OpenError;
use super::open::{self, Opened};
use super::options::Durability;
use crate::path::folder;

/// What compacting a database came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// The bytes of its file before.
    pub before: u64,
    /// The bytes of its file now.
    pub after: u64,
}

/// Writes the database anew without what is free. It happens in one transaction: should it be killed, the database is as it
/// was. Needs room for about twice of what is left, beside the database.
pub(super) fn compact(path: &Path) -> Result<Compacted, OpenError> {
    let opened = open::for_writing(open::prepare(path)?, Durability::Full)?;
    let Opened { lock, mut notebook, path, connection, pool, .. } = opened;
    pool.close();
    let size = || fs::metadata(&path).map(|facts| facts.len()).map_err(|error| OpenError::io(&path, &error));
    let sqlite = |error| OpenError::sqlite(&path, &error);
    let before = size()?;
    // From here on the file changes; a start that finds it half done must know that it is the same database.
    if !notebook.unpair() {
        let reason = "its lock file cannot be written".to_owned();
        return Err(OpenError::Io { path: path.clone(), reason });
    }
    // The copy is as large as the database: neither in memory nor in a folder for small files.
    connection.pragma_update(None, "temp_store", "FILE").map_err(sqlite)?;
    let beside = folder(&path).to_string_lossy();
    connection.pragma_update(None, "temp_store_directory", beside.as_ref()).map_err(sqlite)?;
    connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)").map_err(sqlite)?;
    drop(connection);
    let after = size()?;
    drop(lock);
    Ok(Compacted { before, after })
}
