//! Linux: one watch for each folder, placed on the folder that is open, not on a path. So a link that takes a folder's
//! place while we look gets no watch on what it leads to. The queue of the kernel is read when somebody asks, without
//! a thread; what does not fit into it is told as lost.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{CStr, OsStr, OsString};
use std::future::pending;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::super::filter::Filter;
use super::super::inbox::{Inbox, Scopes};
use super::super::path::RelPath;
use super::super::problems::WatchProblem;
use super::super::record::Status;
use super::super::root::{Root, RootLink};
use crate::lock::lock;

/// Bytes of news read at once: some hundred.
const BUFFER: usize = 16 << 10;

/// What is news about a folder and what it holds. Opening and reading is not: we do that ourselves.
const FOLDER: WatchFlags = WatchFlags::ATTRIB
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// What is news about a folder that holds a link on the way to the root.
const WAY: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ONLYDIR);

/// The watches of one source, made when they are first needed.
pub(in super::super) struct Watch {
    inbox: Arc<Inbox>,
    filter: Arc<Filter>,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    folders: Option<Folders>,
    ways: Option<RootLinks>,
    trouble: Option<WatchProblem>,
}

/// The watches on the folders within a root.
struct Folders {
    root: PathBuf,
    queue: Arc<OwnedFd>,
    /// Both ways, so that a folder which is moved or made anew leaves no watch behind.
    paths: HashMap<i32, RelPath>,
    watches: BTreeMap<RelPath, i32>,
}

/// The watches on the links that lead to the root.
struct RootLinks {
    links: Vec<RootLink>,
    queue: Arc<OwnedFd>,
    names: HashMap<i32, BTreeSet<OsString>>,
}

impl Watch {
    /// A watch that puts its news into `inbox`.
    pub(in super::super) fn new(inbox: Arc<Inbox>, filter: Arc<Filter>) -> Self {
        Self { inbox, filter, running: Mutex::default() }
    }

    /// Makes sure that a watch of `root` runs, and of the links that lead there. Each full look calls it, so what did
    /// not work is tried again. Blocks.
    pub(in super::super) fn start(&self, root: &Root, configured: &Path) {
        let mut running = lock(&self.running);
        running.trouble = None;
        if running.folders.as_ref().is_none_or(|folders| folders.root != root.tree.path) {
            running.folders = None;
            match Folders::new(root) {
                Ok(folders) => running.folders = Some(folders),
                Err(error) => running.trouble = Some(trouble(error)),
            }
        }
        let links = Root::ways(configured);
        if running.ways.as_ref().map_or(&[][..], |ways| &ways.links) == links {
            return;
        }
        running.ways = None;
        match RootLinks::new(links) {
            Ok(ways) => running.ways = Some(ways),
            Err(error) => running.trouble = Some(trouble(error)),
        }
        // A link may have been turned between the look at the root and the watch on the link.
        if !root.is_at(configured) {
            self.inbox.put(Scopes::everything());
        }
    }

    /// Watches a folder that is open, without those below it. Without a place for it, changes there are found by
    /// looking only.
    pub(in super::super) fn add(&self, root: &Root, path: &RelPath, folder: BorrowedFd<'_>) {
        let mut running = lock(&self.running);
        if running.trouble.is_some() {
            return;
        }
        let Some(folders) = &mut running.folders else { return };
        if let Err(error) = folders.add(root, path, folder)
            && is_lasting(error)
        {
            running.trouble = Some(trouble(error));
        }
    }

    /// Puts the notifications that the system has into the inbox.
    pub(in super::super) fn catch_up(&self) {
        let mut running = lock(&self.running);
        let mut news =
            running.folders.as_mut().map(|folders| folders.drain(&self.filter)).unwrap_or_default();
        if running.ways.as_ref().is_some_and(RootLinks::drain) {
            news.all = true;
        }
        drop(running);
        self.inbox.put(news);
    }

    /// Returns once the inbox is not empty. May be dropped at any await.
    pub(in super::super) async fn wait(&self) {
        loop {
            self.catch_up();
            if !self.inbox.is_empty() {
                return;
            }
            let (folders, ways) = self.queues();
            tokio::select! {
                () = self.inbox.wait() => {}
                () = readable(folders) => {}
                () = readable(ways) => {}
            }
        }
    }

    /// What keeps it from watching everything, if anything.
    pub(in super::super) fn trouble(&self) -> Option<WatchProblem> {
        lock(&self.running).trouble.clone()
    }

    fn queues(&self) -> (Option<Arc<OwnedFd>>, Option<Arc<OwnedFd>>) {
        let running = lock(&self.running);
        let folders = running.folders.as_ref().map(|folders| folders.queue.clone());
        (folders, running.ways.as_ref().map(|ways| ways.queue.clone()))
    }
}

impl Folders {
    fn new(root: &Root) -> Result<Self, Errno> {
        let queue = queue()?;
        Ok(Self { root: root.tree.path.clone(), queue, paths: HashMap::new(), watches: BTreeMap::new() })
    }

    fn add(&mut self, root: &Root, path: &RelPath, folder: BorrowedFd<'_>) -> Result<(), Errno> {
        let open = format!("/proc/self/fd/{}", folder.as_raw_fd());
        let watch = match add_watch(&self.queue, open.as_str(), FOLDER) {
            Err(Errno::NOENT) => self.add_by_path(root, path, folder)?,
            added => added?,
        };
        if let Some(old) = self.paths.insert(watch, path.clone()).filter(|old| old != path) {
            self.watches.remove(&old);
        }
        if let Some(old) = self.watches.insert(path.clone(), watch).filter(|old| *old != watch) {
            self.remove(old);
        }
        Ok(())
    }

    /// Without /proc: by its path, and only if that shows the very folder afterwards too.
    fn add_by_path(&self, root: &Root, path: &RelPath, folder: BorrowedFd<'_>) -> Result<i32, Errno> {
        let flags = FOLDER.union(WatchFlags::DONT_FOLLOW);
        let watch = add_watch(&self.queue, path.under(&root.tree.path), flags)?;
        let inode = |status: Status| (status.stat.dev, status.stat.ino);
        let there = root.tree.folder(path).and_then(Status::of).map(inode);
        if there.is_ok_and(|there| Status::of(folder).map(inode).is_ok_and(|open| open == there)) {
            return Ok(watch);
        }
        let _ = remove_watch(&self.queue, watch);
        Err(Errno::NOENT)
    }

    fn remove(&mut self, watch: i32) {
        self.paths.remove(&watch);
        // It may be gone by itself, with its folder.
        let _ = remove_watch(&self.queue, watch);
    }

    /// Ends the watches on a folder and all below it: it was moved, or is gone. What comes to a path is watched anew.
    fn remove_within(&mut self, path: &RelPath) {
        // All that begins with `path/` stands together; between it and `path` there may be `path-1`.
        let below = self.watches.range(path.join(OsStr::new(""))..).map(|(below, _)| below.clone());
        let below: Vec<RelPath> = below.take_while(|below| below.is_within(path)).collect();
        for path in below.into_iter().chain([path.clone()]) {
            if let Some(watch) = self.watches.remove(&path) {
                self.remove(watch);
            }
        }
    }

    fn drain(&mut self, filter: &Filter) -> Scopes {
        let mut news = Scopes::default();
        let queue = self.queue.clone();
        let is_whole = each(&queue, |event, flags, name| self.take(event, flags, name, filter, &mut news));
        if !is_whole {
            news.merge(Scopes::everything());
        }
        news
    }

    fn take(
        &mut self,
        watch: i32,
        flags: ReadFlags,
        name: Option<&OsStr>,
        filter: &Filter,
        news: &mut Scopes,
    ) {
        if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            return news.merge(Scopes::everything());
        }
        let Some(folder) = self.paths.get(&watch) else { return };
        let path = name.map_or_else(|| folder.clone(), |name| folder.join(name));
        if flags.contains(ReadFlags::IGNORED) {
            if let Some(path) = self.paths.remove(&watch)
                && self.watches.get(&path) == Some(&watch)
            {
                self.watches.remove(&path);
            }
            return;
        }
        let is_moved =
            flags.intersects(ReadFlags::MOVED_FROM | ReadFlags::DELETE) && flags.contains(ReadFlags::ISDIR);
        if is_moved {
            self.remove_within(&path);
        }
        if filter.concerns(&path) {
            let scopes = Scopes { all: path.is_root(), paths: BTreeSet::from([path]) };
            news.merge(scopes);
        }
    }
}

impl RootLinks {
    fn new(links: Vec<RootLink>) -> Result<Self, Errno> {
        let queue = queue()?;
        let mut names: HashMap<i32, BTreeSet<OsString>> = HashMap::new();
        for RootLink { folder, name } in &links {
            match add_watch(&queue, folder, WAY) {
                Ok(watch) => drop(names.entry(watch).or_default().insert(name.clone())),
                Err(error) if is_lasting(error) => return Err(error),
                Err(_) => {}
            }
        }
        Ok(Self { links, queue, names })
    }

    /// Whether one of the links was made, moved or removed.
    fn drain(&self) -> bool {
        let mut is_news = false;
        let is_whole = each(&self.queue, |watch, flags, name| {
            let names = self.names.get(&watch);
            is_news |= flags.contains(ReadFlags::QUEUE_OVERFLOW)
                || name.is_some_and(|name| names.is_some_and(|names| names.contains(name)));
        });
        is_news || !is_whole
    }
}

fn queue() -> Result<Arc<OwnedFd>, Errno> {
    init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map(Arc::new)
}

/// Hands on what is in a queue. `false` when it cannot be read.
fn each(queue: &OwnedFd, mut take: impl FnMut(i32, ReadFlags, Option<&OsStr>)) -> bool {
    let mut buffer = [MaybeUninit::uninit(); BUFFER];
    let mut reader = Reader::new(queue, &mut buffer);
    loop {
        match reader.next() {
            Ok(event) => {
                let name = event.file_name().map(CStr::to_bytes).map(OsStr::from_bytes);
                take(event.wd(), event.events(), name);
            }
            Err(Errno::INTR) => {}
            Err(error) => return error == Errno::AGAIN,
        }
    }
}

/// Returns when there is something in a queue.
#[expect(
    deprecated,
    reason = "its replacement is unsafe for types that may close the file: an `Arc<OwnedFd>` does not"
)]
async fn readable(queue: Option<Arc<OwnedFd>>) {
    if let Some(queue) = queue
        && let Ok(queue) = AsyncFd::with_interest(queue, Interest::READABLE)
        && queue.readable().await.is_ok()
    {
        return;
    }
    pending().await
}

/// Whether watching will not work for other folders either. A folder that is gone or closed is no such reason: reading
/// it says so.
fn is_lasting(error: Errno) -> bool {
    !matches!(error, Errno::NOENT | Errno::ACCESS | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG)
}

fn trouble(error: Errno) -> WatchProblem {
    WatchProblem::watcher(error == Errno::NOSPC, &error)
}
