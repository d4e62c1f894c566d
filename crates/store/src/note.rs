//! What the lock file says of the database beside it: which log it holds, and the highest number that an event of it
//! ever got. So a database that was copied back by hand is noticed.
//!
//! The note is written over in place after each group of turns, without a wait for the disk: it survives the end of the
//! process, and after a loss of power it is at most behind, or ahead of a log that lost its end. Both are handled where
//! a database is opened (`sqlite/numbers.rs`).

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::path::beside;

/// Bytes of a note with the blanks that fill it up: one write, and one sector.
const SIZE: usize = 512;

/// Where the two salts of a write-ahead log lie in it.
const SALTS: std::ops::Range<usize> = 16..24;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// The lock file itself, by inode: a copy of it has another.
    file: u64,
    /// Names the log; `None` before there was one.
    pub(crate) log: Option<i64>,
    /// The highest number that an event ever got.
    pub(crate) head: i64,
    /// A database is being made, in place of whatever `log` names.
    pub(crate) making: bool,
    /// A backup was put in place since the database was last opened.
    #[serde(default)]
    pub(crate) restored: bool,
    /// Which database file and which write-ahead log belong together; `None` while they change, and when all is in the
    /// one file.
    pair: Option<Pair>,
}

/// A database file and its write-ahead log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Pair {
    /// The run of the system: after a loss of power nobody knows which write came through.
    boot: String,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    salts: [u8; SALTS.end - SALTS.start],
}

impl Note {
    /// The note in a lock file; `None` when there is none that can be read.
    pub(crate) fn read(file: &File) -> Option<Self> {
        let mut text = Vec::with_capacity(SIZE);
        let mut place = 0;
        let mut piece = [0; SIZE];
        while let Ok(read @ 1..) = file.read_at(&mut piece, place) {
            text.extend_from_slice(&piece[..read]);
            place += read as u64;
            if text.len() >= SIZE {
                break;
            }
        }
        serde_json::from_slice(text.trim_ascii()).ok()
    }

    /// Whether the lock file was copied: then so was all that lies beside it.
    pub(crate) fn is_copied(&self, lock: &File) -> bool {
        lock.metadata().is_ok_and(|facts| facts.ino() != self.file)
    }

    /// Whether another file took the place of the database `db` while its write-ahead log stayed, so that it would be
    /// read as the log of a file that it never belonged to.
    pub(crate) fn is_parted(&self, db: &Path) -> bool {
        let Some(pair) = &self.pair else { return false };
        let Some(now) = Pair::of(db) else { return false };
        now.boot == pair.boot && now.salts == pair.salts && now != *pair
    }
}

/// Keeps the note of a database while it is written.
#[derive(Debug)]
pub(crate) struct Notebook {
    file: File,
    db: PathBuf,
    note: Note,
    /// Whether the last write failed, which is told once.
    failed: bool,
}

impl Notebook {
    /// Goes on with `note` in the lock file of the database `db`.
    pub(crate) fn new(file: File, db: &Path, note: Note) -> io::Result<Self> {
        let inode = file.metadata()?.ino();
        Ok(Self { file, db: db.into(), note: Note { file: inode, pair: None, ..note }, failed: false })
    }

    /// Notes that a database is being made.
    pub(crate) fn making(&mut self) {
        self.note.making = true;
        self.write();
    }

    /// Notes that a backup takes the place of the database.
    pub(crate) fn restored(&mut self) {
        self.note.restored = true;
        self.write();
    }

    /// Notes the log and where it ends.
    pub(crate) fn is(&mut self, log: i64, head: i64) {
        let note = Note { log: Some(log), head, making: false, restored: false, ..self.note.clone() };
        self.note = note;
        self.write();
    }

    /// Notes after a transaction where the log ends, and the files where that is still to be done.
    pub(crate) fn committed(&mut self, head: Option<i64>) {
        let head = head.unwrap_or(self.note.head);
        if head == self.note.head && self.note.pair.is_some() {
            return;
        }
        self.note.head = head;
        if self.note.pair.is_none() {
            self.note.pair = Pair::of(&self.db);
        }
        self.write();
    }

    /// Notes that the database file is about to change. `false` when that could not be written: then it must not
    /// change, or it would be taken for another one at the next start.
    pub(crate) fn unpair(&mut self) -> bool {
        let pair = self.note.pair.take();
        if pair.is_none() || self.write() {
            return true;
        }
        self.note.pair = pair;
        false
    }

    fn write(&mut self) -> bool {
        let mut text = serde_json::to_vec(&self.note).unwrap_or_default();
        text.resize(SIZE.max(text.len() + 1) - 1, b' ');
        text.push(b'\n');
        let written = self.file.write_all_at(&text, 0);
        if let Err(error) = &written
            && !self.failed
        {
            tracing::warn!(
                %error,
                "cannot write into the lock file of {}: should the database be restored by hand, numbers of events may \
                 be used again",
                self.db.display()
            );
        }
        self.failed = written.is_err();
        !self.failed
    }
}

impl Pair {
    /// The files as they are; `None` when there is no write-ahead log.
    fn of(db: &Path) -> Option<Self> {
        let mut head = [0; SALTS.end];
        // SQLite holds no lock on the log itself: closing this handle drops none.
        File::open(beside(db, "-wal")).and_then(|mut wal| wal.read_exact(&mut head)).ok()?;
        let facts: Metadata = fs::metadata(db).ok()?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(Self {
            boot: boot.trim().to_owned(),
            inode: facts.ino(),
            size: facts.size(),
            modified: (facts.mtime(), facts.mtime_nsec()),
            salts: head[SALTS].try_into().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    fn lock(path: &Path) -> File {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
    }

    #[test]
    fn a_note_is_written_over_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let (db, path) = (dir.path().join("a.db"), dir.path().join("a.db.lock"));
        assert_eq!(Note::read(&lock(&path)), None);
        let mut notebook = Notebook::new(lock(&path), &db, Note::default()).unwrap();
        notebook.making();
        assert!(Note::read(&lock(&path)).unwrap().making);
        for head in [7, i64::MAX, 8] {
            notebook.is(i64::MIN, head);
            let note = Note::read(&lock(&path)).unwrap();
            assert_eq!((note.log, note.head, note.making), (Some(i64::MIN), head, false));
            assert_eq!(fs::metadata(&path).unwrap().len(), SIZE as u64);
        }
        notebook.committed(Some(9));
        assert_eq!(Note::read(&lock(&path)).unwrap().head, 9);
        let copy = dir.path().join("copy.lock");
        fs::copy(&path, &copy).unwrap();
        let note = Note::read(&lock(&copy)).unwrap();
        assert_eq!((note.is_copied(&lock(&copy)), note.is_copied(&lock(&path))), (true, false));
        fs::write(&path, "{}").unwrap();
        assert_eq!(Note::read(&lock(&path)), None, "what nobody can read is none");
    }

    #[test]
    fn a_log_is_known_by_its_salts_and_a_file_by_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let (db, path) = (dir.path().join("a.db"), dir.path().join("a.db.lock"));
        let wal = beside(&db, "-wal");
        fs::write(&db, "one").unwrap();
        fs::write(&wal, [1; 64]).unwrap();
        let mut notebook = Notebook::new(lock(&path), &db, Note::default()).unwrap();
        notebook.committed(Some(1));
        let note = Note::read(&lock(&path)).unwrap();
        assert!(!note.is_parted(&db));
        fs::write(&db, "another").unwrap();
        assert!(note.is_parted(&db));
        fs::write(&wal, [2; 64]).unwrap();
        assert!(!note.is_parted(&db), "both were replaced");
        fs::remove_file(&wal).unwrap();
        assert!(!note.is_parted(&db));
        notebook.unpair();
        assert!(!Note::read(&lock(&path)).unwrap().is_parted(&db));
    }
}
