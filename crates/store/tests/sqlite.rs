//! What is particular to the store on SQLite: files, opening, groups of turns, and what happens when SQLite fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use inboxclaw_contract::space::Look;
use inboxclaw_contract::store::{HistoryLimit, ReadLimit};
use inboxclaw_contract::turn::Conflict;
use inboxclaw_contract::{
    Entry, Housekeeping, Json, Log, NewEvent, Owner, OwnerId, Selection, Seq, Spaces, State, StoreError,
    Turn, Version,
};
use inboxclaw_contract_testing::{Ground, HandClock, Words, committed, turn};
use inboxclaw_settings::{Interval, Ttl};
use inboxclaw_store::{HistoryBounds, OpenError, Options, RunFile, SqliteStore};
use rusqlite::Connection;

fn open(path: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(path, Options::new(HandClock::new()))
}

fn ground(path: &Path) -> (Ground, Arc<SqliteStore>) {
    let clock = HandClock::new();
    let store = Arc::new(SqliteStore::open(path, Options::new(clock.clone())).unwrap());
    (Ground::new(store.clone(), clock), store)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_files_are_private_and_one_is_left_after_closing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/folder/a.db");
    let store = open(&path).unwrap();
    store.register(&Owner::source("a"), "test").await.unwrap();
    for name in ["a.db", "a.db-wal", "a.db-shm", "a.db.lock"] {
        assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
    }
    drop(store);
    assert_eq!(names(path.parent().unwrap()), ["a.db", "a.db.lock"]);
}

#[tokio::test]
async fn everything_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let (before, store) = ground(&path);
    let owner = before.source("a").await;
    let put = before.turn(owner).await.put("k", "1").cursor("c").emit("1", "t");
    before.commit(put.clone()).await;
    before.commit(before.turn(owner).await.put("k", "2")).await;
    let last = before.turn(owner).await.put("j", "1");
    before.commit(last.clone()).await;
    drop((before, store));

    let (after, _store) = ground(&path);
    assert_eq!(after.source("a").await, owner);
    assert_eq!(after.get(owner, "k").await.as_deref(), Some("2"));
    assert_eq!(after.commit(last).await.version, Version(3), "the last turn is known");
    assert_eq!(after.conflict(turn(owner, Version(1)).put("k", "3")).await, Conflict::Key("k".into()));
    assert_eq!(
        after.commit(turn(owner, Version(1)).put("x", "1").emit("1", "t").emit("2", "t")).await.known,
        1
    );
    assert_eq!(after.event_ids().await, ["1", "2"]);
    assert_eq!(after.store.history(owner, None, HistoryLimit::turns(10)).await.unwrap().len(), 4);
}

/// The blocks in which events are counted go on after a restart, and a database of an older layout gets the same.
#[tokio::test]
async fn events_are_counted_on_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    for round in 1..=3_usize {
        let (ground, _store) = ground(&path);
        let owner = ground.source("a").await;
        let emit = |turn: Turn, n: usize| turn.emit(&format!("{round}/{n}"), ["t.a", "t.b"][n % 2]);
        ground.commit((0..1_400).fold(ground.turn(owner).await, emit)).await;
        let limit = ReadLimit { events: 1, bytes: 0, count: true };
        let left = ground.store.read(&Selection::all(Seq(0)), limit).await.unwrap().remaining;
        assert_eq!(left, 1_400 * round as u64 - 1);
    }
    let plain = Connection::open(&path).unwrap();
    let blocks = || -> Vec<(i64, i64, i64)> {
        let mut all = plain.prepare("SELECT type, last, count FROM event_counts ORDER BY 1, 2").unwrap();
        let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let kept = blocks();
    assert_eq!(kept.iter().map(|block| block.2).collect::<Vec<_>>(), [1_024; 4]);
    let migration = include_str!("../migrations/0005_event_counts.sql");
    let (_, fill) = migration.split_once("INSERT").unwrap();
    plain.execute_batch(&format!("DELETE FROM event_counts; INSERT{fill}")).unwrap();
    assert_eq!(blocks(), kept);
}

#[tokio::test]
async fn the_clock_goes_on_where_it_stood() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let clock = HandClock::new();
    let open = || SqliteStore::open(&path, Options::new(clock.clone())).unwrap();
    let store = open();
    let owner = store.register(&Owner::source("a"), "test").await.unwrap();
    let before = store.snapshot(owner).await.unwrap().now;
    drop(store);
    clock.step(-59);
    assert_eq!(open().snapshot(owner).await.unwrap().now, before);
}

/// The time of the last event stood for the clock, which had been set back since: it went back once more.
#[tokio::test]
async fn a_clock_that_was_set_back_goes_on_where_it_stood() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let clock = HandClock::new();
    let open = || SqliteStore::open(&path, Options::new(clock.clone())).unwrap();
    let store = open();
    let owner = store.register(&Owner::source("a"), "test").await.unwrap();
    committed(store.commit(turn(owner, Version(0)).emit("e", "t")).await.unwrap());
    clock.step(-61);
    let before = store.snapshot(owner).await.unwrap().now;
    clock.step(-10);
    drop(store);
    assert_eq!(open().snapshot(owner).await.unwrap().now, before);
}

#[test]
fn a_database_is_written_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let store = open(&path).unwrap();
    let refused = |result: Result<SqliteStore, OpenError>| result.err().unwrap().to_string();
    assert!(refused(open(&path)).ends_with("a.db is in use by another inboxclaw"));
    let run = RunFile { pid: 42, address: "127.0.0.1:1".into(), token: "t".into() };
    let published = run.publish(&path).unwrap();
    assert!(refused(open(&path)).ends_with("a.db is in use by another inboxclaw (process 42)"));
    drop((store, published));
    open(&path).unwrap();
}

#[test]
fn another_programs_database_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let python = dir.path().join("python.db");
    let other = dir.path().join("other ?%#.db");
    let text = dir.path().join("text.db");
    Connection::open(&python)
        .unwrap()
        .execute_batch("CREATE TABLE sources (x); CREATE TABLE events (x);")
        .unwrap();
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x);").unwrap();
    fs::write(&text, "hello").unwrap();
    for (path, what) in
        [(&python, "the Python program"), (&other, "another program"), (&text, "no SQLite database")]
    {
        let before = fs::read(path).unwrap();
        let found = names(dir.path());
        let found: Vec<_> = found.iter().filter(|name| !name.ends_with(".lock")).cloned().collect();
        for result in [open(path), SqliteStore::read_only(path, HandClock::new())] {
            let error = result.err().unwrap();
            assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
            let message = error.to_string();
            for part in [path.to_str().unwrap(), what, "not touched", "`database.db_path`"] {
                assert!(message.contains(part), "{message}");
            }
        }
        assert_eq!(fs::read(path).unwrap(), before);
        let after = names(dir.path());
        assert_eq!(after.iter().filter(|name| !name.ends_with(".lock")).cloned().collect::<Vec<_>>(), found);
    }
}

/// A foreign database may hold its tables in its write-ahead log only.
#[test]
fn a_foreign_database_that_is_in_use_is_recognized() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let other = Connection::open(&path).unwrap();
    other.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE sources (x);").unwrap();
    assert!(matches!(open(&path), Err(OpenError::Foreign { .. })));
    assert_eq!(
        other.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get::<_, i64>(0)).unwrap(),
        1
    );
}

#[test]
fn what_cannot_be_opened_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    drop(open(&path).unwrap());
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let newer = |result: Result<SqliteStore, OpenError>| match result.err().unwrap() {
        OpenError::NewerVersion { found, known, .. } => (found, known),
        error => panic!("{error}"),
    };
    let known = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap().count() as i64;
    assert_eq!(newer(open(&path)), (99, known));
    assert_eq!(newer(SqliteStore::read_only(&path, HandClock::new())), (99, known));

    let missing = dir.path().join("missing.db");
    let error = SqliteStore::read_only(&missing, HandClock::new()).err().unwrap();
    assert!(matches!(&error, OpenError::Io { path, .. } if *path == missing), "{error}");
    assert!(!missing.exists());
    let under_a_file = path.join("b.db");
    assert!(matches!(open(&under_a_file), Err(OpenError::Io { .. })));
}

#[test]
fn damage_is_called_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    drop(open(&path).unwrap());
    let mut bytes = fs::read(&path).unwrap();
    bytes[100..].fill(0xAA);
    fs::write(&path, bytes).unwrap();
    assert!(matches!(open(&path), Err(OpenError::Damaged { .. })));
}

#[test]
fn an_empty_file_becomes_a_database() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    drop(open(&path).unwrap());
    assert_eq!(mode(&path), 0o644, "a person's choice stays, with a warning");
    open(&path).unwrap();
}

#[tokio::test]
async fn reading_only_works_beside_a_writer_and_alone_and_makes_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let (writing, store) = ground(&path);
    let owner = writing.source("a").await;
    writing.commit(writing.turn(owner).await.put("k", "1").emit("e", "t")).await;
    let reader = SqliteStore::read_only(&path, writing.clock.clone()).unwrap();
    assert_eq!(reader.list(owner, "", None, 9).await.unwrap().len(), 1);
    writing.commit(writing.turn(owner).await.put("l", "1")).await;
    assert_eq!(reader.list(owner, "", None, 9).await.unwrap().len(), 2, "it follows");
    for refused in [
        reader.commit(turn(owner, Version(0)).put("a", "1")).await.err(),
        reader.sweep().await.err(),
        reader.changed(owner, Version(0)).await.err(),
        reader.grown(Seq(0)).await.err(),
    ] {
        assert!(matches!(refused, Some(StoreError::Refused(_))), "{refused:?}");
    }
    drop((reader, writing, store));

    let before = names(dir.path());
    let reader = SqliteStore::read_only(&path, HandClock::new()).unwrap();
    assert_eq!(reader.head().await.unwrap(), Seq(1));
    assert_eq!(names(dir.path()), before);
}

#[tokio::test]
async fn turns_that_wait_share_a_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let (ground, store) = ground(&dir.path().join("a.db"));
    let owners =
        futures_util::future::join_all((0..64).map(async |n| ground.source(&n.to_string()).await)).await;
    let before = store.commits();
    let commit = |owner: &OwnerId| {
        let next = turn(*owner, Version(0)).put("k", "1").emit("e", "t");
        async { committed(ground.store.commit(next).await.unwrap()) }
    };
    let all = futures_util::future::join_all(owners.iter().map(commit)).await;
    assert!(all.iter().all(|done| done.version == Version(1) && done.stored == 1));
    let transactions = store.commits() - before;
    assert!((1..=8).contains(&transactions), "{transactions} transactions for 64 turns");
}

#[tokio::test]
async fn a_turn_that_changes_nothing_costs_no_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let (ground, store) = ground(&dir.path().join("a.db"));
    let owner = ground.source("a").await;
    ground.commit(ground.turn(owner).await.put("k", "1").cursor("c").emit("e", "t")).await;
    let before = store.commits();
    let mut same = ground.turn(owner).await.put("k", "1").cursor("c").emit("e", "t").delete("none");
    same.facts
        .push((owner, inboxclaw_contract::turn::FactsPatch { failures: Some(0), ..Default::default() }));
    assert_eq!(ground.commit(same).await.known, 1);
    ground.commit(ground.turn(owner).await).await;
    assert_eq!(store.commits(), before);
}

#[tokio::test]
async fn a_failed_write_ends_all_writing_and_no_reading() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let (ground, store) = ground(&path);
    let (good, bad) = (ground.source("good").await, ground.source("bad").await);
    let trigger = "CREATE TRIGGER t BEFORE INSERT ON entries WHEN NEW.key = 'bad'
        BEGIN SELECT RAISE(ABORT, 'no luck'); END";
    Connection::open(&path).unwrap().execute_batch(trigger).unwrap();
    let waits = ground.store.changed(bad, Version(0));
    let group = async {
        let (before, broken) = tokio::join!(
            ground.store.commit(turn(good, Version(0)).put("k", "1").emit("e", "t")),
            ground.store.commit(turn(bad, Version(0)).put("bad", "1").emit("e", "t")),
        );
        assert_eq!(committed(before.unwrap()).version, Version(1), "a bad turn does not fail the one before");
        let Err(StoreError::Broken(reason)) = broken else { panic!("{broken:?}") };
        assert!(reason.contains("no luck"));
    };
    let (waited, ()) = tokio::join!(waits, group);
    assert!(matches!(waited, Err(StoreError::Broken(_))), "who waits is told");
    let later = ground.store.commit(turn(good, Version(1)).put("k", "2")).await;
    assert!(matches!(later, Err(StoreError::Broken(_))));
    assert!(matches!(ground.store.sweep().await, Err(StoreError::Broken(_))));
    assert_eq!(ground.get(good, "k").await.as_deref(), Some("1"));
    assert_eq!(ground.event_ids().await.len(), 1);
    drop((ground, store));
    open(&path).unwrap();
}

#[tokio::test]
async fn history_goes_by_bytes_for_each_owner() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let bounds = HistoryBounds { bytes: 10_000, ..HistoryBounds::default() };
    let options = Options { history: bounds, ..Options::new(clock.clone()) };
    let store = Arc::new(SqliteStore::open(&dir.path().join("a.db"), options).unwrap());
    let ground = Ground::new(store, clock);
    let (big, small) = (ground.source("big").await, ground.source("small").await);
    for n in 0..50 {
        let text = format!("\"{n}{}\"", "x".repeat(1_000));
        ground.commit(ground.turn(big).await.put("k", &text)).await;
        ground.commit(ground.turn(small).await.put("k", &n.to_string())).await;
    }
    let mut removed = 0;
    for _ in 0..10 {
        let swept = ground.store.sweep().await.unwrap();
        removed += swept.history;
        if !swept.more {
            break;
        }
    }
    assert_eq!(ground.store.history(small, None, HistoryLimit::turns(100)).await.unwrap().len(), 50);
    let kept = ground.store.history(big, None, HistoryLimit::turns(100)).await.unwrap();
    assert_eq!((kept.len(), removed), (9, 41));
    assert_eq!(kept[0].version, Version(50), "the newest stay");
    assert!(!ground.store.sweep().await.unwrap().more);
}

/// A long run of expired events in front of a reader, or confirmed ones behind it, is jumped over.
#[tokio::test]
async fn a_read_does_not_walk_through_what_it_skips() {
    let dir = tempfile::tempdir().unwrap();
    let (ground, _store) = ground(&dir.path().join("a.db"));
    let source = ground.source("a").await;
    for round in 0..20 {
        let many =
            (0..1_000).fold(ground.turn(source).await, |turn, n| turn.emit(&format!("{round}.{n}"), "t"));
        ground.commit(many).await;
    }
    ground.clock.step(1_000);
    // A hole, as retention leaves it, must not mislead the search.
    for limit in [1_000, 4_000] {
        let step = ground.store.prune(&inboxclaw_contract_testing::prune(1, 1, limit)).await.unwrap();
        assert_eq!((step.events, step.more), (limit as u64, true));
    }
    ground.commit(ground.turn(source).await.emit("new", "t").emit("other", "u")).await;
    let ttl = Ttl { default: Some(Interval::from_secs(100)), by_type: Default::default() };
    let fresh = Selection { ttl: Some(ttl), ..Selection::all(Seq(0)) };
    let page =
        ground.store.read(&fresh, ReadLimit { events: 10, bytes: 1 << 20, count: true }).await.unwrap();
    assert_eq!(page.events.iter().map(|event| event.seq.0).collect::<Vec<_>>(), [20_001, 20_002]);
    assert!(page.complete);
}

/// Values beyond what is read on the task that asks come all the same.
#[tokio::test]
async fn large_values_are_read_among_few() {
    let dir = tempfile::tempdir().unwrap();
    let (ground, store) = ground(&dir.path().join("a.db"));
    let owner = ground.source("a").await;
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    ground.commit(ground.turn(owner).await.put("a", "1").put("b", &large).put("c", "3")).await;
    let keys = ["a", "b", "c", "d"].map(str::to_owned);
    let values = |found: Vec<Option<Entry>>| {
        found.into_iter().map(|entry| entry.map(|entry| entry.value.len())).collect::<Vec<_>>()
    };
    let wanted = [Some(1), Some(large.len()), Some(1), None];
    assert_eq!(values(store.entries(owner, &keys).await.unwrap()), wanted);
    assert_eq!(ground.get(owner, "b").await.as_deref(), Some(&*large));
    for after in [None, Some("a")] {
        assert_eq!(store.list(owner, "", after, 2).await.unwrap()[usize::from(after.is_none())].key, "b");
    }
    let look = Look { prefix: String::new(), after: None, entries: 9, bytes: usize::MAX, values: true };
    let page = store.look(owner, &look).await.unwrap();
    assert_eq!(page.entries.iter().map(|entry| entry.size).sum::<u64>(), 2 + large.len() as u64);
    assert!(page.entries.iter().all(|entry| entry.value.is_some()));
    let keys_only = store.look(owner, &Look { values: false, ..look }).await.unwrap();
    assert!(keys_only.entries.iter().all(|entry| entry.value.is_none() && entry.size > 0));
    let space = store.space(owner).await.unwrap().id;
    assert_eq!(values(store.entries_in(space, &keys).await.unwrap()), wanted);
}

/// Both were a plain failed read, of which nobody but the one who asked ever heard.
#[tokio::test]
async fn damage_is_found_by_reading_and_kept_in_mind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let (before, store) = ground(&path);
    let source = before.source("a").await;
    let data = Json::new(format!("{{\"text\": \"{}\"}}", "x".repeat(20_000))).unwrap();
    for n in 0..50 {
        let mut turn = before.turn(source).await;
        turn.events.push(NewEvent::new(n.to_string(), "t", data.clone()));
        before.commit(turn).await;
    }
    drop((before, store));
    // In the middle of a body, and over whole pages.
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let middle = file.metadata().unwrap().len() / 2 / 4_096 * 4_096;
    std::os::unix::fs::FileExt::write_all_at(&file, &[0xFE; 10], middle + 2_000).unwrap();
    for (bytes, torn) in [(0, false), (40_000, true)] {
        std::os::unix::fs::FileExt::write_all_at(&file, &vec![0xAA; bytes], middle).unwrap();
        let (ground, store) = ground(&path);
        assert!(store.condition().trouble.is_none());
        let limit = ReadLimit { events: 1, bytes: usize::MAX, count: false };
        let (mut damaged, mut whole) = (0, 0);
        for place in 0..50 {
            match store.read(&Selection::all(Seq(place)), limit).await {
                Ok(page) => whole += page.events.len(),
                Err(StoreError::Damaged(_)) => damaged += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(damaged > 0 && whole > 20, "{damaged} damaged, {whole} whole");
        let trouble = store.condition().trouble.unwrap();
        assert!(matches!(trouble, StoreError::Damaged(_)), "{trouble}");
        assert!(trouble.to_string().contains("inboxclaw store restore FILE"), "{trouble}");
        let source = store.register(&Owner::source("a"), "test").await;
        assert_eq!(matches!(source, Err(StoreError::Damaged(_))), torn, "{source:?}");
        drop((ground, store));
    }
    file.flush().unwrap();
}
