//! What an event of ours holds: ids, payload and time, from the resources of the service.
//!
//! In payloads `dateTime` and `timeZone` are called `dt` and `tz`, at every depth but in what others name.

use inboxclaw_contract::{Failure, Json, NewEvent};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::classify::Change;
use super::{attendees, times};
use crate::google::stamp;

/// What payloads do not show of an event.
const HIDDEN: [&str; 4] = ["sequence", "iCalUID", "etag", "reminders"];
/// The fields whose keys are names that users and their programs give
/// (<https://developers.google.com/workspace/calendar/api/v3/reference/events>): extended properties, the preferences of a
/// gadget, the parameters of an add-on for conferences.
const NAMED_BY_OTHERS: [&str; 3] = ["extendedProperties", "preferences", "parameters"];
/// The fields that hold a time.
const TIMES: [&str; 3] = ["start", "end", "originalStartTime"];
/// What may change without being an update; attendees are looked at on their own.
const UNEQUAL: [&str; 6] = ["etag", "sequence", "iCalUID", "reminders", "updated", "kind"];

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

/// Whether two resources differ in more than answers and what nobody sees.
pub(super) fn differ(before: &Value, after: &Value) -> bool {
    let (before, after) = (normal(before), normal(after));
    !difference(&before, &after).is_empty()
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
    let at = |item: &Value, name: &str| stamp::read(item[name].as_str()?);
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

/// What of a resource is compared.
fn normal(item: &Value) -> Map<String, Value> {
    let mut normal = without(item, &UNEQUAL);
    if let Some(attendees) = attendees::unanswered(item) {
        normal.insert("attendees".to_owned(), attendees);
    }
    normal
}

fn changes(before: &Value, after: &Value, limit: usize) -> Map<String, Value> {
    let (mut old, mut new) = (normal(before), normal(after));
    if attendees::are_many(before, limit) || attendees::are_many(after, limit) {
        for (side, item) in [(&mut old, before), (&mut new, after)] {
            side.insert("attendees".to_owned(), attendees::summary(item));
        }
    }
    difference(&old, &new)
}

/// What differs, by key. A key that is missing is null.
fn difference(before: &Map<String, Value>, after: &Map<String, Value>) -> Map<String, Value> {
    let added = after.keys().filter(|key| !before.contains_key(*key));
    let keys = before.keys().chain(added).filter(|key| *key != "id");
    let pair =
        |key: &String| (before.get(key).unwrap_or(&Value::Null), after.get(key).unwrap_or(&Value::Null));
    let is_same = |key: &str, (before, after): (&Value, &Value)| match TIMES.contains(&key) {
        true => times::is_same(before, after),
        false => before == after,
    };
    let differing = keys.map(|key| (key, pair(key))).filter(|(key, pair)| !is_same(key, *pair));
    differing
        .map(|(key, (before, after))| (key.clone(), json!({ "before": before, "after": after })))
        .collect()
}

fn without(item: &Value, names: &[&str]) -> Map<String, Value> {
    let fields = item.as_object().into_iter().flatten();
    let kept = fields.filter(|(name, _)| !names.contains(&name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
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
