//! What sinks owe: warned of before retention removes it, told of when it went.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::unimplemented, unreachable_pub, dead_code, reason = "the support serves several tests")]

mod support;

use std::time::Duration;

use inboxclaw_contract::sinks::DROPPED;
use inboxclaw_contract::turn::FactsPatch;
use inboxclaw_contract::{
    DeliveryPolicy, Housekeeping, Intake, Json, NewEvent, Owner, OwnerId, Sinks, StartAt, State, Version,
};
use inboxclaw_runtime::{Options, Status};
use inboxclaw_settings::{Interval, Patterns, Ttl};
use support::{ByName, World, again, done, memory, never};

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

fn message(world: &World, sink: &str) -> Option<String> {
    world.report().sinks.into_iter().find(|row| row.name == sink).unwrap().message
}

/// The data of the events that tell what was dropped.
fn told(world: &World) -> Vec<serde_json::Value> {
    let told = world.store.store.logged().into_iter().filter(|event| event.event_type == DROPPED);
    told.map(|event| event.data.parse().unwrap()).collect()
}

/// A sink whose consumer asks, as `http_pull`.
async fn asked(world: &mut World, name: &str, start: StartAt) -> OwnerId {
    world.runtime.as_mut().unwrap().add_asked_sink(name, "http_pull");
    let id = world.store.register(&Owner::sink(name), "http_pull").await.unwrap();
    let intake = Intake { patterns: Patterns::new(["t.*"]), ttl: None, start };
    world.store.set_intake(id, &intake).await.unwrap();
    id
}

fn world(retention_days: i64, owed_max: u64) -> World {
    let owed_max = Duration::from_secs(owed_max);
    World::over(memory(), Options { retention_days, owed_max, ..Options::default() }, 0)
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_for_long_is_warned_of_by_type() {
    let mut world = world(5, 10 * DAY);
    asked(&mut world, "pull", StartAt::Now).await;
    world.store_events(&[("a", "t.x", ""), ("b", "t.x", ""), ("c", "other", "")]).await;
    world.run();
    world.pass(DAY).await;
    world.store_events(&[("d", "t.y", "")]).await;
    assert_eq!(message(&world, "pull"), None);
    world.pass(7 * DAY + HOUR).await;
    let first = "not confirmed since 2026-01-01T00:00:00+00:00: 2 t.x; from 2026-01-11T00:00:00+00:00 on retention \
                 removes what is owed for longer than database.owed_max (1w 3d): confirm it, or raise database.owed_max";
    assert_eq!(message(&world, "pull").as_deref(), Some(first));
    assert!(!world.report().is_unhealthy());
    // The other type follows in its own time; what is confirmed is warned of no more.
    world.pass(DAY).await;
    assert!(message(&world, "pull").unwrap().contains("2 t.x, 1 t.y; from"), "{:?}", message(&world, "pull"));
    world.store.edit_cursor(&Owner::sink("pull"), Some(r#"{"t.x":3}"#));
    world.pass(HOUR).await;
    assert!(message(&world, "pull").unwrap().contains(": 1 t.y; from"), "{:?}", message(&world, "pull"));
    world.store.edit_cursor(&Owner::sink("pull"), Some(r#"{"t.x":3,"t.y":4}"#));
    world.pass(HOUR).await;
    assert_eq!(message(&world, "pull"), None);
}

#[tokio::test(start_paused = true)]
async fn a_paused_sink_is_counted_down_as_any_other() {
    let mut world = world(1, 10 * DAY);
    world.sink("hook", StartAt::Now, None, |_, _| done());
    world.run();
    world.pass(1).await;
    let id = world.store.id(&Owner::sink("hook"));
    let pause = FactsPatch { paused: Some(true), ..FactsPatch::default() };
    world.store.set_facts(id, pause).await.unwrap();
    world.handle.wake(&Owner::sink("hook"));
    world.pass(1).await;
    world.store_events(&[("a", "t.x", "")]).await;
    world.pass(8 * DAY + 2 * HOUR).await;
    let message = message(&world, "hook").unwrap();
    assert!(message.starts_with("paused") && message.contains("1 t.x; from 2026-01-11"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_warned_of_where_retention_removes_nothing() {
    let mut world = world(0, 10 * DAY);
    asked(&mut world, "pull", StartAt::Now).await;
    world.store_events(&[("a", "t.x", "")]).await;
    world.run();
    world.pass(20 * DAY).await;
    assert_eq!(message(&world, "pull"), None);
}

#[tokio::test(start_paused = true)]
async fn what_retention_removed_is_told_once() {
    let mut world = world(5, 10 * DAY);
    asked(&mut world, "pull", StartAt::Now).await;
    world.store_events(&[("a", "t.x", ""), ("b", "other", ""), ("c", "t.x", "")]).await;
    world.store.by.with(|faults| faults.forgetful = true);
    world.run();
    world.pass(10 * DAY + HOUR).await;
    let expected = serde_json::json!({
        "sink": "pull", "type": "t.x", "count": 2, "from": "2026-01-01T00:00:00+00:00", "to": "2026-01-01T00:00:00+00:00",
        "first_id": 1, "last_id": 3, "why": "owed for longer than 1w 3d (database.owed_max)",
    });
    assert_eq!(told(&world), [expected]);
    // A crash between the event and the note that it is there: told again, it is the same event.
    world.pass(3 * HOUR).await;
    let untold = async |world: &World| world.store.lapses().await.unwrap()[0].untold;
    assert_eq!((told(&world).len(), untold(&world).await.is_some()), (1, true));
    world.store.by.with(|faults| faults.forgetful = false);
    world.pass(HOUR).await;
    assert_eq!((told(&world).len(), untold(&world).await), (1, None));
}

#[tokio::test(start_paused = true)]
async fn what_went_for_room_is_told_with_its_reason_and_a_full_store_is_shown() {
    let options = Options { max_bytes: Some(1_200), ..Options::default() };
    let mut world = World::over(memory(), options, 0);
    asked(&mut world, "pull", StartAt::Now).await;
    let source = world.store.register(&Owner::source("other"), "other").await.unwrap();
    let mut turn = inboxclaw_contract_testing::turn(source, Version(0));
    let data = Json::new(format!("{{\"text\":\"{}\"}}", "x".repeat(390))).unwrap();
    turn.events = ["a", "b", "c"].map(|id| NewEvent::new(id, "t.x", data.clone())).into();
    world.store.commit(turn).await.unwrap();
    world.run();
    world.pass(130).await;
    let all = told(&world);
    assert_eq!((all.len(), &all[0]["count"], &all[0]["first_id"]), (1, &1.into(), &1.into()));
    assert_eq!(all[0]["why"], "the database was full (database.max_bytes)");
    let message = world.report().store.message.unwrap();
    assert!(message.ends_with(" % of database.max_bytes; beyond it the oldest events go"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn what_outlived_its_time_is_shown() {
    let mut world = World::new();
    let id = asked(&mut world, "pull", StartAt::Now).await;
    let ttl = Some(Ttl { default: Some(Interval::from_secs(10)), ..Ttl::default() });
    let intake = Intake { patterns: Patterns::new(["t.*"]), ttl, start: StartAt::Now };
    world.store.set_intake(id, &intake).await.unwrap();
    world.run();
    for ids in [["1", "2", "3"].as_slice(), &["4", "5", "6", "7"]] {
        world.store_events(&ids.iter().map(|id| (*id, "t.x", "")).collect::<Vec<_>>()).await;
        world.pass(80).await;
    }
    let shown = "events that outlived their time to live unconfirmed since the start: 7";
    assert_eq!(message(&world, "pull").as_deref(), Some(shown));
    assert_eq!(world.report().sinks[0].status, Status::Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_left_the_configuration_is_shown_and_ends_after_a_while() {
    let mut world = world(5, 10 * DAY);
    world.sink("hook", StartAt::All, None, |_, _| again(None));
    world.run();
    world.store_events(&[("a", "t.x", "")]).await;
    world.pass(1).await;
    world.stop().await.1.unwrap();
    let options =
        Options { retention_days: 5, owed_max: Duration::from_secs(10 * DAY), ..Options::default() };
    let mut world = World::over(world.store.clone(), options, 0);
    world.run();
    world.pass(1).await;
    assert_eq!(
        (world.report().sinks[0].status, world.report().status),
        (Status::NotConfigured, Status::Healthy)
    );
    let shown = message(&world, "hook").unwrap();
    assert!(shown.starts_with("not in the configuration since 2026-01-01T00:00:01."), "{shown}");
    let until = "goes on owing 1 event until 2026-01-11T00:00:01.";
    assert!(shown.contains(until) && shown.contains("`inboxclaw forget sink:hook`"), "{shown}");
    assert!(told(&world).is_empty());
    world.pass(10 * DAY + HOUR).await;
    let all = told(&world);
    assert_eq!((all.len(), &all[0]["sink"], &all[0]["count"]), (1, &"hook".into(), &1.into()));
    assert_eq!(all[0]["why"], "the sink left the configuration longer than 1w 3d ago (database.owed_max)");
    world.pass(HOUR).await;
    assert_eq!(message(&world, "hook").as_deref(), Some("not in the configuration: owes nothing"));
    assert_eq!(told(&world).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_cannot_be_read_is_shown() {
    let mut world = World::new();
    asked(&mut world, "pull", StartAt::Now).await;
    world.store.edit_cursor(&Owner::sink("pull"), Some("x"));
    world.run();
    world.pass(1).await;
    let shown = "counts as owing everything: the cursor \"x\" names no places in the log";
    assert_eq!(message(&world, "pull").as_deref(), Some(shown));
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_warned_of_and_go_when_nobody_acts_on_them() {
    // Also where events are kept for ever.
    let options = Options {
        retention_days: 0,
        dead_max: Duration::from_secs(DAY),
        owed_max: Duration::from_secs(HOUR),
        ..Options::default()
    };
    let mut world = World::over(memory(), options, 0);
    world.sender("hook", DeliveryPolicy::default(), |_, _| never());
    world.run();
    world.pass(1).await;
    world.store_events(&[("a", "t.x", ""), ("b", "t.y", "")]).await;
    world.pass(18 * HOUR).await;
    assert_eq!(message(&world, "hook"), None);
    world.pass(2 * HOUR).await;
    let warned = message(&world, "hook").unwrap();
    let begin = "the oldest of 2 dead letters is one since 2026-01-01T00:00:01";
    let end = "on it goes (database.dead_max 1d): retry or drop it, \
               `inboxclaw deliveries list --sink hook --state dead` shows them";
    assert!(warned.starts_with(begin) && warned.ends_with(end), "{warned}");
    assert!(warned.contains("; from 2026-01-02T00:00:01"), "{warned}");
    assert!(told(&world).is_empty());
    world.pass(6 * HOUR).await;
    let told = told(&world);
    let types: Vec<&str> = told.iter().map(|data| data["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["t.x", "t.y"]);
    for data in told {
        assert_eq!((&data["sink"], &data["count"]), (&"hook".into(), &1.into()));
        assert_eq!(data["why"], "a dead letter for longer than 1d (database.dead_max)");
    }
    assert!(world.store.owed(&Owner::sink("hook")).is_empty());
    assert_eq!(message(&world, "hook"), None);
}
