//! Dead letters and what waits, over HTTP: listed, shown, tried again, dropped.

use inboxclaw_contract::store::DeliveryQuery;
use inboxclaw_contract::turn::{DeliveryChange, DeliveryState, TurnId};
use inboxclaw_contract::{DeliveryOrigin, Intake, OpenTurn, Owner, OwnerId, Random as _, Seq, StartAt};
use inboxclaw_runtime::pull::Wanted;
use inboxclaw_settings::Patterns;
use serde_json::{Value, json};

use super::support::{Answer, Inbox, Running};

impl Inbox {
    /// A push sink that takes everything.
    pub(super) async fn push_sink(&self, name: &str) -> OwnerId {
        let sink = self.store.register(&Owner::sink(name), "webhook").await.unwrap();
        let intake = Intake { patterns: Patterns::default(), ttl: None, start: StartAt::Now };
        self.store.set_intake(sink, &intake).await.unwrap();
        sink
    }

    /// Stores deliveries of a sink.
    async fn owe(&self, sink: OwnerId, state: DeliveryState, seqs: &[i64]) {
        let mut turn = OpenTurn::open(self.store.as_ref(), sink, TurnId(self.random.next())).await.unwrap();
        let now = turn.now();
        turn.turn_mut().deliveries.extend(seqs.iter().map(|seq| DeliveryChange::Owe {
            seq: Seq(*seq),
            entity: None,
            state,
            due: now,
            attempts: 12,
            error: Some("500: <b>\u{1b}[31m".to_owned()),
            tried_at: Some(now),
            origin: DeliveryOrigin::Log,
        }));
        turn.commit().await.unwrap();
    }

    async fn owed(&self, sink: OwnerId) -> Vec<(i64, DeliveryState)> {
        let page = self.store.deliveries(sink, DeliveryQuery::all(1_000_000)).await.unwrap();
        page.deliveries.iter().map(|row| (row.seq.0, row.state)).collect()
    }
}

async fn post(server: &Running, path: &str) -> Answer {
    server.request("POST", path, &[]).await
}

/// The places of a list, with their sinks.
async fn listed(server: &Running, query: &str) -> Vec<(String, i64)> {
    let answer = server.get(&format!("/api/deliveries{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let rows: Vec<Value> = serde_json::from_str(&answer.body).unwrap();
    rows.iter().map(|row| (row["sink"].as_str().unwrap().to_owned(), row["id"].as_i64().unwrap())).collect()
}

const WAITING: DeliveryState = DeliveryState::Waiting;
const DEAD: DeliveryState = DeliveryState::Dead;

#[tokio::test]
async fn deliveries_are_listed_across_sinks_and_by_filter() {
    let inbox = Inbox::new().await;
    let server = inbox.serve_with(|app| app.pulls.clear()).await;
    assert_eq!(listed(&server, "").await, []);
    let (a, b) = (inbox.push_sink("a").await, inbox.push_sink("b").await);
    inbox.emit(&["t.x", "t.y", "u"]).await;
    inbox.clock.advance(std::time::Duration::from_secs(3_600));
    inbox.emit(&["t.x"]).await;
    inbox.owe(b, DEAD, &[1, 2, 4]).await;
    inbox.owe(a, WAITING, &[2, 3]).await;
    let of =
        |rows: &[(&str, i64)]| rows.iter().map(|(sink, id)| ((*sink).to_owned(), *id)).collect::<Vec<_>>();
    for (query, expected) in [
        ("", &[("a", 2), ("a", 3), ("b", 1), ("b", 2), ("b", 4)][..]),
        ("?sink=b", &[("b", 1), ("b", 2), ("b", 4)]),
        ("?state=waiting", &[("a", 2), ("a", 3)]),
        ("?state=dead&event_type=t.x", &[("b", 1), ("b", 4)]),
        ("?event_type=t.*&limit=2", &[("a", 2), ("b", 1)]),
        ("?event_type=t.*&limit=2&after=b/1", &[("b", 2), ("b", 4)]),
        ("?limit=1&after=a/3", &[("b", 1)]),
        ("?sink=b&after=2", &[("b", 4)]),
        ("?older_than=30m&sink=b", &[("b", 1), ("b", 2)]),
        ("?younger_than=30m", &[("b", 4)]),
    ] {
        assert_eq!(listed(&server, query).await, of(expected), "{query}");
    }
    for query in ["?state=sent", "?limit=0", "?after=5", "?sink=b&after=x", "?older_than=soon"] {
        assert_eq!(server.get(&format!("/api/deliveries{query}")).await.status, 422, "{query}");
    }
    assert_eq!(server.get("/api/deliveries?sink=c").await.status, 404);
    assert_eq!(server.get("/api/deliveries?sink=s").await.status, 404, "that is a source");
}

#[tokio::test]
async fn a_delivery_is_shown_with_its_event() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    let sink = inbox.push_sink("hook").await;
    inbox.emit_with(&["t"], json!({"big": 1})).await;
    inbox.owe(sink, DEAD, &[1]).await;
    let shown = server.get("/api/deliveries/hook/1").await.json();
    let expected = json!({
        "sink": "hook", "id": 1, "event_type": "t", "entity_id": null, "source": "s",
        "created_at": "2026-11-22T06:46:26.063532Z", "state": "dead", "due": "2026-11-22T06:46:26.063532Z",
        "attempts": 12, "error": "500: <b>\u{1b}[31m", "tried_at": "2026-11-22T06:46:26.063532Z", "origin": "log",
        "replay": null,
        "event": {
            "id": 1, "event_id": "e0", "event_type": "t", "entity_id": null,
            "created_at": "2026-11-22T06:46:26.063532", "data": {"big": 1}, "meta": {},
        },
    });
    assert_eq!(shown, expected);
    for (path, status) in
        [("hook/2", 404), ("none/1", 404), ("hook/x", 422), ("hook/-9223372036854775808", 404)]
    {
        assert_eq!(server.get(&format!("/api/deliveries/{path}")).await.status, status, "{path}");
        for action in ["retry", "drop"] {
            let answer = post(&server, &format!("/api/deliveries/{path}/{action}")).await;
            assert_eq!(answer.status, status, "{path}/{action}");
        }
    }
    assert_eq!(inbox.owed(sink).await, [(1, DEAD)]);
}

#[tokio::test]
async fn one_delivery_is_tried_again_or_dropped_and_its_sink_looks() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    let sink = inbox.push_sink("a sink").await;
    inbox.emit(&["t", "t"]).await;
    inbox.owe(sink, DEAD, &[1, 2]).await;
    let retried = post(&server, "/api/deliveries/a%20sink/1/retry").await;
    assert_eq!((retried.status, retried.json()), (200, json!({"count": 1, "sinks": {"a sink": 1}})));
    assert_eq!(inbox.woken.take(), [Owner::sink("a sink")]);
    let row = server.get("/api/deliveries/a%20sink/1").await.json();
    assert_eq!(
        (&row["state"], &row["origin"], &row["attempts"]),
        (&"waiting".into(), &"retry".into(), &0.into())
    );
    assert_eq!(post(&server, "/api/deliveries/a%20sink/2/drop").await.json()["count"], 1);
    assert_eq!(inbox.woken.take(), [Owner::sink("a sink")]);
    assert_eq!(inbox.owed(sink).await, [(1, WAITING)]);
}

#[tokio::test]
async fn many_are_changed_by_filter_and_only_by_one() {
    let inbox = Inbox::new().await;
    let server = inbox.serve_with(|app| app.pulls.clear()).await;
    let (a, b) = (inbox.push_sink("a").await, inbox.push_sink("b").await);
    inbox.emit(&["t.x", "u", "t.x", "u"]).await;
    inbox.owe(a, DEAD, &[1, 2]).await;
    inbox.owe(a, WAITING, &[3]).await;
    inbox.owe(b, DEAD, &[1, 4]).await;
    for action in ["retry", "drop"] {
        let refused = post(&server, &format!("/api/deliveries/{action}")).await;
        assert_eq!(refused.status, 422);
        assert!(refused.body.contains("all=1"), "{refused:?}");
        assert_eq!(post(&server, &format!("/api/deliveries/{action}?sink=none")).await.status, 404);
    }
    assert_eq!(inbox.woken.take(), []);
    let changed = post(&server, "/api/deliveries/retry?event_type=t.*").await.json();
    assert_eq!(changed, json!({"count": 2, "sinks": {"a": 1, "b": 1}}));
    assert_eq!(inbox.owed(a).await, [(1, WAITING), (2, DEAD), (3, WAITING)]);
    let changed = post(&server, "/api/deliveries/drop?sink=a&state=waiting").await.json();
    assert_eq!(changed, json!({"count": 2, "sinks": {"a": 2}}));
    let changed = post(&server, "/api/deliveries/drop?all=1").await.json();
    assert_eq!(changed, json!({"count": 2, "sinks": {"a": 1, "b": 1}}), "dead letters, nothing that waits");
    assert_eq!((inbox.owed(a).await, inbox.owed(b).await), (vec![], vec![(1, WAITING)]));
    assert_eq!(post(&server, "/api/deliveries/drop?all=1").await.json(), json!({"count": 0, "sinks": {}}));
}

#[tokio::test]
async fn thousands_are_changed_in_steps() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    let sink = inbox.push_sink("hook").await;
    inbox.emit(&vec!["t"; 3_001]).await;
    let all: Vec<i64> = (1..=3_001).collect();
    inbox.owe(sink, DEAD, &all).await;
    assert_eq!(post(&server, "/api/deliveries/retry?sink=hook").await.json()["count"], 3_001);
    assert!(inbox.owed(sink).await.iter().all(|(_, state)| *state == WAITING));
    assert_eq!(post(&server, "/api/deliveries/drop?sink=hook&state=waiting").await.json()["count"], 3_001);
    assert_eq!(inbox.owed(sink).await, []);
}

/// What a consumer has leased: dropped it is confirmed, tried again it comes at once.
#[tokio::test]
async fn the_leases_of_a_pull_sink_are_deliveries() {
    let inbox = Inbox::new().await;
    let sink = inbox.pull_sink("work", json!({})).await;
    let server = inbox.serve().await;
    let (store, random) = (inbox.store.as_ref(), inbox.random.as_ref());
    let lease = Wanted { lease: Some(std::time::Duration::from_secs(600)), ..Wanted::default() };
    let extract = async |wanted: &Wanted| {
        let batch = sink.extract(store, random, wanted).await.unwrap();
        (batch.id, batch.events.iter().map(|event| event.seq.0).collect::<Vec<_>>())
    };
    inbox.emit(&["t", "t", "t"]).await;
    let (batch, taken) = extract(&lease).await;
    assert_eq!(taken, [1, 2, 3]);
    assert_eq!(extract(&lease).await.1, Vec::<i64>::new());
    assert_eq!(post(&server, "/api/deliveries/work/2/drop").await.status, 200);
    assert_eq!(post(&server, "/api/deliveries/work/3/retry").await.status, 200);
    assert_eq!(extract(&lease).await.1, [3], "the lease of it has ended, and 2 is confirmed");
    inbox.clock.advance(std::time::Duration::from_secs(601));
    assert_eq!(extract(&lease).await.1, [1, 3]);
    assert_eq!(sink.confirm(store, random, batch.unwrap()).await.unwrap(), 3);
    assert_eq!(
        inbox.store.debts().await.unwrap().iter().find(|it| it.sink == sink.owner()).unwrap().types,
        []
    );
}
