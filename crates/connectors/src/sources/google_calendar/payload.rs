//! What an event of ours holds: ids, payload and time, from the resources of the service.
//!
//! In payloads `dateTime` and `timeZone` are called `dt` and `tz`, at every depth but in what others name.

use inboxclaw_contract::{Failure, Json, NewEvent};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::attendees;
use super::classify::Change;
use super::compare::{changes, without};
use crate::google::timestamp;

/// What payloads do not show of an event.
const HIDDEN: [&str; 4] = ["sequence", "iCalUID", "etag", "reminders"];
/// The fields whose keys are names that users and their programs give
/// (<https://developers.google.com/workspace/calendar/api/v3/reference/events>): extended properties, the preferences
/// of a gadget, the parameters of an add-on for conferences.
const NAMED_BY_OTHERS: [&str; 3] = ["extendedProperties", "preferences", "parameters"];
/// An event of ours about `item`, or about `previous` where nothing else is left of it. One of them has to be given.
pub(super) fn event(
    calendar: &str,
    change: Change,
    item: Option<&Value>,
    previous: Option<&Value>,
    limit: usize,
) -> Result<NewEvent, Failure> {
    let nothing = Value::Null;
    let subject = item.or(previous).unwrap_or(&nothing);
    let id = subject["id"].as_str().unwrap_or_default();
    let word = word(change);
    let data = data(calendar, change, item, previous, limit);
    let data = Json::from_value(&data).map_err(Failure::internal)?;
    let event_id = format!("gcal:{calendar}:{id}:{}:{word}", version(subject));
    let mut event = NewEvent::new(event_id, format!("google.calendar.event.{word}"), data);
    event.occurred_at = occurred_at(change, item, previous);
    Ok(event.entity(format!("{calendar}:{id}")))
}

fn word(change: Change) -> &'static str {
    match change {
        Change::Created => "created",
        Change::Updated => "updated",
        Change::Deleted => "deleted",
        Change::RsvpChanged => "rsvp_changed",
    }
}

/// Names the version of a resource.
fn version(item: &Value) -> String {
    let text = |name: &str| item[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let etag = text("etag").map(|etag| etag.trim_matches('"').to_owned()).filter(|etag| !etag.is_empty());
    let sequence = || item["sequence"].as_i64().map(|sequence| format!("seq-{sequence}"));
    let version = etag.or_else(|| text("updated")).or_else(sequence).or_else(|| text("created"));
    version.unwrap_or_else(|| "snapshot".to_owned())
}

fn occurred_at(change: Change, item: Option<&Value>, previous: Option<&Value>) -> Option<Timestamp> {
    let at = |item: &Value, name: &str| timestamp::read(item[name].as_str()?);
    if change == Change::Created {
        return item.and_then(|item| at(item, "created").or_else(|| at(item, "updated")));
    }
    let mut both = item.into_iter().chain(previous);
    both.find_map(|item| at(item, "updated").or_else(|| at(item, "created")))
}

fn data(
    calendar: &str,
    change: Change,
    item: Option<&Value>,
    previous: Option<&Value>,
    limit: usize,
) -> Value {
    let either = |name: &str| {
        let mut both = item.into_iter().chain(previous);
        both.find_map(|item| item.get(name).filter(|value| !value.is_null())).cloned()
    };
    let mut data = Map::new();
    let mut add = |name: &str, value: Value| data.insert(name.to_owned(), renamed(value));
    add("calendar_id", calendar.into());
    add("event_id", either("id").unwrap_or_default());
    add("summary", either("summary").unwrap_or_default());
    add("start", either("start").unwrap_or_default());
    add("recurrence", either("recurrence").unwrap_or_else(|| json!([])));
    add("recurring_event_id", either("recurringEventId").unwrap_or_default());
    let both = item.zip(previous);
    match (change, both) {
        (Change::Updated, Some((after, before))) => {
            add("changes", Value::Object(changes(before, after, limit)));
        }
        (Change::RsvpChanged, Some((after, before))) => {
            add("rsvp_changes", attendees::changes(before, after, limit));
        }
        _ => {
            item.map(|item| add("event", shown(item, limit)));
            let previous = previous.filter(|_| change == Change::Deleted);
            previous.map(|previous| add("previous", shown(previous, limit)));
        }
    }
    Value::Object(data)
}

/// A resource as payloads show it.
fn shown(item: &Value, limit: usize) -> Value {
    let mut shown = without(item, &HIDDEN);
    if attendees::are_many(item, limit) {
        shown.insert("attendees".to_owned(), attendees::summary(item));
    }
    Value::Object(shown)
}

fn renamed(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let field = |(name, value): (String, Value)| match NAMED_BY_OTHERS.contains(&name.as_str()) {
                true => (name, value),
                false => (rename(name), renamed(value)),
            };
            fields.into_iter().map(field).collect()
        }
        Value::Array(values) => values.into_iter().map(renamed).collect(),
        plain => plain,
    }
}

fn rename(name: String) -> String {
    match name.as_str() {
        "dateTime" => "dt".to_owned(),
        "timeZone" => "tz".to_owned(),
        _ => name,
    }
}
