//! Change notifications of systems other than Linux: through the `notify` crate, whose thread fills the inbox. One
//! recursive watch is what such systems offer; links that lead to the root are not watched.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::super::filter::Filter;
use super::super::inbox::{Inbox, Scopes};
use super::super::path::RelPath;
use super::super::problems::WatchProblem;
use super::super::root::Root;
use crate::lock::lock;

/// The operating system's watcher, made when it is first needed.
pub(in super::super) struct Watch {
    inbox: Arc<Inbox>,
    filter: Arc<Filter>,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    /// The watcher and the root that it was made for.
    watcher: Option<(RecommendedWatcher, PathBuf)>,
    trouble: Option<WatchProblem>,
}

impl Watch {
    /// A watch that puts its news into `inbox`.
    pub(in super::super) fn new(inbox: Arc<Inbox>, filter: Arc<Filter>) -> Self {
        Self { inbox, filter, running: Mutex::default() }
    }

    /// Makes sure that a watcher for `root` runs. Each full look calls it, so what did not work is tried again.
    pub(in super::super) fn start(&self, root: &Root, _configured: &Path) {
        let mut running = lock(&self.running);
        running.trouble = None;
        let path = &root.tree.path;
        if running.watcher.as_ref().is_some_and(|(_, watched)| watched == path) {
            return;
        }
        running.watcher = None;
        match notify::recommended_watcher(self.handler(path.clone())) {
            Ok(watcher) => running.watcher = Some((watcher, path.clone())),
            Err(error) => running.trouble = Some(trouble(&error)),
        }
    }

    /// Watches the root with all below it.
    pub(in super::super) fn add(&self, _root: &Root, path: &RelPath, _folder: BorrowedFd<'_>) {
        let mut running = lock(&self.running);
        if running.trouble.is_some() || !path.is_root() {
            return;
        }
        let Some((watcher, root)) = &mut running.watcher else { return };
        if let Err(error) = watcher.watch(root, RecursiveMode::Recursive)
            && is_lasting(&error)
        {
            running.trouble = Some(trouble(&error));
        }
    }

    /// The thread hands the news on by itself.
    pub(in super::super) fn catch_up(&self) {}

    /// Returns once the inbox is not empty. May be dropped at any await.
    pub(in super::super) async fn wait(&self) {
        self.inbox.wait().await;
    }

    /// What keeps it from watching everything, if anything.
    pub(in super::super) fn trouble(&self) -> Option<WatchProblem> {
        lock(&self.running).trouble.clone()
    }

    fn handler(&self, root: PathBuf) -> impl Fn(notify::Result<notify::Event>) + Send + 'static {
        let (inbox, filter) = (self.inbox.clone(), self.filter.clone());
        move |event| inbox.put(scopes(event, &root, &filter))
    }
}

/// What to look at after an event.
fn scopes(event: notify::Result<notify::Event>, root: &Path, filter: &Filter) -> Scopes {
    let Ok(event) = event else { return Scopes::everything() };
    if event.need_rescan() {
        return Scopes::everything();
    }
    // Our own reading is news to the watcher too.
    let is_write = event.kind == EventKind::Access(AccessKind::Close(AccessMode::Write));
    if event.kind.is_access() && !is_write {
        return Scopes::default();
    }
    let paths = event.paths.iter().filter_map(|path| RelPath::below(root, path));
    let paths: std::collections::BTreeSet<RelPath> = paths.filter(|path| filter.concerns(path)).collect();
    Scopes { all: paths.iter().any(RelPath::is_root), paths }
}

/// Whether the watcher will not work for other folders either. A folder that is gone or closed is no such reason:
/// reading it says so.
fn is_lasting(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::Io(error) => !matches!(
            error.kind(),
            std::io::ErrorKind::NotFound
                | std::io::ErrorKind::PermissionDenied
                | std::io::ErrorKind::NotADirectory
        ),
        ErrorKind::PathNotFound => false,
        _ => true,
    }
}

fn trouble(error: &notify::Error) -> WatchProblem {
    WatchProblem::watcher(matches!(error.kind, ErrorKind::MaxFilesWatch), error)
}
