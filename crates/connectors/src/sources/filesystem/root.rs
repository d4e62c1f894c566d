//! The folder itself: whether it is there, and whether it is the one that is known. Without these checks a disk
//! that is not mounted would look like a folder whose files were all deleted.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use inboxclaw_contract::{Class, Failure};
use serde::{Deserialize, Serialize};

use super::filter::{Filter, FollowLinks};
use super::links::{FORBIDDEN, MOST_LINKS, PathMatch, find};
use super::path::RelPath;
use super::tree::{Tree, is_absent, is_of_kernel};

/// The folder as it was found.
#[derive(Debug, Clone)]
pub(super) struct Root {
    pub(super) tree: Tree,
    pub(super) filter: Arc<Filter>,
    is_empty: bool,
}

/// A link on the way to the folder: a name in a folder whose own path has no links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RootLink {
    pub(super) folder: PathBuf,
    pub(super) name: OsString,
}

/// The entry about the folder. It exists from the first turn on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RootRecord {
    /// As configured.
    path: String,
    dev: u64,
    ino: u64,
    /// Whether the baseline is complete. Until then nothing is reported.
    pub(super) complete: bool,
    /// Which links were followed when everything was last looked at. Where nothing is said, all were.
    #[serde(default = "all")]
    pub(super) follow_links: FollowLinks,
}

fn all() -> FollowLinks {
    FollowLinks::All
}

impl RootRecord {
    /// The key of the entry.
    pub(super) const KEY: &'static str = "baseline";

    /// The mark of a folder.
    pub(super) fn new(configured: &Path, root: &Root, complete: bool, follow_links: FollowLinks) -> Self {
        let (dev, ino) = root.inode();
        Self { path: configured.to_string_lossy().into_owned(), dev, ino, complete, follow_links }
    }

    /// Whether what is known is about another folder: the setting changed, and leads somewhere else. A folder that
    /// was renamed, or made anew under the same name, is still the one that people mean.
    pub(super) fn is_other(&self, now: &Self) -> bool {
        self.path != now.path && (self.dev, self.ino) != (now.dev, now.ino)
    }

    /// Whether the folder looks like a mount point without its disk.
    pub(super) fn looks_unmounted(&self, root: &Root) -> bool {
        root.is_empty && self.dev != root.inode().0
    }
}

impl Root {
    /// Finds the folder and opens it. Blocks.
    ///
    /// # Errors
    /// Names the folder and what the file system says of it.
    pub(super) fn open(configured: &Path, filter: &Arc<Filter>) -> Result<Self, Failure> {
        let open = || -> io::Result<(Self, bool)> {
            let tree = Tree::open(fs::canonicalize(configured)?)?;
            let is_empty = tree.is_empty(&RelPath::root())?;
            let is_of_kernel = is_of_kernel(tree.folder(&RelPath::root())?)?;
            Ok((Self { tree, filter: filter.clone(), is_empty }, is_of_kernel))
        };
        let (root, is_of_kernel) = open().map_err(|error| failure(configured, &error))?;
        if is_of_kernel {
            let text =
                format!("path: what the folder {} holds is made up by the kernel", configured.display());
            return Err(Failure::text(Class::Configuration, text).action("correct path"));
        }
        filter.own.resolve(&root.tree.path);
        Ok(root)
    }

    /// Checks that the folder is still the same one, before believing that something in it is gone. Blocks.
    ///
    /// # Errors
    /// As [`open`](Self::open), or when another folder has taken its place.
    pub(super) fn check(&self, configured: &Path) -> Result<(), Failure> {
        if self.is_same(&Self::open(configured, &self.filter)?) {
            return Ok(());
        }
        let text = format!("path: the folder {} was replaced while it was read", configured.display());
        Err(Failure::text(Class::Unavailable, text))
    }

    /// Whether both are one folder.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.tree.path == other.tree.path && self.inode() == other.inode()
    }

    /// Whether the setting leads to this folder right now. Blocks.
    pub(super) fn is_at(&self, configured: &Path) -> bool {
        fs::canonicalize(configured).is_ok_and(|path| path == self.tree.path)
    }

    /// The links on the way from the setting to the folder. Blocks.
    pub(super) fn ways(configured: &Path) -> Vec<RootLink> {
        let mut ways = Vec::new();
        let mut at = PathBuf::from("/");
        let mut todo: VecDeque<OsString> = VecDeque::new();
        let push = |todo: &mut VecDeque<OsString>, path: &Path| {
            path.components().rev().for_each(|part| todo.push_front(part.as_os_str().to_owned()));
        };
        push(&mut todo, configured);
        while let Some(part) = todo.pop_front() {
            match Path::new(&part).components().next() {
                Some(Component::RootDir) => at = PathBuf::from("/"),
                Some(Component::ParentDir) => drop(at.pop()),
                Some(Component::Normal(name)) => match fs::read_link(at.join(name)) {
                    Ok(_) if ways.len() == MOST_LINKS => break,
                    Ok(target) => {
                        ways.push(RootLink { folder: at.clone(), name: name.to_owned() });
                        push(&mut todo, &target);
                    }
                    Err(_) => at.push(name),
                },
                Some(Component::CurDir | Component::Prefix(_)) | None => {}
            }
        }
        ways
    }

    /// What is at a path, links that are followed being followed. Blocks.
    ///
    /// # Errors
    /// As the file system says; that nothing is there is no error.
    pub(super) fn find(&self, path: &RelPath) -> io::Result<PathMatch> {
        find(&self.tree, &self.filter, path)
    }

    /// Whether a folder within is one that is never looked at, such as `/dev` below `/`.
    pub(super) fn is_forbidden(&self, folder: &RelPath) -> bool {
        !folder.is_root() && FORBIDDEN.iter().any(|top| folder.under(&self.tree.path) == Path::new(top))
    }

    fn inode(&self) -> (u64, u64) {
        (self.tree.stat.dev, self.tree.stat.ino)
    }
}

/// The failure of a folder that cannot be read: it may come back by itself, with its disk or its server, or when
/// somebody makes it.
fn failure(configured: &Path, error: &io::Error) -> Failure {
    let text = format!("path: cannot read the folder {}: {error}", configured.display());
    let failure = Failure::text(Class::Unavailable, text);
    if is_absent(error) || error.kind() == io::ErrorKind::PermissionDenied {
        failure.action("create or mount the folder, make it readable, or correct path")
    } else {
        failure
    }
}

/// The failure of a folder that seems to lack its disk.
pub(super) fn unmounted(configured: &Path) -> Failure {
    let text = format!(
        "path: the folder {} is empty and on another device than before, so its files are not taken for deleted",
        configured.display()
    );
    Failure::text(Class::Unavailable, text)
        .action("mount the disk; if the folder is meant to be empty, put any file into it")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn each_link_on_the_way_is_named_once_followed() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        for folder in ["a/real", "b"] {
            fs::create_dir_all(base.join(folder)).unwrap();
        }
        symlink("real", base.join("a/current")).unwrap();
        symlink("../a/./current", base.join("b/chain")).unwrap();
        symlink(base.join("b"), base.join("top")).unwrap();
        symlink("circle", base.join("circle")).unwrap();
        let ways = |path: &str| -> Vec<String> {
            let shown =
                |way: RootLink| way.folder.join(way.name).strip_prefix(&base).unwrap().display().to_string();
            Root::ways(&base.join(path)).into_iter().map(shown).collect()
        };
        assert_eq!(ways("a/real"), Vec::<String>::new());
        assert_eq!(ways("a/current"), ["a/current"]);
        assert_eq!(ways("top/chain"), ["top", "b/chain", "a/current"]);
        assert_eq!(ways("b/../top/nowhere/chain"), ["top"]);
        assert_eq!(ways("circle").len(), MOST_LINKS);
    }
}
