//! Trouble that lasts: of all calendars, or of one that must not keep the others from their turns.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use inboxclaw_contract::{Class, Clock, Next, Outside};
use inboxclaw_fakes::google::faults::{Fault, Rule};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::service::{Service, last};
use crate::world::{World, build, short, turn};

async fn world(ids: &[&str]) -> World {
    let world = World::new().await;
    for id in ids {
        world.fake.calendar().add_calendar(id, id);
    }
    world
}

fn create(world: &World, calendar: &str) {
    let plan = world.plan(calendar, 5);
    world.happen(|calendars, now| calendars.create(now, calendar, plan));
}

/// A clock by which everything takes eleven seconds.
struct Hasty(Timestamp, AtomicI64);

impl Clock for Hasty {
    fn now(&self) -> Timestamp {
        self.0 + SignedDuration::from_secs(11 * self.1.fetch_add(1, Ordering::Relaxed))
    }
}

#[tokio::test]
async fn nothing_that_works_is_a_failure_with_what_to_do() {
    let world = world(&["a"]).await;
    let source = world.source(json!({ "calendar_ids": ["nobody@x.org"] }));
    let failure = turn(&*source, &world.memory).await.unwrap_err();
    assert_eq!(failure.class, Class::Configuration);
    assert!(failure.to_string().starts_with("the calendar nobody@x.org: "), "{failure}");
    assert!(failure.action.as_ref().unwrap().contains("list-calendars"));
    assert_eq!(world.memory.writes(), 0);
    // Of several, too; with one that works it is a problem of a part.
    world.fake.calendar().deny("a", 403);
    let source = world.source(json!({ "calendar_ids": ["a", "nobody@x.org"] }));
    let failure = turn(&*source, &world.memory).await.unwrap_err();
    assert_eq!(failure.class, Class::Authorization);
    assert!(failure.to_string().starts_with("the calendar a: "), "{failure}");
    assert!(failure.to_string().ends_with(" (and 1 more)"), "{failure}");
    world.fake.calendar().allow("a");
    let polled = turn(&*source, &world.memory).await.unwrap();
    assert_eq!((polled.next, polled.problems.len()), (Next::Wait, 1));
}

#[tokio::test]
async fn one_that_makes_turns_fail_does_not_starve_the_others() {
    let world = world(&["a", "b"]).await;
    let source = world.source(json!({ "calendar_ids": ["a", "b"] }));
    world.round(&*source).await;
    world.fake.faults().rule(Rule::always("/calendars/a/", Fault::Unauthorized));
    for _ in 0..3 {
        create(&world, "b");
        let mut told = Vec::new();
        for _ in 0..3 {
            let polled = turn(&*source, &world.memory).await;
            told.extend(polled.into_iter().flat_map(|polled| polled.events).map(|event| short(&event)));
        }
        assert_eq!(told, ["created b"]);
    }
}

#[tokio::test]
async fn one_that_answered_late_once_has_its_turn_though_the_others_fail_for_good() {
    let world = world(&["a", "b"]).await;
    let settings = json!({
        "token_file": "token.json", "api_root": world.fake.base(), "calendar_ids": ["a", "b"], "units_per_minute": u32::MAX,
    });
    let clock = Arc::new(Hasty(world.now(), AtomicI64::new(0)));
    let source = build(settings, &Outside { clock, ..world.outside() }).unwrap();
    turn(&*source, &world.memory).await.unwrap();
    turn(&*source, &world.memory).await.unwrap();
    create(&world, "a");
    world.fake.calendar().deny("b", 404);
    world.fake.faults().rule(Rule::next("/calendars/a/", 1, Fault::Unavailable));
    let mut told = Vec::new();
    for _ in 0..5 {
        let polled = turn(&*source, &world.memory).await;
        told.extend(polled.into_iter().flat_map(|polled| polled.events).map(|event| short(&event)));
    }
    assert_eq!(told, ["created a"]);
}

#[tokio::test]
async fn a_page_that_names_itself_is_trouble_of_its_calendar() {
    let service = Service::start(|asked| match (&*asked.calendar, asked.param("syncToken")) {
        ("a", Some(_)) => (200, json!({ "items": [], "nextPageToken": "again" })),
        _ => last(Vec::new(), "next"),
    })
    .await;
    let source = service.source(&["a", "b"]);
    assert!(service.round(&*source).await.1.problems.is_empty());
    let (_, polled) = service.round(&*source).await;
    let [problem] = polled.problems.as_slice() else { panic!("{:?}", polled.problems) };
    assert!(problem.to_string().starts_with("the calendar a: the service names a page"), "{problem}");
}

#[tokio::test]
async fn changes_are_told_while_looking_ahead_is_refused() {
    let refused = Arc::new(Mutex::new(false));
    let (is_refused, made) = (refused.clone(), Arc::new(Mutex::new(0)));
    let number = made.clone();
    let service = Service::start(move |asked| match asked.param("syncToken") {
        None if *is_refused.lock().unwrap() => (500, json!({})),
        None => last(Vec::new(), "0"),
        Some(token) => {
            let number = number.lock().unwrap().to_string();
            let news = (token != number).then(|| event(&number, "2026-11-25T10:00:00Z"));
            last(news.into_iter().collect(), &number)
        }
    })
    .await;
    let source = service.source(&["a"]);
    service.round(&*source).await;
    *refused.lock().unwrap() = true;
    for round in 1..4 {
        service.memory.advance(std::time::Duration::from_secs(2 * 60 * 60));
        *made.lock().unwrap() = round;
        let (told, polled) = service.round(&*source).await;
        assert_eq!((told, polled.problems.len()), (vec![format!("created {round}")], 1));
    }
    *refused.lock().unwrap() = false;
    assert!(service.round(&*source).await.1.problems.is_empty());
}

fn event(id: &str, start: &str) -> serde_json::Value {
    json!({ "id": id, "etag": "\"1\"", "status": "confirmed", "summary": id, "start": { "dateTime": start }, "end": { "dateTime": start } })
}

#[tokio::test]
async fn a_page_that_is_refused_in_each_round_is_told_without_a_break() {
    let world = world(&["a", "b"]).await;
    let source = world.source(json!({ "calendar_ids": ["a", "b"] }));
    world.round(&*source).await;
    world.fake.calendar().switches.page = Some(1);
    create(&world, "a");
    create(&world, "a");
    world.fake.faults().rule(Rule::always("pageToken", Fault::Gone));
    let mut problems = Vec::new();
    for _ in 0..9 {
        let polled = turn(&*source, &world.memory).await.unwrap();
        problems.push(polled.problems.len());
    }
    // One that may have been the only one is no longer told when a step works.
    assert_eq!(problems, [0, 1, 1, 0, 1, 1, 1, 1, 1]);
    world.fake.faults().off();
    turn(&*source, &world.memory).await.unwrap();
    turn(&*source, &world.memory).await.unwrap();
    let polled = turn(&*source, &world.memory).await.unwrap();
    assert_eq!((polled.next, polled.problems.len()), (Next::Wait, 0));
}
