//! Exact events: ids, times, payloads.

use inboxclaw_fakes::google::calendar::{Cancelled, Edit, EventType, ExtendedProperties, Plan, Rule, Slot};
use jiff::civil::date;
use serde_json::json;

use crate::world::{CAL, World, at, data};

#[tokio::test]
async fn the_life_of_an_event() {
    let world = World::new().await;
    world.fake.calendar().set_zone(CAL, "Europe/Berlin");
    let source = world.source(json!({ "calendar_ids": "primary" }));
    assert_eq!(world.round(&*source).await, []);
    let slot = Slot::timed(at("2026-12-01T09:00:00Z"), 30, "Europe/Berlin");
    let plan = Plan { attendees: vec!["ann@x.org".to_owned()], ..Plan::new("Talk", slot) };
    let id = world.happen(|calendars, now| calendars.create(now, CAL, plan));
    let events = world.round(&*source).await;
    let [created] = events.as_slice() else { panic!("{events:?}") };
    let resource = world.fake.calendar().event(CAL, &id).unwrap();
    let etag = resource["etag"].as_str().unwrap().trim_matches('"').to_owned();
    assert_eq!(created.event_id, format!("gcal:primary:{id}:{etag}:created"));
    assert_eq!(created.entity_id, Some(format!("primary:{id}")));
    assert_eq!(created.event_type, "google.calendar.event.created");
    assert_eq!(created.occurred_at, Some(at("2026-11-22T12:00:00Z")));
    let start = json!({ "dt": "2026-12-01T10:00:00+01:00", "tz": "Europe/Berlin" });
    assert_eq!(
        data(created),
        json!({
            "calendar_id": "primary", "event_id": id, "summary": "Talk", "start": start, "recurrence": [],
            "recurring_event_id": null,
            "event": {
                "kind": "calendar#event", "id": id, "status": "confirmed", "htmlLink": resource["htmlLink"],
                "created": "2026-11-22T12:00:00.000Z", "updated": "2026-11-22T12:00:00.000Z", "summary": "Talk",
                "creator": { "email": CAL, "self": true }, "organizer": { "email": CAL, "self": true },
                "start": start, "end": { "dt": "2026-12-01T10:30:00+01:00", "tz": "Europe/Berlin" },
                "attendees": [{ "email": "ann@x.org", "responseStatus": "needsAction" }],
                "eventType": "default",
            },
        })
    );
    // The snapshot is what was received.
    assert_eq!(world.value(&format!("snap:primary:{id}")), Some(resource));

    world.advance(5);
    world.happen(|calendars, now| calendars.respond(now, CAL, &id, "ann@x.org", "accepted"));
    let events = world.round(&*source).await;
    let [answered] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(answered.occurred_at, Some(at("2026-11-22T12:05:00Z")));
    let changes = json!([{ "attendee": "ann@x.org", "before": "needsAction", "after": "accepted" }]);
    assert_eq!(data(answered)["rsvp_changes"], changes);

    world.happen(|calendars, now| calendars.invite(now, CAL, &id, "bob@x.org"));
    let events = world.round(&*source).await;
    let types: Vec<&str> = events.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(types, ["google.calendar.event.rsvp_changed", "google.calendar.event.updated"]);
    let ann = json!({ "email": "ann@x.org" });
    let both = json!([ann, { "email": "bob@x.org" }]);
    assert_eq!(data(&events[1])["changes"], json!({ "attendees": { "before": [ann], "after": both } }));

    world.happen(|calendars, now| calendars.touch_reminders(now, CAL, &id, 5));
    assert_eq!(world.round(&*source).await, []);

    world.happen(|calendars, now| calendars.cancel(now, CAL, &id));
    let events = world.round(&*source).await;
    let [deleted] = events.as_slice() else { panic!("{events:?}") };
    let data = data(deleted);
    assert_eq!(data["event"], json!({ "kind": "calendar#event", "id": id, "status": "cancelled" }));
    assert_eq!(data["previous"]["summary"], "Talk");
    assert_eq!((data["summary"].as_str(), &data["start"]), (Some("Talk"), &start));
    assert_eq!(world.snapshots(), 0);
    world.check();
}

#[tokio::test]
async fn whole_days_last_to_the_midnight_after_them() {
    let world = World::new().await;
    let source = world.source(json!({}));
    world.round(&*source).await;
    let day = |n| Plan::new(&format!("Day {n}"), Slot::day(date(2026, 11, n), 1));
    world.happen(|calendars, now| {
        calendars.create(now, CAL, day(21));
        calendars.create(now, CAL, day(22));
        calendars.create(now, CAL, day(23));
    });
    let mut events = world.round(&*source).await;
    events.sort_by_key(|event| data(event)["summary"].to_string());
    let starts: Vec<_> = events.iter().map(|event| data(event)["start"].clone()).collect();
    assert_eq!(starts, [json!({ "date": "2026-11-22" }), json!({ "date": "2026-11-23" })]);
}

#[tokio::test]
async fn a_series_is_its_instances_and_their_exceptions() {
    for cancelled in [Cancelled::Bare, Cancelled::Detailed, Cancelled::Placeholder] {
        let world = World::new().await;
        world.fake.calendar().switches.cancelled = cancelled;
        let source = world.source(json!({}));
        world.round(&*source).await;
        let plan = world.plan("Stand-up", 1);
        let id =
            world.happen(|calendars, now| calendars.create_series(now, CAL, plan, Rule::daily().count(3)));
        assert_eq!(world.told(&*source).await, ["created Stand-up"; 3], "{cancelled:?}");
        let instance = |day| format!("{id}_202611{day}T130000Z");
        let later = Slot::timed(at("2026-11-23T15:00:00Z"), 60, "UTC");
        world.happen(|calendars, now| calendars.shift(now, CAL, &instance(23), later));
        world.happen(|calendars, now| calendars.cancel(now, CAL, &instance(24)));
        let events = world.round(&*source).await;
        let told: Vec<(&str, serde_json::Value)> =
            events.iter().map(|event| (event.event_type.rsplit('.').next().unwrap(), data(event))).collect();
        let [("updated", moved), ("deleted", gone)] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(
            (moved["recurring_event_id"].as_str(), moved["event_id"].as_str()),
            (Some(&*id), Some(&*instance(23)))
        );
        assert_eq!(moved["changes"]["start"]["after"]["dt"], "2026-11-23T15:00:00Z");
        assert_eq!(
            (gone["recurring_event_id"].as_str(), gone["summary"].as_str()),
            (Some(&*id), Some("Stand-up"))
        );
        // Again and never seen: silent; confirmed again: created.
        assert_eq!(world.told(&*source).await, [""; 0]);
        world.happen(|calendars, now| calendars.restore(now, CAL, &instance(24)));
        assert_eq!(world.told(&*source).await, ["created Stand-up"]);
        let edit = Edit { summary: Some("Sit-down".to_owned()), ..Edit::default() };
        world.happen(|calendars, now| calendars.change(now, CAL, &id, &edit));
        assert_eq!(world.told(&*source).await, ["updated Sit-down"; 3]);
        world.happen(|calendars, now| calendars.cancel(now, CAL, &id));
        assert_eq!(world.told(&*source).await, ["deleted Sit-down"; 3]);
        world.check();
    }
}

#[tokio::test]
async fn what_was_never_seen_is_not_deleted() {
    let world = World::new().await;
    let source = world.source(json!({}));
    world.round(&*source).await;
    let id = world.create("Short", 5);
    world.happen(|calendars, now| calendars.cancel(now, CAL, &id));
    assert_eq!(world.told(&*source).await, [""; 0]);
    assert_eq!(world.snapshots(), 0);
}

#[tokio::test]
async fn filters_drop_what_matches_and_what_did() {
    let world = World::new().await;
    let filters = json!([{ "lunch": { "in": "summary", "contains": "LUNCH" } }, { "bots": { "in": "attendees", "regex": "^bot" } }]);
    let source = world.source(json!({ "filters": filters }));
    world.round(&*source).await;
    let lunch = world.create("Long lunch", 5);
    let plan = Plan { attendees: vec!["bot@x.org".to_owned()], ..world.plan("Bots", 6) };
    world.happen(|calendars, now| calendars.create(now, CAL, plan));
    let talk = world.create("Talk", 7);
    assert_eq!(world.told(&*source).await, ["created Talk"]);
    let edit = |text: &str| Edit { summary: Some(text.to_owned()), ..Edit::default() };
    world.happen(|calendars, now| calendars.change(now, CAL, &talk, &edit("Talk at lunch")));
    world.happen(|calendars, now| calendars.change(now, CAL, &lunch, &edit("Dinner")));
    assert_eq!(world.told(&*source).await, ["created Dinner"]);
    assert_eq!(world.snapshots(), 1);
}

/// Their keys are words of other programs, also where they are those of the API's times.
#[tokio::test]
async fn what_programs_note_is_reported_as_they_named_it() {
    let world = World::new().await;
    let source = world.source(json!({}));
    world.round(&*source).await;
    let texts = |names: [&str; 3]| names.map(|name| (name.to_owned(), format!("of {name}"))).into();
    let extended = ExtendedProperties {
        private: texts(["timeZone", "tz", "dateTime"]),
        shared: texts(["dt", "date", "timeZone"]),
    };
    let plan = Plan { extended, ..world.plan("Noted", 5) };
    let id = world.happen(|calendars, now| calendars.create(now, CAL, plan));
    let events = world.round(&*source).await;
    let [created] = events.as_slice() else { panic!("{events:?}") };
    let noted = world.fake.calendar().event(CAL, &id).unwrap()["extendedProperties"].clone();
    assert_eq!(noted["private"]["timeZone"], "of timeZone");
    assert_eq!(data(created)["event"]["extendedProperties"], noted);
    world.check();
}

#[tokio::test]
async fn a_filter_leaves_out_types_of_events() {
    let world = World::new().await;
    let filters = json!([{ "kinds": { "in": "eventType", "regex": "^(birthday|workingLocation)$" } }]);
    let source = world.source(json!({ "filters": filters }));
    world.round(&*source).await;
    for event_type in EventType::ALL {
        let plan = Plan { event_type, ..world.plan(event_type.name(), 5) };
        world.happen(|calendars, now| calendars.create(now, CAL, plan));
    }
    let mut told = world.told(&*source).await;
    told.sort();
    assert_eq!(
        told,
        ["default", "focusTime", "fromGmail", "outOfOffice"].map(|name| format!("created {name}"))
    );
    world.check();
}
