//! What sweeps remove and when: what has expired, what turns and rules say is too old.

use std::time::Duration;

use inboxclaw_contract::store::{Expire, HistoryLimit, StateLimits};
use inboxclaw_contract::turn::{Age, Sweep};
use inboxclaw_contract::{OwnerId, Turn, Version};
use jiff::SignedDuration;

use crate::{Ground, Words, seconds};

const HOUR: i64 = 60 * 60;

/// A turn that removes what is older than so many seconds.
async fn sweeping(ground: &Ground, owner: OwnerId, prefix: &str, by: Age, older_than: i64) -> Turn {
    let now = ground.store.snapshot(owner).await.unwrap().now;
    let before = now.checked_sub(SignedDuration::from_secs(older_than)).unwrap();
    let mut turn = ground.turn(owner).await;
    turn.sweeps.push(Sweep { prefix: prefix.into(), by, before });
    turn
}

fn rule(prefix: &str, hours: u64, by: Age) -> StateLimits {
    let after = Duration::from_secs(hours * 60 * 60);
    StateLimits { expire: vec![Expire { prefix: prefix.into(), after, by }], ..StateLimits::default() }
}

pub async fn a_sweep_finds_what_has_expired_in_every_space(ground: &Ground) {
    let mut owners = Vec::new();
    for n in 0..250 {
        let owner = ground.source(&format!("s{n:03}")).await;
        let turn =
            (0..5).fold(ground.turn(owner).await, |turn, n| turn.put_for(&n.to_string(), "1", seconds(9)));
        ground.commit(turn.put("stays", "1")).await;
        owners.push(owner);
    }
    ground.clock.step(19);
    assert_eq!(ground.sweep().await, 1_250);
    assert_eq!(ground.sweep().await, 0);
    for owner in owners {
        assert_eq!((ground.counts(owner).await, ground.keys(owner, "").await.len()), ((1, 6), 1));
    }
}

pub async fn what_a_sweeping_turn_puts_is_new(ground: &Ground) {
    let owner = ground.source("a").await;
    ground.commit(ground.turn(owner).await.put("equal", "1").put("other", "1").put("old", "1")).await;
    ground.clock.step(100);
    let turn = sweeping(ground, owner, "", Age::Created, 50).await;
    ground.commit(turn.put("equal", "1").put("other", "2")).await;
    assert_eq!(ground.sweep().await, 1);
    assert_eq!(ground.keys(owner, "").await, ["equal", "other"]);
    assert_eq!(ground.counts(owner).await, (2, 12));
}

pub async fn a_turn_removes_entries_by_their_age(ground: &Ground) {
    for (by, left) in [
        (Age::Created, ["a/both-new", "aXold", "b/old"].as_slice()),
        (Age::Updated, ["a/both-new", "a/created-old", "aXold", "b/old"].as_slice()),
    ] {
        let owner = ground.source(&format!("{by:?}")).await;
        let old = ground.turn(owner).await.put("a/old", "1").put("a/created-old", "1").put("aXold", "1");
        ground.commit(old.put("b/old", "1")).await;
        ground.clock.step(100);
        ground.commit(ground.turn(owner).await.put("a/created-old", "2").put("a/both-new", "1")).await;
        ground.clock.step(50);
        let exact = sweeping(ground, owner, "a/", by, 150).await;
        ground.commit(exact).await;
        assert_eq!(ground.sweep().await, 0, "as old as that is not older");
        let older = sweeping(ground, owner, "a/", by, 149).await;
        assert_eq!(ground.commit(older).await.version, Version(2), "that is no change");
        assert_eq!(ground.sweep().await, 5 - left.len() as u64);
        assert_eq!(ground.keys(owner, "").await, left, "{by:?}");
        let bytes = left.iter().map(|key| key.len() as u64 + 1).sum();
        assert_eq!(ground.counts(owner).await, (left.len() as u64, bytes));
        assert_eq!(ground.version(owner).await, Version(2));
        assert_eq!(ground.store.history(owner, None, HistoryLimit::turns(9)).await.unwrap().len(), 2);
    }
}

pub async fn a_sweep_by_age_works_in_steps(ground: &Ground) {
    let (owner, other) = (ground.source("a").await, ground.source("b").await);
    let many = (0..9_000).fold(ground.turn(owner).await, |turn, n| turn.put(&format!("k/{n:04}"), "1"));
    ground.commit(many).await;
    ground.clock.step(10);
    // Those that stay lie between those that go.
    let newer =
        (0..9_000).step_by(3).fold(ground.turn(owner).await, |turn, n| turn.put(&format!("k/{n:04}"), "2"));
    ground.commit(newer).await;
    let first = sweeping(ground, owner, "k/", Age::Updated, 5).await;
    ground.commit(first).await;
    let (mut steps, mut removed) = (0, 0);
    loop {
        let swept = ground.store.sweep().await.unwrap();
        assert!(swept.entries <= 500);
        (steps, removed) = (steps + 1, removed + swept.entries);
        ground.commit(ground.turn(other).await.put("k", &steps.to_string())).await;
        if steps == 3 {
            // What is asked for meanwhile waits.
            let all = sweeping(ground, owner, "k/8", Age::Created, 5).await;
            ground.commit(all).await;
        }
        if !swept.more {
            break;
        }
    }
    assert!(steps >= 12, "{steps}");
    assert_eq!(removed, 6_000 + 333);
    assert_eq!(ground.counts(owner).await, (2_667, 2_667 * 7));
    assert_eq!(ground.keys(owner, "k/7998").await.len(), 1);
}

pub async fn rules_remove_entries_by_their_age(ground: &Ground) {
    let (owner, other) = (ground.source("a").await, ground.source("b").await);
    for owner in [owner, other] {
        ground.commit(ground.turn(owner).await.put("seen:1", "1").put("seen_1", "1").put("x", "1")).await;
    }
    ground.clock.step(2 * HOUR);
    assert_eq!(ground.sweep().await, 0, "without a rule nothing goes");
    ground.store.set_limits(owner, rule("seen:", 3, Age::Updated)).await.unwrap();
    assert_eq!(ground.sweep().await, 0, "not yet");
    ground.commit(ground.turn(owner).await.put("seen:2", "1")).await;
    ground.clock.step(HOUR + 1);
    assert_eq!((ground.sweep().await, ground.keys(owner, "").await.len()), (1, 3));
    assert_eq!(
        (ground.keys(owner, "seen").await, ground.version(owner).await),
        (vec!["seen:2".into(), "seen_1".into()], Version(2))
    );
    assert_eq!(ground.keys(other, "").await.len(), 3, "it is the rule of one owner");
    // At once under a new rule, else once an hour.
    ground.clock.step(60);
    ground.store.set_limits(owner, rule("seen", 2, Age::Created)).await.unwrap();
    assert_eq!((ground.sweep().await, ground.keys(owner, "").await), (1, vec!["seen:2".into(), "x".into()]));
    ground.clock.step(HOUR - 60);
    assert_eq!(ground.sweep().await, 0);
    ground.clock.step(60);
    assert_eq!((ground.sweep().await, ground.keys(owner, "").await), (1, vec!["x".into()]));
    ground.store.set_limits(owner, StateLimits::default()).await.unwrap();
    ground.clock.step(9 * HOUR);
    assert_eq!((ground.sweep().await, ground.counts(owner).await), (0, (1, 2)));
}

pub async fn several_rules_go_over_many_entries(ground: &Ground) {
    let owner = ground.source("a").await;
    for part in ["a", "b"] {
        let many = (0..5_000).fold(ground.turn(owner).await, |turn, n| turn.put(&format!("{part}/{n}"), "1"));
        ground.commit(many).await;
        ground.clock.step(HOUR);
    }
    let mut policy = rule("a/", 1, Age::Created);
    policy.expire.extend(rule("b/1", 0, Age::Updated).expire);
    policy.expire.extend(rule("", 9, Age::Updated).expire);
    ground.store.set_limits(owner, policy).await.unwrap();
    assert_eq!(ground.sweep().await, 5_000 + 1_111);
    assert_eq!((ground.counts(owner).await.0, ground.keys(owner, "b/1").await.len()), (3_889, 0));
    assert_eq!(ground.sweep().await, 0);
}

pub async fn turns_that_ask_again_and_again_hold_up_no_rule(ground: &Ground) {
    let (owner, other) = (ground.source("a").await, ground.source("b").await);
    ground.store.set_limits(other, rule("", 1, Age::Updated)).await.unwrap();
    let many = (0..9_000).fold(ground.turn(owner).await, |turn, n| turn.put(&format!("k/{n:04}"), "1"));
    ground.commit(many).await;
    ground.commit(ground.turn(other).await.put("old", "1")).await;
    ground.clock.step(HOUR + 1);
    for _ in 0..20 {
        let again = sweeping(ground, owner, "k/", Age::Updated, 2 * HOUR).await;
        ground.commit(again).await;
        assert!(ground.store.sweep().await.unwrap().more);
    }
    assert!(ground.keys(other, "").await.is_empty());
}
