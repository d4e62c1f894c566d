//! Spaces on SQLite: what is left in the file after opening it again, and how much of the past is kept.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::Path;
use std::sync::Arc;

use inboxclaw_contract::space::NewSpace;
use inboxclaw_contract::store::HistoryLimit;
use inboxclaw_contract::{Entry, Housekeeping, OwnerId, SpaceId, Spaces, State, StoreError, Version};
use inboxclaw_contract_testing::{Ground, HandClock, SpacesGround, Words, json};
use inboxclaw_store::{HistoryBounds, Options, SqliteStore};
use jiff::Timestamp;
use rusqlite::Connection;

fn ground(path: &Path, history: HistoryBounds) -> SpacesGround {
    let clock = HandClock::new();
    let options = Options { history, ..Options::new(clock.clone()) };
    SpacesGround::new(Arc::new(SqliteStore::open(path, options).unwrap()), clock)
}

fn put(key: &str, value: &str) -> (String, Option<Entry>) {
    let (created_at, updated_at) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    let (key, value, revision) = (key.to_owned(), json(value), Version(1));
    let entry =
        Entry { key: key.clone(), value, revision, created_at, updated_at, expires_at: None, secret: false };
    (key, Some(entry))
}

async fn sweep(ground: &Ground) {
    for _ in 0..1_000 {
        if !ground.store.sweep().await.unwrap().more {
            return;
        }
    }
    panic!("sweeping does not come to an end");
}

/// The spaces that have a row, and those that have entries.
fn spaces_in(path: &Path) -> (Vec<i64>, Vec<i64>) {
    let connection = Connection::open(path).unwrap();
    let read = |sql: &str| -> Vec<i64> {
        let mut all = connection.prepare(sql).unwrap();
        all.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    (read("SELECT id FROM spaces ORDER BY id"), read("SELECT DISTINCT space FROM entries ORDER BY space"))
}

#[tokio::test]
async fn what_was_half_built_is_gone_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let ground_before = ground(&path, HistoryBounds::default());
    let owner = ground_before.source("a").await;
    ground_before.commit(ground_before.turn(owner).await.put("k", "1")).await;
    let present = ground_before.spaces.space(owner).await.unwrap().id;
    let built = ground_before.spaces.build(owner).await.unwrap();
    let changes = (0..700).map(|n| put(&n.to_string(), "1")).collect();
    ground_before.spaces.fill(&built, changes).await.unwrap();
    drop(ground_before);
    assert_eq!(spaces_in(&path).1, [present.0, built.id.0]);

    let ground = ground(&path, HistoryBounds::default());
    // Who built it may still believe in it.
    assert!(matches!(ground.spaces.fill(&built, vec![put("k", "1")]).await, Err(StoreError::Refused(_))));
    let swap = ground.store.commit(ground.turn(owner).await.swap(built.id, true)).await;
    assert!(matches!(swap, Err(StoreError::Refused(_))));
    sweep(&ground).await;
    let fresh = ground.spaces.build(owner).await.unwrap();
    assert!(fresh.id > built.id, "numbers are not used again");
    drop(fresh);
    sweep(&ground).await;
    assert_eq!(ground.keys(owner, "").await, ["k"]);
    drop(ground);
    assert_eq!(spaces_in(&path), (vec![present.0], vec![present.0]));
}

/// Puts a space of about so many bytes in place, and returns the one before.
async fn replace(ground: &SpacesGround, owner: OwnerId, bytes: usize) -> SpaceId {
    let space: NewSpace = ground.spaces.build(owner).await.unwrap();
    let value = format!("\"{}\"", "x".repeat(bytes / 10));
    let changes = (0..10).map(|n| put(&n.to_string(), &value)).collect();
    ground.spaces.fill(&space, changes).await.unwrap();
    ground.commit(ground.turn(owner).await.swap(space.id, true)).await;
    ground.last(owner).await.replaced.unwrap()
}

#[tokio::test]
async fn replaced_spaces_beyond_the_bound_go_with_the_oldest_history() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let ground = ground(&path, HistoryBounds { bytes: 10_000, ..HistoryBounds::default() });
    let (owner, other) = (ground.source("a").await, ground.source("b").await);
    let mut replaced = Vec::new();
    for n in 0..6 {
        replaced.push(replace(&ground, owner, 4_000).await);
        for owner in [owner, other] {
            ground.commit(ground.turn(owner).await.put("k", &n.to_string())).await;
        }
    }
    // Far beyond the bound by itself, but the last one that was replaced.
    replace(&ground, owner, 1_000_000).await;
    replaced.push(replace(&ground, owner, 10).await);
    sweep(&ground).await;
    let kept = |space: &SpaceId| {
        let (spaces, space) = (ground.spaces.clone(), *space);
        async move { spaces.entries_in(space, &["1".into()]).await.unwrap()[0].is_some() }
    };
    let mut found = Vec::new();
    for space in &replaced {
        found.push(kept(space).await);
    }
    // Those of rounds 4 and 5 fit, about 4,000 bytes each; with that of round 3 it would be more than 10,000.
    assert_eq!(found, [false, false, false, false, false, true, true]);
    let history = ground.store.history(owner, None, HistoryLimit::turns(100)).await.unwrap();
    assert_eq!(history.len(), 5, "older rows go with the spaces");
    assert_eq!(ground.store.history(other, None, HistoryLimit::turns(100)).await.unwrap().len(), 6);
    assert_eq!(ground.spaces.space(owner).await.unwrap().entries, 10);
    let before = ground.version(owner).await;
    drop(ground);
    // Its present one, the two that fit, the large one and the other owner's.
    assert_eq!(spaces_in(&path).0.len(), 5);
    assert_eq!(before, Version(14));
}

#[tokio::test]
async fn a_store_that_closes_ends_a_scan() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let store = Arc::new(SqliteStore::open(&path, Options::new(HandClock::new())).unwrap());
    let ground = SpacesGround::new(store.clone(), HandClock::new());
    let owner = ground.source("a").await;
    ground.commit((0..9).fold(ground.turn(owner).await, |turn, n| turn.put(&n.to_string(), "1"))).await;
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let (started, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let each = move |_| {
        started.send(()).unwrap();
        gate.recv().is_ok()
    };
    // Polled once, the work goes on without whoever asked.
    let spaces = ground.spaces.clone();
    drop(ground);
    let scan = tokio::spawn(async move { spaces.scan(owner, "", Box::new(each)).await });
    begun.recv().await.unwrap();
    scan.abort();
    assert!(scan.await.is_err());
    drop(Arc::into_inner(store).unwrap());
    go.send(()).unwrap();
    assert!(begun.recv().await.is_none(), "it looked at no further entry");
    let again = SqliteStore::open(&path, Options::new(HandClock::new())).unwrap();
    assert_eq!(again.list(owner, "", None, 99).await.unwrap().len(), 9);
}

/// The log grew for as long as a reader took, without bound.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_that_nobody_takes_from_does_not_hold_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join("a.db"), Options::new(HandClock::new())).unwrap();
    let store = Arc::new(store);
    let ground = SpacesGround::new(store.clone(), HandClock::new());
    let owner = ground.source("a").await;
    let value = |n: usize| format!("\"{n}{}\"", "x".repeat(20_000));
    for n in 0..200 {
        ground.commit(ground.turn(owner).await.put(&format!("{n:03}"), &value(n))).await;
    }
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let (given, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let each = move |entry: Entry| {
        given.send(entry).unwrap();
        gate.recv().is_ok()
    };
    let scanned = store.clone();
    let scan = tokio::spawn(async move { scanned.scan(owner, "", Box::new(each)).await });
    let first = begun.recv().await.unwrap();
    // Some 100 MiB of turns beside it.
    for n in 0..2_500 {
        ground.commit(ground.turn(owner).await.put(&format!("{:03}", n % 200), &value(n))).await;
    }
    assert!(store.log_bytes() < 16 << 20, "{} bytes", store.log_bytes());
    assert_eq!(store.log_bytes(), store.condition().log_bytes);
    let mut found = vec![first];
    for _ in 0..200 {
        go.send(()).unwrap();
        found.extend(begun.recv().await);
    }
    assert_eq!(scan.await.unwrap().unwrap().version, Version(200), "as of the instant when it began");
    let wanted = (0..200).map(|n| (format!("{n:03}"), value(n)));
    assert!(found.into_iter().map(|entry| (entry.key, entry.value.as_str().to_owned())).eq(wanted));
}
