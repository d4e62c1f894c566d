//! Types of events, and what programs note on them.

use jiff::civil::date;
use serde_json::json;

use super::*;

fn of_each_type(calendars: &mut Calendars) {
    for event_type in EventType::ALL {
        let slot = Slot::day(date(2026, 3, 24), 1);
        let plan = Plan { event_type, ..Plan::new(event_type.name(), slot) };
        calendars.create(now(), "primary", plan);
    }
}

/// The titles that a listing holds, which are the names of types here.
fn listed(calendars: &mut Calendars, query: &[(&str, &str)]) -> (Vec<String>, String) {
    let (items, token) = all(calendars, query);
    let mut found: Vec<String> = texts(&items, "summary").into_iter().map(str::to_owned).collect();
    found.sort();
    (found, token)
}

#[test]
fn an_event_names_its_type_and_what_belongs_to_it() {
    let mut calendars = Calendars::default();
    of_each_type(&mut calendars);
    let (items, _) = all(&mut calendars, &[]);
    assert_eq!(texts(&items, "eventType"), texts(&items, "summary"));
    let more = items.iter().map(|item| {
        let keys = item.as_object().unwrap().keys().filter(|key| key.ends_with("Properties"));
        (item["eventType"].as_str().unwrap(), keys.map(String::as_str).collect::<Vec<_>>().concat())
    });
    let mut more: Vec<(&str, String)> = more.collect();
    more.sort();
    let expected = [
        ("birthday", "birthdayProperties"),
        ("default", ""),
        ("focusTime", "focusTimeProperties"),
        ("fromGmail", ""),
        ("outOfOffice", "outOfOfficeProperties"),
        ("workingLocation", "workingLocationProperties"),
    ];
    assert_eq!(more, expected.map(|(name, key)| (name, key.to_owned())));
}

#[test]
fn a_listing_and_its_increments_hold_the_types_asked_for() {
    let mut calendars = Calendars::default();
    of_each_type(&mut calendars);
    assert_eq!(listed(&mut calendars, &[]).0.len(), EventType::ALL.len());
    let some = [("eventTypes", "birthday"), ("eventTypes", "default")];
    let (found, token) = listed(&mut calendars, &some);
    assert_eq!(found, ["birthday", "default"]);
    for id in calendars.ids("primary") {
        let edit = Edit { location: Some("Here".to_owned()), ..Edit::default() };
        assert!(calendars.change(at(1), "primary", &id, &edit));
    }
    let later = [some[0], some[1], ("syncToken", &token)];
    assert_eq!(listed(&mut calendars, &later).0, ["birthday", "default"]);
    let path = ["calendars", "primary", "events"];
    let others = refused(&mut calendars, &path, &[some[0], ("syncToken", &token)]);
    assert_eq!(others, (400, "badRequest".to_owned()), "the types belong to the token");
    assert_eq!(refused(&mut calendars, &path, &[("eventTypes", "party")]).0, 400);
}

#[test]
fn what_programs_note_keeps_its_names() {
    let mut calendars = Calendars::default();
    let texts = |texts: &[(&str, &str)]| {
        texts.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect::<BTreeMap<_, _>>()
    };
    let extended = ExtendedProperties {
        private: texts(&[("timeZone", "A"), ("dateTime", "B")]),
        shared: texts(&[("date", "C")]),
    };
    let id = calendars.create(now(), "primary", Plan { extended, ..meeting("Noted", 1) });
    let noted =
        |calendars: &Calendars| calendars.event("primary", &id).unwrap()["extendedProperties"].clone();
    let expected = json!({ "private": { "timeZone": "A", "dateTime": "B" }, "shared": { "date": "C" } });
    assert_eq!(noted(&calendars), expected);
    let extended = ExtendedProperties { private: texts(&[("tz", "D")]), ..ExtendedProperties::default() };
    let edit = Edit { extended: Some(extended), ..Edit::default() };
    assert!(calendars.change(at(1), "primary", &id, &edit));
    assert_eq!(noted(&calendars), json!({ "private": { "tz": "D" } }));
    let edit = Edit { extended: Some(ExtendedProperties::default()), ..Edit::default() };
    assert!(calendars.change(at(2), "primary", &id, &edit));
    assert_eq!(noted(&calendars), Value::Null);
}
