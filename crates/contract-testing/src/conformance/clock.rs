//! Promise 8 where the clock is in doubt: what is stored goes on, and nothing goes because of a clock that is wrong.

use std::time::Duration;

use inboxclaw_contract::sinks::Intake;
use inboxclaw_contract::store::{DeliveryQuery, Expire, HistoryLimit, StateLimits};
use inboxclaw_contract::turn::{Age, DeliveryChange, DeliveryState, FactsPatch};
use inboxclaw_contract::{DeliveryOrigin, Expiry, OwnerId, Selection, Seq, StartAt};
use inboxclaw_settings::{Interval, Patterns, Ttl};

use crate::{Ground, Words, seconds};

const DAY: i64 = 24 * 60 * 60;
const AHEAD: i64 = 400 * DAY;

/// A sink with a time to live and a lease, a source with an entry that expires, one of a rule, and history.
struct Life {
    source: OwnerId,
    sink: OwnerId,
}

impl Life {
    async fn begin(ground: &Ground) -> Self {
        let (source, sink) = (ground.source("s").await, ground.sink("k").await);
        let ttl = Some(Ttl { default: Some(Interval::from_secs(DAY as u64)), ..Ttl::default() });
        let intake = Intake { patterns: Patterns::default(), ttl, start: StartAt::All };
        ground.store.set_intake(sink, &intake).await.unwrap();
        let rule =
            Expire { prefix: "rule:".into(), after: Duration::from_secs(DAY as u64), by: Age::Updated };
        let policy = StateLimits { expire: vec![rule], ..StateLimits::default() };
        ground.store.set_limits(source, policy).await.unwrap();
        let life = Self { source, sink };
        life.act(ground, "before").await;
        life
    }

    /// A turn of the source, and a lease of what it reported.
    async fn act(&self, ground: &Ground, name: &str) {
        let turn =
            ground.turn(self.source).await.put_for(&format!("brief:{name}"), "1", seconds(60 * 60 * 12));
        ground.commit(turn.put(&format!("rule:{name}"), "1").emit(name, "t")).await;
        let (seq, now) =
            (ground.store.head().await.unwrap(), ground.store.snapshot(self.sink).await.unwrap().now);
        let due = Expiry::resolve(seconds(600), now, None).unwrap();
        let mut leased = ground.turn(self.sink).await;
        let (state, entity, error) = (DeliveryState::Waiting, None, None);
        leased.deliveries.push(DeliveryChange::Owe {
            seq,
            entity,
            state,
            due,
            attempts: 1,
            error,
            tried_at: None,
            origin: DeliveryOrigin::Log,
        });
        ground.commit(leased).await;
        let wait = FactsPatch { next_in: Some(Duration::from_secs(600)), ..FactsPatch::default() };
        ground.store.set_facts(self.source, wait).await.unwrap();
    }

    /// Everything that time removes is removed as far as it may be.
    async fn keep_house(&self, ground: &Ground) -> u64 {
        while ground.store.sweep().await.unwrap().more {}
        let expired: u64 = ground.store.expire().await.unwrap().iter().map(|it| it.count).sum();
        expired + ground.prune_all(5 * DAY as u64, 10 * DAY as u64).await
    }

    async fn check(&self, ground: &Ground, names: &[&str]) {
        let keys: Vec<String> = ground.all(self.source).await.into_iter().map(|entry| entry.key).collect();
        let kept = |kind: &str| names.iter().map(|name| format!("{kind}:{name}")).collect::<Vec<_>>();
        assert_eq!(keys, [kept("brief"), kept("rule")].concat());
        assert_eq!(ground.event_ids().await, names);
        let history = ground.store.history(self.source, None, HistoryLimit::turns(99)).await.unwrap();
        assert_eq!(history.len(), names.len());
        let ttl = Some(Ttl { default: Some(Interval::from_secs(DAY as u64)), ..Ttl::default() });
        let wanted = Selection { ttl, ..Selection::all(Seq(0)) };
        assert_eq!(ground.page(&wanted).await.events.len(), names.len(), "all are within their time to live");
        assert_eq!(
            ground.deliveries(self.sink, DeliveryQuery::all(99)).await.len(),
            names.len(),
            "each is leased"
        );
        let next = ground.store.facts(self.source).await.unwrap().next_at.unwrap();
        let wait = next.duration_since(ground.store.snapshot(self.source).await.unwrap().now);
        assert!((0..=600).contains(&wait.as_secs()), "{wait:?}");
    }
}

/// The clock is set ahead and back while everything runs.
pub async fn promise_8_a_clock_far_ahead_removes_nothing(ground: &Ground) {
    let life = Life::begin(ground).await;
    ground.clock.jump(AHEAD);
    assert_eq!(life.keep_house(ground).await, 0);
    life.check(ground, &["before"]).await;
    let state = ground.store.clock().await.unwrap();
    assert_eq!(state.wall.duration_since(state.now).as_secs(), AHEAD);
    assert_eq!(state.doubted, Some(Duration::from_secs(60 * 60)));
    // Events go on, with the time of the wall clock.
    ground.clock.step(60);
    life.act(ground, "meanwhile").await;
    life.check(ground, &["before", "meanwhile"]).await;
    let events = ground.page(&Selection::all(Seq(0))).await.events;
    assert_eq!(events[1].created_at.duration_since(events[0].created_at).as_secs(), AHEAD + 60);
    assert_eq!(life.keep_house(ground).await, 0);
    ground.clock.jump(-AHEAD);
    assert_eq!(ground.store.clock().await.unwrap().doubted, None);
    life.act(ground, "now").await;
    assert_eq!(life.keep_house(ground).await, 0);
    // In the order of keys, which here is that of what happened.
    life.check(ground, &["before", "meanwhile", "now"]).await;
}

/// What becomes old by the time that passes still goes, whatever the clock shows.
pub async fn promise_8_what_becomes_old_in_doubt_goes(ground: &Ground) {
    let source = ground.source("s").await;
    ground.commit(ground.turn(source).await.put_for("brief", "1", seconds(600))).await;
    ground.clock.jump(AHEAD);
    ground.clock.step(599);
    assert_eq!(ground.keys(source, "").await, ["brief"]);
    ground.clock.step(1);
    assert!(ground.keys(source, "").await.is_empty());
}

pub async fn promise_8_after_an_hour_the_clock_is_followed(ground: &Ground) {
    let life = Life::begin(ground).await;
    ground.clock.jump(AHEAD);
    life.act(ground, "meanwhile").await;
    ground.clock.step(60 * 60 - 1);
    assert_eq!(life.keep_house(ground).await, 0);
    ground.clock.step(1);
    assert_eq!(ground.store.clock().await.unwrap().doubted, None);
    followed(&life, ground).await;
}

pub async fn promise_8_a_person_may_say_that_the_clock_is_right(ground: &Ground) {
    let life = Life::begin(ground).await;
    ground.clock.jump(AHEAD);
    life.act(ground, "meanwhile").await;
    let state = ground.store.accept_clock().await.unwrap();
    assert_eq!((state.doubted, state.now), (None, state.wall));
    followed(&life, ground).await;
    // There is nothing to say of a clock that nobody doubts.
    assert_eq!(ground.store.accept_clock().await.unwrap().doubted, None);
}

/// What was old before is gone; what came meanwhile is as young as it is.
async fn followed(life: &Life, ground: &Ground) {
    assert!(life.keep_house(ground).await > 0);
    assert_eq!(ground.event_ids().await, ["meanwhile"]);
    let keys: Vec<String> = ground.all(life.source).await.into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys, ["brief:meanwhile", "rule:meanwhile"]);
    assert_eq!(ground.store.history(life.source, None, HistoryLimit::turns(99)).await.unwrap().len(), 1);
    let facts = ground.store.facts(life.source).await.unwrap();
    assert!(
        facts.next_at.unwrap() <= ground.store.snapshot(life.source).await.unwrap().now,
        "waits end early"
    );
}

/// What a wrong clock stamped must not keep history for ever.
pub async fn history_of_a_wrong_clock_goes_with_what_follows_it(ground: &Ground) {
    let source = ground.source("s").await;
    for (jump, value) in [(0, "1"), (AHEAD, "2"), (-AHEAD, "3")] {
        ground.clock.jump(jump);
        ground.commit(ground.turn(source).await.put("k", value)).await;
    }
    let kept = async || ground.store.history(source, None, HistoryLimit::turns(9)).await.unwrap().len();
    while ground.store.sweep().await.unwrap().more {}
    assert_eq!(kept().await, 3);
    ground.clock.step(7 * DAY - 1);
    while ground.store.sweep().await.unwrap().more {}
    assert_eq!(kept().await, 3);
    ground.clock.step(1);
    while ground.store.sweep().await.unwrap().more {}
    assert_eq!(kept().await, 0);
}
