//! Looks at one file: its stat, the digest of its content, and its beginning. Reads in steps, so that a file of any
//! size fits into turns of bounded length. Left out: what the answer means.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::budget::Budget;
use super::path::Rel;
use super::record::Stat;
use crate::hex::hex;

/// Bytes read at once.
const CHUNK: usize = 128 << 10;
/// How often the time is looked at while reading, in chunks.
const CHUNKS_PER_CHECK: usize = 64;

/// What is at a path.
pub(super) enum Look {
    /// A regular file, or a link to one, read as a whole.
    File(Seen),
    /// No file (any more).
    Absent,
    /// It was written, or replaced, while it was read.
    Unstable,
    /// It is there and cannot be read.
    Unreadable(io::Error),
    /// The budget was spent before its end.
    Unfinished(Box<Reading>),
}

/// One version of a file.
pub(super) struct Seen {
    pub(super) stat: Stat,
    /// In hexadecimal digits.
    pub(super) sha256: String,
    /// The beginning of the content, as much as was asked for.
    pub(super) head: Vec<u8>,
}

/// A file that is being read.
pub(super) struct Reading {
    path: Rel,
    file: File,
    before: Stat,
    hasher: Sha256,
    head: Vec<u8>,
}

impl Reading {
    /// Starts to read; `None` when there is no regular file.
    fn start(root: &Path, path: &Rel) -> io::Result<Option<Self>> {
        let full = real(root, path)?;
        // Before opening: to open a device may do something, even without reading.
        if !fs::metadata(&full)?.is_file() {
            return Ok(None);
        }
        // Should a pipe take its place right now, opening it must not wait for a writer.
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(full)?;
        let metadata = file.metadata()?;
        let reading = Self {
            path: path.clone(),
            before: Stat::of(&metadata),
            hasher: Sha256::new(),
            head: Vec::new(),
            file,
        };
        Ok(metadata.is_file().then_some(reading))
    }

    /// Reads on; `false` when the budget is spent before the end.
    fn advance(&mut self, keep: usize, budget: &mut Budget) -> io::Result<bool> {
        let mut buffer = vec![0; CHUNK];
        for step in 1.. {
            let read = match self.file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.hasher.update(&buffer[..read]);
            let missing = keep.saturating_sub(self.head.len()).min(read);
            self.head.extend_from_slice(&buffer[..missing]);
            budget.take_bytes(read);
            if budget.bytes() == 0 || (step % CHUNKS_PER_CHECK == 0 && budget.is_spent()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The version that was read, if the path still shows it.
    fn finish(self, root: &Path) -> io::Result<Look> {
        let after = Stat::of(&self.file.metadata()?);
        let there = Stat::of(&fs::metadata(real(root, &self.path)?)?);
        if after != self.before || there != self.before {
            return Ok(Look::Unstable);
        }
        Ok(Look::File(Seen { stat: after, sha256: hex(&self.hasher.finalize()), head: self.head }))
    }
}

/// Looks at a path and keeps up to `keep` bytes of the beginning. `resumed` is what an earlier look at this or
/// another path left unfinished.
pub(super) fn look(
    root: &Path,
    path: &Rel,
    keep: usize,
    budget: &mut Budget,
    resumed: Option<Reading>,
) -> Look {
    let read = || -> io::Result<Look> {
        let resumed = resumed.filter(|reading| reading.path == *path);
        let started = if resumed.is_some() { resumed } else { Reading::start(root, path)? };
        let Some(mut reading) = started else { return Ok(Look::Absent) };
        if reading.advance(keep, budget)? {
            reading.finish(root)
        } else {
            Ok(Look::Unfinished(Box::new(reading)))
        }
    };
    read().unwrap_or_else(|error| if is_absent(&error) { Look::Absent } else { Look::Unreadable(error) })
}

/// Whether no regular file is at the path.
///
/// # Errors
/// When the file system does not say.
pub(super) fn is_gone(root: &Path, path: &Rel) -> io::Result<bool> {
    match real(root, path).and_then(fs::metadata) {
        Ok(metadata) => Ok(!metadata.is_file()),
        Err(error) if is_absent(&error) => Ok(true),
        Err(error) => Err(error),
    }
}

/// The whole path, provided that every folder between the root and the last part is a real one: a walk does not
/// follow links to folders, so what only such a link leads to is not there.
///
/// # Errors
/// [`is_absent`] ones when a part is missing or no folder, else as the file system says.
pub(super) fn real(root: &Path, path: &Rel) -> io::Result<PathBuf> {
    let full = path.under(root);
    let parents = full.ancestors().skip(1).take_while(|parent| *parent != root && parent.starts_with(root));
    for parent in parents.collect::<Vec<_>>().into_iter().rev() {
        if !fs::symlink_metadata(parent)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
    }
    Ok(full)
}

/// Whether the error says that nothing is there: no such name, a file where a folder was, a link that leads to
/// nothing or in circles.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 5 * CHUNK + 7;

    /// A file of `SIZE` zeros in a folder.
    fn folder() -> (tempfile::TempDir, Rel) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), vec![0; SIZE]).unwrap();
        (dir, Rel::root().join("file".as_ref()))
    }

    #[test]
    fn a_large_file_is_read_over_several_turns() {
        let (dir, path) = folder();
        let mut resumed = None;
        let mut turns = 0;
        let seen = loop {
            turns += 1;
            match look(dir.path(), &path, 3, &mut Budget::of_bytes(2 * CHUNK), resumed.take()) {
                Look::File(seen) => break seen,
                Look::Unfinished(reading) => resumed = Some(*reading),
                _ => panic!("the file is there and at rest"),
            }
        };
        assert_eq!(turns, 3);
        assert_eq!(seen.sha256, hex(&Sha256::digest(vec![0; SIZE])));
        assert_eq!((seen.head, seen.stat.size), (vec![0; 3], SIZE as u64));
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_unstable() {
        let changes: [fn(&Path); 3] = [
            |file| fs::write(file, "shorter").unwrap(),
            |file| {
                fs::write(file.with_file_name("new"), vec![0; SIZE]).unwrap();
                fs::rename(file.with_file_name("new"), file).unwrap();
            },
            |file| {
                OpenOptions::new()
                    .append(true)
                    .open(file)
                    .and_then(|mut file| io::Write::write_all(&mut file, b"x"))
                    .unwrap()
            },
        ];
        for change in changes {
            let (dir, path) = folder();
            let Look::Unfinished(reading) = look(dir.path(), &path, 0, &mut Budget::of_bytes(CHUNK), None)
            else {
                panic!("the budget ends before the file")
            };
            change(&path.under(dir.path()));
            let look = look(dir.path(), &path, 0, &mut Budget::of_bytes(10 * SIZE), Some(*reading));
            assert!(matches!(look, Look::Unstable));
        }
    }
}
