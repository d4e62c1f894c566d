//! Several calendars, of which some are in trouble, and an account that is.

use inboxclaw_contract::{Class, Next};
use inboxclaw_fakes::google::faults::{Fault, Rule};
use serde_json::json;

use crate::support::Polled;
use crate::world::{World, short, turn};

/// Calendars by their ids, `a` being in the settings first.
async fn world(ids: &[&str]) -> World {
    let world = World::new().await;
    for id in ids {
        world.fake.calendar().add_calendar(id, id);
    }
    world
}

fn create(world: &World, calendar: &str, summary: &str) {
    let plan = world.plan(summary, 5);
    world.happen(|calendars, now| calendars.create(now, calendar, plan));
}

fn problems(polled: &Polled) -> Vec<Class> {
    polled.problems.iter().map(|problem| problem.class).collect()
}

/// A round with problems: what each turn reports, and the problems of the last.
async fn round(world: &World, source: &dyn inboxclaw_contract::Source) -> (Vec<String>, Vec<Class>) {
    let mut told = Vec::new();
    loop {
        let polled = turn(source, &world.memory).await.unwrap();
        told.extend(polled.events.iter().map(short));
        if polled.next == Next::Wait {
            return (told, problems(&polled));
        }
    }
}

#[tokio::test]
async fn each_has_its_own_state() {
    let world = world(&["a", "ab", "A"]).await;
    let source = world.source(json!({ "calendar_ids": ["a", "ab", "A"] }));
    world.round(&*source).await;
    for calendar in ["a", "ab", "A"] {
        create(&world, calendar, calendar);
    }
    assert_eq!(world.told(&*source).await, ["created a", "created ab", "created A"]);
    // A recovery of one leaves the others alone.
    world.fake.calendar().expire_tokens("a");
    assert_eq!(world.told(&*source).await, ["gap -"]);
    assert_eq!(world.snapshots(), 3);
    // One that is no longer configured keeps its state, and goes on from there.
    let source = world.source(json!({ "calendar_ids": ["ab"] }));
    create(&world, "a", "meanwhile");
    assert_eq!(world.told(&*source).await, [""; 0]);
    let source = world.source(json!({ "calendar_ids": ["ab", "a"] }));
    assert_eq!(world.told(&*source).await, ["created meanwhile"]);
}

#[tokio::test]
async fn one_in_trouble_does_not_hold_up_the_others() {
    let world = world(&["a", "b", "c"]).await;
    let source = world.source(json!({ "calendar_ids": ["a", "b", "c"] }));
    world.round(&*source).await;
    for (status, class) in [(404, Class::Configuration), (403, Class::Authorization)] {
        world.fake.calendar().deny("b", status);
        for calendar in ["a", "b", "c"] {
            create(&world, calendar, calendar);
        }
        // Once it is noticed it is told in every turn, so that health does not flap.
        for (told, found, next) in [
            ("created a", vec![], Next::More),
            ("created c", vec![class], Next::Wait),
            ("", vec![class], Next::More),
            ("", vec![class], Next::Wait),
        ] {
            let polled = turn(&*source, &world.memory).await.unwrap();
            assert_eq!(polled.events.iter().map(short).collect::<Vec<_>>().join(" "), told);
            assert_eq!((problems(&polled), polled.next), (found, next));
        }
        world.fake.calendar().allow("b");
        assert_eq!(round(&world, &*source).await, (vec!["created b".to_owned()], vec![]));
    }
    world.check();
}

#[tokio::test]
async fn a_passing_failure_of_one_is_a_problem_and_of_all_a_failure() {
    let world = world(&["a", "b"]).await;
    let source = world.source(json!({ "calendar_ids": ["a", "b"] }));
    world.round(&*source).await;
    create(&world, "a", "a");
    create(&world, "b", "b");
    world.fake.faults().rule(Rule::always("/calendars/a/", Fault::Unavailable));
    let (told, found) = round(&world, &*source).await;
    assert_eq!((told, found[0]), (vec!["created b".to_owned()], Class::Upstream));
    world.fake.faults().off();
    world.fake.faults().rule(Rule::always("/events", Fault::CutBefore));
    let writes = world.memory.writes();
    let failure = turn(&*source, &world.memory).await.unwrap_err();
    assert_eq!(failure.class, Class::Connectivity);
    assert_eq!(world.memory.writes(), writes);
    world.fake.faults().off();
    assert_eq!(round(&world, &*source).await, (vec!["created a".to_owned()], vec![]));
}

#[tokio::test]
async fn trouble_of_the_account_is_the_turns() {
    let world = world(&["a", "b"]).await;
    let source = world.source(json!({ "calendar_ids": ["a", "b"] }));
    world.round(&*source).await;
    world.fake.faults().rule(Rule::next("/events", 1, Fault::TooMany(Some(1))));
    let failure = turn(&*source, &world.memory).await.unwrap_err();
    assert_eq!(failure.class, Class::RateLimited);
    assert!(failure.wait.is_some());
    assert_eq!(world.asked().last().map(String::as_str), Some("token"), "the others are not asked then");
    world.fake.tokens().revoke();
    let source = world.source(json!({ "calendar_ids": ["a", "b"] }));
    world.fake.tokens().expire_access();
    assert_eq!(turn(&*source, &world.memory).await.unwrap_err().class, Class::Authentication);
}

#[tokio::test]
async fn a_calendar_that_came_further_has_another_try_in_its_round() {
    let world = world(&["a", "b"]).await;
    let source = world.source(json!({ "calendar_ids": ["a", "b"] }));
    world.fake.calendar().switches.page = Some(2);
    for n in 0..5 {
        create(&world, "a", &n.to_string());
    }
    world.fake.faults().rule(Rule::nth("/calendars/a/", 2, Fault::Internal));
    let (told, found) = round(&world, &*source).await;
    assert_eq!((told, found), (vec![], vec![]));
    assert_eq!(world.snapshots(), 5);
}
