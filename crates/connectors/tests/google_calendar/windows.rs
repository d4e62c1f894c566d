//! What is reported by time: the window ahead, its changes, and what is over.

use inboxclaw_contract::Json;
use inboxclaw_fakes::google::calendar::{Edit, Slot};
use jiff::SignedDuration;
use serde_json::json;

use crate::world::{CAL, World};

const HOUR: u64 = 60;
const DAY: u64 = 24 * HOUR;

#[tokio::test]
async fn what_comes_nearer_is_created() {
    let world = World::new().await;
    let source = world.source(json!({ "max_into_future": "10d" }));
    world.round(&*source).await;
    let id = world.create("Later", 10 * 24 + 3);
    assert_eq!(world.told(&*source).await, [""; 0]);
    world.asked();
    world.advance(59);
    assert_eq!(world.told(&*source).await, [""; 0]);
    assert_eq!(world.asked(), ["token"], "within an hour the window is not listed again");
    world.advance(2 * HOUR + 1);
    assert_eq!(world.told(&*source).await, [""; 0], "it starts at the very end of the window");
    world.advance(HOUR);
    assert_eq!(world.told(&*source).await, ["created Later"]);
    // Known from now on, and only changes are told.
    world.advance(2 * HOUR);
    let edit = Edit { location: Some("There".to_owned()), ..Edit::default() };
    world.happen(|calendars, now| calendars.change(now, CAL, &id, &edit));
    assert_eq!(world.told(&*source).await, ["updated Later"]);
    // Off for a while.
    world.create("Much later", 11 * 24);
    world.advance(3 * DAY);
    let source = world.source(json!({ "max_into_future": "10d" }));
    assert_eq!(world.told(&*source).await, ["created Much later"]);
    world.check();
}

#[tokio::test]
async fn a_moment_without_length_at_the_end_of_the_window_is_not_missed() {
    let world = World::new().await;
    let source = world.source(json!({ "max_into_future": "10d" }));
    let at = world.now() + SignedDuration::from_hours(240);
    let plan = inboxclaw_fakes::google::calendar::Plan::new("Moment", Slot::timed(at, 0, "UTC"));
    world.happen(|calendars, now| calendars.create(now, CAL, plan));
    assert_eq!(world.told(&*source).await, [""; 0]);
    assert_eq!(world.snapshots(), 0);
    world.advance(HOUR);
    assert_eq!(world.told(&*source).await, ["created Moment"]);
}

#[tokio::test]
async fn moving_out_of_the_window_and_into_it() {
    let world = World::new().await;
    let source = world.source(json!({ "max_into_future": "10d" }));
    world.round(&*source).await;
    let id = world.create("Trip", 24);
    assert_eq!(world.told(&*source).await, ["created Trip"]);
    let slot = |hours| Slot::timed(world.now() + SignedDuration::from_hours(hours), 60, "UTC");
    // It is in the calendar all the time.
    for hours in [24 * 20, 24 * 2, -24, 3, 24 * 20] {
        world.happen(|calendars, now| calendars.shift(now, CAL, &id, slot(hours)));
        assert_eq!(world.told(&*source).await, ["updated Trip"], "{hours}");
    }
    world.happen(|calendars, now| calendars.cancel(now, CAL, &id));
    assert_eq!(world.told(&*source).await, ["deleted Trip"]);
}

#[tokio::test]
async fn what_is_over_is_silent_and_remembered_for_a_while() {
    for (days, told) in [(1, "updated Past"), (8, "updated Past"), (10, "created Past")] {
        let world = World::new().await;
        let source = world.source(json!({}));
        world.round(&*source).await;
        let (id, gone) = (world.create("Past", 1), world.create("Gone", 1));
        world.round(&*source).await;
        world.advance(days * DAY);
        world.happen(|calendars, now| calendars.cancel(now, CAL, &gone));
        let slot = Slot::timed(world.now() + SignedDuration::from_hours(5), 60, "UTC");
        world.happen(|calendars, now| calendars.shift(now, CAL, &id, slot));
        assert_eq!(world.told(&*source).await, [told], "{days}");
    }
}

#[tokio::test]
async fn a_larger_window_is_no_news() {
    let world = World::new().await;
    let source = world.source(json!({ "max_into_future": "10d" }));
    world.round(&*source).await;
    world.create("Near", 9 * 24);
    let far = world.create("Far", 20 * 24);
    assert_eq!(world.told(&*source).await, ["created Near"]);
    world.create("Ten and a half", 10 * 24 + 12);
    world.advance(DAY);
    world.create("New", 15 * 24);
    world.asked();
    // The day that the old window moved on is news, what the new one adds is not, what was created since is.
    let source = world.source(
        json!({ "calendar_overrides": { CAL: { "max_into_future": "30d" } }, "max_into_future": "10d" }),
    );
    assert_eq!(world.told(&*source).await, ["created New", "created Ten and a half"]);
    assert_eq!(world.asked(), ["token", "window", "window"]);
    assert_eq!(world.snapshots(), 4);
    assert_eq!(world.told(&*source).await, [""; 0]);
    assert_eq!(world.asked(), ["token"]);
    let edit = Edit { location: Some("There".to_owned()), ..Edit::default() };
    world.happen(|calendars, now| calendars.change(now, CAL, &far, &edit));
    assert_eq!(world.told(&*source).await, ["updated Far"]);
}

#[tokio::test]
async fn what_a_smaller_window_leaves_out_is_no_news() {
    let world = World::new().await;
    let source = world.source(json!({ "max_into_future": "30d" }));
    world.round(&*source).await;
    let (near, far) = (world.create("Near", 9 * 24), world.create("Far", 20 * 24));
    world.round(&*source).await;
    let edit = Edit { location: Some("There".to_owned()), ..Edit::default() };
    world.happen(|calendars, now| {
        calendars.change(now, CAL, &far, &edit);
        calendars.change(now, CAL, &near, &edit)
    });
    world.asked();
    let source = world.source(json!({ "max_into_future": "10d" }));
    assert_eq!(world.told(&*source).await, ["updated Near"]);
    assert_eq!(world.asked(), ["token"], "the sync token stays");
    assert_eq!(world.snapshots(), 1);
    let fingerprint = world.value(&format!("config_fingerprint:{CAL}")).unwrap();
    assert_eq!(fingerprint, "{\"max_into_future\": 864000.0}");
    // What was left out comes back when it is near.
    world.advance(11 * DAY);
    assert_eq!(world.told(&*source).await, ["created Far"]);
}

#[tokio::test]
async fn a_window_made_smaller_in_the_middle_of_changes_is_no_news() {
    let world = World::new().await;
    let source = world.source(json!({ "max_into_future": "30d" }));
    world.round(&*source).await;
    let far = [18, 19, 20, 21].map(|days| world.create("Far", days * 24));
    let near = world.create("Near", 24);
    world.round(&*source).await;
    world.fake.calendar().switches.page = Some(1);
    let edit = Edit { location: Some("There".to_owned()), ..Edit::default() };
    world.happen(|calendars, now| {
        assert!(far.iter().chain([&near]).all(|id| calendars.change(now, CAL, id, &edit)));
    });
    crate::world::turn(&*source, &world.memory).await.unwrap();
    let before = world.memory.events().len();
    world.round(&*world.source(json!({ "max_into_future": "10d" }))).await;
    let told = world.memory.events().split_off(before);
    let told: Vec<String> = told.iter().map(crate::world::short).collect();
    assert!(!told.contains(&"deleted Far".to_owned()), "{told:?}");
    world.round(&*world.source(json!({ "max_into_future": "10d" }))).await;
    assert_eq!(world.snapshots(), 1);
}

#[tokio::test]
async fn a_look_ahead_that_cannot_be_true_does_not_end_looking_ahead() {
    for (text, asked) in [("2099-01-01T00:00:00+00:00", 2), ("1990-01-01T00:00:00+00:00", 2)] {
        let world = World::new().await;
        let source = world.source(json!({ "max_into_future": "10d" }));
        world.round(&*source).await;
        world.create("Later", 10 * 24 + 3);
        let (cursor, mut entries) = world.memory.saved();
        let key = format!("lookahead_cursor:{CAL}");
        entries.get_mut(&key).unwrap().value = Json::from_value(&json!(text)).unwrap();
        world.memory.rewind((cursor, entries));
        assert_eq!(world.told(&*source).await, [""; 0], "{text}");
        let since =
            |asked: &inboxclaw_fakes::google::LoggedRequest| asked.param("timeMin").map(str::to_owned);
        for since in world.fake.requests().iter().filter_map(since) {
            assert!(crate::world::at(&since) >= world.now(), "{text}: {since}");
        }
        world.advance(4 * HOUR);
        assert_eq!(world.told(&*source).await, ["created Later"], "{text}");
        assert_eq!(world.asked().len(), asked);
    }
}

#[tokio::test]
async fn what_is_known_is_gone_through_in_as_many_turns_as_it_takes() {
    let world = World::new().await;
    *world.fake.calendar() = inboxclaw_fakes::google::calendar::Calendars::bulk(world.now(), 2_300);
    let source = world.source(json!({}));
    world.round(&*source).await;
    assert_eq!(world.snapshots(), 2_300);
    // A recovery that misses some of all, in the order of their keys.
    let mut ids = world.fake.calendar().ids(CAL);
    ids.sort();
    let gone = [0, 1_999, 2_000, 2_299].map(|at| ids[at].clone());
    world.happen(|calendars, now| {
        assert!(gone.iter().all(|id| calendars.cancel(now, CAL, id)));
        calendars.forget_cancelled(CAL);
    });
    let events = world.round(&*world.source(json!({}))).await;
    let mut told: Vec<String> = events.iter().filter_map(|event| event.entity_id.clone()).collect();
    told.sort();
    let mut expected = gone.map(|id| format!("{CAL}:{id}")).to_vec();
    expected.insert(0, CAL.to_owned());
    assert_eq!(told, expected);
    // A smaller window: what begins within 2,000 hours, the first being tomorrow.
    let near = ids.iter().filter(|id| !told.contains(&format!("{CAL}:{id}")));
    let end = world.now() + SignedDuration::from_hours(2_000);
    let near = near.filter(|id| world.fake.calendar().slot(CAL, id).unwrap().start() < end).count();
    assert_eq!(world.told(&*world.source(json!({ "max_into_future": "2000h" }))).await, [""; 0]);
    assert_eq!(world.snapshots(), near);
}
