//! Promise 1 the hard way: processes that are killed, disks that are full, files that are torn.
//!
//! Children are this test binary itself, told by an environment variable what to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use inboxclaw_contract::store::HistoryLimit;
use inboxclaw_contract::{
    Housekeeping, Log, Outcome, Owner, OwnerId, Selection, Seq, State, StoreError, Turn, Version,
};
use inboxclaw_contract_testing::{HandClock, Words, committed, turn};
use inboxclaw_store::{Options, SqliteStore};
use rusqlite::Connection;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const TASK: &str = "INBOXCLAW_TEST_TASK";

/// How many keys and events each turn of these tests changes.
const PARTS: i64 = 5;

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, Options::new(HandClock::new())).unwrap()
}

/// The turn that makes `version`: its number in every key, in the cursor and in the ids of its events.
fn whole(owner: OwnerId, version: i64) -> Turn {
    (0..PARTS).fold(turn(owner, Version(version - 1)).cursor(&version.to_string()), |turn, part| {
        turn.put(&format!("k{part}"), &version.to_string()).emit(&format!("{version}.{part}"), "t")
    })
}

/// Checks that the database holds whole turns only, and returns how many of each owner.
async fn whole_turns(path: &Path) -> Vec<i64> {
    let store = open(path);
    let mut versions = Vec::new();
    let limit = inboxclaw_contract::store::ReadLimit { events: usize::MAX, bytes: usize::MAX, count: false };
    let events = store.read(&Selection::all(Seq(0)), limit).await.unwrap().events;
    for owner in store.owners().await.unwrap() {
        let version = owner.version.0;
        let entries = store.list(owner.id, "", None, 100).await.unwrap();
        assert_eq!(entries.len() as i64, if version == 0 { 0 } else { PARTS });
        assert!(entries.iter().all(|entry| entry.value.as_str() == version.to_string()));
        assert_eq!(owner.cursor, (version > 0).then(|| version.to_string()));
        assert_eq!(
            store.history(owner.id, None, HistoryLimit::turns(usize::MAX)).await.unwrap().len() as i64,
            version
        );
        let own = events.iter().filter(|event| event.source == owner.id);
        let ids: Vec<String> = own.map(|event| event.event_id.clone()).collect();
        let expected =
            (1..=version).flat_map(|version| (0..PARTS).map(move |part| format!("{version}.{part}")));
        assert!(ids.into_iter().eq(expected));
        versions.push(version);
    }
    drop(store);
    let check = Connection::open(path).unwrap();
    let sound: String = check.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    versions
}

/// This binary again, running the test of that name with a task: then the test is its own child.
fn child(test: &str, task: &Path) -> Child {
    // The shell ignores SIGXFSZ for the child: a write beyond the limit shall fail, not kill.
    let script = r#"trap '' XFSZ; exec "$0" "$@""#;
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", test]).env(TASK, task);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn task() -> Option<PathBuf> {
    std::env::var_os(TASK).map(PathBuf::from)
}

/// Says something to the parent, past the capture of the test harness.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n>{text}").unwrap();
    out.flush().unwrap();
}

/// What a child says.
fn said(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let out = BufReader::new(child.stdout.take().unwrap());
    out.lines().map_while(Result::ok).filter_map(|line| line.strip_prefix('>').map(str::to_owned))
}

/// Copies a file without opening it in this process, where closing it would drop SQLite's locks.
fn copy_beside(from: &str, to: &str) {
    assert!(Command::new("cp").args([from, to]).status().unwrap().success());
}

/// Commits until somebody ends it.
async fn child_that_is_killed(path: PathBuf) {
    let store = Arc::new(open(&path));
    let mut owners = Vec::new();
    for name in ["a", "b", "c"] {
        let owner = store.register(&Owner::source(name), "test").await.unwrap();
        owners.push((name, owner, store.snapshot(owner).await.unwrap().version.0));
    }
    let work = owners.into_iter().map(|(name, owner, version)| {
        let store = store.clone();
        async move {
            for version in version + 1.. {
                committed(store.commit(whole(owner, version)).await.unwrap());
                say(&format!("{name} {version}"));
            }
        }
    });
    futures_util::future::join_all(work).await;
}

#[tokio::test]
async fn promise_1_holds_under_kill_9() {
    if let Some(path) = task() {
        return child_that_is_killed(path).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let mut acknowledged = [0; 3];
    // Each life ends at another moment of the writer's work.
    for lives in [1, 2, 30, 77, 150] {
        let mut child = child("promise_1_holds_under_kill_9", &path);
        for (count, line) in said(&mut child).enumerate() {
            let (name, version) = line.split_once(' ').unwrap();
            acknowledged[usize::from(name.as_bytes()[0] - b'a')] = version.parse().unwrap();
            if count == lives {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let found = whole_turns(&path).await;
        for (found, acknowledged) in found.iter().zip(acknowledged) {
            assert!((acknowledged..=acknowledged + 1).contains(found), "{found} of {acknowledged}");
        }
        acknowledged.copy_from_slice(&found);
    }
}

fn limit_file_size(bytes: Option<u64>) {
    let hard = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum: hard }).unwrap();
}

/// Commits under limits that stand for a disk without room.
async fn child_on_a_full_disk(path: PathBuf) {
    let store = open(&path);
    let owner = store.register(&Owner::source("a"), "test").await.unwrap();
    let other = store.register(&Owner::source("b"), "test").await.unwrap();
    let mut version = 0;
    for _ in 0..3 {
        let wal = fs::metadata(format!("{}-wal", path.display())).unwrap().len();
        limit_file_size(Some(wal.max(64 << 10) + 200_000));
        let mut refused = 0;
        while refused < 3 {
            match store.commit(whole(owner, version + 1)).await {
                Ok(outcome) => version = committed(outcome).version.0,
                Err(StoreError::Full(_)) => refused += 1,
                Err(error) => panic!("{error}"),
            }
            assert!(version < 10_000, "the disk is never full");
        }
        // Reads go on, and see nothing of the refused turns.
        assert_eq!(store.snapshot(owner).await.unwrap().version, Version(version));
        let entries = store.list(owner, "", None, 9).await.unwrap();
        assert!(entries.iter().all(|entry| entry.value.as_str() == version.to_string()));
        limit_file_size(None);
        version = committed(store.commit(whole(owner, version + 1)).await.unwrap()).version.0;
    }
    a_big_turn_fails_alone(&store, &path, (owner, version), other).await;
    say(&version.to_string());
    // One more end in the middle of things: no farewell on a full disk either.
    limit_file_size(Some(1));
    drop(store);
}

/// Turns that fit are stored though one in their group does not.
async fn a_big_turn_fails_alone(store: &SqliteStore, path: &Path, done: (OwnerId, i64), other: OwnerId) {
    let wal = fs::metadata(format!("{}-wal", path.display())).unwrap().len();
    limit_file_size(Some(wal + 400_000));
    let big = turn(done.0, Version(done.1)).put("big", &format!("\"{}\"", "x".repeat(8 << 20)));
    let (big, small) = tokio::join!(store.commit(big), store.commit(whole(other, 1)));
    limit_file_size(None);
    assert!(matches!(big, Err(StoreError::Full(_))), "{big:?}");
    assert!(matches!(small, Ok(Outcome::Committed(_))), "{small:?}");
}

#[tokio::test]
async fn promise_1_holds_on_a_full_disk() {
    if let Some(path) = task() {
        return child_on_a_full_disk(path).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let child = child("promise_1_holds_on_a_full_disk", &path);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let said = text.lines().find_map(|line| line.strip_prefix('>'));
    let errors = String::from_utf8_lossy(&output.stderr);
    let version = said.unwrap_or_else(|| panic!("{text}\n{errors}")).parse::<i64>().unwrap();
    assert_eq!(whole_turns(&path).await, [version, 1]);
}

/// Whatever is cut off the end of the log, what is left is a beginning of the history, in whole turns.
#[tokio::test]
async fn promise_1_holds_for_a_torn_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let store = open(&path);
    let owner = store.register(&Owner::source("a"), "test").await.unwrap();
    let wal_of = |path: &Path| PathBuf::from(format!("{}-wal", path.display()));
    committed(store.commit(whole(owner, 1)).await.unwrap());
    let first = fs::metadata(wal_of(&path)).unwrap().len();
    for version in 2..=4 {
        committed(store.commit(whole(owner, version)).await.unwrap());
    }
    let copy = dir.path().join("copy.db");
    let still = dir.path().join("still.db");
    copy_beside(path.to_str().unwrap(), still.to_str().unwrap());
    let (db, wal) = (fs::read(&still).unwrap(), fs::read(wal_of(&path)).unwrap());
    let mut found = Vec::new();
    for end in (first as usize..wal.len()).step_by(512).chain([wal.len()]) {
        fs::write(&copy, &db).unwrap();
        fs::write(wal_of(&copy), &wal[..end]).unwrap();
        found.extend(whole_turns(&copy).await);
    }
    assert!(found.is_sorted() && found.first() == Some(&1) && found.last() == Some(&4), "{found:?}");
}

/// Copies taken while the writer works hold whole turns, in their order, as after a loss of power.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_1_holds_for_a_copy_of_the_log_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let store = Arc::new(open(&path));
    let owner = store.register(&Owner::source("a"), "test").await.unwrap();
    // Few turns: a checkpoint between the two copies would tear the copy and not the database.
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for version in 1..=40 {
                committed(store.commit(whole(owner, version)).await.unwrap());
            }
        }
    });
    let copy = dir.path().join("copy.db");
    let mut last = 0;
    while !writer.is_finished() {
        let acknowledged = store.snapshot(owner).await.unwrap().version.0;
        copy_beside(path.to_str().unwrap(), copy.to_str().unwrap());
        copy_beside(&format!("{}-wal", path.display()), &format!("{}-wal", copy.display()));
        let found = whole_turns(&copy).await[0];
        assert!(
            found >= acknowledged && found >= last,
            "{found}, {acknowledged} acknowledged, {last} before"
        );
        last = found;
    }
    writer.await.unwrap();
}

/// A start that is killed while it makes a database, at whatever moment, is gone on with.
#[tokio::test]
async fn a_first_start_that_was_killed_begins_again() {
    if let Some(path) = task() {
        say("ready");
        drop(open(&path));
        return;
    }
    let mut left = std::collections::BTreeSet::new();
    for moment in 0..40 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let mut child = child("a_first_start_that_was_killed_begins_again", &path);
        assert_eq!(said(&mut child).next().as_deref(), Some("ready"));
        std::thread::sleep(std::time::Duration::from_micros(moment * 250));
        child.kill().unwrap();
        child.wait().unwrap();
        left.insert(fs::metadata(&path).map_or(0, |facts| facts.len() + 1));
        let store = open(&path);
        assert_eq!(store.head().await.unwrap(), Seq(0), "nothing was lost, so nothing jumps");
    }
    assert!(left.len() > 1, "all were killed at the same moment: {left:?}");
}

/// The log of a killed program would be read over a file that was copied back, as if it belonged to it.
#[tokio::test]
async fn a_file_copied_back_beside_the_log_of_another_is_refused() {
    if let Some(path) = task() {
        return child_that_is_killed(path).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let (text, copy) = (path.display().to_string(), dir.path().join("copy.db"));
    let live = || {
        let mut child = child("a_file_copied_back_beside_the_log_of_another_is_refused", &path);
        assert_eq!(said(&mut child).take(20).count(), 20);
        child.kill().unwrap();
        child.wait().unwrap();
    };
    live();
    whole_turns(&path).await;
    copy_beside(&text, copy.to_str().unwrap());
    live();
    let log = PathBuf::from(format!("{text}-wal"));
    assert!(fs::metadata(&log).unwrap().len() > 0);
    copy_beside(copy.to_str().unwrap(), &text);
    let refused = SqliteStore::open(&path, Options::new(HandClock::new())).err().unwrap();
    assert!(matches!(refused, inboxclaw_store::OpenError::Parted { .. }), "{refused}");
    assert!(refused.to_string().contains(&format!("remove {text}-wal and {text}-shm")), "{refused}");
    // As the message says.
    fs::remove_file(&log).unwrap();
    let _ = fs::remove_file(format!("{text}-shm"));
    let head = open(&path).head().await.unwrap();
    assert_eq!(head, Seq(999_999), "and numbers jump");
    whole_turns(&path).await;
}
