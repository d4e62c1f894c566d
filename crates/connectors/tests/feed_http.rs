//! The feed source and the network: conditional requests, redirects, refusals, limits.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod server;
mod support;

use std::time::Duration;

use inboxclaw_connectors::SOURCES;
use inboxclaw_contract::{Class, Failure, Source};
use serde_json::{Value, json};
use server::{Answer, Server, ok, status};
use support::{Recorder, outside, poll};

const ONE: &str = "<rss version=\"2.0\"><channel><item><guid>1</guid></item></channel></rss>";
const TWO: &str =
    "<rss version=\"2.0\"><channel><item><guid>2</guid></item><item><guid>1</guid></item></channel></rss>";

fn build(settings: Value) -> Box<dyn Source> {
    let kind = SOURCES.iter().find(|kind| kind.name == "feed").unwrap();
    (kind.build)(settings, &outside("/")).unwrap_or_else(|error| panic!("{error}")).source
}

/// A feed at `path` of the server.
fn at(server: &Server, path: &str) -> Box<dyn Source> {
    build(json!({ "url": format!("{}{path}", server.base) }))
}

/// The failure of a first poll whose request gets this answer.
async fn failure(answer: Answer) -> Failure {
    let server = Server::start().await;
    server.set("/feed", answer);
    let memory = Recorder::new();
    let failure = poll(&*at(&server, "/feed"), &memory).await.unwrap_err();
    assert_eq!((memory.writes(), memory.cursor()), (0, None));
    failure
}

fn moved(code: u16, to: &str) -> Answer {
    status(code).header("location", to)
}

#[tokio::test]
async fn validators_are_sent_back_and_an_unchanged_feed_writes_nothing() {
    let server = Server::start().await;
    let memory = Recorder::new();
    let date = "Sun, 22 Nov 2026 10:00:00 GMT";
    server.set("/feed", ok(ONE).header("etag", "W/\"one\"").header("last-modified", date));
    let feed = at(&server, "/feed");
    poll(&*feed, &memory).await.unwrap();
    let first = server.asked().remove(0);
    assert_eq!(first.header("if-none-match"), "");
    assert!(first.header("user-agent").starts_with("inboxclaw/"), "{:?}", first.headers);
    assert!(first.header("accept").contains("application/atom+xml"));
    assert!(first.header("accept-encoding").contains("gzip"));
    poll(&*feed, &memory).await.unwrap();
    let second = server.asked().remove(0);
    assert_eq!((second.header("if-none-match"), second.header("if-modified-since")), ("W/\"one\"", date));
    assert_eq!(memory.writes(), 1);
    server.set("/feed", ok(TWO).header("etag", "\"two\""));
    assert_eq!(poll(&*feed, &memory).await.unwrap().events.len(), 1);
    poll(&*feed, &memory).await.unwrap();
    let last = server.asked().pop().unwrap();
    assert_eq!((last.header("if-none-match"), last.header("if-modified-since")), ("\"two\"", ""));
}

#[tokio::test]
async fn the_name_of_the_reader_is_a_setting() {
    let server = Server::start().await;
    server.set("/feed", ok(ONE));
    let feed = build(json!({ "url": format!("{}/feed", server.base), "user_agent": "reader 5" }));
    poll(&*feed, &Recorder::new()).await.unwrap();
    assert_eq!(server.asked()[0].header("user-agent"), "reader 5");
}

#[tokio::test]
async fn validators_of_another_address_are_not_sent() {
    let server = Server::start().await;
    let memory = Recorder::new();
    server.set("/a", ok(ONE).header("etag", "\"x\""));
    server.set("/b", ok(TWO).header("etag", "\"x\""));
    poll(&*at(&server, "/a"), &memory).await.unwrap();
    assert_eq!(poll(&*at(&server, "/b"), &memory).await.unwrap().events.len(), 1);
    assert_eq!(server.asked()[1].header("if-none-match"), "");
}

#[tokio::test]
async fn a_redirect_for_good_is_remembered_up_to_the_first_that_is_not() {
    let server = Server::start().await;
    let memory = Recorder::new();
    server.set("/old", moved(301, "/newer"));
    server.set("/newer", moved(308, &format!("{}/today", server.base)));
    server.set("/today", moved(302, "/edge"));
    server.set("/edge", ok(ONE));
    let feed = at(&server, "/old");
    poll(&*feed, &memory).await.unwrap();
    assert_eq!(server.paths(), ["/old", "/newer", "/today", "/edge"]);
    poll(&*feed, &memory).await.unwrap();
    assert_eq!(server.paths(), ["/today", "/edge"]);
    assert_eq!(memory.writes(), 1);
}

#[tokio::test]
async fn the_configured_address_has_the_last_word() {
    let server = Server::start().await;
    let memory = Recorder::new();
    server.set("/old", moved(301, "/new"));
    server.set("/new", ok(ONE).header("etag", "\"1\""));
    let feed = at(&server, "/old");
    poll(&*feed, &memory).await.unwrap();
    server.set("/new", status(404));
    server.set("/old", ok(TWO));
    server.paths();
    assert_eq!(poll(&*feed, &memory).await.unwrap().events.len(), 1);
    assert_eq!(server.paths(), ["/new", "/old"]);
    poll(&*feed, &memory).await.unwrap();
    assert_eq!(server.paths(), ["/old"]);
}

#[tokio::test]
async fn a_redirect_learned_with_an_unchanged_feed_is_remembered() {
    let server = Server::start().await;
    let memory = Recorder::new();
    server.set("/old", ok(ONE).header("etag", "\"1\""));
    let feed = at(&server, "/old");
    poll(&*feed, &memory).await.unwrap();
    server.set("/old", moved(301, "/new"));
    server.set("/new", ok(ONE).header("etag", "\"1\""));
    poll(&*feed, &memory).await.unwrap();
    poll(&*feed, &memory).await.unwrap();
    assert_eq!(server.paths(), ["/old", "/old", "/new", "/new"]);
    assert_eq!(memory.writes(), 2);
}

#[tokio::test]
async fn a_login_in_the_address_is_sent_and_never_stored() {
    let server = Server::start().await;
    let memory = Recorder::new();
    server.set("/old", moved(301, "/new"));
    server.set("/new", ok(ONE));
    let base = server.base.replace("http://", "http://me:hush@");
    poll(&*build(json!({ "url": format!("{base}/old"), "bootstrap": "all" })), &memory).await.unwrap();
    for asked in server.asked() {
        assert_eq!(asked.header("authorization"), "Basic bWU6aHVzaA==");
    }
    let event = memory.events().remove(0);
    let everything = format!("{:?} {:?} {}", memory.cursor(), memory.values(), event.data.as_str());
    assert!(!everything.contains("hush"), "{everything}");
}

#[tokio::test]
async fn redirects_have_bounds() {
    let server = Server::start().await;
    server.set("/feed", moved(302, "/feed"));
    let error = poll(&*at(&server, "/feed"), &Recorder::new()).await.unwrap_err();
    assert!(error.to_string().ends_with("/feed redirects more than 10 times"), "{error}");
    assert_eq!(server.paths().len(), 11);
    for answer in [moved(301, "file:///etc/passwd"), moved(301, "javascript:alert(1)"), status(302)] {
        let error = failure(answer).await;
        assert_eq!(error.class, Class::Upstream);
        assert!(error.to_string().ends_with("without an http address to go on to"), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_leads_to_no_local_address_but_the_configured_host() {
    let (server, other) = (Server::start().await, Server::start().await);
    let port = other.base.rsplit(':').next().unwrap();
    for host in [
        "localhost",
        "localhost.",
        "a.localhost",
        "127.0.0.2",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "0.0.0.0",
        "169.254.169.254",
        "192.168.0.1",
        "3232235521",
    ] {
        server.set("/feed", moved(302, &format!("http://{host}:{port}/inbox/extract?lease=24h")));
        let failure = poll(&*at(&server, "/feed"), &Recorder::new()).await.unwrap_err();
        let text = failure.to_string();
        // Where a name under `localhost` is not resolved at all, that is as good.
        if !text.contains("cannot be reached") {
            assert_eq!(failure.class, Class::Upstream, "{text}");
            assert!(text.contains("and only an address in the configuration may do that"), "{text}");
            assert!(failure.action.unwrap().contains("allow_private"), "{text}");
        }
    }
    assert!(other.paths().is_empty());
    server.set("/feed", moved(302, &format!("{}/feed", other.base)));
    other.set("/feed", ok(ONE));
    assert!(poll(&*at(&server, "/feed"), &Recorder::new()).await.is_ok());
    assert_eq!(other.asked()[0].header("x-inboxclaw-request"), "1", "what our own server knows us by");
}

#[tokio::test]
async fn an_address_remembered_from_a_redirect_is_a_strangers_word_too() {
    let (server, other) = (Server::start().await, Server::start().await);
    let memory = Recorder::new();
    server.set("/old", moved(301, "/new"));
    server.set("/new", ok(ONE));
    let feed = at(&server, "/old");
    poll(&*feed, &memory).await.unwrap();
    let elsewhere = other.base.replace("127.0.0.1", "localhost");
    server.set("/old", ok(TWO));
    server.paths();
    let cursor = json!({ "url": format!("{}/old", server.base), "moved": format!("{elsewhere}/new") });
    memory.rewind((Some(cursor.to_string()), memory.saved().1));
    assert_eq!(poll(&*feed, &memory).await.unwrap().events.len(), 1);
    assert_eq!((server.paths(), other.paths()), (vec!["/old".to_owned()], vec![]));
}

#[tokio::test]
async fn a_location_of_any_bytes_is_followed() {
    let server = Server::start().await;
    for (location, path) in [("/лента", "/%D0%BB%D0%B5%D0%BD%D1%82%D0%B0"), ("/a b", "/a%20b")] {
        server.set("/feed", moved(301, location));
        server.set(path, ok(ONE));
        poll(&*at(&server, "/feed"), &Recorder::new()).await.unwrap();
        assert_eq!(server.paths(), ["/feed", path]);
    }
}

#[tokio::test]
async fn refusals_are_failures_that_say_what_happens_next() {
    for (code, class, text) in [
        (401, Class::Authentication, "answered 401 unauthorized"),
        (403, Class::Authorization, "answered 403 forbidden"),
        (404, Class::Upstream, "answered 404 not found"),
        (410, Class::Configuration, "answered 410 gone"),
        (429, Class::RateLimited, "answered 429 too many requests"),
        (500, Class::Upstream, "answered 500 internal server error"),
        (304, Class::Upstream, "answered 304 not modified"),
        (204, Class::Upstream, "answered 204 no content"),
    ] {
        let failure = failure(status(code)).await;
        assert_eq!(failure.class, class, "{code}");
        assert!(failure.to_string().ends_with(text), "{failure}");
        assert_eq!(failure.action.is_some(), matches!(code, 404 | 410), "{code}");
    }
}

#[tokio::test]
async fn the_wait_that_a_server_asks_for_is_kept() {
    let answer = failure(status(429).header("retry-after", "120")).await;
    assert_eq!((answer.class, answer.wait), (Class::RateLimited, Some(Duration::from_secs(120))));
    // The clock of the state says noon.
    let answer = failure(status(503).header("retry-after", "Sun, 22 Nov 2026 12:10:00 GMT")).await;
    assert_eq!((answer.class, answer.wait), (Class::Upstream, Some(Duration::from_secs(600))));
    assert_eq!(failure(status(503)).await.wait, None);
}

#[tokio::test]
async fn a_feed_beyond_the_limit_names_it() {
    let server = Server::start().await;
    server.set("/plain", ok(vec![b' '; 5_000]));
    server.set("/packed", ok(include_bytes!("feeds/bomb.xml.gz")).header("content-encoding", "gzip"));
    for path in ["/plain", "/packed"] {
        let feed = build(json!({ "url": format!("{}{path}", server.base), "max_bytes": 4_999 }));
        let error = poll(&*feed, &Recorder::new()).await.unwrap_err();
        assert!(error.to_string().ends_with("has more than the limit of 4999 bytes"), "{error}");
        assert_eq!(error.action.as_deref(), Some("raise `max_bytes` (now 4999) if the feed is fine"));
    }
    // Packed it is small and unpacked within the default limit.
    assert!(poll(&*at(&server, "/packed"), &Recorder::new()).await.unwrap().events.is_empty());
}

#[tokio::test]
async fn an_answer_that_cannot_be_unpacked_is_their_failure() {
    let failure = failure(ok("no gzip at all").header("content-encoding", "gzip")).await;
    assert_eq!(failure.class, Class::Upstream);
}

#[tokio::test]
async fn nobody_at_home_is_a_failure_of_the_connection() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let feed = build(json!({ "url": format!("http://me:hush@{address}/f?key=hush") }));
    let failure = poll(&*feed, &Recorder::new()).await.unwrap_err();
    assert_eq!(failure.class, Class::Connectivity);
    let text = failure.to_string();
    assert!(
        text.starts_with(&format!("http://{address}/f cannot be reached: ")) && !text.contains("hush"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_a_timeout() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let feed = build(json!({ "url": format!("http://{}/f", listener.local_addr().unwrap()) }));
    let failure = poll(&*feed, &Recorder::new()).await.unwrap_err();
    assert_eq!(failure.class, Class::Timeout, "{failure}");
}
