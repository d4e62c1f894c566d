//! What a reader of a calendar must be told, computed by comparing what it shows before and after a round of changes.

use std::collections::BTreeMap;

use inboxclaw_fakes::google::api::{Body, Request};
use inboxclaw_fakes::google::calendar::Calendars;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::account::{Wanted, text};

/// How far ahead the source looks in these tests.
pub(crate) const AHEAD: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Fields of an event that say nothing new when they change.
const PLUMBING: [&str; 6] = ["etag", "sequence", "iCalUID", "reminders", "updated", "kind"];

/// What a calendar shows, by event.
pub(crate) type Seen = BTreeMap<String, Value>;

/// Looks at what lies ahead.
pub(crate) fn look(calendars: &mut Calendars, now: Timestamp) -> Seen {
    let switches = std::mem::take(&mut calendars.switches);
    let (mut seen, mut page) = (Seen::new(), None::<String>);
    loop {
        let mut query = vec![
            ("singleEvents".to_owned(), "true".to_owned()),
            ("maxResults".to_owned(), "2500".to_owned()),
            ("timeMin".to_owned(), now.to_string()),
            ("timeMax".to_owned(), (now + AHEAD).to_string()),
        ];
        query.extend(page.map(|page| ("pageToken".to_owned(), page)));
        let path = ["calendars", "primary", "events"].map(str::to_owned).to_vec();
        let Body::Json(mut body) = calendars.answer(&Request { path, query }, now).body else {
            panic!("a listing in JSON")
        };
        let Value::Array(items) = body["items"].take() else { panic!("items: {body}") };
        seen.extend(items.into_iter().map(|item| (text(&item, "id").to_owned(), item)));
        page = body["nextPageToken"].as_str().map(str::to_owned);
        if page.is_none() {
            calendars.switches = switches;
            return seen;
        }
    }
}

/// Adds those of these events that are in the calendar, wherever they are now: what a reader knows it follows out of what
/// lies ahead. Gives the ids of those that were added.
pub(crate) fn follow(
    seen: &mut Seen,
    calendars: &Calendars,
    ids: impl Iterator<Item = String>,
) -> Vec<String> {
    let mut followed = Vec::new();
    for id in ids.filter(|id| !seen.contains_key(id)).collect::<Vec<_>>() {
        let event = calendars.event("primary", &id).filter(|event| event["status"] == "confirmed");
        if let Some(event) = event {
            seen.insert(id.clone(), event);
            followed.push(id);
        }
    }
    followed
}

/// Adds what the step from `before` to `after` has to report.
pub(crate) fn add_wanted(wanted: &mut Wanted, before: &Seen, after: &Seen, now: Timestamp) {
    let mut must = |what: &str, id: &str| wanted.must(format!("google.calendar.event.{what} primary:{id}"));
    for (id, event) in after {
        let Some(old) = before.get(id) else {
            must("created", id);
            continue;
        };
        if answers(old) != answers(event) {
            must("rsvp_changed", id);
        }
        if content(old) != content(event) {
            must("updated", id);
        }
    }
    let is_over = |event: &Value| end(event).is_some_and(|end| end <= now);
    for (id, _) in before.iter().filter(|(id, event)| !after.contains_key(*id) && !is_over(event)) {
        must("deleted", id);
    }
}

fn answers(event: &Value) -> BTreeMap<String, String> {
    let attendees = event["attendees"].as_array().into_iter().flatten();
    attendees.map(|one| (text(one, "email").to_lowercase(), text(one, "responseStatus").to_owned())).collect()
}

fn content(event: &Value) -> Value {
    let mut event = event.clone();
    let fields = event.as_object_mut().unwrap();
    fields.retain(|field, _| !PLUMBING.contains(&field.as_str()));
    if let Some(Value::Array(attendees)) = fields.get_mut("attendees") {
        attendees.iter_mut().for_each(|one| drop(one.as_object_mut().unwrap().remove("responseStatus")));
        attendees.sort_by_key(|one| text(one, "email").to_lowercase());
    }
    event
}

fn end(event: &Value) -> Option<Timestamp> {
    if let Some(time) = event["end"]["dateTime"].as_str() {
        return time.parse().ok();
    }
    let day: jiff::civil::Date = event["end"]["date"].as_str()?.parse().ok()?;
    Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}
