//! Scans: all of an owner's entries as of one instant, for a reader that takes its time. An instant that is kept open
//! holds the write-ahead log: it grows with every turn until the reader is done. So the entries are copied first, at
//! the speed of the disk, into a temporary table of a connection of their own, which SQLite keeps in memory while it is
//! small and else in a file without a name (in TMPDIR, or /var/tmp). The reader takes them from there.
//!
//! Paging by key instead would cost no room. But it gives one instant only while nothing changes, and a source changes
//! its state every few seconds.

use std::sync::Arc;
use std::thread;

use inboxclaw_contract::space::EachEntry;
use inboxclaw_contract::{OwnerId, Snapshot, StoreError, Version};
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::oneshot;

use super::super::error;
use super::super::pool::Pool;
use super::super::reading::in_snapshot;
use super::super::rows::{columns, entry};
use super::super::shared::Shared;
use super::super::values::{End, Micros};
use super::read::HEAD;

/// The copy writes nothing but temporary files, which nobody reads after a crash.
const SETTINGS: &str = "
    PRAGMA query_only = OFF;
    PRAGMA temp_store = FILE;
    PRAGMA temp.journal_mode = OFF;
    PRAGMA temp.synchronous = OFF;
    CREATE TEMP TABLE copy (
        key TEXT, revision INTEGER, created_at INTEGER, updated_at INTEGER, expires_at INTEGER, secret INTEGER, value TEXT
    )";

const COPY: &str = concat!(
    "INSERT INTO temp.copy SELECT ",
    columns!(),
    " FROM main.entries
    WHERE space = ?1 AND key >= ?2 AND key < ?3 AND (expires_at IS NULL OR expires_at > ?4) ORDER BY key"
);

const COPIED: &str = concat!("SELECT ", columns!(), " FROM temp.copy ORDER BY rowid");

/// After so many steps of a statement it looks whether the store closes.
const STEPS: i32 = 10_000;

/// What is scanned: the entries of an owner under a prefix.
#[derive(Clone)]
struct Wanted {
    owner: OwnerId,
    prefix: String,
}

/// Calls `each` for the live entries under a prefix, on a thread of its own: it may block for as long as its reader
/// likes, and the threads of the runtime are for others as well.
pub(super) async fn scan(
    shared: Arc<Shared>,
    owner: OwnerId,
    prefix: String,
    each: EachEntry,
) -> Result<Snapshot, StoreError> {
    let ended = || StoreError::Read("the scan ended unexpectedly".into());
    let permit = shared.scans.clone().acquire_owned().await.map_err(|_| ended())?;
    let (reply, answer) = oneshot::channel();
    let work = move || {
        let _permit = permit;
        // Who asked may be gone.
        let _ = reply.send(run(&shared, &Wanted { owner, prefix }, each));
    };
    let thread = thread::Builder::new().name("scan".into()).spawn(work);
    thread.map_err(|error| StoreError::Read(format!("cannot start a thread: {error}")))?;
    answer.await.map_err(|_| ended())?
}

fn run(shared: &Arc<Shared>, wanted: &Wanted, mut each: EachEntry) -> Result<Snapshot, StoreError> {
    let now = shared.clock.now().trusted;
    let copied = shared.steady(|pool| (!pool.is_closed()).then(|| copy(pool, wanted, now)))?;
    let copied = match copied {
        Some(Err(error)) if error::is_out_of_room(&error) => {
            return Err(StoreError::Full(
                "there is no room for a temporary copy: TMPDIR names another folder for it".into(),
            ));
        }
        copied => shared.answer(copied)?,
    };
    let (snapshot, connection) = copied.ok_or(StoreError::NoOwner(wanted.owner))?;
    let given = give(shared, &connection, &mut each);
    shared.answer(Some(given))?;
    Ok(snapshot)
}

/// Copies the entries of one instant; `None` when there is no such owner.
fn copy(pool: &Pool, wanted: &Wanted, now: Micros) -> rusqlite::Result<Option<(Snapshot, Connection)>> {
    let mut connection = pool.way().connect()?;
    connection.execute_batch(SETTINGS)?;
    let closing = pool.closing();
    connection.progress_handler(STEPS, Some(move || closing.is_closed()))?;
    let snapshot = in_snapshot(&connection, |connection| {
        let head = connection.query_row(HEAD, [wanted.owner.0], |row| {
            let snapshot = Snapshot { version: Version(row.get(0)?), cursor: row.get(4)?, now: now.0 };
            Ok((snapshot, row.get::<_, i64>(1)?))
        });
        let Some((snapshot, space)) = head.optional()? else { return Ok(None) };
        connection.execute(COPY, (space, &wanted.prefix, End::of(&wanted.prefix), now))?;
        Ok(Some(snapshot))
    })?;
    Ok(snapshot.map(|snapshot| (snapshot, connection)))
}

fn give(shared: &Shared, connection: &Connection, each: &mut EachEntry) -> rusqlite::Result<()> {
    let mut find = connection.prepare(COPIED)?;
    let mut rows = find.query([])?;
    while let Some(row) = rows.next()? {
        // A store that closes does not wait for whoever reads on.
        if shared.pool().is_closed() {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT),
                Some("the store is closed".into()),
            ));
        }
        if !each(entry(row)?) {
            break;
        }
    }
    Ok(())
}
