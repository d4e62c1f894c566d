//! A store that conflicts, is full, cannot be read or breaks, and claims on one that machines share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::unimplemented, unreachable_pub, dead_code, reason = "the support serves several tests")]

mod support;

use std::time::Duration;

use inboxclaw_contract::{Owner, StoreError};
use inboxclaw_runtime::{Claims, Options, RuntimeError, Status};
use support::{Act, ByName, World, memory};

const SHARED: Claims = Claims::Shared { lasts: Duration::from_secs(60) };

#[tokio::test(start_paused = true)]
async fn a_conflicting_turn_is_repeated_at_once_then_ever_later_and_shows_in_health() {
    let mut world = World::new();
    world.source("mail", Some(30), |_| Act::Wait);
    world.source("other", Some(30), |_| Act::Wait);
    world.run();
    world.pass(1).await;
    let id = world.store.id(&Owner::source("mail"));
    world.store.by.with(|faults| faults.conflicts.insert(id, 5));
    world.pass(29).await;
    assert_eq!(world.seconds("mail polls"), [0, 30, 30]);
    assert_eq!(world.seconds("mail dropped"), [30, 30]);
    assert_eq!(world.code("mail"), "healthy");
    world.pass(1).await;
    assert_eq!(world.code("mail"), "conflict");
    assert!(world.report().is_unhealthy());
    world.pass(6).await;
    assert_eq!(world.seconds("mail polls"), [0, 30, 30, 31, 33, 37]);
    world.pass(8).await;
    assert_eq!(world.seconds("mail polls"), [0, 30, 30, 31, 33, 37, 45]);
    assert_eq!(world.code("mail"), "healthy");
    assert_eq!(world.seconds("other polls"), [0, 30]);
    let stats = world.handle.stats();
    assert_eq!((stats[0].owner.name.as_str(), stats[0].conflicts), ("mail", 5));
}

#[tokio::test(start_paused = true)]
async fn an_edit_during_a_poll_wins_and_the_source_reads_again() {
    let mut world = World::new();
    let store = world.store.clone();
    world.source("mail", Some(30), move |n| {
        let store = store.clone();
        match n {
            1 => Act::Meanwhile(Box::new(move || store.edit_cursor(&Owner::source("mail"), Some("edited")))),
            _ => Act::Wait,
        }
    });
    // A turn that stores nothing conflicts with nobody, but it has not seen the edit: it polls again, only not in the
    // same second.
    world.run();
    world.pass(1).await;
    assert_eq!(world.seconds("mail polls"), [0, 1]);
    let cursor = world.store.cursor(&Owner::source("mail"));
    assert_eq!(cursor.as_deref(), Some("edited"));
}

#[tokio::test(start_paused = true)]
async fn a_full_store_drops_turns_shows_in_health_and_recovers() {
    let mut world = World::new();
    world.source("mail", Some(30), |n| if n == 2 || n == 3 { Act::Emit("same") } else { Act::Wait });
    world.run();
    world.pass(1).await;
    world.store.by.with(|faults| faults.full = true);
    world.pass(30).await;
    assert_eq!(world.seconds("mail dropped"), [30]);
    let report = world.report();
    assert_eq!((report.status, report.store.status), (Status::Unhealthy, Status::Unhealthy));
    assert_eq!(report.store.code, Some("full"));
    assert_eq!(world.code("mail"), "healthy");
    world.store.by.with(|faults| faults.full = false);
    world.pass(5).await;
    assert_eq!(world.seconds("mail polls"), [0, 30, 35]);
    assert_eq!(world.seconds("mail committed"), [0, 35]);
    assert_eq!(world.report().status, Status::Healthy);
    assert_eq!(world.store.store.logged().len(), 1);
    assert_eq!(world.handle.stats()[0].stored, 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_store_is_asked_ever_more_rarely() {
    let mut world = World::new();
    world.source("mail", Some(30), |_| Act::Emit("same"));
    world.run();
    tokio::task::yield_now().await;
    world.store.by.with(|faults| faults.full = true);
    world.pass(200).await;
    assert_eq!(world.seconds("mail polls")[..6], [0, 5, 15, 35, 75, 135]);
    assert!(world.times("mail committed").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_is_waited_for() {
    let mut world = World::new();
    world.source("mail", Some(30), |_| Act::Wait);
    world.run();
    world.pass(1).await;
    world.store.by.with(|faults| faults.unreadable = true);
    world.pass(40).await;
    assert_eq!(world.report().store.code, Some("unreadable"));
    world.store.by.with(|faults| faults.unreadable = false);
    world.pass(60).await;
    assert!(world.times("mail polls").len() >= 2, "{:?}", world.times("mail polls"));
    assert_eq!(world.report().status, Status::Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_broken_store_ends_everything_with_an_error() {
    let mut world = World::new();
    world.source("mail", Some(30), |n| if n == 1 { Act::Wait } else { Act::Emit("lost") });
    world.source("hangs", Some(30), |_| Act::Hang);
    world.run();
    world.pass(1).await;
    world.store.by.with(|faults| faults.broken = true);
    let error = world.ended().await.unwrap_err();
    assert!(matches!(error, RuntimeError::Store(StoreError::Broken(_))), "{error}");
    assert_eq!(world.seconds("mail dropped"), [30]);
    assert_eq!(world.seconds("hangs dropped"), [33]);
}

#[tokio::test(start_paused = true)]
async fn commits_are_waited_for_at_the_end() {
    let mut world = World::new();
    world.source("mail", Some(30), |n| if n == 1 { Act::Wait } else { Act::Emit("late") });
    world.run();
    world.pass(29).await;
    world.store.by.with(|faults| faults.slow = Duration::from_secs(4));
    world.pass(2).await;
    let (took, result) = world.stop().await;
    assert!(result.is_ok());
    assert!(took > Duration::from_secs(2) && took < Duration::from_secs(4), "{took:?}");
    assert_eq!(world.times("mail committed").len(), 2);
    assert_eq!(world.store.store.logged().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_end_comes_after_five_seconds_whatever_the_store_does() {
    let mut world = World::new();
    world.source("mail", Some(30), |n| if n == 1 { Act::Wait } else { Act::Emit("late") });
    world.run();
    world.pass(29).await;
    world.store.by.with(|faults| faults.slow = Duration::from_secs(100));
    world.pass(2).await;
    let (took, result) = world.stop().await;
    assert!(result.is_ok());
    assert_eq!(took.as_secs(), 5);
    assert_eq!(world.times("mail dropped").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_name_of_the_internal_source_is_not_taken_over() {
    let store = memory();
    inboxclaw_contract::Housekeeping::register(store.as_ref(), &Owner::source("inboxclaw"), "mock")
        .await
        .unwrap();
    let mut world = World::over(store, Options::default(), 0);
    world.source("mail", Some(30), |_| Act::Wait);
    world.run();
    let error = world.ended().await.unwrap_err();
    assert!(matches!(error, RuntimeError::Reserved { .. }), "{error}");
    assert!(world.happened().is_empty());
}

#[tokio::test(start_paused = true)]
async fn alone_nothing_is_claimed() {
    let mut world = World::new();
    world.source("mail", Some(30), |_| Act::Wait);
    world.run();
    world.pass(1_000).await;
    world.stop().await.1.unwrap();
    assert!(world.store.by.with(|faults| faults.claims == 0));
}

#[tokio::test(start_paused = true)]
async fn of_two_machines_one_polls_and_the_other_takes_over() {
    let store = memory();
    let options = Options { claims: SHARED, ..Options::default() };
    let mut first = World::over(store.clone(), options.clone(), 0);
    first.source("mail", Some(30), |_| Act::Wait);
    first.run();
    first.pass(1).await;
    let mut second = World::over(store.clone(), options, 7);
    second.source("mail", Some(30), |_| Act::Wait);
    second.run();
    second.pass(100).await;
    assert_eq!(first.seconds("mail polls"), [0, 30, 60, 90]);
    assert!(second.happened().is_empty());
    assert_eq!(second.report().status, Status::Healthy);
    let renewals = store.by.with(|faults| faults.claims);
    assert!((7..=8).contains(&renewals), "{renewals}");
    // Given back at the end, so that the other need not wait until it runs out.
    first.stop().await.1.unwrap();
    second.pass(30).await;
    assert!(!second.happened().is_empty());
    second.stop().await.1.unwrap();
}
