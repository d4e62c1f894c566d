//! The fixed routes, the answers that all routes have in common, and the bounds of connections.

use std::sync::Arc;
use std::time::{Duration, Instant};

use inboxclaw_contract::Owner;
use inboxclaw_server::{Bounds, ServerSettings};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::{Answer, Inbox, Well};

#[tokio::test]
async fn paths_methods_and_slashes() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    for (method, path, status) in [
        ("GET", "/", 200),
        ("GET", "/healthcheck", 200),
        ("GET", "/healthcheck/live", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/inbox", 404),
        ("GET", "/api", 404),
        ("GET", "/%FF", 404),
        ("GET", "/api/events/1/2", 404),
        ("GET", "/docs", 404),
        ("HEAD", "/inbox/extract", 405),
        ("PUT", "/inbox/extract", 405),
        ("POST", "/inbox/extract", 422),
        ("HEAD", "/live/", 405),
        ("HEAD", "/api/sources/s/watch", 405),
        ("OPTIONS", "/", 200),
        ("OPTIONS", "/api/events", 405),
        ("GET", "/inbox/mark-processed", 405),
        ("DELETE", "/api/events/1", 405),
        ("GET", "/live", 307),
        ("POST", "/inbox/mark-processed/", 307),
        ("GET", "/api/events/", 307),
    ] {
        assert_eq!(server.request(method, path, &[]).await.status, status, "{method} {path}");
    }
    assert_eq!(server.get("/").await.body, r#"{"status":"ok"}"#);
    assert_eq!(server.get("/nowhere").await.body, r#"{"detail":"Not Found"}"#);
    for (path, allow) in [("/inbox/extract", "GET, POST"), ("/", "GET, HEAD"), ("/api/events/1", "GET, HEAD")]
    {
        let wrong = server.request("PUT", path, &[]).await;
        assert_eq!(
            (wrong.body.as_str(), wrong.header("allow")),
            (r#"{"detail":"Method Not Allowed"}"#, Some(allow))
        );
    }
    let wanted = format!("http://{}/live/?event_type=a", server.address);
    assert_eq!(server.get("/live?event_type=a").await.header("location"), Some(wanted.as_str()));
    let through_proxy = server.request("GET", "/live", &[("X-Forwarded-Proto", "https")]).await;
    assert!(through_proxy.header("location").unwrap().starts_with("https://"));
}

/// Paths are matched as they were sent, and decoded segment by segment.
#[tokio::test]
async fn keys_and_names_are_one_segment_whatever_they_hold() {
    let inbox = Inbox::new().await;
    inbox.store.register(&Owner::source("state"), "test").await.unwrap();
    let server = inbox.serve().await;
    for (path, key) in [
        ("/api/sources/s/state/a%2Fb", "a/b"),
        ("/api/sources/s/state/a+b%20c", "a+b c"),
        ("/api/sources/s/state/%252F", "%2F"),
        ("/api/sources/s/state/{key}", "{key}"),
        ("/api/sources/state/state/state", "state"),
    ] {
        let put = server.exchange("PUT", path, &[("Content-Length", "1")], "1").await;
        assert_eq!((put.status, put.json()["key"].as_str()), (201, Some(key)), "{path}");
    }
    for path in [
        "/api/owners/x",
        "/api/other/s/state",
        "/api%2Fsources/s/state",
        "/api/sources/s/state/a/b",
        "/api/sources/s/nothing",
        "/x/sources/s/state",
    ] {
        assert_eq!(server.get(path).await.body, r#"{"detail":"Not Found"}"#, "{path}");
    }
    assert_eq!(server.request("DELETE", "/api/other/s", &[]).await.status, 404);
}

#[tokio::test]
async fn health_is_what_the_program_says() {
    let inbox = Inbox::new().await;
    let sick = inbox.serve_with(|app| app.vitals = Arc::new(Well(503))).await;
    let answer = sick.get("/healthcheck").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, r#"{"status":"unhealthy"}"#));
    assert_eq!(sick.get("/healthcheck/live").await.status, 200);
}

#[tokio::test]
async fn metrics_are_readable_and_true() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    inbox.emit(&["a", "b"]).await;
    let batch = server.get("/inbox/extract").await.json()["batch_id"].clone();
    server.request("POST", &format!("/inbox/mark-processed?batch_id={batch}"), &[]).await;
    let metrics = server.get("/metrics").await;
    assert!(metrics.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    for line in [
        r#"inboxclaw_turns_total{kind="source",name="s \"quoted\""} 3"#,
        r#"inboxclaw_turn_conflicts_total{kind="source",name="s \"quoted\""} 1"#,
        r#"inboxclaw_turn_failures_total{kind="source",name="s \"quoted\""} 2"#,
        r#"inboxclaw_events_stored_total{kind="source",name="s \"quoted\""} 5"#,
        r#"inboxclaw_events_known_total{kind="source",name="s \"quoted\""} 4"#,
        "inboxclaw_store_commits_total 17",
        "inboxclaw_log_head_seq 2",
        "inboxclaw_sse_streams 0",
        r#"inboxclaw_pull_batches_total{sink="inbox"} 1"#,
        r#"inboxclaw_pull_events_total{sink="inbox"} 2"#,
        r#"inboxclaw_pull_confirmed_events_total{sink="inbox"} 2"#,
        r#"inboxclaw_sink_delivered_events_total{sink="hook"} 7"#,
        r#"inboxclaw_sink_retried_events_total{sink="hook"} 6"#,
        r#"inboxclaw_sink_dead_events_total{sink="hook"} 1"#,
        r#"inboxclaw_sink_latency_seconds_bucket{le="0.025",sink="hook"} 2"#,
        r#"inboxclaw_sink_latency_seconds_bucket{le="86400.0",sink="hook"} 6"#,
        r#"inboxclaw_sink_latency_seconds_bucket{le="+Inf",sink="hook"} 7"#,
        r#"inboxclaw_sink_latency_seconds_sum{sink="hook"} 90000.5"#,
        r#"inboxclaw_sink_latency_seconds_count{sink="hook"} 7"#,
        r#"inboxclaw_sink_waiting_deliveries{sink="inbox"} 0"#,
        r#"inboxclaw_sink_dead_letters{sink="inbox"} 0"#,
        r#"inboxclaw_sink_oldest_owed_seconds{sink="inbox"} 0"#,
        "# EOF",
    ] {
        assert!(metrics.body.lines().any(|found| found == line), "{line}:\n{}", metrics.body);
    }
    assert!(metrics.body.contains("inboxclaw_build_info{version="));
}

#[tokio::test]
async fn events_can_be_looked_up() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    for kind in ["a", "b", "a"] {
        inbox.clock.advance(Duration::from_secs(1));
        inbox.emit_with(&[kind], json!({ "big": 12345678901234567890_u64 })).await;
    }
    let one = r#"{"id":1,"event_id":"e0","event_type":"a","entity_id":null,"source_id":1,"source_name":"s","created_at":"2026-11-22T06:46:27.063532","occurred_at":null,"data":{"big":12345678901234567890},"meta":{}}"#;
    assert_eq!(server.get("/api/events/1").await.body, one);
    let ids = |answer: &Value| -> Vec<i64> {
        answer["events"].as_array().unwrap().iter().map(|event| event["id"].as_i64().unwrap()).collect()
    };
    for (query, found, total) in [
        ("events", vec![3, 2, 1], 3),
        ("events?limit=1&offset=1", vec![2], 3),
        ("events?event_type=a", vec![3, 1], 2),
        ("events?source_name=s&ids=1,x,%203", vec![3, 1], 2),
        ("events?source_name=other", vec![], 0),
        ("events?ids=x,y", vec![], 0),
        ("events?ids=2&event_type=a", vec![], 0),
        ("events/recent?limit=2", vec![3, 2], 3),
        ("pending-events", vec![], 0),
    ] {
        let answer = server.get(&format!("/api/{query}")).await.json();
        assert_eq!((ids(&answer), answer["total"].as_i64()), (found, Some(total)), "{query}");
    }
    let missing = server.get("/api/events/9").await;
    assert_eq!((missing.status, missing.body.as_str()), (404, r#"{"detail":"Event not found"}"#));
    for path in [
        "events/x",
        "events?limit=0",
        "events?limit=501",
        "events/recent?limit=201",
        "events?offset=-1",
        "pending-events?limit=x",
    ] {
        assert_eq!(server.get(&format!("/api/{path}")).await.status, 422, "{path}");
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    inbox.emit(&["a"]).await;
    let put = server.exchange("PUT", "/api/sources/s/state/k", &[("Content-Length", "1")], "1").await;
    assert_eq!(put.status, 201);
    for path in [
        "/",
        "/healthcheck",
        "/healthcheck/live",
        "/metrics",
        "/openapi.json",
        "/api/events",
        "/api/events/1",
        "/api/events/99",
        "/api/events/recent",
        "/api/pending-events",
        "/api/sources",
        "/api/owners",
        "/api/sources/s/state",
        "/api/sources/s/state/k",
        "/api/sources/s/cursor",
        "/api/sources/s/history",
        "/api/sources/s/export",
        "/nowhere",
        "/live",
    ] {
        let (get, head) = (server.get(path).await, server.request("HEAD", path, &[]).await);
        assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{path}");
        for name in ["content-type", "etag", "location"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
        let length = |answer: &Answer| {
            answer.header("content-length").filter(|length| *length != "0").map(str::to_owned)
        };
        assert_eq!(length(&head), length(&get), "{path}");
    }
}

/// No answer is taken for something else than it says, refusals included.
#[tokio::test]
async fn no_answer_is_sniffed() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    for (path, host) in
        [("/", "localhost"), ("/nowhere", "localhost"), ("/", "evil.example"), ("/live", "localhost")]
    {
        let answer = server.request("GET", path, &[("Host", host)]).await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path} {host}");
    }
}

/// Beyond some megabytes the events of a page are read as they are sent.
#[tokio::test]
async fn a_large_page_is_whole() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    for _ in 0..12 {
        inbox.emit_with(&["a"], json!({ "text": "x".repeat(1 << 20) })).await;
    }
    let answer = server.get("/api/events?limit=11").await;
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    let page = answer.json();
    let ids: Vec<_> = page["events"].as_array().unwrap().iter().map(|event| event["id"].as_i64()).collect();
    assert_eq!((ids, &page["total"]), ((2..=12).rev().map(Some).collect(), &json!(12)));
}

/// Sixty events of 15 MiB were one answer of 944 MB.
#[tokio::test]
async fn a_page_of_large_events_ends_at_its_bytes() {
    assert_eq!(Bounds::default().page_bytes, 64 << 20);
    let inbox = Inbox::new().await;
    let bounds = Bounds { page_bytes: 640, ..Bounds::default() };
    let server = inbox.serve_with(|app| app.bounds = bounds).await;
    inbox.emit_with(&["a"; 6], json!({ "big": "x".repeat(150) })).await;
    for path in ["/api/events?limit=500", "/api/events/recent", "/api/events?ids=1,2,3,4,5,6"] {
        let answer = server.get(path).await.json();
        assert_eq!(answer["events"].as_array().unwrap().len(), 3, "{path}: 640 bytes hold 3 of 162");
        assert_eq!((&answer["events"][0]["id"], &answer["total"]), (&json!(6), &json!(6)), "{path}");
    }
}

#[tokio::test]
async fn owners_are_listed_by_name() {
    let inbox = Inbox::new().await;
    inbox.pull_sink("b", json!({})).await;
    inbox.pull_sink("a", json!({})).await;
    let server = inbox.serve_with(|app| app.pulls.clear()).await;
    assert_eq!(server.get("/api/sources").await.body, r#"[{"id":1,"name":"s","type":"test"}]"#);
    let sinks = server.get("/api/sinks").await.json();
    let names: Vec<&str> =
        sinks.as_array().unwrap().iter().map(|sink| sink["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b", "inbox"]);
    assert_eq!(sinks[0]["type"], "http_pull");
}

#[tokio::test]
async fn requests_that_are_too_large_or_too_slow_are_ended() {
    let inbox = Inbox::new().await;
    let bounds = Bounds { head_timeout: Duration::from_millis(200), ..Bounds::default() };
    let server = inbox.serve_with(|app| app.bounds = bounds).await;
    let long = "x".repeat(40 << 10);
    assert_eq!(server.request("GET", "/", &[("X-Long", &long)]).await.status, 431);
    let answer =
        server.request("POST", "/inbox/mark-processed?batch_id=1", &[("Content-Length", "99999999")]).await;
    assert_eq!(answer.status, 413);
    let mut slow = server.send("GET / HTTP/1.1\r\nHost: localhost\r\n").await;
    let mut raw = Vec::new();
    slow.read_to_end(&mut raw).await.unwrap();
    assert!(!raw.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&raw));
}

/// Connections that do nothing lock nobody out: the longest idle one is closed. Busy ones are not.
#[tokio::test]
async fn an_idle_connection_makes_room() {
    let inbox = Inbox::new().await;
    let bounds = Bounds { connections: 3, streams: 1, ..Bounds::default() };
    let server = inbox.serve_with(|app| app.bounds = bounds).await;
    let mut busy = server.stream("/live/", "").await;
    let mut oldest = server.send("").await;
    let mut kept = server.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let mut raw = [0; 12];
    kept.read_exact(&mut raw).await.unwrap();
    assert_eq!(&raw, b"HTTP/1.1 200");
    assert_eq!(server.get("/").await.status, 200, "somebody else gets in");
    assert_eq!(oldest.read(&mut raw).await.unwrap_or(0), 0, "the one that never asked is closed");
    kept.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert!(kept.read(&mut raw).await.unwrap() > 0, "the other one goes on");
    busy.message().await.unwrap();
    inbox.emit(&["a"]).await;
    assert_eq!(busy.event().await, Some(1));
    let metrics = server.get("/metrics").await.body;
    assert!(metrics.lines().any(|line| line == "inboxclaw_connections_closed_total 1"), "{metrics}");
}

/// While all connections are busy the next one waits.
#[tokio::test]
async fn connections_are_bounded_and_the_next_one_waits() {
    let inbox = Inbox::new().await;
    let bounds = Bounds { connections: 1, streams: 1, ..Bounds::default() };
    let server = inbox.serve_with(|app| app.bounds = bounds).await;
    let first = server.stream("/live/", "").await;
    let mut second = server.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    let mut raw = [0; 12];
    assert!(second.try_read(&mut raw).is_err(), "no answer while the first connection is busy");
    drop(first);
    second.read_exact(&mut raw).await.unwrap();
    assert_eq!(&raw, b"HTTP/1.1 200");
}

/// A request under way gets its answer, and a connection that does nothing does not hold the end up.
#[tokio::test]
async fn shutdown_ends_within_its_grace() {
    let inbox = Inbox::new().await;
    let bounds = Bounds { grace: Duration::from_millis(300), ..Bounds::default() };
    let server = inbox.serve_with(|app| app.bounds = bounds).await;
    let _half = server.send("GET / HTTP/1.1\r\nHost: loc").await;
    assert_eq!(server.get("/").await.status, 200);
    let asked = Instant::now();
    server.shutdown.cancel();
    server.task.await.unwrap().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    let settings = ServerSettings { port: server.address.port(), ..ServerSettings::default() };
    assert!(inboxclaw_server::bind(&settings).is_ok(), "the port is free again");
}
