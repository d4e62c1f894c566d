//! Lists of calendars, listings, increments, tokens and refusals.

use serde_json::json;

use super::*;

const EVENTS: [&str; 3] = ["calendars", "primary", "events"];

#[test]
fn an_event_is_shown_in_full() {
    let mut calendars = Calendars::default();
    let plan = Plan {
        location: Some("Room 4".to_owned()),
        attendees: vec!["ada@example.org".to_owned(), OWNER.to_owned()],
        ..meeting("Budget", 2)
    };
    let id = calendars.create(now(), "primary", plan);
    calendars.respond(at(1), OWNER, &id, "ada@example.org", "accepted");
    let (items, _) = all(&mut calendars, &[]);
    let stamp = at(1).as_microsecond() * 2;
    let expected = json!([{
        "kind": "calendar#event",
        "etag": format!("\"{stamp}\""),
        "id": id,
        "status": "confirmed",
        "htmlLink": items[0]["htmlLink"],
        "created": "2026-03-23T08:00:00.000Z",
        "updated": "2026-03-23T09:00:00.000Z",
        "summary": "Budget",
        "location": "Room 4",
        "creator": { "email": OWNER, "self": true },
        "organizer": { "email": OWNER, "self": true },
        "start": { "dateTime": "2026-03-23T10:00:00Z", "timeZone": "UTC" },
        "end": { "dateTime": "2026-03-23T11:00:00Z", "timeZone": "UTC" },
        "iCalUID": format!("{id}@google.com"),
        "sequence": 0,
        "attendees": [
            { "email": "ada@example.org", "responseStatus": "accepted" },
            { "email": OWNER, "self": true, "organizer": true, "responseStatus": "needsAction" },
        ],
        "reminders": { "useDefault": true },
        "eventType": "default",
    }]);
    assert_eq!(Value::Array(items), expected);
}

#[test]
fn the_lower_bound_is_compared_with_the_end_and_the_upper_one_with_the_start() {
    let mut calendars = Calendars::default();
    for (summary, hours) in [("ends then", 1), ("runs", 2), ("begins before", 3), ("begins then", 4)] {
        let minutes = if hours == 2 { 90 } else { 60 };
        let plan = Plan::new(summary, Slot::timed(at(hours), minutes, "UTC"));
        calendars.create(now(), "primary", plan);
    }
    let window = [("timeMin", "2026-03-23T10:00:00Z"), ("timeMax", "2026-03-23T13:00:00+01:00")];
    let (items, _) = all(&mut calendars, &window);
    let mut found = texts(&items, "summary");
    found.sort_unstable();
    assert_eq!(found, ["begins before", "runs"]);
}

#[test]
fn an_increment_holds_each_changed_item_once_in_its_state_now_and_what_was_deleted() {
    let mut calendars = Calendars::default();
    let changed = calendars.create(now(), "primary", meeting("Draft", 1));
    let gone = calendars.create(now(), "primary", meeting("Lunch", 2));
    calendars.create(now(), "primary", meeting("Untouched", 3));
    let token = start(&mut calendars);
    for summary in ["Better", "Best"] {
        let edit = Edit { summary: Some(summary.to_owned()), ..Edit::default() };
        assert!(calendars.change(at(1), "primary", &changed, &edit));
    }
    assert!(calendars.cancel(at(1), "primary", &gone));
    // Far outside of any window of a listing.
    calendars.create(at(1), "primary", meeting("In three years", 24 * 1100));
    let (mut items, next) = changes(&mut calendars, &token);
    items.sort_by_key(|item| item["summary"].as_str().unwrap_or_default().to_owned());
    assert_eq!(texts(&items, "summary"), ["Best", "In three years"]);
    let etag = &calendars.event("primary", &gone).unwrap()["etag"];
    assert_eq!(
        items[0],
        json!({ "kind": "calendar#event", "etag": etag, "id": gone, "status": "cancelled" })
    );
    assert_eq!(changes(&mut calendars, &next).0, Vec::<Value>::new());
}

#[test]
fn reminders_give_a_new_etag_and_leave_the_time_of_change() {
    let mut calendars = Calendars::default();
    let id = calendars.create(now(), "primary", meeting("Call", 1));
    let token = start(&mut calendars);
    let before = calendars.event("primary", &id).unwrap();
    assert!(calendars.touch_reminders(at(5), "primary", &id, 15));
    assert!(!calendars.touch_reminders(at(6), "primary", &id, 15));
    let (items, _) = changes(&mut calendars, &token);
    assert_eq!(texts(&items, "id"), [id]);
    assert_ne!(items[0]["etag"], before["etag"]);
    assert_eq!(items[0]["updated"], before["updated"]);
}

#[test]
fn pages_hold_everything_once_and_only_the_last_one_gives_a_sync_token() {
    let mut calendars = Calendars::default();
    let mut ids: Vec<String> =
        (0..7).map(|hour| calendars.create(now(), "primary", meeting("One of many", hour))).collect();
    ids.sort();
    let (items, _) = all(&mut calendars, &[("maxResults", "3")]);
    assert_eq!(texts(&items, "id"), ids);
    calendars.switches.page = Some(2);
    calendars.switches.empty_pages = true;
    let (items, _) = all(&mut calendars, &[]);
    assert_eq!(texts(&items, "id"), ids);
    calendars.switches.overlap = true;
    let (items, _) = all(&mut calendars, &[]);
    let mut found = texts(&items, "id");
    assert!(found.len() > ids.len());
    found.dedup();
    assert_eq!(found, ids);
}

#[test]
fn what_changes_between_two_pages_is_in_the_next_increment() {
    let mut calendars = Calendars::default();
    for hour in 0..4 {
        calendars.create(now(), "primary", meeting("Old", hour));
    }
    let query = [("singleEvents", "true"), ("showDeleted", "true"), ("maxResults", "2")];
    let first = page(&mut calendars, &query);
    let shown = first["items"][0]["id"].as_str().unwrap().to_owned();
    assert!(calendars.cancel(now(), "primary", &shown));
    let next = first["nextPageToken"].as_str().unwrap();
    let second = page(&mut calendars, &[&query[..], &[("pageToken", next)]].concat());
    assert_eq!(second["items"].as_array().unwrap().len(), 2);
    let (items, _) = changes(&mut calendars, second["nextSyncToken"].as_str().unwrap());
    assert_eq!(texts(&items, "id"), [shown]);
}

#[test]
fn a_page_token_belongs_to_its_query() {
    let mut calendars = Calendars::default();
    for hour in 0..4 {
        calendars.create(now(), "primary", meeting("Old", hour));
    }
    let first = page(&mut calendars, &[("maxResults", "2"), ("timeMin", NOW)]);
    let token = first["nextPageToken"].as_str().unwrap();
    let other = [("maxResults", "2"), ("pageToken", token)];
    assert_eq!(refused(&mut calendars, &EVENTS, &other), (400, "invalid".to_owned()));
    assert_eq!(refused(&mut calendars, &EVENTS, &[("pageToken", "x")]), (400, "invalid".to_owned()));
}

#[test]
fn a_sync_token_goes_with_the_parameters_of_the_first_request_and_no_window() {
    let mut calendars = Calendars::default();
    let token = start(&mut calendars);
    let same = [("singleEvents", "true"), ("showDeleted", "true"), ("syncToken", token.as_str())];
    for more in [("timeMin", NOW), ("timeMax", NOW), ("q", "x"), ("orderBy", "updated"), ("updatedMin", NOW)]
    {
        let query = [&same[..], &[more]].concat();
        assert_eq!(refused(&mut calendars, &EVENTS, &query), (400, "badRequest".to_owned()), "{more:?}");
    }
    assert_eq!(refused(&mut calendars, &EVENTS, &same[1..]), (400, "badRequest".to_owned()));
    let free = [&same[..], &[("maxResults", "7"), ("fields", "items(id)")]].concat();
    assert_eq!(page(&mut calendars, &free)["items"], json!([]));
}

#[test]
fn an_expired_sync_token_is_gone() {
    let mut calendars = Calendars::default();
    calendars.add_calendar("team@example.com", "Team");
    let token = start(&mut calendars);
    calendars.expire_tokens("team@example.com");
    assert_eq!(changes(&mut calendars, &token).0, Vec::<Value>::new());
    calendars.expire_tokens("primary");
    let query = [("singleEvents", "true"), ("showDeleted", "true"), ("syncToken", token.as_str())];
    assert_eq!(refused(&mut calendars, &EVENTS, &query), (410, "fullSyncRequired".to_owned()));
    calendars.switches.too_long_ago = true;
    assert_eq!(refused(&mut calendars, &EVENTS, &query), (410, "updatedMinTooLongAgo".to_owned()));
    let fresh = start(&mut calendars);
    assert_eq!(changes(&mut calendars, &fresh).0, Vec::<Value>::new());
}

#[test]
fn cancelled_events_are_listed_when_asked_for_until_they_are_forgotten() {
    let mut calendars = Calendars::default();
    let id = calendars.create(now(), "primary", meeting("Off", 1));
    calendars.cancel(now(), "primary", &id);
    assert_eq!(all(&mut calendars, &[]).0, Vec::<Value>::new());
    assert_eq!(texts(&all(&mut calendars, &[("showDeleted", "true")]).0, "status"), ["cancelled"]);
    calendars.switches.cancelled = Cancelled::Placeholder;
    let (items, _) = all(&mut calendars, &[("showDeleted", "true")]);
    assert_eq!(items[0]["start"], json!({ "date": "2000-01-01" }));
    calendars.switches.cancelled = Cancelled::Detailed;
    assert_eq!(texts(&all(&mut calendars, &[("showDeleted", "true")]).0, "summary"), ["Off"]);
    calendars.forget_cancelled("primary");
    assert_eq!(all(&mut calendars, &[("showDeleted", "true")]).0, Vec::<Value>::new());
}

#[test]
fn calendars_are_listed_in_pages_and_hidden_ones_on_demand() {
    let mut calendars = Calendars::default();
    calendars.add_calendar("team@example.com", "Team");
    calendars.add_calendar("old@example.com", "Old");
    calendars.hide("old@example.com");
    let path = ["users", "me", "calendarList"];
    let (_, list) = answer(&mut calendars, &path, &[]);
    assert_eq!(texts(list["items"].as_array().unwrap(), "id"), [OWNER, "team@example.com"]);
    assert_eq!(list["items"][0]["primary"], json!(true));
    let (_, first) = answer(&mut calendars, &path, &[("maxResults", "2"), ("showHidden", "true")]);
    let next = first["nextPageToken"].as_str().unwrap();
    let query = [("maxResults", "2"), ("showHidden", "true"), ("pageToken", next)];
    let (_, second) = answer(&mut calendars, &path, &query);
    assert_eq!(texts(second["items"].as_array().unwrap(), "summary"), ["Old"]);
    assert!(second.get("nextPageToken").is_none());
}

#[test]
fn a_calendar_can_be_unknown_or_denied() {
    let mut calendars = Calendars::default();
    let none = ["calendars", "none@example.com", "events"];
    assert_eq!(refused(&mut calendars, &none, &[]), (404, "notFound".to_owned()));
    calendars.deny("primary", 403);
    assert_eq!(refused(&mut calendars, &EVENTS, &[]), (403, "forbidden".to_owned()));
    calendars.deny("primary", 404);
    assert_eq!(refused(&mut calendars, &EVENTS, &[]), (404, "notFound".to_owned()));
    calendars.allow("primary");
    assert_eq!(page(&mut calendars, &[])["items"], json!([]));
}

#[test]
fn history_tells_what_scripts_did_and_nothing_that_did_not_happen() {
    let mut calendars = Calendars::default();
    let id = calendars.create(now(), "primary", meeting("Tea", 1));
    assert!(calendars.invite(at(1), "primary", &id, "bo@example.org"));
    assert!(!calendars.invite(at(1), "primary", &id, "bo@example.org"));
    assert!(!calendars.respond(at(1), "primary", &id, "cy@example.org", "accepted"));
    assert!(calendars.uninvite(at(2), "primary", &id, "bo@example.org"));
    assert!(calendars.cancel(at(3), "primary", &id));
    assert!(!calendars.cancel(at(4), "primary", &id));
    assert!(!calendars.shift(at(4), "primary", &id, Slot::timed(at(9), 60, "UTC")));
    assert!(calendars.restore(at(5), "primary", &id));
    let bo = || "bo@example.org".to_owned();
    let done: Vec<What> = calendars.history.iter().map(|change| change.what.clone()).collect();
    let expected = [
        What::Created,
        What::Invited { attendee: bo() },
        What::Uninvited { attendee: bo() },
        What::Cancelled,
        What::Restored,
    ];
    assert_eq!(done, expected);
    let last = calendars.history.last().unwrap();
    assert_eq!(last.calendar, OWNER);
    assert_eq!(calendars.event("primary", &id).unwrap()["etag"], json!(last.etag));
}

#[test]
fn an_increment_holds_deletions_whether_or_not_they_were_asked_for() {
    let mut calendars = Calendars::default();
    let id = calendars.create(now(), "primary", meeting("Off soon", 1));
    let (_, token) = all(&mut calendars, &[]);
    assert!(calendars.cancel(at(1), "primary", &id));
    let (items, _) = all(&mut calendars, &[("syncToken", &token)]);
    assert_eq!(texts(&items, "status"), ["cancelled"]);
    let query = [("syncToken", token.as_str()), ("showDeleted", "false")];
    assert_eq!(refused(&mut calendars, &EVENTS, &query), (400, "badRequest".to_owned()));
}
