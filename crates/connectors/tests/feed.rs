//! The feed source and what it reports: formats, changes, beginnings, memory. The network is in `feed_http.rs`,
//! documents that mean harm in `feed_hostile.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod server;
mod support;

use std::collections::HashSet;
use std::time::Duration;

use inboxclaw_connectors::SOURCES;
use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::{Event, Outside, Source};
use serde_json::{Value, json};
use server::{Server, ok};
use support::{Recorder, outside, poll};

fn build(settings: Value) -> Box<dyn Source> {
    let kind = SOURCES.iter().find(|kind| kind.name == "feed").unwrap();
    (kind.build)(settings, &outside("/")).unwrap_or_else(|error| panic!("{error}")).source
}

fn data(event: &Event) -> Value {
    event.data.parse().unwrap()
}

/// The type and entity of each event.
fn short(events: &[Event]) -> Vec<(&str, &str)> {
    let parts = events.iter().map(|event| (event.event_type.as_str(), event.entity_id.as_deref().unwrap()));
    parts.map(|(kind, entity)| (kind.strip_prefix("feed.entry_").unwrap(), entity)).collect()
}

/// Everything in a document, as events.
async fn all(body: &[u8]) -> Vec<Event> {
    let server = Server::start().await;
    server.set("/feed", ok(body));
    let memory = Recorder::new();
    let feed = build(json!({ "url": format!("{}/feed", server.base), "bootstrap": "all" }));
    let polled = poll(&*feed, &memory).await.unwrap();
    assert!(polled.problems.is_empty());
    polled.events
}

/// A feed of items: name and title.
fn rss(items: &[(&str, &str)]) -> String {
    let items: String = items
        .iter()
        .map(|(guid, title)| format!("<item><guid>{guid}</guid><title>{title}</title></item>"))
        .collect();
    format!("<rss version=\"2.0\"><channel><title>T</title>{items}</channel></rss>")
}

#[tokio::test]
async fn atom() {
    let events = all(include_bytes!("feeds/atom.xml")).await;
    assert_eq!(
        short(&events),
        [("published", "tag:harbour.example,2026:1"), ("published", "tag:harbour.example,2026:2")]
    );
    let ferry = &events[1];
    assert_eq!(ferry.event_id, "tag:harbour.example,2026:2");
    assert_eq!(ferry.occurred_at, Some("2026-11-19T08:00:00Z".parse().unwrap()));
    let mut ferry = data(ferry);
    for (pointer, end) in [("/url", "/notices/2"), ("/enclosures/0/url", "/files/times.pdf")] {
        let url = ferry.pointer_mut(pointer).unwrap();
        let text = url.as_str().unwrap().to_owned();
        assert!(text.starts_with("http://127.0.0.1:") && text.ends_with(end), "{text}");
        *url = Value::Null;
    }
    let expected = json!({
        "id": "tag:harbour.example,2026:2",
        "url": null,
        "title": "Ferry & pilot times",
        "authors": [{ "name": "Mira Novak", "email": "mira@harbour.example" }],
        "published": "2026-11-19T08:00:00Z",
        "updated": "2026-11-20T09:00:00Z",
        "summary": "New times from Monday.",
        "content": "<p>The <b>08:15</b> leaves at 08:20.</p>",
        "content_type": "text/html",
        "categories": ["ferry", "pilots"],
        "enclosures": [{ "url": null, "type": "application/pdf", "length": 1200 }],
        "feed": { "title": "Harbour notices", "url": "https://harbour.example/notices/" },
    });
    assert_eq!(ferry, expected);
}

#[tokio::test]
async fn rss2() {
    let events = all(include_bytes!("feeds/rss.xml")).await;
    assert_eq!(
        short(&events),
        [("published", "https://orchard.example/pruning"), ("published", "orchard-2")]
    );
    assert_eq!(data(&events[0])["url"], "https://orchard.example/pruning");
    let moths = data(&events[1]);
    assert_eq!(events[1].occurred_at, Some("2026-11-21T09:00:00Z".parse().unwrap()));
    assert_eq!(moths["url"], "https://orchard.example/moths");
    assert_eq!(moths["authors"], json!([{ "name": "Petr" }]));
    assert_eq!(moths["summary"], "Traps are up.");
    assert_eq!(moths["content"], "<p>Traps are <em>up</em>.</p>");
    let enclosure =
        json!({ "url": "https://orchard.example/moth.mp3", "type": "audio/mpeg", "length": 5000 });
    assert_eq!(moths["enclosures"], json!([enclosure]));
    assert_eq!(moths["feed"], json!({ "title": "Orchard diary", "url": "https://orchard.example/" }));
}

#[tokio::test]
async fn rss1_without_dates_goes_from_the_end_of_the_document() {
    let events = all(include_bytes!("feeds/rss1.rdf")).await;
    assert_eq!(
        short(&events),
        [("published", "https://library.example/b/1"), ("published", "https://library.example/b/2")]
    );
    assert_eq!(events[0].occurred_at, None);
}

#[tokio::test]
async fn json_feed_with_a_number_for_an_id() {
    let events = all(include_bytes!("feeds/feed.json")).await;
    assert_eq!(short(&events), [("published", "six"), ("published", "7")]);
    let frost = data(&events[1]);
    assert!(frost["url"].as_str().unwrap().ends_with("/frost"), "{frost}");
    assert_eq!(frost["content"], "Minus two at six.");
    assert_eq!(frost["authors"], json!([{ "name": "Station 3", "url": "https://weather.example/3" }]));
    assert_eq!(frost["categories"], json!(["frost"]));
    assert_eq!(frost["enclosures"][0]["type"], "image/png");
}

#[tokio::test]
async fn a_byte_order_mark_and_latin_1_are_read() {
    let marked = [b"\xef\xbb\xbf".as_slice(), include_bytes!("feeds/feed.json")].concat();
    assert_eq!(all(&marked).await.len(), 2);
    let events = all(include_bytes!("feeds/latin1.xml")).await;
    assert_eq!(data(&events[0])["title"], "Cr\u{e8}me br\u{fb}l\u{e9}e \u{e0} 4 EUR");
}

#[tokio::test]
async fn baseline_remembers_without_events_and_an_unchanged_feed_writes_nothing() {
    let server = Server::start().await;
    server.set("/feed", ok(rss(&[("1", "a"), ("2", "b")])));
    let memory = Recorder::new();
    let feed = build(json!({ "url": format!("{}/feed", server.base) }));
    assert!(poll(&*feed, &memory).await.unwrap().events.is_empty());
    assert_eq!(memory.writes(), 1);
    assert!(poll(&*feed, &memory).await.unwrap().events.is_empty());
    assert_eq!(memory.writes(), 1);
    server.set("/feed", ok(rss(&[("3", "c"), ("1", "a"), ("2", "b")])));
    assert_eq!(short(&poll(&*feed, &memory).await.unwrap().events), [("published", "3")]);
}

#[tokio::test]
async fn a_start_says_what_of_the_first_read_is_news_and_nothing_later() {
    const ITEMS: &str = "<item><guid>old</guid><pubDate>Sat, 21 Nov 2026 11:59:59 GMT</pubDate></item>\
        <item><guid>new</guid><pubDate>Sat, 21 Nov 2026 12:00:00 GMT</pubDate></item><item><guid>undated</guid></item>";
    let document = |more: &str| format!("<rss version='2.0'><channel>{more}{ITEMS}</channel></rss>");
    let since = StartAt::Since("2026-11-21T12:00:00Z".parse().unwrap());
    for (start, bootstrap, news) in [
        (StartAt::Now, "all", vec![]),
        (StartAt::All, "baseline", vec!["new", "old", "undated"]),
        (since, "all", vec!["new"]),
    ] {
        let server = Server::start().await;
        server.set("/feed", ok(document("")));
        let memory = Recorder::new();
        let kind = SOURCES.iter().find(|kind| kind.name == "feed").unwrap();
        let settings = json!({ "url": format!("{}/feed", server.base), "bootstrap": bootstrap });
        let built = (kind.build)(settings, &Outside { start: Some(start), ..outside("/") });
        let feed = built.unwrap_or_else(|error| panic!("{error}")).source;
        let mut found: Vec<String> =
            poll(&*feed, &memory).await.unwrap().events.into_iter().map(|event| event.event_id).collect();
        found.sort();
        assert_eq!(found, news, "{start:?}");
        server.set(
            "/feed",
            ok(document("<item><guid>late</guid><pubDate>Sun, 1 Nov 2026 12:00:00 GMT</pubDate></item>")),
        );
        assert_eq!(short(&poll(&*feed, &memory).await.unwrap().events), [("published", "late")], "{start:?}");
    }
}

#[tokio::test]
async fn a_feed_that_was_empty_at_first_has_no_baseline_left() {
    let server = Server::start().await;
    server.set("/feed", ok(rss(&[])));
    let memory = Recorder::new();
    let feed = build(json!({ "url": format!("{}/feed", server.base) }));
    poll(&*feed, &memory).await.unwrap();
    server.set("/feed", ok(rss(&[("1", "a")])));
    assert_eq!(short(&poll(&*feed, &memory).await.unwrap().events), [("published", "1")]);
}

#[tokio::test]
async fn there_and_back_again_are_three_changes() {
    let server = Server::start().await;
    let memory = Recorder::new();
    let feed = build(json!({ "url": format!("{}/feed", server.base) }));
    let mut ids = Vec::new();
    for title in ["A", "B", "A", "B", "A", "A"] {
        server.set("/feed", ok(rss(&[("1", title)])));
        for event in poll(&*feed, &memory).await.unwrap().events {
            assert_eq!(
                (event.event_type.as_str(), &data(&event)["title"]),
                ("feed.entry_updated", &json!(title))
            );
            ids.push(event.event_id);
        }
    }
    assert_eq!(ids.len(), 4);
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 4, "{ids:?}");
    assert!(ids.iter().all(|id| id.starts_with("1:")));
}

#[tokio::test]
async fn after_a_rewind_the_same_change_has_the_same_id() {
    let server = Server::start().await;
    let memory = Recorder::new();
    let feed = build(json!({ "url": format!("{}/feed", server.base) }));
    server.set("/feed", ok(rss(&[("1", "A")])));
    poll(&*feed, &memory).await.unwrap();
    let saved = memory.saved();
    server.set("/feed", ok(rss(&[("2", "new"), ("1", "B")])));
    assert_eq!(poll(&*feed, &memory).await.unwrap().events.len(), 2);
    memory.rewind(saved);
    assert_eq!(poll(&*feed, &memory).await.unwrap().events.len(), 0);
    server.set("/feed", ok(rss(&[("2", "new"), ("1", "C")])));
    assert_eq!(short(&poll(&*feed, &memory).await.unwrap().events), [("updated", "1")]);
}

#[tokio::test]
async fn a_date_that_follows_the_clock_is_no_change() {
    let server = Server::start().await;
    let memory = Recorder::new();
    let feed = build(json!({ "url": format!("{}/feed", server.base) }));
    for second in 10..13 {
        let item =
            format!("<guid>1</guid><title>t</title><pubDate>Sun, 22 Nov 2026 10:00:{second} GMT</pubDate>");
        server.set("/feed", ok(format!("<rss version='2.0'><channel><item>{item}</item></channel></rss>")));
        assert!(poll(&*feed, &memory).await.unwrap().events.is_empty());
    }
}

#[tokio::test]
async fn entries_that_left_are_remembered_for_90_days_and_those_present_for_ever() {
    let server = Server::start().await;
    let memory = Recorder::new();
    let feed = build(json!({ "url": format!("{}/feed", server.base) }));
    server.set("/feed", ok(rss(&[("1", "a"), ("2", "b")])));
    poll(&*feed, &memory).await.unwrap();
    server.set("/feed", ok(rss(&[("2", "b")])));
    poll(&*feed, &memory).await.unwrap();
    assert_eq!(memory.values().into_keys().collect::<Vec<_>>(), ["past:1", "seen:2"]);
    memory.advance(Duration::from_secs(89 * 86_400));
    server.set("/feed", ok(rss(&[("1", "a"), ("2", "b")])));
    assert!(poll(&*feed, &memory).await.unwrap().events.is_empty());
    assert_eq!(memory.values().into_keys().collect::<Vec<_>>(), ["seen:1", "seen:2"]);
    memory.advance(Duration::from_secs(1_000 * 86_400));
    assert!(poll(&*feed, &memory).await.unwrap().events.is_empty());
    server.set("/feed", ok(rss(&[("2", "b")])));
    poll(&*feed, &memory).await.unwrap();
    memory.advance(Duration::from_secs(91 * 86_400));
    assert_eq!(memory.values().into_keys().collect::<Vec<_>>(), ["seen:2"]);
}

#[tokio::test]
async fn another_address_of_the_same_feed_goes_on_and_of_another_feed_begins_anew() {
    let server = Server::start().await;
    let memory = Recorder::new();
    server.set("/a", ok(rss(&[("1", "a"), ("2", "b")])).header("etag", "\"same\""));
    server.set("/b", ok(rss(&[("3", "c"), ("1", "a"), ("2", "b")])).header("etag", "\"same\""));
    server.set("/c", ok(rss(&[("x", "x"), ("y", "y")])).header("etag", "\"same\""));
    let at = |path: &str| build(json!({ "url": format!("{}{path}", server.base) }));
    assert!(poll(&*at("/a"), &memory).await.unwrap().events.is_empty());
    assert_eq!(short(&poll(&*at("/b"), &memory).await.unwrap().events), [("published", "3")]);
    assert!(poll(&*at("/c"), &memory).await.unwrap().events.is_empty());
    assert!(memory.values().contains_key("seen:x"));
}

#[test]
fn settings_are_checked_without_asking_anybody() {
    let kind = SOURCES.iter().find(|kind| kind.name == "feed").unwrap();
    let check = |settings: Value| (kind.build)(settings, &outside("/")).map(|built| built.interval);
    assert_eq!(check(json!({ "url": "https://h/f" })).unwrap(), Some(Duration::from_secs(900)));
    assert_eq!(
        check(json!({ "url": "https://h/f", "poll_interval": "1m" })).unwrap(),
        Some(Duration::from_secs(60))
    );
    for (settings, message) in [
        (json!({}), "missing field `url`"),
        (json!({ "url": "ftp://h/f" }), "url is no http or https address but one of \"ftp\""),
        (
            json!({ "url": "https://h/f", "poll_interval": 0.5 }),
            "poll_interval is 0.5s, it must be at least 1s",
        ),
        (
            json!({ "url": "https://h/f", "max_bytes": 10 }),
            "max_bytes is 10, it must be from 1024 to 33554432",
        ),
        (
            json!({ "url": "https://h/f", "user_agent": "a\nb" }),
            "user_agent cannot be sent in a header: failed to parse header value",
        ),
    ] {
        assert_eq!(check(settings).unwrap_err().to_string(), message);
    }
}
