//! The folder, held open, and what is found beneath it. Nothing here follows a link, neither at the end of a path nor
//! on the way, and a file is opened in the very folder where it was looked at: whoever swaps files, folders and links
//! while we read sees to it at most that something is missing, never that we leave the folder. Which links are followed
//! after all is in `links`.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{Dir, Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;

use super::path::RelPath;
use super::record::{Stat, Status};

/// Longest whole path, in bytes: the system takes no longer one where a path is given, and what cannot be named to
/// anybody is better said to be too long.
const PATH_BYTES: usize = 4_095;

/// Only the place of a folder, where the system has that; else the folder opened for reading.
#[cfg(target_os = "linux")]
const PLACE: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const PLACE: OFlags = OFlags::RDONLY;

/// A folder, held open.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    /// Absolute, links resolved, as it was when it was opened.
    pub(super) path: PathBuf,
    handle: Arc<OwnedFd>,
    /// What the file system says about it.
    pub(super) stat: Stat,
}

/// Where a file, a folder or a link is: a name in an open folder.
#[derive(Debug)]
pub(super) struct Place {
    folder: OwnedFd,
    name: OsString,
}

impl Tree {
    /// Opens the folder at a path without links. Blocks.
    ///
    /// # Errors
    /// As the file system says.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let flags = PLACE | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(&path, flags, Mode::empty())?;
        let stat = Status::of(&handle)?.stat;
        Ok(Self { path, handle: Arc::new(handle), stat })
    }

    /// The place of a path, if every folder on the way is a real one. Blocks.
    ///
    /// # Errors
    /// [`is_absent`] ones when a part of the way is missing or no folder, else as the file system says.
    pub(super) fn place(&self, path: &RelPath) -> io::Result<Place> {
        let Some((folder, name)) = path.split() else {
            return Ok(Place { folder: self.open_beneath(path, PLACE)?, name: ".".into() });
        };
        self.check_length(path)?;
        if !is_plain(name) {
            return Err(absent());
        }
        Ok(Place { folder: self.open_beneath(&folder, PLACE)?, name: name.to_owned() })
    }

    /// The folder at a path, opened for reading. Blocks.
    ///
    /// # Errors
    /// As [`place`](Self::place).
    pub(super) fn folder(&self, path: &RelPath) -> io::Result<OwnedFd> {
        self.check_length(path)?;
        self.open_beneath(path, OFlags::RDONLY | OFlags::NONBLOCK)
    }

    /// What the file system says about the folder at a path. Blocks.
    ///
    /// # Errors
    /// As [`place`](Self::place).
    pub(super) fn folder_status(&self, path: &RelPath) -> io::Result<Status> {
        Status::of(self.open_beneath(path, PLACE)?)
    }

    /// Whether the folder at a path holds nothing. Blocks.
    ///
    /// # Errors
    /// As [`place`](Self::place).
    pub(super) fn is_empty(&self, path: &RelPath) -> io::Result<bool> {
        let mut entries = Dir::new(self.folder(path)?)?;
        while let Some(entry) = entries.read() {
            if !is_dots(entry?.file_name().to_bytes()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn open_beneath(&self, path: &RelPath, access: OFlags) -> io::Result<OwnedFd> {
        let flags = access | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if path.is_root() {
            return Ok(openat(&self.handle, ".", flags, Mode::empty())?);
        }
        if !path.parts().all(is_plain) {
            return Err(absent());
        }
        #[cfg(target_os = "linux")]
        if let Some(opened) = in_one_step(self.handle.as_fd(), path, flags) {
            return opened;
        }
        by_parts(self.handle.as_fd(), path, flags)
    }

    fn check_length(&self, path: &RelPath) -> io::Result<()> {
        let length = self.path.as_os_str().len() + 1 + path.as_os_str().len();
        if length > PATH_BYTES { Err(Errno::NAMETOOLONG.into()) } else { Ok(()) }
    }
}

impl Place {
    /// What is there. A link is a link here.
    ///
    /// # Errors
    /// As the file system says.
    pub(super) fn status(&self) -> io::Result<Status> {
        Status::at(&self.folder, &self.name)
    }

    /// Where the link that is there says that it leads.
    ///
    /// # Errors
    /// As the file system says, also when it is no link.
    pub(super) fn link(&self) -> io::Result<PathBuf> {
        let target = readlinkat(&self.folder, self.name.as_os_str(), Vec::new())?;
        Ok(PathBuf::from(OsStr::from_bytes(target.as_bytes())))
    }

    /// Opens the file that is there. Should a pipe have taken its place, this does not wait for a writer; should a link
    /// have, it fails.
    ///
    /// # Errors
    /// As the file system says.
    pub(super) fn open(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        Ok(File::from(openat(&self.folder, self.name.as_os_str(), flags, Mode::empty())?))
    }

    /// Whether there is a folder that holds no files: the system itself answers.
    ///
    /// # Errors
    /// As the file system says.
    pub(super) fn is_of_kernel(&self) -> io::Result<bool> {
        let flags = PLACE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        is_of_kernel(&openat(&self.folder, self.name.as_os_str(), flags, Mode::empty())?)
    }
}

/// Opens a folder at once. `None` where the system cannot: before Linux 5.6, and where a filter of system calls
/// forbids what it does not know.
#[cfg(target_os = "linux")]
fn in_one_step(root: BorrowedFd<'_>, path: &RelPath, flags: OFlags) -> Option<io::Result<OwnedFd>> {
    use rustix::fs::{ResolveFlags, openat2};

    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(root, path.as_os_str(), flags, Mode::empty(), resolve) {
        Err(Errno::NOSYS | Errno::PERM) => None,
        opened => Some(opened.map_err(Into::into)),
    }
}

/// Opens a folder part by part, each a real folder in the one before.
fn by_parts(root: BorrowedFd<'_>, path: &RelPath, flags: OFlags) -> io::Result<OwnedFd> {
    let way = PLACE | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut parts = path.parts().peekable();
    let mut folder: Option<OwnedFd> = None;
    while let Some(part) = parts.next() {
        let flags = if parts.peek().is_some() { way } else { flags };
        let from = folder.as_ref().map_or(root, OwnedFd::as_fd);
        folder = Some(openat(from, part, flags, Mode::empty())?);
    }
    folder.ok_or_else(absent)
}

/// Whether the system makes up the files of the file system that it lies on: they are no files of anybody, may be
/// endless, and hold secrets of processes.
#[cfg(target_os = "linux")]
pub(super) fn is_of_kernel(file: impl AsFd) -> io::Result<bool> {
    Ok(KERNEL.contains(&u32::try_from(rustix::fs::fstatfs(file)?.f_type).unwrap_or_default()))
}

/// Elsewhere such file systems are not known.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_of_kernel(_: impl AsFd) -> io::Result<bool> {
    Ok(false)
}

/// The magic numbers of linux/magic.h: proc, sysfs, devpts, cgroup, cgroup2, debugfs, tracefs, securityfs, selinuxfs,
/// smackfs, bpf, configfs, pstore, efivarfs, binfmt_misc, fusectl, nsfs, rpc_pipefs, mqueue, binderfs, resctrl, nfsd.
#[cfg(target_os = "linux")]
#[rustfmt::skip]
const KERNEL: [u32; 22] = [
    0x9fa0, 0x6265_6572, 0x1cd1, 0x0027_e0eb, 0x6367_7270, 0x6462_6720, 0x7472_6163, 0x7363_6673, 0xf97c_ff8c,
    0x4341_5d53, 0xcafe_4a11, 0x6265_6570, 0x6165_676c, 0xde5e_81e4, 0x4249_4e4d, 0x6573_5543, 0x6e73_6673,
    0x6759_6969, 0x1980_0202, 0x6c6f_6f70, 0x0765_5821, 0x6e66_7364,
];

fn is_plain(part: &OsStr) -> bool {
    !matches!(part.as_bytes(), b"" | b"." | b"..")
}

/// Whether a name is that of the folder itself or of the one around it.
pub(super) fn is_dots(name: &[u8]) -> bool {
    matches!(name, b"." | b"..")
}

fn absent() -> io::Error {
    io::ErrorKind::NotFound.into()
}

/// Whether the error says that nothing is there: no such name, a file or a link where a folder was, a link that leads
/// to nothing or in circles.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}
