//! Series: their instances, exceptions, and changes of the whole.

use jiff::civil::date;
use serde_json::json;

use super::*;

/// Every day at 9, five times.
fn standup(calendars: &mut Calendars) -> String {
    calendars.create_series(now(), "primary", meeting("Standup", 1), Rule::daily().count(5))
}

fn starts(items: &[Value]) -> Vec<&str> {
    let starts = items.iter().map(|item| item["start"]["dateTime"].as_str());
    starts.map(Option::unwrap_or_default).collect()
}

#[test]
fn a_series_is_shown_as_its_instances_or_as_one() {
    let mut calendars = Calendars::default();
    let series = standup(&mut calendars);
    let (items, _) = all(&mut calendars, &[("singleEvents", "true")]);
    assert_eq!(items.len(), 5);
    let second = &items[1];
    assert_eq!(second["id"], json!(format!("{series}_20260324T090000Z")));
    assert_eq!(second["recurringEventId"], json!(series));
    assert_eq!(second["originalStartTime"], json!({ "dateTime": "2026-03-24T09:00:00Z", "timeZone": "UTC" }));
    assert_eq!(second["originalStartTime"], second["start"]);
    assert!(second.get("recurrence").is_none());
    let (items, _) = all(&mut calendars, &[("timeMin", "2026-03-25T08:00:00Z")]);
    assert_eq!(texts(&items, "id"), [series]);
    assert_eq!(items[0]["recurrence"], json!(["RRULE:FREQ=DAILY;COUNT=5"]));
    let (items, _) = all(&mut calendars, &[("timeMin", "2026-03-27T10:00:00Z")]);
    assert_eq!(items, Vec::<Value>::new());
}

#[test]
fn instances_keep_the_time_of_the_day_in_their_zone() {
    let mut calendars = Calendars::default();
    calendars.set_zone("primary", "Europe/Berlin");
    let slot = Slot::timed("2026-03-19T09:00:00Z".parse().unwrap(), 30, "Europe/Berlin");
    calendars.create_series(now(), "primary", Plan::new("Choir", slot), Rule::weekly().count(3));
    let (items, _) = all(&mut calendars, &[("singleEvents", "true")]);
    let expected = ["2026-03-19T10:00:00+01:00", "2026-03-26T10:00:00+01:00", "2026-04-02T10:00:00+02:00"];
    assert_eq!(starts(&items), expected);
}

#[test]
fn whole_days_repeat_every_other_day_until_one() {
    let mut calendars = Calendars::default();
    let rule = Rule::daily().every(2).until("2026-03-27T00:00:00Z".parse().unwrap());
    let plan = Plan::new("Watering", Slot::day(date(2026, 3, 23), 1));
    let series = calendars.create_series(now(), "primary", plan, rule);
    let (items, _) = all(&mut calendars, &[("singleEvents", "true")]);
    let ids = ["20260323", "20260325", "20260327"].map(|day| format!("{series}_{day}"));
    assert_eq!(texts(&items, "id"), ids);
    assert_eq!(items[2]["end"], json!({ "date": "2026-03-28" }));
    let (items, _) = all(&mut calendars, &[]);
    assert_eq!(items[0]["recurrence"], json!(["RRULE:FREQ=DAILY;INTERVAL=2;UNTIL=20260327"]));
}

#[test]
fn a_window_far_along_an_endless_series_shows_what_is_in_it() {
    let mut calendars = Calendars::default();
    calendars.create_series(now(), "primary", meeting("Standup", 1), Rule::daily());
    let window = [("timeMin", "2036-05-01T09:30:00Z"), ("timeMax", "2036-05-03T09:00:00Z")];
    let (items, _) = all(&mut calendars, &[&window[..], &[("singleEvents", "true")]].concat());
    assert_eq!(starts(&items), ["2036-05-01T09:00:00Z", "2036-05-02T09:00:00Z"]);
}

#[test]
fn an_increment_shows_the_exceptions_alone() {
    let mut calendars = Calendars::default();
    let series = standup(&mut calendars);
    let token = start(&mut calendars);
    let moved = format!("{series}_20260324T090000Z");
    let off = format!("{series}_20260325T090000Z");
    assert!(calendars.shift(at(1), "primary", &moved, Slot::timed(at(300), 60, "UTC")));
    assert!(calendars.cancel(at(1), "primary", &off));
    let (items, token) = changes(&mut calendars, &token);
    assert_eq!(texts(&items, "id"), [moved.clone(), off.clone()]);
    assert_eq!(items[0]["originalStartTime"]["dateTime"], json!("2026-03-24T09:00:00Z"));
    assert_eq!(items[0]["start"]["dateTime"], json!("2026-04-04T20:00:00Z"));
    let etag = &calendars.event("primary", &off).unwrap()["etag"];
    let bare = json!({
        "kind": "calendar#event",
        "etag": etag,
        "id": off,
        "status": "cancelled",
        "recurringEventId": series,
        "originalStartTime": { "dateTime": "2026-03-25T09:00:00Z", "timeZone": "UTC" },
    });
    assert_eq!(items[1], bare);
    assert!(calendars.restore(at(2), "primary", &off));
    let (items, _) = changes(&mut calendars, &token);
    assert_eq!(texts(&items, "id"), [off]);
    assert_eq!(items[0]["status"], json!("confirmed"));
    // What was moved counts where it is now.
    let window = [("singleEvents", "true"), ("timeMin", "2026-04-04T00:00:00Z")];
    assert_eq!(texts(&all(&mut calendars, &window).0, "id"), [moved]);
}

#[test]
fn a_changed_series_changes_all_its_instances_in_reach() {
    let mut calendars = Calendars::default();
    let series = calendars.create_series(now(), "primary", meeting("Standup", 1), Rule::daily());
    let own = format!("{series}_20260324T090000Z");
    assert!(calendars.shift(now(), "primary", &own, Slot::timed(at(26), 15, "UTC")));
    let token = start(&mut calendars);
    calendars.switches.ahead_days = 10;
    let edit = Edit { location: Some("Kitchen".to_owned()), ..Edit::default() };
    assert!(calendars.change(at(1), "primary", &series, &edit));
    let (items, _) = changes(&mut calendars, &token);
    assert_eq!(items.len(), 10);
    assert!(items.iter().all(|item| item["location"] == "Kitchen"));
    // An exception keeps its own time and bears the new etag as well.
    assert_eq!(items[1]["start"]["dateTime"], json!("2026-03-24T10:00:00Z"));
    assert!(items.iter().all(|item| item["etag"] == calendars.history.last().unwrap().etag));
}

#[test]
fn a_cancelled_series_cancels_its_instances_and_comes_back_without_those_cancelled_before() {
    let mut calendars = Calendars::default();
    let series = standup(&mut calendars);
    let off = format!("{series}_20260325T090000Z");
    calendars.cancel(now(), "primary", &off);
    let token = start(&mut calendars);
    assert!(calendars.cancel(at(1), "primary", &series));
    let (items, token) = changes(&mut calendars, &token);
    assert_eq!(texts(&items, "status"), ["cancelled"; 4]);
    assert!(
        items.iter().all(|item| item["recurringEventId"] == series.as_str() && item.get("summary").is_none())
    );
    assert!(calendars.restore(at(2), "primary", &series));
    let (items, _) = changes(&mut calendars, &token);
    assert_eq!(texts(&items, "status"), ["confirmed"; 4]);
    let (items, _) = all(&mut calendars, &[]);
    assert_eq!(texts(&items, "status"), ["confirmed", "cancelled"], "the series and its cancelled exception");
}

#[test]
fn a_series_that_repeats_otherwise_takes_back_the_instances_it_loses() {
    let mut calendars = Calendars::default();
    let series = standup(&mut calendars);
    let token = start(&mut calendars);
    assert!(calendars.set_rule(at(1), "primary", &series, Rule::daily().count(3)));
    let (items, token) = changes(&mut calendars, &token);
    assert_eq!(texts(&items, "status"), ["confirmed", "confirmed", "confirmed", "cancelled", "cancelled"]);
    assert!(calendars.set_rule(at(2), "primary", &series, Rule::daily().count(4)));
    let (items, token) = changes(&mut calendars, &token);
    assert_eq!(texts(&items, "status"), ["confirmed"; 4]);
    // Moved as a whole, all instances are others.
    assert!(calendars.shift(at(3), "primary", &series, Slot::timed(at(2), 60, "UTC")));
    let (items, _) = changes(&mut calendars, &token);
    let old = items.iter().filter(|item| item["status"] == "cancelled").count();
    assert_eq!((old, items.len()), (4, 8));
    let week = calendars.instances("primary", &series, now(), at(24 * 7));
    assert_eq!(week.len(), 9);
}

#[test]
fn an_instance_can_be_asked_for_and_one_that_never_was_is_unknown() {
    let mut calendars = Calendars::default();
    let series = standup(&mut calendars);
    let third = format!("{series}_20260325T090000Z");
    let (status, event) = answer(&mut calendars, &["calendars", "primary", "events", &third], &[]);
    assert_eq!((status, &event["id"]), (200, &json!(third)));
    let never = format!("{series}_20260325T091500Z");
    let path = ["calendars", "primary", "events", &never];
    assert_eq!(refused(&mut calendars, &path, &[]), (404, "notFound".to_owned()));
    assert!(!calendars.cancel(now(), "primary", &never));
}
