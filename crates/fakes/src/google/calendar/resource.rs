//! How the API shows events: <https://developers.google.com/workspace/calendar/api/v3/reference/events#resource>.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::item::{EventState, EventView};
use super::plan::{Cancelled, EventType, ExtendedProperties, Slot};
use super::rule::Origin;
use super::{Calendar, OWNER};

/// The resource of an event, a series or an instance. Times are written in the offset of the calendar's zone, beside
/// the name of their own.
pub(super) fn event(
    shown: &EventView<'_>,
    calendar: &Calendar,
    cancelled: Cancelled,
    most_attendees: Option<usize>,
) -> Value {
    let (state, offset) = (&shown.state, calendar.time_zone());
    let mut event = Map::new();
    let mut set = |key: &str, value: Value| {
        if !value.is_null() {
            event.insert(key.to_owned(), value);
        }
    };
    set("kind", json!("calendar#event"));
    set("etag", json!(etag(state.stamp)));
    set("id", json!(shown.id));
    set("status", json!(if state.cancelled { "cancelled" } else { "confirmed" }));
    if let Some(origin) = shown.origin {
        set("recurringEventId", json!(shown.item.id));
        set("originalStartTime", original_start(origin, &shown.item.state.slot, &offset));
    }
    match cancelled {
        Cancelled::Bare if state.cancelled => return Value::Object(event),
        Cancelled::Placeholder if state.cancelled => {
            set("start", json!({ "date": "2000-01-01" }));
            set("end", json!({ "date": "2000-01-01" }));
            return Value::Object(event);
        }
        _ => {}
    }
    set("htmlLink", json!(link(&shown.id, &calendar.id)));
    set("created", json!(time(shown.item.created)));
    set("updated", json!(time(state.updated)));
    set("summary", json!(state.summary));
    set("description", json!(state.description));
    set("location", json!(state.location));
    set("creator", person(&shown.item.organizer));
    set("organizer", person(&shown.item.organizer));
    let (start, end) = ends(&state.slot, &offset);
    set("start", start);
    set("end", end);
    if let (None, Some(rule)) = (shown.origin, &shown.item.rule) {
        set("recurrence", json!([rule.line(&state.slot)]));
    }
    set("iCalUID", json!(format!("{}@google.com", shown.item.id)));
    set("sequence", json!(state.sequence));
    attendees(state, &shown.item.organizer, most_attendees, &mut set);
    set("reminders", reminders(state.reminder));
    set("extendedProperties", extended(&state.extended));
    let event_type = shown.item.event_type;
    set("eventType", json!(event_type.name()));
    if let Some((name, properties)) = properties(event_type) {
        set(name, properties);
    }
    Value::Object(event)
}

/// The etag of a change, with its quotes.
pub(super) fn etag(stamp: u64) -> String {
    format!("\"{stamp}\"")
}

fn attendees(state: &EventState, organizer: &str, most: Option<usize>, set: &mut impl FnMut(&str, Value)) {
    if state.attendees.is_empty() {
        return;
    }
    let too_many = most.is_some_and(|most| state.attendees.len() > most);
    let shown = state.attendees.iter().filter(|(address, _)| !too_many || address == OWNER);
    let list = shown.map(|(address, answer)| {
        let mut attendee = person(address);
        if address == organizer {
            attendee["organizer"] = json!(true);
        }
        attendee["responseStatus"] = json!(answer);
        attendee
    });
    set("attendees", list.collect());
    if too_many {
        set("attendeesOmitted", json!(true));
    }
}

fn person(address: &str) -> Value {
    if address == OWNER { json!({ "email": address, "self": true }) } else { json!({ "email": address }) }
}

fn reminders(minutes: Option<u32>) -> Value {
    match minutes {
        None => json!({ "useDefault": true }),
        Some(minutes) => {
            json!({ "useDefault": false, "overrides": [{ "method": "popup", "minutes": minutes }] })
        }
    }
}

/// Null where there is none; a part without entries is left out.
fn extended(extended: &ExtendedProperties) -> Value {
    let parts = [("private", &extended.private), ("shared", &extended.shared)];
    let parts = parts.into_iter().filter(|(_, texts)| !texts.is_empty());
    let parts: Map<String, Value> = parts.map(|(name, texts)| (name.to_owned(), json!(texts))).collect();
    if parts.is_empty() { Value::Null } else { Value::Object(parts) }
}

/// What the resource says more of events of a type.
fn properties(event_type: EventType) -> Option<(&'static str, Value)> {
    match event_type {
        EventType::Default | EventType::FromGmail => None,
        EventType::Birthday => Some(("birthdayProperties", json!({ "type": "birthday" }))),
        EventType::WorkingLocation => {
            Some(("workingLocationProperties", json!({ "type": "homeOffice", "homeOffice": {} })))
        }
        EventType::FocusTime => {
            let texts = json!({ "autoDeclineMode": "declineNone", "chatStatus": "doNotDisturb" });
            Some(("focusTimeProperties", texts))
        }
        EventType::OutOfOffice => {
            Some(("outOfOfficeProperties", json!({ "autoDeclineMode": "declineNone" })))
        }
    }
}

fn ends(slot: &Slot, offset: &TimeZone) -> (Value, Value) {
    match slot {
        Slot::Timed { start, end, zone } => (moment(*start, zone, offset), moment(*end, zone, offset)),
        Slot::Days { first, after } => {
            (json!({ "date": first.to_string() }), json!({ "date": after.to_string() }))
        }
    }
}

fn original_start(origin: Origin, slot: &Slot, offset: &TimeZone) -> Value {
    match (origin, slot) {
        (Origin::On(day), _) => json!({ "date": day.to_string() }),
        (Origin::At(at), Slot::Timed { zone, .. }) => moment(at, zone, offset),
        (Origin::At(at), Slot::Days { .. }) => moment(at, "UTC", offset),
    }
}

/// A moment with the name of its zone, written in the offset of another one.
fn moment(at: Timestamp, zone: &str, offset: &TimeZone) -> Value {
    let local = at.to_zoned(offset.clone());
    let text = match local.offset().seconds() {
        0 => local.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        _ => local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
    };
    json!({ "dateTime": text, "timeZone": zone })
}

/// A moment in milliseconds, as in `created` and `updated`.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

fn link(id: &str, calendar: &str) -> String {
    let eid = URL_SAFE_NO_PAD.encode(format!("{id} {calendar}"));
    format!("https://www.google.com/calendar/event?eid={eid}")
}
