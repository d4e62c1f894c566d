//! The loop of a push sink without a state: calls beside each other, receivers that are down, events that fail, and what a
//! crash repeats.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::unimplemented, unreachable_pub, dead_code, reason = "the support serves several tests")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use inboxclaw_contract::turn::DeliveryState;
use inboxclaw_contract::{Class, DeliveryPolicy, Failure, Order, Owner};
use support::{ByName, Deliver, World, again, done, fail_text, never};

fn hook() -> Owner {
    Owner::sink("hook")
}

fn policy(concurrency: usize) -> DeliveryPolicy {
    DeliveryPolicy { concurrency, ..DeliveryPolicy::default() }
}

/// The rows that the sink owes, as `seq x attempts state`.
fn owed(world: &World) -> Vec<String> {
    let rows = world.store.owed(&hook());
    rows.iter().map(|row| format!("{}x{} {}", row.seq.0, row.attempts, row.state.as_str())).collect()
}

fn cursor(world: &World) -> Option<String> {
    world.store.cursor(&hook())
}

/// Events of these ids, without an entity.
async fn store(world: &World, ids: impl IntoIterator<Item = String>) {
    let ids: Vec<String> = ids.into_iter().collect();
    let events: Vec<_> = ids.iter().map(|id| (&**id, "t.x", "")).collect();
    world.store_events(&events).await;
}

fn slow(millis: u64) -> Deliver {
    Deliver::Slow(Duration::from_millis(millis))
}

#[tokio::test(start_paused = true)]
async fn calls_run_beside_each_other_and_an_entity_keeps_its_order() {
    let mut world = World::new();
    world.sender("hook", policy(3), |_, _| slow(1_000));
    world.run();
    let events =
        [("a1", "t.x", "a"), ("a2", "t.x", "a"), ("b1", "t.x", "b"), ("c", "t.x", ""), ("d", "t.x", "")];
    world.store_events(&events).await;
    world.pass(5).await;
    assert_eq!(world.happened(), ["hook a1", "hook b1", "hook c", "hook a2", "hook d"]);
    assert_eq!(world.seconds("hook d"), [1]);
    assert_eq!(cursor(&world).as_deref(), Some("5"));
    assert!(owed(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_order_lets_everything_go_and_full_order_lets_one_go() {
    for (order, seconds) in [(Order::None, [0, 0, 0]), (Order::Entity, [0, 1, 0]), (Order::All, [0, 1, 2])] {
        let mut world = World::new();
        world.sender("hook", DeliveryPolicy { order, ..policy(9) }, |_, _| slow(1_000));
        world.run();
        world.store_events(&[("a1", "t.x", "a"), ("a2", "t.x", "a"), ("b", "t.x", "")]).await;
        world.pass(5).await;
        let begun = ["hook a1", "hook a2", "hook b"].map(|id| world.seconds(id)[0]);
        assert_eq!(begun, seconds, "{order:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_full_order_an_event_that_fails_holds_up_the_rest_without_a_row_for_each() {
    let mut world = World::new();
    let policy = DeliveryPolicy { order: Order::All, ..policy(4) };
    world.sender(
        "hook",
        policy,
        |event, n| if event.event_id == "0" && n < 3 { again(None) } else { done() },
    );
    world.run();
    store(&world, (0..50).map(|n| n.to_string())).await;
    world.pass(5).await;
    assert_eq!(owed(&world), ["1x1 waiting"]);
    assert_eq!(world.happened(), ["hook 0"]);
    world.pass(60).await;
    assert_eq!(world.happened().len(), 52);
    assert!(owed(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_down_makes_no_rows_and_the_backlog_drains_at_full_speed() {
    let mut world = World::new();
    let start = tokio::time::Instant::now();
    world.sender("hook", policy(8), move |_, _| {
        if start.elapsed() < Duration::from_secs(120) { fail_text(Class::Connectivity) } else { slow(10) }
    });
    world.run();
    store(&world, (0..1_000).map(|n| n.to_string())).await;
    world.pass(110).await;
    assert!(owed(&world).is_empty());
    assert_eq!(cursor(&world), None);
    assert_eq!(world.code("hook"), "connectivity");
    assert!(world.happened().len() < 40, "{}", world.happened().len());
    // Twice as far apart each time, up to a minute: the next look comes within that.
    world.pass(90).await;
    // Beyond the two events that tell that it failed and recovered.
    assert_eq!(cursor(&world).as_deref(), Some("1002"));
    let last = world.trace.lock().unwrap().last().unwrap().0;
    let drained = last - world.times("hook 0").last().unwrap();
    assert!(drained <= 1_000 / 8 * 10 * 2, "{drained} ms");
    assert!(owed(&world).is_empty());
    assert_eq!(world.code("hook"), "healthy");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_receiver_names_is_kept_by_all_calls() {
    let mut world = World::new();
    world.sender("hook", policy(4), |event, n| match (&*event.event_id, n) {
        ("1", 1) => {
            Deliver::Fail(Failure::text(Class::RateLimited, "slow down").wait(Some(Duration::from_secs(7))))
        }
        ("0", _) => slow(2_000),
        _ => done(),
    });
    world.run();
    store(&world, ["0".to_owned(), "1".to_owned()]).await;
    world.pass(1).await;
    // The call that had begun before ends well, which takes nothing from the wait.
    store(&world, (2..5).map(|n| n.to_string())).await;
    world.pass(20).await;
    assert_eq!(world.seconds("hook 1"), [0, 7]);
    for id in ["hook 2", "hook 3", "hook 4"] {
        assert_eq!(world.seconds(id), [7]);
    }
}

#[tokio::test(start_paused = true)]
async fn single_failed_calls_pass_without_a_word() {
    let mut world = World::new();
    world.sender("hook", policy(1), |event, n| {
        if event.event_id.ends_with('0') && n == 1 { fail_text(Class::Timeout) } else { done() }
    });
    world.run();
    store(&world, (0..100).map(|n| n.to_string())).await;
    world.pass(5).await;
    assert_eq!(cursor(&world).as_deref(), Some("100"));
    let stats = world.handle.stats().into_iter().find(|stats| stats.owner == hook()).unwrap();
    assert_eq!((stats.delivered, stats.failures), (100, 0));
}

#[tokio::test(start_paused = true)]
async fn one_event_with_which_every_call_fails_is_told_from_a_receiver_that_is_down() {
    let mut world = World::new();
    let policy = DeliveryPolicy { max_attempts: 2, ..policy(1) };
    world.sender(
        "hook",
        policy,
        |event, _| {
            if event.event_id == "poison" { fail_text(Class::Timeout) } else { done() }
        },
    );
    world.run();
    store(&world, ["poison".to_owned(), "a".to_owned()]).await;
    world.pass(60).await;
    store(&world, (0..20).map(|n| n.to_string())).await;
    world.pass(600).await;
    assert_eq!(world.times("hook 19").len(), 1);
    store(&world, ["b".to_owned()]).await;
    world.pass(600).await;
    assert_eq!(owed(&world), ["1x2 dead"]);
    assert_eq!(cursor(&world).as_deref(), Some("25"), "with the two events about itself");
    assert_eq!(world.code("hook"), "healthy");
}

#[tokio::test(start_paused = true)]
async fn after_its_last_attempt_or_its_time_an_event_is_dead_and_frees_its_entity() {
    let by_attempts = DeliveryPolicy { max_attempts: 3, ..policy(2) };
    let by_age = DeliveryPolicy { max_age: Duration::from_secs(25), ..policy(2) };
    let by_interval =
        DeliveryPolicy { max_attempts: 3, retry_interval: Some(Duration::from_secs(15)), ..policy(2) };
    for (policy, tries) in
        [(by_attempts, vec![0, 10, 30]), (by_age, vec![0, 10]), (by_interval, vec![0, 15, 30])]
    {
        let mut world = World::new();
        world.sender("hook", policy, |event, _| if event.event_id == "a1" { again(None) } else { done() });
        world.run();
        world.store_events(&[("a1", "t.x", "a"), ("a2", "t.x", "a")]).await;
        world.pass(100).await;
        assert_eq!(world.seconds("hook a1"), tries);
        assert_eq!(world.seconds("hook a2"), [*tries.last().unwrap()]);
        assert_eq!(owed(&world), [format!("1x{} dead", tries.len())]);
        let dead = world.store.owed(&hook()).remove(0);
        assert!(dead.error.unwrap().ends_with(": busy"));
        assert!(dead.tried_at.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn thousands_of_events_that_fail_for_ever_leave_the_good_ones_alone() {
    let mut world = World::new();
    let policy = DeliveryPolicy { max_attempts: 3, ..policy(1) };
    world.sender(
        "hook",
        policy,
        |event, _| {
            if event.event_id.starts_with("bad") { again(None) } else { done() }
        },
    );
    world.run();
    store(&world, (0..600).map(|n| format!("bad{n}"))).await;
    world.pass(1).await;
    for n in 0..100 {
        store(&world, [format!("good{n}")]).await;
        world.pass(1).await;
        let delay = world.times(&format!("hook good{n}"))[0] as u64 - 1_000 * (n + 1) - 5 * (n + 1);
        assert!(delay <= 100, "good{n} came {delay} ms late");
    }
    world.pass(1_000).await;
    let rows = world.store.owed(&hook());
    assert_eq!(rows.len(), 600);
    assert!(rows.iter().all(|row| row.state == DeliveryState::Dead && row.attempts == 3));
}

#[tokio::test(start_paused = true)]
async fn where_all_of_very_many_events_fail_it_is_the_receiver() {
    let mut world = World::new();
    let start = tokio::time::Instant::now();
    world.sender("hook", policy(8), move |_, _| {
        if start.elapsed() < Duration::from_secs(30) { again(Some(3_600)) } else { done() }
    });
    world.run();
    for part in 0..3 {
        store(&world, (0..5_000).map(|n| format!("{part}.{n}"))).await;
    }
    world.pass(20).await;
    assert!((10_000..10_200).contains(&owed(&world).len()), "{}", owed(&world).len());
    assert_eq!(world.code("hook"), "upstream");
    world.pass(60).await;
    assert_eq!(cursor(&world).as_deref(), Some("15002"), "with the two events about itself");
    assert_eq!(world.code("hook"), "healthy");
}

#[tokio::test(start_paused = true)]
async fn a_slow_event_gets_a_row_so_that_a_crash_repeats_little() {
    let mut world = World::new();
    world.sender("hook", policy(2), |event, _| if event.event_id == "0" { slow(60_000) } else { slow(5) });
    world.run();
    store(&world, (0..2_000).map(|n| n.to_string())).await;
    world.pass(5).await;
    assert_eq!(owed(&world), ["1x0 waiting"]);
    world.abort();
    let before: BTreeSet<String> = world.happened().into_iter().collect();
    let position: usize = cursor(&world).unwrap().parse().unwrap();
    assert!(before.len() - position <= 100, "{} {position}", before.len());
    let mut world = world.again();
    world.sender("hook", policy(2), |_, _| done());
    world.run();
    world.pass(1).await;
    let after: BTreeSet<String> = world.happened().into_iter().collect();
    assert!(after.contains("hook 0"));
    assert!(before.intersection(&after).count() <= 101);
    assert_eq!(before.union(&after).count(), 2_000);
    assert!(owed(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn events_are_paced_and_a_batch_waits_for_more() {
    let mut world = World::new();
    let paced = DeliveryPolicy { pace: Some(Duration::from_secs(2)), ..policy(4) };
    world.sender("hook", paced, |_, _| done());
    let batched =
        DeliveryPolicy { batch_max: 3, batch_wait: Duration::from_secs(10), ..DeliveryPolicy::default() };
    world.sender("other", batched, |_, _| done());
    world.run();
    store(&world, (0..4).map(|n| n.to_string())).await;
    world.pass(20).await;
    let times = |sink: &str| (0..4).map(|n| world.seconds(&format!("{sink} {n}"))[0]).collect::<Vec<_>>();
    assert_eq!(times("hook"), [0, 2, 4, 6]);
    assert_eq!(times("other"), [0, 0, 0, 10]);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_is_set_while_calls_run_is_followed() {
    let mut world = World::new();
    world.sender("hook", policy(2), |event, n| match (&*event.event_id, n) {
        ("1", 1) => slow(3_000),
        ("2", 1) => again(Some(100)),
        _ => done(),
    });
    world.run();
    store(&world, (0..4).map(|n| n.to_string())).await;
    world.pass(1).await;
    world.store.edit_cursor(&hook(), Some("0"));
    world.pass(10).await;
    assert_eq!(world.times("hook 0").len(), 2);
    assert_eq!(world.times("hook 3").len(), 2);
    assert_eq!(cursor(&world).as_deref(), Some("4"));
    assert_eq!(owed(&world), ["3x1 waiting"], "it waits, and is not handed out twice");
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_gone_for_an_hour_pauses_its_sink() {
    let mut world = World::new();
    world.sender("hook", policy(1), |_, _| fail_text(Class::Gone));
    world.run();
    store(&world, ["a".to_owned()]).await;
    world.pass(3_000).await;
    assert!(!world.store.run_facts(&hook()).paused);
    world.pass(1_500).await;
    assert!(world.store.run_facts(&hook()).paused);
    let row = world.report().sinks[0].clone();
    assert_eq!(row.code, Some("gone"));
    assert!(row.action.unwrap().contains("sink resume hook"));
    let told =
        world.store.store.logged().into_iter().filter(|event| event.event_type.starts_with("inboxclaw.sink"));
    let told: Vec<_> = told.map(|event| (event.event_type, event.entity_id)).collect();
    assert!(told.contains(&("inboxclaw.sink.disabled".to_owned(), Some("hook".to_owned()))), "{told:?}");
    let before = world.happened().len();
    world.pass(10_000).await;
    assert_eq!(world.happened().len(), before);
}

#[tokio::test(start_paused = true)]
async fn what_is_never_taken_is_dead_at_once_and_says_nothing_against_the_receiver() {
    let mut world = World::new();
    world.sender("hook", policy(1), |event, _| if event.event_id == "a" { never() } else { done() });
    world.run();
    store(&world, ["a".to_owned(), "b".to_owned()]).await;
    world.pass(1).await;
    assert_eq!(owed(&world), ["1x1 dead"]);
    assert_eq!(world.code("hook"), "healthy");
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_not_sent_again_by_a_restart_or_a_cursor_that_is_set_back() {
    let mut world = World::new();
    world.sender("hook", policy(2), |event, _| match &*event.event_id {
        "0" => slow(60_000),
        "1" => never(),
        _ => done(),
    });
    world.run();
    store(&world, (0..3).map(|n| n.to_string())).await;
    world.pass(5).await;
    world.abort();
    world.store.edit_cursor(&hook(), Some("0"));
    let mut world = world.again();
    world.sender("hook", policy(2), |_, _| done());
    world.run();
    world.pass(5).await;
    assert!(world.times("hook 1").is_empty());
    assert_eq!(owed(&world), ["2x1 dead"]);
    assert_eq!(world.times("hook 2").len(), 1);
}
