//! The clock of the store over restarts: what the next start, and who only reads, takes for the last time that is known.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::{Expiry, State};
use inboxclaw_contract_testing::{Ground, HandClock, Words};
use inboxclaw_store::{Options, SqliteStore};
use rusqlite::Connection;

/// A clock that is wrong at a start is in doubt at the next one as well, also after a crash, and for those who only read.
#[tokio::test]
async fn a_start_with_a_clock_far_ahead_is_doubted_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let clock = HandClock::new();
    let open = || {
        let store = SqliteStore::open(&path, Options::new(clock.clone())).unwrap();
        Ground::new(Arc::new(store), clock.clone())
    };
    let ground = open();
    let owner = ground.source("a").await;
    let day = Expiry::For(Duration::from_secs(24 * 60 * 60));
    ground.commit(ground.turn(owner).await.put_for("k", "1", day)).await;
    drop(ground);
    clock.jump(400 * 24 * 60 * 60);
    for n in 0..3 {
        let ground = open();
        ground.commit(ground.turn(owner).await.put("n", &n.to_string()).emit(&n.to_string(), "t")).await;
        while ground.store.sweep().await.unwrap().more {}
        assert_eq!(ground.keys(owner, "").await, ["k", "n"]);
        assert!(ground.store.clock().await.unwrap().doubted.is_some());
        let reader = SqliteStore::read_only(&path, clock.clone()).unwrap();
        assert_eq!(reader.list(owner, "", None, 9).await.unwrap().len(), 2);
    }
    // Stored while it runs, too: a crash makes no wrong clock the last one that is known.
    let ground = open();
    let stored = || {
        let connection = Connection::open(&path).unwrap();
        let clock = "SELECT value FROM meta WHERE name = 'clock'";
        connection.query_row(clock, [], |row| row.get::<_, i64>(0)).unwrap() / 1_000_000 - 1_700_000_000
    };
    for (passed, known) in [(0, 0), (61, 61), (30, 61), (31, 122)] {
        clock.step(passed);
        ground.commit(ground.turn(owner).await.put("n", &format!("[{passed}, {known}]"))).await;
        assert_eq!(stored(), known);
    }
    clock.step(57 * 60);
    while ground.store.sweep().await.unwrap().more {}
    assert_eq!(stored(), 122, "an idle store writes nothing for an hour");
    drop(ground);
    // What a person says counts for the next start, too.
    let ground = open();
    assert_eq!(ground.store.accept_clock().await.unwrap().doubted, None);
    drop(ground);
    let ground = open();
    assert_eq!(ground.store.clock().await.unwrap().doubted, None);
    assert_eq!(ground.keys(owner, "").await, ["n"]);
}
