//! The store as a whole: opened, handed work, closed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use inboxclaw_contract::{Clock, StoreError};

use super::backup::{self, Copied, EachStep};
use super::clock::StoreClock;
use super::compact::{self, Compacted};
use super::error::{Fault, OpenError};
use super::open::{self, Prepared};
use super::options::Options;
use super::restore::{self, Restored};
use super::shared::Shared;
use super::stats::{self, EventStats};
use super::tx::Tx;
use super::writer::Writer;
use crate::lock::Lock;
use crate::path::{FileId, beside};

/// A store in a SQLite file. Dropping it finishes what was committed, and blocks for that long.
pub struct SqliteStore {
    pub(super) shared: Arc<Shared>,
    /// `None` when the store was opened for reading only.
    pub(super) writer: Option<Writer>,
    pub(super) place: Option<Arc<Place>>,
    /// The last field: released after the writer is gone.
    _lock: Option<Lock>,
}

/// The file that a store writes.
pub(super) struct Place {
    path: PathBuf,
    id: FileId,
}

impl SqliteStore {
    /// Opens the database at `path` for reading and writing, and makes or migrates it if needed. Migrating leaves
    /// a backup beside it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path, options: Options) -> Result<Self, OpenError> {
        Self::prepare(path)?.open(options)
    }

    /// The first half of [`open`](Self::open): everything that can refuse the database at `path` without making or
    /// changing it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn prepare(path: &Path) -> Result<Prepared, OpenError> {
        open::prepare(path)
    }

    /// Whether a program could start on the database at `path`, as far as looking tells it: nothing is made, locked or
    /// changed.
    ///
    /// # Errors
    /// What [`prepare`](Self::prepare) would refuse.
    pub fn examine(path: &Path) -> Result<(), OpenError> {
        open::examine(path)
    }

    /// Opens the database at `path` for reading only, without a lock: the daemon may go on writing it. Nothing is
    /// made or migrated; every write is refused, and so is waiting.
    ///
    /// # Errors
    /// See [`OpenError`]; also when there is no such file.
    pub fn read_only(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let (pool, last) = open::for_reading(path)?;
        Ok(Self {
            shared: Arc::new(Shared::new(pool, StoreClock::silent(clock, last), false)),
            writer: None,
            place: None,
            _lock: None,
        })
    }

    /// Copies the database at `from`, as of one instant, to a file that only its owner can read; works beside the program
    /// that writes it. The file appears under its name `to` when it is whole, checked and on the disk. One that is there
    /// is only replaced with `replace`. `each` is told how far the copy is, in pages.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing is left under the name then but what was there.
    pub fn backup(from: &Path, to: &Path, replace: bool, each: EachStep<'_>) -> Result<Copied, OpenError> {
        backup::copy(from, to, replace, each)
    }

    /// Puts the backup `from` in the place of the database at `db`, which nobody may have open. It is checked before
    /// anything is changed. The database that was there stays, under its name continued with `aside`. Numbers of events
    /// jump.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn restore(db: &Path, from: &Path, aside: &str, each: EachStep<'_>) -> Result<Restored, OpenError> {
        restore::restore(db, from, aside, each)
    }

    /// Gives the room of what was removed from the database at `path` back to the file system. Nobody may have it open.
    ///
    /// # Errors
    /// See [`OpenError`]. The database is whole then, as it was or compacted.
    pub fn compact(path: &Path) -> Result<Compacted, OpenError> {
        compact::compact(path)
    }

    /// How many transactions with changes were stored since the store was opened. Turns that wait at the same
    /// time share one.
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    /// How many events there were lately, and how large they are.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn stats(&self) -> Result<EventStats, StoreError> {
        self.shared.long(stats::all).await
    }

    /// Bytes of the write-ahead log. It is written over from its start once all of it is in the database and nobody reads
    /// what was before: one that grows has a reader that takes its time.
    pub fn log_bytes(&self) -> u64 {
        let path = beside(&self.shared.pool().way().file, "-wal");
        std::fs::metadata(path).map_or(0, |facts| facts.len())
    }

    /// Has the writer do `work` in its next transaction. `weight` is about how many bytes that writes.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        weight: usize,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(weight, false, work).await
    }

    /// As [`write`](Self::write), for what does no harm when it is lost with the power: it is found and done again.
    pub(super) async fn write_lazily<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(0, true, work).await
    }

    async fn run<T: Send + 'static>(
        &self,
        weight: usize,
        lazy: bool,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        match &self.writer {
            Some(writer) => writer.run(weight, lazy, work).await,
            None => Err(StoreError::Refused("the store was opened for reading only".into())),
        }
    }
}

impl Prepared {
    /// The second half of [`SqliteStore::open`]: makes or migrates the database if needed.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(self, options: Options) -> Result<SqliteStore, OpenError> {
        let opened = open::for_writing(self, options.durability)?;
        let shared = Arc::new(Shared::new(opened.pool, StoreClock::new(options.clock, opened.clock), true));
        let writer = Writer::start(opened.connection, opened.notebook, shared.clone(), options.history)
            .map_err(|error| OpenError::io(&opened.path, &error))?;
        let place = Some(Arc::new(Place { path: opened.path, id: opened.id }));
        Ok(SqliteStore { shared, writer: Some(writer), place, _lock: Some(opened.lock) })
    }
}

impl Place {
    /// Fails when the path no longer names the file: what is written then is lost with the last one who has it open.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.id.is_at(&self.path) {
            return Ok(());
        }
        let path = self.path.display();
        Err(StoreError::Broken(format!("{path} was removed or replaced while it was in use")))
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // The writer must close last: only then SQLite puts the log away and leaves one file.
        self.shared.pool().close();
        self.writer = None;
        self.shared.watch.close();
    }
}

#[cfg(test)]
mod tests {
    use inboxclaw_contract::{Housekeeping, Owner};
    use jiff::Timestamp;

    use super::super::owners;
    use super::*;

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
    }

    /// A program that starts, registers an owner and ends, or goes on.
    fn write(path: &Path, name: &str) -> SqliteStore {
        let store = SqliteStore::open(path, Options::new(Arc::new(Still))).unwrap();
        let threads = tokio::runtime::Builder::new_current_thread().build().unwrap();
        threads.block_on(store.register(&Owner::source(name), "test")).unwrap();
        store
    }

    /// Pages were rewritten under a reader that holds no lock.
    #[test]
    fn what_was_read_while_a_program_wrote_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        drop(write(&path, "a"));
        let reader = SqliteStore::read_only(&path, Arc::new(Still)).unwrap();
        let mut running = None;
        for (lives_on, name, expected) in [(false, "b", 2), (true, "c", 3)] {
            let mut tries = 0;
            let found = reader.shared.steady(|pool| {
                tries += 1;
                if tries == 1 {
                    running = Some(write(&path, name)).filter(|_| lives_on);
                    // Whatever is found now counts for nothing.
                    return None;
                }
                pool.small(owners::all)
            });
            let found = found.ok().flatten().unwrap().unwrap();
            assert_eq!((found.len(), tries), (expected, 2));
        }
        assert!(running.is_some());
        assert_eq!(reader.shared.small(|connection, _| owners::all(connection)).unwrap().len(), 3);
    }
}
