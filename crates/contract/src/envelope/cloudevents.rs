//! CloudEvents 1.0: an event by the names of that standard, as JSON (its JSON event format) and as headers (binary mode of
//! its HTTP binding).
//!
//! - `source` names our source, and an `event_id` is unique within its source: so `source` and `id` together are unique,
//!   as the standard asks, also between two databases that have a source of the same name.
//! - `time` is when it happened ([`occurred_at`](Event::occurred_at)), and where nobody knows that, when it was stored.
//!   The extension `recordedtime` always says when it was stored.
//! - `inboxclawid` is the event's number in the log, as text: an integer of the standard has 32 bits.
//! - An attribute cannot hold an object, so [`meta`](Event::meta) goes as its JSON text, in `inboxclawmeta`, where it is
//!   not empty.
//!
//! Left out: `dataschema`, `data_base64` and the handshake of its web hook specification.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::Offset;

use super::writer::{Style, Writer};
use crate::event::Event;

/// Content type of one event as a JSON object. JSON is UTF-8 whether that is said or not, and the SDK for JavaScript knows
/// the type with a `charset` in lower case only.
pub const STRUCTURED: &str = "application/cloudevents+json";
/// Content type of a JSON list of events.
pub const BATCHED: &str = "application/cloudevents-batch+json";
/// What comes before the names of attributes in headers.
pub const HEADER_PREFIX: &str = "ce-";
/// The attribute that says what the data is. In headers it is `content-type`.
pub const DATA_CONTENT_TYPE: &str = "datacontenttype";
/// What the data is.
pub const JSON: &str = "application/json";

/// Longest `inboxclawmeta` in a header, in bytes before it is encoded. Servers refuse requests whose headers have more than
/// 8 to 16 KiB.
const META_HEADER_BYTES: usize = 1 << 10;

/// Appends an event as a JSON object: its attributes, then `data`.
pub(super) fn write(event: &Event, style: Style, out: &mut String) {
    let mut writer = Writer { out, style };
    writer.raw("{");
    for (index, (name, value)) in attributes(event).into_iter().enumerate() {
        if index == 0 {
            writer.key(name)
        } else {
            writer.next_key(name)
        }
        writer.text(&value);
    }
    writer.next_key("data");
    writer.json(&event.data);
    writer.raw("}");
}

/// The attributes of an event by the names of their headers, without `content-type`. The values are encoded: visible
/// ASCII. A meta that is too long for a header is left out.
#[must_use]
pub fn headers(event: &Event) -> Vec<(String, String)> {
    let fits = |(name, value): &(&str, String)| match *name {
        DATA_CONTENT_TYPE => false,
        "inboxclawmeta" => value.len() <= META_HEADER_BYTES,
        _ => true,
    };
    let attributes = attributes(event).into_iter().filter(fits);
    attributes.map(|(name, value)| (format!("{HEADER_PREFIX}{name}"), header_value(&value))).collect()
}

fn attributes(event: &Event) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("specversion", "1.0".to_owned()),
        ("id", text(&event.event_id)),
        ("source", source(&event.source_name)),
        ("type", text(&event.event_type)),
    ];
    // An attribute that is there must not be empty.
    if let Some(entity_id) = event.entity_id.as_deref().filter(|id| !id.is_empty()) {
        all.push(("subject", text(entity_id)));
    }
    let happened = event.occurred_at.and_then(time).or_else(|| time(event.created_at));
    all.extend(happened.map(|at| ("time", at)));
    all.push((DATA_CONTENT_TYPE, JSON.to_owned()));
    all.push(("inboxclawid", event.seq.0.to_string()));
    all.extend(time(event.created_at).map(|at| ("recordedtime", at)));
    let mut meta = String::new();
    event.meta.write_compact(&mut meta);
    if meta != "{}" {
        all.push(("inboxclawmeta", text(&meta)));
    }
    all
}

/// The source as a URI reference, which the standard wants `source` to be.
fn source(name: &str) -> String {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    format!("/inboxclaw/sources/{}", percent_encoded(name, is_unreserved))
}

/// A time by RFC 3339 with `Z`; `None` for a year that this form does not have.
fn time(at: Timestamp) -> Option<String> {
    (Offset::UTC.to_datetime(at).year() >= 0).then(|| at.to_string())
}

/// A text as the standard's type `String` allows it. What it forbids (control characters and what Unicode calls
/// noncharacters) is spelled out as in JSON.
fn text(text: &str) -> String {
    let mut allowed = String::with_capacity(text.len());
    for c in text.chars() {
        let code = u32::from(c);
        if c.is_control() || (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(allowed, "\\u{unit:04x}");
            }
        } else {
            allowed.push(c);
        }
    }
    allowed
}

/// By section 3.1.3.2 of the HTTP binding: visible ASCII stays, but for `"` and `%`.
fn header_value(value: &str) -> String {
    percent_encoded(value, |byte| matches!(byte, b'!'..=b'~') && byte != b'"' && byte != b'%')
}

fn percent_encoded(text: &str, stays: impl Fn(u8) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if stays(byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{Json, OwnerId, Seq};

    fn event() -> Event {
        Event {
            seq: Seq(3_000_000_000),
            source: OwnerId(3),
            source_name: "my m\u{fc}ll/1".to_owned(),
            event_id: "a\"b".to_owned(),
            event_type: "gmail.message_received".to_owned(),
            entity_id: Some("in 100%\n".to_owned()),
            created_at: "2026-11-22T06:46:26.063532Z".parse().unwrap(),
            occurred_at: Some("2026-11-22T08:00:00+02:00".parse().unwrap()),
            data: Json::new("{\"z\": 1e5, \"a\": [12345678901234567890]}").unwrap(),
            meta: Json::new("{\"n\": 2}").unwrap(),
        }
    }

    fn written(event: &Event) -> Value {
        let mut out = String::new();
        write(event, Style::Compact, &mut out);
        serde_json::from_str(&out).unwrap()
    }

    /// What the standard says about an event in its JSON format, read from its text and not from the code above.
    fn check(event: &Value) {
        let (mut named, is_text) = (event.as_object().unwrap().clone(), |value: &Value| {
            value.as_str().is_some_and(|text| {
                !text.is_empty()
                    && text.chars().all(|c| !c.is_control() && !matches!(c, '\u{fdd0}'..='\u{fdef}'))
                    && text.chars().all(|c| !matches!(u32::from(c) & 0xffff, 0xfffe | 0xffff))
            })
        });
        assert!(named.remove("data").unwrap().is_object());
        for (name, value) in &named {
            assert!(name.len() <= 20 && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()));
            assert!(is_text(value), "{name}: {value}");
        }
        for required in ["id", "source", "type"] {
            assert!(named.contains_key(required), "{required} is missing");
        }
        assert_eq!(named["specversion"], "1.0");
        let source = named["source"].as_str().unwrap();
        assert!(source.bytes().all(|c| c.is_ascii_alphanumeric() || b"-._~/%".contains(&c)), "{source}");
        for name in ["time", "recordedtime"] {
            let time = named[name].as_str().unwrap();
            assert!(time.as_bytes()[..4].iter().all(u8::is_ascii_digit) && time.ends_with('Z'), "{time}");
            time.parse::<Timestamp>().unwrap();
        }
    }

    #[test]
    fn an_event_has_the_names_of_the_standard() {
        let mut out = String::new();
        write(&event(), Style::Compact, &mut out);
        assert_eq!(
            out,
            "{\"specversion\":\"1.0\",\"id\":\"a\\\"b\",\"source\":\"/inboxclaw/sources/my%20m%C3%BCll%2F1\",\
             \"type\":\"gmail.message_received\",\"subject\":\"in 100%\\\\u000a\",\"time\":\"2026-11-22T06:00:00Z\",\
             \"datacontenttype\":\"application/json\",\"inboxclawid\":\"3000000000\",\
             \"recordedtime\":\"2026-11-22T06:46:26.063532Z\",\"inboxclawmeta\":\"{\\\"n\\\":2}\",\
             \"data\":{\"z\":1e5,\"a\":[12345678901234567890]}}"
        );
        check(&written(&event()));
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        for (entity_id, meta) in [(None, "{}"), (Some(String::new()), "{ }")] {
            let meta = Json::new(meta).unwrap();
            let event = written(&Event { entity_id, meta, occurred_at: None, ..event() });
            check(&event);
            assert_eq!(event.get("subject").or(event.get("inboxclawmeta")), None);
            assert_eq!(event["time"], "2026-11-22T06:46:26.063532Z", "when it was stored");
        }
        let ancient = Some("-000044-03-15T12:00:00Z".parse().unwrap());
        assert_eq!(
            written(&Event { occurred_at: ancient, ..event() })["time"],
            "2026-11-22T06:46:26.063532Z"
        );
    }

    #[test]
    fn headers_are_visible_ascii() {
        let headers: Value =
            headers(&event()).into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        assert_eq!(
            headers,
            json!({
                "ce-specversion": "1.0",
                "ce-id": "a%22b",
                "ce-source": "/inboxclaw/sources/my%2520m%25C3%25BCll%252F1",
                "ce-type": "gmail.message_received",
                "ce-subject": "in%20100%25\\u000a",
                "ce-time": "2026-11-22T06:00:00Z",
                "ce-inboxclawid": "3000000000",
                "ce-recordedtime": "2026-11-22T06:46:26.063532Z",
                "ce-inboxclawmeta": "{%22n%22:2}",
            })
        );
        let long = Json::new(format!("{{\"n\":\"{}\"}}", "x".repeat(META_HEADER_BYTES))).unwrap();
        let event = Event { meta: long, ..event() };
        assert!(super::headers(&event).iter().all(|(name, _)| name != "ce-inboxclawmeta"));
        assert!(written(&event)["inboxclawmeta"].as_str().unwrap().len() > META_HEADER_BYTES);
    }

    proptest! {
        #[test]
        fn any_event_is_one_of_the_standard(
            id in "\\PC{1,9}[\u{fffe}\u{10ffff}\u{fdd0}]?",
            source_name in "\\PC{1,9}",
            entity_id in proptest::option::of(".{0,9}\\p{C}{0,3}"),
            seconds in -62_167_219_200_i64..253_402_207_200,
        ) {
            let occurred_at = Some(Timestamp::from_second(seconds).unwrap());
            let event = Event { event_id: id, source_name, entity_id, occurred_at, ..event() };
            check(&written(&event));
            for (name, value) in headers(&event) {
                prop_assert!(value.bytes().all(|byte| byte.is_ascii_graphic()), "{}: {}", name, value);
            }
        }
    }
}
