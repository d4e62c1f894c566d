//! Reads: where each of them runs, and that what it gives is of one database.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use inboxclaw_contract::StoreError;
use rusqlite::Connection;
use rusqlite::types::Type;

use super::pool::Pool;
use super::shared::Shared;
use super::values::Micros;
use super::{error, open};

/// Reads of so many entries are done at once, on the task that asks, while none of their values is larger than that.
const FEW: usize = 64;
const SMALL_VALUE: i64 = 64 << 10;

/// How long a failed read that is no damage counts: others may succeed beside it.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);

/// How often a read of a database at rest is done again because somebody wrote it meanwhile. The second time the
/// program that writes it is seen.
const TRIES: usize = 10;

/// What a connection gave, or why not.
type Found<T> = Option<rusqlite::Result<T>>;

impl Shared {
    /// A read of a few microseconds, done at once.
    pub(super) fn small<T>(
        &self,
        read: impl Fn(&Connection, Micros) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let now = self.clock.now().trusted;
        let found = self.steady(|pool| pool.small(|connection| read(connection, now)))?;
        self.answer(found)
    }

    /// Reads about so many entries as of one instant: a few small ones at once, others where that holds nobody up. The
    /// last parameter of `read` is the size of the largest value that it may read; it answers [`too_large`] where
    /// there is a larger one.
    pub(super) async fn few<T: Send + 'static>(
        self: &Arc<Self>,
        entries: usize,
        read: impl Fn(&Connection, Micros, i64) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        if entries <= FEW {
            let now = self.clock.now().trusted;
            let small = |connection: &Connection| {
                in_snapshot(connection, |connection| read(connection, now, SMALL_VALUE))
            };
            match self.steady(|pool| pool.small(small))? {
                Some(Err(error)) if is_too_large(&error) => {}
                found => return self.answer(found),
            }
        }
        self.long(move |connection, now| read(connection, now, i64::MAX)).await
    }

    /// A read that may take longer than the tasks of a runtime can wait. Sees one instant. Waits as a task for its
    /// turn: the threads for what blocks are for others as well.
    pub(super) async fn long<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl Fn(&Connection, Micros) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = |_| StoreError::Read("the store is closed".into());
        // Goes with the work: who asked may be gone before it is done.
        let permit = self.long_reads.clone().acquire_owned().await.map_err(closed)?;
        let shared = self.clone();
        let work = move || {
            let _permit = permit;
            let now = shared.clock.now().trusted;
            let read = |connection: &Connection| in_snapshot(connection, |connection| read(connection, now));
            let found = shared.steady(|pool| pool.long(read))?;
            shared.answer(found)
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => match runtime.spawn_blocking(work).await {
                Ok(answer) => answer,
                Err(error) => Err(StoreError::Read(error.to_string())),
            },
            Err(_) => work(),
        }
    }

    /// Reads, and reads again while somebody writes a database that was at rest. Errors count as little as the rest of
    /// what is found then.
    pub(super) fn steady<T>(&self, mut read: impl FnMut(&Pool) -> Found<T>) -> Result<Found<T>, StoreError> {
        for _ in 0..TRIES {
            let pool = self.pool();
            let found = read(&pool);
            if pool.way().holds() {
                return Ok(found);
            }
            self.reopen(&pool)?;
        }
        Err(StoreError::Read("the database is replaced again and again while it is read".into()))
    }

    pub(super) fn answer<T>(&self, found: Found<T>) -> Result<T, StoreError> {
        let found = found.ok_or_else(|| StoreError::Read("the store is closed".into()))?;
        found.map_err(|error| {
            let failed = error::of_read(&error);
            self.notice(&failed);
            if error::is_torn(&error) {
                let _ = self.broken.set(failed.clone());
            }
            failed
        })
    }

    /// Keeps what went wrong for those who ask how the store is, and tells it once.
    fn notice(&self, error: &StoreError) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, _)) = trouble.as_ref().filter(|(known, at)| lasts(known, *at)) {
            let is_worse = matches!((known, error), (StoreError::Read(_), StoreError::Damaged(_)));
            if !is_worse
                && (matches!(known, StoreError::Damaged(_)) || known.to_string() == error.to_string())
            {
                return;
            }
        }
        if self.writes {
            tracing::error!("{error}");
        }
        *trouble = Some((error.clone(), Instant::now()));
    }

    /// What went wrong and is not over.
    pub(super) fn trouble(&self) -> Option<StoreError> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let lasting = trouble.as_ref().filter(|(error, at)| lasts(error, *at));
        lasting.map(|(error, _)| error.clone())
    }

    /// Opens the database as it is now, in place of `old`.
    fn reopen(&self, old: &Arc<Pool>) -> Result<(), StoreError> {
        let failed = |error: error::OpenError| StoreError::Read(error.to_string());
        let mut current = self.pool.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, old) {
            *current = Arc::new(open::for_reading(&old.way().file).map_err(failed)?.0);
        }
        Ok(())
    }
}

/// Whether it counts still. Damage does not heal.
fn lasts(error: &StoreError, at: Instant) -> bool {
    matches!(error, StoreError::Damaged(_)) || at.elapsed() < REMEMBERED
}

/// Runs several reads as of one instant.
pub(super) fn in_snapshot<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = connection.unchecked_transaction()?;
    let found = read(&transaction)?;
    transaction.commit()?;
    Ok(found)
}

/// Says that a value is larger than may be read here. Statements give null in its place, which no value is.
pub(super) fn too_large(column: usize) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(column, "value".into(), Type::Null)
}

fn is_too_large(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::InvalidColumnType(_, name, Type::Null) if name == "value")
}
