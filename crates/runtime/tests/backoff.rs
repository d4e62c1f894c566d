//! The back-off of a source: how long it rests after each failure, what a restart makes of that, and what health says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::unimplemented, unreachable_pub, dead_code, reason = "the support serves several tests")]

mod support;

use std::time::Duration;

use inboxclaw_contract::turn::RunFacts;
use inboxclaw_contract::{Class, Clock, Failure, Owner};
use support::{Act, ByName, World, fail};

#[tokio::test(start_paused = true)]
async fn each_class_waits_as_its_line_of_the_table_says() {
    use Class::*;
    let table = [
        (Connectivity, vec![0, 5, 15, 35, 75], "connectivity"),
        (Timeout, vec![0, 10, 30, 70, 150], "timeout"),
        (Upstream, vec![0, 15, 45, 105, 225], "upstream"),
        (Unavailable, vec![0, 5, 15, 35, 75, 120, 165, 210], "unavailable"),
        (RateLimited, vec![0, 60, 180, 420, 900], "rate_limited"),
        (Authentication, vec![0, 900, 1800], "authentication"),
        (Authorization, vec![0, 900, 1800], "authorization"),
        (Configuration, vec![0, 900, 1800], "configuration"),
        (Expired, vec![0, 60, 180, 420, 900], "expired"),
        (Internal, vec![0, 10, 30, 70, 150], "internal"),
    ];
    for (class, seconds, code) in table {
        let mut world = World::new();
        let ready = world.source("mail", Some(30), move |_| fail(class));
        world.source("other", Some(30), |_| Act::Wait);
        world.run();
        for _ in 0..90 {
            // A source that is ready all the time gets no turn out of a back-off.
            ready.notify_one();
            world.pass(20).await;
        }
        assert_eq!(world.seconds("mail polls")[..seconds.len()], seconds, "{class}");
        assert_eq!(world.times("mail dropped").len(), world.times("mail polls").len(), "{class}");
        assert_eq!(world.code("mail"), code, "{class}");
        assert_eq!(world.seconds("other polls").len(), 61, "{class}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_other_side_asked_for_is_waited_for() {
    let mut world = World::new();
    world.source("mail", Some(30), |n| match n {
        1 => Act::Fail(Failure::text(Class::Upstream, "later").wait(Some(Duration::from_secs(777)))),
        2 => Act::Fail(Failure::text(Class::Upstream, "later").wait(Some(Duration::from_secs(1 << 30)))),
        _ => Act::Wait,
    });
    world.run();
    world.pass(90_000).await;
    assert_eq!(world.seconds("mail polls")[..3], [0, 777, 777 + 86_400]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_names_a_second_costs_a_second_and_counts_from_the_second_in_a_row() {
    for class in [Class::RateLimited, Class::Upstream] {
        let mut world = World::new();
        let refused = move || Act::Fail(Failure::text(class, "later").wait(Some(Duration::from_secs(1))));
        // Once, an answer, then five times in a row.
        world.source("mail", Some(30), move |n| if n == 2 || n > 7 { Act::Wait } else { refused() });
        world.run();
        world.pass(0).await;
        assert!(world.report().failures.is_empty(), "{class}");
        world.pass(2).await;
        assert_eq!(world.seconds("mail polls"), [0, 1], "{class}");
        assert_eq!(world.code("mail"), "healthy", "{class}");
        world.pass(29).await;
        assert_eq!(world.seconds("mail polls"), [0, 1, 31], "{class}");
        assert!(world.report().failures.is_empty(), "one after an answer is the first again: {class}");
        world.pass(1).await;
        assert_eq!(world.report().failures.len(), 1, "the second in a row counts: {class}");
        world.pass(61).await;
        let polls = world.seconds("mail polls");
        assert_eq!(polls[2..8], [31, 32, 34, 38, 46, 62], "{class}");
        assert_eq!(world.code("mail"), "healthy", "{class}");
    }
}

#[tokio::test(start_paused = true)]
async fn repairs_wait_at_least_for_the_interval() {
    let mut world = World::new();
    world.source("mail", Some(3_600), |_| fail(Class::Authentication));
    world.run();
    world.pass(8_000).await;
    assert_eq!(world.seconds("mail polls"), [0, 3_600, 7_200]);
    world.handle.wake(&Owner::source("mail"));
    world.pass(1).await;
    assert_eq!(world.seconds("mail polls")[3], 8_000);
}

#[tokio::test(start_paused = true)]
async fn failures_are_stored_and_cleared_by_the_next_commit() {
    let mut world = World::new();
    world.source("mail", Some(30), |n| if n < 3 { fail(Class::Upstream) } else { Act::Wait });
    world.run();
    world.pass(1).await;
    let mail = Owner::source("mail");
    let facts = |world: &World| world.store.run_facts(&mail);
    assert_eq!(facts(&world).failures, 1);
    world.pass(15).await;
    assert_eq!(facts(&world).failures, 2);
    assert_eq!(facts(&world).next_at, None, "a wait of our own is not for the next start");
    world.pass(30).await;
    assert_eq!(world.seconds("mail polls"), [0, 15, 45]);
    let cleared = RunFacts { announced: facts(&world).announced, ..RunFacts::default() };
    assert_eq!(facts(&world), cleared);
    let stats = world.handle.stats();
    assert_eq!((stats[0].turns, stats[0].failures), (1, 2));
    let before = world.store.by.with(|faults| faults.writes);
    world.pass(60).await;
    assert_eq!(world.store.by.with(|faults| faults.writes), before);
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_counting_failures() {
    let mut world = World::new();
    world.source("mail", Some(30), |_| fail(Class::Upstream));
    world.run();
    // Polls at 0, 15 and 45; the next would be at 105 without the restart.
    world.pass(50).await;
    world.stop().await.1.unwrap();
    let mut world = world.again();
    world.source("mail", Some(30), |_| fail(Class::Upstream));
    world.run();
    world.pass(200).await;
    assert_eq!(world.seconds("mail polls"), [0, 120]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_tries_a_repaired_source_at_once() {
    for class in [Class::Authentication, Class::Configuration, Class::Upstream, Class::Internal] {
        let mut world = World::new();
        world.source("mail", Some(30), move |_| fail(class));
        world.run();
        world.pass(1).await;
        world.stop().await.1.unwrap();
        let mut world = world.again();
        world.source("mail", Some(30), |_| Act::Wait);
        world.run();
        world.pass(1).await;
        assert_eq!(world.seconds("mail polls"), [0], "{class}");
        assert_eq!(world.code("mail"), "healthy", "{class}");
        assert_eq!(world.store.run_facts(&Owner::source("mail")).failures, 0, "{class}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_honours_and_shows_the_wait_that_was_asked_for() {
    let asked = |class| Failure::text(class, "later").wait(Some(Duration::from_secs(900)));
    for failure in [asked, |_| Failure::text(Class::RateLimited, "too many")] {
        let mut world = World::new();
        world.source("mail", Some(30), move |_| Act::Fail(failure(Class::Upstream)));
        world.run();
        world.pass(10).await;
        world.stop().await.1.unwrap();
        let mail = Owner::source("mail");
        let until = world.store.run_facts(&mail).next_at.unwrap();
        let mut world = world.again();
        let start = world.store.by.clock.now();
        world.source("mail", Some(30), |_| Act::Wait);
        world.run();
        world.pass(1).await;
        let row = world.report().failures[0].clone();
        let until_text = until.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        assert_eq!(row.code, Some("backoff"));
        assert!(row.message.as_deref().is_some_and(|message| message.contains(&until_text)), "{row:?}");
        world.pass(900).await;
        let wait = u128::try_from(until.duration_since(start).as_millis()).unwrap();
        let first = world.times("mail polls")[0];
        assert!((wait..wait + 5).contains(&first), "{first} after {wait}");
        assert_eq!(world.code("mail"), "healthy");
        assert_eq!(world.store.run_facts(&mail).failures, 0);
    }
}
