//! Promise 6: where sinks begin, what they owe and for how long, and what is told of what went.

use std::collections::BTreeMap;
use std::time::Duration;

use inboxclaw_contract::sinks::{COUNTED, DROPPED, Debt, DeliveryCounts, Lapse, Untold};
use inboxclaw_contract::store::DeliveryQuery;
use inboxclaw_contract::turn::{DeliveryChange, DeliveryState};
use inboxclaw_contract::{DeliveryOrigin, Intake, OwnerId, Selection, Seq, StartAt, StoreError};
use inboxclaw_settings::{Interval, Patterns, Ttl};
use jiff::Timestamp;

use crate::{Ground, Words, of_type, prune};

const DAY: i64 = 24 * 60 * 60;

fn intake(patterns: &[&str], start: StartAt) -> Intake {
    Intake { patterns: Patterns::new(patterns), ttl: None, start }
}

async fn emit(ground: &Ground, source: OwnerId, events: &[(&str, &str)]) {
    let turn = ground.turn(source).await;
    ground.commit(events.iter().fold(turn, |turn, (id, event_type)| turn.emit(id, event_type))).await;
}

async fn seqs(ground: &Ground, selection: &Selection) -> Vec<i64> {
    ground.page(selection).await.events.iter().map(|event| event.seq.0).collect()
}

/// What a sink owes, as type, number, oldest and newest place.
async fn debts(ground: &Ground, sink: OwnerId) -> Vec<(String, u64, i64, i64)> {
    let all = ground.store.debts().await.unwrap();
    let Some(debts) = all.into_iter().find(|debts| debts.sink == sink) else { return Vec::new() };
    let row = |debt: Debt| (debt.event_type, debt.count, debt.oldest.0.0, debt.newest.0.0);
    debts.types.into_iter().map(row).collect()
}

async fn lapses(ground: &Ground, sink: OwnerId) -> Vec<Lapse> {
    let all = ground.store.lapses().await.unwrap();
    all.into_iter().filter(|lapse| lapse.sink == sink).collect()
}

pub async fn promise_6_a_new_sink_begins_where_it_is_told(ground: &Ground) {
    let source = ground.source("s").await;
    let began = ground.clock.second();
    for (n, id) in ["1", "2", "3"].iter().enumerate() {
        emit(ground, source, &[(id, "t")]).await;
        ground.clock.step(10);
        assert_eq!(ground.store.head().await.unwrap(), Seq(n as i64 + 1));
    }
    let since = |seconds: i64| StartAt::Since(Timestamp::from_second(began + seconds).unwrap());
    for (name, start, expected) in [
        ("now", StartAt::Now, vec![]),
        ("all", StartAt::All, vec![1, 2, 3]),
        ("long ago", StartAt::Since(Timestamp::MIN), vec![1, 2, 3]),
        ("at the second", since(10), vec![2, 3]),
        ("after the second", since(11), vec![3]),
        ("later", since(1_000), vec![]),
    ] {
        let sink = ground.sink(name).await;
        let selection = ground.store.set_intake(sink, &intake(&["*"], start)).await.unwrap();
        let first: Vec<i64> = seqs(ground, &selection).await.into_iter().filter(|seq| *seq <= 3).collect();
        assert_eq!(first, expected, "{name}");
        // It is known now: wherever it is told to begin, it goes on.
        emit(ground, source, &[(name, "t")]).await;
        for start in [StartAt::Now, StartAt::All] {
            assert_eq!(ground.store.set_intake(sink, &intake(&["*"], start)).await.unwrap(), selection);
        }
    }
    let nobody = ground.store.set_intake(OwnerId(99), &intake(&["*"], StartAt::Now)).await;
    assert!(matches!(nobody, Err(StoreError::NoOwner(_))));
}

pub async fn promise_6_a_sink_begins_at_a_time_also_where_the_clock_went_back(ground: &Ground) {
    let source = ground.source("s").await;
    let began = ground.clock.second();
    for (id, seconds) in [("1", 0), ("2", 5_000), ("3", -4_900), ("4", 100)] {
        ground.clock.step(seconds);
        emit(ground, source, &[(id, "t")]).await;
    }
    // Stored after 0, 5000, 100 and 200 seconds.
    for (seconds, expected) in
        [(0, vec![1, 2, 3, 4]), (50, vec![2, 3, 4]), (150, vec![2, 3, 4]), (6_000, vec![])]
    {
        let start = StartAt::Since(Timestamp::from_second(began + seconds).unwrap());
        let sink = ground.sink(&format!("after {seconds}")).await;
        let selection = ground.store.set_intake(sink, &intake(&["*"], start)).await.unwrap();
        assert_eq!(seqs(ground, &selection).await, expected, "after {seconds} s");
    }
}

pub async fn promise_6_a_type_that_is_taken_later_begins_at_the_end(ground: &Ground) {
    let (source, sink) = (ground.source("s").await, ground.sink("k").await);
    let take = async |patterns: &[&str]| {
        let selection = ground.store.set_intake(sink, &intake(patterns, StartAt::All)).await.unwrap();
        let cursor = ground.store.snapshot(sink).await.unwrap().cursor;
        seqs(ground, &selection.standing_at(cursor.as_deref()).unwrap()).await
    };
    emit(ground, source, &[("1", "a.x"), ("2", "b")]).await;
    assert_eq!(take(&["a.*"]).await, [1]);
    emit(ground, source, &[("3", "a.y"), ("4", "b")]).await;
    assert_eq!(take(&["a.*", "b"]).await, [1, 3], "what was there of the new type is not owed");
    emit(ground, source, &[("5", "a.x"), ("6", "b"), ("7", "c")]).await;
    assert_eq!(take(&["a.*", "b"]).await, [1, 3, 5, 6]);
    // A type that is out of the configuration for a while loses nothing.
    ground.commit(ground.turn(sink).await.cursor(r#"{"a.x":1}"#)).await;
    assert_eq!(take(&["b"]).await, [6]);
    emit(ground, source, &[("8", "a.x")]).await;
    assert_eq!(take(&["*"]).await, [3, 5, 6, 8]);
    // One that nobody ever saw before begins where the sink did.
    emit(ground, source, &[("9", "d")]).await;
    assert_eq!(take(&["*"]).await, [3, 5, 6, 8, 9]);
}

pub async fn promise_6_each_type_is_owed_for_as_long(ground: &Ground) {
    let source = ground.source("s").await;
    let worker = ground.owing("worker", &Selection::all(Seq(0))).await;
    emit(ground, source, &[("1", "read"), ("2", "ignored"), ("3", "ignored")]).await;
    ground.clock.step(20 * DAY);
    emit(ground, source, &[("4", "read"), ("5", "ignored")]).await;
    // It confirms one type, up to the end.
    ground.commit(ground.turn(worker).await.cursor(r#"{"read":4}"#)).await;
    let (retention, owed_max) = (5 * DAY as u64, 30 * DAY as u64);
    assert_eq!(ground.prune_all(retention, owed_max).await, 1);
    assert_eq!(debts(ground, worker).await, [("ignored".into(), 3, 2, 5)]);
    assert!(lapses(ground, worker).await.is_empty());
    ground.clock.step(10 * DAY);
    assert_eq!(
        ground.prune_all(retention, owed_max).await,
        1,
        "what was read; the rest is owed for 30 days exactly"
    );
    ground.clock.step(1);
    assert_eq!(seqs(ground, &of_type("ignored", 0)).await, [2, 3, 5], "until it is gone, it can be had");
    assert_eq!(ground.prune_all(retention, owed_max).await, 2);
    assert_eq!(debts(ground, worker).await, [("ignored".into(), 1, 5, 5)]);
    let lapse = lapses(ground, worker).await.remove(0);
    assert_eq!((lapse.event_type.as_str(), lapse.dropped, lapse.expired), ("ignored", 2, 0));
    let Untold { count, first, last } = lapse.untold.unwrap();
    assert_eq!((count, first.0, last.0, first.1), (2, Seq(2), Seq(3), last.1));
    ground.store.set_told(&lapse).await.unwrap();
    let told = lapses(ground, worker).await.remove(0);
    assert_eq!((told.dropped, told.untold), (2, None));
    // Retention that is longer than any debt keeps everything for as long.
    ground.clock.step(20 * DAY);
    assert_eq!(ground.prune_all(60 * DAY as u64, owed_max).await, 0);
}

pub async fn promise_6_what_waits_out_of_order_is_owed_for_as_long(ground: &Ground) {
    let source = ground.source("s").await;
    let sink = ground.owing("k", &Selection::all(Seq(9))).await;
    emit(ground, source, &[("1", "t"), ("2", "t"), ("3", "u")]).await;
    let mut owes = ground.turn(sink).await;
    for (seq, state) in [(1, DeliveryState::Waiting), (2, DeliveryState::Dead), (3, DeliveryState::Waiting)] {
        let due = Timestamp::from_second(9_000_000_000).unwrap();
        let (seq, entity, error) = (Seq(seq), None, None);
        owes.deliveries.push(DeliveryChange::Owe {
            seq,
            entity,
            state,
            due,
            attempts: 1,
            error,
            tried_at: None,
            origin: DeliveryOrigin::Log,
        });
    }
    ground.commit(owes).await;
    assert_eq!(debts(ground, sink).await, [("t".into(), 1, 1, 1), ("u".into(), 1, 3, 3)]);
    ground.clock.step(100);
    assert_eq!(ground.prune_all(5, 100).await, 0);
    ground.clock.step(1);
    assert_eq!(ground.prune_all(5, 100).await, 2);
    assert_eq!(seqs(ground, &Selection::all(Seq(0))).await, [2], "dead ones wait for a person");
    let dropped: Vec<_> = lapses(ground, sink).await.iter().map(|lapse| lapse.dropped).collect();
    assert_eq!(dropped, [1, 1]);
}

pub async fn promise_6_a_sink_that_left_the_configuration_goes_on_owing(ground: &Ground) {
    let source = ground.source("s").await;
    let (here, away) =
        (ground.owing("here", &of_type("h", 0)).await, ground.owing("away", &of_type("a", 0)).await);
    emit(ground, source, &[("1", "a"), ("2", "h"), ("3", "nobody's")]).await;
    let left = async || {
        let all = ground.store.debts().await.unwrap();
        all.iter().map(|debts| (debts.sink, debts.left_at.is_some())).collect::<Vec<_>>()
    };
    ground.store.set_configured(&[here]).await.unwrap();
    assert_eq!(left().await, [(here, false), (away, true)]);
    ground.clock.step(10);
    assert_eq!(ground.prune_all(5, 100).await, 1);
    assert_eq!(debts(ground, away).await, [("a".into(), 1, 1, 1)]);
    // Back again, and nothing is lost.
    ground.store.set_configured(&[here, away]).await.unwrap();
    assert_eq!(left().await, [(here, false), (away, false)]);
    ground.store.set_configured(&[here]).await.unwrap();
    ground.clock.step(60);
    emit(ground, source, &[("4", "a"), ("5", "h")]).await;
    ground.store.set_configured(&[here]).await.unwrap();
    ground.clock.step(41);
    // Now it is away for longer than it may owe: the event of a minute ago is kept no more either.
    assert_eq!(ground.prune_all(5, 100).await, 3);
    assert_eq!(seqs(ground, &Selection::all(Seq(0))).await, [5]);
    ground.store.release(away).await.unwrap();
    assert_eq!(left().await, [(here, false)]);
}

pub async fn promise_6_a_cursor_that_cannot_be_read_keeps_everything(ground: &Ground) {
    let source = ground.source("s").await;
    let sink = ground.owing("k", &of_type("t", 0)).await;
    emit(ground, source, &[("1", "t"), ("2", "u")]).await;
    ground.commit(ground.turn(sink).await.cursor("elsewhere")).await;
    ground.clock.step(10);
    assert_eq!(ground.prune_all(5, 100).await, 1, "what it never wanted");
    let problem = ground.store.debts().await.unwrap().remove(0).problem;
    assert!(problem.unwrap().contains("\"elsewhere\""));
    assert_eq!(debts(ground, sink).await, [("t".into(), 1, 1, 1)]);
}

pub async fn promise_6_what_outlives_its_time_is_counted_once(ground: &Ground) {
    let source = ground.source("s").await;
    let by_type = BTreeMap::from([("never.*".to_owned(), Interval::from_secs(0))]);
    let ttl = Ttl { default: Some(Interval::from_secs(60)), by_type };
    let sink = ground.owing("k", &Selection { ttl: Some(ttl), ..Selection::all(Seq(0)) }).await;
    let free = ground.owing("free", &Selection::all(Seq(0))).await;
    emit(ground, source, &[("1", "a"), ("2", "a"), ("3", "b"), ("4", "never.x")]).await;
    let expired = async || {
        let found = ground.store.expire().await.unwrap();
        found.into_iter().map(|it| (it.sink, it.event_type, it.count)).collect::<Vec<_>>()
    };
    assert_eq!(expired().await, [(sink, "never.x".into(), 1)]);
    // One is confirmed in time; two others are leased, and one lease ends.
    ground.commit(ground.turn(sink).await.cursor(r#"{"a":1,"b":3}"#)).await;
    let now = ground.store.snapshot(sink).await.unwrap().now;
    let mut leased = ground.turn(sink).await;
    for (seq, seconds) in [(1, 1_000), (3, 10)] {
        let due = now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap();
        let (seq, state, entity, error) = (Seq(seq), DeliveryState::Waiting, None, None);
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
    }
    ground.commit(leased).await;
    ground.clock.step(59);
    assert_eq!(expired().await, []);
    ground.clock.step(1);
    assert_eq!(expired().await, [(sink, "a".into(), 1), (sink, "b".into(), 1)]);
    assert_eq!(expired().await, []);
    let owed = ground.deliveries(sink, DeliveryQuery::all(9)).await;
    assert_eq!(owed.iter().map(|owed| owed.seq.0).collect::<Vec<_>>(), [1], "a consumer has this one");
    let all: Vec<_> = lapses(ground, sink).await.into_iter().map(|it| (it.event_type, it.expired)).collect();
    assert_eq!(all, [("a".into(), 1), ("b".into(), 1), ("never.x".into(), 1)]);
    assert!(lapses(ground, free).await.is_empty());
}

pub async fn promise_6_that_it_is_told_of_drops_is_not_told(ground: &Ground) {
    let source = ground.source("s").await;
    let sink = ground.owing("k", &Selection::all(Seq(0))).await;
    emit(ground, source, &[("1", DROPPED), ("2", "t")]).await;
    ground.clock.step(10);
    assert_eq!(ground.prune_all(5, 5).await, 2);
    let told: Vec<_> = lapses(ground, sink).await.into_iter().map(|it| (it.event_type, it.dropped)).collect();
    assert_eq!(told, [("t".into(), 1)]);
}

pub async fn debts_are_counted_up_to_a_bound(ground: &Ground) {
    let source = ground.source("s").await;
    let many = COUNTED + 5;
    let turn = ground.turn(source).await;
    ground.commit((0..many).fold(turn, |turn, n| turn.emit(&n.to_string(), "t"))).await;
    let sink = ground.owing("k", &Selection::all(Seq(0))).await;
    assert_eq!(debts(ground, sink).await, [("t".into(), COUNTED, 1, many as i64)]);
    ground.commit(ground.turn(sink).await.cursor("10")).await;
    assert_eq!(debts(ground, sink).await, [("t".into(), many - 10, 11, many as i64)]);
}

/// After the clock went back, places say nothing about time: each event is looked at, a bounded number in a step.
pub async fn retention_goes_on_where_it_stopped(ground: &Ground) {
    let source = ground.source("s").await;
    ground.owing("k", &of_type("kept", 0)).await;
    let turn = ground.turn(source).await;
    let mixed = |n: u64| if n.is_multiple_of(2) { "kept" } else { "free" };
    ground.commit((0..20_000).fold(turn, |turn, n| turn.emit(&n.to_string(), mixed(n)))).await;
    ground.clock.step(-10_000);
    emit(ground, source, &[("late", "kept")]).await;
    ground.clock.step(10_100);
    let (mut steps, mut events) = (0, 0);
    loop {
        let step = ground.store.prune(&prune(50, 1_000_000, 1_000_000)).await.unwrap();
        assert!(step.events <= 5_000, "{step:?}");
        (steps, events) = (steps + 1, events + step.events);
        if !step.more {
            break;
        }
    }
    assert_eq!(events, 10_000);
    assert!((4..=7).contains(&steps), "{steps} steps, each about as long as the others");
}

/// Stores a delivery of a sink: its state, when it is due from now on, and how it came about.
async fn owe(ground: &Ground, sink: OwnerId, seq: i64, state: DeliveryState, origin: DeliveryOrigin) {
    let mut owes = ground.turn(sink).await;
    let now = ground.store.snapshot(sink).await.unwrap().now;
    owes.deliveries.push(DeliveryChange::Owe {
        seq: Seq(seq),
        entity: None,
        state,
        due: now,
        attempts: 12,
        error: Some("no".to_owned()),
        tried_at: Some(now),
        origin,
    });
    ground.commit(owes).await;
}

pub async fn promise_6_a_dead_letter_goes_when_nobody_acts_on_it(ground: &Ground) {
    let source = ground.source("s").await;
    let (sink, other) = (
        ground.owing("k", &Selection::all(Seq(9))).await,
        ground.owing("other", &Selection::all(Seq(9))).await,
    );
    emit(ground, source, &[("1", "t"), ("2", "t"), ("3", "u"), ("4", DROPPED)]).await;
    owe(ground, sink, 1, DeliveryState::Dead, DeliveryOrigin::Log).await;
    owe(ground, other, 2, DeliveryState::Waiting, DeliveryOrigin::Log).await;
    ground.clock.step(60);
    for (sink, seq) in [(sink, 2), (sink, 4), (other, 3)] {
        owe(ground, sink, seq, DeliveryState::Dead, DeliveryOrigin::Log).await;
    }
    let dead_max = Duration::from_secs(100);
    let expire = async |limit| {
        let expired = ground.store.expire_dead(dead_max, limit).await.unwrap();
        (expired.letters, expired.more)
    };
    ground.clock.step(40);
    assert_eq!(expire(9).await, (0, false), "what is as old as the limit stays");
    assert_eq!(ground.prune_all(5, 5).await, 0, "and keeps its event, as the other's letter does");
    ground.clock.step(1);
    assert_eq!(expire(9).await, (1, false));
    let owed = ground.deliveries(sink, DeliveryQuery::all(9)).await;
    assert_eq!(owed.iter().map(|owed| owed.seq.0).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(
        seqs(ground, &Selection::all(Seq(0))).await,
        [1, 2, 3, 4],
        "that the event goes is for retention"
    );
    let dropped = async |sink| {
        let all = lapses(ground, sink).await.into_iter();
        all.map(|it| (it.event_type, it.dropped, it.untold.map(|it| it.count))).collect::<Vec<_>>()
    };
    assert_eq!(dropped(sink).await, [("t".into(), 1, Some(1))]);
    ground.clock.step(60);
    let (first, more) = expire(2).await;
    assert_eq!((first, more), (2, true));
    assert_eq!(expire(2).await, (1, false));
    assert_eq!(dropped(sink).await, [("t".into(), 2, Some(2))], "that people are told is not told");
    assert_eq!(dropped(other).await, [("u".into(), 1, Some(1))]);
    let waiting = ground.deliveries(other, DeliveryQuery::all(9)).await;
    assert_eq!(waiting.len(), 1, "what waits is no dead letter");
    assert_eq!(expire(9).await, (0, false));
}

pub async fn a_retried_delivery_is_due_at_once(ground: &Ground) {
    let source = ground.source("s").await;
    let sink = ground.owing("k", &Selection::all(Seq(9))).await;
    emit(ground, source, &[("1", "t"), ("2", "t"), ("3", "t"), ("4", "t")]).await;
    owe(ground, sink, 1, DeliveryState::Dead, DeliveryOrigin::Log).await;
    owe(ground, sink, 2, DeliveryState::Waiting, DeliveryOrigin::Log).await;
    owe(ground, sink, 3, DeliveryState::Dead, DeliveryOrigin::Replay(7)).await;
    ground.clock.step(60);
    let now = ground.store.snapshot(sink).await.unwrap().now;
    let before = ground.version(sink).await;
    let mut retry = ground.turn(sink).await;
    retry.deliveries.extend((1..=4).map(|seq| DeliveryChange::Retry { seq: Seq(seq) }));
    ground.commit(retry).await;
    let rows = ground.deliveries(sink, DeliveryQuery::all(9)).await;
    let found: Vec<_> = rows
        .iter()
        .map(|row| (row.seq.0, row.state, row.attempts, row.tried_at.is_some(), row.origin))
        .collect();
    let waiting = DeliveryState::Waiting;
    assert_eq!(
        found,
        [
            (1, waiting, 0, false, DeliveryOrigin::Retry),
            (2, waiting, 12, true, DeliveryOrigin::Log),
            (3, waiting, 0, false, DeliveryOrigin::Replay(7)),
        ],
        "what is not owed is not owed by this"
    );
    assert!(rows.iter().all(|row| row.due == now && row.error.as_deref() == Some("no")), "{rows:?}");
    assert_eq!(ground.version(sink).await, before, "deliveries are no state");
}

pub async fn deliveries_are_counted_by_state(ground: &Ground) {
    let source = ground.source("s").await;
    let sink = ground.owing("k", &Selection::all(Seq(9))).await;
    emit(ground, source, &[("1", "t"), ("2", "t"), ("3", "t")]).await;
    let counts = async || {
        let all = ground.store.debts().await.unwrap();
        all.into_iter().find(|debts| debts.sink == sink).unwrap().deliveries
    };
    assert_eq!(counts().await, DeliveryCounts::default());
    owe(ground, sink, 1, DeliveryState::Waiting, DeliveryOrigin::Log).await;
    owe(ground, sink, 2, DeliveryState::Dead, DeliveryOrigin::Log).await;
    let dead_since = Some(ground.store.snapshot(sink).await.unwrap().now);
    ground.clock.step(60);
    owe(ground, sink, 3, DeliveryState::Dead, DeliveryOrigin::Log).await;
    assert_eq!(counts().await, DeliveryCounts { waiting: 1, dead: 2, dead_since });
}
