//! What is known of a file: its stat, the digest of its content, and the version under which it was reported.
//!
//! Two identities are kept apart. The stat says whether a file must be read again; it moves with every `chmod`.
//! The version names what events spoke of; it moves only with the content, so that a file whose metadata changed
//! is deleted under the name under which it was created.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;

use jiff::Timestamp;
use rustix::fs::{AtFlags, FileType};
use serde::{Deserialize, Serialize};

/// How coarse a file system's clock may be: a file that changed this short before it was read may have changed
/// again within the same tick, so its stat proves nothing.
const TICK_NANOS: i64 = 50_000_000;
/// The same where times come in whole seconds.
const COARSE_TICK_NANOS: i64 = 2_100_000_000;

/// What a file system says about a file. Times are nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stat {
    pub(super) size: u64,
    pub(super) mtime: i64,
    pub(super) ctime: i64,
    pub(super) dev: u64,
    pub(super) ino: u64,
    /// When the file was made, where the file system knows. Tells a renamed file from a new one in its inode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) born: Option<i64>,
}

/// What kind of thing a file system holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    File,
    Folder,
    Link,
    /// A pipe, a socket, a device.
    Special,
}

/// What a file system says about anything that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) kind: FileKind,
    pub(super) stat: Stat,
}

impl Status {
    /// Of an open file or folder.
    ///
    /// # Errors
    /// As the file system says.
    pub(super) fn of(file: impl AsFd) -> io::Result<Self> {
        status(file, "".as_ref(), AtFlags::EMPTY_PATH)
    }

    /// Of a name in an open folder; a link is a link.
    ///
    /// # Errors
    /// As the file system says.
    pub(super) fn at(folder: impl AsFd, name: &OsStr) -> io::Result<Self> {
        status(folder, name, AtFlags::SYMLINK_NOFOLLOW)
    }
}

/// Asks with `statx`, which alone knows when a file was made.
#[cfg(target_os = "linux")]
fn status(folder: impl AsFd, name: &OsStr, flags: AtFlags) -> io::Result<Status> {
    use rustix::fs::{StatxFlags, StatxTimestamp, makedev, statx};
    use rustix::io::Errno;

    let asked = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let found = match statx(&folder, name, flags, asked) {
        // Before Linux 4.11, and where a filter of system calls forbids what it does not know.
        Err(Errno::NOSYS | Errno::PERM) => return plain_status(folder, name, flags),
        found => found?,
    };
    let at = |time: StatxTimestamp| nanos(time.tv_sec, i64::from(time.tv_nsec));
    let knows_birth = found.stx_mask & StatxFlags::BTIME.bits() != 0;
    let stat = Stat {
        size: found.stx_size,
        mtime: at(found.stx_mtime),
        ctime: at(found.stx_ctime),
        dev: makedev(found.stx_dev_major, found.stx_dev_minor),
        ino: found.stx_ino,
        born: knows_birth.then(|| at(found.stx_btime)),
    };
    Ok(Status { kind: kind(FileType::from_raw_mode(found.stx_mode.into())), stat })
}

#[cfg(not(target_os = "linux"))]
fn status(folder: impl AsFd, name: &OsStr, flags: AtFlags) -> io::Result<Status> {
    plain_status(folder, name, flags)
}

fn plain_status(folder: impl AsFd, name: &OsStr, flags: AtFlags) -> io::Result<Status> {
    let found =
        if name.is_empty() { rustix::fs::fstat(folder)? } else { rustix::fs::statat(folder, name, flags)? };
    #[cfg(target_os = "macos")]
    let born = Some(nanos(found.st_birthtime, found.st_birthtime_nsec));
    #[cfg(not(target_os = "macos"))]
    let born = None;
    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        reason = "systems differ in the types of these"
    )]
    let stat = Stat {
        size: found.st_size as u64,
        mtime: nanos(found.st_mtime as i64, found.st_mtime_nsec as i64),
        ctime: nanos(found.st_ctime as i64, found.st_ctime_nsec as i64),
        dev: found.st_dev as u64,
        ino: found.st_ino as u64,
        born,
    };
    Ok(Status { kind: kind(FileType::from_raw_mode(found.st_mode)), stat })
}

const fn nanos(seconds: i64, nanos: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

fn kind(found: FileType) -> FileKind {
    match found {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Folder,
        FileType::Symlink => FileKind::Link,
        _ => FileKind::Special,
    }
}

impl Stat {
    /// Whether two stats are of one file that may have been renamed or written in between.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        let born = match (self.born, other.born) {
            (Some(one), Some(two)) => one == two,
            // A rename keeps the time of the last write; a new file in a reused inode has another.
            _ => self.mtime == other.mtime && self.size == other.size,
        };
        self.dev == other.dev && self.ino == other.ino && born
    }

    /// Whether the file could have changed after it was read at `now` without showing it.
    pub(super) fn is_fresh(&self, now: Timestamp) -> bool {
        let tick = if self.ctime % 1_000_000_000 == 0 { COARSE_TICK_NANOS } else { TICK_NANOS };
        i128::from(self.ctime) >= now.as_nanosecond() - i128::from(tick)
    }
}

/// The name of one version of a file at one path; with the digest of its content it makes an event id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) ino: u64,
    pub(super) ctime: i64,
    /// How often this very version has come to this path. A folder that is moved away and back brings its files
    /// with the same inode and ctime.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub(super) times: u32,
}

impl Version {
    /// The version that comes to a path where `gone` was the last one to leave.
    pub(super) fn after(stat: &Stat, gone: Option<Self>) -> Self {
        let times = match gone {
            Some(gone) if gone.ino == stat.ino && gone.ctime == stat.ctime => gone.times.saturating_add(1),
            _ => 1,
        };
        Self { ino: stat.ino, ctime: stat.ctime, times }
    }
}

/// The entry of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The path, escaped, when the key holds its digest only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<String>,
    pub(super) stat: Stat,
    /// Of the content, in hexadecimal digits. `None` when it was not read: then size and time of the last write say
    /// whether it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<String>,
    /// The version that was reported, where it is not the one that the stat shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reported: Option<Version>,
    /// The stat does not prove that the content is the one of the digest: read the file again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) fresh: bool,
    /// Whether there is an entry with the text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) text: bool,
}

impl Record {
    /// A record of the content `sha256`, reported as `version`; `text` says whether its text is kept.
    pub(super) fn new(stat: Stat, sha256: Option<String>, version: Version, text: bool) -> Self {
        let shown = Version { ino: stat.ino, ctime: stat.ctime, times: 1 };
        let reported = (version != shown).then_some(version);
        Self { path: None, stat, sha256, reported, fresh: false, text }
    }

    /// Whether the file still has the content that is known, given its stat and perhaps its digest.
    pub(super) fn holds(&self, stat: &Stat, sha256: Option<&str>) -> bool {
        match (&self.sha256, sha256) {
            (Some(known), Some(found)) => known == found,
            _ => (self.stat.size, self.stat.mtime) == (stat.size, stat.mtime),
        }
    }

    /// The version under which the content was reported.
    pub(super) fn version(&self) -> Version {
        self.reported.unwrap_or(Version { ino: self.stat.ino, ctime: self.stat.ctime, times: 1 })
    }
}

fn once() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_once(times: &u32) -> bool {
    *times == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn stat(ino: u64, ctime: i64, born: Option<i64>) -> Stat {
        Stat { size: 1, mtime: 5, ctime, dev: 1, ino, born }
    }

    #[test]
    fn a_stat_of_the_same_tick_proves_nothing() {
        let now = Timestamp::from_second(1_000).unwrap();
        for (ctime, fresh) in [
            (1_000 * SECOND + 1, true),
            (1_000 * SECOND - TICK_NANOS, true),
            (1_000 * SECOND - TICK_NANOS - 1, false),
            // Whole seconds: the clock of the file system may be that coarse.
            (998 * SECOND, true),
            (997 * SECOND, false),
        ] {
            assert_eq!(stat(1, ctime, None).is_fresh(now), fresh, "{ctime}");
        }
    }

    #[test]
    fn a_reused_inode_is_another_file() {
        let old = stat(1, 10, Some(3));
        assert!(old.is_same_file(&Stat { size: 9, mtime: 9, ..stat(1, 20, Some(3)) }));
        assert!(!old.is_same_file(&stat(1, 20, Some(4))));
        assert!(!old.is_same_file(&stat(2, 10, Some(3))));
        assert!(!old.is_same_file(&Stat { dev: 2, ..old }));
        // Where nobody knows when it was made, the last write decides.
        let unknown = stat(1, 10, None);
        assert!(unknown.is_same_file(&stat(1, 20, None)));
        assert!(!unknown.is_same_file(&Stat { mtime: 6, ..unknown }));
    }

    #[test]
    fn a_version_that_comes_back_is_counted() {
        let first = Version::after(&stat(1, 10, None), None);
        let second = Version::after(&stat(1, 10, None), Some(first));
        assert_eq!((first.times, second.times), (1, 2));
        assert_eq!(Version::after(&stat(1, 11, None), Some(second)).times, 1);
    }

    #[test]
    fn a_record_says_only_what_its_stat_does_not() {
        let now = stat(1, 20, None);
        let plain = Record::new(now, Some("ab".into()), Version::after(&now, None), false);
        assert_eq!(
            serde_json::to_string(&plain).unwrap(),
            r#"{"stat":{"size":1,"mtime":5,"ctime":20,"dev":1,"ino":1},"sha256":"ab"}"#
        );
        let touched = Record::new(now, Some("ab".into()), Version { ino: 1, ctime: 10, times: 1 }, true);
        let back: Record = serde_json::from_str(&serde_json::to_string(&touched).unwrap()).unwrap();
        assert_eq!(back, touched);
        assert_eq!(back.version().ctime, 10);
    }

    #[test]
    fn size_and_time_decide_where_a_digest_is_missing() {
        let now = stat(1, 20, None);
        let record = |sha256: Option<&str>| {
            Record::new(now, sha256.map(Into::into), Version::after(&now, None), false)
        };
        let (moved, longer) = (stat(2, 30, None), Stat { size: 2, ..now });
        let later = Stat { mtime: 6, ..now };
        for (known, stat, found, is_same) in [
            (Some("a"), &longer, Some("a"), true),
            (Some("a"), &now, Some("b"), false),
            (None, &moved, Some("a"), true),
            (Some("a"), &moved, None, true),
            (None, &longer, None, false),
            (Some("a"), &later, None, false),
        ] {
            assert_eq!(record(known).holds(stat, found), is_same, "{known:?} {stat:?} {found:?}");
        }
        let unread = serde_json::to_string(&record(None)).unwrap();
        assert_eq!(unread, r#"{"stat":{"size":1,"mtime":5,"ctime":20,"dev":1,"ino":1}}"#);
        assert_eq!(serde_json::from_str::<Record>(&unread).unwrap(), record(None));
    }
}
