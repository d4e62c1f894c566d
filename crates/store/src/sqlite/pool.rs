//! The connections that read. Small reads run at once on the task that asks, which takes microseconds; long ones have
//! connections of their own, so that no small read ever waits for them. Who waits for a long one waits as a task, not
//! as a thread (`shared.rs`).

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::rest::Rest;

/// Connections for small reads: as many as tasks run at a time.
const SMALL: usize = 2;
/// Connections for long ones.
pub(super) const LONG: usize = 2;

const READER_SETTINGS: &str = "
    PRAGMA query_only = ON;
    PRAGMA foreign_keys = OFF;
    PRAGMA cache_size = -8192;
    PRAGMA temp_store = MEMORY;
";

/// How long a statement waits for another program, such as a shell on the same file.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How a database is opened to be read.
#[derive(Debug, Clone)]
pub(super) struct Way {
    /// The database.
    pub(super) file: PathBuf,
    /// Its name for SQLite.
    pub(super) path: PathBuf,
    pub(super) flags: OpenFlags,
    /// The file as it was when it was opened without any lock, because nobody had it open.
    pub(super) rest: Option<Rest>,
}

impl Way {
    /// Whether what was read so far is of one database: nobody has written the file since it was opened without a lock.
    pub(super) fn holds(&self) -> bool {
        self.rest.as_ref().is_none_or(Rest::holds)
    }

    /// A connection that only reads.
    pub(super) fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(&self.path, self.flags)?;
        connection.busy_timeout(PATIENCE)?;
        connection.set_prepared_statement_cache_capacity(32);
        connection.execute_batch(READER_SETTINGS)?;
        Ok(connection)
    }
}

/// Read connections.
pub(super) struct Pool {
    way: Way,
    small: Shelf,
    long: Shelf,
    closing: Closing,
}

/// Whether a pool is closed, for those who outlive it.
#[derive(Clone, Default)]
pub(super) struct Closing(Arc<AtomicBool>);

impl Closing {
    pub(super) fn is_closed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Pool {
    pub(super) fn open(way: Way) -> rusqlite::Result<Self> {
        let shelf = |size| (0..size).map(|_| way.connect()).collect::<rusqlite::Result<_>>().map(Shelf::of);
        let (small, long) = (shelf(SMALL)?, shelf(LONG)?);
        Ok(Self { way, small, long, closing: Closing::default() })
    }

    /// How the connections were opened.
    pub(super) fn way(&self) -> &Way {
        &self.way
    }

    /// Whether nothing may be read any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closing.is_closed()
    }

    /// Tells the same later.
    pub(super) fn closing(&self) -> Closing {
        self.closing.clone()
    }

    /// Runs a read of a few microseconds. `None` when the pool is closed.
    pub(super) fn small<T>(&self, read: impl FnOnce(&Connection) -> T) -> Option<T> {
        self.small.run(read)
    }

    /// Runs a read that may take long, on a thread that may wait. `None` when the pool is closed.
    pub(super) fn long<T>(&self, read: impl FnOnce(&Connection) -> T) -> Option<T> {
        self.long.run(read)
    }

    /// Closes every connection; returns when the reads that are under way are done.
    pub(super) fn close(&self) {
        self.closing.0.store(true, Ordering::Relaxed);
        self.small.close();
        self.long.close();
    }
}

/// Connections of which any is as good as another.
struct Shelf {
    state: Mutex<State>,
    returned: Condvar,
}

struct State {
    idle: Vec<Connection>,
    lent: usize,
    closed: bool,
}

impl Shelf {
    fn of(idle: Vec<Connection>) -> Self {
        Self { state: Mutex::new(State { idle, lent: 0, closed: false }), returned: Condvar::new() }
    }

    fn run<T>(&self, read: impl FnOnce(&Connection) -> T) -> Option<T> {
        let lent = self.take()?;
        lent.connection.as_ref().map(read)
    }

    fn take(&self) -> Option<Lent<'_>> {
        let waits = |state: &mut State| !state.closed && state.idle.is_empty();
        let state = self.returned.wait_while(self.state(), waits);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let connection = Some(state.idle.pop().filter(|_| !state.closed)?);
        state.lent += 1;
        Some(Lent { shelf: self, connection })
    }

    fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.idle.clear();
        self.returned.notify_all();
        let waits = |state: &mut State| state.lent > 0;
        drop(self.returned.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that goes back when this is dropped, also by a panic.
struct Lent<'a> {
    shelf: &'a Shelf,
    connection: Option<Connection>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut state = self.shelf.state();
        if !state.closed {
            state.idle.extend(self.connection.take());
        }
        // Closed before it counts as returned.
        self.connection = None;
        state.lent -= 1;
        self.shelf.returned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn any_free_connection_will_do_and_closing_waits_for_all() {
        let connection = || Connection::open_in_memory().unwrap();
        let shelf = Shelf::of(vec![connection(), connection()]);
        let (held, go_on) = (Barrier::new(2), Barrier::new(2));
        thread::scope(|scope| {
            let long = scope.spawn(|| {
                shelf.run(|_| {
                    held.wait();
                    go_on.wait();
                })
            });
            held.wait();
            // The other one serves everybody else meanwhile.
            assert_eq!((0..10).filter_map(|n| shelf.run(|_| n)).count(), 10);
            let closed = scope.spawn(|| shelf.close());
            while !shelf.state().closed {
                thread::yield_now();
            }
            assert!(!closed.is_finished());
            assert_eq!(shelf.run(|_| ()), None);
            go_on.wait();
            assert_eq!(long.join().unwrap(), Some(()));
            closed.join().unwrap();
        });
        assert!(shelf.state().idle.is_empty());
    }
}
