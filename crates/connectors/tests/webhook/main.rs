//! The webhook sink, against servers on this machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../server/mod.rs"]
mod server;
#[path = "../support/mod.rs"]
mod support;

mod answers;
mod broken_answers;
mod lists;
mod requests;
mod settings;

use inboxclaw_connectors::SINKS;
use inboxclaw_contract::settings::BuiltSink;
use inboxclaw_contract::{
    Delivery, Event, Failure, Json, OwnerId, Push, Receipt, Sender, Seq, SettingsError,
};
use serde_json::Value;
use support::outside;

/// Builds the sink from its settings.
fn built(settings: Value) -> Result<BuiltSink, SettingsError> {
    let kind = SINKS.iter().find(|kind| kind.name == "webhook").unwrap();
    (kind.build)(settings, &outside("/"))
}

fn sender(built: BuiltSink) -> Box<dyn Sender> {
    match built.push {
        Push::Sender(sender) => sender,
        Push::Sink(_) => panic!("a web hook remembers nothing"),
    }
}

fn webhook(settings: Value) -> Box<dyn Sender> {
    sender(built(settings).unwrap())
}

/// Sends a batch; the receipts until it broke off, if it did.
async fn send(sender: &dyn Sender, batch: &[Delivery]) -> (Vec<Receipt>, Option<Failure>) {
    let mut receipts = Vec::new();
    let sent = sender.send(batch, &mut receipts).await;
    (receipts, sent.err())
}

fn event(seq: i64) -> Event {
    Event {
        seq: Seq(seq),
        source: OwnerId(4),
        source_name: "mail".to_owned(),
        event_id: format!("e{seq}"),
        event_type: "a.b".to_owned(),
        entity_id: Some("x\u{17e}".to_owned()),
        created_at: "2026-11-22T06:00:00.5Z".parse().unwrap(),
        occurred_at: None,
        data: Json::new("{\"foo\": \"\u{e9}\", \"num\": 12345678901234567890}").unwrap(),
        meta: Json::empty_object(),
    }
}

fn first(seq: i64) -> Delivery {
    Delivery::first(event(seq))
}
