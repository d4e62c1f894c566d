//! A store in memory that all inputs of a run share, emptied before each.
#![allow(dead_code, reason = "each target uses its part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use inboxclaw_contract::turn::TurnId;
use inboxclaw_contract::{Clock, Housekeeping, Json, Outcome, Owner, OwnerId, Random, State, Turn};
use inboxclaw_edit::{Editor, Steps};
use inboxclaw_store::{Durability, HistoryBounds, Options, SqliteStore};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub struct Ground {
    pub store: Arc<SqliteStore>,
    pub owners: [OwnerId; 2],
    inputs: AtomicU64,
    _dir: TempDir,
}

/// It is always the same instant, so that a finding can be repeated.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }
}

/// Numbers in place of chance.
pub struct Counter;

impl Random for Counter {
    fn next(&self) -> u128 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        u128::from(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

pub fn json(text: &str) -> Json {
    Json::new(text).unwrap()
}

impl Ground {
    /// Runs an input on the store of this thread.
    pub fn with(run: impl FnOnce(&Self, &Runtime)) {
        thread_local! {
            static GROUND: (Ground, Runtime) = {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                (runtime.block_on(Ground::new()), runtime)
            };
        }
        GROUND.with(|(ground, runtime)| run(ground, runtime));
    }

    async fn new() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let history = HistoryBounds { age: Duration::ZERO, bytes: 0 };
        let options = Options { durability: Durability::Normal, history, ..Options::new(Arc::new(Still)) };
        let store = Arc::new(SqliteStore::open(&dir.path().join("a.db"), options).unwrap());
        let a = store.register(&Owner::source("a"), "test").await.unwrap();
        let b = store.register(&Owner::source("b"), "test").await.unwrap();
        Self { store, owners: [a, b], inputs: AtomicU64::new(0), _dir: dir }
    }

    pub fn editor(&self) -> Editor {
        let steps = Steps::default();
        Editor { store: self.store.clone(), random: Arc::new(Counter), author: "cli:fuzz".into(), steps }
    }

    /// A turn of an owner on its version now.
    pub async fn turn(&self, owner: usize) -> Turn {
        let owner = self.owners[owner];
        let base = self.store.snapshot(owner).await.unwrap().version;
        Turn::new(TurnId(Counter.next()), owner, base)
    }

    pub async fn commit(&self, turn: Turn) {
        let found = self.store.commit(turn).await.unwrap();
        assert!(matches!(found, Outcome::Committed(_)), "{found:?}");
    }

    /// Empties the states of both owners, and now and then history.
    pub async fn clear(&self) {
        for owner in [0, 1] {
            let mut turn = self.turn(owner).await;
            turn.deleted_prefixes.push(String::new());
            turn.cursor = Some(None);
            self.commit(turn).await;
        }
        if self.inputs.fetch_add(1, Ordering::Relaxed).is_multiple_of(100) {
            while self.store.sweep().await.unwrap().more {}
        }
    }
}
