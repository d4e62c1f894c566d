//! Promises 8, 9 and 10, and what else is said about entries, history and watching.

use inboxclaw_contract::turn::Conflict;
use inboxclaw_contract::{Expiry, StoreError, Version};

use crate::common::{Ground, Words, json, seconds, turn};

pub(crate) async fn promise_8_an_expired_entry_is_gone_for_everybody(ground: &Ground) {
    let owner = ground.source("a").await;
    ground.commit(ground.turn(owner).await.put_for("a", "1", seconds(10)).put("b", "1")).await;
    ground.clock.step(9);
    assert_eq!(ground.keys(owner, "").await, ["a", "b"]);
    ground.clock.step(1);
    assert_eq!(ground.get(owner, "a").await, None);
    assert_eq!(ground.keys(owner, "").await, ["b"]);
    ground.commit(ground.turn(owner).await.check("a", None).touch("a", Expiry::Never).delete("a")).await;
    assert_eq!(ground.get(owner, "a").await, None, "a touch revives nothing");
    // A put over an expired entry is a new entry.
    let before = ground.store.snapshot(owner).await.unwrap();
    ground.commit(ground.turn(owner).await.put("a", "1")).await;
    let entry = ground.store.list(owner, "a", None, 1).await.unwrap().remove(0);
    assert_eq!((entry.created_at, entry.expires_at), (before.now, None));
    assert_eq!(entry.revision.0, before.version.0 + 1);
}

pub(crate) async fn promise_8_expiry_and_sweep_change_no_version(ground: &Ground) {
    let owner = ground.source("a").await;
    let mut many = ground.turn(owner).await.put("stays", "1");
    for n in 0..1_200 {
        many = many.put_for(&format!("goes/{n}"), "1", seconds(10));
    }
    ground.commit(many).await;
    ground.clock.step(10);
    let mut removed = 0;
    loop {
        let swept = ground.store.sweep().await.unwrap();
        assert!(swept.entries < 1_200, "a step is small");
        removed += swept.entries;
        if !swept.more {
            break;
        }
    }
    assert_eq!(removed, 1_200);
    assert_eq!(ground.keys(owner, "").await, ["stays"]);
    assert_eq!(ground.version(owner).await, Version(1));
    assert_eq!(ground.store.history(owner, None, 10).await.unwrap().len(), 1);
    // Nor is the expiry a change that a turn could conflict with.
    ground.commit(turn(owner, Version(1)).reads(&["goes/1"], &["goes"], false).put("x", "1")).await;
}

pub(crate) async fn promise_8_small_steps_back_are_absorbed(ground: &Ground) {
    let owner = ground.source("a").await;
    ground.commit(ground.turn(owner).await.put_for("a", "1", seconds(10)).emit("1", "t")).await;
    ground.clock.step(10);
    let before = ground.store.snapshot(owner).await.unwrap().now;
    ground.clock.step(-59);
    assert_eq!(ground.store.snapshot(owner).await.unwrap().now, before);
    assert_eq!(ground.get(owner, "a").await, None, "what has expired stays so");
    ground.commit(ground.turn(owner).await.emit("2", "t")).await;
    ground.clock.step(-3_600);
    let after = ground.store.snapshot(owner).await.unwrap().now;
    assert!(after < before, "larger steps are followed");
    ground.commit(ground.turn(owner).await.emit("3", "t")).await;
    let times: Vec<_> =
        ground.page(&inboxclaw_contract::Selection::all(inboxclaw_contract::Seq(0))).await.events;
    let times: Vec<_> = times.into_iter().map(|event| event.created_at).collect();
    assert!(times[1] == before && times[2] == after);
}

pub(crate) async fn promise_9_a_prefix_is_literal(ground: &Ground) {
    let owner = ground.source("a").await;
    let last = '\u{10FFFF}';
    let all = [
        "%",
        "A/1",
        "_",
        "a",
        "a%",
        "a/",
        "a/1",
        "a/é",
        "a0",
        "aé",
        "b",
        "\u{10FFFF}",
        "\u{10FFFF}\u{10FFFF}x",
    ];
    let mut put = ground.turn(owner).await;
    for key in all {
        put = put.put(key, "1");
    }
    ground.commit(put).await;
    assert_eq!(ground.keys(owner, "").await, all, "in the order of their bytes");
    assert_eq!(ground.keys(owner, "a/").await, ["a/", "a/1", "a/é"]);
    assert_eq!(ground.keys(owner, "A").await, ["A/1"]);
    assert_eq!(ground.keys(owner, "%").await, ["%"]);
    assert_eq!(ground.keys(owner, "_").await, ["_"]);
    assert_eq!(ground.keys(owner, &last.to_string()).await.len(), 2);
    ground.commit(ground.turn(owner).await.delete_prefix(&format!("{last}{last}")).delete_prefix("a%")).await;
    assert_eq!(ground.keys(owner, "").await.len(), all.len() - 2);
    ground.commit(ground.turn(owner).await.delete_prefix("")).await;
    assert!(ground.keys(owner, "").await.is_empty());
}

pub(crate) async fn promise_9_a_list_resumes_after_a_key(ground: &Ground) {
    let owner = ground.source("a").await;
    let keys: Vec<String> = (0..300).map(|n| format!("k/{n:03}")).collect();
    let put = keys
        .iter()
        .fold(ground.turn(owner).await.put("j", "1").put("l", "1"), |turn, key| turn.put(key, "1"));
    ground.commit(put).await;
    for limit in [1, 7, 100, 300] {
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = ground.store.list(owner, "k/", after.as_deref(), limit).await.unwrap();
            let full = page.len() == limit;
            found.extend(page.into_iter().map(|entry| entry.key));
            after = found.last().cloned();
            if !full {
                break;
            }
        }
        assert_eq!(found, keys, "in pages of {limit}");
    }
    let page = |after| ground.store.list(owner, "k/", Some(after), 1);
    assert_eq!(page("a").await.unwrap()[0].key, "k/000", "a key before the prefix starts at it");
    assert_eq!(page("k/0001").await.unwrap()[0].key, "k/001", "the key need not exist");
    assert!(page("z").await.unwrap().is_empty());
}

pub(crate) async fn promise_10_json_comes_back_as_it_went_in(ground: &Ground) {
    let owner = ground.source("a").await;
    let text = r#"{"z":123456789012345678901234567890,"a":1.10e-7,"n":"\u0000\ud83d\ude00é","é": [ 1 ,2]}"#;
    let mut put = ground.turn(owner).await.put("a", text).secret("s", text).emit("e", "t");
    put.events[0].data = json(text);
    put.events[0].meta = json(text);
    put.events[0].entity_id = Some("nul\u{0}and\nmore".into());
    ground.commit(put).await;
    assert_eq!(ground.get(owner, "a").await.as_deref(), Some(text));
    assert_eq!(ground.get(owner, "s").await.as_deref(), Some(text));
    let event = ground.store.event(inboxclaw_contract::Seq(1)).await.unwrap().unwrap();
    assert_eq!((event.data.as_str(), event.meta.as_str()), (text, text));
    assert_eq!(event.entity_id.as_deref(), Some("nul\u{0}and\nmore"));
    ground.commit(ground.turn(owner).await.put("a", "1")).await;
    let past = ground.store.history(owner, None, 1).await.unwrap().remove(0);
    assert_eq!(past.entries[0].1.as_ref().unwrap().value.as_str(), text);
}

pub(crate) async fn a_put_of_what_is_there_changes_nothing(ground: &Ground) {
    let owner = ground.source("a").await;
    ground.commit(ground.turn(owner).await.put("a", "1").cursor("c")).await;
    let before = ground.store.list(owner, "a", None, 1).await.unwrap().remove(0);
    ground.clock.step(5);
    let same = ground.turn(owner).await.put("a", "1").cursor("c").delete("none").delete_prefix("none");
    assert_eq!(ground.commit(same).await.version, Version(1));
    assert_eq!(ground.store.list(owner, "a", None, 1).await.unwrap(), std::slice::from_ref(&before));
    // Its expiry may change all the same, like by a touch.
    let now = ground.store.snapshot(owner).await.unwrap().now;
    ground.commit(ground.turn(owner).await.put_for("a", "1", seconds(60))).await;
    let after = ground.store.list(owner, "a", None, 1).await.unwrap().remove(0);
    assert_eq!(after.expires_at, Expiry::resolve(seconds(60), now, None));
    assert_eq!((after.revision, after.updated_at), (before.revision, before.updated_at));
    ground.commit(ground.turn(owner).await.put("a", "2")).await;
    let kept = ground.store.list(owner, "a", None, 1).await.unwrap().remove(0);
    assert_eq!(
        (kept.expires_at, kept.created_at),
        (after.expires_at, before.created_at),
        "a put keeps the expiry"
    );
    assert_eq!((kept.revision, kept.updated_at), (Version(2), now));
    // Another text of the same value is another value, and so is a secret one.
    assert_eq!(ground.commit(ground.turn(owner).await.put("a", "2.0")).await.version, Version(3));
    assert_eq!(ground.commit(ground.turn(owner).await.secret("a", "2.0")).await.version, Version(4));
}

pub(crate) async fn deletions_by_prefix_come_first(ground: &Ground) {
    let owner = ground.source("a").await;
    ground
        .commit(ground.turn(owner).await.put_for("a/1", "1", seconds(60)).put("a/2", "2").put("b", "3"))
        .await;
    ground.clock.step(1);
    ground
        .commit(
            ground.turn(owner).await.delete_prefix("a/").delete_prefix("a").put("a/1", "1").put("a/3", "4"),
        )
        .await;
    let found = ground.store.list(owner, "", None, 10).await.unwrap();
    let keys: Vec<_> = found.iter().map(|entry| (entry.key.as_str(), entry.value.as_str())).collect();
    assert_eq!(keys, [("a/1", "1"), ("a/3", "4"), ("b", "3")]);
    assert_eq!((found[0].revision, found[0].expires_at), (Version(2), None), "a new entry");
    let past = ground.store.history(owner, None, 1).await.unwrap().remove(0);
    let old: Vec<_> = past.entries.iter().map(|(key, old)| (key.as_str(), old.is_some())).collect();
    assert_eq!(old, [("a/1", true), ("a/2", true), ("a/3", false)]);
}

pub(crate) async fn history_says_what_was_replaced(ground: &Ground) {
    let owner = ground.source("a").await;
    ground.commit(ground.turn(owner).await.put_for("a", "1", seconds(60)).cursor("c")).await;
    let first = ground.store.list(owner, "a", None, 1).await.unwrap().remove(0);
    ground.clock.step(5);
    let mut edit = ground.turn(owner).await.put("a", "2").put("b", "1");
    edit.author = Some("ann".into());
    ground.commit(edit).await;
    ground.commit(ground.turn(owner).await.touch("a", Expiry::Never).put("b", "1").emit("e", "t")).await;
    let mut clear = ground.turn(owner).await.delete("b");
    clear.cursor = Some(None);
    ground.commit(clear).await;

    let all = ground.store.history(owner, None, 10).await.unwrap();
    assert_eq!(all.iter().map(|past| past.version.0).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(all[2].cursor, Some(None));
    assert_eq!(all[2].entries, [("a".to_owned(), None)]);
    assert_eq!((all[1].author.as_deref(), &all[1].cursor), (Some("ann"), &None));
    assert_eq!(all[1].entries, [("a".to_owned(), Some(first)), ("b".to_owned(), None)]);
    assert_eq!(all[0].cursor, Some(Some("c".into())));
    assert_eq!(all[0].entries[0].1.as_ref().unwrap().value.as_str(), "1");
    assert!(all[0].at == all[1].at && all[1].at > all[2].at);
    assert_eq!(ground.store.history(owner, Some(Version(3)), 1).await.unwrap(), all[1..2]);
    assert!(ground.store.history(owner, Some(Version(1)), 1).await.unwrap().is_empty());
}

pub(crate) async fn history_keeps_no_secret(ground: &Ground) {
    let owner = ground.source("a").await;
    ground.commit(ground.turn(owner).await.secret("a", "1").secret("b", "1").put("c", "1")).await;
    ground.commit(ground.turn(owner).await.secret("a", "2").put("b", "2").secret("c", "2")).await;
    ground.commit(ground.turn(owner).await.delete("a")).await;
    let all = ground.store.history(owner, None, 10).await.unwrap();
    assert_eq!(all[0].entries, [("a".to_owned(), None)]);
    let kept: Vec<_> = all[1].entries.iter().map(|(key, old)| (key.as_str(), old.is_some())).collect();
    assert_eq!(kept, [("a", false), ("b", false), ("c", true)]);
}

pub(crate) async fn history_is_a_marker_when_a_turn_replaces_too_much(ground: &Ground) {
    let owner = ground.source("a").await;
    let big = format!("\"{}\"", "x".repeat(9 << 20));
    ground.commit(ground.turn(owner).await.put("a", &big).put("b", &big).put("c", "1")).await;
    let base = ground.commit(ground.turn(owner).await.delete_prefix("")).await.version;
    let past = ground.store.history(owner, None, 1).await.unwrap().remove(0);
    assert!(past.marker && past.entries.is_empty());
    assert!(ground.keys(owner, "").await.is_empty());
    // What was changed is no longer known, so everything older is in doubt.
    assert_eq!(ground.conflict(turn(owner, Version(1)).put("z", "1")).await, Conflict::Unknown);
    ground.commit(turn(owner, base).put("z", "1")).await;
}

pub(crate) async fn a_change_wakes_those_who_wait(ground: &Ground) {
    let owner = ground.source("a").await;
    let waits = async {
        let first = ground.store.changed(owner, Version(0)).await.unwrap();
        let second = ground.store.changed(owner, first).await.unwrap();
        (first, second, ground.store.grown(inboxclaw_contract::Seq(0)).await.unwrap())
    };
    let changes = async {
        ground.commit(ground.turn(owner).await.put("a", "1").emit("e", "t")).await;
        tokio::task::yield_now().await;
        ground.commit(ground.turn(owner).await.touch("a", seconds(9))).await;
        ground.commit(ground.turn(owner).await.put("a", "2")).await;
    };
    let ((first, second, seq), ()) = tokio::join!(waits, changes);
    assert!(first >= Version(1) && second == Version(2));
    assert_eq!(seq.0, 1);
    assert!(matches!(
        ground.store.changed(inboxclaw_contract::OwnerId(9), first).await,
        Err(StoreError::NoOwner(_))
    ));
}
