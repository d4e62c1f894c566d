//! Disks that are mounted within the folder. When such a disk is not mounted, its files are out of reach and not
//! deleted; what is left is an empty folder of the file system around it. Which folders are the top of another file
//! system is an entry of the state, so that a start without the disk is told from a deletion. Device numbers are
//! compared at one moment only: they may change when the computer starts. Left out: the folder itself, which `root`
//! checks, and single folders of the same file system that are mounted twice.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use inboxclaw_contract::limits::KEY_BYTES;
use inboxclaw_contract::{Draft, Expiry, Failure};

use super::config::blocking;
use super::inbox::Scopes;
use super::path::{KeyFamily, RelPath};
use super::root::Root;
use super::tree::{Tree, is_absent};

/// Most folders that are remembered, so that the entry stays small.
const MOST: usize = 1_000;

/// The folders that are the top of another file system.
#[derive(Default)]
pub(super) struct Mounts {
    known: BTreeSet<RelPath>,
    now: BTreeSet<RelPath>,
}

/// What became of a folder that was the top of another file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MountState {
    /// It still is, or the file system does not say.
    Mounted,
    /// An empty folder.
    Empty,
    /// It is gone, or an ordinary folder in use.
    Over,
}

impl Mounts {
    /// The key of the entry: a list of paths, escaped.
    pub(super) const KEY: &'static str = "mounts";

    /// Compares what is known with the tops `found` by a walk. Answers which folders within `scopes` lack their disk,
    /// as far as files are known below them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) async fn compare(
        found: BTreeSet<RelPath>,
        root: &Root,
        scopes: &Scopes,
        draft: &mut Draft<'_>,
    ) -> Result<(Self, BTreeMap<RelPath, io::Error>), Failure> {
        let known = read(draft).await?;
        let (tree, asked) = (root.tree.clone(), known.clone());
        let places = blocking(move || places(&tree, asked)).await?;
        let mut now = found;
        let mut missing = BTreeMap::new();
        for (folder, place) in places {
            let is_empty = place == MountState::Empty;
            if place == MountState::Over
                || !root.filter.concerns(&folder)
                || (is_empty && !holds(&folder, draft).await?)
            {
                continue;
            }
            if is_empty && is_touched(&folder, scopes) {
                missing.insert(folder.clone(), not_mounted());
            }
            now.insert(folder);
        }
        now = now.into_iter().take(MOST).collect();
        Ok((Self { known, now }, missing))
    }

    /// Writes down what is known now.
    ///
    /// # Errors
    /// When the turn has no room.
    pub(super) fn put(&self, draft: &mut Draft<'_>) -> Result<(), Failure> {
        if self.now == self.known {
            return Ok(());
        }
        if self.now.is_empty() {
            return draft.delete(Self::KEY);
        }
        let paths: Vec<_> = self.now.iter().map(RelPath::escaped).collect();
        draft.put(Self::KEY, &paths, Expiry::Never)
    }
}

async fn read(draft: &mut Draft<'_>) -> Result<BTreeSet<RelPath>, Failure> {
    // What a person made unreadable says nothing; the next walk finds what is mounted.
    let paths: Option<Vec<String>> = draft.entry(Mounts::KEY).await?.and_then(|entry| entry.parse().ok());
    let paths = paths.unwrap_or_default();
    Ok(paths.iter().filter_map(|path| RelPath::from_escaped(path)).filter(|path| !path.is_root()).collect())
}

/// What became of the folders. One below an empty one is out of reach, and stays what it was.
fn places(tree: &Tree, folders: BTreeSet<RelPath>) -> Vec<(RelPath, MountState)> {
    let mut places: Vec<(RelPath, MountState)> = Vec::new();
    for folder in folders {
        let is_hidden =
            places.iter().any(|(other, place)| *place == MountState::Empty && folder.is_within(other));
        let place = if is_hidden { MountState::Mounted } else { place(tree, &folder) };
        places.push((folder, place));
    }
    places
}

fn place(tree: &Tree, folder: &RelPath) -> MountState {
    let look = || -> io::Result<MountState> {
        if tree.folder_status(folder)?.stat.dev != tree.folder_status(&folder.parent())?.stat.dev {
            return Ok(MountState::Mounted);
        }
        Ok(if tree.is_empty(folder)? { MountState::Empty } else { MountState::Over })
    };
    look().unwrap_or_else(|error| if is_absent(&error) { MountState::Over } else { MountState::Mounted })
}

/// Whether files are known below the folder. Those whose paths are too long for a key count for every folder.
async fn holds(folder: &RelPath, draft: &mut Draft<'_>) -> Result<bool, Failure> {
    let [plain, hashed] = KeyFamily::File.prefixes();
    let prefix = format!("{plain}{}/", folder.escaped());
    Ok((prefix.len() <= KEY_BYTES && !draft.list(&prefix, None, 1).await?.is_empty())
        || !draft.list(hashed, None, 1).await?.is_empty())
}

fn is_touched(folder: &RelPath, scopes: &Scopes) -> bool {
    scopes.all || scopes.paths.iter().any(|path| path.is_within(folder) || folder.is_within(path))
}

fn not_mounted() -> io::Error {
    io::Error::other(
        "another file system was mounted here, and now the folder is empty, so its files are not taken for deleted: \
         mount it, or remove the folder",
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn tree(path: &Path) -> Tree {
        Tree::open(std::fs::canonicalize(path).unwrap()).unwrap()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_mounted_folder_is_told_from_others() {
        let rel = |path: &str| RelPath::from_escaped(path).unwrap();
        let top = tree(Path::new("/"));
        assert_eq!(place(&top, &rel("proc")), MountState::Mounted);
        assert_eq!(place(&top, &rel("proc/self")), MountState::Over);
    }

    #[test]
    fn a_folder_that_hides_others_speaks_for_them() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["empty", "used/inner"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let rel = |path: &str| RelPath::from_escaped(path).unwrap();
        let folders = ["empty", "empty/inner", "gone", "used"].map(rel);
        let found: Vec<MountState> = places(&tree(dir.path()), folders.into_iter().collect())
            .into_iter()
            .map(|(_, place)| place)
            .collect();
        assert_eq!(found, [MountState::Empty, MountState::Mounted, MountState::Over, MountState::Over]);
    }
}
