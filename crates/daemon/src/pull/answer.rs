//! A batch as JSON. A small one is one text; a large one is written piece by piece as the consumer takes it, and
//! each event is let go once it is written.

use std::convert::Infallible;
use std::{iter, mem, vec};

use axum::body::Body;
use futures_util::stream;
use inboxclaw_contract::Event;
use inboxclaw_contract::envelope::{Style, write_envelope};
use tokio::sync::OwnedSemaphorePermit;

use super::Batch;

/// The length from which a piece is sent, in bytes. A batch that fits into one has a `content-length`.
const PIECE: usize = 4 << 20;

/// The body of the answer. A large one keeps `permit` until all of it is taken.
pub(super) fn body(batch: Batch, permit: OwnedSemaphorePermit) -> Body {
    let mut pieces = Pieces::of(batch);
    let first = pieces.next().unwrap_or_default();
    if pieces.ended {
        return Body::from(first);
    }
    let pieces = iter::once(first).chain(pieces).map(move |piece| {
        let _held = &permit;
        Ok::<_, Infallible>(piece)
    });
    Body::from_stream(stream::iter(pieces))
}

struct Pieces {
    /// What is written and not sent.
    text: String,
    events: vec::IntoIter<Event>,
    remaining: u64,
    ended: bool,
}

impl Pieces {
    fn of(batch: Batch) -> Self {
        let id = batch.id.map_or_else(|| "null".to_owned(), |id| id.to_string());
        let text = format!(r#"{{"batch_id":{id},"events":["#);
        Self { text, events: batch.events.into_iter(), remaining: batch.remaining, ended: false }
    }
}

impl Iterator for Pieces {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.ended {
            return None;
        }
        while self.text.len() < PIECE {
            let Some(event) = self.events.next() else {
                self.ended = true;
                self.text.push_str(&format!(r#"],"remaining_events":{}}}"#, self.remaining));
                break;
            };
            write_envelope(&event, Style::Compact, &mut self.text);
            if self.events.len() > 0 {
                self.text.push(',');
            }
        }
        Some(mem::take(&mut self.text))
    }
}

#[cfg(test)]
mod tests {
    use inboxclaw_contract::{Json, OwnerId, Seq};
    use jiff::Timestamp;
    use serde_json::Value;

    use super::*;

    fn event(seq: i64, bytes: usize) -> Event {
        Event {
            seq: Seq(seq),
            source: OwnerId(1),
            source_name: "s".to_owned(),
            event_id: format!("e{seq}"),
            event_type: "t".to_owned(),
            entity_id: None,
            created_at: Timestamp::UNIX_EPOCH,
            occurred_at: None,
            data: Json::from_value(&"x".repeat(bytes)).unwrap(),
            meta: Json::empty_object(),
        }
    }

    fn check(sizes: &[usize], pieces: usize) {
        let events = (1..).zip(sizes).map(|(seq, bytes)| event(seq, *bytes)).collect();
        let written: Vec<String> = Pieces::of(Batch { id: Some(7), events, remaining: 2 }).collect();
        assert_eq!(written.len(), pieces, "{sizes:?}");
        let read: Value = serde_json::from_str(&written.concat()).unwrap();
        let keys: Vec<_> = read.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["batch_id", "events", "remaining_events"]);
        let ids: Vec<_> =
            read["events"].as_array().unwrap().iter().map(|event| event["id"].as_i64()).collect();
        assert_eq!(ids, (1..).take(sizes.len()).map(Some).collect::<Vec<_>>());
    }

    #[test]
    fn pieces_make_one_document() {
        check(&[], 1);
        check(&[1, 1, 1], 1);
        check(&[PIECE, 1, PIECE, PIECE], 4);
        let empty: Vec<String> = Pieces::of(Batch::default()).collect();
        assert_eq!(empty, [r#"{"batch_id":null,"events":[],"remaining_events":0}"#]);
    }
}
