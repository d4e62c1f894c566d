//! The one thread that writes, by group commit: it takes everything that waits into one transaction, with one fsync for
//! all, and no timer.
//!
//! Why a group is as good as its turns one by one. Each piece of work checks before it writes, and answers a refusal
//! before its first write, so that a refused one leaves nothing behind for the others. Within the group they run in the
//! order of the queue, each seeing what those before it wrote: the same as one transaction after the other. Nobody is
//! answered, and nobody is woken, before the commit of all has returned. When a statement fails or there is no room, the
//! transaction is rolled back, all that the writer remembers of it is forgotten, and each piece is tried alone, so that one
//! turn that does not fit fails nobody else; work may therefore run twice and has to come to the same. When the commit
//! itself fails for another reason, nobody knows what reached the disk: then nothing is tried again, the store is broken,
//! and everybody is told so.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use inboxclaw_contract::{Seq, StoreError};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use tokio::sync::{mpsc, oneshot};

use super::clock::LastTime;
use super::error::{Fault, last_errno, of_write};
use super::options::HistoryBounds;
use super::shared::Shared;
use super::tx::{Cache, Tx};
use super::writer_state::WriterState;
use crate::note::Notebook;

/// How many pieces of work may wait.
const QUEUE: usize = 1_024;
/// Most pieces of work in one transaction.
const GROUP: usize = 4_096;
/// How often the writer lets others run before it stops expecting them.
const PATIENCE: usize = 32;
/// Most bytes in one transaction, about; a single larger piece goes alone.
const GROUP_BYTES: usize = 64 << 20;

/// How long closing waits for those who still read.
const CLOSING: Duration = Duration::from_millis(500);

/// After so many pages the write-ahead log is brought into the database.
const CHECKPOINT: u64 = 1_000;

/// What SQLite calls `synchronous=FULL`.
const FULL: i64 = 2;

/// How often the time is stored with what is stored anyway, and how often when nothing is, in microseconds.
const CLOCK_BUSY: u64 = 60 * 1_000_000;
const CLOCK_IDLE: u64 = 60 * 60 * 1_000_000;

const SET_CLOCK: &str =
    "INSERT OR REPLACE INTO meta (name, value) VALUES ('clock', ?1), ('clock_before', ?2)";

/// The handle of the thread. Dropping it finishes what waits and closes the connection.
pub(super) struct Writer {
    sender: Option<mpsc::Sender<Box<dyn Task>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        mut connection: Connection,
        notebook: Notebook,
        shared: Arc<Shared>,
        history: HistoryBounds,
    ) -> io::Result<Self> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let level: i64 =
            connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap_or_default();
        let (cache, state, logged) = (Cache::default(), WriterState::default(), Arc::new(AtomicU64::new(0)));
        let pages = logged.clone();
        let hook = move |_: &mut Wal, found: i32| {
            pages.store(u64::try_from(found).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        };
        connection.wal_hook(Some(hook)).map_err(io::Error::other)?;
        let (full, clock) = (level >= FULL, i64::MIN);
        let mut engine =
            Engine { connection, notebook, shared, history, cache, state, logged, full, lazy: false, clock };
        let thread = thread::Builder::new().name("store".into()).spawn(move || {
            engine.serve(queue);
            engine.close();
        })?;
        Ok(Self { sender: Some(sender), thread: Some(thread) })
    }

    /// Has `work` done in the next transaction, and returns once that is durable. `work` checks before it writes:
    /// a [`Fault::Answer`] means that it has written nothing. It runs again when its group could not be stored.
    /// What is `lazy` may be lost with the power, until something else is durable: it is not worth a wait for the disk.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        weight: usize,
        lazy: bool,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let ended = || StoreError::Broken("the thread that writes has ended".into());
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Job { weight, lazy, work, result: None, reply });
        let sender = self.sender.as_ref().ok_or_else(ended)?;
        sender.send(job).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by its thread; whoever waited was told that the store is broken.
            let _ = thread.join();
        }
    }
}

/// Work that waits for its transaction.
trait Task: Send {
    fn weight(&self) -> usize;
    /// Whether it may be lost with the power.
    fn is_lazy(&self) -> bool;
    /// Does the work and keeps its result.
    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()>;
    /// Hands the result over, or why the transaction failed.
    fn reply(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Job<T, F> {
    weight: usize,
    lazy: bool,
    work: F,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: FnMut(&mut Tx<'_>) -> Result<T, Fault> + Send> Task for Job<T, F> {
    fn weight(&self) -> usize {
        self.weight
    }

    fn is_lazy(&self) -> bool {
        self.lazy
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        self.result = Some(match (self.work)(tx) {
            Ok(value) => Ok(value),
            Err(Fault::Answer(error)) => Err(error),
            Err(Fault::Sql(error)) => return Err(error),
        });
        Ok(())
    }

    fn reply(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { result, reply, .. } = *self;
        let unrun = || Err(StoreError::Broken("the work was never done".into()));
        let result = outcome.and_then(|()| result.unwrap_or_else(unrun));
        // Whoever asked may have stopped waiting.
        let _ = reply.send(result);
    }
}

struct Engine {
    connection: Connection,
    notebook: Notebook,
    shared: Arc<Shared>,
    history: HistoryBounds,
    cache: Cache,
    state: WriterState,
    /// Pages in the write-ahead log after the last transaction.
    logged: Arc<AtomicU64>,
    /// Whether transactions wait for the disk at all, and whether the present one does not.
    full: bool,
    lazy: bool,
    /// The time that was stored last, in microseconds.
    clock: i64,
}

/// Takes what waits, and what is about to. Those whose turns were stored together a moment ago are just being woken
/// and come back together: who takes the first of them alone has the others wait for two transactions. So while the
/// group is smaller than the last one, the others are let run a little; whoever works alone never waits.
fn gather(
    first: Box<dyn Task>,
    queue: &mut mpsc::Receiver<Box<dyn Task>>,
    expected: usize,
) -> Vec<Box<dyn Task>> {
    let (mut weight, mut group, mut yields) = (first.weight(), vec![first], 0);
    while group.len() < GROUP && weight < GROUP_BYTES {
        if let Ok(next) = queue.try_recv() {
            weight += next.weight();
            group.push(next);
            yields = 0;
        } else if group.len() < expected && yields < PATIENCE {
            thread::yield_now();
            yields += 1;
        } else {
            break;
        }
    }
    group
}

/// Why a transaction is not stored.
struct Failed {
    error: StoreError,
    /// Whether its parts may be tried alone: nothing of it can have reached the disk as committed.
    apart: bool,
}

impl Engine {
    fn serve(&mut self, mut queue: mpsc::Receiver<Box<dyn Task>>) {
        let mut expected = 1;
        while let Some(first) = queue.blocking_recv() {
            let group = gather(first, &mut queue, expected);
            expected = group.len();
            self.store(group);
            self.checkpoint();
        }
    }

    /// Brings what is in the write-ahead log into the database once there is enough of it. Not by SQLite itself,
    /// because the note must tell before that the file changes; and those whose turns are stored need not wait for it.
    fn checkpoint(&mut self) {
        let is_due = self.logged.swap(0, Ordering::Relaxed) >= CHECKPOINT;
        if !is_due || self.shared.broken().is_some() || !self.notebook.unpair() {
            return;
        }
        // What keeps it from its end now, such as a reader, is gone another time.
        if let Err(error) = self.connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)") {
            tracing::debug!(%error, "no checkpoint");
        }
    }

    /// Stores a group, or each of its parts alone, so that a bad one does not fail the others.
    fn store(&mut self, mut group: Vec<Box<dyn Task>>) {
        let outcome = match self.shared.broken() {
            Some(error) => Err(error),
            None => match self.attempt(&mut group) {
                Ok(()) => Ok(()),
                Err(failed) if failed.apart && group.len() > 1 => {
                    return group.into_iter().for_each(|task| self.store(vec![task]));
                }
                Err(failed) => Err(self.shared.fail(failed.error)),
            },
        };
        for task in group {
            task.reply(outcome.clone());
        }
    }

    fn attempt(&mut self, group: &mut [Box<dyn Task>]) -> Result<(), Failed> {
        let before = self.connection.total_changes();
        let done = self.work(group).map_err(|error| {
            let error = of_write(&error, last_errno());
            Failed { error, apart: true }
        });
        let done = done.and_then(|()| {
            self.connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])).map_err(
                |error| {
                    let error = of_write(&error, last_errno());
                    let apart = matches!(error, StoreError::Full(_));
                    Failed { error, apart }
                },
            )
        });
        match done {
            Ok(_) => {
                if self.connection.total_changes() != before {
                    self.shared.commits.fetch_add(1, Ordering::Relaxed);
                }
                self.note();
                self.publish();
                Ok(())
            }
            Err(failed) => {
                self.cache = Cache::default();
                // SQLite has rolled back by itself after some errors.
                let clean =
                    self.connection.is_autocommit() || self.connection.execute_batch("ROLLBACK").is_ok();
                if clean { Err(failed) } else { Err(Failed { apart: false, ..failed }) }
            }
        }
    }

    fn work(&mut self, group: &mut [Box<dyn Task>]) -> rusqlite::Result<()> {
        self.be_lazy(group.iter().all(|task| task.is_lazy()))?;
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let clock = self.shared.clock.now();
        let (connection, history) = (&self.connection, self.history);
        let (cache, writer) = (&mut self.cache, &mut self.state);
        let mut tx = Tx { connection, cache, writer, clock, history };
        let before = connection.total_changes();
        group.iter_mut().try_for_each(|task| task.run(&mut tx))?;
        let wrote = connection.total_changes() != before;
        self.keep_clock(wrote)
    }

    /// Stores the time for the next start, which doubts a clock that is far ahead of it: with what is stored anyway, and
    /// now and then when nothing is.
    fn keep_clock(&mut self, wrote: bool) -> rusqlite::Result<()> {
        let Some(last) = self.shared.clock.last() else { return Ok(()) };
        let age = last.trusted.abs_diff(self.clock);
        if age >= CLOCK_IDLE || wrote && age >= CLOCK_BUSY {
            set_clock(&self.connection, last)?;
            self.clock = last.trusted;
        }
        Ok(())
    }

    /// Whether the next transaction waits for the disk. One that does makes those before it durable as well.
    fn be_lazy(&mut self, lazy: bool) -> rusqlite::Result<()> {
        if self.full && lazy != self.lazy {
            let level = if lazy { "NORMAL" } else { "FULL" };
            self.connection.pragma_update(None, "synchronous", level)?;
            self.lazy = lazy;
        }
        Ok(())
    }

    /// Writes the end of the log into the lock file, before any reader can see an event of it.
    fn note(&mut self) {
        let head = if self.cache.grown { self.cache.log_end() } else { None };
        self.notebook.committed(head.map(|end| end.head));
    }

    /// Wakes whoever waits for what was just committed, and keeps what is to be done later.
    fn publish(&mut self) {
        if let Some(left) = self.cache.sweeps.take() {
            self.state.sweeps = left;
        }
        if !self.cache.asked.is_empty() || !self.cache.placed.is_empty() {
            let (asked, placed) = (&mut self.cache.asked, &mut self.cache.placed);
            self.state.committed(std::mem::take(asked), std::mem::take(placed));
        }
        if std::mem::take(&mut self.cache.grown)
            && let Some(end) = self.cache.log_end()
        {
            self.shared.watch.grown(Seq(end.head));
        }
        let (next, collected) = (self.cache.next_due.take(), self.cache.collected.take());
        if next.is_some() || collected.is_some() {
            self.shared.watch.pending(next, collected);
        }
        if !self.cache.changed.is_empty() {
            self.shared.watch.changed(&std::mem::take(&mut self.cache.changed));
        }
    }

    /// Stores the time and brings the write-ahead log into the database, at the end of the thread. What fails here costs
    /// time at the next start, and nothing else.
    fn close(mut self) {
        if let Some(last) = self.shared.clock.last().filter(|_| self.shared.broken().is_none()) {
            let _ = set_clock(&self.connection, last);
        }
        // Nor is it worth to wait for whoever still reads, such as a scan for a slow consumer.
        let _ = self.connection.busy_timeout(CLOSING);
        if self.notebook.unpair() {
            let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        } else {
            let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
    }
}

/// Stores the time for the next start.
pub(super) fn set_clock(connection: &Connection, last: LastTime) -> rusqlite::Result<()> {
    connection.prepare_cached(SET_CLOCK)?.execute((last.trusted, last.before)).map(drop)
}
