//! Files of JSON lines: what is in one already, and appending what is not, each line whole and once.
//!
//! Who appends remembers up to which length a file is known to be complete, in the same commit as how far it came. What
//! stands behind that length was written by a delivery whose commit was lost, or by somebody else. A line of it that is
//! to be written again, byte for byte, is there already; a line that broke off is cut away; nothing else is removed. Whole
//! lines are compared and not the numbers in them, because another database counts its events from 1 as well.

use std::collections::HashSet;
use std::convert::Infallible;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use inboxclaw_contract::envelope::{Format, Style};
use inboxclaw_contract::{Class, Event, Failure, Json, Outside};

/// Most events of one delivery.
pub(crate) const BATCH: usize = 100;

/// The lock to hold while writing at a path: a delivery that was cut off may still be at it when the next one starts.
pub(crate) fn lock_of(kind: &str, path: &Path, outside: &Outside) -> Arc<Mutex<()>> {
    let Ok(lock) = outside
        .shared
        .get_or_make(&format!("{kind} {}", path.display()), || Ok::<_, Infallible>(Mutex::new(())));
    lock
}

/// The line of an event, with its end.
pub(crate) fn line(event: &Event, format: Format) -> String {
    let mut text = String::new();
    format.write(event, Style::Spaced, &mut text);
    text.push('\n');
    text
}

/// A failure to write, classed by who can help.
pub(crate) fn failure(path: &Path, error: io::Error) -> Failure {
    let class = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Class::Authorization,
        ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::AlreadyExists => Class::Configuration,
        _ => Class::Upstream,
    };
    Failure::new(class, anyhow::Error::new(error).context(format!("cannot append to {}", path.display())))
}

/// A file that lines are appended to.
pub(crate) struct LineFile {
    file: File,
    path: PathBuf,
    is_new: bool,
}

/// What stands behind the known length.
#[derive(Debug, Default)]
pub(crate) struct Tail<'l> {
    /// Which of the lines to write are there.
    present: HashSet<&'l str>,
    /// Where the last whole line ends.
    pub(crate) whole: u64,
    /// Whether any whole line is there.
    pub(crate) has_lines: bool,
    /// Whether a line end is missing there.
    open: bool,
    /// Whether part of a line follows.
    broken: bool,
}

impl LineFile {
    /// Opens the file; makes it and the folders that it is in where they are missing.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder(path))?;
        let is_new = !path.exists();
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        Ok(Self { file, path: path.to_owned(), is_new })
    }

    /// What tells this file from another one that is at its place later.
    pub(crate) fn inode(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.ino())
    }

    /// Reads what stands behind `known`.
    pub(crate) fn tail<'l>(&mut self, known: u64, lines: &'l [String]) -> io::Result<Tail<'l>> {
        let length = self.file.metadata()?.len();
        // Somebody shortened the file: nothing is known of it.
        let known = if known > length { 0 } else { known };
        let open = known > 0 && self.byte_before(known)? != b'\n';
        let mut tail = Tail { whole: known, open, ..Tail::default() };
        self.file.seek(SeekFrom::Start(known))?;
        let wanted: HashSet<&str> = lines.iter().map(|line| line.trim_end()).collect();
        let mut reader = BufReader::new(&self.file);
        let mut bytes = Vec::new();
        while reader.read_until(b'\n', &mut bytes)? > 0 {
            let ended = bytes.last() == Some(&b'\n');
            let line = std::str::from_utf8(&bytes).ok().map(str::trim_end);
            // Without its end a line is whole only if somebody's editor took that away.
            if ended || line.is_some_and(|line| Json::new(line).is_ok()) {
                tail.whole += bytes.len() as u64;
                tail.has_lines = true;
                tail.open = !ended;
                tail.present.extend(line.and_then(|line| wanted.get(line)));
            } else {
                tail.broken = true;
            }
            bytes.clear();
        }
        Ok(tail)
    }

    fn byte_before(&mut self, place: u64) -> io::Result<u8> {
        let mut byte = [0];
        self.file.seek(SeekFrom::Start(place - 1))?;
        self.file.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    /// Appends the lines that are not there yet, all in one piece, and returns how long the file is then. With `sync` it
    /// is durable.
    pub(crate) fn append(&mut self, tail: &Tail<'_>, lines: &[String], sync: bool) -> io::Result<u64> {
        if tail.broken {
            self.file.set_len(tail.whole)?;
        }
        let mut text = String::new();
        if tail.open {
            text.push('\n');
        }
        for line in lines.iter().filter(|line| !tail.present.contains(line.trim_end())) {
            text.push_str(line);
        }
        self.file.write_all(text.as_bytes())?;
        if sync {
            self.file.sync_all()?;
            if self.is_new {
                sync_folder(&self.path)?;
            }
        }
        Ok(tail.whole + text.len() as u64)
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes names durable: a new one, or one that was changed, is so only when its folder is.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}
