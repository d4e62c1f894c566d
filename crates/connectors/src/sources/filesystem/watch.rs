//! News from the operating system: which paths may have changed. It is a hint only; what is true is decided by
//! looking. The watcher runs in a thread of its own and fills a box that a poll empties.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use super::filter::Filter;
use super::path::Rel;
use super::trouble::Trouble;

/// Most paths in the box. Beyond, everything is looked at instead.
const MOST_PATHS: usize = 20_000;

/// inotify watches single folders. Elsewhere one recursive watch is what the system offers.
const IS_SINGLE: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Which paths to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scopes {
    /// Everything.
    pub(super) all: bool,
    /// These files, and everything below these folders.
    pub(super) paths: BTreeSet<Rel>,
}

impl Scopes {
    /// Whether there is nothing to look at.
    pub(super) fn is_empty(&self) -> bool {
        !self.all && self.paths.is_empty()
    }

    /// Adds what another one holds.
    pub(super) fn merge(&mut self, other: Self) {
        self.all |= other.all;
        self.paths.extend(other.paths);
        if self.all || self.paths.len() > MOST_PATHS {
            *self = Self { all: true, paths: BTreeSet::new() };
        }
    }
}

/// The box between the watcher's thread and the polls.
#[derive(Default)]
pub(super) struct Inbox {
    news: Mutex<Scopes>,
    arrived: Notify,
}

impl Inbox {
    /// Adds something to look at and wakes whoever waits.
    pub(super) fn put(&self, scopes: Scopes) {
        if !scopes.is_empty() {
            lock(&self.news).merge(scopes);
            self.arrived.notify_one();
        }
    }

    /// Empties the box.
    pub(super) fn take(&self) -> Scopes {
        std::mem::take(&mut lock(&self.news))
    }

    /// Returns once there is something in the box. May be dropped at any await.
    pub(super) async fn wait(&self) {
        while lock(&self.news).is_empty() {
            self.arrived.notified().await;
        }
    }
}

/// The operating system's watcher, made when it is first needed.
pub(super) struct Watch {
    inbox: Arc<Inbox>,
    filter: Arc<Filter>,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    /// The watcher and the root that it was made for.
    watcher: Option<(RecommendedWatcher, PathBuf)>,
    trouble: Option<Trouble>,
}

impl Watch {
    /// A watch that puts its news into `inbox`.
    pub(super) fn new(inbox: Arc<Inbox>, filter: Arc<Filter>) -> Self {
        Self { inbox, filter, running: Mutex::default() }
    }

    /// Makes sure that a watcher for `root` runs. Each full look calls it, so what did not work is tried again.
    pub(super) fn start(&self, root: &Path) {
        let mut running = lock(&self.running);
        running.trouble = None;
        if running.watcher.as_ref().is_some_and(|(_, watched)| watched == root) {
            return;
        }
        running.watcher = None;
        let handler = self.handler(root.to_owned());
        match notify::recommended_watcher(handler) {
            Ok(watcher) => running.watcher = Some((watcher, root.to_owned())),
            Err(error) => running.trouble = Some(Trouble::watcher(&error)),
        }
    }

    /// Watches a folder, without those below it. Without a place for it, changes there are found by looking only.
    pub(super) fn add(&self, folder: &Path) {
        let mut running = lock(&self.running);
        if running.trouble.is_some() {
            return;
        }
        let Some((watcher, root)) = &mut running.watcher else { return };
        if !IS_SINGLE && folder != root {
            return;
        }
        let mode = if IS_SINGLE { RecursiveMode::NonRecursive } else { RecursiveMode::Recursive };
        if let Err(error) = watcher.watch(folder, mode)
            && is_lasting(&error)
        {
            running.trouble = Some(Trouble::watcher(&error));
        }
    }

    /// Returns when the news that the system had are in the box. A rename is two pieces of news; the watcher's thread
    /// may have handed on the first and not yet the second. Blocks.
    pub(super) fn catch_up(&self) {
        if !IS_SINGLE {
            return;
        }
        if let Some((watcher, root)) = &mut lock(&self.running).watcher {
            // The thread answers between two rounds of news: after the one it is in, and perhaps before the next.
            for _ in 0..2 {
                let _ = watcher.watch(root, RecursiveMode::NonRecursive);
            }
        }
    }

    /// What keeps it from watching everything, if anything.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        lock(&self.running).trouble.clone()
    }

    fn handler(&self, root: PathBuf) -> impl Fn(notify::Result<notify::Event>) + Send + 'static {
        let (inbox, filter) = (self.inbox.clone(), self.filter.clone());
        move |event| inbox.put(scopes(event, &root, &filter))
    }
}

/// What to look at after an event.
fn scopes(event: notify::Result<notify::Event>, root: &Path, filter: &Filter) -> Scopes {
    let everything = Scopes { all: true, paths: BTreeSet::new() };
    let Ok(event) = event else { return everything };
    if event.need_rescan() {
        return everything;
    }
    // Our own reading is news to the watcher too.
    let is_write = event.kind == EventKind::Access(AccessKind::Close(AccessMode::Write));
    if event.kind.is_access() && !is_write {
        return Scopes::default();
    }
    let paths = event.paths.iter().filter_map(|path| Rel::below(root, path));
    let paths: BTreeSet<Rel> = paths.filter(|path| filter.concerns(path)).collect();
    Scopes { all: paths.iter().any(Rel::is_root), paths }
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use notify::Event;
    use notify::event::{CreateKind, Flag, MetadataKind, ModifyKind};

    use super::super::own::Own;
    use super::*;

    fn check(event: notify::Result<Event>, all: bool, paths: &[&str]) {
        let mut filter = Filter::new(&["*.tmp".to_owned()], &[], true).unwrap();
        filter.own = Own::new(vec!["/r/own.db".into()]);
        filter.own.resolve(Path::new("/r"));
        let found = scopes(event, Path::new("/r"), &filter);
        assert_eq!(found.all, all);
        assert_eq!(found.paths.iter().map(Rel::shown).collect::<Vec<_>>(), paths);
    }

    fn event(kind: EventKind, path: &str) -> notify::Result<Event> {
        Ok(Event::new(kind).add_path(path.into()))
    }

    #[test]
    fn lost_news_are_a_reason_to_look_at_everything() {
        check(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan)), true, &[]);
        check(Err(notify::Error::generic("broken")), true, &[]);
        check(event(EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)), "/r"), true, &[""]);
    }

    #[test]
    fn our_own_reading_and_ignored_paths_are_no_news() {
        let file = EventKind::Create(CreateKind::File);
        check(event(file, "/r/a/b"), false, &["a/b"]);
        check(event(file, "/r/a.tmp/b"), false, &[]);
        check(event(file, "/elsewhere"), false, &[]);
        check(event(EventKind::Modify(ModifyKind::Any), "/r/own.db-wal"), false, &[]);
        check(event(EventKind::Access(AccessKind::Open(AccessMode::Any)), "/r/a"), false, &[]);
        check(event(EventKind::Access(AccessKind::Close(AccessMode::Read)), "/r/a"), false, &[]);
        check(event(EventKind::Access(AccessKind::Close(AccessMode::Write)), "/r/a"), false, &["a"]);
    }

    #[test]
    fn too_many_paths_are_everything() {
        let paths = (0..=MOST_PATHS).map(|at| Rel::root().join(at.to_string().as_ref()));
        let mut scopes = Scopes::default();
        scopes.merge(Scopes { all: false, paths: paths.collect() });
        assert_eq!(scopes, Scopes { all: true, paths: BTreeSet::new() });
    }

    #[test]
    fn a_limit_of_the_system_is_lasting_a_vanished_folder_is_not() {
        assert!(is_lasting(&notify::Error::new(ErrorKind::MaxFilesWatch)));
        assert!(!is_lasting(&notify::Error::path_not_found()));
        assert!(!is_lasting(&notify::Error::io(std::io::ErrorKind::PermissionDenied.into())));
        let failure = Trouble::watcher(&notify::Error::new(ErrorKind::MaxFilesWatch)).failure();
        assert_eq!(failure.class, inboxclaw_contract::Class::Configuration);
        assert!(failure.action.unwrap().contains("fs.inotify.max_user_watches, or set watch_mode: poll"));
    }
}
