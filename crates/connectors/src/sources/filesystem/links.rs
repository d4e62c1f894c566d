//! Which links are followed, and to which file a link leads. A link is followed step by step from the folder where it
//! lies, each step in an open folder. Where it leaves the folder, only its real end counts, and the answer is the same
//! whether something is there or not: who makes links in the folder learns nothing about what lies outside.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::filter::{Filter, FollowLinks};
use super::path::RelPath;
use super::record::{FileKind, Stat, Status};
use super::tree::{Place, Tree, is_absent};

/// Most links on the way of one: as many as the system follows.
pub(super) const MOST_LINKS: usize = 40;

/// What lies in these is never looked at by way of a link or from above, whatever the settings say.
pub(super) const FORBIDDEN: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Why something that is there is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hidden {
    /// A link that is not followed.
    Link,
    /// A file or folder that the kernel makes up.
    Kernel,
}

/// What is at a path, links that are followed being followed.
#[derive(Debug)]
pub(super) enum PathMatch {
    /// A regular file.
    File(Place, Stat),
    /// Nothing, a folder, a pipe, a device, one of the program's own files, or a link to such.
    Other,
    /// Something that is not looked at.
    Hidden(Hidden),
}

/// Where a link leads.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    /// To a path within the folder, on which no link was met.
    Inside(RelPath),
    /// Out of the folder: to this absolute path, which may or may not exist.
    Outside(PathBuf),
    /// To nothing, or in circles.
    Nothing,
}

/// Finds what is at a path. Blocks.
///
/// # Errors
/// As the file system says; that nothing is there is no error.
pub(super) fn find(tree: &Tree, filter: &Filter, path: &RelPath) -> io::Result<PathMatch> {
    let found = || -> io::Result<PathMatch> {
        let place = tree.place(path)?;
        let status = place.status()?;
        if status.kind == FileKind::Link {
            behind(tree, filter, path, &place)
        } else {
            file(tree, place, &status)
        }
    };
    found().or_else(|error| if is_absent(&error) { Ok(PathMatch::Other) } else { Err(error) })
}

/// What a link leads to.
fn behind(tree: &Tree, filter: &Filter, path: &RelPath, link: &Place) -> io::Result<PathMatch> {
    if filter.links == FollowLinks::None {
        return Ok(PathMatch::Hidden(Hidden::Link));
    }
    let outside = match target(tree, path, link)? {
        Target::Inside(target) if filter.own.holds(&target) => return Ok(PathMatch::Other),
        Target::Inside(target) => return open(tree, &target),
        Target::Nothing => return Ok(PathMatch::Other),
        Target::Outside(outside) => outside,
    };
    // It may lead back in: by another name of the folder, or by a link out there.
    let real = fs::canonicalize(&outside);
    if let Some(target) = real.as_ref().ok().and_then(|real| RelPath::below(&tree.path, real)) {
        return if filter.own.holds(&target) { Ok(PathMatch::Other) } else { open(tree, &target) };
    }
    // Where it is not followed, the answer does not say whether it is there.
    if filter.links == FollowLinks::All {
        follow_outside(filter, &real?)
    } else {
        Ok(PathMatch::Hidden(Hidden::Link))
    }
}

/// A file outside, by its real path.
fn follow_outside(filter: &Filter, real: &Path) -> io::Result<PathMatch> {
    if FORBIDDEN.iter().any(|forbidden| real.starts_with(forbidden)) {
        return Ok(PathMatch::Hidden(Hidden::Link));
    }
    if filter.own.is_at(real) {
        return Ok(PathMatch::Other);
    }
    let top = Tree::open(PathBuf::from("/"))?;
    match RelPath::below(&top.path, real) {
        Some(target) => match open(&top, &target)? {
            PathMatch::Hidden(_) => Ok(PathMatch::Hidden(Hidden::Link)),
            found => Ok(found),
        },
        None => Ok(PathMatch::Other),
    }
}

/// The file at a path without links. Should a link have come there meanwhile, it is none.
fn open(tree: &Tree, path: &RelPath) -> io::Result<PathMatch> {
    let place = tree.place(path)?;
    let status = place.status()?;
    file(tree, place, &status)
}

fn file(tree: &Tree, place: Place, status: &Status) -> io::Result<PathMatch> {
    Ok(match status.kind {
        FileKind::File if status.stat.dev != tree.stat.dev && place.is_of_kernel()? => {
            PathMatch::Hidden(Hidden::Kernel)
        }
        FileKind::File => PathMatch::File(place, status.stat),
        FileKind::Folder | FileKind::Link | FileKind::Special => PathMatch::Other,
    })
}

/// Follows a link as long as it stays in the folder. Each step looks into an open folder and takes no link unseen, so
/// that the answer holds whatever is swapped on the way meanwhile.
fn target(tree: &Tree, path: &RelPath, link: &Place) -> io::Result<Target> {
    let mut at = path.parent();
    let mut todo: VecDeque<OsString> = VecDeque::new();
    let mut text = link.link()?;
    for _ in 0..MOST_LINKS {
        if text.is_absolute() {
            let Some(below) = RelPath::below(&tree.path, &text) else {
                return Ok(Target::Outside(joined(&text, &todo)));
            };
            // Its parts may be `..`, so they are taken one by one.
            text = below.under(Path::new(""));
            at = RelPath::root();
        }
        for part in text.components().rev() {
            todo.push_front(part.as_os_str().to_owned());
        }
        text = loop {
            let Some(part) = todo.pop_front() else { return Ok(Target::Inside(at)) };
            match part.as_bytes() {
                b"." | b"" => continue,
                b".." if at.is_root() => {
                    let around = tree.path.parent().unwrap_or(&tree.path);
                    return Ok(Target::Outside(joined(around, &todo)));
                }
                b".." => {
                    at = at.parent();
                    continue;
                }
                _ => {}
            }
            let next = at.join(&part);
            let place = tree.place(&next)?;
            match place.status()?.kind {
                FileKind::Link => break place.link()?,
                FileKind::Folder => at = next,
                FileKind::File | FileKind::Special if todo.is_empty() => return Ok(Target::Inside(next)),
                FileKind::File | FileKind::Special => return Ok(Target::Nothing),
            }
        };
    }
    Ok(Target::Nothing)
}

fn joined(start: &Path, rest: &VecDeque<OsString>) -> PathBuf {
    let mut path = start.to_owned();
    path.extend(rest);
    path
}
