//! Extracts that wait for events, batches that are confirmed in part, and leases that are moved.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::support::{Answer, Inbox, Running};

/// Long enough for a request to begin to wait.
const BEGUN: Duration = Duration::from_millis(150);

fn ids(answer: &Answer) -> Vec<i64> {
    let json = answer.json();
    json["events"].as_array().unwrap().iter().map(|event| event["id"].as_i64().unwrap()).collect()
}

fn batch(answer: &Answer) -> i64 {
    answer.json()["batch_id"].as_i64().unwrap()
}

async fn post(server: &Running, path: &str) -> (u16, Value) {
    let answer = server.request("POST", path, &[]).await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn an_extract_waits_for_an_event_that_it_wants() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    let waiting = async {
        let begun = Instant::now();
        (server.get("/inbox/extract?wait=20s&event_type=a.*").await, begun.elapsed())
    };
    let emitting = async {
        tokio::time::sleep(BEGUN).await;
        inbox.emit(&["b"]).await;
        tokio::time::sleep(BEGUN).await;
        inbox.emit(&["a.x"]).await;
    };
    let ((answer, took), ()) = tokio::join!(waiting, emitting);
    assert_eq!((ids(&answer), answer.json()["remaining_events"].as_i64()), (vec![2], Some(0)));
    assert!(took >= 2 * BEGUN && took < Duration::from_secs(10), "{took:?}");
    let begun = Instant::now();
    assert_eq!(ids(&server.get("/inbox/extract?wait=20s").await), [1, 2]);
    assert!(begun.elapsed() < Duration::from_secs(5), "something is there");
}

#[tokio::test]
async fn a_wait_has_its_bounds() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    let begun = Instant::now();
    let empty = server.get("/inbox/extract?wait=0.3").await;
    assert_eq!(empty.body, r#"{"batch_id":null,"events":[],"remaining_events":0}"#);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    for wrong in ["51", "-1", "soon", "inf", ""] {
        assert_eq!(server.get(&format!("/inbox/extract?wait={wrong}")).await.status, 422, "{wrong}");
    }
    // Where an answer has to begin sooner, it does.
    let hasty = inbox.serve_with(|app| app.bounds.answer_timeout = Duration::from_millis(600)).await;
    assert_eq!(hasty.get("/inbox/extract?wait=50").await.status, 200);
}

#[tokio::test]
async fn a_wait_outlasts_what_ends_a_stalling_client_and_ends_at_shutdown() {
    let inbox = Inbox::new().await;
    let server = inbox
        .serve_with(|app| {
            app.bounds.stall_timeout = Duration::from_millis(200);
            app.bounds.head_timeout = Duration::from_millis(200);
        })
        .await;
    let waiting = server.get("/inbox/extract?wait=40");
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        server.shutdown.cancel();
    };
    let begun = Instant::now();
    let (answer, ()) = tokio::join!(waiting, stopping);
    assert_eq!((answer.status, answer.json()["batch_id"].clone()), (200, json!(null)));
    assert!(begun.elapsed() >= Duration::from_millis(700) && begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_client_that_goes_away_leases_nothing() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    let head = format!("POST /inbox/extract?lease=1h&wait=40 HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    let client = server.send(&head).await;
    tokio::time::sleep(BEGUN).await;
    drop(client);
    tokio::time::sleep(BEGUN).await;
    inbox.emit(&["a"]).await;
    tokio::time::sleep(BEGUN).await;
    assert_eq!(ids(&server.get("/inbox/extract").await), [1]);
}

#[tokio::test]
async fn many_waits_end_with_one_event() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    let head = format!(
        "GET /inbox/extract?wait=40 HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        server.address
    );
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(server.send(&head).await);
    }
    tokio::time::sleep(BEGUN).await;
    inbox.emit(&["a"]).await;
    for mut client in clients {
        let mut raw = Vec::new();
        client.read_to_end(&mut raw).await.unwrap();
        assert_eq!(ids(&Answer::of(&raw)), [1]);
    }
}

#[tokio::test]
async fn a_batch_is_confirmed_up_to_an_event() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    inbox.emit(&["a", "b", "a", "b", "c"]).await;
    for lease in ["GET /inbox/extract", "POST /inbox/extract?lease=1m"] {
        let first = inbox.store.head().await.unwrap().0 - 4;
        let (method, path) = lease.split_once(' ').unwrap();
        let taken = server.request(method, path, &[]).await;
        assert_eq!(ids(&taken), (first..first + 5).collect::<Vec<_>>());
        let id = batch(&taken);
        let ack = async |seq: i64| post(&server, &format!("/inbox/ack?batch_id={id}&seq={seq}")).await;
        let marked = |count: i64| (200, json!({ "status": "success", "marked_count": count }));
        assert_eq!(ack(first - 1).await, marked(0));
        assert_eq!(ack(first + 2).await, marked(3), "{lease}");
        assert_eq!(ack(first + 2).await, marked(0), "{lease}");
        assert_eq!(ack(first).await, marked(0), "nothing moves back");
        if method == "GET" {
            assert_eq!(ids(&server.get("/inbox/extract").await), [first + 3, first + 4]);
        } else {
            assert_eq!(ids(&server.get("/inbox/extract").await), [0; 0], "the rest is leased");
        }
        let rest = post(&server, &format!("/inbox/mark-processed?batch_id={id}")).await;
        assert_eq!(rest, marked(2), "{lease}");
        assert_eq!(ack(first + 4).await, marked(0));
        assert_eq!(ids(&server.get("/inbox/extract").await), [0; 0]);
        inbox.emit(&["a", "b", "a", "b", "c"]).await;
    }
    let unknown = post(&server, "/inbox/ack?batch_id=1&seq=1").await;
    assert_eq!(unknown, (404, json!({ "detail": "Batch 1 not found" })));
    assert_eq!(post(&server, "/inbox/ack?batch_id=1").await.0, 422);
    assert_eq!(server.get("/inbox/ack?batch_id=1&seq=1").await.status, 405);
}

#[tokio::test]
async fn a_lease_is_prolonged_and_given_back() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    inbox.emit(&["a", "b", "c"]).await;
    let first = server.request("POST", "/inbox/extract?lease=1m&batch_size=2", &[]).await;
    let extend = async |id: i64, lease: &str| {
        let (status, answer) = post(&server, &format!("/inbox/extend?batch_id={id}&lease={lease}")).await;
        (status, answer["extended_count"].as_i64())
    };
    let free = async || ids(&server.get("/inbox/extract").await);
    inbox.clock.advance(Duration::from_secs(50));
    assert_eq!(extend(batch(&first), "1m").await, (200, Some(2)));
    inbox.clock.advance(Duration::from_secs(50));
    assert_eq!(free().await, [3], "it is still leased");
    post(&server, &format!("/inbox/ack?batch_id={}&seq=1", batch(&first))).await;
    assert_eq!(extend(batch(&first), "0").await, (200, Some(1)), "what is confirmed is nobody's");
    assert_eq!(free().await, [2, 3]);
    // Somebody else has it now: neither is it taken from them, nor kept from others on their behalf.
    let second = server.request("POST", "/inbox/extract?lease=1m&batch_size=1", &[]).await;
    assert_eq!(ids(&second), [2]);
    assert_eq!(extend(batch(&first), "0").await, (200, Some(0)));
    assert_eq!(extend(batch(&first), "1h").await, (200, Some(0)));
    assert_eq!(free().await, [3]);
    let plain = server.get("/inbox/extract").await;
    assert_eq!(extend(batch(&plain), "1m").await, (409, None), "it was taken without a lease");
    assert_eq!(extend(1, "1m").await, (404, None));
    assert_eq!(post(&server, "/inbox/extend?batch_id=1&lease=25h").await.0, 422);
    assert_eq!(server.get("/inbox/extract?lease=1m").await.header("allow"), Some("POST"));
}

/// What is given back is there for whoever waits.
#[tokio::test]
async fn a_wait_ends_when_a_lease_is_given_back() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    inbox.emit(&["a"]).await;
    let first = batch(&server.request("POST", "/inbox/extract?lease=1h", &[]).await);
    let begun = Instant::now();
    let waiting = server.request("POST", "/inbox/extract?lease=1h&wait=30", &[]);
    let giving = async {
        tokio::time::sleep(BEGUN).await;
        post(&server, &format!("/inbox/extend?batch_id={first}&lease=0")).await;
    };
    let (answer, ()) = tokio::join!(waiting, giving);
    assert_eq!(ids(&answer), [1]);
    assert!(begun.elapsed() < Duration::from_secs(10));
}
