//! `sink test`: one event through a sink that pushes. The consumer really gets it; nothing is stored about it.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use inboxclaw_config::{Config, SinkConfig, Target, nearest};
use inboxclaw_contract::envelope::wire_time;
use inboxclaw_contract::store::Find;
use inboxclaw_contract::turn::TurnId;
use inboxclaw_contract::{
    Class, Clock as _, Delivery, DeliveryOrigin, Event, Failure, Housekeeping as _, Json, Log as _, OpenTurn,
    OwnerId, OwnerKind, Push, Random as _, Receipt, Seq, State, printable,
};
use inboxclaw_store::SqliteStore;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::super::failed::Failed;
use super::super::state_client::read;
use super::super::{client, output};
use super::no_state::{Empty, NOBODY};
use crate::cli::{OwnerArg, TestSink, exit};
use crate::outside::{SystemClock, SystemRandom};

/// A consumer that takes longer has failed the test.
const PATIENCE: Duration = Duration::from_secs(60);

/// Replays are numbered from 1: so a consumer that knows messages by their ids does not take the event of a test for the
/// real one, which may still be owed.
const OF_TEST: DeliveryOrigin = DeliveryOrigin::Replay(0);

/// What became of the event.
struct Tried {
    receipt: Result<Receipt, Failure>,
    took: Duration,
}

pub(super) fn run(config: Config, args: &TestSink, who: &OwnerArg, as_json: bool) -> Result<u8, Failed> {
    let given = args.event.as_deref().map(of_file).transpose()?;
    let store = read(&config)?;
    let sink = find(config, who)?;
    let push = match &sink.target {
        Target::Push(built) => &built.push,
        Target::Pull(_) => return Err(asked(&sink.name, "pull --name")),
        Target::Sse(..) => return Err(asked(&sink.name, "subscribe --sink")),
    };
    let (delivery, tried) = client::block_on(async {
        let event = match given {
            Some(event) => event,
            None => newest(store.as_ref(), &sink).await?.unwrap_or_else(sample),
        };
        let delivery = Delivery { event, attempt: 1, origin: OF_TEST };
        let owner = owner(store.as_ref(), &sink.name).await?;
        let (state, owner): (&dyn State, _) = match (&store, owner) {
            (Some(store), Some(owner)) => (store, owner),
            _ => (&Empty, NOBODY),
        };
        let tried = send(push, state, owner, &delivery).await;
        Ok((delivery, tried))
    })?;
    tell(&sink, &delivery, &tried, as_json)
}

fn find(config: Config, who: &OwnerArg) -> Result<SinkConfig, Failed> {
    let names: Vec<String> = config.sinks.iter().map(|sink| sink.name.clone()).collect();
    let found = config.sinks.into_iter().find(|sink| sink.name == who.name);
    found.ok_or_else(|| {
        let near = nearest(&who.name, names.iter().map(String::as_str));
        let hint = near.map_or_else(
            || format!("; there are: {}", names.join(", ")),
            |near| format!(", did you mean {near:?}?"),
        );
        Failed::plain(format!("{} has no sink {:?}{hint}", config.file.display(), who.name))
    })
}

/// What to say about a sink that pushes nothing.
fn asked(name: &str, command: &str) -> Failed {
    Failed::plain(format!(
        "sink {name} sends nothing, its consumers ask it: while the program runs, `inboxclaw {command} {name}` does"
    ))
}

async fn owner(store: Option<&SqliteStore>, name: &str) -> Result<Option<OwnerId>, Failed> {
    let Some(store) = store else { return Ok(None) };
    let owners = store.owners().await.map_err(|error| Failed::plain(error.to_string()))?;
    Ok(owners.into_iter().find(|owner| owner.kind == OwnerKind::Sink && owner.name == name).map(|it| it.id))
}

/// The newest event that the sink takes.
async fn newest(store: Option<&SqliteStore>, sink: &SinkConfig) -> Result<Option<Event>, Failed> {
    let Some(store) = store else { return Ok(None) };
    let find = Find { patterns: Some(sink.patterns.clone()), limit: 1, ..Find::default() };
    let found = store.find(&find).await.map_err(|error| Failed::plain(error.to_string()))?;
    Ok(found.events.into_iter().next())
}

/// An event that never happened.
fn sample() -> Event {
    let data = Json::new(r#"{"message":"a test of this sink"}"#).unwrap_or_else(|_| Json::empty_object());
    Event {
        seq: Seq(0),
        source: NOBODY,
        source_name: "test".to_owned(),
        event_id: format!("test:{:032x}", SystemRandom.next()),
        event_type: "inboxclaw.sink.test".to_owned(),
        entity_id: Some("test".to_owned()),
        created_at: SystemClock.now(),
        occurred_at: None,
        data,
        meta: Json::empty_object(),
    }
}

/// An envelope, as `pull` gives it; what is missing is made up.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    id: i64,
    event_id: Option<String>,
    event_type: String,
    entity_id: Option<String>,
    created_at: Option<jiff::civil::DateTime>,
    data: Option<Box<RawValue>>,
    source: Option<EnvelopeSource>,
    meta: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct EnvelopeSource {
    name: String,
}

fn of_file(path: &Path) -> Result<Event, Failed> {
    let failed =
        |error: &dyn std::fmt::Display| Failed::plain(format!("{} is no event: {error}", path.display()));
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failed::plain(format!("cannot read {}: {error}", path.display())))?;
    let found: Envelope = serde_json::from_str(&text).map_err(|error| failed(&error))?;
    let object = |value: Option<Box<RawValue>>, what: &str| match value {
        None => Ok(Json::empty_object()),
        Some(value) => {
            let value = Json::new(value.get()).map_err(|error| failed(&error))?;
            if value.is_object() { Ok(value) } else { Err(failed(&format!("its {what} is no JSON object"))) }
        }
    };
    let made_up = sample();
    let time = |time: jiff::civil::DateTime| Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp());
    Ok(Event {
        seq: Seq(found.id),
        source: NOBODY,
        source_name: found.source.map_or(made_up.source_name, |source| source.name),
        event_id: found.event_id.unwrap_or(made_up.event_id),
        event_type: found.event_type,
        entity_id: found.entity_id,
        created_at: found.created_at.and_then(time).unwrap_or(made_up.created_at),
        occurred_at: None,
        data: object(found.data, "data")?,
        meta: object(found.meta, "meta")?,
    })
}

/// Hands the event to the sink. What the sink would remember of it is thrown away.
async fn send(push: &Push, state: &dyn State, owner: OwnerId, delivery: &Delivery) -> Tried {
    let begun = Instant::now();
    let mut receipts = Vec::new();
    let batch = std::slice::from_ref(delivery);
    let sent = async {
        match push {
            Push::Sender(sender) => sender.send(batch, &mut receipts).await,
            Push::Sink(sink) => {
                let turn = TurnId(SystemRandom.next());
                let mut draft = OpenTurn::open(state, owner, turn).await.map_err(Failure::internal)?;
                sink.deliver(batch, &mut receipts, &mut draft).await
            }
        }
    };
    let sent = match timeout(PATIENCE, AssertUnwindSafe(sent).catch_unwind()).await {
        Ok(Ok(sent)) => sent,
        Ok(Err(_)) => Err(Failure::text(Class::Internal, "the sink panicked")),
        Err(_) => Err(Failure::text(Class::Timeout, format!("no answer within {} s", PATIENCE.as_secs()))),
    };
    let unknown = || Err(Failure::text(Class::Internal, "the sink did not say what became of the event"));
    let receipt = match (receipts.pop(), sent) {
        (Some(receipt), _) => Ok(receipt),
        (None, Err(failure)) => Err(failure),
        (None, Ok(())) => unknown(),
    };
    Tried { receipt, took: begun.elapsed() }
}

fn tell(sink: &SinkConfig, delivery: &Delivery, tried: &Tried, as_json: bool) -> Result<u8, Failed> {
    let event = &delivery.event;
    let (outcome, reason) = match &tried.receipt {
        Ok(Receipt::Done) => ("done", None),
        Ok(Receipt::Again { reason, .. }) => ("failed, would be tried again", Some(reason.clone())),
        Ok(Receipt::Never { reason }) => ("refused, would be a dead letter", Some(reason.clone())),
        Err(failure) => ("the receiver takes nothing for now", Some(failure.to_string())),
    };
    let action = tried.receipt.as_ref().err().and_then(|failure| failure.action.clone());
    let is_done = matches!(tried.receipt, Ok(Receipt::Done));
    let millis = u64::try_from(tried.took.as_millis()).unwrap_or(u64::MAX);
    if as_json {
        output::pretty(&json!({
            "sink": sink.name, "type": sink.kind, "event": event.seq.0, "event_id": event.event_id,
            "event_type": event.event_type, "message_id": delivery.message_id(), "done": is_done,
            "outcome": outcome, "reason": reason, "action": action, "milliseconds": millis,
        }))?;
    } else {
        let which = if event.seq.0 > 0 { format!("event {}", event.seq.0) } else { "an event".to_owned() };
        let (kind, id, time) = (&event.event_type, &event.event_id, wire_time(event.created_at));
        output::line(&format!("sent to {} ({}): {which} {kind}, {id}, of {time}", sink.name, sink.kind))?;
        output::line(&format!("{outcome}, after {millis} ms"))?;
        output::remark("nothing was stored about it");
    }
    if is_done {
        return Ok(exit::OK);
    }
    let action = action.map_or_else(String::new, |action| format!("; {action}"));
    let reason = format!("{}{action}", reason.unwrap_or_default());
    Err(Failed::plain(if as_json { String::new() } else { printable(&reason).into_owned() }))
}
