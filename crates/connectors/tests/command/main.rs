//! The command sink with real child processes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod hostile_values;
mod processes;
mod refusals;
mod runs;

use std::path::Path;

use inboxclaw_connectors::SINKS;
use inboxclaw_contract::settings::BuiltSink;
use inboxclaw_contract::{
    Delivery, Event, Failure, Json, Outside, OwnerId, Push, Receipt, Sender, Seq, SettingsError,
};
use serde_json::Value;
use support::outside;

fn built_with(settings: Value, outside: &Outside) -> Result<BuiltSink, SettingsError> {
    let kind = SINKS.iter().find(|kind| kind.name == "command").unwrap();
    (kind.build)(settings, outside)
}

fn built(settings: Value) -> Result<BuiltSink, SettingsError> {
    built_with(settings, &outside("/"))
}

/// A sink that can be sent to.
fn sender(settings: Value) -> Box<dyn Sender> {
    sender_of(built(settings).unwrap())
}

fn sender_of(built: BuiltSink) -> Box<dyn Sender> {
    match built.push {
        Push::Sender(sender) => sender,
        Push::Sink(_) => panic!("a command remembers nothing"),
    }
}

/// Why settings are refused.
fn refusal(settings: Value) -> String {
    match built(settings.clone()) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("taken: {settings}"),
    }
}

/// An event with this data.
fn event(seq: i64, data: &Value) -> Event {
    Event {
        seq: Seq(seq),
        source: OwnerId(4),
        source_name: "mail".to_owned(),
        event_id: format!("e{seq}"),
        event_type: "a.b".to_owned(),
        entity_id: Some(format!("x{seq}")),
        created_at: "2026-11-22T06:00:00Z".parse().unwrap(),
        occurred_at: None,
        data: Json::from_value(data).unwrap(),
        meta: Json::empty_object(),
    }
}

fn events(seqs: impl IntoIterator<Item = i64>) -> Vec<Event> {
    seqs.into_iter().map(|seq| event(seq, &serde_json::json!({}))).collect()
}

async fn send(sender: &dyn Sender, events: &[Event]) -> (Vec<Receipt>, Result<(), Failure>) {
    let batch: Vec<Delivery> = events.iter().cloned().map(Delivery::first).collect();
    let mut receipts = Vec::new();
    let result = sender.send(&batch, &mut receipts).await;
    (receipts, result)
}

/// The receipts of a call that did not fail.
async fn sent(sender: &dyn Sender, events: &[Event]) -> Vec<Receipt> {
    let (receipts, result) = send(sender, events).await;
    result.unwrap();
    receipts
}

/// The reason of a receipt that is no success.
fn reason(receipt: &Receipt) -> &str {
    match receipt {
        Receipt::Again { reason, .. } | Receipt::Never { reason } => reason,
        Receipt::Done => panic!("done"),
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
