//! Edits of keys and cursors with their conditions, and deletion by choice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::Mutex;
use std::time::Duration;

use inboxclaw_contract::store::HistoryLimit;
use inboxclaw_contract::turn::Age;
use inboxclaw_contract::{Expiry, State, Version};
use inboxclaw_edit::{Condition, EditError, EntryFilter, Mode, Put, To, Which};
use support::meddler::{Meddler, Step, before};
use support::{Ground, Reads as _, Words, json, seconds, unseen};

fn chosen(prefix: &str, older_than: Option<(u64, Age)>) -> EntryFilter {
    let older_than = older_than.map(|(seconds, by)| (Duration::from_secs(seconds), by));
    EntryFilter { prefix: prefix.to_owned(), older_than }
}

async fn put(ground: &Ground, condition: Condition) -> Result<Put, String> {
    let editor = ground.editor();
    let put = editor.put(ground.owner, "a", json("1"), Expiry::Keep, None, condition).await;
    put.map_err(|error| error.to_string())
}

#[tokio::test]
async fn conditions_decide_with_the_revision_that_is_there() {
    let ground = Ground::new().await;
    let absent = Err("the key \"a\" has no value".to_owned());
    assert_eq!(put(&ground, Condition::Present).await, absent);
    assert_eq!(put(&ground, Condition::Revision(Version(1))).await, absent);
    let made = Put { revision: Version(1), created: true };
    assert_eq!(put(&ground, Condition::Absent).await, Ok(made));
    let there = Err("the key \"a\" has revision 1".to_owned());
    assert_eq!(put(&ground, Condition::Absent).await, there);
    assert_eq!(put(&ground, Condition::Revision(Version(2))).await, there);
    let same = Put { created: false, ..made };
    for condition in [Condition::Any, Condition::Present, Condition::Revision(Version(1))] {
        assert_eq!(put(&ground, condition).await, Ok(same), "an equal value keeps its revision");
    }
    assert_eq!(ground.version().await, 1);
    let delete = async |condition| ground.editor().delete(ground.owner, "a", condition).await;
    assert!(matches!(delete(Condition::Absent).await, Err(EditError::Condition { .. })));
    assert!(matches!(delete(Condition::Revision(Version(9))).await, Err(EditError::Condition { .. })));
    assert!(delete(Condition::Revision(Version(1))).await.unwrap());
    assert!(!delete(Condition::Any).await.unwrap());
    assert!(!delete(Condition::Absent).await.unwrap());
    assert!(matches!(delete(Condition::Present).await, Err(EditError::Condition { found: None, .. })));
    assert_eq!(ground.version().await, 2);
}

#[tokio::test]
async fn an_edit_says_who_made_it_and_keeps_secrecy() {
    let ground = Ground::new().await;
    ground.secret("a", "1").await;
    ground.put("a", "2").await;
    assert!(ground.store.list_one("a", ground.owner).await.secret);
    let editor = ground.editor();
    let open = editor.put(ground.owner, "a", json("2"), Expiry::Keep, Some(false), Condition::Any).await;
    assert_eq!(open.unwrap().revision, Version(3));
    assert!(!ground.store.list_one("a", ground.owner).await.secret);
    let history = ground.store.history(ground.owner, None, HistoryLimit::turns(10)).await.unwrap();
    assert!(history.iter().all(|turn| turn.author.as_deref() == Some("cli:ada")));
}

#[tokio::test]
async fn beyond_a_limit_nothing_happens() {
    let ground = Ground::new().await;
    let editor = ground.editor();
    let key = "k".repeat(2_049);
    let error =
        editor.put(ground.owner, &key, json("1"), Expiry::Keep, None, Condition::Any).await.unwrap_err();
    assert_eq!(error.to_string(), "the key has 2049 bytes, the limit is 2048");
    let error = editor.set_cursor(ground.owner, Some("c".repeat((1 << 20) + 1))).await.unwrap_err();
    assert_eq!(error.to_string(), "the cursor has 1048577 bytes, the limit is 1048576");
    assert_eq!(ground.version().await, 0);
}

#[tokio::test]
async fn an_edit_wins_over_turns_that_come_before_it() {
    let ground = Ground::new().await;
    let turns = (0..30).map(|n| {
        before(Step::Commit, move |turn| {
            turn.puts("a", &format!("{n}"));
            turn.cursor = Some(Some(format!("{n}")));
        })
    });
    let meddler = Meddler::planned(ground.store.clone(), ground.owner, turns.collect());
    let editor = ground.editor_over(meddler.clone());
    let put = editor.put(ground.owner, "a", json("\"mine\""), Expiry::Keep, None, Condition::Any).await;
    assert_eq!(put.unwrap(), Put { revision: Version(31), created: false });
    assert_eq!((meddler.by.left(), ground.state().await.as_str()), (0, "a=\"mine\" @29"));
    let plan = vec![before(Step::Commit, |turn| turn.puts("a", "0"))];
    let meddler = Meddler::planned(ground.store.clone(), ground.owner, plan);
    let editor = ground.editor_over(meddler);
    let error = editor.delete(ground.owner, "a", Condition::Revision(Version(31))).await.unwrap_err();
    assert_eq!(error.to_string(), "the key \"a\" has revision 32");
}

#[tokio::test]
async fn an_entry_that_expires_before_the_commit_is_seen_as_gone() {
    let ground = Ground::new().await;
    ground.put_for("a", "1", seconds(10)).await;
    let clock = ground.clock.clone();
    let plan = vec![before(Step::Commit, move |_| clock.step(10))];
    let meddler = Meddler::planned(ground.store.clone(), ground.owner, plan);
    let editor = ground.editor_over(meddler);
    let error = editor.delete(ground.owner, "a", Condition::Present).await.unwrap_err();
    assert!(matches!(error, EditError::Condition { found: None, .. }), "{error}");
}

#[tokio::test]
async fn what_is_chosen_goes_and_is_counted() {
    let ground = Ground::new().await;
    ground.put("a_b", "1").await;
    ground.put("aXb", "1").await;
    ground.clock.step(100);
    ground.put("a_b", "22").await;
    ground.put("a_c", "1").await;
    ground.secret("a_s", "1").await;
    ground.clock.step(10);
    for (choice, counts, left) in [
        (chosen("a_", Some((50, Age::Updated))), (0, 0), "aXb=1 a_b=22 a_c=1 a_s=1"),
        (chosen("a_", Some((50, Age::Created))), (1, 5), "aXb=1 a_c=1 a_s=1"),
        (chosen("", Some((110, Age::Updated))), (0, 0), "aXb=1 a_c=1 a_s=1"),
        (chosen("a_", None), (2, 8), "aXb=1"),
        (chosen("", Some((u64::MAX, Age::Updated))), (0, 0), "aXb=1"),
        (chosen("", None), (1, 4), ""),
    ] {
        let before = ground.state().await;
        for dry_run in [true, false] {
            let version = ground.version().await;
            let deleted =
                ground.editor().delete_matching(ground.owner, &choice, dry_run, &unseen).await.unwrap();
            assert_eq!((deleted.entries, deleted.bytes), counts, "{choice:?}");
            let changed = i64::from(!dry_run && counts.0 > 0);
            assert_eq!((deleted.version.0, ground.version().await), (version + changed, version + changed));
            assert_eq!(ground.state().await, if dry_run { before.as_str() } else { left }, "{choice:?}");
        }
    }
}

#[tokio::test]
async fn many_go_by_a_space_and_others_stay() {
    for (choice, entries, left) in [
        (chosen("m", None), 11_002, 2_501),
        (chosen("", None), 13_503, 0),
        (chosen("", Some((5, Age::Updated))), 11_001, 2_502),
    ] {
        let ground = Ground::new().await;
        ground.turn(|turn| (0..11_000).for_each(|n| turn.puts(&format!("m{n:05}"), "1"))).await;
        ground.secret("ms", "1").await;
        ground.clock.step(10);
        ground
            .turn(|turn| {
                (0..2_499)
                    .for_each(|n| turn.puts(&format!("{}{n:05}", if n % 2 == 0 { 'a' } else { 'z' }), "1"))
            })
            .await;
        ground.secret("s", "1").await;
        ground.put("m", "1").await;
        ground.put("n", "1").await;
        let before = ground.version().await;
        let seen = Mutex::new(Vec::new());
        let progress = |done, of| seen.lock().unwrap().push((done, of));
        let deleted = ground.editor().delete_matching(ground.owner, &choice, false, &progress).await.unwrap();
        assert_eq!((deleted.entries, deleted.version.0), (entries, before + 1), "{choice:?}");
        let found = ground.store.all(ground.owner).await;
        assert_eq!((found.len(), ground.store.space_count(ground.owner).await), (left, left as u64));
        assert!(found.iter().all(|entry| !entry.key.starts_with('m') || choice.older_than.is_some()));
        assert!(found.iter().all(|entry| entry.revision.0 <= before), "they stay as they are");
        assert!(seen.into_inner().unwrap().len() > 4, "progress was told");
    }
}

#[tokio::test]
async fn edits_can_be_spawned() {
    fn on_any_thread<T: Send>(_: T) {}
    let ground = Ground::new().await;
    let (editor, owner) = (ground.editor(), ground.owner);
    on_any_thread(editor.put(owner, "a", json("1"), Expiry::Keep, None, Condition::Any));
    on_any_thread(editor.delete(owner, "a", Condition::Any));
    on_any_thread(editor.set_cursor(owner, None));
    on_any_thread(editor.delete_matching(owner, &EntryFilter::default(), false, &unseen));
    on_any_thread(editor.undo(owner, Which::Any, false, &unseen));
    on_any_thread(editor.rewind(owner, To::Version(Version(0)), &unseen));
    on_any_thread(editor.copy(owner, owner, "", Mode::Merge, &unseen));
    on_any_thread(editor.import(owner, support::lines(""), Mode::Merge, &unseen));
    on_any_thread(editor.export(owner, "a", "test", false, Box::new(|_| true)));
}
