//! Leases: events hidden from other extracts for a while, and what happens when requests overtake each other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::OwnerId;
use inboxclaw_contract::store::DeliveryQuery;
use inboxclaw_runtime::pull::{self, Batch, PullError, PullSink, Wanted};
use inboxclaw_settings::Patterns;
use serde_json::json;

use super::support::Inbox;

const MINUTE: Duration = Duration::from_secs(60);

/// A consumer with a sink object of its own, as in another process: only the store is shared.
struct Consumer<'a> {
    inbox: &'a Inbox,
    sink: Arc<PullSink>,
}

impl<'a> Consumer<'a> {
    async fn new(inbox: &'a Inbox) -> Self {
        Self { inbox, sink: inbox.pull_sink("p", json!({})).await }
    }

    async fn extract(&self, wanted: &Wanted) -> Batch {
        self.sink.extract(self.inbox.store.as_ref(), self.inbox.random.as_ref(), wanted).await.unwrap()
    }

    async fn confirm(&self, batch: &Batch) -> u64 {
        let confirmed =
            self.sink.confirm(self.inbox.store.as_ref(), self.inbox.random.as_ref(), batch.id.unwrap());
        confirmed.await.unwrap()
    }

    /// An extract without a lease: what is free.
    async fn free(&self) -> Vec<i64> {
        ids(&self.extract(&Wanted::default()).await)
    }

    async fn deliveries(&self) -> usize {
        let all = DeliveryQuery::all(1000);
        self.inbox.store.deliveries(self.sink.owner(), all).await.unwrap().deliveries.len()
    }
}

fn lease(size: usize) -> Wanted {
    Wanted { size: Some(size), lease: Some(MINUTE), selector: None }
}

fn ids(batch: &Batch) -> Vec<i64> {
    batch.events.iter().map(|event| event.seq.0).collect()
}

#[tokio::test]
async fn a_leased_event_is_hidden_until_its_lease_ends() {
    let inbox = Inbox::new().await;
    let consumer = Consumer::new(&inbox).await;
    inbox.emit(&["a", "b", "a", "b"]).await;
    let leased = consumer.extract(&lease(2)).await;
    assert_eq!((ids(&leased), leased.remaining), (vec![1, 2], 2));
    assert_eq!(consumer.free().await, [3, 4]);
    inbox.clock.advance(MINUTE - Duration::from_secs(1));
    assert_eq!(consumer.free().await, [3, 4]);
    inbox.clock.advance(Duration::from_secs(1));
    assert_eq!(consumer.free().await, [1, 2, 3, 4]);
    // A lease that ran out can still be confirmed, and leaves nothing behind.
    assert_eq!(consumer.confirm(&leased).await, 2);
    assert_eq!(consumer.free().await, [3, 4]);
    assert_eq!(consumer.deliveries().await, 0);
}

#[tokio::test]
async fn a_lease_is_asked_for_over_http() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    inbox.emit(&["a"]).await;
    let leased = server.request("POST", "/inbox/extract?lease=5m", &[]).await.json();
    assert_eq!(leased["events"].as_array().unwrap().len(), 1);
    let empty = r#"{"batch_id":null,"events":[],"remaining_events":0}"#;
    assert_eq!(server.request("POST", "/inbox/extract?lease=1s", &[]).await.body, empty);
    inbox.clock.advance(5 * MINUTE);
    assert_eq!(server.get("/inbox/extract").await.json()["events"], leased["events"]);
}

/// A page can have a browser send a GET to a server that asks for no token, and hide events with it.
#[tokio::test]
async fn a_lease_is_no_get() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    inbox.emit(&["a"]).await;
    for query in ["lease=5m", "lease=", "batch_size=1&lease=1h", "lease=nonsense&batch_size=x"] {
        let answer = server.get(&format!("/inbox/extract?{query}")).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{query}");
        assert!(answer.body.contains("ask for it with POST"), "{answer:?}");
    }
    assert_eq!(server.get("/inbox/extract").await.json()["events"].as_array().unwrap().len(), 1);
    let post = async |query: &str| server.request("POST", &format!("/inbox/extract{query}"), &[]).await;
    for (query, kind) in [
        ("", "missing"),
        ("?batch_size=1", "missing"),
        ("?lease=0s", "interval"),
        ("?lease=999ms", "interval"),
        ("?lease=25h", "interval"),
        ("?lease=", "interval"),
        ("?lease=nonsense", "interval"),
    ] {
        let answer = post(query).await;
        assert_eq!(answer.status, 422, "{query}");
        assert_eq!(answer.json()["detail"][0]["type"], kind, "{query}");
    }
    assert_eq!(post("?lease=24h&event_type=b").await.json()["batch_id"], json!(null));
    assert_eq!(post("?lease=24h&event_type=a&batch_size=5").await.json()["remaining_events"], 0);
}

#[tokio::test]
async fn confirming_does_not_confirm_what_another_lease_hid() {
    let inbox = Inbox::new().await;
    let consumer = Consumer::new(&inbox).await;
    inbox.emit(&["a"; 6]).await;
    let leased = consumer.extract(&lease(2)).await;
    let plain = consumer.extract(&Wanted::default()).await;
    assert_eq!(ids(&plain), [3, 4, 5, 6]);
    assert_eq!(consumer.confirm(&plain).await, 4);
    inbox.clock.advance(MINUTE);
    assert_eq!(consumer.free().await, [1, 2], "only the lease that ran out");
    // Somebody else takes them, and the late confirmation of the first lease counts all the same.
    let again = consumer.extract(&lease(2)).await;
    assert_eq!(ids(&again), [1, 2]);
    assert_eq!(consumer.confirm(&leased).await, 2);
    inbox.clock.advance(MINUTE);
    assert_eq!(consumer.free().await, Vec::<i64>::new());
    assert_eq!(consumer.confirm(&again).await, 2);
}

/// A batch taken before a lease holds the leased events too, so confirming it ends the lease.
#[tokio::test]
async fn confirming_an_earlier_batch_confirms_what_was_leased_since() {
    let inbox = Inbox::new().await;
    let consumer = Consumer::new(&inbox).await;
    inbox.emit(&["a"; 4]).await;
    let plain = consumer.extract(&Wanted::default()).await;
    let leased = consumer.extract(&lease(2)).await;
    assert_eq!(consumer.confirm(&plain).await, 4);
    inbox.clock.advance(MINUTE);
    assert_eq!(consumer.free().await, Vec::<i64>::new());
    assert_eq!(consumer.confirm(&leased).await, 2);
    assert_eq!(consumer.deliveries().await, 0);
}

/// The rest of a type must not count as held when a delivery lies behind the end of a short page.
#[tokio::test]
async fn a_short_batch_permits_no_gap_before_a_lease_that_ran_out() {
    let inbox = Inbox::new().await;
    let consumer = Consumer::new(&inbox).await;
    inbox.emit(&["b", "a", "a", "b"]).await;
    let only = Wanted { selector: Patterns::selector("b"), ..lease(10) };
    assert_eq!(ids(&consumer.extract(&only).await), [1, 4]);
    inbox.clock.advance(MINUTE);
    let short = Wanted { size: Some(2), ..Wanted::default() };
    let batch = consumer.extract(&short).await;
    assert_eq!((ids(&batch), batch.remaining), (vec![1, 2], 2));
    consumer.confirm(&batch).await;
    assert_eq!(consumer.free().await, [3, 4]);
}

#[tokio::test]
async fn leases_taken_at_the_same_time_share_no_event() {
    let inbox = Inbox::new().await;
    let consumers = [Consumer::new(&inbox).await, Consumer::new(&inbox).await, Consumer::new(&inbox).await];
    inbox.emit(&["a"; 90]).await;
    let mut seen = BTreeSet::new();
    for _ in 0..6 {
        let wanted = lease(5);
        let [one, two, three] = &consumers;
        let taken = tokio::join!(one.extract(&wanted), two.extract(&wanted), three.extract(&wanted));
        for batch in [taken.0, taken.1, taken.2] {
            assert_eq!(batch.events.len(), 5);
            for id in ids(&batch) {
                assert!(seen.insert(id), "{id} was leased twice");
            }
        }
    }
    assert_eq!(seen, (1..=90).collect());
}

#[tokio::test]
async fn a_batch_confirmed_twice_at_the_same_time_counts_once() {
    let inbox = Inbox::new().await;
    let (one, two) = (Consumer::new(&inbox).await, Consumer::new(&inbox).await);
    inbox.emit(&["a"; 3]).await;
    let batch = one.extract(&lease(3)).await;
    let (first, second) = tokio::join!(one.confirm(&batch), two.confirm(&batch));
    assert_eq!(first + second, 3);
    assert_eq!(first.min(second), 0);
}

#[tokio::test]
async fn a_leased_event_can_outlive_its_time() {
    let inbox = Inbox::new().await;
    let sink = inbox.pull_sink("p", json!({ "default_ttl": "2m" })).await;
    let consumer = Consumer { inbox: &inbox, sink };
    inbox.emit(&["a"]).await;
    consumer.extract(&lease(1)).await;
    inbox.clock.advance(2 * MINUTE);
    assert_eq!(consumer.free().await, Vec::<i64>::new());
    // The next turn that touches deliveries clears it away.
    inbox.emit(&["a"]).await;
    let next = consumer.extract(&lease(1)).await;
    assert_eq!((ids(&next), consumer.deliveries().await), (vec![2], 1));
}

#[tokio::test]
async fn leases_are_bounded_and_nothing_remains_that_cannot_be_leased() {
    let inbox = Inbox::new().await;
    let consumer = Consumer::new(&inbox).await;
    let types = vec!["a"; pull::LEASED_EVENTS + 10];
    inbox.emit(&types).await;
    let all = Wanted { size: None, ..lease(0) };
    let batch = consumer.extract(&all).await;
    assert_eq!((batch.events.len(), batch.remaining), (pull::LEASED_EVENTS, 0), "no more can be leased");
    let more = consumer.extract(&all).await;
    assert_eq!((more.id, more.events.len(), more.remaining), (None, 0, 0));
    assert_eq!(consumer.free().await.len(), 10, "an extract without a lease is not bounded by leases");
    consumer.confirm(&batch).await;
    assert_eq!(consumer.extract(&all).await.events.len(), 10);
}

#[tokio::test]
async fn a_cursor_that_is_none_stops_the_sink_and_loses_nothing() {
    let inbox = Inbox::new().await;
    let consumer = Consumer::new(&inbox).await;
    inbox.emit(&["a"]).await;
    set_cursor(&inbox, consumer.sink.owner(), "not a map").await;
    let wanted = Wanted::default();
    let taken = consumer.sink.extract(inbox.store.as_ref(), inbox.random.as_ref(), &wanted).await;
    assert!(matches!(taken, Err(PullError::State(_))), "{taken:?}");
    set_cursor(&inbox, consumer.sink.owner(), "{}").await;
    assert_eq!(consumer.free().await, [1]);
}

/// A position that a person moved back makes events come again, but not those under a lease.
#[tokio::test]
async fn a_position_can_be_moved_back_by_a_person() {
    let inbox = Inbox::new().await;
    let consumer = Consumer::new(&inbox).await;
    inbox.emit(&["a"; 4]).await;
    let plain = consumer.extract(&Wanted { size: Some(2), ..Wanted::default() }).await;
    consumer.confirm(&plain).await;
    let leased = consumer.extract(&lease(1)).await;
    assert_eq!(ids(&leased), [3]);
    set_cursor(&inbox, consumer.sink.owner(), "{}").await;
    let short = Wanted { size: Some(1), selector: None, lease: None };
    let first = consumer.extract(&short).await;
    assert_eq!((ids(&first), first.remaining), (vec![1], 2));
    let again = consumer.extract(&Wanted::default()).await;
    assert_eq!((ids(&again), again.remaining), (vec![1, 2, 4], 0));
    consumer.confirm(&again).await;
    assert_eq!(consumer.free().await, Vec::<i64>::new());
    inbox.clock.advance(MINUTE);
    assert_eq!(consumer.free().await, [3]);
}

/// A page of the log that holds nothing but leased events is not the end of the log.
#[tokio::test]
async fn leased_events_do_not_hide_what_comes_behind_them() {
    let inbox = Inbox::new().await;
    let consumer = Consumer::new(&inbox).await;
    inbox.emit(&["a"; 4]).await;
    let leased = consumer.extract(&lease(2)).await;
    set_cursor(&inbox, consumer.sink.owner(), "{}").await;
    let short = Wanted { size: Some(1), ..Wanted::default() };
    let batch = consumer.extract(&short).await;
    assert_eq!((ids(&batch), batch.remaining), (vec![3], 1));
    consumer.confirm(&batch).await;
    assert_eq!(consumer.free().await, [4]);
    consumer.confirm(&leased).await;
    assert_eq!(consumer.free().await, [4]);
}

async fn set_cursor(inbox: &Inbox, owner: OwnerId, cursor: &str) {
    use inboxclaw_contract::turn::TurnId;
    use inboxclaw_contract::{OpenTurn, Random};
    let turn_id = TurnId(inbox.random.next());
    let mut draft = OpenTurn::open(inbox.store.as_ref(), owner, turn_id).await.unwrap();
    draft.set_cursor(Some(cursor.to_owned())).unwrap();
    draft.commit().await.unwrap();
}
