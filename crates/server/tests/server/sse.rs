//! Streams: what they say, when, and what happens to those who do not listen.

use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::settings::parse;
use inboxclaw_contract::store::{Prune, Retention};
use inboxclaw_contract::{Condition, Seq, StartAt};
use inboxclaw_server::Bounds;
use inboxclaw_server::sse::{Feed, Heartbeat, Settings, SseSink};
use inboxclaw_settings::Patterns;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::meddler::Meddler;
use super::support::{Inbox, Running};

#[tokio::test]
async fn a_stream_is_framed_as_ever() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    inbox.emit(&["before"]).await;
    let head = format!("GET /live/ HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    let mut tcp = server.send(&head).await;
    let mut raw = Vec::new();
    while !raw.ends_with(b"data: connected\r\n\r\n\r\n") {
        assert!(tcp.read_buf(&mut raw).await.unwrap() > 0);
    }
    let text = String::from_utf8(std::mem::take(&mut raw)).unwrap();
    for line in [
        "HTTP/1.1 200 OK",
        "content-type: text/event-stream; charset=utf-8",
        "cache-control: no-store",
        "connection: keep-alive",
        "x-accel-buffering: no",
        "transfer-encoding: chunked",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    assert!(text.contains("\r\nid: 1\r\nevent: info\r\ndata: connected\r\n\r\n\r\n"), "{text}");
    inbox.emit_with(&["a.x"], json!({ "text": "é" })).await;
    while !raw.ends_with(b"\r\n\r\n\r\n") {
        assert!(tcp.read_buf(&mut raw).await.unwrap() > 0);
    }
    let message = "id: 2\r\nevent: message\r\ndata: {\"id\": 2, \"event_id\": \"e1\", \"event_type\": \"a.x\", \
        \"entity_id\": null, \"created_at\": \"2026-11-22T06:46:26.063532\", \"data\": {\"text\": \"\\u00e9\"}, \
        \"source\": {\"id\": 1, \"name\": \"s\"}, \"meta\": {}}\r\n\r\n";
    let chunk = format!("{:X}\r\n{message}\r\n", message.len());
    assert_eq!(String::from_utf8(raw).unwrap(), chunk);
}

#[tokio::test]
async fn only_what_matches_and_comes_later_is_sent() {
    let inbox = Inbox::new().await;
    let sink =
        SseSink::new("live", Patterns::new(["a.*", "!a.no"]), inboxclaw_server::sse::Settings::default());
    let server = inbox.serve_with(|app| app.streams = vec![Arc::new(sink)]).await;
    inbox.emit(&["a.x"]).await;
    let mut all = server.stream("/live/", "").await;
    let mut some = server.stream("/live/?event_type=a.y", "").await;
    inbox.emit(&["b", "a.no", "a.x", "a.y", "a.x"]).await;
    assert_eq!([all.event().await, all.event().await, all.event().await], [Some(4), Some(5), Some(6)]);
    assert_eq!(some.event().await, Some(5));
    inbox.emit(&["a.y"]).await;
    assert_eq!((all.event().await, some.event().await), (Some(7), Some(7)));
}

#[tokio::test]
async fn a_stream_resumes_after_the_last_event_it_had() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    inbox.emit(&["a"; 250]).await;
    let mut by_header = server.stream("/live/?last_event_id=249", "Last-Event-ID: 2\r\n").await;
    for id in 3..=250 {
        assert_eq!(by_header.event().await, Some(id));
    }
    let mut by_query = server.stream("/live/?last_event_id=248", "Last-Event-ID:\r\n").await;
    assert_eq!([by_query.event().await, by_query.event().await], [Some(249), Some(250)]);
    inbox.emit(&["a"]).await;
    assert_eq!((by_header.event().await, by_query.event().await), (Some(251), Some(251)));
    let headers = [("Last-Event-ID", "x")];
    let answer = server.request("GET", "/live/", &headers).await;
    assert_eq!(
        (answer.status, answer.json()["detail"][0]["loc"].to_string()),
        (422, r#"["header","last-event-id"]"#.into())
    );
    assert_eq!(server.get("/live/?last_event_id=-1").await.status, 422);
}

#[tokio::test]
async fn a_stream_that_fell_behind_retention_is_told() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    inbox.emit(&["a"; 5]).await;
    inbox.clock.advance(Duration::from_secs(100));
    inbox.emit(&["a"]).await;
    let older_than = Duration::from_secs(50);
    let prune = Prune { keep: Retention::all(older_than), owed_max: older_than, limit: 100 };
    assert_eq!(inbox.store.prune(&prune).await.unwrap().events, 5);
    let mut late = server.stream("/live/", "Last-Event-ID: 2\r\n").await;
    assert_eq!(late.message().await.unwrap(), "id: 2\r\nevent: info\r\ndata: connected\r\n\r\n");
    assert_eq!(late.message().await.unwrap(), "event: truncated\r\ndata: {\"oldest\": 6}\r\n\r\n");
    assert_eq!(late.event().await, Some(6));
    let listed = async |query: &str| server.get(&format!("/api/events?limit=1&{query}")).await.json();
    assert_eq!(listed("after=2").await["truncated"], json!({ "oldest": 6 }));
    assert_eq!(listed("after=1000").await["truncated"], json!({ "oldest": 6 }));
    for complete in ["after=5", "after=6", "ids=2", "offset=0"] {
        assert_eq!(listed(complete).await.get("truncated"), None, "{complete}");
    }
    assert_eq!(server.get("/api/events?after=x").await.status, 422);
    let mut in_time = server.stream("/live/", "Last-Event-ID: 5\r\n").await;
    in_time.message().await.unwrap();
    assert!(in_time.message().await.unwrap().starts_with("id: 6\r\n"), "nothing was missed");
    // A place that this log never had: the client knows nothing of what is in this one.
    let mut other = server.stream("/live/", "Last-Event-ID: 1000\r\n").await;
    other.message().await.unwrap();
    assert_eq!(other.message().await.unwrap(), "event: truncated\r\ndata: {\"oldest\": 6}\r\n\r\n");
    assert_eq!(other.message().await.unwrap(), "id: 6\r\n\r\n", "and is told once, if it comes back");
    inbox.emit(&["a"]).await;
    assert_eq!(other.event().await, Some(7));
}

/// What retention kept before the gap comes all the same, and the gap is told once.
#[tokio::test]
async fn a_gap_is_told_once() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    inbox.emit(&["kept"; 150]).await;
    inbox.emit(&["gone"]).await;
    inbox.clock.advance(Duration::from_secs(100));
    inbox.emit(&["new"]).await;
    inbox.pull_sink_from("inbox", Patterns::new(["kept"]), StartAt::All, json!({})).await;
    let day = Duration::from_secs(24 * 60 * 60);
    let prune = Prune { keep: Retention::all(Duration::from_secs(50)), owed_max: day, limit: 1000 };
    assert_eq!(inbox.store.prune(&prune).await.unwrap().events, 1);
    let mut late = server.stream("/live/", "Last-Event-ID: 2\r\n").await;
    late.message().await.unwrap();
    assert_eq!(late.message().await.unwrap(), "event: truncated\r\ndata: {\"oldest\": 152}\r\n\r\n");
    for id in (3..=150).chain([152]) {
        let message = late.message().await.unwrap();
        assert!(message.starts_with(&format!("id: {id}\r\n")), "{id}: {message}");
    }
}

/// A client whose connection breaks before it had an event connects again with the id of what it had last: the
/// greeting or a heartbeat.
#[tokio::test]
async fn a_client_that_had_no_event_misses_none() {
    let inbox = Inbox::new().await;
    let brief = json!({ "heartbeat_timeout": 1 });
    let sink = SseSink::new("live", Patterns::new(["a"]), parse(brief).unwrap());
    let server = inbox.serve_with(|app| app.streams = vec![Arc::new(sink)]).await;
    let last_id =
        |message: String| message.split("\r\n").next().unwrap().strip_prefix("id: ").unwrap().to_owned();
    for (emitted, id) in [(&["a"; 3][..], "0"), (&["b"; 2], "3")] {
        let mut stream = server.stream("/live/", "").await;
        let greeting = last_id(stream.message().await.unwrap());
        assert_eq!(greeting, id);
        drop(stream);
        inbox.emit(emitted).await;
        let mut again = server.stream("/live/", &format!("Last-Event-ID: {greeting}\r\n")).await;
        if emitted[0] == "a" {
            assert_eq!([again.event().await, again.event().await], [Some(1), Some(2)]);
        }
    }
    // Nothing of its type comes: the heartbeat says how far that is true.
    let mut silent = server.stream("/live/", "Last-Event-ID: 3\r\n").await;
    assert_eq!(last_id(silent.message().await.unwrap()), "3");
    let heartbeat = silent.message().await.unwrap();
    assert!(heartbeat.contains("event: heartbeat"), "{heartbeat}");
    assert_eq!(last_id(heartbeat), "5");
}

/// One event to many streams is read once for each that wants something else.
#[tokio::test]
async fn streams_at_the_end_share_what_they_read() {
    let inbox = Inbox::new().await;
    let reads = Arc::new(Meddler::idle(inbox.store.clone()));
    let server = inbox.serve_with(|app| app.store = reads.clone()).await;
    inbox.emit(&["a"]).await;
    let mut all = Vec::new();
    let mut some = Vec::new();
    for _ in 0..20 {
        all.push(server.stream("/live/", "").await);
        some.push(server.stream("/live/?event_type=a", "").await);
    }
    let mut late = server.stream("/live/", "Last-Event-ID: 0\r\n").await;
    assert_eq!(late.event().await, Some(1), "who comes from behind reads alone");
    for stream in all.iter_mut().chain(&mut some) {
        assert!(stream.message().await.unwrap().starts_with("id: 1\r\nevent: info"));
    }
    let before = reads.by.reads();
    inbox.emit(&["b", "a"]).await;
    for stream in all.iter_mut().chain([&mut late]) {
        assert_eq!([stream.event().await, stream.event().await], [Some(2), Some(3)]);
    }
    for stream in &mut some {
        assert_eq!(stream.event().await, Some(3));
    }
    // A stream that has just begun may not have looked yet when the event came.
    let reads = reads.by.reads() - before;
    assert!((2..=4).contains(&reads), "{reads} reads for 41 streams");
}

/// A feed of the events of type `a` with a heartbeat every 20 s, on paused time.
fn feed(inbox: &Inbox, shutdown: &CancellationToken) -> Feed {
    let sink = SseSink::new("live", Patterns::new(["a"]), parse(json!({ "heartbeat_timeout": 20 })).unwrap());
    let pulse = Heartbeat::new(inbox.clock.clone(), sink.heartbeat());
    Feed::new(inbox.store.clone(), sink.selection(None, Seq(0)), pulse, shutdown.clone())
}

const COMMENT: &str = ": ping - 2026-11-22 06:46:26.063532+00:00\r\n\r\n";
const HEARTBEAT: &str = "id: 0\r\nevent: heartbeat\r\ndata: ping\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_silent_stream_sends_comments_and_heartbeats_on_time() {
    let inbox = Inbox::new().await;
    let mut feed = feed(&inbox, &CancellationToken::new());
    let start = Instant::now();
    feed.next().await.unwrap();
    let mut said = Vec::new();
    for _ in 0..6 {
        let text = String::from_utf8(feed.next().await.unwrap().to_vec()).unwrap();
        said.push((start.elapsed().as_secs(), text));
    }
    let wanted =
        [(15, COMMENT), (20, HEARTBEAT), (30, COMMENT), (40, HEARTBEAT), (45, COMMENT), (60, COMMENT)];
    assert_eq!(said, wanted.map(|(at, text)| (at, text.to_owned())));
}

/// Events for others are no life sign on this stream, and each of its own messages is one.
#[tokio::test(start_paused = true)]
async fn heartbeats_are_on_time_under_unrelated_traffic() {
    let inbox = Inbox::new().await;
    let mut feed = feed(&inbox, &CancellationToken::new());
    feed.next().await.unwrap();
    let start = Instant::now();
    let traffic = async {
        loop {
            tokio::time::sleep(Duration::from_secs(3)).await;
            blocking_emit(&inbox, if start.elapsed().as_secs() == 24 { "a" } else { "b" }).await;
        }
    };
    let listen = async {
        let mut beats = Vec::new();
        while beats.len() < 3 {
            let text = feed.next().await.unwrap();
            if text != COMMENT {
                let is_beat = text.ends_with(b"\r\nevent: heartbeat\r\ndata: ping\r\n\r\n");
                beats.push((start.elapsed().as_secs(), is_beat));
            }
        }
        beats
    };
    let beats = tokio::select! { beats = listen => beats, () = traffic => unreachable!() };
    assert_eq!(beats, [(20, true), (24, false), (44, true)]);
}

/// Emits while the paused clock stands still: it stands as long as a blocking task runs.
async fn blocking_emit(inbox: &Inbox, kind: &'static str) {
    let (done, mut emitted) = tokio::sync::oneshot::channel::<()>();
    let standing = tokio::task::spawn_blocking(move || {
        while matches!(emitted.try_recv(), Err(tokio::sync::oneshot::error::TryRecvError::Empty)) {
            std::thread::yield_now();
        }
    });
    inbox.emit(&[kind]).await;
    drop(done);
    standing.await.unwrap();
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off_and_others_are_not() {
    let inbox = Inbox::new().await;
    let bounds = Bounds { stall_timeout: Duration::from_millis(300), ..Bounds::default() };
    let server = inbox.serve_with(|app| app.bounds = bounds).await;
    let mut slow = server.stream("/live/", "").await;
    let mut quick = server.stream("/live/", "").await;
    // More than sockets hold; the quick one reads along.
    let text = "x".repeat(1 << 20);
    for id in 1..=40 {
        inbox.emit_with(&["a"], json!({ "text": text })).await;
        assert_eq!(quick.event().await, Some(id));
    }
    while open_streams(&server).await != 1 {
        tokio::task::yield_now().await;
    }
    inbox.emit(&["a"]).await;
    assert_eq!(quick.event().await, Some(41));
    let mut last = 0;
    while let Some(id) = slow.event().await {
        last = id;
    }
    assert!(last < 41, "the slow one was cut off at {last}");
}

async fn open_streams(server: &Running) -> u64 {
    let metrics = server.get("/metrics").await.body;
    let line = metrics.lines().find_map(|line| line.strip_prefix("inboxclaw_sse_streams "));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn too_many_streams_are_refused_and_a_closed_one_makes_room() {
    let inbox = Inbox::new().await;
    let server = inbox.serve_with(|app| app.bounds.streams = 1).await;
    let open = server.stream("/live/", "").await;
    let refused = server.get("/live/").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    drop(open);
    while open_streams(&server).await != 0 {
        tokio::task::yield_now().await;
    }
    server.stream("/live/", "").await;
}

/// What is all taken is shared: the one who has the most gives to one who has less.
#[tokio::test]
async fn a_client_with_few_streams_gets_one_of_the_greediest() {
    let inbox = Inbox::new().await;
    let server = inbox.serve_with(|app| app.bounds.streams = 3).await;
    let of = |client: &str| format!("X-Forwarded-For: {client}\r\n");
    let mut first = server.stream("/live/", &of("192.0.2.1")).await;
    first.message().await.unwrap();
    let _second = server.stream("/live/", &of("192.0.2.1")).await;
    let _third = server.stream("/api/sources/s/watch", &of("192.0.2.1")).await;
    let refused = server.request("GET", "/live/", &[("X-Forwarded-For", "192.0.2.1")]).await;
    assert_eq!(refused.status, 503);
    let _other = server.stream("/live/", &of("192.0.2.2")).await;
    assert_eq!(first.message().await, None, "the oldest one ends in good order");
    assert_eq!(open_streams(&server).await, 3);
    let metrics = server.get("/metrics").await.body;
    for line in ["inboxclaw_sse_streams_refused_total 1", "inboxclaw_sse_streams_ended_total 1"] {
        assert!(metrics.lines().any(|found| found == line), "{line}:\n{metrics}");
    }
}

#[tokio::test]
async fn streams_end_at_shutdown() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    let mut stream = server.stream("/live/", "").await;
    stream.message().await.unwrap();
    let asked = std::time::Instant::now();
    server.shutdown.cancel();
    assert_eq!(stream.message().await, None);
    server.task.await.unwrap().unwrap();
    assert!(asked.elapsed() < Bounds::default().grace, "no grace was needed");
}

#[tokio::test]
async fn paths_come_from_the_parse() {
    let inbox = Inbox::new().await;
    let sink = SseSink::new("alerts", Patterns::default(), parse(json!({ "path": "/live" })).unwrap());
    let server = inbox.serve_with(|app| app.streams = vec![Arc::new(sink)]).await;
    server.stream("/alerts/live", "").await;
    assert_eq!(server.get("/alerts/").await.status, 404);
    let redirect = server.get("/alerts/live/?x=1").await;
    let wanted = format!("http://{}/alerts/live?x=1", server.address);
    assert_eq!((redirect.status, redirect.header("location")), (307, Some(wanted.as_str())));
}

#[test]
fn a_heartbeat_that_would_flood_is_refused() {
    for (value, good) in [(json!(1), true), (json!("1m"), true), (json!(0), false), (json!("0.5s"), false)] {
        let read = parse::<Settings>(json!({ "heartbeat_timeout": value }));
        assert_eq!(read.is_ok(), good, "{value}");
    }
    assert_eq!(parse::<Settings>(json!({ "heartbeat_timeout": 0 })).unwrap_err().path, "heartbeat_timeout");
}

/// Streams of one selection share what is read; those of another format do not.
#[tokio::test]
async fn a_stream_of_cloud_events_beside_one_of_envelopes() {
    let inbox = Inbox::new().await;
    let settings = parse::<Settings>(json!({ "format": "cloudevents" })).unwrap();
    let clouds = Arc::new(SseSink::new("clouds", Patterns::default(), settings));
    let server = inbox.serve_with(|app| app.streams.push(clouds)).await;
    let mut streams = Vec::new();
    for name in ["live", "clouds"] {
        let head = format!("GET /{name}/ HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
        streams.push((server.send(&head).await, Vec::new()));
    }
    for (tcp, raw) in &mut streams {
        while !raw.ends_with(b"data: connected\r\n\r\n\r\n") {
            assert!(tcp.read_buf(raw).await.unwrap() > 0);
        }
        raw.clear();
    }
    inbox.emit(&["a.x"]).await;
    for ((tcp, raw), begins) in
        streams.iter_mut().zip(["{\"id\": 1, ", "{\"specversion\": \"1.0\", \"id\": \"e0\", "])
    {
        while !raw.ends_with(b"\r\n\r\n\r\n") {
            assert!(tcp.read_buf(raw).await.unwrap() > 0);
        }
        let text = String::from_utf8_lossy(raw);
        assert!(text.contains(&format!("id: 1\r\nevent: message\r\ndata: {begins}")), "{text}");
    }
}

#[tokio::test]
async fn a_stream_with_a_condition_sends_what_fulfils_it_and_what_nobody_can_say_it_of() {
    let inbox = Inbox::new().await;
    let condition = Condition::new("data.wanted", |event| match event.data.as_str() {
        r#"{"wanted":true}"# => Ok(true),
        r#"{"wanted":false}"# => Ok(false),
        _ => Err("it does not say".to_owned()),
    });
    let server = inbox
        .serve_with(|app| {
            let narrow = SseSink::new("narrow", Patterns::default(), Settings::default());
            app.streams.push(Arc::new(narrow.with_condition(Some(condition))));
        })
        .await;
    let (mut all, mut narrow) = (server.stream("/live/", "").await, server.stream("/narrow/", "").await);
    inbox.emit_with(&["a"], json!({ "wanted": false })).await;
    inbox.emit_with(&["a"], json!({})).await;
    inbox.emit_with(&["a"], json!({ "wanted": false })).await;
    inbox.emit_with(&["a"], json!({ "wanted": true })).await;
    assert_eq!([all.event().await, all.event().await], [Some(1), Some(2)]);
    assert_eq!([narrow.event().await, narrow.event().await], [Some(2), Some(4)]);
}
