//! Several events at a time.

use inboxclaw_contract::{Delivery, DeliveryOrigin, Json, Receipt};
use serde_json::{Value, json};

use crate::server::{Server, ok, status};
use crate::{built, event, first, send, webhook};

/// The numbers of the events in a body, which is a list.
fn numbers(body: &str, key: &str) -> Vec<Value> {
    let list: Vec<Value> = serde_json::from_str(body).unwrap();
    list.into_iter().map(|event| event[key].clone()).collect()
}

#[tokio::test]
async fn without_lists_each_event_has_a_request() {
    let server = Server::start().await;
    server.set("/", ok(""));
    let sink = webhook(json!({ "url": server.base }));
    let (receipts, _) = send(&*sink, &[first(1), first(2), first(3)]).await;
    assert_eq!(receipts, [Receipt::Done, Receipt::Done, Receipt::Done]);
    let asked = server.asked();
    let ids: Vec<_> = asked.iter().map(|asked| asked.header("webhook-id").to_owned()).collect();
    assert_eq!(ids, [first(1).message_id(), first(2).message_id(), first(3).message_id()]);
    assert!(asked[0].body.starts_with("{\"id\":1,"));
}

#[tokio::test]
async fn a_list_is_a_list_also_for_one_event() {
    let server = Server::start().await;
    server.set("/", ok(""));
    for (format, key, content_type) in [
        ("inboxclaw", "event_id", "application/json"),
        ("cloudevents", "id", "application/cloudevents-batch+json"),
    ] {
        let settings = json!({ "url": server.base, "format": format, "mode": "batched" });
        assert_eq!(built(settings.clone()).unwrap().policy.batch_max, 100);
        let sink = webhook(settings);
        assert_eq!(send(&*sink, &[first(1)]).await.0, [Receipt::Done]);
        assert_eq!(send(&*sink, &[first(1), first(2)]).await.0, [Receipt::Done, Receipt::Done]);
        assert_eq!(send(&*sink, &[first(1), first(2)]).await.0, [Receipt::Done, Receipt::Done]);
        let asked = server.asked();
        assert_eq!(asked.len(), 3);
        assert_eq!(asked[0].header("content-type"), content_type);
        assert_eq!(numbers(&asked[0].body, key), ["e1"]);
        assert_eq!(numbers(&asked[1].body, key), ["e1", "e2"]);
        assert_eq!(asked[0].header("webhook-id"), first(1).message_id());
        let id = asked[1].header("webhook-id");
        assert!(id.starts_with("list_") && id == asked[2].header("webhook-id"), "{id}");
    }
    assert_eq!(built(json!({ "url": server.base })).unwrap().policy.batch_max, 1);
}

#[tokio::test]
async fn payloads_go_in_a_list_too() {
    let server = Server::start().await;
    server.set("/", ok(""));
    let sink = webhook(json!({ "url": server.base, "mode": "batched", "payload": { "n": "#root.id" } }));
    send(&*sink, &[first(1), first(2)]).await;
    assert_eq!(server.asked()[0].body, "[{\"n\":1},{\"n\":2}]");
}

#[tokio::test]
async fn an_event_that_is_tried_again_or_out_of_order_goes_alone() {
    let server = Server::start().await;
    server.set("/", ok(""));
    let sink = webhook(json!({ "url": server.base, "mode": "batched" }));
    let replayed = |seq| Delivery { origin: DeliveryOrigin::Replay(1), ..first(seq) };
    let batch = [
        Delivery { attempt: 2, ..first(1) },
        first(2),
        first(3),
        Delivery { attempt: 2, ..first(4) },
        replayed(5),
        replayed(6),
    ];
    let (receipts, _) = send(&*sink, &batch).await;
    assert_eq!(receipts.len(), 6);
    let lists: Vec<_> = server.asked().iter().map(|asked| numbers(&asked.body, "id")).collect();
    assert_eq!(lists, [vec![json!(1)], vec![json!(2), json!(3)], vec![json!(4)], vec![json!(5), json!(6)]]);
}

#[tokio::test]
async fn a_list_is_bounded_in_bytes_but_for_one_large_event() {
    let server = Server::start().await;
    server.set("/", ok(""));
    let sink = webhook(json!({ "url": server.base, "mode": "batched" }));
    let sized = |seq, bytes: usize| {
        let data = Json::new(format!("{{\"x\":\"{}\"}}", "x".repeat(bytes))).unwrap();
        Delivery::first(inboxclaw_contract::Event { data, ..event(seq) })
    };
    let batch = [sized(1, 600_000), sized(2, 600_000), sized(3, 3_000_000), sized(4, 9), sized(5, 9)];
    let (receipts, _) = send(&*sink, &batch).await;
    assert_eq!(receipts.len(), 5);
    let lists: Vec<_> = server.asked().iter().map(|asked| numbers(&asked.body, "id")).collect();
    assert_eq!(lists, [vec![json!(1)], vec![json!(2)], vec![json!(3)], vec![json!(4), json!(5)]]);
}

#[tokio::test]
async fn a_list_shares_its_fate() {
    let server = Server::start().await;
    server.set("/", status(422));
    let sink = webhook(json!({ "url": server.base, "mode": "batched" }));
    let (receipts, failure) = send(&*sink, &[first(1), first(2)]).await;
    assert!(failure.is_none());
    assert!(receipts.len() == 2 && receipts.iter().all(|receipt| matches!(receipt, Receipt::Again { .. })));
}
