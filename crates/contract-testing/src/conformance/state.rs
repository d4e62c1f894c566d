//! Promises 8, 9 and 10, and what else is said about entries, history and watching.

use inboxclaw_contract::store::{Before, HistoryLimit};
use inboxclaw_contract::{Entry, Expiry, StoreError, Version};

use crate::{Ground, Words, json, seconds, turn};

/// The entry that history kept.
fn entry(before: &Before) -> &Entry {
    match before {
        Before::Entry(entry) => entry,
        other => panic!("{other:?}"),
    }
}

pub async fn promise_8_an_expired_entry_is_gone_for_everybody(ground: &Ground) {
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

pub async fn promise_8_expiry_and_sweep_change_no_version(ground: &Ground) {
    let owner = ground.source("a").await;
    let mut many = ground.turn(owner).await.put("stays", "1");
    for n in 0..1_200 {
        many = many.put_for(&format!("goes/{n}"), "1", seconds(10));
    }
    ground.commit(many).await;
    // What has just expired is left to those who watch.
    ground.clock.step(20);
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
    assert_eq!(ground.store.history(owner, None, HistoryLimit::turns(10)).await.unwrap().len(), 1);
    // Nor is the expiry a change that a turn could conflict with.
    ground.commit(turn(owner, Version(1)).reads(&["goes/1"], &["goes"], false).put("x", "1")).await;
}

pub async fn promise_8_small_steps_back_are_absorbed(ground: &Ground) {
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

pub async fn promise_9_a_prefix_is_literal(ground: &Ground) {
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

pub async fn promise_9_no_character_stands_for_others(ground: &Ground) {
    let owner = ground.source("a").await;
    let odd =
        ["a_b", "aXb", "A_B", "a%b", "a\\b", "a\\_b", "aXYb", "\u{1F600}", "\u{1F600}_", "_", "%", "\\"];
    let long = "\u{1F600}".repeat(512);
    let almost = format!("{}x", &long[..2_044]);
    assert_eq!((long.len(), almost.len()), (2_048, 2_045));
    let mut keys: Vec<String> = odd.iter().map(|key| (*key).to_owned()).chain([long, almost]).collect();
    let put = keys
        .iter()
        .zip(0..)
        .fold(ground.turn(owner).await, |turn, (key, n): (_, u32)| turn.put(key, &n.to_string()));
    ground.commit(put).await;
    let values: Vec<_> = ground.store.entries(owner, &keys).await.unwrap();
    for (n, (key, found)) in keys.iter().zip(values).enumerate() {
        assert_eq!(found.map(|entry| entry.value.as_str().to_owned()), Some(n.to_string()), "{key}");
    }
    keys.sort_unstable();
    assert_eq!(ground.keys(owner, "").await, keys);
    for prefix in ["a_", "a%", "a\\", "A", "_", "%", "\\", "\u{1F600}", "a_b", "a"] {
        let expected: Vec<_> = keys.iter().filter(|key| key.starts_with(prefix)).cloned().collect();
        assert_eq!(ground.keys(owner, prefix).await, expected, "{prefix}");
        assert_eq!(ground.store.keys(owner, prefix, None, 100).await.unwrap(), expected, "{prefix}");
    }
    ground.commit(ground.turn(owner).await.delete_prefix("a_").delete_prefix("%")).await;
    keys.retain(|key| !key.starts_with("a_") && !key.starts_with('%'));
    assert_eq!(ground.keys(owner, "").await, keys);
    let read = turn(owner, Version(1)).reads(&[], &["a%", "A_"], false).put("new", "1");
    ground.commit(read).await;
}

pub async fn keys_are_those_that_a_list_would_give(ground: &Ground) {
    let owner = ground.source("a").await;
    let mut put =
        ground.turn(owner).await.put_for("k/gone", "1", seconds(10)).secret("k/secret", "1").put("l", "1");
    for n in 0..200 {
        put = put.put(&format!("k/{n:03}"), "1");
    }
    ground.commit(put).await;
    ground.clock.step(10);
    for (prefix, after, limit) in [
        ("", None, 500),
        ("k/", None, 3),
        ("k/", Some("k/150"), 100),
        ("k/", Some("a"), 2),
        ("k/", Some("z"), 2),
    ] {
        let listed = ground.store.list(owner, prefix, after, limit).await.unwrap();
        let keys = ground.store.keys(owner, prefix, after, limit).await.unwrap();
        assert!(listed.iter().map(|entry| &entry.key).eq(&keys), "{prefix:?} {after:?} {limit}");
        assert_eq!(keys.is_empty(), after == Some("z"));
    }
    let unknown = ground.store.keys(inboxclaw_contract::OwnerId(99), "", None, 1).await;
    assert!(matches!(unknown, Err(StoreError::NoOwner(_))));
}

pub async fn promise_9_a_list_resumes_after_a_key(ground: &Ground) {
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

pub async fn promise_10_json_comes_back_as_it_went_in(ground: &Ground) {
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
    let past = ground.store.history(owner, None, HistoryLimit::turns(1)).await.unwrap().remove(0);
    assert_eq!(entry(&past.entries[0].1).value.as_str(), text);
}

pub async fn a_put_of_what_is_there_changes_nothing(ground: &Ground) {
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

pub async fn promise_8_a_persons_change_of_expiry_is_a_change(ground: &Ground) {
    let owner = ground.source("a").await;
    ground
        .commit(ground.turn(owner).await.put_for("a", "1", seconds(60)).put("b", "1").secret("s", "1"))
        .await;
    let before = ground.all(owner).await;
    ground.clock.step(5);
    ground.commit(ground.turn(owner).await.touch("a", seconds(90)).touch("b", seconds(90))).await;
    let touched = ground.all(owner).await;
    assert_eq!(
        ground.store.snapshot(owner).await.unwrap().version,
        Version(1),
        "by the owner itself it is none"
    );
    let mut turn = ground.turn(owner).await.put_for("a", "1", Expiry::Never).touch("b", seconds(9));
    turn = turn.restore(Entry { expires_at: touched[1].expires_at, ..before[2].clone() });
    turn.author = Some("cli:ada".into());
    assert_eq!(ground.commit(turn).await.version, Version(2));
    let after = ground.all(owner).await;
    let expiries: Vec<_> = after.iter().map(|entry| entry.expires_at).collect();
    let now = ground.store.snapshot(owner).await.unwrap().now;
    assert_eq!(expiries, [None, Expiry::resolve(seconds(9), now, None), touched[1].expires_at]);
    for (after, before) in after.iter().zip(&before) {
        let as_before = Entry { revision: before.revision, expires_at: before.expires_at, ..after.clone() };
        assert_eq!((&as_before, after.revision), (before, Version(2)), "value and times stay");
    }
    let past = ground.last(owner).await.entries;
    let was = |at: usize| (touched[at].key.clone(), Before::Entry(touched[at].clone()));
    assert_eq!(past, [was(0), was(1), ("s".into(), Before::Secret)]);
    let mut same = ground.turn(owner).await.touch("a", Expiry::Never).touch("none", seconds(1));
    same.author = Some("cli:ada".into());
    assert_eq!(ground.commit(same).await.version, Version(2), "the same expiry is no change");
}

pub async fn deletions_by_prefix_come_first(ground: &Ground) {
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
    let past = ground.store.history(owner, None, HistoryLimit::turns(1)).await.unwrap().remove(0);
    let old: Vec<_> = past.entries.iter().map(|(key, old)| (key.as_str(), *old != Before::Absent)).collect();
    assert_eq!(old, [("a/1", true), ("a/2", true), ("a/3", false)]);
}

pub async fn a_restored_entry_is_as_it_was_under_a_new_revision(ground: &Ground) {
    let owner = ground.source("a").await;
    let put = ground.turn(owner).await.put_for("a", "1", seconds(100)).put_for("b", "1", seconds(10));
    ground.commit(put.put("c", "1")).await;
    let old = ground.all(owner).await;
    ground.clock.step(9);
    let change = ground.turn(owner).await.put_for("a", "2", Expiry::Never).delete("b").touch("c", seconds(5));
    ground.commit(change).await;
    let restore =
        |turn| old.iter().cloned().fold(turn, |turn: inboxclaw_contract::Turn, entry| turn.restore(entry));
    assert_eq!(ground.commit(restore(ground.turn(owner).await)).await.version, Version(3));
    let expected = |entry: &Entry, revision| Entry { revision: Version(revision), ..entry.clone() };
    // What has the same value has only its expiry back.
    let back = [expected(&old[0], 3), expected(&old[1], 3), old[2].clone()];
    assert_eq!(ground.all(owner).await, back);
    let past: Vec<_> = ground.last(owner).await.entries.into_iter().map(|(key, _)| key).collect();
    assert_eq!(past, ["a", "b"]);
    assert_eq!(
        ground.commit(restore(ground.turn(owner).await)).await.version,
        Version(3),
        "nothing is left to do"
    );
    // What has expired since does not come back; then the key goes.
    ground.commit(ground.turn(owner).await.put_for("b", "2", Expiry::Never)).await;
    ground.clock.step(1);
    assert_eq!(ground.commit(ground.turn(owner).await.restore(old[1].clone())).await.version, Version(5));
    assert_eq!(ground.get(owner, "b").await, None);
    let gone = ground.turn(owner).await.restore(old[1].clone());
    assert_eq!(ground.commit(gone).await.version, Version(5));
    // Whether it is a secret matters as much as its value.
    ground.commit(ground.turn(owner).await.restore(Entry { secret: true, ..old[2].clone() })).await;
    let last = ground.all(owner).await.pop().unwrap();
    assert_eq!((last.secret, last.revision, last.created_at), (true, Version(6), old[2].created_at));
}

pub async fn a_change_wakes_those_who_wait(ground: &Ground) {
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
    // In this order, so that whoever waits sees each version.
    let ((first, second, seq), ()) = tokio::join!(biased; waits, changes);
    assert!(first >= Version(1) && second == Version(2));
    assert_eq!(seq.0, 1);
    assert!(matches!(
        ground.store.changed(inboxclaw_contract::OwnerId(9), first).await,
        Err(StoreError::NoOwner(_))
    ));
}
