//! A person's change of an expiry: a change like any other, to be undone and rewound; one that has passed is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use inboxclaw_contract::turn::EntryChange;
use inboxclaw_contract::{Expiry, Version};
use inboxclaw_edit::{Condition, EditError, Mode, To, Which};
use jiff::Timestamp;
use support::{Ground, Reads as _, json, lines, seconds, unseen};

/// When a key expires, in seconds after the start of the test.
async fn expires(ground: &Ground, key: &str) -> Option<i64> {
    let entry = ground.store.list_one(key, ground.owner).await;
    entry.expires_at.map(|at| at.as_second() - 1_700_000_000)
}

#[tokio::test]
async fn an_expiry_that_has_passed_is_refused_and_nothing_changes() {
    let ground = Ground::new().await;
    ground.put("a", "1").await;
    ground.put("a", "2").await;
    let now = Timestamp::from_second(1_700_000_000).unwrap();
    let nearly = Expiry::For(Duration::from_nanos(999));
    let long_ago = Timestamp::from_second(1_577_836_800).unwrap();
    for expiry in [Expiry::Until(long_ago), Expiry::Until(now), Expiry::For(Duration::ZERO), nearly] {
        for (key, value) in [("a", "2"), ("a", "3"), ("b", "1")] {
            let editor = ground.editor();
            let put = editor.put(ground.owner, key, json(value), expiry, None, Condition::Any);
            let error = put.await.unwrap_err();
            assert!(matches!(&error, EditError::Refused(_)), "{expiry:?}: {error}");
            assert!(error.to_string().contains("ttl must be in the future"), "{error}");
        }
    }
    assert_eq!((ground.state().await.as_str(), ground.version().await), ("a=2", 2));
    ground.editor().undo(ground.owner, Which::Person, false, &unseen).await.unwrap();
    assert_eq!(ground.state().await, "a=1", "the newest change, and nothing older");
    let soon = Timestamp::from_microsecond(1_700_000_000_000_001).unwrap();
    ground.put_for("a", "1", Expiry::Until(soon)).await;
}

#[tokio::test]
async fn an_expiry_alone_makes_a_version_that_is_undone_and_redone() {
    let ground = Ground::new().await;
    assert_eq!(ground.put("a", "1").await, Version(1));
    let entry = ground.store.list_one("a", ground.owner).await;
    ground.clock.step(5);
    assert_eq!(ground.put_for("a", "1", seconds(100)).await, Version(2));
    let moved = ground.store.list_one("a", ground.owner).await;
    assert_eq!(
        (moved.revision, moved.updated_at, moved.created_at),
        (Version(2), entry.updated_at, entry.created_at)
    );
    assert_eq!(ground.put_for("a", "1", Expiry::Keep).await, Version(2), "nothing is another");
    assert_eq!(ground.put_for("a", "1", seconds(100)).await, Version(2), "the same instant");
    assert_eq!(ground.version().await, 2);
    let undone = ground.editor().undo(ground.owner, Which::Person, false, &unseen).await.unwrap();
    assert_eq!((undone.undid, undone.entries, undone.version), (Version(2), 1, Version(3)));
    assert_eq!((ground.state().await.as_str(), expires(&ground, "a").await), ("a=1", None));
    ground.editor().undo(ground.owner, Which::Version(Version(3)), false, &unseen).await.unwrap();
    assert_eq!(expires(&ground, "a").await, Some(105));
    ground.clock.step(100);
    assert_eq!(ground.state().await, "");
    // What took it away was the expiry alone, so without that it is there.
    ground.editor().undo(ground.owner, Which::Version(Version(4)), false, &unseen).await.unwrap();
    assert_eq!((ground.state().await.as_str(), expires(&ground, "a").await), ("a=1", None));
}

#[tokio::test]
async fn a_rewind_restores_expiries() {
    let ground = Ground::new().await;
    ground.put_for("a", "1", seconds(100)).await;
    ground.put_for("a", "1", Expiry::Never).await;
    ground.put("b", "1").await;
    ground.put_for("a", "1", seconds(50)).await;
    for (to, expiry) in [(1, Some(100)), (3, None), (4, Some(50)), (2, None)] {
        let to = To::Version(Version(to));
        let rewound = ground.editor().rewind(ground.owner, to, &unseen).await.unwrap();
        assert_eq!(expires(&ground, "a").await, expiry, "{to:?}");
        assert!(rewound.entries >= 1, "{rewound:?}");
    }
    ground.clock.step(100);
    let rewound = ground.editor().rewind(ground.owner, To::Version(Version(1)), &unseen).await.unwrap();
    assert_eq!((rewound.left, ground.state().await), (vec!["a".to_owned()], String::new()), "not revived");
}

#[tokio::test]
async fn an_expiry_that_was_changed_since_is_named() {
    let ground = Ground::new().await;
    ground.put("a", "1").await;
    ground.put_for("a", "1", seconds(100)).await;
    ground.put_for("a", "1", seconds(200)).await;
    let undo = |version| {
        let editor = ground.editor();
        async move { editor.undo(ground.owner, Which::Version(Version(version)), false, &unseen).await }
    };
    let error = undo(2).await.unwrap_err();
    assert_eq!(error.to_string(), "changed since version 2: \"a\"");
    // A source that postpones it changes nothing.
    let touch = EntryChange::Touch { expiry: seconds(300) };
    ground.turn(|turn| drop(turn.entries.insert("a".into(), touch))).await;
    assert_eq!((ground.version().await, expires(&ground, "a").await), (3, Some(300)));
    undo(3).await.unwrap();
    assert_eq!(expires(&ground, "a").await, Some(100));
    undo(2).await.unwrap();
    assert_eq!((ground.state().await.as_str(), expires(&ground, "a").await), ("a=1", None));
}

#[tokio::test]
async fn an_import_that_moves_expiries_is_a_change() {
    let ground = Ground::new().await;
    ground.put("a", "1").await;
    ground.put("b", "1").await;
    let text =
        "{\"key\":\"a\",\"value\":1,\"expires_at\":\"2023-11-14T22:15:00Z\"}\n{\"key\":\"b\",\"value\":1}";
    let brought = ground.editor().import(ground.owner, lines(text), Mode::Merge, &unseen).await.unwrap();
    assert_eq!((brought.version, expires(&ground, "a").await), (Version(3), Some(100)));
    let undone = ground.editor().undo(ground.owner, Which::Person, false, &unseen).await.unwrap();
    assert_eq!((undone.undid, undone.entries, expires(&ground, "a").await), (Version(3), 1, None));
}

#[tokio::test]
async fn a_turn_that_read_the_key_loses_to_a_person_who_moves_its_expiry() {
    let ground = Ground::new().await;
    let base = ground.put("a", "1").await;
    ground.put_for("a", "1", seconds(100)).await;
    let mut turn = inboxclaw_contract::Turn::new(inboxclaw_contract::turn::TurnId(7), ground.owner, base);
    turn.entries.insert("a".into(), EntryChange::Delete);
    let outcome = inboxclaw_contract::State::commit(&*ground.store, turn).await.unwrap();
    assert!(matches!(outcome, inboxclaw_contract::Outcome::Conflict(_)), "{outcome:?}");
    let editor = ground.editor();
    let put = editor.put(ground.owner, "a", json("2"), Expiry::Keep, None, Condition::Revision(Version(1)));
    assert!(matches!(put.await, Err(EditError::Condition { .. })));
}
