//! Zones: whole days of a calendar that is not in Greenwich, and the same moments in another offset.

use inboxclaw_fakes::google::calendar::{Edit, Plan, Slot};
use jiff::civil::{Date, date};
use serde_json::json;

use crate::world::{CAL, World, data};

const HOUR: u64 = 60;

fn day(summary: &str, first: Date, days: i64) -> Plan {
    Plan::new(summary, Slot::day(first, days))
}

fn retitled(summary: &str) -> Edit {
    Edit { summary: Some(summary.to_owned()), ..Edit::default() }
}

/// In Los Angeles it is the evening of the 22nd while Greenwich has the 23rd.
#[tokio::test]
async fn the_evening_of_a_whole_day_in_the_west_belongs_to_it() {
    let world = World::new().await;
    world.fake.calendar().set_zone(CAL, "America/Los_Angeles");
    world.advance(12 * HOUR + 42);
    let [today, tomorrow] = [22, 23].map(|number| date(2026, 11, number));
    let known = world.happen(|calendars, now| calendars.create(now, CAL, day("Known", tomorrow, 1)));
    let source = world.source(json!({}));
    world.round(&*source).await;
    let new = world.happen(|calendars, now| calendars.create(now, CAL, day("New", today, 1)));
    assert_eq!(world.told(&*source).await, ["created New"]);
    world.happen(|calendars, now| calendars.change(now, CAL, &new, &retitled("Newer")));
    assert_eq!(world.told(&*source).await, ["updated Newer"]);
    world.happen(|calendars, now| calendars.shift(now, CAL, &known, Slot::day(today, 1)));
    assert_eq!(world.told(&*source).await, ["updated Known"]);
    let trip = day("Trip", date(2026, 11, 20), 3);
    world.happen(|calendars, now| calendars.create(now, CAL, trip));
    assert_eq!(world.told(&*source).await, ["created Trip"]);
    world.fake.calendar().expire_tokens(CAL);
    assert_eq!(world.told(&*source).await, ["gap -"], "all of it is still there");
    world.happen(|calendars, now| calendars.cancel(now, CAL, &new));
    assert_eq!(world.told(&*source).await, ["deleted Newer"]);
    // Midnight in Los Angeles.
    world.advance(7 * HOUR + 18);
    world.happen(|calendars, now| calendars.create(now, CAL, day("Over", today, 1)));
    assert_eq!(world.told(&*source).await, [""; 0]);
    world.check();
}

/// In Auckland the 23rd began at 11:00 of the 22nd in Greenwich.
#[tokio::test]
async fn a_whole_day_in_the_east_is_over_before_it_is_in_greenwich() {
    let world = World::new().await;
    world.fake.calendar().set_zone(CAL, "Pacific/Auckland");
    let source = world.source(json!({}));
    world.round(&*source).await;
    world.happen(|calendars, now| {
        calendars.create(now, CAL, day("Yesterday", date(2026, 11, 22), 1));
        calendars.create(now, CAL, day("Today", date(2026, 11, 23), 1))
    });
    assert_eq!(world.told(&*source).await, ["created Today"]);
    world.check();
}

#[tokio::test]
async fn the_same_moments_in_another_offset_are_no_change() {
    let world = World::new().await;
    let ids = [5, 30, 60].map(|hours| world.create(&format!("In {hours}"), hours));
    let source = world.source(json!({}));
    world.round(&*source).await;
    world.fake.calendar().set_zone(CAL, "America/New_York");
    world.happen(|calendars, now| calendars.change(now, CAL, &ids[0], &retitled("Soon")));
    let events = world.round(&*source).await;
    let [updated] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(data(updated)["changes"], json!({ "summary": { "before": "In 5", "after": "Soon" } }));
    for zone in ["Asia/Kolkata", "UTC"] {
        world.fake.calendar().set_zone(CAL, zone);
        world.fake.calendar().expire_tokens(CAL);
        assert_eq!(world.told(&*source).await, ["gap -"], "{zone}");
    }
    world.check();
}

#[tokio::test]
async fn what_ends_early_is_updated_and_can_be_deleted_then() {
    let world = World::new().await;
    let id = world.create("Talk", 1);
    let source = world.source(json!({}));
    world.round(&*source).await;
    world.advance(HOUR + 30);
    assert_eq!(world.told(&*source).await, [""; 0]);
    assert!(world.happen(|calendars, now| calendars.finish(now, CAL, &id)));
    world.advance(1);
    let events = world.round(&*source).await;
    let [updated] = events.as_slice() else { panic!("{events:?}") };
    let ends = |text: &str| json!({ "dt": text, "tz": "UTC" });
    let changes =
        json!({ "end": { "before": ends("2026-11-22T14:00:00Z"), "after": ends("2026-11-22T13:30:00Z") } });
    assert_eq!(data(updated)["changes"], changes);
    world.happen(|calendars, now| calendars.cancel(now, CAL, &id));
    assert_eq!(world.told(&*source).await, ["deleted Talk"]);
    world.check();
}
