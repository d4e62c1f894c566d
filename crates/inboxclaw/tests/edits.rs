//! People edit the state of a source while it polls, on the real binary: no edit is lost, no event is lost or comes
//! twice, and the source goes on. `INBOXCLAW_SECONDS` says how long each half runs.
#![allow(clippy::unwrap_used, clippy::panic, dead_code, reason = "a test may panic; the program is shared")]

#[path = "e2e/program.rs"]
mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use program::{Place, text};
use serde_json::Value;

const STATE: &str = "/api/sources/news/state";

/// Edits of other keys, thirty a second: none of them costs the source a turn.
#[test]
fn edits_of_other_keys_disturb_nothing() {
    let news = News::publish(Duration::from_millis(100));
    let place = started(&news);
    let alone = turns_within(&place, seconds(), |_| ());
    let mut edits = 0;
    let edited = turns_within(&place, seconds(), |place| {
        let (status, body) = place.send("PUT", &format!("{STATE}/note:{edits}"), &edits.to_string()).unwrap();
        assert_eq!(status, 201, "{body}");
        edits += 1;
        thread::sleep(Duration::from_millis(33));
    });
    for n in 0..edits {
        assert_eq!(place.get(&format!("{STATE}/note:{n}")), Some((200, n.to_string())), "no edit is lost");
    }
    // One poll takes a tenth of a second, then the source waits for one: both halves hold about as many.
    assert!(edited.turns * 10 >= alone.turns * 7, "the source keeps its pace: {alone:?}, then {edited:?}");
    assert_eq!(edited.conflicts, 0, "{edited:?}");
    println!("{alone:?} alone, {edited:?} beside {edits} edits");
    all_is_reported_once(&place, &news);
}

/// Edits, undoes and rewinds of the very keys that the source works with, several times in each poll: turns are refused and start again, and what was published arrives once.
#[test]
fn edits_of_its_own_keys_never_stop_a_source() {
    let news = News::publish(Duration::from_millis(700));
    let place = started(&news);
    let mut kind = 0;
    let edited = turns_within(&place, seconds() * 2, |place| {
        let version = version(place);
        let (method, path, body) = match kind % 5 {
            0 => ("DELETE", format!("{STATE}/{}", own_key(place, kind)), String::new()),
            1 => ("POST", "/api/sources/news/undo".into(), String::from("{}")),
            2 => ("PUT", format!("{STATE}/{}", own_key(place, kind)), String::from(r#""edited""#)),
            3 => ("POST", "/api/sources/news/rewind".into(), format!(r#"{{"to":{}}}"#, (version - 3).max(1))),
            _ => ("PUT", "/api/sources/news/cursor".into(), String::from(r#"{"cursor":"edited"}"#)),
        };
        let (status, answer) = place.send(method, &path, &body).unwrap();
        // A rewind may have left no key, or a turn in between taken it away.
        let is_refused = matches!(status, 404 | 409);
        assert!(is_refused || matches!(status, 200 | 201 | 204), "{method} {path}: {status} {answer}");
        kind += 1;
        thread::sleep(Duration::from_millis(250));
    });
    println!("{edited:?} beside {kind} edits of its own keys");
    assert!(edited.turns >= seconds().as_secs() / 3, "the source goes on: {edited:?}");
    assert!(edited.conflicts > 0, "the edits met turns in flight: {edited:?}");
    all_is_reported_once(&place, &news);
}

/// A feed that gains four items a second and answers slowly.
struct News {
    port: u16,
    begun: Instant,
    /// The number of items at the end, once there is one.
    end: Arc<AtomicU64>,
}

/// What the source did in a stretch of time.
#[derive(Debug)]
struct Stretch {
    turns: u64,
    conflicts: u64,
}

impl News {
    fn publish(delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (begun, end) = (Instant::now(), Arc::new(AtomicU64::new(u64::MAX)));
        let last = end.clone();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let items = items(begun).min(last.load(Relaxed));
                // The request is small, and what it says does not matter.
                let _ = stream.read(&mut [0; 4096]);
                thread::sleep(delay);
                let body = rss(items);
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
                let _ = write!(stream, "{head}Content-Type: application/rss+xml\r\n\r\n{body}");
            }
        });
        Self { port, begun, end }
    }

    /// Ends the stream of news; returns how many items there are.
    fn end(&self) -> u64 {
        let count = items(self.begun);
        self.end.store(count, Relaxed);
        count
    }
}

fn items(begun: Instant) -> u64 {
    1 + u64::try_from(begun.elapsed().as_millis()).unwrap() / 250
}

fn rss(items: u64) -> String {
    let mut text = String::from("<rss version=\"2.0\"><channel><title>t</title><link>http://x/</link>");
    for n in 0..items {
        write!(text, "<item><guid isPermaLink=\"false\">item-{n}</guid><title>item {n}</title></item>")
            .unwrap();
    }
    text + "</channel></rss>"
}

fn started(news: &News) -> Place {
    let url = format!("http://127.0.0.1:{}/", news.port);
    let sources =
        format!("  news:\n    type: feed\n    url: {url}\n    poll_interval: 1s\n    bootstrap: all\n");
    let mut place = Place::with(&sources);
    place.start();
    place.until("the source has polled", |place| Some(own_keys(place).is_some_and(|keys| !keys.is_empty())));
    place
}

fn seconds() -> Duration {
    let given = std::env::var("INBOXCLAW_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(given.unwrap_or(4))
}

/// Does `work` again and again for so long.
fn turns_within(place: &Place, long: Duration, mut work: impl FnMut(&Place)) -> Stretch {
    let before = counters(place);
    let begun = Instant::now();
    while begun.elapsed() < long {
        work(place);
        thread::sleep(Duration::from_millis(1));
    }
    let after = counters(place);
    Stretch { turns: after.turns - before.turns, conflicts: after.conflicts - before.conflicts }
}

fn counters(place: &Place) -> Stretch {
    let (_, metrics) = place.get("/metrics").unwrap();
    let value = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name) && line.contains("\"news\""));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or_else(|| panic!("{name}: {metrics}"))
    };
    Stretch { turns: value("inboxclaw_turns_total"), conflicts: value("inboxclaw_turn_conflicts_total") }
}

fn version(place: &Place) -> u64 {
    let (_, body) = place.get("/api/sources/news/cursor").unwrap();
    serde_json::from_str::<Value>(&body).unwrap()["version"].as_u64().unwrap()
}

fn own_keys(place: &Place) -> Option<Vec<String>> {
    let (status, body) = place.get(&format!("{STATE}?prefix=seen:&keys=1&limit=1000"))?;
    let answer: Value = (status == 200).then(|| serde_json::from_str(&body).unwrap())?;
    Some(answer["entries"].as_array()?.iter().map(|entry| text(entry, "key").to_owned()).collect())
}

/// One of the keys that the source works with.
fn own_key(place: &Place, nth: usize) -> String {
    let keys = own_keys(place).unwrap();
    keys.get(nth * 7 % keys.len().max(1)).cloned().unwrap_or_else(|| "seen:item-0".into())
}

/// Every item that was published is in the log, once.
fn all_is_reported_once(place: &Place, news: &News) {
    let published = news.end();
    place.until("every item is reported", |place| {
        let reported = reported(place)?;
        assert!(reported.values().all(|times| *times == 1), "once each: {reported:?}");
        Some((0..published).all(|n| reported.contains_key(&format!("item-{n}"))))
    });
}

/// How often each item is in the log.
fn reported(place: &Place) -> Option<BTreeMap<String, u64>> {
    let mut found = BTreeMap::new();
    // Events that come while the pages are read push others to the next page.
    let mut met = BTreeSet::new();
    let mut offset = 0;
    loop {
        let (_, body) = place.get(&format!("/api/events?limit=500&offset={offset}"))?;
        let answer: Value = serde_json::from_str(&body).unwrap();
        let events = answer["events"].as_array()?;
        for event in events.iter().filter(|event| event["source_name"] == "news") {
            assert_eq!(event["event_type"], "feed.entry_published", "{event}");
            if met.insert(event["id"].as_u64().unwrap()) {
                *found.entry(text(event, "entity_id").to_owned()).or_default() += 1;
            }
        }
        if events.is_empty() {
            return Some(found);
        }
        offset += events.len();
    }
}
