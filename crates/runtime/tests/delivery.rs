//! The loop of a push sink: position, order, retries, time to live, and what a bad sink cannot do to others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::unimplemented, unreachable_pub, dead_code, reason = "the support serves several tests")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use inboxclaw_contract::store::{Prune, Retention};
use inboxclaw_contract::turn::DeliveryChange;
use inboxclaw_contract::{
    Class, Delivery, Draft, Expiry, Failure, Housekeeping, Intake, Owner, Receipt, Seq, Sink, StartAt, State,
};
use inboxclaw_settings::{Interval, Patterns, Ttl};
use support::built;
use support::{ByName, Deliver, World, again, done, fail_text, never};

fn hook() -> Owner {
    Owner::sink("hook")
}

fn cursor(world: &World) -> Option<String> {
    world.store.cursor(&hook())
}

/// The rows that the sink owes, as `seq x attempts state`.
fn owed(world: &World) -> Vec<String> {
    let rows = world.store.owed(&hook());
    rows.iter().map(|row| format!("{}x{} {}", row.seq.0, row.attempts, row.state.as_str())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_new_sink_gets_the_backlog_or_starts_now() {
    let mut world = World::new();
    world.store_events(&[("a", "t.x", ""), ("b", "other", ""), ("c", "t.x", "")]).await;
    world.sink("hook", StartAt::All, None, |_, _| done());
    world.sink("folder", StartAt::Now, None, |_, _| done());
    world.run();
    world.pass(1).await;
    assert_eq!(world.happened(), ["hook a", "hook c"]);
    assert_eq!(cursor(&world).as_deref(), Some("3"));
    world.store_events(&[("d", "t.x", "")]).await;
    world.pass(1).await;
    let mut last = world.happened().split_off(2);
    last.sort();
    assert_eq!(last, ["folder d", "hook d"]);
    assert_eq!(world.store.cursor(&Owner::sink("folder")).as_deref(), Some("4"));
    let hook = world.handle.stats().into_iter().find(|stats| stats.owner == hook()).unwrap();
    assert_eq!((hook.delivered, hook.turns >= 2), (3, true));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_starts_now_catches_up_after_downtime() {
    let mut world = World::new();
    world.sink("hook", StartAt::Now, None, |_, _| done());
    world.run();
    world.pass(1).await;
    world.stop().await.1.unwrap();
    world.store_events(&[("a", "t.x", "")]).await;
    let mut world = world.again();
    world.sink("hook", StartAt::Now, None, |_, _| done());
    world.run();
    world.pass(1).await;
    assert_eq!(world.happened(), ["hook a"]);
}

#[tokio::test(start_paused = true)]
async fn only_events_within_their_time_to_live_are_delivered() {
    let mut world = World::new();
    world.store_events(&[("old", "t.x", "")]).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    world.store_events(&[("new", "t.x", "")]).await;
    let ttl = Ttl { default: Some(Interval::from_secs(60)), ..Ttl::default() };
    world.sink("hook", StartAt::All, Some(ttl), |event, _| {
        if event.event_id == "new" { again(Some(70)) } else { done() }
    });
    world.run();
    world.pass(45).await;
    assert_eq!(world.happened(), ["hook new"]);
    assert_eq!(owed(&world), ["2x1 waiting"]);
    // By the time of the second try it has outlived its time to live, and is no longer owed.
    world.pass(30).await;
    assert_eq!(world.happened(), ["hook new"]);
    assert!(owed(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn again_backs_off_by_attempts_and_holds_up_nobody_else() {
    let mut world = World::new();
    world.sink("hook", StartAt::All, None, |event, n| match &*event.event_id {
        "busy" if n < 4 => again(None),
        "asked" if n < 2 => again(Some(100)),
        _ => done(),
    });
    world.run();
    world.store_events(&[("busy", "t.x", ""), ("asked", "t.x", ""), ("fine", "t.x", "")]).await;
    world.pass(200).await;
    assert_eq!(world.seconds("hook fine"), [0]);
    assert_eq!(world.seconds("hook busy"), [0, 10, 30, 70]);
    assert_eq!(world.seconds("hook asked"), [0, 100]);
    assert!(owed(&world).is_empty());
    // Beyond the two events that tell that it failed and recovered.
    assert_eq!(cursor(&world).as_deref(), Some("5"));
}

#[tokio::test(start_paused = true)]
async fn events_of_one_entity_keep_their_order() {
    let mut world = World::new();
    world.sink("hook", StartAt::All, None, |event, n| {
        if event.event_id == "a1" && n < 3 { again(None) } else { done() }
    });
    world.run();
    world.store_events(&[("a1", "t.x", "a")]).await;
    world.pass(1).await;
    world
        .store_events(&[("a2", "t.x", "a"), ("b1", "t.x", "b"), ("a3", "t.x", "a"), ("free", "t.x", "")])
        .await;
    world.pass(1).await;
    assert_eq!(world.happened(), ["hook a1", "hook b1", "hook free"]);
    assert_eq!(owed(&world), ["1x1 waiting", "2x0 waiting", "4x0 waiting"]);
    world.pass(40).await;
    let rest = world.happened().split_off(3);
    assert_eq!(rest, ["hook a1", "hook a1", "hook a2", "hook a3"]);
    assert_eq!(world.seconds("hook a1"), [0, 10, 30]);
    assert!(owed(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_order_of_an_entity_survives_a_restart() {
    let mut world = World::new();
    world.sink("hook", StartAt::All, None, |_, _| again(None));
    world.run();
    world.store_events(&[("a1", "t.x", "a")]).await;
    world.pass(1).await;
    world.stop().await.1.unwrap();
    world.store_events(&[("a2", "t.x", "a")]).await;
    let mut world = world.again();
    world.sink("hook", StartAt::All, None, |_, _| done());
    world.run();
    world.pass(30).await;
    assert_eq!(world.happened(), ["hook a1", "hook a2"]);
}

#[tokio::test(start_paused = true)]
async fn the_order_of_an_entity_holds_when_all_of_it_is_overdue() {
    let mut world = World::new();
    world.sink("hook", StartAt::All, None, |_, _| again(None));
    world.run();
    world.store_events(&[("a1", "t.x", "a")]).await;
    world.pass(1).await;
    world.store_events(&[("a2", "t.x", "a"), ("a3", "t.x", "a")]).await;
    world.pass(1).await;
    world.stop().await.1.unwrap();
    world.pass(100).await;
    let mut world = world.again();
    world.sink("hook", StartAt::All, None, |event, n| {
        if event.event_id == "a1" && n == 1 { again(None) } else { done() }
    });
    world.run();
    world.pass(100).await;
    assert_eq!(world.happened(), ["hook a1", "hook a1", "hook a2", "hook a3"]);
}

#[tokio::test(start_paused = true)]
async fn going_back_does_not_hand_out_what_waits_anyway() {
    let mut world = World::new();
    world.sink("hook", StartAt::All, None, |event, n| {
        if event.event_id == "a" && n == 1 { again(None) } else { done() }
    });
    world.run();
    world.store_events(&[("a", "t.x", ""), ("b", "t.x", "")]).await;
    world.pass(1).await;
    world.store.edit_cursor(&hook(), Some("0"));
    world.pass(1).await;
    assert_eq!(world.happened(), ["hook a", "hook b", "hook b"]);
    world.pass(20).await;
    assert_eq!(world.happened().split_off(3), ["hook a"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_sink_never_takes_is_kept_as_dead_and_holds_up_nobody() {
    let mut world = World::new();
    world.sink("hook", StartAt::All, None, |event, _| if event.event_id == "a1" { never() } else { done() });
    world.run();
    world.store_events(&[("a1", "t.x", "a"), ("a2", "t.x", "a")]).await;
    world.pass(10_000).await;
    assert_eq!(world.happened(), ["hook a1", "hook a2"]);
    assert_eq!(owed(&world), ["1x1 dead"]);
    assert_eq!(world.code("hook"), "healthy");
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_whole_batch_stores_nothing_and_backs_off_by_its_class() {
    let mut world = World::new();
    world.sink("hook", StartAt::All, None, |event, n| match &*event.event_id {
        "a" if n < 4 => fail_text(Class::Connectivity),
        _ => done(),
    });
    world.sink("other", StartAt::All, None, |_, _| done());
    world.run();
    world.store_events(&[("a", "t.x", ""), ("b", "t.x", "")]).await;
    world.pass(1).await;
    assert_eq!(cursor(&world), None);
    assert_eq!(world.store.run_facts(&hook()).failures, 1);
    assert_eq!(world.code("hook"), "(connectivity)");
    world.pass(10).await;
    assert!(world.report().is_unhealthy());
    world.pass(40).await;
    assert_eq!(world.seconds("hook a"), [0, 5, 15, 35]);
    assert_eq!(world.seconds("hook b"), [35]);
    assert_eq!(world.times("other b"), world.times("other a"));
    assert!(owed(&world).is_empty());
    assert_eq!(world.store.run_facts(&hook()).failures, 0);
    assert_eq!(world.code("hook"), "healthy");
}

#[tokio::test(start_paused = true)]
async fn a_restart_honours_the_wait_that_a_sink_was_asked_for() {
    let mut world = World::new();
    world.sink("hook", StartAt::All, None, |_, _| {
        Deliver::Fail(Failure::text(Class::Upstream, "later").wait(Some(Duration::from_secs(900))))
    });
    world.sink("repaired", StartAt::All, None, |_, _| fail_text(Class::Authentication));
    world.run();
    world.store_events(&[("a", "t.x", "")]).await;
    world.pass(100).await;
    world.stop().await.1.unwrap();
    let mut world = world.again();
    world.sink("hook", StartAt::All, None, |_, _| done());
    world.sink("repaired", StartAt::All, None, |_, _| done());
    world.run();
    world.pass(1).await;
    assert_eq!(world.code("hook"), "backoff");
    assert_eq!(world.seconds("repaired a"), [0], "a wait of our own ends with the program");
    world.pass(1_000).await;
    let first = world.times("hook a")[0];
    assert!((799_000..=800_000).contains(&first), "{first}");
    assert_eq!(world.code("hook"), "healthy");
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_panics_or_forgets_receipts_is_repeated() {
    let mut world = World::new();
    world.sink("hook", StartAt::All, None, |_, n| match n {
        1 => Deliver::Panic,
        2 => Deliver::Forget,
        _ => done(),
    });
    world.run();
    world.store_events(&[("a", "t.x", "")]).await;
    world.pass(11).await;
    let row = world.report().sinks[0].clone();
    assert_eq!(
        (row.code, row.message.as_deref()),
        (Some("internal"), Some("the sink gave 0 receipts for 1 events"))
    );
    world.pass(60).await;
    assert_eq!(world.seconds("hook a"), [0, 10, 30]);
    assert_eq!(world.code("hook"), "healthy");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_takes_too_long_comes_again_in_halves() {
    let mut world = World::new();
    world.sink("hook", StartAt::All, None, |_, _| Deliver::Slow(Duration::from_secs(200)));
    let ids = ["1", "2", "3", "4", "5", "6"];
    let events: Vec<_> = ids.iter().map(|id| (*id, "t.x", "")).collect();
    world.run();
    world.store_events(&events).await;
    world.pass(6_000).await;
    // Six take 1,200 s and the limit is 600 s: two at a time get through.
    assert_eq!(cursor(&world).as_deref(), Some("6"));
    assert_eq!(world.times("hook 6").len(), 1);
    assert!(world.times("hook 1").len() <= 3, "{:?}", world.times("hook 1"));
}

#[tokio::test(start_paused = true)]
async fn an_edited_cursor_is_followed() {
    let mut world = World::new();
    world.sink("hook", StartAt::All, None, |_, _| done());
    world.run();
    world.store_events(&[("a", "t.x", ""), ("b", "t.x", "")]).await;
    world.pass(1).await;
    world.store.edit_cursor(&hook(), Some("1"));
    world.pass(1).await;
    assert_eq!(world.happened(), ["hook a", "hook b", "hook b"]);
    world.store.edit_cursor(&hook(), Some("yesterday"));
    world.pass(1).await;
    assert_eq!(world.code("hook"), "configuration");
    world.store.edit_cursor(&hook(), None);
    world.handle.wake(&hook());
    world.pass(1).await;
    assert_eq!(world.happened().split_off(3), ["hook a", "hook b"]);
    assert_eq!(world.code("hook"), "healthy");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_delivery_is_not_tried_again() {
    let mut world = World::new();
    world.sink(
        "hook",
        StartAt::All,
        None,
        |event, _| if event.event_id == "a1" { again(None) } else { done() },
    );
    world.run();
    world.store_events(&[("a1", "t.x", "a"), ("b1", "t.x", "b")]).await;
    world.pass(1).await;
    world.store_events(&[("a2", "t.x", "a")]).await;
    world.pass(1).await;
    world.store.edit(&hook(), |turn| turn.deliveries.push(DeliveryChange::Done { seq: Seq(1) }));
    world.pass(100).await;
    assert_eq!(world.happened(), ["hook a1", "hook b1", "hook a2"]);
}

#[tokio::test(start_paused = true)]
async fn unwanted_events_move_the_position_in_memory_and_are_stored_within_the_hour() {
    let mut world = World::new();
    world.sink("hook", StartAt::All, None, |_, _| done());
    world.run();
    world.store_events(&[("a", "t.x", "")]).await;
    world.pass(10).await;
    let before = world.store.by.with(|faults| faults.writes);
    world.store_events(&[("b", "other", ""), ("c", "other", "")]).await;
    world.pass(60).await;
    // The one write is that of the events.
    assert_eq!(world.store.by.with(|faults| faults.writes), before + 1);
    assert_eq!(cursor(&world).as_deref(), Some("1"));
    world.pass(3_600).await;
    assert_eq!(cursor(&world).as_deref(), Some("3"));
    let after = world.store.by.with(|faults| faults.writes);
    world.pass(7_200).await;
    assert_eq!(world.store.by.with(|faults| faults.writes), after);
}

#[tokio::test(start_paused = true)]
async fn a_conflicting_delivery_is_repeated() {
    let mut world = World::new();
    world.sink("hook", StartAt::All, None, |_, _| done());
    world.run();
    world.pass(1).await;
    let id = world.store.id(&hook());
    world.store.by.with(|faults| faults.conflicts.insert(id, 2));
    world.store_events(&[("a", "t.x", "")]).await;
    world.pass(10).await;
    assert_eq!(world.seconds("hook a"), [1, 1, 2]);
    assert_eq!(cursor(&world).as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn who_fell_behind_retention_is_told() {
    let mut world = World::new();
    world.sink("hook", StartAt::All, None, |_, _| done());
    world.run();
    world.store_events(&[("a", "t.x", "")]).await;
    world.pass(1).await;
    world.store.edit_cursor(&hook(), Some("0"));
    let all = Prune { keep: Retention::all(Duration::ZERO), owed_max: Duration::ZERO, limit: 9 };
    assert_eq!(world.store.store.prune(&all).await.unwrap().events, 1);
    world.pass(1).await;
    let message = world.report().sinks[0].message.clone();
    assert_eq!(message.as_deref(), Some("truncated: stood at 0, retention removed up to 1"));
}

#[tokio::test(start_paused = true)]
async fn very_many_events_that_wait_stop_nobody() {
    let mut world = World::new();
    world.sink("hook", StartAt::All, None, |event, n| match event.event_id.parse::<u32>() {
        Ok(_) if n == 1 => again(Some(500)),
        _ => done(),
    });
    world.run();
    let ids: Vec<String> = (0..1_500).map(|n| n.to_string()).chain(["good".to_owned()]).collect();
    let events: Vec<_> = ids.iter().map(|id| (&**id, "t.x", "")).collect();
    world.store_events(&events).await;
    world.pass(1).await;
    assert_eq!(world.seconds("hook good"), [0]);
    assert_eq!(owed(&world).len(), 1_500);
    world.pass(600).await;
    assert!(owed(&world).is_empty());
    assert_eq!(world.happened().len(), 3_001);
}

#[tokio::test(start_paused = true)]
async fn behind_very_many_dead_events_the_waiting_ones_still_come_again() {
    let mut world = World::new();
    world.sink(
        "hook",
        StartAt::All,
        None,
        |event, _| {
            if event.event_id == "last" { again(None) } else { never() }
        },
    );
    world.run();
    let ids: Vec<String> = (0..2_100).map(|n| n.to_string()).collect();
    let mut events: Vec<_> = ids.iter().map(|id| (&**id, "t.x", "")).collect();
    events.push(("last", "t.x", ""));
    world.store_events(&events).await;
    world.pass(1).await;
    world.stop().await.1.unwrap();
    assert_eq!(owed(&world).len(), 2_101);
    let mut world = world.again();
    world.sink("hook", StartAt::All, None, |_, _| done());
    world.run();
    world.pass(70).await;
    assert_eq!(world.happened(), ["hook last"]);
    assert_eq!(owed(&world).len(), 2_100);
}

/// A connection that takes so many events and then ends, by a failure or by hanging; it notes each event with the number
/// of the try.
struct Breaking {
    takes: usize,
    hangs: bool,
    seen: Arc<Mutex<Vec<(String, u32)>>>,
}

#[async_trait]
impl Sink for Breaking {
    async fn deliver(
        &self,
        batch: &[Delivery],
        receipts: &mut Vec<Receipt>,
        draft: &mut Draft<'_>,
    ) -> Result<(), Failure> {
        for Delivery { event, attempt, .. } in batch {
            self.seen.lock().unwrap().push((event.event_id.clone(), *attempt));
            if receipts.len() == self.takes {
                if self.hangs {
                    std::future::pending::<()>().await;
                }
                return Err(Failure::text(Class::Connectivity, "the connection was closed"));
            }
            draft.put(&event.event_id, attempt, Expiry::Never)?;
            receipts.push(match (&*event.event_id, attempt) {
                ("later", 1) => Receipt::Again { wait: None, reason: "busy".to_owned() },
                _ => Receipt::Done,
            });
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn receipts_before_a_batch_broke_off_are_kept() {
    for hangs in [false, true] {
        let mut world = World::new();
        let seen = Arc::new(Mutex::default());
        let sink = Breaking { takes: 2, hangs, seen: Arc::clone(&seen) };
        let intake = Intake { patterns: Patterns::new(["t.*"]), ttl: None, start: StartAt::All };
        world.runtime.as_mut().unwrap().add_sink("hook", "breaking", intake, built(sink));
        world.store_events(&["later", "b", "c", "d"].map(|id| (id, "t.x", ""))).await;
        world.run();
        // The first two are stored with what the sink put; the others have no receipt and wait for the failure to pass.
        world.pass(1 + 600 * u64::from(hangs)).await;
        assert_eq!(cursor(&world).as_deref(), Some("2"), "hangs: {hangs}");
        assert_eq!(owed(&world), ["1x1 waiting"]);
        let put = world.store.list(world.store.id(&hook()), "", None, 9).await.unwrap();
        assert_eq!(put.len(), 2);
        let stats = world.handle.stats().into_iter().find(|stats| stats.owner == hook()).unwrap();
        assert_eq!((stats.delivered, stats.again, stats.failures), (1, 1, 1));
        world.pass(300).await;
        assert!(owed(&world).is_empty() && cursor(&world).as_deref() == Some("4"));
        let seen: Vec<_> = std::mem::take(&mut *seen.lock().unwrap());
        let of = |id: &str| seen.iter().filter(|(seen, _)| seen == id).map(|(_, n)| *n).collect::<Vec<_>>();
        assert_eq!((of("later"), of("b")), (vec![1, 2], vec![1]), "nobody gets twice what it has");
        assert!(of("c").iter().all(|attempt| *attempt == 1) && of("c").len() > 1);
        assert!(!world.report().is_unhealthy());
    }
}
