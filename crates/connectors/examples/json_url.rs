//! A source to learn from: one JSON address, of which each change of the value is an event. It shows settings, the way over
//! the network, and ids of events where the other side names no change; `loans.rs` beside it shows the state.
//! `cargo run -p inboxclaw-connectors --example json_url` shows it at work and
//! `cargo test -p inboxclaw-connectors --example json_url` tests it.
//!
//! What state holds:
//!
//! - the cursor: the `ETag` of the document that was read last, so that one that did not change is not sent again;
//! - `known`: what the value was, as a digest, and its mark. The first value is remembered and is no event.
//!
//! The id of an event is the mark: a digest of the mark before, of what the server says about the version (`ETag` and
//! `Last-Modified`), and of the value. An `ETag` alone would not do: where it is made of the content, A, B and A again have
//! two of them and are two changes. The mark before keeps them apart, and a rewind makes the same mark again.
//!
//! Values are equal when they mean the same: the order of keys and white space are no change. Left out: redirects, and
//! what a value was between two polls. After a rewind over several changes the last of them is told once more, because it
//! is another change then: from the value that was put back.

#![allow(clippy::print_stdout, reason = "a program that shows something")]

#[path = "../tests/server/mod.rs"]
mod server;
#[path = "../tests/support/mod.rs"]
mod support;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use async_trait::async_trait;
use inboxclaw_connectors::http::{self, Http, Reach, Reply};
use inboxclaw_contract::{
    Class, Draft, Expiry, Failure, Json, NewEvent, Next, Outside, Source, SourceSettings,
};
use inboxclaw_settings::{Interval, coerce};
use jiff::Timestamp;
use reqwest::header::{ACCEPT, ETAG, HeaderValue, IF_NONE_MATCH, LAST_MODIFIED};
use reqwest::{Method, Url};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Largest document, unpacked.
const MOST_BYTES: usize = 1 << 20;
/// Longest `ETag` that is remembered. Without it the document is read whole each time, nothing worse.
const MOST_ETAG: usize = 1024;
/// The key of what is known.
const KNOWN: &str = "known";

/// Reports each change of a JSON document, or of a part of it, as `json.changed`.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address of the document, http or https. A user name and password in it are sent as basic authentication.
    #[serde(deserialize_with = "coerce::lax")]
    #[schemars(extend("format" = "uri"))]
    url: String,

    /// Time between two polls, at least 1 second.
    #[serde(default = "default_poll_interval")]
    poll_interval: Interval,

    /// The part that is watched, as a JSON pointer (RFC 6901) such as `/status/level`. Without it, the whole document.
    #[serde(default, deserialize_with = "coerce::lax")]
    pointer: String,
}

fn default_poll_interval() -> Interval {
    Interval::from_secs(5 * 60)
}

impl SourceSettings for Settings {
    const KIND: &'static str = "json_url";

    fn interval(&self) -> Option<Duration> {
        Some(self.poll_interval.as_duration())
    }

    fn build(self, outside: &Outside) -> anyhow::Result<Box<dyn Source>> {
        let url = http::parse_url("url", &self.url)?;
        http::check_interval(self.poll_interval)?;
        let pointer = self.pointer;
        ensure!(
            pointer.is_empty() || pointer.starts_with('/'),
            "pointer is {pointer:?}, it must be empty or begin with a slash"
        );
        let subject = subject(&url, &pointer);
        Ok(Box::new(JsonUrl { http: Http::shared(outside), url, pointer, subject }))
    }
}

struct JsonUrl {
    http: Arc<Http>,
    url: Url,
    pointer: String,
    /// What is watched, see [`subject`].
    subject: String,
}

/// What is remembered of the value.
#[derive(Serialize, Deserialize)]
struct Known {
    /// What was watched, see [`subject`]. Of anything else it says nothing.
    subject: String,
    /// A digest of the value.
    value: String,
    /// A digest of how it came about.
    mark: String,
}

/// A document as the server gave it.
struct Document {
    /// The part that is watched, its keys in order.
    value: Value,
    etag: Option<String>,
    last_modified: Option<String>,
}

#[async_trait]
impl Source for JsonUrl {
    async fn poll(&self, draft: &mut Draft<'_>) -> Result<Next, Failure> {
        let known: Option<Known> = draft.get(KNOWN).await?;
        let known = known.filter(|known| known.subject == self.subject);
        let etag = draft.cursor().filter(|_| known.is_some()).map(str::to_owned);
        let Some(document) = self.read(etag.as_deref(), draft.now()).await? else { return Ok(Next::Wait) };
        let value = digest([document.value.to_string().as_str()]);
        if known.as_ref().is_none_or(|known| known.value != value) {
            let before = known.as_ref().map_or("", |known| &known.mark);
            let version =
                [&document.etag, &document.last_modified].map(|it| it.as_deref().unwrap_or_default());
            let mark = digest([before, version[0], version[1], &value]);
            if known.is_some() {
                self.report(draft, &mark, &document.value)?;
            }
            draft.put(KNOWN, &Known { subject: self.subject.clone(), value, mark }, Expiry::Never)?;
        }
        if draft.cursor() != document.etag.as_deref() {
            draft.set_cursor(document.etag)?;
        }
        Ok(Next::Wait)
    }
}

impl JsonUrl {
    /// Reads the document, unless it is the one with this `ETag`.
    async fn read(&self, etag: Option<&str>, now: Timestamp) -> Result<Option<Document>, Failure> {
        let accepted = HeaderValue::from_static("application/json, */*;q=0.5");
        let request = self.http.request(Method::GET, self.url.clone(), Reach::CONFIGURED)?;
        let mut request = request.header(ACCEPT, accepted);
        // Checked, because people can edit a cursor.
        let etag = etag.and_then(|etag| HeaderValue::from_str(etag).ok());
        let is_conditional = etag.is_some();
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let reply = self.http.send(request).await?;
        match reply.status().as_u16() {
            200 => Ok(Some(self.document(reply).await?)),
            304 if is_conditional => Ok(None),
            _ => Err(reply.refused(now)),
        }
    }

    async fn document(&self, reply: Reply) -> Result<Document, Failure> {
        let [etag, last_modified] = [ETAG, LAST_MODIFIED].map(|name| reply.header(name).map(str::to_owned));
        let etag = etag.filter(|etag| !etag.is_empty() && etag.len() <= MOST_ETAG);
        let address = reply.address().to_owned();
        let whole = parsed(reply.body(MOST_BYTES).await?).map_err(|error| {
            Failure::new(Class::Upstream, error.context(format!("{address} answered no json")))
        })?;
        let Some(value) = whole.pointer(&self.pointer) else {
            let cause = format!("{address} has nothing at the pointer {:?}", self.pointer);
            return Err(Failure::text(Class::Upstream, cause).action("check `pointer`"));
        };
        let mut value = value.clone();
        value.sort_all_objects();
        Ok(Document { value, etag, last_modified })
    }

    fn report(&self, draft: &mut Draft<'_>, id: &str, value: &Value) -> Result<(), Failure> {
        let address = http::shown(&self.url);
        let data = json!({ "url": address, "pointer": self.pointer, "value": value });
        // A document as deep as one may be is too deep inside an event.
        let data = Json::from_value(&data).map_err(|error| {
            let cause = anyhow::Error::new(error).context(format!("{address} fits into no event"));
            Failure::new(Class::Upstream, cause)
        })?;
        draft.emit(NewEvent::new(id, "json.changed", data).entity(&address).at(draft.now()))
    }
}

/// Reads a document. `Json` has the limits, on depth too, and the strictness that events have.
fn parsed(body: Vec<u8>) -> anyhow::Result<Value> {
    Ok(Json::new(String::from_utf8(body)?)?.parse()?)
}

/// What is watched, as a digest: an address can hold secrets, and state is shown to people. A new password is no new
/// subject.
fn subject(url: &Url, pointer: &str) -> String {
    let mut url = url.clone();
    // An address that cannot have a password has none.
    let _ = url.set_password(None);
    digest([url.as_str(), pointer])
}

/// A digest of texts, each with its length, so that no two lists of texts read the same.
fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (server, memory) = (server::Server::start().await, support::Recorder::new());
    let settings = json!({ "url": format!("{}/status", server.base), "pointer": "/level" });
    let source = serde_json::from_value::<Settings>(settings)?.build(&support::outside("/"))?;
    for (etag, level) in [("\"1\"", "low"), ("\"2\"", "high"), ("\"2\"", "high"), ("\"3\"", "low")] {
        server.set("/status", server::ok(json!({ "level": level }).to_string()).header("etag", etag));
        let polled = support::poll(&*source, &memory).await.map_err(|failure| failure.to_string())?;
        println!("the level is {level}:");
        for event in polled.events {
            println!("  {} {}", event.event_type, event.data.as_str());
        }
    }
    println!("cursor: {:?}", memory.cursor());
    for (key, value) in memory.values() {
        println!("  {key} = {value}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::server::{Answer, Server, ok, status};
    use super::support::{Recorder, outside, poll};
    use super::*;

    fn build(settings: Value) -> anyhow::Result<Box<dyn Source>> {
        serde_json::from_value::<Settings>(settings)?.build(&outside("/"))
    }

    /// A source that watches `pointer` of what the server has at `/doc`.
    fn at(server: &Server, pointer: &str) -> Box<dyn Source> {
        build(json!({ "url": format!("{}/doc", server.base), "pointer": pointer })).unwrap()
    }

    /// Sets the document and its `ETag`, which is left out when it is empty.
    fn set(server: &Server, etag: &str, body: &str) {
        let answer = ok(body);
        server.set("/doc", if etag.is_empty() { answer } else { answer.header("etag", etag) });
    }

    /// The values of the events of one poll.
    async fn values(source: &dyn Source, memory: &Recorder) -> Vec<Value> {
        let events = poll(source, memory).await.unwrap().events;
        events.into_iter().map(|event| event.data.parse::<Value>().unwrap()["value"].clone()).collect()
    }

    #[tokio::test]
    async fn a_change_is_an_event_and_nothing_new_writes_nothing() {
        let (server, memory) = (Server::start().await, Recorder::new());
        let source = at(&server, "");
        set(&server, "\"1\"", "[1]");
        assert!(values(&*source, &memory).await.is_empty(), "the first value is no change");
        assert!(values(&*source, &memory).await.is_empty());
        let asked: Vec<_> = server.asked().iter().map(|it| it.header("if-none-match").to_owned()).collect();
        assert_eq!((asked, memory.writes()), (vec![String::new(), "\"1\"".to_owned()], 1));
        set(&server, "\"2\"", "[2]");
        let event = poll(&*source, &memory).await.unwrap().events.remove(0);
        let data = json!({ "url": format!("{}/doc", server.base), "pointer": "", "value": [2] });
        assert_eq!((event.event_type.as_str(), event.data.parse::<Value>().unwrap()), ("json.changed", data));
        assert_eq!(memory.cursor().as_deref(), Some("\"2\""));
    }

    #[tokio::test]
    async fn without_an_etag_the_values_are_compared() {
        let (server, memory) = (Server::start().await, Recorder::new());
        let source = at(&server, "");
        for (body, events) in [("1", 0), ("1", 0), ("2", 1), (" 2 ", 0), ("1", 1), ("2", 1), ("null", 1)] {
            set(&server, "", body);
            assert_eq!(values(&*source, &memory).await.len(), events, "{body}");
        }
        assert!(server.asked().iter().all(|asked| asked.header("if-none-match").is_empty()));
        assert_eq!((memory.cursor(), memory.writes()), (None, 5));
    }

    #[tokio::test]
    async fn a_value_that_comes_back_is_a_change_also_with_the_etag_it_had() {
        let (server, memory) = (Server::start().await, Recorder::new());
        let source = at(&server, "");
        for (name, events) in [("a", 0), ("b", 1), ("a", 1), ("b", 1), ("a", 1)] {
            set(&server, &format!("\"{name}\""), &json!(name).to_string());
            assert_eq!(values(&*source, &memory).await.len(), events);
        }
    }

    #[tokio::test]
    async fn a_restart_repeats_nothing_and_loses_nothing() {
        let (server, memory) = (Server::start().await, Recorder::new());
        for (etag, body, events) in
            [("\"1\"", "1", 0), ("\"2\"", "2", 1), ("\"2\"", "2", 0), ("\"3\"", "3", 1)]
        {
            set(&server, etag, body);
            assert_eq!(values(&*at(&server, ""), &memory).await.len(), events, "{body}");
        }
    }

    #[tokio::test]
    async fn a_rewind_repeats_nothing_and_the_next_change_is_told() {
        for etags in [["", "", ""], ["\"1\"", "\"2\"", "\"3\""]] {
            let (server, memory) = (Server::start().await, Recorder::new());
            let source = at(&server, "");
            set(&server, etags[0], "1");
            poll(&*source, &memory).await.unwrap();
            let before = memory.saved();
            set(&server, etags[1], "2");
            assert_eq!(values(&*source, &memory).await, [2]);
            memory.rewind(before);
            assert!(values(&*source, &memory).await.is_empty(), "the log knows the event by its id");
            set(&server, etags[2], "1");
            assert_eq!(values(&*source, &memory).await, [1]);
        }
    }

    #[tokio::test]
    async fn a_version_that_nobody_saw_is_told_after_a_rewind_too() {
        for name in ["etag", "last-modified"] {
            let (server, memory) = (Server::start().await, Recorder::new());
            let source = at(&server, "");
            let set = |version: &str, body: &str| server.set("/doc", ok(body).header(name, version));
            set("1", "1");
            poll(&*source, &memory).await.unwrap();
            let before = memory.saved();
            set("2", "2");
            assert_eq!(values(&*source, &memory).await, [2]);
            memory.rewind(before);
            set("4", "2");
            assert_eq!(values(&*source, &memory).await, [2], "it was something else at {name} 3");
        }
    }

    #[tokio::test]
    async fn only_the_part_at_the_pointer_is_watched() {
        let (server, memory) = (Server::start().await, Recorder::new());
        let source = at(&server, "/a~1b/0");
        for (etag, body, events) in [
            ("\"1\"", r#"{"a/b":[{"x":1,"y":2}],"time":1}"#, 0),
            ("\"2\"", r#"{"time":2,"a/b":[{"y":2, "x":1}]}"#, 0),
            ("\"3\"", r#"{"a/b":[{"x":1,"y":3}],"time":3}"#, 1),
        ] {
            set(&server, etag, body);
            assert_eq!(values(&*source, &memory).await.len(), events, "{body}");
            assert_eq!(memory.cursor().as_deref(), Some(etag));
        }
    }

    #[tokio::test]
    async fn another_pointer_is_another_value_and_begins_anew() {
        let (server, memory) = (Server::start().await, Recorder::new());
        set(&server, "\"1\"", r#"{"a":1,"b":2}"#);
        poll(&*at(&server, "/a"), &memory).await.unwrap();
        assert!(values(&*at(&server, "/b"), &memory).await.is_empty());
        assert_eq!(server.asked()[1].header("if-none-match"), "", "its tag says nothing about this value");
        set(&server, "\"2\"", r#"{"a":1,"b":3}"#);
        assert_eq!(values(&*at(&server, "/b"), &memory).await, [3]);
    }

    #[tokio::test]
    async fn a_failure_changes_nothing_and_what_happened_meanwhile_is_told() {
        let (server, memory) = (Server::start().await, Recorder::new());
        let source = at(&server, "/n");
        set(&server, "\"1\"", r#"{"n":1}"#);
        poll(&*source, &memory).await.unwrap();
        let before = memory.saved();
        let answers: [(Answer, &str); 10] = [
            (status(500), "answered 500 internal server error"),
            (status(302).header("location", "/else"), "answered 302 found"),
            (ok("<html>"), "answered no json: "),
            (ok(""), "answered no json: "),
            (ok(b"\"\xff\"".as_slice()), "answered no json: "),
            (ok(r#"{"n":1,"n":2}"#), "answered no json: duplicate key"),
            (ok(r#"{"n":1e999}"#), "answered no json: "),
            (ok("[".repeat(100_000)), "answered no json: nested deeper"),
            (ok(" ".repeat(MOST_BYTES + 1)), "has more than the limit of 1048576 bytes"),
            (ok("{}"), "has nothing at the pointer \"/n\""),
        ];
        for (answer, text) in answers {
            server.set("/doc", answer.header("etag", "\"2\""));
            let failure = poll(&*source, &memory).await.unwrap_err();
            assert_eq!(failure.class, Class::Upstream, "{failure}");
            assert!(failure.to_string().contains(text), "{failure}");
            assert_eq!((memory.cursor(), memory.writes()), (before.0.clone(), 1));
        }
        set(&server, "\"2\"", r#"{"n":2}"#);
        assert_eq!(values(&*source, &memory).await, [2]);
    }

    #[tokio::test]
    async fn a_document_too_deep_for_an_event_is_refused() {
        let (server, memory) = (Server::start().await, Recorder::new());
        let source = at(&server, "");
        set(&server, "", "1");
        poll(&*source, &memory).await.unwrap();
        set(&server, "", &format!("{}{}", "[".repeat(128), "]".repeat(128)));
        let failure = poll(&*source, &memory).await.unwrap_err();
        assert_eq!((failure.class, memory.writes()), (Class::Upstream, 1));
        assert!(failure.to_string().contains("/doc fits into no event: nested deeper"), "{failure}");
    }

    #[tokio::test]
    async fn not_modified_is_no_answer_to_who_did_not_ask_for_it() {
        let (server, memory) = (Server::start().await, Recorder::new());
        server.set("/doc", status(304));
        assert_eq!(poll(&*at(&server, ""), &memory).await.unwrap_err().class, Class::Upstream);
    }

    #[tokio::test]
    async fn a_server_that_is_down_is_a_failure_of_the_connection() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let (source, memory) =
            (build(json!({ "url": format!("http://{address}/") })).unwrap(), Recorder::new());
        assert_eq!(poll(&*source, &memory).await.unwrap_err().class, Class::Connectivity);
        assert_eq!(memory.writes(), 0);
    }

    #[tokio::test]
    async fn secrets_of_the_address_are_sent_and_neither_stored_nor_told() {
        let (server, memory) = (Server::start().await, Recorder::new());
        let base = server.base.replace("http://", "http://me:hush@");
        let source = build(json!({ "url": format!("{base}/doc?key=hush") })).unwrap();
        for body in ["1", "2"] {
            server.set("/doc?key=hush", ok(body));
            poll(&*source, &memory).await.unwrap();
        }
        assert_eq!(server.asked()[0].header("authorization"), "Basic bWU6aHVzaA==");
        let event = memory.events().remove(0);
        let everything = format!("{:?} {event:?} {}", memory.values(), event.data.as_str());
        assert_eq!(memory.cursor(), None);
        assert!(!everything.contains("hush"), "{everything}");
    }

    #[tokio::test]
    async fn a_cursor_that_a_person_broke_is_read_past() {
        let (server, memory) = (Server::start().await, Recorder::new());
        let source = at(&server, "");
        set(&server, "\"1\"", "1");
        poll(&*source, &memory).await.unwrap();
        memory.rewind((Some("a\nb".to_owned()), memory.saved().1));
        set(&server, "\"2\"", "2");
        assert_eq!(values(&*source, &memory).await, [2]);
    }

    #[test]
    fn settings_are_checked_by_name() {
        for (settings, text) in [
            (json!({}), "missing field `url`"),
            (json!({ "url": "" }), "url is no address"),
            (json!({ "url": "file:///etc/passwd" }), "url is no http or https address"),
            (json!({ "url": "http://a.org", "poll_interval": "0s" }), "poll_interval is 0s"),
            (json!({ "url": "http://a.org", "pointer": "a" }), "pointer is \"a\", it must be empty or begin"),
            (json!({ "url": "http://a.org", "point": "/a" }), "unknown field `point`"),
        ] {
            let Err(error) = build(settings) else { panic!("no error: {text}") };
            assert!(format!("{error:#}").contains(text), "{error:#}");
        }
    }
}
