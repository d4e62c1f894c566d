//! Promotion of pending events: at the instant at which they are due, over a store that was there before, and on SQLite.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::unimplemented, unreachable_pub, dead_code, reason = "the support serves several tests")]

mod support;

use std::time::Duration;

use inboxclaw_contract::coalesce::{Aggregation, CoalesceRule, Strategy};
use inboxclaw_contract::{Coalescing, Housekeeping, Json, NewEvent, Owner, State, Version};
use inboxclaw_settings::Patterns;
use jiff::Timestamp;
use support::{Act, World};

fn rule(strategy: Strategy, window: f64) -> CoalesceRule {
    CoalesceRule {
        patterns: Patterns::new(["t.*"]),
        strategy,
        window: Duration::from_secs_f64(window),
        max_wait: Duration::from_secs_f64(window * 4.0),
        aggregation: Aggregation::Latest,
    }
}

/// A world whose source `mail` does nothing and has this rule.
fn world(mut world: World, rule: CoalesceRule) -> World {
    world.source("mail", Some(3_600), |_| Act::Wait);
    world.runtime.as_mut().unwrap().set_coalescing(&Owner::source("mail"), vec![rule]);
    world.run();
    world
}

/// Reports an event of an entity, as a turn of the source would.
async fn report(world: &World, id: &str, entity: &str) {
    let source = world.store.register(&Owner::source("mail"), "scripted").await.unwrap();
    let mut turn = inboxclaw_contract_testing::turn(source, Version(0));
    turn.events.push(NewEvent::new(id, "t.changed", Json::empty_object()).entity(entity));
    world.store.commit(turn).await.unwrap();
}

/// What was promoted, with the milliseconds since the first of January 2026.
fn promoted(world: &World) -> Vec<(String, i64)> {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let at = |at: Timestamp| at.duration_since(start).as_millis() as i64;
    world.store.store.logged().into_iter().map(|event| (event.event_id, at(event.created_at))).collect()
}

#[tokio::test(start_paused = true)]
async fn events_are_promoted_at_the_instant_at_which_they_are_due() {
    let world = world(World::new(), rule(Strategy::Debounce, 2.5));
    world.pass(1).await;
    report(&world, "1", "e").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    report(&world, "2", "e").await;
    report(&world, "3", "f").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // An earlier one than any that is known.
    world
        .store
        .set_coalescing(inboxclaw_contract::OwnerId(2), vec![rule(Strategy::Batch, 0.25)])
        .await
        .unwrap();
    report(&world, "4", "g").await;
    world.pass(5).await;
    let found = promoted(&world);
    // The first look ended 5 ms after its second.
    let due = [("coalesced:4", 3_255), ("coalesced:1", 4_505), ("coalesced:3", 4_505)];
    assert_eq!(found.len(), due.len(), "{found:?}");
    for ((id, at), (expected, due)) in found.iter().zip(due) {
        assert_eq!(id, expected);
        assert!((due..due + 10).contains(at), "{found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_pending_before_the_start_is_promoted_whatever_the_rules() {
    let mut before = world(World::new(), rule(Strategy::Batch, 60.0));
    before.pass(1).await;
    report(&before, "1", "e").await;
    before.stop().await.1.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    let mut after = before.again();
    after.run();
    after.pass(25).await;
    assert!(promoted(&after).is_empty());
    after.pass(10).await;
    assert_eq!(promoted(&after).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_store_delays_promotion() {
    let world = world(World::new(), rule(Strategy::Batch, 10.0));
    world.pass(1).await;
    report(&world, "1", "e").await;
    world.store.by.with(|faults| faults.full = true);
    world.pass(60).await;
    assert!(promoted(&world).is_empty());
    world.store.by.with(|faults| faults.full = false);
    world.pass(6).await;
    assert_eq!(promoted(&world).len(), 1);
}
