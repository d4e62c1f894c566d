//! From a path to connections: the lock, the guard against other programs' files, permissions, and settings.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use rustix::fs::Access;

use super::clock::LastTime;
use super::error::{FORERUNNER, OpenError};
use super::options::Durability;
use super::pool::{PATIENCE, Pool, Way};
use super::rest::Rest;
use super::{migrate, numbers};
use crate::lock::{Lock, LockError};
use crate::note::{Note, Notebook};
use crate::path::{FileId, beside, folder, resolved};
use crate::run_file::RunFile;

/// Marks a SQLite file as ours: "ICLW".
pub(super) const APPLICATION_ID: i64 = 0x4943_4C57;

/// How every SQLite file starts, and where its header holds the layout and the application id.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const HEADER: usize = 100;
const PAGE_SIZE_AT: usize = 16;
/// How often it was changed, how many pages it has, and after which change it had so many.
const CHANGES_AT: usize = 24;
const PAGES_AT: usize = 28;
const SIZE_IS_OF_AT: usize = 92;
const LAYOUT_AT: usize = 60;
const APPLICATION_ID_AT: usize = 68;

/// What a copy looks like that was taken from the file alone while all was still in its write-ahead log.
const NO_TABLES: &str = "bears our mark and holds no tables";

/// The settings of the writing connection, besides its durability. The caches grow with what is used, up to these
/// bounds in KiB: room for the inner pages of some ten million entries, so that a write to any of them reads one page.
const WRITER_SETTINGS: &str = "
    PRAGMA foreign_keys = OFF;
    PRAGMA journal_size_limit = 67108864;
    PRAGMA cache_size = -65536;
    PRAGMA temp_store = MEMORY;
    PRAGMA fullfsync = ON;
    PRAGMA checkpoint_fullfsync = ON;
";

/// How often a database is opened anew because somebody began to write it.
const TRIES: usize = 10;

/// What the clock has shown already: the times that the writer stores again and again, or, in a database of an earlier
/// program that did not, as far as what is stored tells.
const CLOCK: &str = "
    SELECT (SELECT value FROM meta WHERE name = 'clock'), (SELECT value FROM meta WHERE name = 'clock_before'), max(
        coalesce((SELECT created_at FROM events ORDER BY seq DESC LIMIT 1), ?1),
        coalesce((SELECT at FROM history ORDER BY id DESC LIMIT 1), ?1))";

/// A database that may be opened: nobody else writes it, and it is ours or there is none yet. Nothing was made but
/// its folder and its lock, which this holds. Made by [`SqliteStore::prepare`](super::SqliteStore::prepare).
#[derive(Debug)]
pub struct Prepared {
    lock: Lock,
    /// Where the database really lies.
    path: PathBuf,
    /// What there is.
    found: Found,
}

/// What there is at the path of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// No file.
    Nothing,
    /// An empty file, or an empty database without a mark.
    Blank,
    /// A file with our mark.
    Ours,
}

/// A database that is ready to be written.
pub(super) struct Opened {
    pub(super) lock: Lock,
    pub(super) notebook: Notebook,
    pub(super) path: PathBuf,
    pub(super) id: FileId,
    pub(super) connection: Connection,
    pub(super) pool: Pool,
    /// What the store's clock has shown already.
    pub(super) clock: Option<LastTime>,
}

pub(super) fn prepare(path: &Path) -> Result<Prepared, OpenError> {
    let folder = folder(path);
    fs::create_dir_all(folder).map_err(|error| OpenError::io(folder, &error))?;
    let path = resolved(path).map_err(|error| OpenError::io(path, &error))?;
    refuse_odd(&path)?;
    let lock = take_lock(&path)?;
    // Left behind by a process that was killed: it would lead commands to who has its port by now.
    let _ = fs::remove_file(RunFile::path(&path));
    match refuse_foreign(&path).and_then(|found| refuse_remains(&path, found, &lock)) {
        Ok(found) => Ok(Prepared { lock, path, found }),
        Err(error) => {
            lock.undo();
            Err(error)
        }
    }
}

/// Whether a program could start on this path, as far as looking tells it. Nothing is made or changed.
pub(super) fn examine(path: &Path) -> Result<(), OpenError> {
    // A folder that is missing is made at the start, below the first one that is there.
    let there = folder(path).ancestors().find(|folder| folder.as_os_str().is_empty() || folder.exists());
    let there = there.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let writable = rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK);
    writable.map_err(|error| OpenError::io(there, &error.into()))?;
    let Ok(path) = resolved(path) else { return Ok(()) };
    refuse_odd(&path)?;
    let found = refuse_foreign(&path)?;
    if found == Found::Ours && fs::metadata(beside(&path, "-wal")).is_ok_and(|log| log.len() > 0) {
        // The log of writes may say otherwise than the file.
        let sqlite = |error| OpenError::sqlite(&path, &error);
        migrate::check(&Connection::open_with_flags(&path, read_flags()).map_err(sqlite)?, &path)?;
    }
    let note = File::open(Lock::path(&path)).ok().and_then(|lock| Note::read(&lock));
    if found == Found::Blank && note.is_some_and(|note| note.log.is_some() && !note.making) {
        return Err(OpenError::Remains { path, found: "is empty, and there was a database" });
    }
    Ok(())
}

/// A database that was just put in place under its lock.
pub(super) fn restored(lock: Lock, path: PathBuf) -> Prepared {
    Prepared { lock, path, found: Found::Ours }
}

pub(super) fn for_writing(prepared: Prepared, durability: Durability) -> Result<Opened, OpenError> {
    let Prepared { lock, path: file, found } = prepared;
    let path = file.as_path();
    let io = |error| OpenError::io(path, &error);
    let note = lock.note();
    let is_copied = note.as_ref().is_some_and(|note| lock.is_copied(note));
    let mut notebook = lock
        .file()
        .and_then(|lock| Notebook::new(lock, path, note.clone().unwrap_or_default()))
        .map_err(|error| OpenError::io(Lock::path(path), &error))?;
    if found != Found::Ours {
        // First: what is left of a start that is killed from here on must not pass for the remains of a database.
        notebook.making();
    }
    make_private(path).map_err(io)?;
    // From here on this process must not open the file by itself: closing it would drop SQLite's locks.
    let sqlite = |error| OpenError::sqlite(path, &error);
    let mut connection = Connection::open_with_flags(path, write_flags()).map_err(sqlite)?;
    connection.busy_timeout(PATIENCE).map_err(sqlite)?;
    connection.set_prepared_statement_cache_capacity(64);
    if found != Found::Ours {
        // Before the switch to a write-ahead log, so that the mark stands in the file itself from the start.
        connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(sqlite)?;
    }
    migrate::check(&connection, path)?;
    let is_made = found != Found::Ours || note.as_ref().is_some_and(|note| note.making);
    if !is_made && has_no_tables(&connection).map_err(sqlite)? {
        drop(connection);
        lock.undo();
        return Err(OpenError::Remains { path: path.into(), found: NO_TABLES });
    }
    set_up(&connection, durability).map_err(sqlite)?;
    migrate::run(&mut connection, path)?;
    let (log, head) = numbers::go_on_or_jump(&mut connection, note.as_ref(), is_copied).map_err(sqlite)?;
    notebook.is(log, head);
    let clock = last_clock(&connection).map_err(sqlite)?;
    let way = Way { file: path.into(), path: path.into(), flags: read_flags(), rest: None };
    let pool = Pool::open(way).map_err(sqlite)?;
    let facts = fs::metadata(path).map_err(io)?;
    Ok(Opened { lock, notebook, id: FileId::of(&facts), path: file, connection, pool, clock })
}

/// The pool, and what the store's clock has shown already.
pub(super) fn for_reading(path: &Path) -> Result<(Pool, Option<LastTime>), OpenError> {
    let file = fs::canonicalize(path).map_err(|error| OpenError::io(path, &error))?;
    for _ in 0..TRIES {
        let way = way(&file)?;
        let found = look(&way);
        // What was found in a file that somebody began to write meanwhile counts for nothing, and be it an error.
        if way.holds() {
            return found;
        }
    }
    let reason = "it is replaced again and again while it is opened".to_owned();
    Err(OpenError::Sqlite { path: file, reason })
}

/// How a database is to be read: without any lock while nobody has it open, where the usual way would make files.
pub(super) fn way(file: &Path) -> Result<Way, OpenError> {
    refuse_odd(file)?;
    let rest = Rest::of(file);
    let (path, flags) = match rest {
        Some(_) => (immutable(file), read_flags() | OpenFlags::SQLITE_OPEN_URI),
        None => (file.into(), read_flags()),
    };
    Ok(Way { file: file.into(), path, flags, rest })
}

/// Opens a database of the newest layout that is to be read.
fn look(way: &Way) -> Result<(Pool, Option<LastTime>), OpenError> {
    let path = way.file.as_path();
    let sqlite = |error| OpenError::sqlite(path, &error);
    let first = ours(way)?;
    migrate::check_current(&first, path)?;
    let clock = last_clock(&first).map_err(sqlite)?;
    Ok((Pool::open(way.clone()).map_err(sqlite)?, clock))
}

/// A connection that reads a database, if that is one of ours with something in it.
pub(super) fn ours(way: &Way) -> Result<Connection, OpenError> {
    let path = way.file.as_path();
    if fs::metadata(path).is_ok_and(|facts| facts.len() == 0) {
        return Err(OpenError::Remains { path: path.into(), found: "is empty" });
    }
    let sqlite = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => foreign(path, "is no SQLite database"),
        _ => OpenError::sqlite(path, &error),
    };
    let connection = way.connect().map_err(sqlite)?;
    if application_id(&connection).map_err(sqlite)? != APPLICATION_ID {
        return Err(foreign(path, what_it_is(&connection)));
    }
    if has_no_tables(&connection).map_err(sqlite)? {
        return Err(OpenError::Remains { path: path.into(), found: NO_TABLES });
    }
    migrate::check(&connection, path)?;
    Ok(connection)
}

/// What the clock has shown already; `None` for nothing.
fn last_clock(connection: &Connection) -> rusqlite::Result<Option<LastTime>> {
    let (trusted, before, stored): (Option<i64>, Option<i64>, i64) =
        connection.query_row(CLOCK, [i64::MIN], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let trusted = trusted.or((stored != i64::MIN).then_some(stored));
    Ok(trusted.map(|trusted| LastTime { trusted, before: before.unwrap_or(trusted) }))
}

pub(super) fn take_lock(path: &Path) -> Result<Lock, OpenError> {
    Lock::take(path).map_err(|error| match error {
        LockError::Held => {
            let pid = RunFile::read(path).ok().flatten().map(|run| run.pid);
            OpenError::Locked { path: path.into(), pid }
        }
        LockError::Io(error) => OpenError::io(Lock::path(path), &error),
    })
}

/// Refuses what is no file, and a file whose log could lie beside another name.
fn refuse_odd(path: &Path) -> Result<(), OpenError> {
    let facts = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        facts => facts.map_err(|error| OpenError::io(path, &error))?,
    };
    let refuse = |reason: &str| Err(OpenError::Io { path: path.into(), reason: reason.into() });
    match facts.nlink() {
        _ if facts.is_dir() => refuse("it is a folder"),
        _ if !facts.is_file() => refuse("it is no regular file"),
        0 | 1 => Ok(()),
        links => Err(OpenError::Linked { path: path.into(), links }),
    }
}

/// Makes an empty file that only its owner can read, or warns about one that others can.
fn make_private(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => {
            // A umask may have taken more than others' rights.
            file.set_permissions(Permissions::from_mode(0o600))?;
            drop(file);
            sync_folder(path)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mode = fs::metadata(path)?.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                tracing::warn!(
                    "{} can be read by others (mode {mode:o}); chmod 600 makes it private",
                    path.display()
                );
            }
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Makes the name of a new file durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

/// Refuses what is left of a database: to start on it would look as if nothing had ever been there.
fn refuse_remains(path: &Path, found: Found, lock: &Lock) -> Result<Found, OpenError> {
    let note = lock.note();
    let was_there = note.as_ref().is_some_and(|note| note.log.is_some() && !note.making);
    if found == Found::Blank && was_there {
        return Err(OpenError::Remains { path: path.into(), found: "is empty, and there was a database" });
    }
    // What was copied as a whole belongs together.
    let is_parted = note.is_some_and(|note| !lock.is_copied(&note) && note.is_parted(path));
    if found == Found::Ours && is_parted {
        return Err(OpenError::Parted { path: path.into() });
    }
    Ok(found)
}

/// Whether there is nothing in the database, with what its write-ahead log holds.
fn has_no_tables(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_master", [], |row| row.get(0))
}

/// What there is. Refuses others' databases, and ours from the future or cut short as far as its bytes show it. Touches
/// nothing.
fn refuse_foreign(path: &Path) -> Result<Found, OpenError> {
    let mut header = Vec::with_capacity(HEADER);
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        file => file.map_err(|error| OpenError::io(path, &error))?,
    };
    let size = file.metadata().map_err(|error| OpenError::io(path, &error))?.len();
    file.take(HEADER as u64).read_to_end(&mut header).map_err(|error| OpenError::io(path, &error))?;
    if header.is_empty() {
        return Ok(Found::Blank);
    }
    if header.len() < HEADER || !header.starts_with(MAGIC) {
        return Err(foreign(path, "is no SQLite database"));
    }
    let number = |at| number_at(&header, at);
    if number(APPLICATION_ID_AT) == APPLICATION_ID {
        migrate::check_number(number(LAYOUT_AT), path)?;
        refuse_short(path, size, &header)?;
        return Ok(Found::Ours);
    }
    let wal = fs::metadata(beside(path, "-wal")).map_or(0, |wal| wal.len());
    let sqlite = |error| OpenError::sqlite(path, &error);
    let flags = read_flags() | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(immutable(path), flags).map_err(sqlite)?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))
        .map_err(|error| OpenError::sqlite(path, &error))?;
    let blank = tables == 0 && wal == 0 && application_id(&connection).map_err(sqlite)? == 0;
    if blank { Ok(Found::Blank) } else { Err(foreign(path, what_it_is(&connection))) }
}

/// The number of 32 bits at a place in the header of a database.
fn number_at(header: &[u8], at: usize) -> i64 {
    let bytes = header.get(at..).and_then(|rest| rest.first_chunk::<4>());
    bytes.map_or(0, |bytes| i64::from(i32::from_be_bytes(*bytes)))
}

/// Refuses a file that has fewer pages than it says, such as a copy that was broken off. What it says counts only
/// while there is no log that may say otherwise.
fn refuse_short(path: &Path, size: u64, header: &[u8]) -> Result<(), OpenError> {
    let has_log =
        ["-wal", "-journal"].iter().any(|log| fs::metadata(beside(path, log)).is_ok_and(|log| log.len() > 0));
    let page = match number_at(header, PAGE_SIZE_AT) >> 16 {
        1 => 65_536,
        size => size,
    };
    let is_said = number_at(header, CHANGES_AT) == number_at(header, SIZE_IS_OF_AT);
    let said = u64::try_from(page * number_at(header, PAGES_AT)).unwrap_or(0);
    if has_log || !is_said || size >= said {
        return Ok(());
    }
    let reason = format!("it has {size} bytes and says that it has {said}");
    Err(OpenError::Damaged { path: path.into(), reason })
}

fn foreign(path: &Path, found: &'static str) -> OpenError {
    OpenError::Foreign { path: path.into(), found }
}

fn what_it_is(connection: &Connection) -> &'static str {
    let known =
        "SELECT count(*) = 2 FROM sqlite_master WHERE type = 'table' AND name IN ('sources', 'events')";
    match connection.query_row(known, [], |row| row.get(0)) {
        Ok(true) => FORERUNNER,
        _ => "is a SQLite database of another program",
    }
}

fn application_id(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "application_id", |row| row.get(0))
}

fn set_up(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        tracing::warn!("the file system allows no write-ahead log; turns and reads will wait for each other");
    }
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Normal => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.execute_batch(WRITER_SETTINGS)
}

fn write_flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

fn read_flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// A name by which SQLite reads a file without a lock and without making any other.
pub(super) fn immutable(path: &Path) -> std::path::PathBuf {
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02x}"));
        }
    }
    uri.push_str("?immutable=1");
    uri.into()
}
