//! The forms in which an event leaves the program, whatever the sink. [`Format::Inboxclaw`], the default, is the envelope
//! of the program before this one, with its keys, their order and its form of the time, because scripts read them.
//! [`Format::CloudEvents`] is for receivers that know that standard (`envelope/cloudevents.rs`).
//!
//! Left out: [`occurred_at`](crate::Event::occurred_at), which is not part of the older envelope, and what a sink wraps
//! around an event (batches, frames, templates).

pub mod cloudevents;
mod writer;

use jiff::Timestamp;
use jiff::tz::Offset;

use crate::event::Event;
pub use writer::Style;
use writer::Writer;

/// How an event is written.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `id`, `event_id`, `event_type`, `entity_id`, `created_at`, `data`, `source` and `meta`. `created_at` is UTC without
    /// saying so; `event_id` is unique within one source only.
    #[default]
    Inboxclaw,
    /// CloudEvents 1.0 in JSON. Times say that they are UTC; `source` and `id` together are unique.
    CloudEvents,
}

impl Format {
    /// Appends an event as an object, without a line end. Data and meta keep their numbers and the order of their keys.
    pub fn write(self, event: &Event, style: Style, out: &mut String) {
        match self {
            Self::Inboxclaw => write_envelope(event, style, out),
            Self::CloudEvents => cloudevents::write(event, style, out),
        }
    }
}

/// Appends the envelope of an event: an object of `id`, `event_id`, `event_type`, `entity_id`, `created_at`, `data`,
/// `source` and `meta`, without a line end. Data and meta keep their numbers and the order of their keys.
pub fn write_envelope(event: &Event, style: Style, out: &mut String) {
    let mut writer = Writer { out, style };
    writer.raw("{");
    writer.key("id");
    writer.raw(&event.seq.0.to_string());
    writer.next_key("event_id");
    writer.text(&event.event_id);
    writer.next_key("event_type");
    writer.text(&event.event_type);
    writer.next_key("entity_id");
    match &event.entity_id {
        Some(entity_id) => writer.text(entity_id),
        None => writer.raw("null"),
    }
    writer.next_key("created_at");
    writer.text(&wire_time(event.created_at));
    writer.next_key("data");
    writer.json(&event.data);
    writer.next_key("source");
    writer.raw("{");
    writer.key("id");
    writer.raw(&event.source.0.to_string());
    writer.next_key("name");
    writer.text(&event.source_name);
    writer.raw("}");
    writer.next_key("meta");
    writer.json(&event.meta);
    writer.raw("}");
}

/// A time as the envelope shows it: `2026-11-22T06:46:26.063532`, in UTC without saying so, with six digits of
/// fraction, or none when the microseconds are zero.
#[must_use]
pub fn wire_time(at: Timestamp) -> String {
    let at = Offset::UTC.to_datetime(at);
    let mut text = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    );
    let micros = at.subsec_nanosecond() / 1_000;
    if micros != 0 {
        text.push_str(&format!(".{micros:06}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Json;
    use crate::event::Seq;
    use crate::owner::OwnerId;

    fn event() -> Event {
        Event {
            seq: Seq(17),
            source: OwnerId(3),
            source_name: "m\u{fc}ll".to_owned(),
            event_id: "a\"b\nc".to_owned(),
            event_type: "mock.random_number".to_owned(),
            entity_id: None,
            created_at: "2026-11-22T06:46:26.063532Z".parse().unwrap(),
            occurred_at: Some("2020-01-01T00:00:00Z".parse().unwrap()),
            data: Json::new("{ \"z\":1e5,\t\"a\":[12345678901234567890, \"\u{e9}\u{1f600}\"],\"e\":{} }")
                .unwrap(),
            meta: Json::empty_object(),
        }
    }

    fn written(event: &Event, style: Style) -> String {
        let mut out = String::new();
        write_envelope(event, style, &mut out);
        out
    }

    #[test]
    fn compact_has_no_white_space_and_plain_utf8() {
        assert_eq!(
            written(&event(), Style::Compact),
            "{\"id\":17,\"event_id\":\"a\\\"b\\nc\",\"event_type\":\"mock.random_number\",\"entity_id\":null,\
             \"created_at\":\"2026-11-22T06:46:26.063532\",\"data\":{\"z\":1e5,\"a\":[12345678901234567890,\
             \"\u{e9}\u{1f600}\"],\"e\":{}},\"source\":{\"id\":3,\"name\":\"m\u{fc}ll\"},\"meta\":{}}"
        );
    }

    #[test]
    fn spaced_has_a_space_after_each_comma_and_colon() {
        let event = Event { entity_id: Some("\u{10d}".to_owned()), ..event() };
        assert_eq!(
            written(&event, Style::Spaced),
            "{\"id\": 17, \"event_id\": \"a\\\"b\\nc\", \"event_type\": \"mock.random_number\", \
             \"entity_id\": \"\u{10d}\", \"created_at\": \"2026-11-22T06:46:26.063532\", \
             \"data\": {\"z\": 1e5, \"a\": [12345678901234567890, \"\u{e9}\u{1f600}\"], \"e\": {}}, \
             \"source\": {\"id\": 3, \"name\": \"m\u{fc}ll\"}, \"meta\": {}}"
        );
    }

    #[test]
    fn spaced_ascii_escapes_everything_beyond_ascii() {
        let meta = Json::new("{\"k\u{e9}\":\"\u{7f}\"}").unwrap();
        assert_eq!(
            written(&Event { meta, ..event() }, Style::SpacedAscii),
            "{\"id\": 17, \"event_id\": \"a\\\"b\\nc\", \"event_type\": \"mock.random_number\", \
             \"entity_id\": null, \"created_at\": \"2026-11-22T06:46:26.063532\", \
             \"data\": {\"z\": 1e5, \"a\": [12345678901234567890, \"\\u00e9\\ud83d\\ude00\"], \"e\": {}}, \
             \"source\": {\"id\": 3, \"name\": \"m\\u00fcll\"}, \"meta\": {\"k\\u00e9\": \"\\u007f\"}}"
        );
    }

    #[test]
    fn times_have_six_digits_of_fraction_or_none() {
        for (at, wire) in [
            ("2026-11-22T06:46:26Z", "2026-11-22T06:46:26"),
            ("2026-01-02T03:04:05.5Z", "2026-01-02T03:04:05.500000"),
            ("2026-01-02T03:04:05.000001Z", "2026-01-02T03:04:05.000001"),
            ("2026-01-02T03:04:05.000000999Z", "2026-01-02T03:04:05"),
            ("2026-01-01T00:30:00+02:00", "2025-12-31T22:30:00"),
            ("0099-01-02T03:04:05Z", "0099-01-02T03:04:05"),
        ] {
            assert_eq!(wire_time(at.parse().unwrap()), wire);
        }
    }

    #[test]
    fn every_style_is_the_same_json() {
        let compact: serde_json::Value = serde_json::from_str(&written(&event(), Style::Compact)).unwrap();
        for style in [Style::Spaced, Style::SpacedAscii] {
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&written(&event(), style)).unwrap(),
                compact
            );
        }
    }
}
