//! Where a calendar without any state begins, and what settings are accepted.

use inboxclaw_contract::settings::StartAt;
use serde_json::json;

use crate::support::outside;
use crate::world::{CAL, World, build};

#[tokio::test]
async fn a_start_is_silent_unless_it_says_otherwise() {
    for (start, told) in [
        (None, vec![]),
        (Some(StartAt::Now), vec![]),
        (Some(StartAt::All), vec!["created New", "created Old"]),
        (Some(StartAt::Since("2026-11-22T12:30:00Z".parse().unwrap())), vec!["created New"]),
    ] {
        let world = World::new().await;
        world.create("Old", 30);
        world.create("Over before", 1);
        world.create("Far", 366 * 24 + 3);
        let gone = world.create("Gone", 30);
        world.happen(|calendars, now| calendars.cancel(now, CAL, &gone));
        world.advance(180);
        world.create("New", 30);
        let source = world.starting(json!({}), start);
        let mut events = world.told(&*source).await;
        events.sort();
        assert_eq!(events, told, "{start:?}");
        assert_eq!(world.snapshots(), 2);
        world.create("Newer", 30);
        assert_eq!(world.told(&*source).await, ["created Newer"], "{start:?}");
        world.check();
    }
}

#[tokio::test]
async fn a_baseline_of_many_pages_goes_on_after_a_restart() {
    let world = World::new().await;
    for n in 0..10 {
        world.create(&format!("Event {n}"), 30);
    }
    world.fake.calendar().switches.page = Some(3);
    world.fake.calendar().switches.empty_pages = true;
    let source = world.starting(json!({}), Some(StartAt::All));
    let mut turns = 0;
    while world.value(&format!("sync_token:{CAL}")).is_none() {
        crate::world::turn(&*world.starting(json!({}), Some(StartAt::All)), &world.memory).await.unwrap();
        turns += 1;
    }
    assert_eq!((turns, world.memory.events().len()), (7, 10));
    assert_eq!(world.asked()[..3], ["window", "window+", "window+"]);
    assert_eq!(world.round(&*source).await, []);
    world.check();
}

#[test]
fn settings_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let with = |key: &str, value| {
        let mut settings = json!({ "token_file": "t.json" });
        settings[key] = value;
        build(settings, &outside(dir.path())).map(drop)
    };
    for (key, value) in [
        ("show_deleted", json!(false)),
        ("single_events", json!("yes")),
        ("collapse_recurring_events", json!(true)),
        ("calendar_overrides", json!({ " primary ": { "show_deleted": true, "max_into_future": "1d" } })),
        ("calendar_ids", json!(["a", "a", "en.usa#holiday@group.v.calendar.google.com"])),
        ("max_event_age_days", json!(null)),
        ("attendee_detail_limit", json!(0)),
        ("max_into_future", json!("100d")),
    ] {
        assert_eq!(with(key, value.clone()), Ok(()), "{key}: {value}");
    }
    for (key, value, message) in [
        ("calendar_ids", json!([]), "calendar_ids is empty, it must name at least one calendar"),
        (
            "calendar_ids",
            json!(["a", "a:b"]),
            "calendar_ids holds \"a:b\", an id must not be empty or hold a colon or a control character",
        ),
        ("calendar_ids", json!("x".repeat(256)), "calendar_ids holds an id of 256 bytes, the limit is 255"),
        ("max_event_age_days", json!(-1), "max_event_age_days is -1.0, it must not be negative"),
        ("max_event_age_days", json!(1e300), "max_event_age_days is 1e300, which is too long"),
        ("max_into_future", json!("0s"), "max_into_future is 0s, it must be at least 1s"),
        (
            "calendar_overrides",
            json!({ "primary": { "max_into_future": "0.5s" } }),
            "max_into_future is 0.5s, it must be at least 1s",
        ),
        ("poll_interval", json!(0), "poll_interval is 0s, it must be at least 1s"),
    ] {
        assert_eq!(with(key, value), Err(message.to_owned()));
    }
}
