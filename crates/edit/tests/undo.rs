//! Undo: the newest change, the one before, a certain one, and what stands in the way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use inboxclaw_contract::turn::EntryChange;
use inboxclaw_contract::{Json, Version};
use inboxclaw_edit::{Condition, EditError, Mode, Undone, Which};
use support::{Ground, Reads as _, Words, lines, many, seconds, unseen};

async fn undo(ground: &Ground, which: Which) -> Result<Undone, EditError> {
    ground.editor().undo(ground.owner, which, false, &unseen).await
}

#[tokio::test]
async fn a_put_a_delete_and_the_cursor_are_taken_back() {
    let ground = Ground::new().await;
    ground.put("a", "1").await;
    ground.put("a", "2").await;
    ground.editor().delete(ground.owner, "a", Condition::Any).await.unwrap();
    ground.editor().set_cursor(ground.owner, Some("c".into())).await.unwrap();
    for (undid, state) in [(4, ""), (3, "a=2"), (2, "a=1"), (1, "")] {
        let undone = undo(&ground, Which::Person).await.unwrap();
        assert_eq!((undone.undid.0, undone.author.as_deref()), (undid, Some("cli:ada")));
        assert_eq!((undone.cursor, undone.entries), (undid == 4, u64::from(undid != 4)));
        assert_eq!(undone.version.0, ground.version().await);
        assert_eq!(ground.state().await, state, "after the undo of {undid}");
    }
    assert!(matches!(undo(&ground, Which::Person).await, Err(EditError::Nothing)));
}

#[tokio::test]
async fn entries_come_back_with_their_times() {
    let ground = Ground::new().await;
    ground.put_for("a", "1", seconds(1_000)).await;
    let before = ground.store.list_one("a", ground.owner).await;
    ground.clock.step(10);
    ground.put_for("a", "2", seconds(5)).await;
    ground.clock.step(3);
    undo(&ground, Which::Person).await.unwrap();
    let after = ground.store.list_one("a", ground.owner).await;
    assert_eq!(after.revision, Version(3));
    assert_eq!(inboxclaw_contract::Entry { revision: before.revision, ..after }, before);
}

#[tokio::test]
async fn several_keys_come_back_together_and_an_undo_can_be_undone() {
    let ground = Ground::new().await;
    ground.turn(|turn| ["a", "b", "c"].iter().for_each(|key| turn.puts(key, "1"))).await;
    ground
        .turn(|turn| {
            turn.author = Some("cli:bob".into());
            turn.puts("a", "2");
            turn.deletes("b");
            turn.puts("d", "2");
            turn.cursor = Some(Some("x".into()));
        })
        .await;
    let undone = undo(&ground, Which::Person).await.unwrap();
    assert_eq!((undone.entries, undone.cursor, undone.author.as_deref()), (3, true, Some("cli:bob")));
    assert_eq!(ground.state().await, "a=1 b=1 c=1");
    undo(&ground, Which::Version(Version(3))).await.unwrap();
    assert_eq!(ground.state().await, "a=2 c=1 d=2 @x", "redone");
    // The change is in effect again, so it is the newest to be taken back.
    assert_eq!(undo(&ground, Which::Person).await.unwrap().undid, Version(2));
    assert_eq!(ground.state().await, "a=1 b=1 c=1");
}

#[tokio::test]
async fn turns_of_the_owner_are_taken_back_when_asked_for() {
    let ground = Ground::new().await;
    ground.put("a", "1").await;
    ground.turn(|turn| turn.puts("b", "1")).await;
    ground.turn(|turn| turn.puts("b", "2")).await;
    assert_eq!(undo(&ground, Which::Any).await.unwrap().undid, Version(3));
    assert_eq!(undo(&ground, Which::Any).await.unwrap().undid, Version(2));
    assert_eq!(ground.state().await, "a=1");
    assert_eq!(undo(&ground, Which::Person).await.unwrap().undid, Version(1));
    assert_eq!(ground.state().await, "");
}

#[tokio::test]
async fn what_was_changed_since_is_named_and_refused_unless_forced() {
    let ground = Ground::new().await;
    ground
        .turn(|turn| {
            turn.author = Some("cli:ada".into());
            ["a", "b", "c"].iter().for_each(|key| turn.puts(key, "1"));
            turn.cursor = Some(Some("x".into()));
        })
        .await;
    ground.turn(|turn| turn.puts("a", "2")).await;
    ground.turn(|turn| turn.deletes("b")).await;
    // Changed and changed back: by value, nothing happened.
    ground.turn(|turn| turn.puts("c", "2")).await;
    ground.turn(|turn| turn.puts("c", "1")).await;
    ground.turn(|turn| turn.cursor = Some(Some("y".into()))).await;
    let error = undo(&ground, Which::Person).await.unwrap_err();
    assert_eq!(error.to_string(), r#"changed since version 1: "a", "b", the cursor"#);
    assert_eq!(ground.state().await, "a=2 c=1 @y");
    let undone = ground.editor().undo(ground.owner, Which::Person, true, &unseen).await.unwrap();
    assert_eq!((undone.entries, undone.cursor), (2, true));
    assert_eq!(ground.state().await, "");
}

#[tokio::test]
async fn a_touch_is_no_change_since() {
    let ground = Ground::new().await;
    ground.put("a", "1").await;
    ground.put("a", "2").await;
    let touch = EntryChange::Touch { expiry: seconds(100) };
    ground.turn(|turn| drop(turn.entries.insert("a".into(), touch))).await;
    undo(&ground, Which::Person).await.unwrap();
    assert_eq!(ground.state().await, "a=1");
}

#[tokio::test]
async fn nothing_expired_is_revived() {
    let ground = Ground::new().await;
    ground.put_for("a", "1", seconds(10)).await;
    ground.put_for("a", "2", inboxclaw_contract::Expiry::Never).await;
    ground.put_for("b", "1", seconds(10)).await;
    ground.editor().delete(ground.owner, "b", Condition::Any).await.unwrap();
    ground.clock.step(10);
    let kept = undo(&ground, Which::Person).await.unwrap_err();
    assert!(matches!(&kept, EditError::Kept { version: 4, keys } if keys == &["b"]), "{kept:?}");
    let undone = undo(&ground, Which::Version(Version(2))).await.unwrap();
    assert_eq!((undone.entries, undone.left), (1, vec!["a".to_owned()]));
    assert_eq!(ground.state().await, "");
}

#[tokio::test]
async fn a_change_that_has_expired_is_not_passed_over_for_an_older_one() {
    let ground = Ground::new().await;
    ground.put("a", "1").await;
    ground.put_for("b", "1", seconds(10)).await;
    ground.clock.step(10);
    for _ in 0..2 {
        let kept = undo(&ground, Which::Person).await.unwrap_err();
        assert!(matches!(&kept, EditError::Kept { version: 2, keys } if keys == &["b"]), "{kept:?}");
    }
    assert_eq!(ground.state().await, "a=1");
    assert_eq!(undo(&ground, Which::Version(Version(1))).await.unwrap().undid, Version(1));
    assert_eq!(ground.state().await, "");
}

#[tokio::test]
async fn a_change_of_a_secret_alone_is_not_passed_over_in_silence() {
    let ground = Ground::new().await;
    ground.put("a", "1").await;
    ground.secret("b", "1").await;
    for _ in 0..2 {
        let kept = undo(&ground, Which::Person).await.unwrap_err();
        assert!(matches!(&kept, EditError::Kept { version: 2, keys } if keys == &["b"]), "{kept:?}");
    }
    assert_eq!(ground.state().await, "a=1 b=1");
}

#[tokio::test]
async fn secrets_are_left_alone() {
    let ground = Ground::new().await;
    ground.put("a", "1").await;
    ground.secret("a", "2").await;
    ground.secret("b", "2").await;
    ground.put("c", "1").await;
    ground
        .turn(|turn| {
            turn.author = Some("cli:ada".into());
            ["a", "b", "c"].iter().for_each(|key| turn.deletes(key));
        })
        .await;
    let undone = undo(&ground, Which::Person).await.unwrap();
    assert_eq!((undone.entries, undone.left), (1, vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(ground.state().await, "c=1");
    ground.put("b", "3").await;
    ground.secret("b", "4").await;
    let undone = ground.editor().undo(ground.owner, Which::Version(Version(7)), true, &unseen).await.unwrap();
    assert_eq!((undone.entries, undone.left), (0, vec!["b".to_owned()]), "it is a secret now");
    assert_eq!(ground.state().await, "b=4 c=1");
}

#[tokio::test]
async fn an_unknown_version_is_refused() {
    let ground = Ground::new().await;
    ground.put("a", "1").await;
    for (version, reason) in [
        (2, "no change made version 2: the newest is version 1"),
        (0, "no change made version 0: the newest is version 1"),
    ] {
        let error = undo(&ground, Which::Version(Version(version))).await.unwrap_err();
        assert_eq!(error.to_string(), reason);
    }
    let after_a_week = 8 * 24 * 3_600;
    ground.clock.step(after_a_week);
    ground.put("a", "2").await;
    ground.sweep().await;
    let error = undo(&ground, Which::Version(Version(1))).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "history does not go back to the change that made version 1: the oldest that it knows is version 1 and \
         the time 2023-11-22T22:13:20Z"
    );
}

#[tokio::test]
async fn a_turn_that_replaced_too_much_is_in_the_way() {
    let ground = Ground::new().await;
    let large = format!("\"{}\"", "x".repeat(9 << 20));
    ground.put("a", "1").await;
    ground.turn(|turn| ["b", "c"].iter().for_each(|key| turn.puts(key, &large))).await;
    ground.turn(|turn| ["b", "c"].iter().for_each(|key| turn.puts(key, "1"))).await;
    let error = undo(&ground, Which::Any).await.unwrap_err();
    assert!(matches!(error, EditError::Marker { version: 3, .. }), "{error}");
    let error = undo(&ground, Which::Person).await.unwrap_err();
    assert!(matches!(error, EditError::Marker { version: 3, .. }), "what became of a is not known: {error}");
    ground.editor().undo(ground.owner, Which::Person, true, &unseen).await.unwrap();
    assert_eq!(ground.state().await, "b=1 c=1");
}

#[tokio::test]
async fn an_import_of_a_whole_space_comes_off_again() {
    let ground = Ground::new().await;
    ground.put("a", "1").await;
    ground.secret("s", "0").await;
    let editor = ground.editor();
    let import = editor.import(ground.owner, lines(&many(10_001, "1")), Mode::Replace, &unseen);
    let imported = import.await.unwrap();
    assert_eq!(imported.entries, 10_001);
    ground.turn(|turn| turn.puts("k00000", "2")).await;
    let error = undo(&ground, Which::Person).await.unwrap_err();
    assert_eq!(error.to_string(), r#"changed since version 3: "k00000""#);
    ground.turn(|turn| turn.puts("k00000", "1")).await;
    let undone = undo(&ground, Which::Person).await.unwrap();
    assert_eq!((undone.undid.0, undone.entries, undone.version.0), (3, 2, 6));
    assert_eq!(ground.state().await, "a=1 s=0");
    // And back: all that the import brought, as it was left.
    let undone = undo(&ground, Which::Version(Version(6))).await.unwrap();
    assert_eq!((undone.undid.0, undone.entries), (6, 10_002));
    assert_eq!(ground.store.space_count(ground.owner).await, 10_002);
    undo(&ground, Which::Version(Version(7))).await.unwrap();
    let error = undo(&ground, Which::Person).await.unwrap_err();
    assert!(matches!(error, EditError::Kept { version: 2, .. }), "one further back: {error}");
}

#[tokio::test]
async fn many_keys_come_back_by_a_space() {
    let ground = Ground::new().await;
    let keys: Vec<String> = (0..11_000).map(|n| format!("k{n}")).collect();
    ground.turn(|turn| keys.iter().for_each(|key| turn.puts(key, "1"))).await;
    ground.put("other", "1").await;
    ground
        .turn(|turn| {
            turn.author = Some("cli:ada".into());
            keys.iter().for_each(|key| turn.puts(key, "2"));
        })
        .await;
    let undone = undo(&ground, Which::Person).await.unwrap();
    assert_eq!((undone.undid.0, undone.entries, undone.version.0), (3, 11_000, 4));
    let entries = ground.store.all(ground.owner).await;
    assert_eq!(entries.len(), 11_001);
    assert!(entries.iter().all(|entry| entry.value == Json::new("1").unwrap()));
    undo(&ground, Which::Version(Version(4))).await.unwrap();
    let entries = ground.store.all(ground.owner).await;
    assert_eq!(entries.iter().filter(|entry| entry.value.as_str() == "2").count(), 11_000);
}
