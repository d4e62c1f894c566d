//! Extracting and confirming without leases, over HTTP.

use std::time::Duration;

use inboxclaw_contract::StartAt;
use inboxclaw_contract::sinks::Debt;
use inboxclaw_contract::store::{Prune, Retention};
use inboxclaw_runtime::pull;
use inboxclaw_server::pull::Paths;
use inboxclaw_settings::Patterns;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::support::{Answer, Inbox, Running};

#[tokio::test]
async fn a_batch_has_the_known_form() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    let empty = server.get("/inbox/extract").await;
    assert_eq!(empty.body, r#"{"batch_id":null,"events":[],"remaining_events":0}"#);
    inbox.emit_with(&["a.x"], json!({ "text": "é" })).await;
    let answer = server.get("/inbox/extract").await;
    let batch = answer.json()["batch_id"].as_i64().unwrap();
    assert!((1..1 << 53).contains(&batch));
    let envelope = r#"{"id":1,"event_id":"e0","event_type":"a.x","entity_id":null,"created_at":"2026-11-22T06:46:26.063532","data":{"text":"é"},"source":{"id":1,"name":"s"},"meta":{}}"#;
    let wanted = format!(r#"{{"batch_id":{batch},"events":[{envelope}],"remaining_events":0}}"#);
    assert_eq!((answer.status, answer.body.as_str()), (200, wanted.as_str()));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let confirmed = confirm(&server, batch).await;
    assert_eq!(confirmed.body, r#"{"status":"success","marked_count":1}"#);
    assert_eq!(confirm(&server, batch).await.json()["marked_count"], 0);
    assert_eq!(extract(&server, "").await, (None, vec![], 0));
}

#[tokio::test]
async fn unconfirmed_events_come_again_under_another_batch() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    inbox.emit(&["a", "b", "a", "b"]).await;
    let (first, events, remaining) = extract(&server, "?batch_size=3").await;
    assert_eq!((events, remaining), (vec![1, 2, 3], 1));
    let (second, events, _) = extract(&server, "").await;
    assert_eq!(events, [1, 2, 3, 4]);
    assert_ne!(first, second);
    assert_eq!(confirm(&server, first.unwrap()).await.json()["marked_count"], 3);
    assert_eq!(extract(&server, "").await.1, [4]);
    // The events that the other batch confirmed still count.
    assert_eq!(confirm(&server, second.unwrap()).await.json()["marked_count"], 4);
    assert_eq!(extract(&server, "").await.1, Vec::<i64>::new());
}

/// Who asks again and again without confirming gets the same batch, and nothing is written for it.
#[tokio::test]
async fn the_same_events_for_the_same_request_are_the_same_batch() {
    let inbox = Inbox::new().await;
    let sink = inbox.pull_sink("inbox", json!({})).await;
    let server = inbox.serve().await;
    inbox.emit(&["a", "b"]).await;
    let state = async || {
        let version = inbox.store.snapshot(sink.owner()).await.unwrap().version;
        (version, inbox.store.facts(sink.owner()).await.unwrap().seen_at)
    };
    let first = extract(&server, "").await;
    let before = state().await;
    for query in ["", "?batch_size=2", "?event_type=", "?batch_size=100"] {
        inbox.clock.advance(Duration::from_secs(1));
        assert_eq!(extract(&server, query).await, first, "{query}");
    }
    assert_eq!(state().await, before, "nothing was written");
    let narrow = extract(&server, "?batch_size=1").await.0;
    let selected = extract(&server, "?event_type=*").await.0;
    assert!(first.0 != narrow && first.0 != selected && narrow != selected);
    assert_eq!(extract(&server, "?batch_size=1").await.0, narrow);
    // Another process finds it as well.
    let again = inbox.serve().await;
    assert_eq!(extract(&again, "").await, first);
    inbox.emit(&["a"]).await;
    let (longer, events, _) = extract(&server, "").await;
    assert_eq!(events, [1, 2, 3]);
    assert_ne!(longer, first.0);
    assert_eq!(confirm(&server, first.0.unwrap()).await.json()["marked_count"], 2);
    assert_eq!(confirm(&again, first.0.unwrap()).await.json()["marked_count"], 0);
    let rest = extract(&again, "").await;
    assert_eq!(rest.1, [3], "a batch that held more is another one");
    assert_ne!(rest.0, longer);
}

/// A batch that is handed out again can be confirmed as long as a new one.
#[tokio::test]
async fn a_batch_that_is_handed_out_again_lasts_anew() {
    let inbox = Inbox::new().await;
    let sink = inbox.pull_sink("inbox", json!({ "ttl_enabled": false })).await;
    let server = inbox.serve_with(|app| app.pulls = vec![(sink.clone(), Paths::default())]).await;
    inbox.emit(&["a"]).await;
    let first = extract(&server, "").await.0;
    for _ in 0..5 {
        let seen = inbox.store.facts(sink.owner()).await.unwrap().seen_at;
        inbox.clock.advance(pull::BATCH_LASTS - Duration::from_secs(1));
        assert_eq!(extract(&server, "").await.0, first);
        assert!(inbox.store.facts(sink.owner()).await.unwrap().seen_at > seen, "the consumer is there");
    }
    inbox.clock.advance(pull::BATCH_LASTS - Duration::from_secs(1));
    assert_eq!(confirm(&server, first.unwrap()).await.json()["marked_count"], 1);
}

/// The oldest go; who confirms one of them is told, and its events come again.
#[tokio::test]
async fn only_so_many_unconfirmed_batches_are_kept() {
    let inbox = Inbox::new().await;
    let sink = inbox.pull_sink("inbox", json!({})).await;
    let server = inbox.serve().await;
    let count = pull::PLAIN_BATCHES + 20;
    inbox.emit(&vec!["a"; count]).await;
    let mut batches = Vec::new();
    for size in 1..=count {
        batches.push(extract(&server, &format!("?batch_size={size}")).await.0.unwrap());
    }
    let kept = inbox.store.list(sink.owner(), "batch:", None, 1_000).await.unwrap().len();
    assert_eq!(kept, pull::PLAIN_BATCHES);
    let leased = server.request("POST", "/inbox/extract?lease=1m&batch_size=1", &[]).await.json();
    assert_eq!(confirm(&server, batches[19]).await.status, 404);
    assert_eq!(confirm(&server, batches[20]).await.json()["marked_count"], 21);
    assert_eq!(confirm(&server, leased["batch_id"].as_i64().unwrap()).await.json()["marked_count"], 1);
    assert_eq!(extract(&server, "").await.1, (22..=count as i64).collect::<Vec<_>>(), "nothing is lost");
    // A program that starts with more than that keeps the newest.
    let again = inbox.serve().await;
    for size in 1..=30 {
        extract(&again, &format!("?batch_size={size}")).await;
    }
    assert_eq!(confirm(&again, batches[119]).await.json()["marked_count"], 120);
    assert_eq!(confirm(&again, batches[40]).await.status, 404);
}

#[tokio::test]
async fn a_selector_narrows_and_permits_the_rest() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    inbox.emit(&["a.x", "b", "a.y", "a", "a_x.z"]).await;
    assert_eq!(extract(&server, "?event_type=a.*").await.1, [1, 3]);
    assert_eq!(extract(&server, "?event_type=").await.1, [1, 2, 3, 4, 5]);
    assert_eq!(extract(&server, "?event_type=*").await.1, [1, 2, 3, 4, 5]);
    let (batch, events, remaining) = extract(&server, "?event_type=a.*&batch_size=1").await;
    assert_eq!((events, remaining), (vec![1], 1));
    confirm(&server, batch.unwrap()).await;
    assert_eq!(extract(&server, "").await.1, [2, 3, 4, 5]);
    // Confirming a later event of one type does not confirm earlier ones of another.
    let (batch, _, _) = extract(&server, "?event_type=a").await;
    confirm(&server, batch.unwrap()).await;
    assert_eq!(extract(&server, "").await.1, [2, 3, 5]);
}

#[tokio::test]
async fn each_sink_has_its_own_events_and_batches() {
    let inbox = Inbox::new().await;
    let only = inbox.pull_sink_from("narrow", Patterns::new(["a"]), StartAt::All, json!({})).await;
    let server = inbox.serve_with(|app| app.pulls.push((only, Paths::default()))).await;
    inbox.emit(&["a", "b"]).await;
    let batch = |answer: Answer| answer.json()["batch_id"].as_i64().unwrap();
    let other = batch(server.get("/narrow/extract").await);
    assert_eq!(confirm(&server, other).await.body, format!(r#"{{"detail":"Batch {other} not found"}}"#));
    assert_eq!(confirm(&server, other).await.status, 404);
    confirm(&server, extract(&server, "").await.0.unwrap()).await;
    assert_eq!(server.get("/narrow/extract").await.json()["events"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_sink_begins_where_it_is_told_and_a_later_type_at_the_end() {
    let inbox = Inbox::new().await;
    let take = async |patterns: &[&str], start| {
        let sink = inbox.pull_sink_from("k", Patterns::new(patterns), start, json!({})).await;
        let batch = sink.extract(inbox.store.as_ref(), inbox.random.as_ref(), &pull::Wanted::default()).await;
        let batch = batch.unwrap();
        (sink, batch.id, batch.events.iter().map(|event| event.seq.0).collect::<Vec<_>>())
    };
    inbox.emit(&["a", "b"]).await;
    assert_eq!(take(&["a"], StartAt::Now).await.2, Vec::<i64>::new());
    inbox.emit(&["a", "b"]).await;
    assert_eq!(take(&["a"], StartAt::All).await.2, [3], "it is known by now");
    assert_eq!(take(&["a", "b"], StartAt::All).await.2, [3]);
    inbox.emit(&["a", "b"]).await;
    let (sink, batch, events) = take(&["*"], StartAt::All).await;
    assert_eq!(events, [3, 5, 6]);
    sink.confirm(inbox.store.as_ref(), inbox.random.as_ref(), batch.unwrap()).await.unwrap();
    inbox.emit(&["a", "c"]).await;
    assert_eq!(take(&["*"], StartAt::All).await.2, [7, 8]);
    let other = inbox.pull_sink_from("other", Patterns::default(), StartAt::All, json!({})).await;
    let all = other.extract(inbox.store.as_ref(), inbox.random.as_ref(), &pull::Wanted::default()).await;
    assert_eq!(all.unwrap().events.len(), 8);
}

#[tokio::test]
async fn events_that_outlive_their_time_are_not_handed_out() {
    let inbox = Inbox::new().await;
    let settings = json!({ "default_ttl": "1m", "event_ttl": { "long.*": "1h", "never": 0 } });
    let sink = inbox.pull_route("timed", settings).await;
    let free = inbox.pull_route("free", json!({ "default_ttl": "1m", "ttl_enabled": false })).await;
    let plain = inbox.pull_route("plain", json!({})).await;
    let server = inbox.serve_with(|app| app.pulls = vec![sink, free, plain]).await;
    inbox.emit(&["short", "long.x", "never"]).await;
    let ids = async |name: &str| ids(&server.get(&format!("/{name}/extract")).await.json());
    assert_eq!(ids("timed").await, [1, 2]);
    inbox.clock.advance(Duration::from_secs(60));
    assert_eq!(ids("timed").await, [2], "the limit itself is too old");
    inbox.clock.advance(Duration::from_secs(3600));
    assert_eq!(ids("timed").await, Vec::<i64>::new());
    assert_eq!(ids("free").await, [1, 2, 3]);
    inbox.clock.advance(Duration::from_secs(400 * 24 * 60 * 60));
    assert_eq!(ids("plain").await, [1, 2, 3], "no limit that nobody set");
}

#[tokio::test]
async fn a_batch_can_be_confirmed_for_a_day() {
    let inbox = Inbox::new().await;
    let sink = inbox.pull_sink("inbox", json!({})).await;
    let server = inbox.serve_with(|app| app.pulls = vec![(sink, Paths::default())]).await;
    inbox.emit(&["a"]).await;
    let old = extract(&server, "").await.0.unwrap();
    inbox.clock.advance(pull::BATCH_LASTS + Duration::from_secs(60 * 60));
    assert_eq!(confirm(&server, old).await.status, 404, "an hour more, and it is gone");
    let new = extract(&server, "").await.0.unwrap();
    inbox.clock.advance(pull::BATCH_LASTS - Duration::from_secs(1));
    assert_eq!(confirm(&server, new).await.json()["marked_count"], 1);
}

#[tokio::test]
async fn wrong_parameters_are_told_and_change_nothing() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    inbox.emit(&["a"]).await;
    for (query, kind) in [
        ("batch_size=0", "greater_than_equal"),
        ("batch_size=-1", "greater_than_equal"),
        ("batch_size=x", "int_parsing"),
        ("batch_size=", "int_parsing"),
        ("batch_size=1&batch_size=2.5", "int_parsing"),
        ("batch_size=99999999999999999999", "int_parsing_size"),
    ] {
        let answer = server.get(&format!("/inbox/extract?{query}")).await;
        assert_eq!(answer.status, 422, "{query}");
        assert_eq!(answer.json()["detail"][0]["type"], kind, "{query}");
    }
    let answer = server.request("POST", "/inbox/mark-processed", &[]).await;
    let wanted =
        r#"{"detail":[{"type":"missing","loc":["query","batch_id"],"msg":"Field required","input":null}]}"#;
    assert_eq!((answer.status, answer.body.as_str()), (422, wanted));
    for id in ["0", "-5", "4", "9007199254740992"] {
        let answer = server.request("POST", &format!("/inbox/mark-processed?batch_id={id}"), &[]).await;
        assert_eq!((answer.status, answer.body), (404, format!(r#"{{"detail":"Batch {id} not found"}}"#)));
    }
    assert_eq!(extract(&server, "?batch_size=%2B1_0.0&unknown=1").await.1, [1]);
    let typo = server.get("/inbox/extract?batchsize=5&_=1&batch_size=1").await;
    assert_eq!((typo.status, typo.header("inboxclaw-ignored")), (200, Some("_, batchsize")));
    assert_eq!(server.get("/inbox/extract?batch_size=1").await.header("inboxclaw-ignored"), None);
    assert_eq!(server.get("/api/events?limit=1&Limit=2").await.header("inboxclaw-ignored"), Some("Limit"));
}

#[tokio::test]
async fn an_empty_extract_writes_nothing_and_each_other_one_shows_the_consumer() {
    let inbox = Inbox::new().await;
    let sink = inbox.pull_sink("inbox", json!({})).await;
    let server = inbox.serve().await;
    let state = async || {
        let version = inbox.store.snapshot(sink.owner()).await.unwrap().version;
        (version.0, inbox.store.facts(sink.owner()).await.unwrap().seen_at)
    };
    let before = state().await;
    extract(&server, "").await;
    assert_eq!(state().await, before);
    inbox.emit(&["a"]).await;
    inbox.clock.advance(Duration::from_secs(1));
    let batch = extract(&server, "").await.0.unwrap();
    let after = state().await;
    assert!(after.0 > before.0 && after.1 > before.1, "{before:?} {after:?}");
    inbox.clock.advance(Duration::from_secs(1));
    confirm(&server, batch).await;
    assert!(state().await.1 > after.1);
}

#[tokio::test]
async fn what_the_sink_owes_is_what_extracts_would_give() {
    let inbox = Inbox::new().await;
    let sink = inbox.pull_sink("inbox", json!({})).await;
    inbox.emit(&["a", "b", "a"]).await;
    let owed = async || {
        let debts = inbox.store.debts().await.unwrap().remove(0);
        assert_eq!(debts.sink, sink.owner());
        let row = |debt: Debt| (debt.event_type, debt.count, debt.oldest.0.0);
        debts.types.into_iter().map(row).collect::<Vec<_>>()
    };
    let all = [("a".to_owned(), 2, 1), ("b".to_owned(), 1, 2)];
    assert_eq!(owed().await, all);
    let wanted = pull::Wanted { size: Some(1), ..pull::Wanted::default() };
    let batch = sink.extract(inbox.store.as_ref(), inbox.random.as_ref(), &wanted).await.unwrap();
    assert_eq!(owed().await, all);
    sink.confirm(inbox.store.as_ref(), inbox.random.as_ref(), batch.id.unwrap()).await.unwrap();
    assert_eq!(owed().await, [("a".to_owned(), 1, 3), ("b".to_owned(), 1, 2)]);
    // What is leased is owed until it is confirmed.
    let lease = pull::Wanted { lease: Some(Duration::from_secs(60)), ..pull::Wanted::default() };
    sink.extract(inbox.store.as_ref(), inbox.random.as_ref(), &lease).await.unwrap();
    assert_eq!(owed().await, [("a".to_owned(), 1, 3), ("b".to_owned(), 1, 2)]);
}

#[tokio::test]
async fn paths_come_from_the_settings_and_names_are_literal() {
    let inbox = Inbox::new().await;
    let plain = inbox.pull_route("{x} é?", json!({})).await;
    let moved = inbox.pull_route("m", json!({ "path": { "extract": "//take/it" } })).await;
    let bare = inbox.pull_route("b", json!({ "path": { "extract": "", "mark_processed": "" } })).await;
    let server = inbox.serve_with(|app| app.pulls = vec![plain, moved, bare]).await;
    inbox.emit(&["a"]).await;
    for (path, status) in [
        ("/%7Bx%7D%20%C3%A9%3F/extract", 200),
        ("/%7bx%7d%20%c3%a9%3f/extract", 200),
        ("/anything/extract", 404),
        ("/m/take/it", 200),
        ("/m/extract", 404),
        ("/b/", 200),
        ("/b", 307),
    ] {
        assert_eq!(server.get(path).await.status, status, "{path}");
    }
    let batch = server.get("/b/").await.json()["batch_id"].clone();
    let answer = server.request("POST", &format!("/b/?batch_id={batch}"), &[]).await;
    assert_eq!(answer.json()["marked_count"], 1);
}

#[tokio::test]
async fn a_large_batch_comes_in_pieces_and_whole() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    for _ in 0..12 {
        inbox.emit_with(&["a"], json!({ "text": "x".repeat(1 << 20) })).await;
    }
    let answer = server.get("/inbox/extract").await;
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    assert_eq!(ids(&answer.json()), (1..=12).collect::<Vec<_>>());
}

/// Of a large batch the bodies are read as they are sent; what retention removes meanwhile is left out.
#[tokio::test]
async fn a_large_batch_is_whole_although_events_go_while_it_is_sent() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    for _ in 0..40 {
        inbox.emit_with(&["a"], json!({ "text": "x".repeat(1 << 20) })).await;
    }
    let head =
        format!("GET /inbox/extract HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.address);
    let mut slow = server.send(&head).await;
    let mut raw = vec![0; 1 << 20];
    slow.read_exact(&mut raw).await.unwrap();
    inbox.clock.advance(Duration::from_secs(10));
    let prune = Prune {
        keep: Retention::all(Duration::from_secs(1)),
        owed_max: Duration::from_secs(1),
        limit: 1_000,
    };
    assert_eq!(inbox.store.prune(&prune).await.unwrap().events, 40);
    slow.read_to_end(&mut raw).await.unwrap();
    let given = ids(&Answer::of(&raw).json());
    assert_eq!(given, (1..=given.len() as i64).collect::<Vec<_>>());
    assert!((4..40).contains(&given.len()), "{}", given.len());
    // Who has fallen behind is told.
    inbox.emit(&["a"]).await;
    let next = server.get("/inbox/extract").await;
    assert!(next.body.ends_with(r#""remaining_events":0,"truncated":{"oldest":41}}"#), "{}", next.body);
    confirm(&server, next.json()["batch_id"].as_i64().unwrap()).await;
    assert_eq!(
        server.get("/inbox/extract").await.body,
        r#"{"batch_id":null,"events":[],"remaining_events":0}"#
    );
}

/// A batch that nobody takes keeps its place; small ones are over once they are written.
#[tokio::test]
async fn large_batches_wait_for_each_other() {
    let inbox = Inbox::new().await;
    let server = inbox.serve_with(|app| app.bounds.batches = 1).await;
    for _ in 0..40 {
        inbox.emit_with(&["large"], json!({ "text": "x".repeat(1 << 20) })).await;
    }
    inbox.emit(&["small"]).await;
    let small = "/inbox/extract?event_type=small";
    assert_eq!(server.get(small).await.status, 200);
    assert_eq!(server.get(small).await.status, 200);
    let head = format!("GET /inbox/extract HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    let mut untaken = server.send(&head).await;
    let mut begin = [0; 12];
    untaken.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    let waiting = server.get(small);
    tokio::pin!(waiting);
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("it did not wait"),
        alive = server.get("/") => assert_eq!(alive.status, 200, "other routes go on"),
    }
    let few = server.get("/inbox/extract?event_type=small&batch_size=1000").await;
    assert_eq!(few.status, 200, "who asks for few does not wait for somebody slow");
    drop(untaken);
    assert_eq!(waiting.await.status, 200);
}

/// One extract: the batch's number, the ids of the events, and how many remain.
async fn extract(server: &Running, query: &str) -> (Option<i64>, Vec<i64>, u64) {
    let answer = server.get(&format!("/inbox/extract{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let batch = answer.json();
    (batch["batch_id"].as_i64(), ids(&batch), batch["remaining_events"].as_u64().unwrap())
}

async fn confirm(server: &Running, batch: i64) -> Answer {
    server.request("POST", &format!("/inbox/mark-processed?batch_id={batch}"), &[]).await
}

fn ids(batch: &Value) -> Vec<i64> {
    batch["events"].as_array().unwrap().iter().map(|event| event["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_batch_of_cloud_events_has_the_same_form_around_them() {
    let inbox = Inbox::new().await;
    let clouds = inbox.pull_route("clouds", json!({ "format": "cloudevents" })).await;
    let server = inbox.serve_with(|app| app.pulls.push(clouds)).await;
    inbox.emit_with(&["a.x"], json!({ "text": "é" })).await;
    let answer = server.get("/clouds/extract").await;
    let batch = answer.json()["batch_id"].as_i64().unwrap();
    let event = r#"{"specversion":"1.0","id":"e0","source":"/inboxclaw/sources/s","type":"a.x","time":"2026-11-22T06:46:26.063532Z","datacontenttype":"application/json","inboxclawid":"1","recordedtime":"2026-11-22T06:46:26.063532Z","data":{"text":"é"}}"#;
    let wanted = format!(r#"{{"batch_id":{batch},"events":[{event}],"remaining_events":0}}"#);
    assert_eq!((answer.status, answer.body.as_str()), (200, wanted.as_str()));
    assert!(server.get("/inbox/extract").await.body.contains(r#"{"id":1,"event_id":"e0","#));
}
