//! The mock source: one number at each interval, the first after one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use inboxclaw_connectors::SOURCES;
use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::{Next, Outside};
use serde_json::{Value, json};
use support::{Recorder, outside, poll};

#[tokio::test]
async fn numbers_come_from_the_second_poll_on() {
    let kind = SOURCES.iter().find(|kind| kind.name == "mock").unwrap();
    let built = (kind.build)(json!({}), &outside("/")).unwrap();
    assert_eq!(built.interval, Some(Duration::from_secs(10)));
    let memory = Recorder::new();
    let first = poll(&*built.source, &memory).await.unwrap();
    assert_eq!((first.next, first.events.len()), (Next::Wait, 0));
    for _ in 0..200 {
        let event = poll(&*built.source, &memory).await.unwrap().events.remove(0);
        assert_eq!(event.event_type, "mock.random_number");
        assert_eq!(event.entity_id.as_deref(), Some("mock-test"));
        assert_eq!(event.occurred_at, Some("2026-11-22T12:00:00Z".parse().unwrap()));
        let data: Value = event.data.parse().unwrap();
        assert!((1..=100).contains(&data["number"].as_u64().unwrap()), "{data}");
        assert_eq!(data.as_object().unwrap().len(), 1);
        let id = event.event_id.as_bytes();
        assert!(id.len() == 36 && id[14] == b'4' && b"89ab".contains(&id[19]), "{}", event.event_id);
    }
}

#[test]
fn it_cannot_choose_where_it_begins() {
    let kind = SOURCES.iter().find(|kind| kind.name == "mock").unwrap();
    let outside = Outside { start: Some(StartAt::All), ..outside("/") };
    let error = (kind.build)(json!({}), &outside).err().unwrap();
    let told = "a source of type `mock` cannot choose where it begins; remove the key";
    assert_eq!((error.path.as_str(), error.to_string().as_str()), ("start", told));
}

#[test]
fn an_interval_of_zero_is_refused() {
    let kind = SOURCES.iter().find(|kind| kind.name == "mock").unwrap();
    let error = (kind.build)(json!({ "interval": 0 }), &outside("/")).err().unwrap();
    assert_eq!(error.to_string(), "interval is 0 seconds, it must be longer");
}
