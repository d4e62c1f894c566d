//! The connections that read. Small reads run at once on the task that asks, which takes microseconds; long ones
//! share connections of their own, so that no small read ever waits for them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use rusqlite::{Connection, OpenFlags};

use super::open::read_connection;

/// Connections for long reads; the first ones of the pool.
const LONG: usize = 2;
/// All connections.
const ALL: usize = 4;

/// Read connections; `None` once the pool is closed.
pub(super) struct Pool {
    connections: Vec<Mutex<Option<Connection>>>,
    path: PathBuf,
    flags: OpenFlags,
    closed: AtomicBool,
}

type Guard<'a> = MutexGuard<'a, Option<Connection>>;

impl Pool {
    pub(super) fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Self> {
        let connections = (0..ALL).map(|_| Ok(Mutex::new(Some(read_connection(path, flags)?))));
        let connections = connections.collect::<rusqlite::Result<_>>()?;
        Ok(Self { connections, path: path.into(), flags, closed: AtomicBool::new(false) })
    }

    /// A connection outside the pool, for a read that waits for whoever takes what it finds. `None` when the pool is
    /// closed; should that happen later, the read must come to an end by itself.
    pub(super) fn separate(&self) -> Option<rusqlite::Result<Connection>> {
        (!self.is_closed()).then(|| read_connection(&self.path, self.flags))
    }

    /// Whether nothing may be read any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Runs a read of a few microseconds. `None` when the pool is closed.
    pub(super) fn short<T>(&self, read: impl FnOnce(&Connection) -> T) -> Option<T> {
        let order = (LONG..ALL).chain(0..LONG);
        self.take(order, LONG).as_ref().map(read)
    }

    /// Runs a read that may take long. `None` when the pool is closed.
    pub(super) fn long<T>(&self, read: impl FnOnce(&Connection) -> T) -> Option<T> {
        self.take(0..LONG, 0).as_ref().map(read)
    }

    /// Closes every connection, as soon as its current read is done.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        for connection in &self.connections {
            drop(connection.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }

    /// The first free connection in `order`; when there is none, waits for `fallback`.
    fn take(&self, order: impl IntoIterator<Item = usize>, fallback: usize) -> Guard<'_> {
        for index in order {
            match self.connections[index].try_lock() {
                Ok(guard) => return guard,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        self.connections[fallback].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
