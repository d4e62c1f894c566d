//! The SSE sink: every event as it comes, to whoever is connected. A consumer that names the last event it has gets
//! what came after it.
//!
//! `feed` decides what a stream sends when, `pages` reads the log for all of them, `frames` says how it looks. Left out: confirmations and times to live; who
//! needs them takes the pull sink.

mod feed;
pub(crate) mod frames;
mod pages;

use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
pub use feed::{Feed, Heartbeat};
use futures_util::stream::unfold;
use inboxclaw_contract::envelope::Format;
use inboxclaw_contract::{Clock, Condition, Selection, Seq, Store};
use inboxclaw_settings::coerce::lax;
use inboxclaw_settings::{Interval, Patterns};
pub(crate) use pages::SharedPages;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use crate::clients::Client;
use crate::openapi::{Operation, integer, stream, text};
use crate::params::Params;
use crate::reply::{self, Refusal, Reply};
use crate::streams::Streams;

/// The word behind `type:`.
pub const KIND: &str = "sse";

/// Sends events as they come to whoever is connected (server-sent events).
///
/// What a consumer has to know about the envelope: `event_id` is unique within its source only, so that `source.name` and
/// `event_id` together say which event it is; `created_at` is UTC without saying so. `format: cloudevents` says the time
/// zone and when it happened.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The last part of the address, behind the sink's name; by default the address is the name and a slash.
    pub path: String,
    /// After how long without a message on a stream a heartbeat is sent; at least a second.
    #[serde(deserialize_with = "at_least_a_second")]
    pub heartbeat_timeout: Interval,
    /// What `data` holds. What stands around it stays the same.
    pub format: Format,
}

impl Default for Settings {
    fn default() -> Self {
        Self { path: String::new(), heartbeat_timeout: Interval::from_secs(30), format: Format::default() }
    }
}

/// An SSE sink, ready to serve.
#[derive(Debug, Clone)]
pub struct SseSink {
    name: String,
    patterns: Patterns,
    condition: Option<Condition>,
    path: String,
    heartbeat: Duration,
    format: Format,
}

impl SseSink {
    /// The sink of that name.
    #[must_use]
    pub fn new(name: &str, patterns: Patterns, settings: Settings) -> Self {
        let heartbeat = settings.heartbeat_timeout.as_duration();
        let (path, format) = (settings.path, settings.format);
        Self { name: name.to_owned(), patterns, condition: None, path, heartbeat, format }
    }

    /// The same sink for events that fulfil the condition, if there is one.
    #[must_use]
    pub fn with_condition(self, condition: Option<Condition>) -> Self {
        Self { condition, ..self }
    }

    /// Its configured name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a stream of this sink selects, from the event after `after` on.
    #[must_use]
    pub fn selection(&self, selector: Option<Patterns>, after: Seq) -> Selection {
        Selection { patterns: self.patterns.clone(), selector, after, ..Selection::default() }
    }

    /// After how long without a message a heartbeat is sent.
    #[must_use]
    pub fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    pub(crate) fn path(&self) -> String {
        format!("/{}/{}", self.name, self.path.trim_start_matches('/'))
    }
}

/// What streams of events need.
#[derive(Clone)]
pub(crate) struct Subscriptions {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) streams: Arc<Streams>,
    /// What streams at the end of the log have just been sent.
    pub(crate) pages: Arc<SharedPages>,
}

impl Subscriptions {
    /// `GET` on the sink's path.
    pub(crate) async fn open(
        &self,
        sink: &SseSink,
        mut params: Params,
        request: &Parts,
    ) -> Result<Reply, Refusal> {
        let selector = params.text("event_type").and_then(Patterns::selector);
        let last = last_event_id(&mut params, request);
        let ignored = params.done()?;
        let place = self.streams.open(Client::of(&request.extensions));
        let place = place.ok_or_else(|| Refusal::from(reply::busy("too many streams are open")))?;
        let head = self.store.head().await?;
        let selection = sink.selection(selector, last.unwrap_or(head));
        let pulse = Heartbeat::new(self.clock.clone(), sink.heartbeat);
        let feed = Feed::new(self.store.clone(), selection, pulse, place.ended());
        let feed = feed.with_condition(sink.condition.clone()).sharing(&self.pages, sink.format);
        let reply = reply::events(unfold((feed, place), |(mut feed, place)| async {
            let text = feed.next().await?;
            Some((Ok(text), (feed, place)))
        }));
        Ok(ignored.told(reply))
    }
}

/// What a stream is, for the description of the API.
pub(crate) fn operation() -> Operation {
    Operation::new("stream", "subscribe", "Sends events as they come (server-sent events).")
        .query("event_type", text(), "Only events whose type matches: `user.*`, or one exact type.")
        .query("last_event_id", integer(), "As the header, for those who cannot set it.")
        .header("Last-Event-ID", "The last event that the client has.")
        .answer(200, "Messages until the client or the program ends.", &[("text/event-stream", stream)])
        .refuses(422, "A parameter cannot work.")
}

/// The last event that the consumer has. The header counts more: it is what a browser sends when it connects again
/// to the address that it was given at first.
fn last_event_id(params: &mut Params, request: &Parts) -> Option<Seq> {
    let header = request.headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let last = match header.filter(|text| !text.is_empty()) {
        Some(text) => params.read_integer(["header", "last-event-id"], text, 0..=i64::MAX),
        None => params.integer("last_event_id", 0..=i64::MAX),
    };
    last.map(Seq)
}

fn at_least_a_second<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Interval, D::Error> {
    let interval: Interval = lax(deserializer)?;
    if interval < Interval::from_secs(1) {
        return Err(de::Error::custom("it must be at least 1 second"));
    }
    Ok(interval)
}
