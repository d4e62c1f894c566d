//! What must neither get lost nor stand still in the loop of a push sink: slow writes, failing reads, pages without an event
//! that is wanted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::unimplemented, unreachable_pub, dead_code, reason = "the support serves several tests")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use inboxclaw_contract::settings::BuiltSink;
use inboxclaw_contract::{
    Class, Condition, Delivery, DeliveryPolicy, Event, Failure, Intake, Owner, Push, Receipt, Sender, StartAt,
};
use inboxclaw_settings::Patterns;
use support::{ByName, Deliver, World, done, fail_text};

fn slow(millis: u64) -> Deliver {
    Deliver::Slow(Duration::from_millis(millis))
}

fn policy(concurrency: usize) -> DeliveryPolicy {
    DeliveryPolicy { concurrency, ..DeliveryPolicy::default() }
}

/// While the rows of `a1` and `a2` are being stored, `a1` is done and `a2` is next: its row is not there yet, which does not
/// mean that nobody owes it.
#[tokio::test(start_paused = true)]
async fn an_event_whose_row_is_being_stored_is_owed() {
    let mut world = World::new();
    world.sender("hook", policy(2), |event, _| match event.event_id.as_str() {
        "a1" => slow(300),
        "b" => slow(100),
        _ => done(),
    });
    world.run();
    world.store_events(&[("a1", "t.x", "a"), ("b", "t.x", "b"), ("a2", "t.x", "a")]).await;
    world.store.by.with(|faults| faults.slow = Duration::from_secs(1));
    world.pass(10).await;
    assert_eq!(world.happened(), ["hook a1", "hook b", "hook a2"]);
    assert!(world.store.owed(&Owner::sink("hook")).is_empty());
}

/// A probe sends one event: never one that waits for another.
#[tokio::test(start_paused = true)]
async fn a_receiver_that_was_down_gets_the_events_of_an_entity_in_order() {
    let mut world = World::new();
    let start = tokio::time::Instant::now();
    world.sender("hook", policy(1), move |_, _| {
        if start.elapsed() < Duration::from_secs(60) { fail_text(Class::Connectivity) } else { done() }
    });
    world.run();
    world.store_events(&[("1", "t.x", "a"), ("2", "t.x", "a"), ("3", "t.x", "a")]).await;
    world.pass(300).await;
    let happened = world.happened();
    let failed = happened.len() - 3;
    assert!(happened[..failed].iter().all(|sent| sent == "hook 1"), "{happened:?}");
    assert_eq!(happened[failed..], ["hook 1", "hook 2", "hook 3"]);
}

/// The body of an event that is sent again has to be read: when that fails, it is sent later.
#[tokio::test(start_paused = true)]
async fn an_event_whose_body_cannot_be_read_is_sent_later() {
    for concurrency in [1, 4] {
        let mut world = World::new();
        let start = tokio::time::Instant::now();
        let act = move |_: &Event, _| {
            if start.elapsed() < Duration::from_secs(3) { fail_text(Class::Connectivity) } else { done() }
        };
        world.sender("hook", policy(concurrency), act);
        world.sink("folder", StartAt::All, None, act);
        world.run();
        world.store_events(&[("1", "t.x", "a"), ("2", "t.x", "a")]).await;
        world.pass(1).await;
        world.store.by.with(|faults| faults.unreadable = true);
        world.pass(200).await;
        world.store.by.with(|faults| faults.unreadable = false);
        world.pass(1_000).await;
        for name in ["hook", "folder"] {
            assert_eq!(world.store.cursor(&Owner::sink(name)).as_deref(), Some("2"), "{name}");
        }
    }
}

struct Noting(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Sender for Noting {
    async fn send(&self, batch: &[Delivery], receipts: &mut Vec<Receipt>) -> Result<(), Failure> {
        for delivery in batch {
            self.0.lock().unwrap().push(delivery.event.event_id.clone());
            receipts.push(Receipt::Done);
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn pages_on_which_nothing_fulfils_the_condition_are_passed_at_once() {
    let mut world = World::new();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let push = Push::Sender(Box::new(Noting(sent.clone())));
    let condition = Some(Condition::new("wanted", |event: &Event| Ok(event.event_id == "wanted")));
    let intake = Intake { patterns: Patterns::new(["t.*"]), ttl: None, start: StartAt::All };
    let built = BuiltSink { push, policy: policy(1), condition, warnings: Vec::new() };
    world.runtime.as_mut().unwrap().add_sink("hook", "noting", intake, built);
    let ids: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
    let mut events: Vec<_> = ids.iter().map(|id| (&**id, "t.x", "")).collect();
    events.push(("wanted", "t.x", ""));
    world.store_events(&events).await;
    world.run();
    world.pass(1).await;
    assert_eq!(*sent.lock().unwrap(), ["wanted"]);
}
