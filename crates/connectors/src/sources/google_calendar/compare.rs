//! The difference of two states of an event, apart from answers and fields that payloads never show.

use serde_json::{Map, Value, json};

use super::{attendees, times};

/// The fields that hold a time.
const TIMES: [&str; 3] = ["start", "end", "originalStartTime"];
/// What may change without being an update; attendees are looked at on their own.
const UNEQUAL: [&str; 6] = ["etag", "sequence", "iCalUID", "reminders", "updated", "kind"];

/// Whether two resources differ in more than answers and fields that payloads never show.
pub(super) fn differ(before: &Value, after: &Value) -> bool {
    let (before, after) = (normal(before), normal(after));
    !difference(&before, &after).is_empty()
}

/// What of a resource is compared.
fn normal(item: &Value) -> Map<String, Value> {
    let mut normal = without(item, &UNEQUAL);
    if let Some(attendees) = attendees::unanswered(item) {
        normal.insert("attendees".to_owned(), attendees);
    }
    normal
}

/// What differs between two resources, as payloads show it: attendees by their numbers where there are many.
pub(super) fn changes(before: &Value, after: &Value, limit: usize) -> Map<String, Value> {
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

/// The fields of a resource but for these.
pub(super) fn without(item: &Value, names: &[&str]) -> Map<String, Value> {
    let fields = item.as_object().into_iter().flatten();
    let kept = fields.filter(|(name, _)| !names.contains(&name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}
