//! What the configuration and people say about owners: rules for their states, stopped, paused, resumed, edited.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::unimplemented, unreachable_pub, dead_code, reason = "the support serves several tests")]

mod support;

use std::time::Duration;

use inboxclaw_contract::store::{Expire, StateLimits};
use inboxclaw_contract::turn::Age;
use inboxclaw_contract::{Owner, StartAt};
use inboxclaw_runtime::Status;
use support::{Act, ByName, World, done};

fn mail() -> Owner {
    Owner::source("mail")
}

fn hook() -> Owner {
    Owner::sink("hook")
}

fn pause(world: &World, owner: &Owner, paused: bool) {
    world.store.pause(owner, paused);
    assert!(world.handle.wake(owner));
}

/// The rules of a source called `mail` that puts one key more at each poll.
fn limited(max_entries: u64) -> World {
    let mut world = World::new();
    world.source("mail", Some(60), |n| Act::Put(n.to_string()));
    let policy = StateLimits { max_entries: Some(max_entries), ..StateLimits::default() };
    world.runtime.as_mut().unwrap().set_limits(&mail(), policy);
    world
}

#[tokio::test(start_paused = true)]
async fn a_source_created_stopped_waits_for_a_person_and_stays_as_that_person_left_it() {
    let created_stopped = |world: &mut World| {
        world.source("mail", Some(30), |_| Act::Wait);
        world.source("other", Some(30), |_| Act::Wait);
        world.runtime.as_mut().unwrap().begin_stopped(&mail());
        world.run();
    };
    let mut world = World::new();
    created_stopped(&mut world);
    world.pass(100).await;
    assert_eq!(world.seconds("mail polls"), [0; 0]);
    assert_eq!(world.seconds("other polls"), [0, 30, 60, 90]);
    assert_eq!(world.report().status, Status::Healthy, "who rests on purpose is not starting");
    assert_eq!(world.report().sources[0].message.as_deref(), Some("paused"));
    world.stop().await.1.unwrap();
    let mut world = world.again();
    created_stopped(&mut world);
    world.pass(100).await;
    assert_eq!(world.seconds("mail polls"), [0; 0], "nobody resumed it");
    pause(&world, &mail(), false);
    world.pass(1).await;
    assert_eq!(world.seconds("mail polls"), [100]);
    world.stop().await.1.unwrap();
    let mut world = world.again();
    created_stopped(&mut world);
    world.pass(1).await;
    assert_eq!(world.seconds("mail polls"), [0], "it was resumed before this start");
}

#[tokio::test(start_paused = true)]
async fn rules_reach_the_store_before_the_first_turn_and_end_with_the_configuration() {
    let expire = Expire { prefix: "seen:".into(), after: Duration::from_secs(60), by: Age::Created };
    let policy = StateLimits { expire: vec![expire], max_entries: None, max_bytes: Some(1 << 30) };
    let mut world = World::new();
    world.source("mail", Some(30), |_| Act::Wait);
    world.sink("hook", StartAt::All, None, |_, _| done());
    world.runtime.as_mut().unwrap().set_limits(&mail(), policy.clone());
    world.runtime.as_mut().unwrap().set_limits(&hook(), policy.clone());
    world.run();
    world.pass(1).await;
    let told = |world: &World, owner: &Owner| {
        let id = world.store.id(owner);
        world.store.by.with(|faults| faults.policies.get(&id).cloned())
    };
    assert_eq!((told(&world, &mail()), told(&world, &hook())), (Some(policy.clone()), Some(policy)));
    world.stop().await.1.unwrap();
    let mut world = world.again();
    world.source("mail", Some(30), |_| Act::Wait);
    world.run();
    world.pass(1).await;
    assert_eq!(told(&world, &mail()), Some(StateLimits::default()));
}

#[tokio::test(start_paused = true)]
async fn a_limit_shows_in_health_before_it_is_hit() {
    let mut world = limited(5);
    world.run();
    let message = |world: &World| world.report().sources[0].message.clone();
    world.pass(130).await;
    assert_eq!(message(&world), None);
    world.pass(60).await;
    world.pass(60).await;
    assert_eq!(
        message(&world).as_deref(),
        Some("its state holds 4 entries of at most 5 (state.max_entries)"),
        "told while there is room"
    );
    assert_eq!(world.code("mail"), "healthy");
    world.store.edit(&mail(), |turn| turn.deleted_prefixes.push(String::new()));
    world.pass(60).await;
    assert_eq!(message(&world), None);
}

#[tokio::test(start_paused = true)]
async fn a_full_state_backs_off_says_the_ways_out_and_goes_on_at_once_when_there_is_room() {
    let mut world = limited(5);
    world.run();
    world.pass(301).await;
    assert_eq!(world.code("mail"), "configuration");
    let row = world.report().failures[0].clone();
    let message = row.message.unwrap();
    assert!(message.starts_with("source:mail would have 6 entries of state, the limit is 5"), "{message}");
    let action = row.action.unwrap();
    for way in ["inboxclaw state delete", "state.expire", "state.max_entries", "state.max_bytes"] {
        assert!(action.contains(way), "{action}");
    }
    world.pass(900).await;
    assert_eq!(world.seconds("mail polls"), [0, 60, 120, 180, 240, 300, 1_200], "it does not spin");
    world.store.edit(&mail(), |turn| turn.deleted_prefixes.push(String::new()));
    world.handle.wake(&mail());
    world.pass(1).await;
    assert_eq!(world.seconds("mail committed").last(), Some(&1_201));
    assert_eq!(world.code("mail"), "healthy");
}

#[tokio::test(start_paused = true)]
async fn an_edit_of_a_paused_source_waits_with_it_and_resume_wakes_it_at_once() {
    let mut world = World::new();
    world.source("mail", Some(3_600), |_| Act::Wait);
    world.run();
    world.pass(10).await;
    pause(&world, &mail(), true);
    world.pass(10).await;
    world.store.edit_cursor(&mail(), Some("elsewhere"));
    world.handle.wake(&mail());
    world.pass(1_000).await;
    assert_eq!(world.seconds("mail polls"), [0]);
    assert!(world.handle.is_paused(&mail()));
    pause(&world, &mail(), false);
    world.pass(1).await;
    assert_eq!(world.seconds("mail polls"), [0, 1_020]);
    assert!(!world.handle.is_paused(&mail()));
    // It now knows of that edit, which wakes it no second time.
    world.pass(1_000).await;
    assert_eq!(world.seconds("mail polls"), [0, 1_020]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_reaches_a_source_that_backs_off_and_one_that_takes_page_after_page() {
    let mut world = World::new();
    world.source("mail", Some(30), |_| support::fail(inboxclaw_contract::Class::Configuration));
    world.source("pages", Some(30), |n| if n < 1_000_000 { Act::More } else { Act::Wait });
    world.run();
    let pages = Owner::source("pages");
    while world.times("pages polls").len() < 100 {
        tokio::task::yield_now().await;
    }
    pause(&world, &mail(), true);
    pause(&world, &pages, true);
    world.pass(1).await;
    assert!(world.handle.is_paused(&mail()) && world.handle.is_paused(&pages));
    let polls = world.times("pages polls").len();
    assert!(polls < 1_000, "{polls}");
    world.pass(3_600).await;
    assert_eq!(world.times("pages polls").len(), polls);
    pause(&world, &mail(), false);
    world.pass(1).await;
    assert_eq!(world.seconds("mail polls"), [0, 3_601], "resume ends the back-off as well");
}

#[tokio::test(start_paused = true)]
async fn a_paused_sink_delivers_nothing_and_goes_on_from_its_edited_place_at_once() {
    let mut world = World::new();
    world.sink("hook", StartAt::All, None, |_, _| done());
    world.run();
    world.store_events(&[("a", "t.x", "")]).await;
    world.pass(1).await;
    pause(&world, &hook(), true);
    world.pass(1).await;
    world.store_events(&[("b", "t.x", ""), ("c", "t.x", "")]).await;
    world.store.edit_cursor(&hook(), Some("2"));
    world.handle.wake(&hook());
    world.pass(10_000).await;
    assert_eq!(world.happened(), ["hook a"]);
    assert!(world.handle.is_paused(&hook()));
    assert_eq!(world.report().sinks[0].message.as_deref(), Some("paused"));
    pause(&world, &hook(), false);
    world.pass(1).await;
    assert_eq!(world.happened(), ["hook a", "hook c"]);
    assert!(!world.handle.is_paused(&hook()));
    assert_eq!(world.report().sinks[0].message, None);
}
