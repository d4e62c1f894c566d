//! The connections, the clock and the failures of a store: shared by reads on any thread and by the writer.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Instant;

use inboxclaw_contract::{OwnerId, StoreError};
use tokio::sync::Semaphore;

use super::clock::StoreClock;
use super::pool::{LONG, Pool};
use super::watch::Watch;

/// Most scans at a time.
const SCANS: usize = 16;

/// What reads and the writer have in common.
pub(super) struct Shared {
    /// Replaced when a program begins to write a database that was at rest.
    pub(super) pool: RwLock<Arc<Pool>>,
    /// A permit for each connection of the pool that is for long reads.
    pub(super) long_reads: Arc<Semaphore>,
    /// A permit for each scan: it holds a thread, and room for a copy of what it gives.
    pub(super) scans: Arc<Semaphore>,
    pub(super) clock: StoreClock,
    pub(super) watch: Watch,
    /// Whether this is the program that writes: what goes wrong belongs into its log. Others tell whoever asked.
    pub(super) writes: bool,
    /// Why nothing is written any more.
    pub(super) broken: OnceLock<StoreError>,
    /// What a read found last, and when.
    pub(super) trouble: Mutex<Option<(StoreError, Instant)>>,
    pub(super) commits: AtomicU64,
    /// Where the last page of each owner's history ended, as row and version, so that the next one starts there.
    pub(super) pages: Mutex<HashMap<OwnerId, (i64, i64)>>,
}

impl Shared {
    pub(super) fn new(pool: Pool, clock: StoreClock, writes: bool) -> Self {
        Self {
            pool: RwLock::new(Arc::new(pool)),
            long_reads: Arc::new(Semaphore::new(LONG)),
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
    pub(super) fn pool(&self) -> Arc<Pool> {
        self.pool.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes a failure after which nothing may be written, and hands it on.
    pub(super) fn fail(&self, error: StoreError) -> StoreError {
        if let StoreError::Broken(_) = &error {
            let _ = self.broken.set(error.clone());
            self.watch.close();
        }
        error
    }

    /// Why nothing may be written any more.
    pub(super) fn broken(&self) -> Option<StoreError> {
        self.broken.get().cloned()
    }

    /// What those are told who can wait no longer.
    pub(super) fn gone(&self) -> StoreError {
        self.broken().unwrap_or_else(|| StoreError::Read("the store is closed".into()))
    }
}
