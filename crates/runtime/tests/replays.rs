//! Replays: events that are sent once more, behind everything else, also across a crash.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::unimplemented, unreachable_pub, dead_code, reason = "the support serves several tests")]

mod support;

use std::time::Duration;

use inboxclaw_contract::turn::DeliveryState;
use inboxclaw_contract::{DeliveryOrigin, DeliveryPolicy, Owner, State, Store};
use inboxclaw_contract_testing::turn_id;
use inboxclaw_runtime::replay::{self, Replay, ReplayError, ReplayRequest};
use inboxclaw_settings::Patterns;
use jiff::Timestamp;
use support::{ByName, Deliver, World, again, done, never};

fn hook() -> Owner {
    Owner::sink("hook")
}

fn policy(concurrency: usize) -> DeliveryPolicy {
    DeliveryPolicy { concurrency, ..DeliveryPolicy::default() }
}

async fn now(world: &World) -> Timestamp {
    world.store.snapshot(world.store.id(&hook())).await.unwrap().now
}

fn since(since: Timestamp) -> ReplayRequest {
    ReplayRequest { patterns: Patterns::new(["t.*"]), selector: None, since, until: None }
}

async fn start(world: &World, request: &ReplayRequest) -> Result<Replay, ReplayError> {
    let store: &dyn Store = world.store.as_ref();
    request.start(store, world.store.id(&hook()), turn_id(), "ann").await
}

async fn job(world: &World) -> Replay {
    let entries = world.store.entries(world.store.id(&hook()), &["replay".to_owned()]).await.unwrap();
    entries[0].as_ref().unwrap().parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_replay_sends_what_was_stored_between_two_times() {
    let mut world = World::new();
    world.sender("hook", policy(2), |_, _| done());
    world.run();
    let mut times = Vec::new();
    for id in ["a", "b", "c", "d"] {
        world.pass(100).await;
        times.push(now(&world).await);
        world.store_events(&[(id, "t.x", "e"), (&format!("{id}2"), "t.y", "e")]).await;
    }
    world.pass(10).await;
    assert_eq!(world.happened().len(), 8);
    let request =
        ReplayRequest { selector: Patterns::selector("t.x"), until: Some(times[3]), ..since(times[1]) };
    let planned = request.plan(world.store.as_ref(), world.store.id(&hook())).await.unwrap();
    assert_eq!((planned.events, planned.position.0, planned.until.0), (2, 2, 6));
    assert_eq!(start(&world, &request).await.unwrap().id, 1);
    world.pass(1).await;
    assert_eq!(world.happened().split_off(8), ["hook b", "hook c"]);
    let job = job(&world).await;
    assert_eq!((job.ended, job.sent, job.events), (true, 2, 2));
    // The next one has another number.
    assert_eq!(start(&world, &since(times[3])).await.unwrap().id, 2);
    world.pass(1).await;
    assert_eq!(world.happened().split_off(10), ["hook d", "hook d2"]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_goes_behind_live_events_and_there_is_one_at_a_time() {
    let mut world = World::new();
    world.sender("hook", policy(1), |_, n| Deliver::Slow(Duration::from_secs(u64::from(n) - 1)));
    world.run();
    let ids: Vec<String> = (0..6).map(|n| format!("old{n}")).collect();
    let events: Vec<_> = ids.iter().map(|id| (&**id, "t.x", "e")).collect();
    world.store_events(&events).await;
    world.pass(1).await;
    let all = since(Timestamp::UNIX_EPOCH);
    start(&world, &all).await.unwrap();
    world.pass(2).await;
    assert!(matches!(start(&world, &all).await, Err(ReplayError::Running(1))));
    world.store_events(&[("live", "t.x", "e")]).await;
    world.pass(10).await;
    let happened = world.happened().split_off(6);
    let place = happened.iter().position(|it| it == "hook live").unwrap();
    assert!((2..5).contains(&place), "{happened:?}");
    assert_eq!(happened.len(), 7, "what came since does not belong to it");
    assert!(job(&world).await.ended);
}

#[tokio::test(start_paused = true)]
async fn a_crash_repeats_little_of_a_replay_and_a_deleted_job_ends_it() {
    let mut world = World::new();
    world.sender("hook", policy(4), |_, _| Deliver::Slow(Duration::from_millis(10)));
    world.run();
    let ids: Vec<String> = (0..2_000).map(|n| format!("{n}")).collect();
    let events: Vec<_> = ids.iter().map(|id| (&**id, "t.x", "")).collect();
    world.store_events(&events).await;
    world.pass(20).await;
    start(&world, &since(Timestamp::UNIX_EPOCH)).await.unwrap();
    world.pass(2).await;
    world.abort();
    let sent = world.happened().len() - 2_000;
    assert!(sent > 300 && sent < 1_500, "{sent}");
    let mut world = world.again();
    world.sender("hook", policy(4), |_, _| Deliver::Slow(Duration::from_millis(10)));
    world.run();
    world.pass(1).await;
    let first: usize = world.happened()[0].strip_prefix("hook ").unwrap().parse().unwrap();
    assert!(first <= sent && first + 110 >= sent, "{first} of {sent}");
    world.store.edit(&hook(), |turn| {
        turn.entries.insert("replay".to_owned(), inboxclaw_contract::turn::EntryChange::Delete);
    });
    world.pass(1).await;
    let ended = world.happened().len();
    world.pass(20).await;
    assert_eq!(world.happened().len(), ended);
}

#[tokio::test(start_paused = true)]
async fn what_fails_in_a_replay_is_owed_out_of_order_and_what_comes_through_is_no_dead_letter_any_more() {
    let mut world = World::new();
    world.sender("hook", policy(1), |event, n| match (&*event.event_id, n) {
        ("dead", 1) => never(),
        ("busy", 2) => again(None),
        _ => done(),
    });
    world.run();
    world.store_events(&[("dead", "t.x", "e"), ("busy", "t.x", "e")]).await;
    world.pass(1).await;
    assert_eq!(world.store.owed(&hook())[0].state, DeliveryState::Dead);
    start(&world, &since(Timestamp::UNIX_EPOCH)).await.unwrap();
    world.pass(1).await;
    let owed = world.store.owed(&hook());
    assert_eq!(owed.len(), 1);
    assert_eq!((owed[0].seq.0, owed[0].origin), (2, DeliveryOrigin::Replay(1)));
    // It holds up nobody of its entity.
    world.store_events(&[("next", "t.x", "e")]).await;
    world.pass(1).await;
    assert_eq!(world.seconds("hook next").len(), 1);
    world.pass(60).await;
    assert!(world.store.owed(&hook()).is_empty());
    assert_eq!(world.times("hook busy").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_person_ends_a_replay_and_the_next_has_another_number() {
    let mut world = World::new();
    world.sender("hook", policy(1), |_, n| Deliver::Slow(Duration::from_secs(u64::from(n) - 1)));
    world.run();
    let ids: Vec<String> = (0..6).map(|n| format!("old{n}")).collect();
    world.store_events(&ids.iter().map(|id| (&**id, "t.x", "e")).collect::<Vec<_>>()).await;
    world.pass(1).await;
    let all = since(Timestamp::UNIX_EPOCH);
    start(&world, &all).await.unwrap();
    world.pass(2).await;
    let (store, sink): (&dyn Store, _) = (world.store.as_ref(), world.store.id(&hook()));
    let ended = replay::end(store, sink, turn_id(), "ann").await.unwrap().unwrap();
    assert_eq!((ended.id, ended.ended), (1, true));
    assert!(replay::end(store, sink, turn_id(), "ann").await.unwrap().is_none());
    world.handle.wake(&hook());
    world.pass(2).await;
    let sent = world.happened().len();
    world.pass(20).await;
    assert_eq!(world.happened().len(), sent, "what was being sent is the last");
    assert!(job(&world).await.ended, "and the loop does not take it up again");
    assert_eq!(start(&world, &all).await.unwrap().id, 2);
    world.pass(20).await;
    assert_eq!(world.happened().len(), sent + 6);
}
