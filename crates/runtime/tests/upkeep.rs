//! Announcements of health, and housekeeping.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::unimplemented, unreachable_pub, dead_code, reason = "the support serves several tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use inboxclaw_contract::{Class, Owner, OwnerId, Selection, Seq, Store, StoreError};
use inboxclaw_runtime::{Debtor, Options, Start, Status};
use support::{Act, Memory, World, again, done, fail};

const HOUR: u64 = 60 * 60;

/// The events of the internal source, as type and status in their data.
fn announced(world: &World) -> Vec<String> {
    world.store.with(|inner| {
        let own = inner.events.iter().filter(|event| event.source_name == "inboxclaw");
        own.map(|event| event.event_type.clone()).collect()
    })
}

fn latch(world: &World) -> Option<String> {
    world.store.row(&Owner::source("mail"), |row| row.facts.announced.clone())
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
    let event = world.store.with(|inner| inner.events[0].clone());
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
    world.store.with(|inner| inner.faults.full = true);
    world.pass(40).await;
    assert_eq!(world.code("mail"), "expired");
    assert_eq!(latch(&world).as_deref(), Some("healthy"));
    world.store.with(|inner| inner.faults.full = false);
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
    let mut world =
        World::over(Arc::new(Memory::new()), Options { retention_days: 0, ..Options::default() }, 0);
    world.store.with(|inner| inner.steps = 4);
    world.run();
    world.pass(121).await;
    let sweeps: Vec<u64> = world.store.with(|inner| inner.sweeps.iter().map(Duration::as_secs).collect());
    assert_eq!(sweeps, [0, 0, 0, 0, 60, 120]);
    assert!(world.store.with(|inner| inner.prunes.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn pruning_runs_at_the_start_and_every_hour_with_what_is_owed() {
    let mut world = World::new();
    world.sink("hook", Start::Backlog, None, |_, _| done());
    world.sink("folder", Start::Now, None, |_, _| done());
    world.store_events(&[("a", "t.x", "")]).await;
    world.store.with(|inner| inner.steps = 2);
    world.run();
    world.pass(4_000).await;
    let prunes = world.store.with(|inner| inner.prunes.clone());
    assert_eq!(prunes.len(), 3);
    assert!(prunes.iter().all(|prune| prune.older_than == Duration::from_secs(30 * 24 * HOUR)));
    // The folder had not started yet, the hook is owed everything.
    let after: Vec<Seq> = prunes[2].owed.iter().map(|selection| selection.after).collect();
    assert_eq!(after, [Seq(1), Seq(1)]);
    assert_eq!(prunes[2].sinks.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_sink_whose_consumer_is_gone_owes_nothing_and_health_says_so() {
    struct Pull;
    #[async_trait]
    impl Debtor for Pull {
        async fn selection(&self, _: &dyn Store, _: OwnerId) -> Result<Option<Selection>, StoreError> {
            Ok(Some(Selection::all(Seq(0))))
        }
    }
    let owed_max = Duration::from_secs(30 * HOUR);
    let mut world = World::over(Arc::new(Memory::new()), Options { owed_max, ..Options::default() }, 0);
    world.runtime.as_mut().unwrap().add_debtor("pull", "http_pull", Box::new(Pull));
    world.run();
    // Nothing was to be taken in the first forty hours, so it was not silent.
    world.pass(40 * HOUR).await;
    world.store_events(&[("a", "t.x", "")]).await;
    world.pass(14 * HOUR).await;
    let last = |world: &World| world.store.with(|inner| inner.prunes.last().unwrap().owed.len());
    assert_eq!((last(&world), world.report().sinks[0].status), (1, Status::Healthy));
    world.pass(18 * HOUR).await;
    assert_eq!((last(&world), world.report().sinks[0].status), (0, Status::Silent));
    assert!(!world.report().is_unhealthy());
    let id = world.store.id(&Owner::sink("pull"));
    let seen = inboxclaw_contract::turn::FactsPatch { seen: true, ..Default::default() };
    inboxclaw_contract::Keeper::set_facts(world.store.as_ref(), id, seen).await.unwrap();
    world.pass(HOUR).await;
    assert_eq!((last(&world), world.report().sinks[0].status), (1, Status::Healthy));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_pruned_while_a_sink_cannot_say_what_it_owes() {
    struct Confused(Arc<AtomicBool>);
    #[async_trait]
    impl Debtor for Confused {
        async fn selection(&self, _: &dyn Store, _: OwnerId) -> Result<Option<Selection>, StoreError> {
            let confused = self.0.load(Ordering::Relaxed);
            if confused { Err(StoreError::Read("no place".to_owned())) } else { Ok(None) }
        }
    }
    let confused = Arc::new(AtomicBool::new(true));
    let mut world = World::new();
    let debtor = Box::new(Confused(confused.clone()));
    world.runtime.as_mut().unwrap().add_debtor("pull", "http_pull", debtor);
    world.run();
    world.pass(1).await;
    assert!(world.store.with(|inner| inner.prunes.is_empty()));
    let message = world.report().sinks[0].message.clone();
    assert_eq!(message.as_deref(), Some("retention waits, because what this sink owes is unknown: no place"));
    confused.store(false, Ordering::Relaxed);
    world.pass(HOUR).await;
    assert_eq!(world.store.with(|inner| inner.prunes.len()), 1);
    assert_eq!(world.report().sinks[0].message, None);
}

#[tokio::test(start_paused = true)]
async fn sinks_that_are_not_configured_owe_nothing_and_are_shown() {
    let mut world = World::new();
    world.sink("hook", Start::Backlog, None, |_, _| again(None));
    world.run();
    world.store_events(&[("a", "t.x", "")]).await;
    world.pass(1).await;
    world.stop().await.1.unwrap();
    let mut world = world.again();
    world.run();
    world.pass(1).await;
    let row = world.report().sinks[0].clone();
    assert_eq!((row.name.as_str(), row.status), ("hook", Status::NotConfigured));
    assert_eq!(world.report().status, Status::Healthy);
    assert!(world.store.with(|inner| inner.prunes.last().unwrap().sinks.is_empty()));
}
