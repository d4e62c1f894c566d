//! Pending events over HTTP: seen, flushed, dropped.

use std::time::Duration;

use inboxclaw_contract::coalesce::{Aggregation, CoalesceRule, Strategy};
use inboxclaw_contract::{Json, NewEvent, Owner};
use inboxclaw_contract_testing::{committed, turn};
use inboxclaw_settings::Patterns;

use super::support::Inbox;

/// Reports one event each of entities of a source whose events are all collected.
async fn collect(inbox: &Inbox, source: &str, entities: &[&str]) {
    let id = inbox.store.register(&Owner::source(source), "test").await.unwrap();
    let rule = CoalesceRule {
        patterns: Patterns::default(),
        strategy: Strategy::Batch,
        window: Duration::from_millis(1_500),
        max_wait: Duration::from_secs(15),
        aggregation: Aggregation::Latest,
    };
    inbox.store.set_coalescing(id, vec![rule]).await.unwrap();
    let version = inbox.store.snapshot(id).await.unwrap().version;
    let mut poll = turn(id, version);
    let event = |entity: &&str| {
        let data = Json::new(r#"{"big":12345678901234567890}"#).unwrap();
        NewEvent::new(format!("{source}-{entity}"), "t.changed", data).entity(*entity)
    };
    poll.events = entities.iter().map(event).collect();
    assert_eq!(committed(inbox.store.commit(poll).await.unwrap()).pending, entities.len() as u64);
}

#[tokio::test]
async fn pending_events_are_seen_flushed_and_dropped() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    collect(&inbox, "p", &["x", "y", ""]).await;
    let page = server.get("/api/pending-events?limit=1&offset=2").await;
    let id = page.json()["events"][0]["source_id"].clone();
    let expected = format!(
        r#"{{"events":[{{"id":1,"source_id":{id},"event_type":"t.changed","entity_id":"x","data":{{"big":12345678901234567890}},"meta":{{}},"count":1,"first_seen_at":"2026-11-22T06:46:26.063532","last_seen_at":"2026-11-22T06:46:26.063532","flush_at":"2026-11-22T06:46:27.563532","strategy":"batch","window_seconds":1.5}}],"total":3}}"#
    );
    assert_eq!(page.body, expected);
    for (query, total) in [
        ("", 3),
        ("?source_name=p", 3),
        ("?source_name=q", 0),
        ("?event_type=t.*", 3),
        ("?event_type=t", 0),
        ("?entity_id=y", 1),
        ("?entity_id=", 1),
    ] {
        assert_eq!(
            server.get(&format!("/api/pending-events{query}")).await.json()["total"],
            total,
            "{query}"
        );
    }
    assert!(server.get("/metrics").await.body.contains("inboxclaw_pending_events{source=\"p\"} 3"));
    for how in ["flush", "drop"] {
        let refused = server.request("POST", &format!("/api/pending-events/{how}"), &[]).await;
        assert_eq!(refused.status, 422, "{how}: all of them only when that is said");
    }
    let post = async |path: &str| {
        let answer = server.request("POST", &format!("/api/pending-events/{path}"), &[]).await;
        (answer.status, answer.body)
    };
    assert_eq!(post("flush?entity_id=x").await, (200, r#"{"events":1}"#.to_owned()));
    assert_eq!(server.get("/api/events/1").await.json()["event_id"], "coalesced:p-x");
    assert_eq!(post("drop?source_name=p&event_type=t.changed&entity_id=y").await.1, r#"{"events":1}"#);
    assert_eq!(post("flush?all=1").await.1, r#"{"events":1}"#);
    assert_eq!(post("drop?all=1").await.1, r#"{"events":0}"#);
    let events = server.get("/api/events").await.json();
    assert_eq!((&events["total"], &events["events"][0]["entity_id"]), (&2.into(), &"".into()));
}
