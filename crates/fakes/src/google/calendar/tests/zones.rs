//! The zone of a calendar: its name, its whole days, and how it writes times.

use jiff::civil::date;
use serde_json::json;

use super::*;

/// The titles that a window of the first calendar holds.
fn within(calendars: &mut Calendars, from: &str, to: &str) -> Vec<String> {
    let query = [("singleEvents", "true"), ("timeMin", from), ("timeMax", to)];
    let (items, _) = all(calendars, &query);
    let mut found: Vec<String> = texts(&items, "summary").into_iter().map(str::to_owned).collect();
    found.sort();
    found
}

#[test]
fn listings_tell_the_zone_of_their_calendar() {
    let mut calendars = Calendars::default();
    calendars.add_calendar("team@example.com", "Team");
    calendars.set_zone("team@example.com", "America/Los_Angeles");
    let (_, list) = answer(&mut calendars, &["users", "me", "calendarList"], &[]);
    let zones: Vec<&Value> = list["items"].as_array().unwrap().iter().map(|item| &item["timeZone"]).collect();
    assert_eq!(zones, ["UTC", "America/Los_Angeles"]);
    let (_, events) = answer(&mut calendars, &["calendars", "team@example.com", "events"], &[]);
    assert_eq!(events["timeZone"], "America/Los_Angeles");
}

#[test]
fn a_whole_day_lasts_from_midnight_to_midnight_in_the_zone_of_its_calendar() {
    for (zone, begins, ends) in [
        ("UTC", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"),
        ("America/Los_Angeles", "2026-11-22T08:00:00Z", "2026-11-23T08:00:00Z"),
        ("Pacific/Auckland", "2026-11-21T11:00:00Z", "2026-11-22T11:00:00Z"),
        ("Europe/Berlin", "2026-11-21T23:00:00Z", "2026-11-22T23:00:00Z"),
    ] {
        let mut calendars = Calendars::default();
        calendars.set_zone("primary", zone);
        calendars.create(now(), "primary", Plan::new("One", Slot::day(date(2026, 11, 22), 1)));
        let series = Plan::new("Each", Slot::day(date(2026, 11, 20), 1));
        calendars.create_series(now(), "primary", series, Rule::daily().every(2).count(2));
        let (begins, ends) = (begins.parse::<Timestamp>().unwrap(), ends.parse::<Timestamp>().unwrap());
        let second = SignedDuration::from_secs(1);
        for (from, to, found) in [
            (begins - second * 2, begins, &[""; 0][..]),
            (begins - second, begins + second, &["Each", "One"]),
            (ends - second, ends, &["Each", "One"]),
            (ends, ends + second, &[]),
        ] {
            assert_eq!(within(&mut calendars, &from.to_string(), &to.to_string()), found, "{zone} {from}");
        }
    }
}

#[test]
fn a_day_on_which_the_clocks_are_set_back_is_longer() {
    let mut calendars = Calendars::default();
    calendars.set_zone("primary", "Europe/Berlin");
    calendars.create(now(), "primary", Plan::new("Long", Slot::day(date(2026, 10, 25), 1)));
    assert_eq!(within(&mut calendars, "2026-10-24T21:00:00Z", "2026-10-24T22:00:00Z"), [""; 0]);
    assert_eq!(within(&mut calendars, "2026-10-24T21:00:00Z", "2026-10-24T22:00:01Z"), ["Long"]);
    assert_eq!(within(&mut calendars, "2026-10-25T22:59:59Z", "2026-10-26T00:00:00Z"), ["Long"]);
    assert_eq!(within(&mut calendars, "2026-10-25T23:00:00Z", "2026-10-26T00:00:00Z"), [""; 0]);
}

#[test]
fn another_zone_writes_the_same_moments_otherwise_and_changes_no_event() {
    let mut calendars = Calendars::default();
    let slot = Slot::timed("2026-03-24T09:00:00Z".parse().unwrap(), 60, "Europe/Berlin");
    let id = calendars.create(now(), "primary", Plan::new("Talk", slot));
    let token = start(&mut calendars);
    let before = calendars.event("primary", &id).unwrap();
    assert_eq!(before["start"], json!({ "dateTime": "2026-03-24T09:00:00Z", "timeZone": "Europe/Berlin" }));
    calendars.set_zone("primary", "America/New_York");
    assert_eq!(changes(&mut calendars, &token).0, Vec::<Value>::new());
    let mut after = calendars.event("primary", &id).unwrap();
    let written = json!({ "dateTime": "2026-03-24T05:00:00-04:00", "timeZone": "Europe/Berlin" });
    assert_eq!(after["start"], written);
    (after["start"], after["end"]) = (before["start"].clone(), before["end"].clone());
    assert_eq!(after, before);
}

#[test]
fn what_ends_early_or_leaves_the_window_is_in_the_increment_with_its_new_times() {
    let mut calendars = Calendars::default();
    let running = calendars.create(now(), "primary", meeting("Running", -1));
    let later = calendars.create(now(), "primary", meeting("Later", 2));
    let window = [("singleEvents", "true"), ("timeMin", NOW), ("timeMax", "2026-03-24T08:00:00Z")];
    calendars.shift(now(), "primary", &running, Slot::timed(at(-1), 90, "UTC"));
    let (items, token) = all(&mut calendars, &window);
    assert_eq!(items.len(), 2);
    assert!(calendars.finish(at(0), "primary", &running), "it runs");
    assert!(!calendars.finish(at(0), "primary", &running), "it is over");
    assert!(!calendars.finish(at(0), "primary", &later), "it has not begun");
    assert!(calendars.shift(at(0), "primary", &later, Slot::timed(at(-3), 60, "UTC")));
    let (mut items, _) = all(&mut calendars, &[("singleEvents", "true"), ("syncToken", &token)]);
    items.sort_by_key(|item| item["summary"].to_string());
    assert_eq!(texts(&items, "summary"), ["Later", "Running"]);
    assert_eq!(texts(&items, "status"), ["confirmed"; 2]);
    let times = |item: &Value| [&item["start"], &item["end"]].map(|time| time["dateTime"].clone());
    assert_eq!(times(&items[0]), ["2026-03-23T05:00:00Z", "2026-03-23T06:00:00Z"]);
    assert_eq!(times(&items[1]), ["2026-03-23T07:00:00Z", NOW]);
    assert_eq!(all(&mut calendars, &window).0, Vec::<Value>::new());
}
