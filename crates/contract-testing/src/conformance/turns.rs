//! Promises 1, 2 and 4: what a turn is, and when it is refused.

use inboxclaw_contract::store::{DeliveryQuery, HistoryLimit};
use inboxclaw_contract::turn::{Age, Conflict, DeliveryChange, DeliveryState, FactsPatch, Sweep};
use inboxclaw_contract::{DeliveryOrigin, OwnerId, Seq, StoreError, Turn, Version};
use jiff::Timestamp;

use crate::{Ground, Words, turn};

/// A turn that changes everything a turn can change.
fn full(turn: Turn, other: OwnerId) -> Turn {
    let mut turn = turn.put("a", "1").put("b", "2").cursor("c").emit("e1", "t.a").emit("e2", "t.b");
    turn.deliveries.push(DeliveryChange::Owe {
        seq: Seq(1),
        entity: None,
        state: DeliveryState::Waiting,
        due: Timestamp::UNIX_EPOCH,
        attempts: 1,
        error: None,
        tried_at: None,
        origin: DeliveryOrigin::Log,
    });
    turn.facts.push((other, FactsPatch { failures: Some(3), ..FactsPatch::default() }));
    turn
}

/// What `full` changes, as numbers.
async fn seen(
    ground: &Ground,
    owner: OwnerId,
    other: OwnerId,
) -> (usize, Option<String>, usize, usize, u32, Version) {
    let snapshot = ground.store.snapshot(owner).await.unwrap();
    (
        ground.keys(owner, "").await.len(),
        snapshot.cursor,
        ground.event_ids().await.len(),
        ground.deliveries(owner, DeliveryQuery::all(10)).await.len(),
        ground.store.facts(other).await.unwrap().failures,
        snapshot.version,
    )
}

pub async fn promise_1_a_turn_is_all_or_nothing(ground: &Ground) {
    let (owner, other) = (ground.sink("a").await, ground.source("b").await);
    let refused = full(ground.turn(owner).await, other).check("absent", Some(1));
    ground.conflict(refused).await;
    assert_eq!(seen(ground, owner, other).await, (0, None, 0, 0, 0, Version(0)));
    let committed = ground.commit(full(ground.turn(owner).await, other)).await;
    assert_eq!((committed.version, committed.stored, committed.known), (Version(1), 2, 0));
    assert_eq!(seen(ground, owner, other).await, (2, Some("c".into()), 2, 1, 3, Version(1)));
}

pub async fn promise_1_a_turn_beyond_a_limit_stores_nothing(ground: &Ground) {
    let (owner, other) = (ground.sink("a").await, ground.source("b").await);
    let unknown = OwnerId(99);
    let bad = [
        full(turn(owner, Version(0)), other).put(&"k".repeat(2_049), "1"),
        full(turn(owner, Version(0)), other).put("bell\u{7}", "1"),
        full(turn(owner, Version(0)), other).delete_prefix("bell\u{7}"),
        full(turn(owner, Version(0)), other).cursor(&"c".repeat((1 << 20) + 1)),
        full(turn(owner, Version(0)), other).emit("", "t"),
    ];
    for turn in bad {
        assert!(matches!(ground.store.commit(turn).await, Err(StoreError::Refused(_))));
    }
    for turn in [full(turn(owner, Version(0)), unknown), full(turn(unknown, Version(0)), other)] {
        assert!(matches!(ground.store.commit(turn).await, Err(StoreError::NoOwner(id)) if id == unknown));
    }
    assert_eq!(seen(ground, owner, other).await, (0, None, 0, 0, 0, Version(0)));
}

pub async fn promise_1_a_refused_turn_sweeps_nothing(ground: &Ground) {
    let owner = ground.source("a").await;
    ground.commit(ground.turn(owner).await.put("a", "1").put("b", "1")).await;
    ground.clock.step(60);
    let before = ground.store.snapshot(owner).await.unwrap().now;
    let mut sweeps = ground.turn(owner).await;
    sweeps.sweeps.push(Sweep { prefix: "a".into(), by: Age::Updated, before });
    ground.conflict(sweeps.clone().check("absent", Some(1))).await;
    while ground.store.sweep().await.unwrap().more {}
    assert_eq!(ground.keys(owner, "").await, ["a", "b"]);
    assert_eq!(ground.commit(sweeps).await.version, Version(1));
    while ground.store.sweep().await.unwrap().more {}
    assert_eq!(ground.keys(owner, "").await, ["b"]);
}

pub async fn promise_1_a_repeated_commit_stores_nothing(ground: &Ground) {
    let owner = ground.source("a").await;
    let first = ground.turn(owner).await.put("a", "1").emit("e1", "t");
    assert_eq!(ground.commit(first.clone()).await.stored, 1);
    let again = ground.commit(first.clone()).await;
    assert_eq!((again.version, again.stored, again.known), (Version(1), 0, 0));
    // Only the last turn is remembered: an older one is outdated.
    ground.commit(ground.turn(owner).await.put("a", "2")).await;
    assert_eq!(ground.conflict(first).await, Conflict::Key("a".into()));
    // A turn of events alone is told from its repeat as well.
    let events = ground.turn(owner).await.emit("e2", "t");
    assert_eq!(ground.commit(events.clone()).await.stored, 1);
    assert_eq!(ground.commit(events).await.known, 0);
}

/// An owner with the entries a/1 and b, whose version then moves by `change`; returns the version before.
async fn changed(ground: &Ground, name: &str, change: impl Fn(Turn) -> Turn) -> (OwnerId, Version) {
    let owner = ground.source(name).await;
    ground.commit(ground.turn(owner).await.put("a/1", "1").put("b", "1").cursor("c")).await;
    let base = ground.version(owner).await;
    ground.commit(change(turn(owner, base))).await;
    (owner, base)
}

pub async fn promise_2_a_turn_conflicts_when_what_it_read_changed(ground: &Ground) {
    let (owner, base) = changed(ground, "put", |turn| turn.put("a/1", "2")).await;
    let read = turn(owner, base).reads(&["a/1"], &[], false).put("x", "1");
    assert_eq!(ground.conflict(read).await, Conflict::Key("a/1".into()));
    let listed = turn(owner, base).reads(&[], &["a/"], false).put("x", "1");
    assert_eq!(ground.conflict(listed).await, Conflict::Prefix { prefix: "a/".into(), key: "a/1".into() });

    let (owner, base) = changed(ground, "new", |turn| turn.put("a/2", "2")).await;
    let listed = turn(owner, base).reads(&[], &["a/"], false).put("x", "1");
    assert_eq!(ground.conflict(listed).await, Conflict::Prefix { prefix: "a/".into(), key: "a/2".into() });

    let (owner, base) = changed(ground, "deleted", |turn| turn.delete_prefix("a")).await;
    let read = turn(owner, base).reads(&["a/1"], &[], false).emit("e", "t");
    assert_eq!(ground.conflict(read).await, Conflict::Key("a/1".into()));
    assert!(ground.event_ids().await.is_empty());

    let (owner, base) = changed(ground, "cursor", |turn| turn.cursor("d")).await;
    assert_eq!(
        ground.conflict(turn(owner, base).reads(&[], &[], true).put("x", "1")).await,
        Conflict::Cursor
    );
}

pub async fn promise_2_a_turn_conflicts_when_what_it_writes_changed(ground: &Ground) {
    let (owner, base) = changed(ground, "a", |turn| turn.put("a/1", "2").cursor("d")).await;
    assert_eq!(ground.conflict(turn(owner, base).put("a/1", "3")).await, Conflict::Key("a/1".into()));
    assert_eq!(ground.conflict(turn(owner, base).delete("a/1")).await, Conflict::Key("a/1".into()));
    let prefix = Conflict::Prefix { prefix: "a".into(), key: "a/1".into() };
    assert_eq!(ground.conflict(turn(owner, base).delete_prefix("a")).await, prefix);
    assert_eq!(ground.conflict(turn(owner, base).cursor("e")).await, Conflict::Cursor);
    assert_eq!(ground.get(owner, "a/1").await.as_deref(), Some("2"));
}

pub async fn promise_2_other_changes_do_not_conflict(ground: &Ground) {
    let (owner, base) = changed(ground, "a", |turn| turn.put("a/1", "2")).await;
    let elsewhere = turn(owner, base).reads(&["b", "none"], &["b", "A"], true).put("b", "2").cursor("d");
    assert_eq!(ground.commit(elsewhere).await.version, Version(3));
    // A turn that depends on no state conflicts with nothing.
    assert_eq!(ground.commit(turn(owner, Version(0)).emit("e", "t")).await.stored, 1);
    // What leaves the version alone is no change: a touch, a put of what is there, events.
    let base = ground.version(owner).await;
    let quiet = turn(owner, base).put("a/1", "2").touch("b", crate::seconds(60)).emit("f", "t");
    assert_eq!(ground.commit(quiet).await.version, base);
    assert_eq!(ground.commit(turn(owner, base).put("a/1", "3").put("b", "3")).await.version.0, base.0 + 1);
}

pub async fn promise_2_holds_for_a_base_far_behind(ground: &Ground) {
    let owner = ground.source("a").await;
    let base = ground.commit(ground.turn(owner).await.put("a", "1")).await.version;
    ground.commit(turn(owner, base).put("b", "1")).await;
    // More than anybody remembers in memory.
    let long = "k".repeat(2_000);
    for round in 0..100 {
        ground.commit(ground.turn(owner).await.put(&format!("{long}{round}"), "1")).await;
    }
    assert_eq!(ground.conflict(turn(owner, base).put("b", "2")).await, Conflict::Key("b".into()));
    assert_eq!(ground.commit(turn(owner, base).put("a", "2")).await.version, Version(103));
    assert_eq!(ground.conflict(turn(owner, Version(999)).put("a", "3")).await, Conflict::Unknown);
}

pub async fn promise_2_holds_between_turns_that_commit_together(ground: &Ground) {
    let owner = ground.source("a").await;
    ground.commit(ground.turn(owner).await.put("n", "0")).await;
    let count = |_| async {
        loop {
            let base = ground.version(owner).await;
            let n: u64 = ground.get(owner, "n").await.unwrap().parse().unwrap();
            let next = turn(owner, base).reads(&["n"], &[], false).put("n", &(n + 1).to_string());
            if matches!(ground.store.commit(next).await.unwrap(), inboxclaw_contract::Outcome::Committed(_)) {
                break;
            }
        }
    };
    futures_util::future::join_all((0..20).map(count)).await;
    assert_eq!(ground.get(owner, "n").await.as_deref(), Some("20"));
    assert_eq!(ground.version(owner).await, Version(21));
}

pub async fn promise_2_a_check_sees_the_revision_now(ground: &Ground) {
    let owner = ground.source("a").await;
    ground.commit(ground.turn(owner).await.put("a", "1")).await;
    ground.commit(ground.turn(owner).await.put("b", "1")).await;
    let found = ground.conflict(ground.turn(owner).await.check("b", Some(1))).await;
    assert_eq!(found, Conflict::Check { key: "b".into(), wanted: Some(Version(1)), found: Some(Version(2)) });
    let found = ground.conflict(ground.turn(owner).await.check("a", None).put("c", "1")).await;
    assert_eq!(found, Conflict::Check { key: "a".into(), wanted: None, found: Some(Version(1)) });
    ground.commit(ground.turn(owner).await.check("a", Some(1)).check("none", None).put("c", "1")).await;
    // A revision also tells a key that was deleted and put again.
    ground.commit(ground.turn(owner).await.delete("a")).await;
    ground.commit(ground.turn(owner).await.put("a", "1")).await;
    ground.conflict(ground.turn(owner).await.check("a", Some(1))).await;
}

pub async fn promise_4a_owners_cannot_touch_each_other(ground: &Ground) {
    let (source, sink) = (ground.source("same").await, ground.sink("same").await);
    assert_ne!(source, sink);
    ground.commit(ground.turn(source).await.put("a", "1").cursor("c").emit("e", "t")).await;
    assert_eq!(ground.get(sink, "a").await, None);
    assert_eq!(ground.store.snapshot(sink).await.unwrap().cursor, None);
    assert!(ground.store.history(sink, None, HistoryLimit::turns(10)).await.unwrap().is_empty());
    ground.commit(ground.turn(sink).await.put("a", "2").emit("e", "t")).await;
    ground.commit(ground.turn(sink).await.delete_prefix("")).await;
    assert_eq!(ground.get(source, "a").await.as_deref(), Some("1"));
    assert_eq!(ground.version(source).await, Version(1));
    assert_eq!(ground.event_ids().await, ["e", "e"], "event ids belong to their source as well");
}
