//! The store on SQLite: one thread writes, a few connections read.
//!
//! - `open`, `migrate` and `numbers`: from a path to a usable database; `values` and `error`: columns and failures.
//! - `writer`: groups what waits into one transaction; `tx`: what that transaction knows without reading.
//! - `apply`, `conflict`, `plan`, `swap`, `history`, `append`: one turn. `owners`, `sweep`, `prune`: housekeeping.
//! - `counts`, `event_counts`, `writer_state`: what a space holds, how many events a type has, and what the writer keeps
//!   beyond a transaction.
//! - `spaces`: looking into spaces and building them, renaming and forgetting owners; `building_spaces`: what turns and sweeps
//!   do to those that are being built.
//! - `backup` and `restore`: the whole database, copied and put back.
//! - `state`, `log`, `keeper`, `sinks`: the four traits. `reading`, `pool`, `rest`: where reads run. `scan`, `truncation`,
//!   `watch`, `clock`: what reads need.
//!
//! A `+` before a parameter in SQL hides it from the planner, which would otherwise plan a cached statement anew for
//! each new value: in joins, before ORDER BY, and in LIMIT. That costs ten times what the statement does.

mod append;
mod apply;
mod backup;
mod building_spaces;
mod check;
mod clock;
mod conflict;
mod counts;
mod error;
mod event_counts;
mod history;
mod keeper;
mod log;
mod migrate;
mod numbers;
mod open;
mod owners;
mod plan;
#[cfg(test)]
mod plans;
mod pool;
mod prune;
mod reading;
mod rest;
mod restore;
mod scan;
mod sinks;
mod spaces;
mod state;
mod swap;
mod sweep;
mod truncation;
mod tx;
mod values;
mod watch;
mod writer;
mod writer_state;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use inboxclaw_contract::{Clock, OwnerId, StoreError};
use tokio::sync::Semaphore;

use crate::lock::Lock;
use crate::path::{FileId, beside};
use clock::StoreClock;
use pool::Pool;
use tx::Tx;
use watch::Watch;
use writer::Writer;

pub use backup::{Copied, EachStep};
pub use error::OpenError;
pub use open::Prepared;
pub use restore::Restored;

/// Most scans at a time.
const SCANS: usize = 16;

/// How a store is opened.
#[derive(Clone)]
pub struct Options {
    /// The wall clock behind the store's clock.
    pub clock: Arc<dyn Clock>,
    /// What a committed turn survives.
    pub durability: Durability,
    /// How much of the past is kept to be undone.
    pub history: HistoryBounds,
}

impl Options {
    /// Full durability and the usual history.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, durability: Durability::Full, history: HistoryBounds::default() }
    }
}

/// What a committed turn survives. The database stays whole either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the process, of the system, and a loss of power.
    #[default]
    Full,
    /// A crash of the process; the last turns may be lost with the system or the power.
    Normal,
}

/// How much history is kept. What is beyond either bound goes with the next sweeps.
#[derive(Debug, Clone, Copy)]
pub struct HistoryBounds {
    /// Turns up to this old.
    pub age: Duration,
    /// So many bytes for each owner.
    pub bytes: u64,
}

/// 7 days and 64 MiB for each owner.
impl Default for HistoryBounds {
    fn default() -> Self {
        Self { age: Duration::from_secs(7 * 24 * 60 * 60), bytes: 64 << 20 }
    }
}

/// A store in a SQLite file. Dropping it finishes what was committed, and blocks for that long.
pub struct SqliteStore {
    shared: Arc<Shared>,
    /// `None` when the store was opened for reading only.
    writer: Option<Writer>,
    place: Option<Arc<Place>>,
    /// The last field: released after the writer is gone.
    _lock: Option<Lock>,
}

/// The file that a store writes.
struct Place {
    path: PathBuf,
    id: FileId,
}

/// What reads and the writer have in common.
struct Shared {
    /// Replaced when a program begins to write a database that was at rest.
    pool: RwLock<Arc<Pool>>,
    /// A permit for each connection of the pool that is for long reads.
    long_reads: Arc<Semaphore>,
    /// A permit for each scan: it holds a thread, and room for a copy of what it gives.
    scans: Arc<Semaphore>,
    clock: StoreClock,
    watch: Watch,
    /// Whether this is the program that writes: what goes wrong belongs into its log. Others tell whoever asked.
    writes: bool,
    /// Why nothing is written any more.
    broken: OnceLock<StoreError>,
    /// What a read found last, and when.
    trouble: Mutex<Option<(StoreError, Instant)>>,
    commits: AtomicU64,
    /// Where the last page of each owner's history ended, as row and version, so that the next one starts there.
    pages: Mutex<HashMap<OwnerId, (i64, i64)>>,
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

    /// How many transactions with changes were stored since the store was opened. Turns that wait at the same
    /// time share one.
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    /// Bytes of the write-ahead log. It is written over from its start once all of it is in the database and nobody reads
    /// what was before: one that grows has a reader that takes its time.
    pub fn log_bytes(&self) -> u64 {
        let path = beside(&self.shared.pool().way().file, "-wal");
        std::fs::metadata(path).map_or(0, |facts| facts.len())
    }

    /// Has the writer do `work` in its next transaction. `weight` is about how many bytes that writes.
    async fn write<T: Send + 'static>(
        &self,
        weight: usize,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, error::Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(weight, false, work).await
    }

    /// As [`write`](Self::write), for what does no harm when it is lost with the power: it is found and done again.
    async fn write_lazily<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, error::Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(0, true, work).await
    }

    async fn run<T: Send + 'static>(
        &self,
        weight: usize,
        lazy: bool,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, error::Fault> + Send + 'static,
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
    fn check(&self) -> Result<(), StoreError> {
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

impl Shared {
    fn new(pool: Pool, clock: StoreClock, writes: bool) -> Self {
        Self {
            pool: RwLock::new(Arc::new(pool)),
            long_reads: Arc::new(Semaphore::new(pool::LONG)),
            scans: Arc::new(Semaphore::new(SCANS)),
            clock,
            watch: Watch::new(),
            writes,
            broken: OnceLock::new(),
            trouble: Mutex::default(),
            commits: AtomicU64::new(0),
            pages: Mutex::default(),
        }
    }

    /// The connections that read.
    fn pool(&self) -> Arc<Pool> {
        self.pool.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes a failure after which nothing may be written, and hands it on.
    fn fail(&self, error: StoreError) -> StoreError {
        if let StoreError::Broken(_) = &error {
            let _ = self.broken.set(error.clone());
            self.watch.close();
        }
        error
    }

    /// Why nothing may be written any more.
    fn broken(&self) -> Option<StoreError> {
        self.broken.get().cloned()
    }

    /// What those are told who can wait no longer.
    fn gone(&self) -> StoreError {
        self.broken().unwrap_or_else(|| StoreError::Read("the store is closed".into()))
    }
}
