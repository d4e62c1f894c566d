//! What the stand-in does not do and people's edits do: days in other zones, snapshots that are none, sizes.

use std::sync::{Arc, Mutex};

use inboxclaw_contract::{Entry, Json};
use inboxclaw_fakes::google::calendar::{Edit, Plan};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::service::{Asked, Service, last};
use crate::world::{CAL, World, at};

fn edit(text: &str) -> Edit {
    Edit { location: Some(text.to_owned()), ..Edit::default() }
}

/// Whether a listing shows a whole day of a calendar so many hours east of Greenwich.
fn is_listed(asked: &Asked, day: &str, hours: i64) -> bool {
    let start = at(&format!("{day}T00:00:00Z")) - SignedDuration::from_hours(hours);
    let end = start + SignedDuration::from_hours(24);
    asked.moment("timeMin").is_none_or(|from| end > from)
        && asked.moment("timeMax").is_none_or(|to| start < to)
}

fn whole_day(day: &str) -> Value {
    let after = at(&format!("{day}T00:00:00Z")) + SignedDuration::from_hours(24);
    let after = after.strftime("%Y-%m-%d").to_string();
    json!({ "id": format!("d{day}"), "etag": "\"1\"", "status": "confirmed", "summary": day, "start": { "date": day }, "end": { "date": after } })
}

#[tokio::test]
async fn a_whole_day_of_another_zone_is_not_deleted_by_a_recovery() {
    // Noon of 2026-11-22 in Greenwich: today is over in Tokyo at 15:00, and the last day of the window begins there
    // at 15:00 of the day before; in Los Angeles both are 8 hours late.
    for (hours, later) in [(9, 5), (-8, 5), (14, 0), (-12, 11)] {
        let lost = Arc::new(Mutex::new(false));
        let is_lost = lost.clone();
        let days = ["2026-11-22", "2026-11-23", "2026-12-01", "2026-12-02", "2026-12-03"];
        let service = Service::start(move |asked| {
            let items = || days.iter().filter(|day| is_listed(asked, day, hours)).map(|day| whole_day(day));
            match asked.param("syncToken") {
                None => last(items().collect(), "new"),
                Some("new") => last(Vec::new(), "new"),
                Some(_) if *is_lost.lock().unwrap() => (410, json!({})),
                // Each was touched, so all that the source wants to know of them it knows.
                Some(_) => last(days.iter().map(|day| whole_day(day)).collect(), "old"),
            }
        })
        .await;
        let source = service.source(&["a"]);
        service.round(&*source).await;
        let (cursor, mut entries) = service.memory.saved();
        entries.get_mut("sync_token:a").unwrap().value = Json::new("\"old\"").unwrap();
        service.memory.rewind((cursor, entries));
        service.round(&*source).await;
        service.memory.advance(std::time::Duration::from_secs(later * 3600));
        *lost.lock().unwrap() = true;
        let (told, _) = service.round(&*source).await;
        assert!(!told.iter().any(|told| told.starts_with("deleted")), "{hours}: {told:?}");
        assert!(told.contains(&"gap -".to_owned()), "{hours}: {told:?}");
    }
}

/// Sets entries as a person does.
fn set(world: &World, values: &[(String, &str)]) {
    let (cursor, mut entries) = world.memory.saved();
    let model = entries[&format!("config_fingerprint:{CAL}")].clone();
    for (key, value) in values {
        let value = Json::new(*value).unwrap();
        entries.insert(key.clone(), Entry { key: key.clone(), value, ..model.clone() });
    }
    world.memory.rewind((cursor, entries));
}

#[tokio::test]
async fn a_snapshot_that_is_none_counts_as_unknown() {
    for none in ["17", "{}", "null", "[1]", "{\"id\":\"somebody-else\",\"summary\":\"x\"}"] {
        let world = World::new().await;
        let source = world.source(json!({}));
        let ids = [world.create("Changed", 30), world.create("Gone", 30), world.create("Same", 30)];
        world.round(&*source).await;
        set(&world, &ids.clone().map(|id| (format!("snap:{CAL}:{id}"), none)));
        world.happen(|calendars, now| calendars.change(now, CAL, &ids[0], &edit("There")));
        assert_eq!(world.told(&*source).await, ["created Changed"], "{none}");
        world.happen(|calendars, now| {
            calendars.cancel(now, CAL, &ids[1]);
            calendars.forget_cancelled(CAL);
        });
        let mut told = world.told(&*source).await;
        told.sort();
        assert_eq!(told, ["created Same", "gap -"], "{none}");
        assert_eq!(world.snapshots(), 2, "{none}");
    }
}

#[tokio::test]
async fn a_window_known_that_cannot_be_true_does_not_keep_a_recovery_from_its_end() {
    for window in ["-100.0", "0"] {
        let world = World::new().await;
        let source = world.source(json!({}));
        world.create("Event", 30);
        world.round(&*source).await;
        set(&world, &[(format!("config_fingerprint:{CAL}"), &format!("{{\"max_into_future\": {window}}}"))]);
        world.fake.calendar().expire_tokens(CAL);
        assert_eq!(world.told(&*source).await, ["gap -"], "{window}");
        assert_eq!(world.snapshots(), 1);
    }
}

#[tokio::test]
async fn an_event_too_large_to_be_kept_is_cut_and_holds_up_nothing() {
    let world = World::new().await;
    let source = world.source(json!({}));
    world.round(&*source).await;
    let slot = world.plan("", 5).slot;
    let large = Plan { description: Some("x".repeat(2 << 20)), ..Plan::new("Large", slot) };
    let id = world.happen(|calendars, now| calendars.create(now, CAL, large));
    world.create("Small", 5);
    let mut events = world.round(&*source).await;
    events.sort_by_key(crate::world::short);
    let told: Vec<String> = events.iter().map(crate::world::short).collect();
    assert_eq!(told, ["created Large", "created Small"]);
    let event = &crate::world::data(&events[0])["event"];
    assert_eq!((event.get("description"), &event["trimmed"]), (None, &json!(["description"])));
    world.happen(|calendars, now| calendars.change(now, CAL, &id, &edit("There")));
    assert_eq!(world.told(&*source).await, ["updated Large"]);
}
