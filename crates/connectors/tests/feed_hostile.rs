//! The feed source and documents that are broken or mean harm. None may be lost without a word, none may take the
//! source down, and names are whatever a stranger wrote.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests, one of which takes the time"
)]

mod server;
mod support;

use std::time::Instant;

use inboxclaw_connectors::SOURCES;
use inboxclaw_connectors::sources::feed::inspect;
use inboxclaw_contract::{Class, Event, Failure, Source};
use reqwest::Url;
use serde_json::{Value, json};
use server::{Server, ok};
use support::{Polled, Recorder, outside, poll};

async fn read(body: impl Into<Vec<u8>>, content_type: &str) -> Result<Polled, Failure> {
    let server = Server::start().await;
    server.set("/feed", ok(body).header("content-type", content_type));
    poll(&*build(&server), &Recorder::new()).await
}

fn build(server: &Server) -> Box<dyn Source> {
    let kind = SOURCES.iter().find(|kind| kind.name == "feed").unwrap();
    let settings = json!({ "url": format!("{}/feed", server.base), "bootstrap": "all" });
    (kind.build)(settings, &outside("/")).unwrap().source
}

fn rss(items: &str) -> String {
    format!("<rss version=\"2.0\"><channel><link>http://h/</link>{items}</channel></rss>")
}

fn data(event: &Event) -> Value {
    event.data.parse().unwrap()
}

/// The entities of a document, which must be the same when it is read again.
async fn entities(items: &str) -> Vec<String> {
    let server = Server::start().await;
    server.set("/feed", ok(rss(items)));
    let mut rounds = Vec::new();
    for _ in 0..2 {
        let events = poll(&*build(&server), &Recorder::new()).await.unwrap().events;
        rounds.push(events.into_iter().map(|event| event.entity_id.unwrap()).collect::<Vec<_>>());
    }
    assert_eq!(rounds[0], rounds[1]);
    rounds.remove(0)
}

#[tokio::test]
async fn what_is_no_feed_is_named() {
    for (body, nature) in [
        (include_bytes!("feeds/page.html").as_slice(), "an HTML page"),
        (b"<?xml version='1.0'?>\n<html xmlns='x'></html>", "an HTML page"),
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"<opml version=\"1.0\"></opml>", "XML"),
        (b"<rss version=\"2.0\"><channel><item><title>cut of", "XML"),
        (b"<rss version=\"2.0\"><channel><item></channel></rss>", "XML"),
        (b"{\"error\": \"no\"}", "JSON"),
        (b"[1]", "JSON"),
        (b"busy, come back later", "plain text"),
        (b"\x00\x01\x02<", "binary data"),
    ] {
        let failure = read(body, "application/rss+xml").await.unwrap_err();
        assert_eq!(failure.class, Class::Upstream);
        let text = failure.to_string();
        assert!(text.contains(&format!("/feed: it is {nature}, and no feed that can be read: ")), "{text}");
        assert_eq!(failure.action.is_some(), nature == "an HTML page");
    }
}

#[tokio::test]
async fn the_content_type_does_not_matter() {
    for content_type in ["text/html", "application/octet-stream", "text/xml; charset=utf-8", ""] {
        let polled = read(include_bytes!("feeds/atom.xml"), content_type).await.unwrap();
        assert_eq!(polled.events.len(), 2, "{content_type}");
    }
}

#[tokio::test]
async fn entities_of_a_document_type_are_not_expanded() {
    let polled = read(include_bytes!("feeds/entities.xml"), "").await.unwrap();
    assert_eq!(data(&polled.events[0])["title"], "&d;&secret;");
}

#[tokio::test]
async fn items_without_id_have_a_name_that_stays() {
    let names = entities("<item><title>a</title></item><item><title>b</title></item>").await;
    assert_eq!(names.len(), 2);
    assert!(names.iter().all(|name| name.starts_with("sha256:") && name.len() == 71), "{names:?}");
    let names = entities("<item><link>/b</link></item><item><link>http://h/a</link></item>").await;
    assert!(names[0] == "http://h/a" && names[1].ends_with("/b"), "{names:?}");
}

#[tokio::test]
async fn items_that_share_a_name_are_told_apart() {
    let names = entities(
        "<item><link>http://h/</link><title>b</title></item><item><link>http://h/</link><title>a</title></item>\
         <item><guid>0</guid><link>http://h/2</link></item><item><guid>0</guid><link>http://h/1</link></item>",
    )
    .await;
    let stems: Vec<&str> = names.iter().map(|name| name.split('#').next().unwrap()).collect();
    assert_eq!(stems, ["0", "0", "http://h/", "http://h/"]);
    assert!(names[0] != names[1] && names[2] != names[3], "{names:?}");
}

#[tokio::test]
async fn versions_of_one_entry_count_once_by_the_latest() {
    let entry = |title: &str, day: u8| {
        format!(
            "<entry><id>x</id><title>{title}</title><updated>2026-11-{day:02}T00:00:00Z</updated></entry>"
        )
    };
    let entries = [entry("middle", 2), entry("last", 3), entry("first", 1)].concat();
    let body = format!("<feed xmlns=\"http://www.w3.org/2005/Atom\">{entries}</feed>");
    let polled = read(body, "").await.unwrap();
    assert_eq!(polled.events.len(), 1);
    assert_eq!(data(&polled.events[0])["title"], "last");
}

#[tokio::test]
async fn names_that_fit_nowhere_are_cut_and_digested() {
    let long = "n".repeat(1_000_000);
    let names = entities(&format!(
        "<item><guid>{long}1</guid></item><item><guid>{long}2</guid></item><item><guid>a&#7;b\u{85}c</guid></item>"
    ))
    .await;
    assert_eq!(names.len(), 3);
    assert!(names[0].starts_with("abc#sha256:"), "{names:?}");
    assert!(names[1].starts_with("nnn") && names[1] != names[2] && names[1].len() < 400, "{names:?}");
}

#[tokio::test]
async fn what_is_too_long_is_cut_and_marked() {
    let content = "\u{20ac}".repeat(1_000_000);
    let categories = "<category>c</category>".repeat(1_000);
    let link = format!("http://h/{}", "l".repeat(10_000));
    let item = format!(
        "<item><guid>1</guid><title>t</title><description>{content}</description>{categories}</item>"
    );
    let events =
        read(rss(&format!("{item}<item><guid>2</guid><link>{link}</link></item>")), "").await.unwrap().events;
    let (second, first) = (data(&events[0]), data(&events[1]));
    assert_eq!(first["summary"].as_str().unwrap().len(), 65_535, "a character of three bytes does not break");
    assert_eq!(first["categories"].as_array().unwrap().len(), 100);
    assert_eq!((&first["truncated"], &second["truncated"]), (&json!(true), &json!(true)));
    assert_eq!(second["url"], Value::Null);
}

#[tokio::test]
async fn a_change_behind_the_cut_is_still_a_change() {
    let server = Server::start().await;
    let memory = Recorder::new();
    let feed = build(&server);
    for end in ["a", "b"] {
        let text = "x".repeat(100_000);
        server.set(
            "/feed",
            ok(rss(&format!("<item><guid>1</guid><description>{text}{end}</description></item>"))),
        );
        poll(&*feed, &memory).await.unwrap();
    }
    assert_eq!(memory.events()[1].event_type, "feed.entry_updated");
}

#[tokio::test]
async fn too_many_entries_are_a_problem_whatever_their_number() {
    let items =
        |count: usize| (0..count).map(|n| format!("<item><guid>{n}</guid></item>")).collect::<String>();
    let polled = read(rss(&items(10_001)), "").await.unwrap();
    assert_eq!(polled.events.len(), 10_000);
    assert_eq!(
        polled.problems[0].to_string(),
        "the feed holds 10001 entries, only the first 10000 are looked at"
    );
    let failure = read(rss(&"<item/>".repeat(100_001)), "").await.unwrap_err();
    assert!(
        failure
            .to_string()
            .ends_with("none of its 100001 entries is understood, the first at line 1, column 51"),
        "{failure}"
    );
    let objects = "{},".repeat(100_001);
    let json = format!(
        "{{\"version\":\"https://jsonfeed.org/version/1\",\"title\":\"\",\"items\":[{{\"id\":1}},{objects}{{}}]}}"
    );
    let polled = read(json, "").await.unwrap();
    assert_eq!((polled.events.len(), polled.problems.len()), (1, 2), "{:?}", polled.problems);
}

#[tokio::test]
async fn deep_nesting_breaks_nothing() {
    let deep = |open: &str, close: &str, depth: usize| [open.repeat(depth), close.repeat(depth)].concat();
    for (open, close) in
        [("<a>", "</a>"), ("<a>", ""), ("", "</a>"), ("<a>", "</b>"), ("<media:group>", "</media:group>")]
    {
        let nested = deep(open, close, 100_000);
        let items = format!("<item>{nested}<guid>1</guid></item><item><guid>2</guid>{nested}</item>");
        let polled = read(rss(&items), "").await.unwrap();
        // What is within something that nobody closes is not the entry's.
        let lost = usize::from(close.is_empty() || close == "</b>");
        assert_eq!((polled.events.len(), polled.problems.len()), (2 - lost, lost), "{open} {close}");
    }
    let json = format!(
        "{{\"version\":\"https://jsonfeed.org/version/1\",\"title\":\"\",\"x\":{},\"items\":[{{\"id\":\"1\"}}]}}",
        deep("[", "]", 100_000)
    );
    assert_eq!(read(json, "").await.unwrap().events.len(), 1);
}

/// Parts of documents that begin, end or break something.
const REPEATED: &[&str] = &[
    "<",
    "<a",
    "<a ",
    "<a b=\"",
    "<a b='",
    "<a b=\"<a b='",
    "=\"",
    "<!--",
    "<!-- a",
    "<![CDATA[",
    "]]>",
    "<?",
    "<?a>",
    "<!DOCTYPE [",
    "<!DOCTYPE a [ ]",
    "]",
    "&",
    "&#",
    "&#x41",
    "&amp",
    "</",
    "</a",
    "</a>",
    "<a>",
    "<a/>",
    "<a></b>",
    "<item>",
    "<item",
    "</item>",
    "<item/>",
    "<item><guid>1</guid></item>",
    "<item><title>",
    "<![CDATA[</item>",
    "<item><![CDATA[",
    "<a xmlns:b=\"c\">",
    "<category>a</category>",
    "<media:group>",
    "<link>",
    "<title><link>",
    "<author><name>a</name></author>",
    "<guid>a</guid>",
    "a@b.",
    "@",
    "{",
    "}",
    "},{",
    "{},",
    "[",
    "\"",
    "\\",
    "\\u",
    "} ,",
    "{\"id\":1},",
    "{\"id\":x},",
    "{\"id\":{\"a\":x},",
    "\"items\"",
    "\"items\":[",
    " ",
    "\n",
    "\u{e4}",
    "\0",
    "<\u{e4}>",
];

/// Whatever is repeated, reading takes a time that grows with the length and not with its square, for which these
/// documents are long enough: a second then becomes minutes.
#[test]
fn nothing_that_is_repeated_takes_long() {
    const LENGTH: usize = 256 << 10;
    let base = Url::parse("http://h/").unwrap();
    let around = |part: &str| {
        let many = part.repeat(LENGTH / part.len());
        let xml = format!(
            "<rss><channel><item><guid>1</guid><description>{many}</description></item></channel></rss>"
        );
        [xml, format!("<rss><channel>{many}"), format!("{{\"items\":[{{\"id\":1}},{many}"), many]
    };
    for part in REPEATED {
        for document in around(part) {
            let started = Instant::now();
            let _ = inspect(document.as_bytes(), None, &base);
            assert!(started.elapsed().as_secs() < 10, "{part:?} takes {:?}", started.elapsed());
        }
    }
}

#[tokio::test]
async fn values_that_fit_nowhere_cost_themselves() {
    let item = "<item><guid>1</guid><link>http://h/~a@b</link><author>\u{201c}a@example.org\u{201d}</author>\
                <description>write to a@example.org</description>\
                <enclosure url=\"http://h/1\" length=\"99999999999999999999999\"/>\
                <itunes:duration>99999999999999999999999</itunes:duration></item>";
    let polled = read(rss(item), "").await.unwrap();
    let entry = data(&polled.events[0]);
    assert_eq!(entry["authors"], json!([{ "email": "a@example.org" }]));
    assert_eq!(
        (&entry["url"], &entry["summary"]),
        (&json!("http://h/~a@b"), &json!("write to a@example.org"))
    );
    assert_eq!(entry["enclosures"], json!([{ "url": "http://h/1", "type": null, "length": null }]));
}
