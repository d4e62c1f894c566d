//! A clock in doubt, over HTTP: leases, batches and times to live hold, until a person says that it is right.

use std::time::Duration;

use inboxclaw_contract::StartAt;
use inboxclaw_runtime::pull::{PullError, Wanted};
use inboxclaw_settings::Patterns;
use serde_json::json;

use super::support::Inbox;

#[tokio::test]
async fn a_clock_in_doubt_ends_no_lease_no_batch_and_no_time_to_live() {
    let inbox = Inbox::new().await;
    let settings = json!({ "default_ttl": "1d" });
    let sink = inbox.pull_sink_from("k", Patterns::default(), StartAt::All, settings).await;
    let (store, random) = (inbox.store.as_ref(), inbox.random.as_ref());
    let server = inbox.serve().await;
    let extract = async |lease: Option<Duration>| {
        let wanted = Wanted { lease, ..Wanted::default() };
        let batch = sink.extract(store, random, &wanted).await.unwrap();
        (batch.id, batch.events.iter().map(|event| event.seq.0).collect::<Vec<_>>())
    };
    inbox.emit(&["a"]).await;
    let leased = extract(Some(Duration::from_secs(60 * 60))).await;
    inbox.emit(&["a"]).await;
    let plain = extract(None).await;
    assert_eq!((leased.1, plain.1), (vec![1], vec![2]));
    assert_eq!(server.get("/api/clock").await.json()["doubted"], false);
    inbox.clock.jump(400 * 24 * 60 * 60);
    let clock = server.get("/api/clock").await.json();
    assert_eq!((&clock["doubted"], &clock["followed_in"]), (&true.into(), &3600.into()), "{clock}");
    assert!(server.get("/metrics").await.body.contains("inboxclaw_clock_doubted 1"));
    inbox.emit(&["a"]).await;
    assert_eq!(extract(None).await.1, [2, 3], "the lease holds, and nothing is too old");
    sink.confirm(store, random, plain.0.unwrap()).await.unwrap();
    assert_eq!(extract(None).await.1, [3]);
    // Time that passes counts all the same.
    inbox.clock.advance(Duration::from_secs(60 * 60 - 1));
    assert_eq!(extract(None).await.1, [3]);
    let accepted = server.request("POST", "/api/clock/accept", &[]).await;
    assert_eq!((accepted.status, &accepted.json()["doubted"]), (200, &false.into()));
    assert_eq!(extract(None).await.1, [3], "the first event is older than a day now");
    let gone = sink.confirm(store, random, leased.0.unwrap()).await;
    assert!(matches!(gone, Err(PullError::NotFound(_))), "{gone:?}");
    assert!(server.get("/metrics").await.body.contains("inboxclaw_clock_doubted 0"));
}
