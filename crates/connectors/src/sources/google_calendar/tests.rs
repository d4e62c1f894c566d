//! What an item means, as tables: when it is, what is decided about it, and what the event then holds.

use Change::{Created, Deleted, RsvpChanged, Updated};
use SnapshotAction::{Drop, Keep};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::classify::{Bounds, Change, SnapshotAction, judge};
use super::times::EventTimes;
use super::{attendees, compare, payload, size_limit, times};
use crate::google::timestamp;

/// Noon of 2026-11-22, an age of two days, a window of ten.
fn bounds() -> Bounds {
    let at = |text| timestamp::read(text).unwrap();
    Bounds {
        zone: TimeZone::UTC,
        now: at("2026-11-22T12:00:00Z"),
        oldest: Some(at("2026-11-20T12:00:00Z")),
        horizon: at("2026-12-02T12:00:00Z"),
    }
}

/// An event of an hour on a day of 2026, such as `11-23`.
fn on(day: &str) -> Value {
    json!({
        "kind": "calendar#event", "etag": "\"1\"", "id": "e", "status": "confirmed", "summary": "Lunch",
        "created": "2026-11-01T08:00:00.000Z", "updated": "2026-11-02T08:00:00.000Z",
        "start": { "dateTime": format!("2026-{day}T10:00:00Z"), "timeZone": "UTC" },
        "end": { "dateTime": format!("2026-{day}T11:00:00Z"), "timeZone": "UTC" },
    })
}

fn with(mut item: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { panic!("no object") };
    for (key, value) in changes {
        item[key] = value;
    }
    item
}

fn bare() -> Value {
    json!({ "kind": "calendar#event", "etag": "\"2\"", "id": "e", "status": "cancelled" })
}

fn bare_instance(original: &str) -> Value {
    with(bare(), json!({ "recurringEventId": "s", "originalStartTime": { "dateTime": original } }))
}

fn placeholder() -> Value {
    with(bare(), json!({ "start": { "date": "2000-01-01" }, "end": { "date": "2000-01-01" } }))
}

/// An item, what is known of it, and what is decided.
type Case<'a> = (&'a str, Value, Option<Value>, &'a [Change], SnapshotAction);

fn check(cases: Vec<Case<'_>>) {
    for (what, item, snapshot, changes, action) in cases {
        let verdict = judge(&item, snapshot.as_ref(), &bounds());
        assert_eq!((verdict.changes.as_slice(), verdict.action), (changes, action), "{what}");
    }
}

#[test]
fn what_an_item_means_by_its_time() {
    let renamed = |day| with(on(day), json!({ "summary": "Dinner", "etag": "\"2\"" }));
    let untimed = || json!({ "id": "e", "status": "confirmed" });
    let cases: Vec<Case<'_>> = vec![
        ("new", on("11-23"), None, &[Created], Keep),
        ("under way", with(on("11-22"), json!({ "end": { "date": "2026-11-23" } })), None, &[Created], Keep),
        ("the same", on("11-23"), Some(on("11-23")), &[], Keep),
        ("other words", renamed("11-23"), Some(on("11-23")), &[Updated], Keep),
        ("moved", on("11-24"), Some(on("11-23")), &[Updated], Keep),
        // It is still in the calendar, though the forerunner told that it was deleted (rule 3).
        ("moved to the past", on("11-10"), Some(on("11-23")), &[Updated], Drop),
        ("moved to this morning", on("11-22"), Some(on("11-23")), &[Updated], Keep),
        ("cancelled with a placeholder", placeholder(), Some(on("11-23")), &[Deleted], Drop),
        (
            "a moved instance cancelled",
            bare_instance("2026-11-21T10:00:00Z"),
            Some(on("11-23")),
            &[Deleted],
            Drop,
        ),
        // Rule 4.
        ("long over, unknown", on("11-10"), None, &[], Drop),
        ("long over, known", renamed("11-10"), Some(on("11-10")), &[], Drop),
        ("placeholder of what is over", placeholder(), Some(on("11-22")), &[], Drop),
        ("placeholder of nothing", placeholder(), None, &[], Drop),
        // Rule 5.
        ("over, unknown", on("11-22"), None, &[], Drop),
        ("over, known", renamed("11-22"), Some(on("11-22")), &[], Keep),
        ("over and cancelled", with(on("11-22"), bare()), Some(on("11-22")), &[], Drop),
        ("cancelled after it was over", bare(), Some(on("11-22")), &[], Drop),
        ("over, moved to the future", on("11-23"), Some(on("11-21")), &[Updated], Keep),
        // Without times of its own the known ones hold.
        ("untimed, known", untimed(), Some(on("11-23")), &[Updated], Keep),
        ("untimed, over", untimed(), Some(on("11-22")), &[], Keep),
        // Rule 6.
        ("far ahead, unknown", on("12-24"), None, &[], Drop),
        ("moved far ahead", on("12-24"), Some(on("11-23")), &[Updated], Keep),
        // What was moved there stays known.
        ("far ahead, known there", renamed("12-24"), Some(on("12-24")), &[Updated], Keep),
        ("far ahead, known there, cancelled", bare(), Some(on("12-24")), &[Deleted], Drop),
        ("far ahead, known there, moved near", on("11-23"), Some(on("12-24")), &[Updated], Keep),
        ("far ahead, cancelled", bare_instance("2026-12-24T10:00:00Z"), None, &[], Drop),
        (
            "at the horizon",
            with(on("12-02"), json!({ "start": { "dateTime": "2026-12-02T12:00:00Z" } })),
            None,
            &[],
            Drop,
        ),
        (
            "before the horizon",
            with(on("12-02"), json!({ "start": { "dateTime": "2026-12-02T11:59:59Z" } })),
            None,
            &[Created],
            Keep,
        ),
    ];
    check(cases);
}

#[test]
fn what_ended_early_is_there_until_it_is_cancelled() {
    let cases: Vec<Case<'_>> = vec![
        (
            "ended early",
            with(on("11-22"), json!({ "end": { "dateTime": "2026-11-22T11:59:00Z" } })),
            Some(with(on("11-22"), json!({ "end": { "dateTime": "2026-11-22T13:00:00Z" } }))),
            &[Updated],
            Keep,
        ),
        (
            "ended early, then cancelled",
            bare(),
            Some(with(on("11-22"), json!({ "updated": "2026-11-22T11:30:00Z" }))),
            &[Deleted],
            Drop,
        ),
    ];
    check(cases);
}

#[test]
fn what_a_cancelled_item_means() {
    let tombstone = bare_instance("2026-11-23T10:00:00Z");
    let instance = with(on("11-23"), json!({ "recurringEventId": "s" }));
    let cases: Vec<Case<'_>> = vec![
        // Rule 7.
        ("cancelled", bare(), Some(on("11-23")), &[Deleted], Drop),
        ("never seen, cancelled", bare(), None, &[], Drop),
        ("instance cancelled", tombstone.clone(), Some(instance.clone()), &[Deleted], Keep),
        ("never seen, instance cancelled", tombstone.clone(), None, &[], Drop),
        ("cancelled twice", tombstone.clone(), Some(tombstone.clone()), &[], Keep),
        // A cancelled snapshot counts as unknown.
        ("confirmed again", instance.clone(), Some(tombstone.clone()), &[Created], Keep),
        ("confirmed again in the past", on("11-22"), Some(tombstone.clone()), &[], Drop),
        ("confirmed again far ahead", on("12-24"), Some(tombstone), &[], Drop),
    ];
    check(cases);
}

/// In the Americas the whole days of today used to count as over from the afternoon on.
#[test]
fn whole_days_are_those_of_the_calendar() {
    let day = |day: u8| {
        let date = |day: u8| json!({ "date": format!("2026-12-{day:02}") });
        with(on("12-01"), json!({ "start": date(day), "end": date(day + 1) }))
    };
    // 16:42 of the 2nd in Los Angeles, 13:42 of the 3rd in Auckland.
    let bounds = |name: &str| Bounds {
        zone: times::zone(name),
        now: timestamp::read("2026-12-03T00:42:00Z").unwrap(),
        oldest: None,
        horizon: timestamp::read("2026-12-10T00:00:00Z").unwrap(),
    };
    for (zone, last, today, first_beyond) in
        [("America/Los_Angeles", 1, 2, 10), ("UTC", 2, 3, 10), ("Pacific/Auckland", 2, 3, 11), ("", 2, 3, 10)]
    {
        let new = |number| judge(&day(number), None, &bounds(zone)).changes;
        assert_eq!(new(last), [], "{zone}: yesterday is over");
        assert_eq!(new(today), [Created], "{zone}: today is not");
        let moved = judge(&day(today), Some(&day(today + 1)), &bounds(zone));
        assert_eq!((moved.changes, moved.action), (vec![Updated], Keep), "{zone}");
        assert_eq!(new(first_beyond - 1), [Created], "{zone}");
        assert_eq!(new(first_beyond), [], "{zone}");
    }
}

#[test]
fn a_time_without_an_offset_is_one_of_its_zone() {
    let own = with(
        on("11-23"),
        json!({ "start": { "dateTime": "2026-11-23T10:00:00", "timeZone": "Asia/Tokyo" } }),
    );
    let plain = with(on("11-23"), json!({ "start": { "dateTime": "2026-11-23T10:00:00" } }));
    let start = |item: &Value| EventTimes::of(item, &times::zone("America/New_York")).start;
    assert_eq!(start(&own), timestamp::read("2026-11-23T01:00:00Z"));
    assert_eq!(start(&plain), timestamp::read("2026-11-23T15:00:00Z"));
}

#[test]
fn another_spelling_of_an_instant_is_no_change() {
    let at = |text: &str, zone: &str| json!({ "dateTime": text, "timeZone": zone });
    let known = with(
        on("11-23"),
        json!({ "start": at("2026-11-23T10:00:00Z", "Europe/Berlin"), "originalStartTime": at("2026-11-23T10:00:00Z", "UTC") }),
    );
    for text in [
        "2026-11-23T11:00:00+01:00",
        "2026-11-23T05:00:00-05:00",
        "2026-11-23T10:00:00.000Z",
        "2026-11-23T10:00:00+00:00",
    ] {
        let same = with(
            known.clone(),
            json!({ "start": at(text, "Europe/Berlin"), "originalStartTime": at(text, "UTC") }),
        );
        assert_eq!(judge(&same, Some(&known), &bounds()).changes, [], "{text}");
        let renamed = with(same, json!({ "summary": "Dinner" }));
        let event = payload::event("c", Updated, Some(&renamed), Some(&known), 3).unwrap();
        let changes = event.data.parse::<Value>().unwrap()["changes"].clone();
        assert_eq!(changes.as_object().unwrap().keys().collect::<Vec<_>>(), ["summary"], "{text}");
    }
    for start in [
        at("2026-11-23T10:00:01Z", "Europe/Berlin"),
        at("2026-11-23T10:00:00Z", "Europe/Paris"),
        json!({ "date": "2026-11-23" }),
        json!({ "dateTime": "soon", "timeZone": "Europe/Berlin" }),
    ] {
        let other = with(known.clone(), json!({ "start": start }));
        assert_eq!(judge(&other, Some(&known), &bounds()).changes, [Updated], "{other}");
    }
}

#[test]
fn names_that_others_gave_stay_as_they_are() {
    let mine =
        json!({ "private": { "timeZone": "A", "tz": "B", "dateTime": "C" }, "shared": { "dateTime": "D" } });
    let gadget = json!({ "preferences": { "timeZone": "E" }, "type": "t" });
    let add_on = json!({ "parameters": { "addOnParameters": { "parameters": { "dateTime": "F" } } } });
    let named = |word: &str| {
        with(
            on("11-23"),
            json!({ "extendedProperties": mine, "gadget": gadget, "conferenceData": add_on, "summary": word }),
        )
    };
    let event = payload::event("c", Created, Some(&named("a")), None, 3).unwrap();
    let shown = event.data.parse::<Value>().unwrap()["event"].clone();
    assert_eq!(
        (&shown["extendedProperties"], &shown["gadget"], &shown["conferenceData"]),
        (&mine, &gadget, &add_on)
    );
    assert_eq!(shown["start"], json!({ "dt": "2026-11-23T10:00:00Z", "tz": "UTC" }));
    let event = payload::event("c", Updated, Some(&on("11-23")), Some(&named("Lunch")), 3).unwrap();
    let changes = event.data.parse::<Value>().unwrap()["changes"].clone();
    assert_eq!(changes["extendedProperties"]["before"], mine);
}

#[test]
fn what_nobody_sees_is_no_update() {
    let hidden = json!({
        "etag": "\"2\"", "sequence": 7, "iCalUID": "x", "reminders": { "useDefault": false },
        "updated": "2026-11-21T00:00:00Z", "kind": "other",
    });
    assert_eq!(judge(&with(on("11-23"), hidden), Some(&on("11-23")), &bounds()).changes, []);
    let gone = with(on("11-23"), json!({ "location": "Here" }));
    assert_eq!(judge(&on("11-23"), Some(&gone), &bounds()).changes, [Updated]);
}

#[test]
fn attendees_are_known_by_the_best_name_there_is() {
    let of = |all: Value| with(on("11-23"), json!({ "attendees": all }));
    let before = of(json!([
        { "email": "A@x.org", "responseStatus": "needsAction" },
        { "id": "17", "responseStatus": "accepted" },
        { "self": true, "responseStatus": "accepted" },
        { "displayName": "Room", "responseStatus": "accepted" },
        { "responseStatus": "tentative" },
        { "email": "mute@x.org" },
    ]));
    let keys: Vec<String> = attendees::answers(&before).into_keys().collect();
    assert_eq!(keys, ["17", "a@x.org", "attendee:4", "name:Room", "self"]);
    // Another order is no change, another answer is no update, one more attendee is both.
    let mut turned = before["attendees"].as_array().unwrap().clone();
    turned[..4].reverse();
    let cases: [(Value, &[Change]); 4] = [
        (json!(turned), &[]),
        (json!([{ "email": "a@x.org", "responseStatus": "declined" }]), &[RsvpChanged]),
        (
            json!([{ "email": "A@x.org", "responseStatus": "needsAction" }, { "email": "b@x.org", "responseStatus": "needsAction" }]),
            &[RsvpChanged, Updated],
        ),
        (
            json!([{ "email": "A@x.org", "responseStatus": "needsAction" }, { "email": "b@x.org" }]),
            &[Updated],
        ),
    ];
    for (at, (after, changes)) in cases.into_iter().enumerate() {
        let known = if at == 0 {
            before.clone()
        } else {
            of(json!([{ "email": "A@x.org", "responseStatus": "needsAction" }]))
        };
        // The spelling of an address is something that can be seen.
        let after =
            if at == 1 { json!([{ "email": "A@x.org", "responseStatus": "declined" }]) } else { after };
        assert_eq!(judge(&of(after), Some(&known), &bounds()).changes, changes, "{at}");
    }
}

#[test]
fn instants_are_read_in_every_form() {
    for (text, expected) in [
        ("2026-03-27T10:15:00.123456+00:00", "2026-03-27T10:15:00.123456Z"),
        ("2026-03-27T10:15:00+00:00", "2026-03-27T10:15:00Z"),
        ("2026-03-27T10:15:00.000Z", "2026-03-27T10:15:00Z"),
        ("2026-03-27T10:15:00+01:00", "2026-03-27T09:15:00Z"),
        ("2026-03-27T10:15:00", "2026-03-27T10:15:00Z"),
        ("2026-03-27", "2026-03-27T00:00:00Z"),
    ] {
        assert_eq!(timestamp::read(text).unwrap().to_string(), expected, "{text}");
    }
    assert_eq!(timestamp::read("soon"), None);
}

#[test]
fn a_series_ends_with_its_last_rule() {
    let end = |rules: &[&str]| {
        let series = with(on("01-31"), json!({ "recurrence": rules }));
        EventTimes::of(&series, &TimeZone::UTC).end.map(|end| end.to_string())
    };
    for (rule, expected) in [
        ("RRULE:FREQ=DAILY;COUNT=3", Some("2026-02-02T11:00:00Z")),
        ("RRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=2;BYDAY=MO", Some("2026-02-14T11:00:00Z")),
        ("RRULE:FREQ=MONTHLY;COUNT=2", Some("2026-02-28T11:00:00Z")),
        ("RRULE:FREQ=YEARLY;COUNT=2", Some("2027-01-31T11:00:00Z")),
        ("RRULE:FREQ=DAILY;UNTIL=20260305", Some("2026-03-05T01:00:00Z")),
        ("RRULE:FREQ=DAILY;UNTIL=20260305T100000", Some("2026-03-05T11:00:00Z")),
        ("RRULE:UNTIL=20260305T100000Z;FREQ=DAILY", Some("2026-03-05T11:00:00Z")),
        ("RRULE:FREQ=DAILY", None),
        ("RRULE:FREQ=DAILY;COUNT=9223372036854775807", None),
        ("RDATE:20260305", None),
    ] {
        assert_eq!(end(&[rule]).as_deref(), expected, "{rule}");
    }
    let both = ["RRULE:FREQ=DAILY;COUNT=3", "EXDATE:20260201", "RRULE:FREQ=DAILY;COUNT=2"];
    assert_eq!(end(&both).as_deref(), Some("2026-02-02T11:00:00Z"));
    assert_eq!(end(&["RRULE:FREQ=DAILY;COUNT=3", "RRULE:FREQ=DAILY"]), None);
}

#[test]
fn an_update_tells_what_differs() {
    let before = with(on("11-23"), json!({ "location": "Here", "reminders": {} }));
    let after = with(on("11-24"), json!({ "etag": "\"0042\"", "recurringEventId": "s", "description": "D" }));
    let event = payload::event("me@x.org", Updated, Some(&after), Some(&before), 3).unwrap();
    assert_eq!(event.event_id, "gcal:me@x.org:e:0042:updated");
    assert_eq!(event.event_type, "google.calendar.event.updated");
    assert_eq!(event.entity_id.as_deref(), Some("me@x.org:e"));
    assert_eq!(event.occurred_at, timestamp::read("2026-11-02T08:00:00Z"));
    let moment = |day, hour| json!({ "dt": format!("2026-11-{day}T{hour}:00:00Z"), "tz": "UTC" });
    assert_eq!(
        event.data.parse::<Value>().unwrap(),
        json!({
            "calendar_id": "me@x.org", "event_id": "e", "summary": "Lunch", "start": moment(24, 10),
            "recurrence": [], "recurring_event_id": "s",
            "changes": {
                "start": { "before": moment(23, 10), "after": moment(24, 10) },
                "end": { "before": moment(23, 11), "after": moment(24, 11) },
                "location": { "before": "Here", "after": null },
                "recurringEventId": { "before": null, "after": "s" },
                "description": { "before": null, "after": "D" },
            },
        })
    );
}

#[test]
fn a_deletion_shows_what_is_left_and_what_was() {
    let mut before = with(on("11-23"), json!({ "sequence": 1, "iCalUID": "x", "reminders": {} }));
    before["attendees"] = (0..4).map(|n| json!({ "email": format!("{n}@x.org") })).collect();
    before["attendees"][3]["responseStatus"] = json!("accepted");
    let event = payload::event("c", Deleted, Some(&bare()), Some(&before), 3).unwrap();
    assert_eq!(event.event_id, "gcal:c:e:2:deleted");
    assert_eq!(event.occurred_at, timestamp::read("2026-11-02T08:00:00Z"));
    let data: Value = event.data.parse().unwrap();
    assert_eq!(data["summary"], "Lunch");
    assert_eq!(data["start"]["dt"], "2026-11-23T10:00:00Z");
    assert_eq!(data["event"], json!({ "kind": "calendar#event", "id": "e", "status": "cancelled" }));
    let keys: Vec<&String> = data["previous"].as_object().unwrap().keys().collect();
    let expected = ["kind", "id", "status", "summary", "created", "updated", "start", "end", "attendees"];
    assert_eq!(keys, expected);
    let summary = json!({ "total": 4, "by_state": { "accepted": 1, "unknown": 3 } });
    assert_eq!(data["previous"]["attendees"], summary);
    // What vanished has nothing but the snapshot, whose version names it.
    let vanished = payload::event("c", Deleted, None, Some(&before), 4).unwrap();
    assert_eq!(vanished.event_id, "gcal:c:e:1:deleted");
    let data: Value = vanished.data.parse().unwrap();
    assert_eq!(
        (data.get("event"), data["previous"]["attendees"][0]["email"].as_str()),
        (None, Some("0@x.org"))
    );
}

#[test]
fn answers_of_many_are_counted() {
    let of = |answers: &[&str]| {
        let all = answers.iter().enumerate();
        let all: Vec<Value> = all
            .map(|(n, answer)| json!({ "email": format!("{n}@x.org"), "responseStatus": answer }))
            .collect();
        with(on("11-23"), json!({ "attendees": all }))
    };
    let (few, many) = (of(&["accepted", "needsAction"]), of(&["declined", "needsAction", "accepted"]));
    assert_eq!(
        attendees::changes(&few, &many, 3),
        json!([
            { "attendee": "0@x.org", "before": "accepted", "after": "declined" },
            { "attendee": "2@x.org", "before": null, "after": "accepted" },
        ])
    );
    assert_eq!(
        attendees::changes(&few, &many, 2),
        json!({
            "changed": 2,
            "before": { "total": 2, "by_state": { "accepted": 1, "needsAction": 1 } },
            "after": { "total": 3, "by_state": { "accepted": 1, "declined": 1, "needsAction": 1 } },
        })
    );
    // The lists are compared in full, and shown as numbers.
    let event = payload::event("c", Updated, Some(&many), Some(&few), 2).unwrap();
    let data: Value = event.data.parse().unwrap();
    assert_eq!(data["changes"]["attendees"]["after"]["total"], 3);
    let swapped = with(
        few.clone(),
        json!({ "attendees": [few["attendees"][0], { "email": "z@x.org", "responseStatus": "needsAction" }] }),
    );
    assert!(compare::differ(&few, &swapped));
    let event = payload::event("c", Updated, Some(&swapped), Some(&few), 1).unwrap();
    assert_eq!(event.data.parse::<Value>().unwrap()["changes"], json!({}));
}

#[test]
fn what_is_too_large_loses_its_largest_fields_and_says_so() {
    let text = |kib: usize| "x".repeat(kib << 10);
    let mut small = with(on("11-23"), json!({ "description": text(1_000) }));
    let before = small.clone();
    size_limit::cut(&mut small);
    assert_eq!(small, before);
    let fields =
        json!({ "description": text(900), "location": text(800), "attendees": [{ "id": text(600) }] });
    let mut large = with(on("11-23"), fields);
    size_limit::cut(&mut large);
    let rest = with(
        on("11-23"),
        json!({ "attendees": [{ "id": text(600) }], "trimmed": ["description", "location"] }),
    );
    assert_eq!(large, rest);
}

#[test]
fn a_version_is_named_by_the_best_there_is() {
    for (item, version) in [
        (json!({ "etag": "\"17\"", "updated": "u" }), "17"),
        (json!({ "etag": "\"\"", "updated": "u", "sequence": 3 }), "u"),
        (json!({ "sequence": 0, "created": "c" }), "seq-0"),
        (json!({ "created": "c" }), "c"),
        (json!({}), "snapshot"),
    ] {
        let item = with(json!({ "id": "e" }), item);
        let event = payload::event("c", Created, Some(&item), None, 3).unwrap();
        assert_eq!(event.event_id, format!("gcal:c:e:{version}:created"));
        assert_eq!(event.occurred_at, None);
    }
}

#[test]
fn zones_are_known_where_the_system_knows_none() {
    let built_in = jiff::tz::TimeZoneDatabase::bundled();
    for name in ["America/Los_Angeles", "Asia/Kolkata", "Pacific/Apia"] {
        assert_eq!(built_in.get(name).unwrap().iana_name(), Some(name));
    }
}
