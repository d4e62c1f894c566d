//! Reads one file: its stat, the digest of its content, and its beginning. Reads in steps, so that a file of any size
//! fits into turns of bounded length. Left out: what the result means.

use std::fs::File;
use std::io::{self, Read};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::budget::Budget;
use super::links::PathMatch;
use super::path::RelPath;
use super::record::{FileKind, Stat, Status};
use super::root::Root;
use super::tree::is_absent;
use crate::hex::hex;

/// Bytes read at once.
const CHUNK: usize = 128 << 10;
/// How often the time is looked at while reading, in chunks.
const CHUNKS_PER_CHECK: usize = 8;
/// A file whose content is not read shows only by its times whether somebody writes it: after so long without a
/// change it is taken to be at rest.
const REST: SignedDuration = SignedDuration::from_secs(2);

/// How to look at a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Depth {
    /// How many bytes of the beginning are needed.
    pub(super) keep: usize,
    /// Whether the content is read as a whole. Else its size and times have to do.
    pub(super) whole: bool,
    /// The largest file that is read as a whole, in bytes.
    pub(super) most: u64,
    /// The time by which a file that is not read has to be at rest, if it has to.
    pub(super) at_rest_by: Option<Timestamp>,
}

/// What is at a path.
pub(super) enum ReadOutcome {
    /// A regular file, or a link to one.
    File(FileSnapshot),
    /// No file (any more), or one that is not looked at.
    Absent,
    /// It was written, or replaced, while it was looked at. Its size, in bytes.
    Unstable(u64),
    /// It is there and cannot be read.
    Unreadable(io::Error),
    /// The budget was spent before its end.
    Unfinished(Box<Reading>),
}

/// One version of a file.
pub(super) struct FileSnapshot {
    pub(super) stat: Stat,
    /// In hexadecimal digits; `None` when the content was not read.
    pub(super) sha256: Option<String>,
    /// The beginning of the content, as much as was asked for.
    pub(super) head: Vec<u8>,
}

/// A file that is being read.
pub(super) struct Reading {
    path: RelPath,
    depth: Depth,
    file: File,
    before: Stat,
    hasher: Sha256,
    head: Vec<u8>,
    /// Bytes read so far.
    read: u64,
}

/// How far a reading came.
enum Step {
    /// To the end, or as far as is needed.
    End,
    /// To the end of the budget.
    Spent,
    /// The file changed meanwhile.
    Changed,
}

impl Reading {
    /// Starts to read; `None` when there is no regular file.
    fn start(root: &Root, path: &RelPath, depth: Depth) -> io::Result<Option<Self>> {
        // Its kind is asked before it is opened: to open a device may do something, even without reading.
        let PathMatch::File(place, found) = root.find(path)? else { return Ok(None) };
        let file = place.open()?;
        let Status { kind, stat } = Status::of(&file)?;
        // Whatever came into its place between the two is for the next look.
        if kind != FileKind::File || (stat.dev, stat.ino) != (found.dev, found.ino) {
            return Ok(None);
        }
        let depth = Depth { whole: depth.whole && stat.size <= depth.most, ..depth };
        Ok(Some(Self {
            path: path.clone(),
            depth,
            file,
            before: stat,
            hasher: Sha256::new(),
            head: Vec::new(),
            read: 0,
        }))
    }

    fn advance(&mut self, budget: &mut Budget) -> io::Result<Step> {
        let mut buffer = vec![0; CHUNK];
        for step in 1.. {
            let missing = self.depth.keep.saturating_sub(self.head.len());
            let wanted = if self.depth.whole { CHUNK } else { missing.min(CHUNK) };
            let read = match self.file.read(&mut buffer[..wanted]) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.hasher.update(&buffer[..read]);
            self.head.extend_from_slice(&buffer[..missing.min(read)]);
            self.read += read as u64;
            budget.take_bytes(read);
            if self.read > self.before.size && self.is_changed()? {
                return Ok(Step::Changed);
            }
            if self.read > self.depth.most.max(self.before.size) {
                return Err(self.endless());
            }
            if budget.bytes() == 0 || (step % CHUNKS_PER_CHECK == 0 && budget.is_spent()) {
                return Ok(if self.is_changed()? { Step::Changed } else { Step::Spent });
            }
        }
        Ok(Step::End)
    }

    fn is_changed(&self) -> io::Result<bool> {
        Ok(Status::of(&self.file)?.stat != self.before)
    }

    fn endless(&self) -> io::Error {
        let (read, size) = (self.read, self.before.size);
        io::Error::other(format!(
            "more than {read} bytes were read of a file whose size is {size}: it may be endless; add it to \
             ignore_patterns, or raise max_hash_bytes"
        ))
    }

    /// The version that was read, if the path still shows it.
    fn finish(self, root: &Root) -> io::Result<ReadOutcome> {
        let before = self.before;
        let is_at_rest = self.depth.whole
            || self.depth.at_rest_by.is_none_or(|now| {
                let age = i128::from(before.ctime) - now.as_nanosecond();
                // A clock that is ahead of ours says nothing.
                age > 0 || -age >= REST.as_nanos()
            });
        let is_there = matches!(root.find(&self.path)?, PathMatch::File(_, stat) if stat == before);
        if self.is_changed()? || !is_there || !is_at_rest {
            return Ok(ReadOutcome::Unstable(before.size));
        }
        let sha256 = self.depth.whole.then(|| hex(&self.hasher.finalize()));
        Ok(ReadOutcome::File(FileSnapshot { stat: before, sha256, head: self.head }))
    }
}

/// Looks at a path. `resumed` is what an earlier look at this or another path left unfinished.
pub(super) fn read_file(
    root: &Root,
    path: &RelPath,
    depth: Depth,
    budget: &mut Budget,
    resumed: Option<Reading>,
) -> ReadOutcome {
    let read = || -> io::Result<ReadOutcome> {
        let resumed = resumed.filter(|reading| reading.path == *path);
        let started = if resumed.is_some() { resumed } else { Reading::start(root, path, depth)? };
        let Some(mut reading) = started else { return Ok(ReadOutcome::Absent) };
        match reading.advance(budget)? {
            Step::End => reading.finish(root),
            Step::Spent => Ok(ReadOutcome::Unfinished(Box::new(reading))),
            Step::Changed => Ok(ReadOutcome::Unstable(reading.before.size)),
        }
    };
    read().unwrap_or_else(|error| {
        if is_absent(&error) { ReadOutcome::Absent } else { ReadOutcome::Unreadable(error) }
    })
}

/// Whether no regular file is at the path, or one that is not looked at.
///
/// # Errors
/// When the file system does not say.
pub(super) fn is_gone(root: &Root, path: &RelPath) -> io::Result<bool> {
    Ok(!matches!(root.find(path)?, PathMatch::File(..)))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::path::Path;
    use std::sync::Arc;

    use super::super::filter::Filter;
    use super::*;

    const SIZE: usize = 5 * CHUNK + 7;
    const WHOLE: Depth = Depth { keep: 3, whole: true, most: u64::MAX, at_rest_by: None };

    /// A file of `SIZE` zeros in a folder.
    fn folder() -> (tempfile::TempDir, Root, RelPath) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), vec![0; SIZE]).unwrap();
        let root = Root::open(dir.path(), &Arc::new(Filter::new(&[], &[], true).unwrap())).unwrap();
        (dir, root, RelPath::root().join("file".as_ref()))
    }

    #[test]
    fn a_large_file_is_read_over_several_turns() {
        let (_dir, root, path) = folder();
        let mut resumed = None;
        let mut turns = 0;
        let seen = loop {
            turns += 1;
            match read_file(&root, &path, WHOLE, &mut Budget::of_bytes(2 * CHUNK), resumed.take()) {
                ReadOutcome::File(seen) => break seen,
                ReadOutcome::Unfinished(reading) => resumed = Some(*reading),
                _ => panic!("the file is there and at rest"),
            }
        };
        assert_eq!(turns, 3);
        assert_eq!(seen.sha256, Some(hex(&Sha256::digest(vec![0; SIZE]))));
        assert_eq!((seen.head, seen.stat.size), (vec![0; 3], SIZE as u64));
    }

    #[test]
    fn of_a_file_that_is_too_large_only_the_beginning_is_read() {
        let (_dir, root, path) = folder();
        let mut budget = Budget::of_bytes(10 * SIZE);
        let depth = Depth { most: SIZE as u64 - 1, ..WHOLE };
        let ReadOutcome::File(seen) = read_file(&root, &path, depth, &mut budget, None) else {
            panic!("it is there")
        };
        assert_eq!((seen.sha256, seen.head), (None, vec![0; 3]));
        assert_eq!(budget.bytes(), 10 * SIZE as u64 - 3);
    }

    #[test]
    fn a_file_that_is_not_read_has_to_be_at_rest() {
        let (_dir, root, path) = folder();
        let PathMatch::File(_, stat) = root.find(&path).unwrap() else { panic!("it is there") };
        let written = Timestamp::from_nanosecond(stat.ctime.into()).unwrap();
        for (after, whole, is_at_rest) in [
            (SignedDuration::ZERO, false, false),
            (SignedDuration::from_millis(1_999), false, false),
            (SignedDuration::from_millis(2_000), false, true),
            (SignedDuration::ZERO, true, true),
            // The clock of the file system is ahead of ours.
            (SignedDuration::from_secs(-5), false, true),
        ] {
            let depth = Depth { whole, at_rest_by: Some(written + after), ..WHOLE };
            let look = read_file(&root, &path, depth, &mut Budget::of_bytes(10 * SIZE), None);
            assert_eq!(matches!(look, ReadOutcome::File(_)), is_at_rest, "{after} {whole}");
        }
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
            let (dir, root, path) = folder();
            let ReadOutcome::Unfinished(reading) =
                read_file(&root, &path, WHOLE, &mut Budget::of_bytes(CHUNK), None)
            else {
                panic!("the budget ends before the file")
            };
            change(&path.under(dir.path()));
            let look = read_file(&root, &path, WHOLE, &mut Budget::of_bytes(10 * SIZE), Some(*reading));
            assert!(matches!(look, ReadOutcome::Unstable(size) if size == SIZE as u64));
        }
    }
}
