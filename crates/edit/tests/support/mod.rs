//! What the tests of edits share: a store in a folder of its own, a clock moved by hand, and states as text.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test helpers")]

pub(crate) mod meddler;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use inboxclaw_contract::turn::EntryChange;
use inboxclaw_contract::{
    Editable, Entry, Expiry, Housekeeping, Owner, OwnerId, Spaces, State, Turn, Version,
};
use inboxclaw_contract_testing::{HandClock, Unique, committed, turn};
pub(crate) use inboxclaw_contract_testing::{json, seconds};
use inboxclaw_edit::{Condition, Editor, Lines, Steps};
use inboxclaw_store::{Durability, HistoryBounds, Options, SqliteStore};

/// A store with one owner.
pub(crate) struct Ground {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) owner: OwnerId,
    _dir: tempfile::TempDir,
}

impl Ground {
    pub(crate) async fn new() -> Self {
        Self::with(HistoryBounds::default()).await
    }

    pub(crate) async fn with(history: HistoryBounds) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = HandClock::new();
        let options = Options { durability: Durability::Normal, history, ..Options::new(clock.clone()) };
        let store = Arc::new(SqliteStore::open(&dir.path().join("a.db"), options).unwrap());
        let owner = store.register(&Owner::source("a"), "test").await.unwrap();
        Self { store, clock, owner, _dir: dir }
    }

    pub(crate) async fn other(&self) -> OwnerId {
        self.store.register(&Owner::source("b"), "test").await.unwrap()
    }

    pub(crate) fn editor(&self) -> Editor {
        self.editor_over(self.store.clone())
    }

    pub(crate) fn editor_over(&self, store: Arc<dyn Editable>) -> Editor {
        Editor { store, random: Arc::new(Unique), author: "cli:ada".into(), steps: Steps::default() }
    }

    /// A person puts a value.
    pub(crate) async fn put(&self, key: &str, value: &str) -> Version {
        self.put_for(key, value, Expiry::Keep).await
    }

    pub(crate) async fn put_for(&self, key: &str, value: &str, expiry: Expiry) -> Version {
        let put = self.editor().put(self.owner, key, json(value), expiry, None, Condition::Any).await;
        put.unwrap().revision
    }

    pub(crate) async fn secret(&self, key: &str, value: &str) -> Version {
        let editor = self.editor();
        let put = editor.put(self.owner, key, json(value), Expiry::Keep, Some(true), Condition::Any);
        put.await.unwrap().revision
    }

    /// The owner's own turn, without an author.
    pub(crate) async fn turn(&self, change: impl FnOnce(&mut Turn)) -> Version {
        commit(&*self.store, self.owner, change).await
    }

    pub(crate) async fn version(&self) -> i64 {
        self.store.snapshot(self.owner).await.unwrap().version.0
    }

    /// The state as text: `key=value` in order, then the cursor.
    pub(crate) async fn state(&self) -> String {
        self.state_of(self.owner).await
    }

    pub(crate) async fn state_of(&self, owner: OwnerId) -> String {
        let entries = self.store.list(owner, "", None, 100_000).await.unwrap();
        let mut parts: Vec<_> =
            entries.iter().map(|entry| format!("{}={}", entry.key, entry.value.as_str())).collect();
        parts.extend(self.store.snapshot(owner).await.unwrap().cursor.map(|cursor| format!("@{cursor}")));
        parts.join(" ")
    }

    pub(crate) async fn export(&self, owner: OwnerId, secrets: bool) -> String {
        export(&self.editor(), owner, secrets).await
    }

    pub(crate) async fn sweep(&self) -> u64 {
        let mut entries = 0;
        loop {
            let swept = self.store.sweep().await.unwrap();
            entries += swept.entries;
            if !swept.more {
                return entries;
            }
        }
    }
}

/// The export of an owner.
pub(crate) async fn export(editor: &Editor, owner: OwnerId, secrets: bool) -> String {
    let text = Arc::new(Mutex::new(Vec::new()));
    let into = text.clone();
    let write = Box::new(move |piece: &[u8]| {
        into.lock().unwrap().extend_from_slice(piece);
        true
    });
    editor.export(owner, "source:a", "test", secrets, write).await.unwrap();
    let text = text.lock().unwrap().clone();
    String::from_utf8(text).unwrap()
}

/// A turn of an owner on its state as it is.
pub(crate) async fn commit(store: &dyn Editable, owner: OwnerId, change: impl FnOnce(&mut Turn)) -> Version {
    let base = store.snapshot(owner).await.unwrap().version;
    let mut turn = turn(owner, base);
    change(&mut turn);
    committed(store.commit(turn).await.unwrap()).version
}

/// Turns in few words.
pub(crate) trait Words {
    fn puts(&mut self, key: &str, value: &str);
    fn deletes(&mut self, key: &str);
}

impl Words for Turn {
    fn puts(&mut self, key: &str, value: &str) {
        let put = EntryChange::Put { value: json(value), expiry: Expiry::Keep, secret: false };
        self.entries.insert(key.to_owned(), put);
    }

    fn deletes(&mut self, key: &str) {
        self.entries.insert(key.to_owned(), EntryChange::Delete);
    }
}

/// An import in pieces that fit no line.
pub(crate) fn lines(text: &str) -> Lines {
    let pieces: Vec<_> =
        text.as_bytes().chunks(4_099).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

/// A line for each entry, without a head: `k00000`, `k00001`, …
pub(crate) fn many(count: usize, value: &str) -> String {
    (0..count).map(|n| format!("{{\"key\":\"k{n:05}\",\"value\":{value}}}\n")).collect()
}

/// Nobody looks.
pub(crate) fn unseen(_: u64, _: Option<u64>) {}

/// Reads in few words.
pub(crate) trait Reads {
    async fn list_one(&self, key: &str, owner: OwnerId) -> Entry;
    async fn all(&self, owner: OwnerId) -> Vec<Entry>;
    async fn space_count(&self, owner: OwnerId) -> u64;
}

impl Reads for SqliteStore {
    async fn list_one(&self, key: &str, owner: OwnerId) -> Entry {
        self.entries(owner, &[key.to_owned()]).await.unwrap().pop().unwrap().unwrap()
    }

    async fn all(&self, owner: OwnerId) -> Vec<Entry> {
        self.list(owner, "", None, 1_000_000).await.unwrap()
    }

    async fn space_count(&self, owner: OwnerId) -> u64 {
        self.space(owner).await.unwrap().entries
    }
}
