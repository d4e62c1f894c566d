//! Promise 5 after a restore: numbers jump, readers beyond what is left are told, and the remains of a database are not
//! taken for a new one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use inboxclaw_contract::store::{Find, Truncation, TruncationCause};
use inboxclaw_contract::{Selection, Seq};
use inboxclaw_contract_testing::{Ground, HandClock, Words, of_type};
use inboxclaw_store::{OpenError, Options, SqliteStore};

fn open(path: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(path, Options::new(HandClock::new()))
}

fn ground(path: &Path) -> Ground {
    let clock = HandClock::new();
    let store = Arc::new(SqliteStore::open(path, Options::new(clock.clone())).unwrap());
    Ground::new(store, clock)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

/// Copies without opening anything in this process, where closing it would drop SQLite's locks.
fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
}

/// Opens the database and logs events of the type `t` up to that number.
async fn log(path: &Path, last: i64) -> Ground {
    let ground = ground(path);
    let source = ground.source("a").await;
    for n in ground.store.head().await.unwrap().0 + 1..=last {
        ground.commit(ground.turn(source).await.emit(&n.to_string(), "t")).await;
    }
    ground
}

async fn seqs(ground: &Ground, after: i64) -> Vec<i64> {
    ground.page(&Selection::all(Seq(after))).await.events.iter().map(|event| event.seq.0).collect()
}

/// A folder with a copy of the database at 7, and the database at 11.
async fn older_and_newer() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (path, older) = (dir.path().join("data/a.db"), dir.path().join("older.db"));
    drop(log(&path, 7).await);
    copy(&path, &older);
    drop(log(&path, 11).await);
    (dir, path, older)
}

#[tokio::test]
async fn promise_5_holds_after_a_copy_was_put_back_by_hand() {
    let (_dir, path, older) = older_and_newer().await;
    copy(&older, &path);
    let restored = ground(&path);
    assert_eq!(restored.store.head().await.unwrap(), Seq(999_999));
    let gap = Truncation { up_to: Seq(999_999), cause: TruncationCause::Restore };
    for (position, told) in
        [(0, None), (7, None), (8, Some(gap)), (11, Some(gap)), (999_998, Some(gap)), (999_999, None)]
    {
        assert_eq!(restored.page(&Selection::all(Seq(position))).await.truncation, told, "{position}");
    }
    let source = restored.source("a").await;
    restored.commit(restored.turn(source).await.emit("new", "t").emit("8", "t")).await;
    assert_eq!(seqs(&restored, 5).await, [6, 7, 1_000_000, 1_000_001], "8 was reported anew");
    assert_eq!(seqs(&restored, 11).await, [1_000_000, 1_000_001]);
    assert_eq!(restored.missed(&of_type("never", 11)).await, Some(999_999), "whatever the reader wants");
    let positions = [("t".to_owned(), Seq(11))];
    let by_type = Selection { positions: positions.into(), ..Selection::default() };
    assert_eq!(restored.missed(&by_type).await, Some(999_999));
    let find = Find { after: Some(Seq(11)), limit: 9, ..Find::default() };
    let found = restored.store.find(&find).await.unwrap();
    assert_eq!((found.total, found.truncation), (2, Some(gap)));
    drop(restored);

    // The gap is kept, and nothing jumps again.
    let again = ground(&path);
    assert_eq!(again.store.head().await.unwrap(), Seq(1_000_001));
    assert_eq!(
        (again.missed(&Selection::all(Seq(11))).await, seqs(&again, 0).await.len()),
        (Some(999_999), 9)
    );
    drop(again);
    // The same copy once more: those who read the numbers after the first one are told as well.
    copy(&older, &path);
    let twice = ground(&path);
    assert_eq!(twice.store.head().await.unwrap(), Seq(1_999_999));
    assert_eq!(twice.missed(&Selection::all(Seq(1_000_001))).await, Some(1_999_999));
    assert_eq!(twice.missed(&Selection::all(Seq(7))).await, None);
}

#[tokio::test]
async fn numbers_jump_wherever_the_log_may_be_an_older_one() {
    let (dir, path, older) = older_and_newer().await;
    let head = async |path: &Path| ground(path).store.head().await.unwrap().0;
    assert_eq!(head(&path).await, 11, "nothing jumps where nothing happened");
    let elsewhere = dir.path().join("elsewhere.db");
    copy(&older, &elsewhere);
    assert_eq!(head(&elsewhere).await, 999_999, "without its lock file");
    let folder = dir.path().join("copied");
    copy(path.parent().unwrap(), &folder);
    assert_eq!(head(&folder.join("a.db")).await, 999_999, "with its lock file");
    assert_eq!(head(&folder.join("a.db")).await, 999_999, "once");
    fs::remove_file(&path).unwrap();
    assert_eq!(head(&path).await, 999_999, "a new one in its place");
    assert_eq!(ground(&path).missed(&Selection::all(Seq(11))).await, Some(999_999));
    // A database of another log.
    drop(log(&dir.path().join("other.db"), 3).await);
    copy(&dir.path().join("other.db"), &path);
    assert_eq!(head(&path).await, 1_999_999);
}

#[tokio::test]
async fn what_is_left_of_a_database_is_not_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data/a.db");
    let running = log(&path, 3).await;
    let young = dir.path().join("young.db");
    copy(&path, &young);
    drop(running);
    let remains = |path: &Path| {
        let error = open(path).err().unwrap();
        assert!(matches!(error, OpenError::Remains { .. }), "{error}");
        assert!(error.to_string().contains("inboxclaw store restore FILE"), "{error}");
        let reading = SqliteStore::read_only(path, HandClock::new()).err().unwrap();
        assert!(matches!(reading, OpenError::Remains { .. }), "{reading}");
    };
    // Everything is in the log that was not copied.
    remains(&young);
    assert!(!beside(&young, ".lock").exists(), "it was not touched");
    let whole = dir.path().join("whole.db");
    copy(&path, &whole);
    copy(&young, &path);
    remains(&path);
    fs::write(&path, "").unwrap();
    remains(&path);
    remains(&path);
    copy(&whole, &path);
    assert_eq!(seqs(&ground(&path), 0).await, [1, 2, 3]);
    // With its log it is whole, as after a loss of power.
    let running = log(&dir.path().join("b.db"), 3).await;
    for suffix in ["", "-wal"] {
        copy(&dir.path().join(format!("b.db{suffix}")), &beside(&dir.path().join("c.db"), suffix));
    }
    assert_eq!(seqs(&ground(&dir.path().join("c.db")), 0).await, [1, 2, 3]);
    drop(running);
}

#[tokio::test]
async fn a_file_that_was_cut_short_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    drop(log(&path, 3).await);
    let whole = fs::read(&path).unwrap();
    for size in [whole.len() - 1, whole.len() / 2, 4_096] {
        fs::write(&path, &whole[..size]).unwrap();
        let error = open(&path).err().unwrap();
        assert!(matches!(error, OpenError::Damaged { .. }), "{size}: {error}");
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(seqs(&ground(&path), 0).await, [1, 2, 3]);
}
