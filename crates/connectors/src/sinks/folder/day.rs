//! The file of one day: what is in it already, and appending what is not, durably.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use inboxclaw_contract::{Class, Failure, Json};

/// What a line in the older format starts with, before the id.
const START: &[u8] = b"{\"id\": ";

/// A line to write.
pub(super) struct Line {
    /// The `id` in it.
    pub(super) id: i64,
    /// The line with its end.
    pub(super) text: String,
}

/// Lines for the file of one day.
pub(super) struct Day {
    pub(super) path: PathBuf,
    /// Up to here the file is known to be complete.
    pub(super) known: u64,
    pub(super) lines: Vec<Line>,
}

/// What stands behind the known length.
#[derive(Debug, PartialEq, Eq)]
struct Tail {
    ids: HashSet<i64>,
    /// Where the last whole line ends.
    whole: u64,
    /// Whether a line end is missing there.
    open: bool,
    /// Whether part of a line follows.
    broken: bool,
}

impl Day {
    /// Appends the lines that are not there yet and returns the length that is durable now.
    pub(super) fn append(&self, lock: &Mutex<()>) -> Result<u64, Failure> {
        let _held = crate::lock::lock(lock);
        self.write().map_err(|error| {
            let class = match error.kind() {
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Class::Authorization,
                ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::AlreadyExists => {
                    Class::Configuration
                }
                _ => Class::Upstream,
            };
            Failure::new(
                class,
                anyhow::Error::new(error).context(format!("cannot append to {}", self.path.display())),
            )
        })
    }

    fn write(&self) -> io::Result<u64> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let is_new = !self.path.exists();
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&self.path)?;
        let tail = tail(&mut file, self.known)?;
        if tail.broken {
            file.set_len(tail.whole)?;
        }
        let mut text = String::new();
        if tail.open {
            text.push('\n');
        }
        for line in self.lines.iter().filter(|line| !tail.ids.contains(&line.id)) {
            text.push_str(&line.text);
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        if is_new {
            // A new name is durable only when its folder is.
            File::open(folder)?.sync_all()?;
        }
        Ok(tail.whole + text.len() as u64)
    }
}

/// Reads what stands behind `known`.
fn tail(file: &mut File, known: u64) -> io::Result<Tail> {
    let length = file.metadata()?.len();
    // Somebody shortened the file: nothing is known of it.
    let known = if known > length { 0 } else { known };
    let open = known > 0 && last_byte(file, known)? != b'\n';
    let mut tail = Tail { ids: HashSet::new(), whole: known, open, broken: false };
    file.seek(SeekFrom::Start(known))?;
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let ended = line.last() == Some(&b'\n');
        // Without its end a line is whole only if somebody's editor took that away.
        if ended || std::str::from_utf8(&line).is_ok_and(|line| Json::new(line).is_ok()) {
            tail.whole += line.len() as u64;
            tail.open = !ended;
            tail.ids.extend(id(&line));
        } else {
            tail.broken = true;
        }
        line.clear();
    }
    Ok(tail)
}

fn last_byte(file: &mut File, before: u64) -> io::Result<u8> {
    let mut byte = [0];
    file.seek(SeekFrom::Start(before - 1))?;
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// The id of a line of ours, in whichever format: the setting may have changed meanwhile.
fn id(line: &[u8]) -> Option<i64> {
    let Some(rest) = line.strip_prefix(START) else {
        return serde_json::from_slice::<CloudEvent>(line).ok()?.inboxclawid.parse().ok();
    };
    let digits = rest.split(|byte| !byte.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The attribute of a CloudEvent that names the event in the log.
#[derive(serde::Deserialize)]
struct CloudEvent {
    inboxclawid: String,
}
