//! What messages of a stream look like: lines end in CRLF, a message ends with an empty line.

use std::time::Duration;

use inboxclaw_contract::envelope::{Format, Style};
use inboxclaw_contract::{Clock, Event, Seq};
use jiff::Timestamp;
use tokio::time::Instant;

/// The time between two comments of a stream.
const COMMENT_EVERY: Duration = Duration::from_secs(15);

/// A comment, which keeps proxies from closing the connection.
fn comment(now: Timestamp) -> String {
    now.strftime(": ping - %Y-%m-%d %H:%M:%S%.6f+00:00\r\n\r\n").to_string()
}

/// When the comments of a stream are due.
pub(crate) struct Comments {
    at: Instant,
}

impl Comments {
    /// The first one [`COMMENT_EVERY`] from now.
    pub(crate) fn new() -> Self {
        Self { at: Instant::now() + COMMENT_EVERY }
    }

    /// A comment, if it is time. One that comes late does not bring others with it.
    pub(crate) fn due(&mut self, clock: &dyn Clock) -> Option<String> {
        let now = Instant::now();
        if now < self.at {
            return None;
        }
        while self.at <= now {
            self.at += COMMENT_EVERY;
        }
        Some(comment(clock.now()))
    }

    /// When the next one is due.
    pub(crate) fn next_at(&self) -> Instant {
        self.at
    }
}

/// A message of that name. `data` is on one line. A client that connects again names the last `id` it had.
pub(crate) fn message(id: Option<i64>, event: &str, data: &str) -> String {
    let id = id.map(|id| format!("id: {id}\r\n")).unwrap_or_default();
    format!("{id}event: {event}\r\ndata: {data}\r\n\r\n")
}

/// The first message, to a client that has everything up to `at`.
pub(super) fn greeting(at: Seq) -> String {
    message(Some(at.0), "info", "connected")
}

/// The message of a stream that has nothing to say but that there was nothing up to `at`.
pub(super) fn heartbeat(at: Seq) -> String {
    message(Some(at.0), "heartbeat", "ping")
}

/// Moves a client on without telling it anything.
pub(crate) fn position(id: i64) -> String {
    format!("id: {id}\r\n\r\n")
}

/// Says that events before `oldest` are gone and that some of them would have been sent.
pub(super) fn truncated(oldest: Seq) -> String {
    message(None, "truncated", &format!("{{\"oldest\": {}}}", oldest.0))
}

/// An event on one line.
pub(super) fn write_event(event: &Event, format: Format, text: &mut String) {
    text.push_str(&format!("id: {}\r\nevent: message\r\ndata: ", event.seq.0));
    format.write(event, Style::SpacedAscii, text);
    text.push_str("\r\n\r\n");
}

#[cfg(test)]
mod tests {
    use inboxclaw_contract::{Json, OwnerId};

    use super::*;

    #[test]
    fn messages_look_as_they_always_did() {
        let at: Timestamp = "2026-11-22T06:47:51.779146Z".parse().unwrap();
        assert_eq!(comment(at), ": ping - 2026-11-22 06:47:51.779146+00:00\r\n\r\n");
        let whole: Timestamp = "2026-11-22T06:47:51Z".parse().unwrap();
        assert_eq!(comment(whole), ": ping - 2026-11-22 06:47:51.000000+00:00\r\n\r\n");
        assert_eq!(message(Some(7), "x", "{}"), "id: 7\r\nevent: x\r\ndata: {}\r\n\r\n");
        assert_eq!(message(None, "x", "1"), "event: x\r\ndata: 1\r\n\r\n");
        assert_eq!(greeting(Seq(4)), "id: 4\r\nevent: info\r\ndata: connected\r\n\r\n");
        assert_eq!(heartbeat(Seq(0)), "id: 0\r\nevent: heartbeat\r\ndata: ping\r\n\r\n");
        assert_eq!(truncated(Seq(5)), "event: truncated\r\ndata: {\"oldest\": 5}\r\n\r\n");
        let event = Event {
            seq: Seq(3),
            source: OwnerId(1),
            source_name: "mail".to_owned(),
            event_id: "e1".to_owned(),
            event_type: "mail.new".to_owned(),
            entity_id: None,
            created_at: at,
            occurred_at: Some(at),
            data: Json::new("{\n  \"text\": \"é\\n\"\n}").unwrap(),
            meta: Json::empty_object(),
        };
        let mut text = String::new();
        write_event(&event, Format::Inboxclaw, &mut text);
        let wanted = "id: 3\r\nevent: message\r\ndata: {\"id\": 3, \"event_id\": \"e1\", \"event_type\": \"mail.new\", \
            \"entity_id\": null, \"created_at\": \"2026-11-22T06:47:51.779146\", \"data\": {\"text\": \"\\u00e9\\n\"}, \
            \"source\": {\"id\": 1, \"name\": \"mail\"}, \"meta\": {}}\r\n\r\n";
        assert_eq!(text, wanted);
    }
}
