//! Which file a store works on: through links, beside hard links, and when it is refused or taken away.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use inboxclaw_contract::{Housekeeping, NewEvent, Owner, Selection, Seq, StoreError};
use inboxclaw_contract_testing::{Ground, HandClock, Words, json};
use inboxclaw_store::{Compacted, OpenError, Options, RunFile, SqliteStore, resolved};
use rusqlite::Connection;

fn open(path: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(path, Options::new(HandClock::new()))
}

fn read(path: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::read_only(path, HandClock::new())
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The lock lay beside the link, so two programs wrote one database at the same time.
#[tokio::test]
async fn a_database_behind_a_link_is_the_same_database() {
    let dir = tempfile::tempdir().unwrap();
    let (one, three) = (dir.path().join("one/data"), dir.path().join("three/data"));
    fs::create_dir_all(&one).unwrap();
    fs::create_dir_all(&three).unwrap();
    let (real, link) = (one.join("data2.db"), three.join("data2.db"));
    symlink("../../one/data/data2.db", &link).unwrap();

    // The first one goes through the link before there is any database.
    let store = open(&link).unwrap();
    let run = RunFile { pid: 42, address: "127.0.0.1:1".into(), token: "t".into() };
    let _published = run.publish(&resolved(&link).unwrap()).unwrap();
    for path in [&real, &link] {
        let error = open(path).err().unwrap();
        assert!(matches!(error, OpenError::Locked { pid: Some(42), .. }), "{error}");
    }
    store.register(&Owner::source("a"), "test").await.unwrap();
    assert_eq!(read(&link).unwrap().owners().await.unwrap().len(), 1, "what is in the log so far is seen");
    assert_eq!(names(&three), ["data2.db"]);
    drop(store);
    assert!(open(&real).is_ok());
}

#[test]
fn a_database_with_several_names_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (path, other) = (dir.path().join("a.db"), dir.path().join("b.db"));
    drop(open(&path).unwrap());
    fs::hard_link(&path, &other).unwrap();
    for refused in [open(&path), open(&other), read(&other)] {
        let error = refused.err().unwrap();
        assert!(matches!(error, OpenError::Linked { links: 2, .. }), "{error}");
    }
    assert_eq!(names(dir.path()), ["a.db", "a.db.lock", "b.db"]);
    fs::remove_file(&other).unwrap();
    assert!(open(&path).is_ok());
}

/// A foreign database got a lock beside it, and `db_path: .` a file `..lock`.
#[test]
fn what_is_refused_gets_no_file_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("folder");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("other.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x);").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(open(&path), Err(OpenError::Foreign { .. })));
    assert_eq!(names(&folder), ["other.db"]);

    let error = open(&folder).err().unwrap();
    assert!(error.to_string().ends_with("folder: it is a folder"), "{error}");
    assert_eq!(names(dir.path()), ["folder"]);
}

#[test]
fn a_prepared_database_is_ours_and_not_made_yet() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/a.db");
    let prepared = SqliteStore::prepare(&path).unwrap();
    assert_eq!(names(path.parent().unwrap()), ["a.db.lock"]);
    assert!(matches!(open(&path), Err(OpenError::Locked { .. })));
    drop(prepared.open(Options::new(HandClock::new())).unwrap());
    assert!(read(&path).is_ok());

    // A layout from the future is refused by the first half already.
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let newer = SqliteStore::prepare(&path).err().unwrap();
    assert!(matches!(newer, OpenError::NewerVersion { found: 99, .. }), "{newer}");
}

/// Events went to a file without a name for ever, and nobody was told.
#[tokio::test]
async fn a_database_that_is_taken_away_breaks_the_store() {
    for replaced in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data/a.db");
        let store = open(&path).unwrap();
        store.sweep().await.unwrap();
        fs::rename(dir.path().join("data"), dir.path().join("old")).unwrap();
        if replaced {
            drop(open(&path).unwrap());
        }
        let Err(StoreError::Broken(reason)) = store.sweep().await else { panic!("replaced: {replaced}") };
        assert!(reason.ends_with("data/a.db was removed or replaced while it was in use"), "{reason}");
        let later = store.register(&Owner::source("a"), "test").await;
        assert!(matches!(later, Err(StoreError::Broken(_))), "{later:?}");
    }
}

#[tokio::test]
async fn a_compacted_database_is_smaller_and_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("it's.db");
    let clock = HandClock::new();
    let open = || {
        Ground::new(Arc::new(SqliteStore::open(&path, Options::new(clock.clone())).unwrap()), clock.clone())
    };
    let ground = open();
    let source = ground.source("a").await;
    let wide = json(&format!("{{\"x\":\"{}\"}}", "x".repeat(20_000)));
    for n in 0..100 {
        let mut turn = ground.turn(source).await;
        turn.events.push(NewEvent::new(n.to_string(), "t", wide.clone()));
        ground.commit(turn.put("k", &n.to_string())).await;
        ground.clock.step(1);
    }
    assert_eq!(ground.prune(10).await, 90);
    let refused = SqliteStore::compact(&path).unwrap_err();
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    drop(ground);
    let Compacted { before, after } = SqliteStore::compact(&path).unwrap();
    assert!(before > 2_000_000 && after < before / 4, "{before} {after}");
    assert_eq!(fs::metadata(&path).unwrap().len(), after);
    assert_eq!(names(dir.path()), ["it's.db", "it's.db.lock"]);
    let ground = open();
    assert_eq!(ground.get(source, "k").await.as_deref(), Some("99"));
    assert_eq!(ground.event_ids().await.len(), 10);
    ground.commit(ground.turn(source).await.emit("100", "t")).await;
    assert_eq!(ground.page(&Selection::all(Seq(100))).await.events[0].seq, Seq(101), "numbers go on");
}
