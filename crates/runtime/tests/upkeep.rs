//! Announcements of health, and housekeeping.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::unimplemented, unreachable_pub, dead_code, reason = "the support serves several tests")]

mod support;

use std::time::Duration;

use inboxclaw_contract::store::Retention;
use inboxclaw_contract::turn::EntryChange;
use inboxclaw_contract::{Class, Clock, DeliveryPolicy, Expiry, Housekeeping, Json, Owner};
use inboxclaw_runtime::Options;
use support::{Act, ByName, World, done, fail, fail_text, memory, never};

const HOUR: u64 = 60 * 60;

/// The events of the internal source, as type and status in their data.
fn announced(world: &World) -> Vec<String> {
    let own = world.store.store.logged().into_iter().filter(|event| event.source_name == "inboxclaw");
    own.map(|event| event.event_type).collect()
}

fn latch(world: &World) -> Option<String> {
    world.store.run_facts(&Owner::source("mail")).announced
}

#[tokio::test(start_paused = true)]
async fn the_first_health_is_only_remembered() {
    let mut world = World::new();
    world.source("mail", Some(30), |_| Act::Wait);
    world.run();
    world.pass(10).await;
    assert!(announced(&world).is_empty());
    assert_eq!(latch(&world).as_deref(), Some("healthy"));
}

#[tokio::test(start_paused = true)]
async fn transitions_are_announced_once_each() {
    let mut world = World::new();
    world.source("mail", Some(30), |n| if (2..6).contains(&n) { fail(Class::Upstream) } else { Act::Wait });
    world.run();
    // Polls at 0, 30, 45, 75, 135 and 255: the second failure counts.
    world.pass(31).await;
    assert!(announced(&world).is_empty());
    world.pass(15).await;
    assert_eq!(announced(&world), ["inboxclaw.source.unhealthy"]);
    assert_eq!(latch(&world).as_deref(), Some("unhealthy"));
    world.pass(190).await;
    assert_eq!(announced(&world).len(), 1);
    world.pass(60).await;
    assert_eq!(announced(&world), ["inboxclaw.source.unhealthy", "inboxclaw.source.recovered"]);
    assert_eq!(latch(&world).as_deref(), Some("healthy"));
}

#[tokio::test(start_paused = true)]
async fn an_announcement_has_its_fixed_form() {
    let mut world = World::new();
    world.source("mail", Some(30), |_| fail(Class::Authentication));
    world.run();
    world.pass(1).await;
    let id = world.store.id(&Owner::source("mail"));
    let event = world.store.store.logged().remove(0);
    assert!(event.event_id.starts_with(&format!("health:{}:unhealthy:", id.0)), "{}", event.event_id);
    assert_eq!(event.event_id.rsplit(':').next().map(str::len), Some(36));
    assert_eq!(event.entity_id.as_deref(), Some("mail"));
    let checked = world.report().failures[0].checked_at;
    assert_eq!(event.occurred_at, checked);
    let data: serde_json::Value = event.data.parse().unwrap();
    let keys: Vec<&str> = data.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["source_name", "source_type", "status", "code", "message", "action", "checked_at"]);
    assert_eq!(data["code"], "authentication");
    assert_eq!(data["message"], "told to");
    assert_eq!(data["checked_at"].as_str().map(|at| at.ends_with("+00:00")), Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_not_repeat_an_announcement() {
    let mut world = World::new();
    world.source("mail", Some(30), |_| fail(Class::Expired));
    world.run();
    world.pass(10).await;
    world.stop().await.1.unwrap();
    let mut world = world.again();
    world.source("mail", Some(30), |n| if n < 3 { fail(Class::Expired) } else { Act::Wait });
    world.run();
    world.pass(100).await;
    assert_eq!(announced(&world), ["inboxclaw.source.unhealthy"]);
    world.pass(1_000).await;
    assert_eq!(announced(&world), ["inboxclaw.source.unhealthy", "inboxclaw.source.recovered"]);
}

#[tokio::test(start_paused = true)]
async fn an_announcement_waits_for_room() {
    let mut world = World::new();
    world.source("mail", Some(30), |n| if n == 1 { Act::Wait } else { fail(Class::Expired) });
    world.run();
    world.pass(1).await;
    world.store.by.with(|faults| faults.full = true);
    world.pass(40).await;
    assert_eq!(world.code("mail"), "expired");
    assert_eq!(latch(&world).as_deref(), Some("healthy"));
    world.store.by.with(|faults| faults.full = false);
    world.pass(6).await;
    assert_eq!(announced(&world), ["inboxclaw.source.unhealthy"]);
    assert_eq!(latch(&world).as_deref(), Some("unhealthy"));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_could_not_be_built_is_announced_and_the_rest_runs() {
    let mut world = World::new();
    world.runtime.as_mut().unwrap().add_broken_source("mail", "gmail", "no such folder");
    world.source("other", Some(30), |_| Act::Wait);
    world.run();
    world.pass(31).await;
    assert_eq!(world.code("mail"), "initialization");
    assert_eq!(announced(&world), ["inboxclaw.source.unhealthy"]);
    assert_eq!(world.seconds("other polls"), [0, 30]);
}

#[tokio::test(start_paused = true)]
async fn sweeping_goes_on_while_there_is_more() {
    let mut world = World::over(memory(), Options { retention_days: 0, ..Options::default() }, 0);
    // Four steps of what has expired a minute ago.
    let old = Owner::source("old");
    world.store.register(&old, "old").await.unwrap();
    let expiry = Expiry::Until(world.store.by.clock.now() - Duration::from_secs(60));
    let put = EntryChange::Put { value: Json::empty_object(), expiry, secret: false };
    world.store.edit(&old, |turn| turn.entries = (0..1_600).map(|n| (n.to_string(), put.clone())).collect());
    world.run();
    world.pass(121).await;
    let sweeps: Vec<u64> =
        world.store.by.with(|faults| faults.sweeps.iter().map(Duration::as_secs).collect());
    assert_eq!(sweeps, [0, 0, 0, 0, 60, 120]);
    assert!(world.store.by.with(|faults| faults.prunes.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn pruning_runs_at_the_start_and_every_hour() {
    let mut world = World::new();
    // More than one step looks at.
    let ids: Vec<String> = (0..5_000).map(|n| n.to_string()).collect();
    world.store_events(&ids.iter().map(|id| (&**id, "t.x", "")).collect::<Vec<_>>()).await;
    world.run();
    world.pass(4_000).await;
    let prunes = world.store.by.with(|faults| faults.prunes.clone());
    assert_eq!(prunes.iter().map(|(at, _)| at.as_secs()).collect::<Vec<_>>(), [0, 0, 3_600, 3_600]);
    let month = Duration::from_secs(30 * 24 * HOUR);
    assert!(prunes.iter().all(|(_, prune)| (&prune.keep, prune.owed_max) == (&Retention::all(month), month)));
}

fn announced_of_sinks(world: &World) -> Vec<(String, serde_json::Value)> {
    let events = world.store.store.logged().into_iter();
    let of_sinks = events.filter(|event| event.event_type.starts_with("inboxclaw.sink."));
    of_sinks.map(|event| (event.event_type, event.data.parse().unwrap())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_fails_is_announced_once_and_not_to_itself() {
    let mut world = World::new();
    world.sender("hook", DeliveryPolicy::default(), |event, _| {
        if event.event_id == "b" { fail_text(Class::Configuration) } else { done() }
    });
    world.run();
    world.store_events(&[("a", "t.x", "")]).await;
    world.pass(10).await;
    assert!(announced_of_sinks(&world).is_empty(), "that it is well needs no word");
    world.store_events(&[("b", "t.x", "")]).await;
    world.pass(60).await;
    let found = announced_of_sinks(&world);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "inboxclaw.sink.failing");
    let keys: Vec<&str> = found[0].1.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["sink_name", "sink_type", "status", "code", "message", "action", "checked_at"],
        "{found:?}"
    );
    assert_eq!((&found[0].1["sink_name"], &found[0].1["code"]), (&"hook".into(), &"configuration".into()));
    world.abort();
    // A restart repeats nothing.
    let mut world = world.again();
    world.sender("hook", DeliveryPolicy::default(), |event, _| {
        if event.event_type.starts_with("inboxclaw.") { never() } else { fail_text(Class::Configuration) }
    });
    world.run();
    world.pass(60).await;
    assert_eq!(announced_of_sinks(&world).len(), 1);
    world.abort();
    let mut world = world.again();
    world.sender("hook", DeliveryPolicy::default(), |_, _| done());
    world.run();
    world.pass(60).await;
    let found: Vec<String> =
        announced_of_sinks(&world).into_iter().map(|(event_type, _)| event_type).collect();
    assert_eq!(found, ["inboxclaw.sink.failing", "inboxclaw.sink.recovered"]);
    assert_eq!(world.happened(), ["hook b"], "it is not told of itself");
}
