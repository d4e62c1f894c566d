//! Tokens that are no longer accepted: of a calendar, of a page.

use inboxclaw_contract::{Event, Next};
use inboxclaw_fakes::google::calendar::{Edit, Slot};
use inboxclaw_fakes::google::faults::{Fault, Rule};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::world::{CAL, World, at, data};

fn edit(text: &str) -> Edit {
    Edit { summary: Some(text.to_owned()), ..Edit::default() }
}

/// The gap says what was found, and since when it was looked for.
fn announced(world: &World, gap: &Event, known: Timestamp) {
    assert_eq!(gap.event_type, "inboxclaw.source.gap");
    assert_eq!(gap.entity_id.as_deref(), Some(CAL));
    let data = data(gap);
    assert_eq!((&data["found"], &data["deleted"], &data["complete"]), (&json!(3), &json!(3), &json!(true)));
    assert_eq!(at(data["from"].as_str().unwrap()), known);
    assert_eq!(at(data["to"].as_str().unwrap()), world.now());
}

#[tokio::test]
async fn a_gap_is_recovered_and_announced() {
    for page in [None, Some(2)] {
        let world = World::new().await;
        let source = world.source(json!({ "max_into_future": "10d" }));
        world.round(&*source).await;
        let ids = ["Same", "Changed", "Cancelled", "Vanished", "Over", "Moved away"]
            .map(|name| world.create(name, 30));
        world.create("Ends meanwhile", 1);
        world.round(&*source).await;
        let known = world.now();
        let vanished = world.fake.calendar().event(CAL, &ids[3]).unwrap()["etag"]
            .as_str()
            .unwrap()
            .trim_matches('"')
            .to_owned();
        world.advance(180);
        let slot = |hours| Slot::timed(world.now() + SignedDuration::from_hours(hours), 60, "UTC");
        world.happen(|calendars, now| {
            calendars.change(now, CAL, &ids[1], &edit("Other"));
            calendars.cancel(now, CAL, &ids[3]);
            calendars.forget_cancelled(CAL);
            calendars.cancel(now, CAL, &ids[2]);
            calendars.shift(now, CAL, &ids[4], slot(-5));
            calendars.shift(now, CAL, &ids[5], slot(24 * 20));
        });
        world.create("New", 40);
        world.create("New and over", -3);
        world.fake.calendar().switches.page = page;
        world.advance(1);
        let token = world.value(&format!("sync_token:{CAL}")).unwrap();
        let mut events = world.round(&*source).await;
        let gap = events.pop().unwrap();
        let mut told: Vec<String> = events.iter().map(crate::world::short).collect();
        told.sort();
        let expected = [
            "created New",
            "deleted Cancelled",
            "deleted Moved away",
            "deleted Vanished",
            "updated Other",
            "updated Over",
        ];
        assert_eq!(told, expected);
        assert!(
            events.iter().any(|event| event.event_id == format!("gcal:{CAL}:{}:{vanished}:deleted", ids[3]))
        );
        announced(&world, &gap, known);
        assert_ne!(world.value(&format!("sync_token:{CAL}")).unwrap(), token);
        assert!(
            !world.memory.values().keys().any(|key| key.starts_with("pass:") || key.starts_with("listed:"))
        );
        // What is there, and what is over, which stays as long as without a gap.
        assert_eq!(world.snapshots(), 5);
        assert_eq!(world.round(&*source).await, []);
        world.check();
    }
}

#[tokio::test]
async fn what_happens_while_a_gap_is_recovered_is_told_once() {
    let world = World::new().await;
    let source = world.source(json!({}));
    world.round(&*source).await;
    let ids: Vec<String> = (0..4).map(|n| world.create(&format!("Event {n}"), 30)).collect();
    world.round(&*source).await;
    world.fake.calendar().expire_tokens(CAL);
    world.fake.calendar().switches.page = Some(1);
    let mut told = Vec::new();
    let mut changing = ids.iter().enumerate();
    for _ in 0..40 {
        if let Some((turn, id)) = changing.next() {
            let edit = edit(&format!("Turn {turn}"));
            world.happen(|calendars, now| calendars.change(now, CAL, id, &edit));
        }
        // A restart after every turn.
        let polled = crate::world::turn(&*world.source(json!({})), &world.memory).await.unwrap();
        told.extend(polled.events.iter().map(crate::world::short));
    }
    told.sort();
    assert_eq!(told, ["gap -", "updated Turn 0", "updated Turn 1", "updated Turn 2", "updated Turn 3"]);
}

#[tokio::test]
async fn a_page_token_that_is_refused_begins_its_pass_anew() {
    for fault in [Fault::Gone, Fault::Invalid("invalid".to_owned()), Fault::NotFound] {
        let world = World::new().await;
        let source = world.source(json!({}));
        world.round(&*source).await;
        world.fake.calendar().switches.page = Some(2);
        for n in 0..5 {
            world.create(&format!("Event {n}"), 30);
        }
        world.fake.faults().rule(Rule::next("pageToken", 1, fault));
        let mut turns = Vec::new();
        while turns.last() != Some(&Next::Wait) {
            let polled = crate::world::turn(&*source, &world.memory).await.unwrap();
            assert_eq!(polled.problems.len(), usize::from(polled.next == Next::Wait), "it is told");
            turns.push(polled.next);
        }
        assert_eq!(world.memory.events().len(), 2);
        let mut told = world.told(&*source).await;
        told.sort();
        assert_eq!(told.len(), 3, "no gap: {told:?}");
    }
}

#[tokio::test]
async fn a_baseline_whose_page_is_refused_stays_silent() {
    let world = World::new().await;
    world.fake.calendar().switches.page = Some(2);
    for n in 0..5 {
        world.create(&format!("Event {n}"), 30);
    }
    world.fake.faults().rule(Rule::next("pageToken", 1, Fault::Gone));
    let source = world.source(json!({}));
    while crate::world::turn(&*source, &world.memory).await.unwrap().next == Next::More {}
    assert_eq!(world.round(&*source).await, []);
    assert_eq!(world.memory.events(), []);
    assert_eq!(world.snapshots(), 5);
}

#[tokio::test]
async fn a_token_that_somebody_broke_is_a_gap_too() {
    let world = World::new().await;
    let source = world.source(json!({}));
    world.round(&*source).await;
    let (cursor, mut entries) = world.memory.saved();
    let token = entries.get_mut(&format!("sync_token:{CAL}")).unwrap();
    token.value = inboxclaw_contract::Json::new("\"nonsense\"").unwrap();
    world.memory.rewind((cursor, entries));
    world.create("New", 5);
    assert_eq!(world.told(&*source).await, ["created New", "gap -"]);
}

#[tokio::test]
async fn a_listing_that_somebody_took_away_is_made_again_and_nothing_passes_for_deleted() {
    let world = World::new().await;
    let source = world.source(json!({}));
    world.round(&*source).await;
    (0..3).for_each(|n| drop(world.create(&format!("Event {n}"), 30)));
    world.round(&*source).await;
    world.fake.calendar().expire_tokens(CAL);
    let listed = format!("listed:{CAL}:00000000");
    while world.value(&listed).is_none() {
        crate::world::turn(&*source, &world.memory).await.unwrap();
    }
    let (cursor, mut entries) = world.memory.saved();
    entries.remove(&listed);
    world.memory.rewind((cursor, entries));
    assert_eq!(world.told(&*source).await, ["gap -"]);
    assert!(world.value(&listed).is_none());
}

#[tokio::test]
async fn a_recovery_whose_token_somebody_set_leaves_nothing_behind() {
    let world = World::new().await;
    let source = world.source(json!({}));
    world.round(&*source).await;
    drop(world.create("Event", 30));
    world.round(&*source).await;
    world.fake.calendar().expire_tokens(CAL);
    let is_listed = || world.memory.values().keys().any(|key| key.starts_with("listed:"));
    while !is_listed() {
        crate::world::turn(&*source, &world.memory).await.unwrap();
    }
    let pass = world.value(&format!("pass:{CAL}")).unwrap();
    let (cursor, mut entries) = world.memory.saved();
    let token = entries.get_mut(&format!("sync_token:{CAL}")).unwrap();
    token.value = inboxclaw_contract::Json::from_value(&pass["token"]).unwrap();
    world.memory.rewind((cursor, entries));
    assert_eq!(world.round(&*world.source(json!({}))).await, []);
    assert!(!is_listed());
}

#[tokio::test]
async fn a_token_that_expires_between_two_pages_is_a_gap_in_which_nothing_is_lost() {
    let world = World::new().await;
    let source = world.source(json!({}));
    world.round(&*source).await;
    let gone = world.create("Gone", 30);
    world.round(&*source).await;
    world.fake.calendar().switches.page = Some(2);
    (0..5).for_each(|n| drop(world.create(&format!("Event {n}"), 30)));
    world.happen(|calendars, now| calendars.cancel(now, CAL, &gone));
    let before = world.memory.events().len();
    crate::world::turn(&*source, &world.memory).await.unwrap();
    world.fake.calendar().expire_tokens(CAL);
    // The page is told as trouble in this round, the token leads to a recovery in the next.
    while crate::world::turn(&*source, &world.memory).await.unwrap().next == Next::More {}
    world.round(&*source).await;
    let mut told: Vec<String> =
        world.memory.events().split_off(before).iter().map(crate::world::short).collect();
    told.sort();
    let created = (0..5).map(|n| format!("created Event {n}"));
    assert_eq!(told, created.chain(["deleted Gone".to_owned(), "gap -".to_owned()]).collect::<Vec<_>>());
}
