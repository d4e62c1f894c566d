//! The model as its callers see it: listings, increments, series and what scripts do to them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail this way")]

mod kinds;
mod series;
mod walking;
mod zones;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::*;
use crate::google::api::{Body, Request};

/// A Monday.
const NOW: &str = "2026-03-23T08:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// So many hours later.
fn at(hours: i64) -> Timestamp {
    now() + SignedDuration::from_hours(hours)
}

fn meeting(summary: &str, hours: i64) -> Plan {
    Plan::new(summary, Slot::timed(at(hours), 60, "UTC"))
}

fn answer(calendars: &mut Calendars, path: &[&str], query: &[(&str, &str)]) -> (u16, Value) {
    let answer = calendars.answer(&Request::new(&path.join("/"), query), now());
    let Body::Json(body) = answer.body else { unreachable!("the model answers JSON only") };
    (answer.status, body)
}

/// A page of events.
fn page(calendars: &mut Calendars, query: &[(&str, &str)]) -> Value {
    let (status, body) = answer(calendars, &["calendars", "primary", "events"], query);
    assert_eq!(status, 200, "{body}");
    body
}

/// The status and the reason of a refusal.
fn refused(calendars: &mut Calendars, path: &[&str], query: &[(&str, &str)]) -> (u16, String) {
    let (status, body) = answer(calendars, path, query);
    (status, body["error"]["errors"][0]["reason"].as_str().unwrap_or_default().to_owned())
}

/// All pages: the items and the sync token.
fn all(calendars: &mut Calendars, query: &[(&str, &str)]) -> (Vec<Value>, String) {
    let mut items = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let mut query = query.to_vec();
        query.extend(next.as_deref().map(|next| ("pageToken", next)));
        let page = page(calendars, &query);
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        match (page["nextPageToken"].as_str(), page["nextSyncToken"].as_str()) {
            (Some(token), None) => next = Some(token.to_owned()),
            (None, Some(token)) => return (items, token.to_owned()),
            both => unreachable!("a page has either token: {both:?}"),
        }
    }
}

fn changes(calendars: &mut Calendars, token: &str) -> (Vec<Value>, String) {
    all(calendars, &[("singleEvents", "true"), ("showDeleted", "true"), ("syncToken", token)])
}

fn start(calendars: &mut Calendars) -> String {
    all(calendars, &[("singleEvents", "true"), ("showDeleted", "true")]).1
}

fn texts<'a>(items: &'a [Value], key: &str) -> Vec<&'a str> {
    items.iter().filter_map(|item| item[key].as_str()).collect()
}
