//! How much an owner has is known without counting, and can be limited.

use inboxclaw_contract::store::StateLimits;
use inboxclaw_contract::{OwnerId, StoreError, Turn, Version};

use crate::{Ground, Words, committed, seconds};

pub async fn what_an_owner_has_is_counted(ground: &Ground) {
    let (owner, other) = (ground.source("a").await, ground.sink("b").await);
    assert_eq!(ground.counts(owner).await, (0, 0));
    let put = ground.turn(owner).await.put("k", "12").put("\u{e9}", "\"\u{e9}\"").secret("s", "123");
    ground.commit(put).await;
    assert_eq!(ground.counts(owner).await, (3, 3 + 6 + 4));
    ground.commit(ground.turn(owner).await.put("k", "1").touch("s", seconds(9)).delete("none")).await;
    assert_eq!(ground.counts(owner).await, (3, 2 + 6 + 4));
    ground.commit(ground.turn(owner).await.delete("\u{e9}")).await;
    assert_eq!(ground.counts(owner).await, (2, 2 + 4));
    assert_eq!(ground.counts(other).await, (0, 0));
}

pub async fn what_has_expired_counts_until_it_is_swept(ground: &Ground) {
    let owner = ground.source("a").await;
    let put = ["a", "b", "c", "d/1"]
        .iter()
        .fold(ground.turn(owner).await, |turn, key| turn.put_for(key, "1000", seconds(10)));
    ground.commit(put.put("stays", "1")).await;
    ground.clock.step(10);
    assert_eq!(ground.counts(owner).await, (5, 3 * 5 + 7 + 6));
    // A put in its place is a new entry, and no row more.
    ground.commit(ground.turn(owner).await.put("a", "1").delete("b")).await;
    assert_eq!(ground.counts(owner).await, (5, 2 + 2 * 5 + 7 + 6));
    // Deleting what has expired is no change of the state, but one of the counts.
    let version = ground.version(owner).await;
    ground.commit(ground.turn(owner).await.delete_prefix("d/")).await;
    assert_eq!((ground.version(owner).await, ground.counts(owner).await), (version, (4, 2 + 2 * 5 + 6)));
    // What has just expired is left to those who watch.
    ground.clock.step(10);
    while ground.store.sweep().await.unwrap().more {}
    assert_eq!(ground.counts(owner).await, (2, 2 + 6));
    assert_eq!(ground.version(owner).await, version);
}

pub async fn deletions_by_overlapping_prefixes_count_once(ground: &Ground) {
    let owner = ground.source("a").await;
    let put = ["a", "a/1", "a/2", "b"].iter().fold(ground.turn(owner).await, |turn, key| turn.put(key, "10"));
    ground.commit(put).await;
    let delete =
        ["a/", "a", "a/1", "a/"].iter().fold(ground.turn(owner).await, |turn, it| turn.delete_prefix(it));
    ground.commit(delete.put("a/2", "1").delete("a/1")).await;
    assert_eq!(
        (ground.keys(owner, "").await, ground.counts(owner).await),
        (vec!["a/2".into(), "b".into()], (2, 7))
    );
}

/// Commits, and wants a refusal with that text.
async fn refused(ground: &Ground, turn: Turn, text: &str) {
    match ground.store.commit(turn).await {
        Err(StoreError::OverLimit(found)) => assert_eq!(found, text),
        other => panic!("{other:?}"),
    }
}

async fn limited(ground: &Ground, owner: OwnerId, entries: Option<u64>, bytes: Option<u64>) {
    let policy = StateLimits { max_entries: entries, max_bytes: bytes, ..StateLimits::default() };
    ground.store.set_limits(owner, policy).await.unwrap();
}

pub async fn a_turn_that_makes_more_than_the_limit_is_refused(ground: &Ground) {
    let (owner, free) = (ground.source("a").await, ground.source("b").await);
    limited(ground, owner, Some(2), Some(12)).await;
    ground.commit(ground.turn(owner).await.put("a", "1").put("b", "1")).await;
    let more = ground.turn(owner).await.put("c", "1").cursor("c").emit("e", "t");
    refused(ground, more, "source:a would have 3 entries of state, the limit is 2").await;
    let larger = ground.turn(owner).await.put("a", "1234567890");
    refused(ground, larger, "source:a would have 13 bytes of state, the limit is 12").await;
    assert_eq!((ground.version(owner).await, ground.counts(owner).await), (Version(1), (2, 4)));
    assert!(ground.event_ids().await.is_empty() && ground.get(owner, "c").await.is_none());
    // What goes in the same turn makes room, and exactly the limit is allowed.
    ground.commit(ground.turn(owner).await.delete("b").put("c", "123456789")).await;
    assert_eq!(ground.counts(owner).await, (2, 12));
    ground.commit(["a", "b", "c"].iter().fold(ground.turn(free).await, |turn, key| turn.put(key, "1"))).await;
}

pub async fn less_is_welcome_when_there_is_too_much(ground: &Ground) {
    let owner = ground.source("a").await;
    let put = (0..5).fold(ground.turn(owner).await, |turn, n| turn.put(&n.to_string(), "100"));
    ground.commit(put).await;
    limited(ground, owner, Some(2), Some(8)).await;
    ground.commit(ground.turn(owner).await.put("0", "200").cursor("c").emit("e", "t")).await;
    ground.commit(ground.turn(owner).await.delete("1").put("2", "10")).await;
    let more = ground.turn(owner).await.put("2", "100");
    refused(ground, more, "source:a would have 16 bytes of state, the limit is 8").await;
    limited(ground, owner, None, None).await;
    ground.commit(ground.turn(owner).await.put("2", "100")).await;
    assert!(matches!(
        ground.store.set_limits(OwnerId(9), StateLimits::default()).await,
        Err(StoreError::NoOwner(_))
    ));
}

/// Turns that wait at the same time are counted one after the other.
pub async fn a_limit_holds_between_turns_that_commit_together(ground: &Ground) {
    let owner = ground.source("a").await;
    limited(ground, owner, Some(10), None).await;
    let base = ground.version(owner).await;
    let all = (0..20).map(|n| {
        let turn = crate::turn(owner, base).put(&n.to_string(), "1");
        async { ground.store.commit(turn).await.map(committed).is_ok() }
    });
    let stored = futures_util::future::join_all(all).await;
    assert_eq!(stored.into_iter().filter(|stored| *stored).count(), 10);
    assert_eq!(ground.counts(owner).await.0, 10);
}
