//! Attendees: who they are, how they answered, and the summary that stands for many of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The attendees of an event.
pub(super) fn of(item: &Value) -> &[Value] {
    item["attendees"].as_array().map_or(&[], Vec::as_slice)
}

/// How each of them answered; `None` for one who does not say.
pub(super) fn answers(item: &Value) -> BTreeMap<String, Option<&str>> {
    let all = of(item).iter().enumerate();
    let answers = all.map(|(at, attendee)| (key(at, attendee), attendee["responseStatus"].as_str()));
    // Who does not answer is like one who is not there.
    answers.filter(|(_, answer)| answer.is_some()).collect()
}

/// The attendees without their answers, in an order of their own.
pub(super) fn unanswered(item: &Value) -> Option<Value> {
    let mut all: Vec<(String, Value)> = item["attendees"]
        .as_array()?
        .iter()
        .enumerate()
        .map(|(at, attendee)| (key(at, attendee), attendee.clone()))
        .collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    let plain = all.into_iter().map(|(_, mut attendee)| {
        if let Value::Object(attendee) = &mut attendee {
            attendee.shift_remove("responseStatus");
        }
        attendee
    });
    Some(plain.collect())
}

/// Their number, and how many gave each answer.
pub(super) fn summary(item: &Value) -> Value {
    let mut by_state = BTreeMap::<&str, u64>::new();
    for attendee in of(item) {
        *by_state.entry(attendee["responseStatus"].as_str().unwrap_or("unknown")).or_default() += 1;
    }
    json!({ "total": of(item).len(), "by_state": by_state })
}

/// Whether there are more of them than are shown one by one.
pub(super) fn are_many(item: &Value, limit: usize) -> bool {
    of(item).len() > limit
}

/// Whose answers changed, and how; with many attendees only how many did.
pub(super) fn changes(before: &Value, after: &Value, limit: usize) -> Value {
    let (old, new) = (answers(before), answers(after));
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.retain(|key| old.get(*key) != new.get(*key));
    if !are_many(before, limit) && !are_many(after, limit) {
        let change = |key| json!({ "attendee": key, "before": old.get(key), "after": new.get(key) });
        return keys.into_iter().map(change).collect();
    }
    let mut counted = Map::new();
    counted.insert("changed".to_owned(), keys.len().into());
    for (name, item) in [("before", before), ("after", after)] {
        if !of(item).is_empty() {
            counted.insert(name.to_owned(), summary(item));
        }
    }
    Value::Object(counted)
}

/// What an attendee is known by: the address, or the best there is without one.
fn key(at: usize, attendee: &Value) -> String {
    let text = |name: &str| attendee[name].as_str().filter(|text| !text.is_empty());
    if let Some(email) = text("email") {
        email.to_lowercase()
    } else if let Some(id) = text("id") {
        id.to_owned()
    } else if attendee["self"] == true {
        "self".to_owned()
    } else if let Some(name) = text("displayName") {
        format!("name:{name}")
    } else {
        format!("attendee:{at}")
    }
}
