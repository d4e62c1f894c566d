//! What the tests of edits stand on: a clock moved by hand, a store in a folder of its own, and its sudden end.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test helpers")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use inboxclaw_contract::turn::Swap;
use inboxclaw_contract::{
    Clock, Entry, Housekeeping, Outcome, Owner, OwnerId, Spaces, State, Version, Witness,
};
use inboxclaw_contract_testing::Unique;
pub(crate) use inboxclaw_contract_testing::{json, turn};
use inboxclaw_edit::{Editor, Lines, Steps};
use inboxclaw_store::{Durability, Options, SqliteStore};
use jiff::Timestamp;
use tempfile::TempDir;

/// A clock that is moved by hand.
pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_700_000_000_000_000)))
    }

    /// Moves it, back too.
    pub(crate) fn step(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.load(Ordering::Relaxed)).unwrap()
    }

    /// Days may pass before a start: nobody doubts this clock.
    fn witness(&self) -> Option<Witness> {
        Some(Witness::System)
    }
}

/// A store and the folder that it lives in.
pub(crate) struct Ground {
    pub(crate) clock: Arc<HandClock>,
    pub(crate) store: Arc<SqliteStore>,
    dir: TempDir,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let (dir, clock) = (folder(), HandClock::new());
        let store = open(&database(dir.path()), &clock);
        Self { clock, store, dir }
    }

    /// Closes the store properly and opens it again.
    pub(crate) fn reopen(self) -> Self {
        let Self { clock, store, dir } = self;
        assert_eq!(Arc::strong_count(&store), 1, "somebody still holds the store");
        drop(store);
        let store = open(&database(dir.path()), &clock);
        Self { clock, store, dir }
    }

    /// A store on the files as they are now, as a kill would leave them. The old one goes on beside it.
    pub(crate) fn killed(&self) -> Self {
        let dir = folder();
        for suffix in ["", "-wal"] {
            let name = format!("a.db{suffix}");
            let from = self.dir.path().join(&name);
            if from.exists() {
                std::fs::copy(from, dir.path().join(&name)).unwrap();
            }
        }
        let clock = self.clock.clone();
        let store = open(&database(dir.path()), &clock);
        Self { clock, store, dir }
    }

    pub(crate) async fn source(&self, name: &str) -> OwnerId {
        self.store.register(&Owner::source(name), "test").await.unwrap()
    }

    pub(crate) fn editor(&self) -> Editor {
        Editor {
            store: self.store.clone(),
            random: Arc::new(Unique),
            author: "cli:ada".into(),
            steps: Steps::default(),
        }
    }

    /// Sweeps until there is nothing left to do.
    pub(crate) async fn sweep(&self) {
        while self.store.sweep().await.unwrap().more {}
    }
}

fn open(path: &Path, clock: &Arc<HandClock>) -> Arc<SqliteStore> {
    // What a loss of power leaves is the business of other tests; without fsync there are more lives.
    let options = Options { durability: Durability::Normal, ..Options::new(clock.clone()) };
    Arc::new(SqliteStore::open(path, options).unwrap())
}

fn database(folder: &Path) -> PathBuf {
    folder.join("a.db")
}

/// In memory where there is such a place: a life opens its store several times, and each time waits for the disk.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Nobody looks.
pub(crate) fn unseen(_: u64, _: Option<u64>) {}

/// An import in pieces that fit no line.
pub(crate) fn lines(text: &[u8]) -> Lines {
    let pieces: Vec<_> = text.chunks(4_099).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

/// The export of an owner.
pub(crate) async fn export(ground: &Ground, owner: OwnerId, secrets: bool) -> Vec<u8> {
    let text = Arc::new(std::sync::Mutex::new(Vec::new()));
    let into = text.clone();
    let write = Box::new(move |piece: &[u8]| {
        into.lock().unwrap().extend_from_slice(piece);
        true
    });
    ground.editor().export(owner, "a", "test", secrets, write).await.unwrap();
    let text = text.lock().unwrap();
    text.clone()
}

pub(crate) async fn version(ground: &Ground, owner: OwnerId) -> Version {
    ground.store.snapshot(owner).await.unwrap().version
}

/// Puts a space with these keys in place, all with the same value.
pub(crate) async fn build(ground: &Ground, owner: OwnerId, keys: &[String], value: &str) {
    let now = ground.store.snapshot(owner).await.unwrap().now;
    let entry = |key: &String| Entry {
        key: key.clone(),
        value: json(value),
        revision: Version(1),
        created_at: now,
        updated_at: now,
        expires_at: None,
        secret: false,
    };
    let space = ground.store.build(owner).await.unwrap();
    for some in keys.chunks(5_000) {
        let changes = some.iter().map(|key| (key.clone(), Some(entry(key)))).collect();
        ground.store.fill(&space, changes).await.unwrap();
    }
    let mut turn = turn(owner, version(ground, owner).await);
    turn.swap = Some(Swap { space: space.id, keep_secrets: true });
    let found = ground.store.commit(turn).await.unwrap();
    assert!(matches!(found, Outcome::Committed(_)), "{found:?}");
}
