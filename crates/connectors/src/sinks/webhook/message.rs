//! What is sent: the body of a request, and the headers that come of its events.

use inboxclaw_contract::envelope::cloudevents;
use inboxclaw_contract::envelope::{Format, Style};
use inboxclaw_contract::{Delivery, DeliveryOrigin, Event};
use sha2::{Digest, Sha256};

use crate::hex::hex;
use crate::template::{Payload, Root};

/// A list is sent when it has so many bytes. One event alone may have more.
const LIST_BYTES: usize = 1 << 20;

/// How events are put into requests.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    /// One event in a request, as a JSON object.
    #[default]
    Structured,
    /// One event in a request. The body is its data, everything else is in headers. Only with `format: cloudevents`.
    Binary,
    /// A JSON list of events, also where it is a list of one.
    Batched,
}

/// What a request looks like.
pub(super) struct Shape {
    pub(super) format: Format,
    pub(super) mode: Mode,
    pub(super) payload: Option<Payload>,
}

/// A request that is still to be signed.
pub(super) struct Message {
    /// How many events are in it.
    pub(super) events: usize,
    pub(super) id: String,
    pub(super) attempt: u32,
    pub(super) origin: &'static str,
    pub(super) body: String,
    /// Names and values of headers that its event gives.
    pub(super) headers: Vec<(String, String)>,
}

impl Shape {
    pub(super) fn content_type(&self) -> &'static str {
        match (self.format, self.mode) {
            (Format::CloudEvents, Mode::Structured) => cloudevents::STRUCTURED,
            (Format::CloudEvents, Mode::Batched) => cloudevents::BATCHED,
            (Format::CloudEvents, Mode::Binary) | (Format::Inboxclaw, _) => cloudevents::JSON,
        }
    }

    /// The next request: of the first delivery and, in a list, of as many that follow it as may go with it.
    pub(super) fn next(&self, first: &Delivery, rest: &[Delivery]) -> Message {
        let mut message = Message {
            events: 1,
            id: first.message_id(),
            attempt: first.attempt,
            origin: origin(first.origin),
            body: String::new(),
            headers: Vec::new(),
        };
        match self.mode {
            Mode::Structured => self.write(&first.event, &mut message.body),
            Mode::Binary => {
                first.event.data.write_compact(&mut message.body);
                message.headers = cloudevents::headers(&first.event);
            }
            Mode::Batched => self.list(first, rest, &mut message),
        }
        message
    }

    /// Fills a list. An event that is tried again goes alone: were it the reason that the list before was refused, its
    /// neighbours would be refused with it until all of them are dead letters.
    fn list(&self, first: &Delivery, rest: &[Delivery], message: &mut Message) {
        message.body.push('[');
        self.write(&first.event, &mut message.body);
        let mut ids = Sha256::new().chain_update(&message.id);
        let goes_along =
            |next: &&Delivery| first.attempt == 1 && next.attempt == 1 && next.origin == first.origin;
        for next in rest.iter().take_while(goes_along) {
            let before = message.body.len();
            message.body.push(',');
            self.write(&next.event, &mut message.body);
            if message.body.len() >= LIST_BYTES {
                message.body.truncate(before);
                break;
            }
            ids.update(next.message_id());
            message.events += 1;
        }
        message.body.push(']');
        if message.events > 1 {
            message.id = format!("list_{}", hex(&ids.finalize()[..16]));
        }
    }

    fn write(&self, event: &Event, out: &mut String) {
        match &self.payload {
            Some(payload) => out.push_str(&payload.render(&Root::event(event))),
            None => self.format.write(event, Style::Compact, out),
        }
    }
}

fn origin(origin: DeliveryOrigin) -> &'static str {
    match origin {
        DeliveryOrigin::Log => "log",
        DeliveryOrigin::Retry => "retry",
        DeliveryOrigin::Replay(_) => "replay",
    }
}
