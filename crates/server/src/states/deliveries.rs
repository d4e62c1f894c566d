//! What sinks owe out of order, for people: looking at it, another attempt, and the end of it.

use axum::body::Body;
use std::collections::BTreeMap;

use axum::extract::{FromRequest, FromRequestParts, Path};
use axum::http::{Request, StatusCode};
use inboxclaw_contract::envelope::wire_time;
use inboxclaw_contract::store::{DeliveryQuery, DeliveryRow, OwnerInfo};
use inboxclaw_contract::turn::DeliveryState;
use inboxclaw_contract::{DeliveryOrigin, Event, Json, Owner, OwnerKind, Seq, Store};
use inboxclaw_runtime::{DeliveryAction, DeliveryFilter};
use inboxclaw_settings::Patterns;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::context::States;
use super::problem::Problem;
use super::request::{StateRequest, decoded, wrong};
use super::types::Time;
use crate::clients::Author;
use crate::reply::{self, Reply};

/// How many deliveries are listed unless the request says it.
const LIMIT: usize = 100;

/// A request about deliveries or replays.
pub(super) struct SinkCall {
    pub(super) states: States,
    pub(super) ask: StateRequest,
    /// The sink and what else the path names.
    pub(super) path: Vec<String>,
    /// Who asks, for history.
    pub(super) author: String,
}

impl FromRequest<States> for SinkCall {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, states: &States) -> Result<Self, Problem> {
        let (mut head, body) = request.into_parts();
        decoded(head.uri.path()).map_err(|reason| Problem::new(StatusCode::BAD_REQUEST, reason))?;
        let path = Path::<Vec<(String, String)>>::from_request_parts(&mut head, states).await;
        let path = path.map(|Path(path)| path.into_iter().map(|(_, value)| value).collect());
        let Author(author) = head.extensions.get().cloned().unwrap_or_else(|| Author(String::new()));
        let ask = StateRequest::of(Request::from_parts(head, body), String::new())?;
        Ok(Self { states: states.clone(), ask, path: path.unwrap_or_default(), author })
    }
}

/// An event that a sink owes out of order.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct OwedDelivery {
    /// The sink.
    pub sink: String,
    /// The event's place in the log.
    pub id: i64,
    /// Its type.
    pub event_type: String,
    /// What it is about.
    pub entity_id: Option<String>,
    /// The source that reported it.
    pub source: String,
    /// When it was stored.
    pub created_at: Time,
    /// `waiting`: it is tried again when due, or a consumer holds a lease on it until then. `dead`: a dead letter.
    pub state: DeliveryWord,
    /// When it is tried next, or when the lease ends; of a dead letter when it became one.
    pub due: Time,
    /// How often it was tried, or leased.
    pub attempts: u32,
    /// Why the last attempt failed: words of the receiver.
    pub error: Option<String>,
    /// When its first attempt had ended.
    pub tried_at: Option<Time>,
    /// How it comes that it is delivered.
    pub origin: OriginWord,
    /// The number of its replay.
    pub replay: Option<u64>,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryWord {
    /// To be handed out when due.
    Waiting,
    /// A dead letter.
    Dead,
}

/// How it comes that an event is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OriginWord {
    /// It was its turn in the log.
    Log,
    /// A person asked for another attempt of a dead letter.
    Retry,
    /// It belongs to a replay.
    Replay,
}

/// A delivery with its event.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DeliveryWithEvent {
    /// What is owed.
    #[serde(flatten)]
    delivery: OwedDelivery,
    /// The event.
    event: OwedEvent,
}

/// The event that is owed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct OwedEvent {
    /// Its place in the log.
    id: i64,
    /// Unique in its source.
    event_id: String,
    /// What kind of event it is.
    event_type: String,
    /// What it is about.
    entity_id: Option<String>,
    /// When it was stored, in UTC without saying so, as in the envelope.
    created_at: String,
    /// What the source says of it.
    #[schemars(with = "serde_json::Value")]
    data: Json,
    /// What the program adds to it.
    #[schemars(with = "serde_json::Value")]
    meta: Json,
}

/// How many deliveries were changed.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct ChangedDeliveries {
    /// How many.
    pub count: u64,
    /// The same by sink; those with none are left out.
    pub sinks: BTreeMap<String, u64>,
}

impl ChangedDeliveries {
    /// Adds what was changed besides.
    pub fn add(&mut self, other: Self) {
        self.count += other.count;
        for (sink, count) in other.sinks {
            *self.sinks.entry(sink).or_default() += count;
        }
    }
}

pub(super) async fn list(SinkCall { states, ask, .. }: SinkCall) -> Result<Reply, Problem> {
    let infos = states.infos().await?;
    let filter = filter(&states, &ask).await?;
    let limit = ask.limit(LIMIT)?;
    let (first, after) = position(&ask)?;
    let mut rows = Vec::new();
    for info in sinks(&infos, &ask)? {
        let after = match &first {
            Some(first) if info.name < *first => continue,
            Some(first) if info.name > *first => Seq(0),
            _ => after,
        };
        let found = filter.list(as_store(&states), info.id, after, limit - rows.len()).await?;
        rows.extend(found.iter().map(|row| OwedDelivery::of(&info.name, row, &infos)));
        if rows.len() >= limit {
            break;
        }
    }
    Ok(reply::json(StatusCode::OK, &rows))
}

pub(super) async fn show(call: SinkCall) -> Result<Reply, Problem> {
    let (info, seq) = call.one().await?;
    let row = call.row(&info, seq).await?;
    let event = call.states.store.event(seq).await?.ok_or_else(|| not_owed(&info.name, seq))?;
    let infos = call.states.infos().await?;
    let delivery = OwedDelivery::of(&info.name, &row, &infos);
    Ok(reply::json(StatusCode::OK, &DeliveryWithEvent { delivery, event: event.into() }))
}

pub(super) async fn retry(call: SinkCall) -> Result<Reply, Problem> {
    call.one_of(DeliveryAction::Retry).await
}

pub(super) async fn drop(call: SinkCall) -> Result<Reply, Problem> {
    call.one_of(DeliveryAction::Drop).await
}

pub(super) async fn retry_all(call: SinkCall) -> Result<Reply, Problem> {
    call.all_of(DeliveryAction::Retry).await
}

pub(super) async fn drop_all(call: SinkCall) -> Result<Reply, Problem> {
    call.all_of(DeliveryAction::Drop).await
}

impl SinkCall {
    /// The sink that the path names.
    pub(super) async fn sink(&self) -> Result<OwnerInfo, Problem> {
        let name = self.path.first().map_or("", String::as_str);
        let infos = self.states.infos().await?;
        infos.into_iter().find(|info| is_sink(info, name)).ok_or_else(|| no_sink(name))
    }

    /// The sink and the delivery that the path names.
    async fn one(&self) -> Result<(OwnerInfo, Seq), Problem> {
        let info = self.sink().await?;
        let id = self.path.get(1).map_or("", String::as_str);
        let seq = id.parse().map(Seq).map_err(|_| wrong(format!("id must be a number, not {id:?}")))?;
        Ok((info, seq))
    }

    async fn row(&self, info: &OwnerInfo, seq: Seq) -> Result<DeliveryRow, Problem> {
        let after = Seq(seq.0.saturating_sub(1));
        let query = DeliveryQuery { after, ..DeliveryQuery::all(1) };
        let found = self.states.store.deliveries(info.id, query).await?.deliveries;
        found.into_iter().find(|row| row.seq == seq).ok_or_else(|| not_owed(&info.name, seq))
    }

    async fn one_of(self, action: DeliveryAction) -> Result<Reply, Problem> {
        let (info, seq) = self.one().await?;
        self.row(&info, seq).await?;
        let states = &self.states;
        action.some(as_store(states), states.random.as_ref(), info.id, &[seq]).await?;
        states.wake(&Owner::sink(&*info.name));
        let sinks = [(info.name, 1)].into();
        Ok(reply::json(StatusCode::OK, &ChangedDeliveries { count: 1, sinks }))
    }

    async fn all_of(self, action: DeliveryAction) -> Result<Reply, Problem> {
        let Self { states, ask, .. } = self;
        let narrows = ["sink", "state", "event_type", "older_than", "younger_than"];
        if !ask.flag("all")? && narrows.iter().all(|name| ask.text(name).is_none()) {
            return Err(wrong(format!("give one of {}, or all=1", narrows.join(", "))));
        }
        let mut filter = filter(&states, &ask).await?;
        // Without a word, what waits is left alone: it needs nobody.
        filter.state.get_or_insert(DeliveryState::Dead);
        let infos = states.infos().await?;
        let mut changed = ChangedDeliveries::default();
        for info in sinks(&infos, &ask)? {
            let done = action.all(as_store(&states), states.random.as_ref(), info.id, &filter).await;
            states.wake(&Owner::sink(&*info.name));
            let done = done?;
            changed.count += done;
            if done > 0 {
                changed.sinks.insert(info.name.clone(), done);
            }
        }
        Ok(reply::json(StatusCode::OK, &changed))
    }
}

/// The sinks that a request is about, by name.
fn sinks<'a>(infos: &'a [OwnerInfo], ask: &StateRequest) -> Result<Vec<&'a OwnerInfo>, Problem> {
    let name = ask.text("sink");
    let mut sinks: Vec<&OwnerInfo> = match name {
        Some(name) => infos.iter().filter(|info| is_sink(info, name)).collect(),
        None => infos.iter().filter(|info| info.kind == OwnerKind::Sink).collect(),
    };
    if let Some(name) = name.filter(|_| sinks.is_empty()) {
        return Err(no_sink(name));
    }
    sinks.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(sinks)
}

/// Where a list goes on: behind `ID` of the one sink, or behind `SINK/ID`.
fn position(ask: &StateRequest) -> Result<(Option<String>, Seq), Problem> {
    let Some(text) = ask.text("after") else { return Ok((None, Seq(0))) };
    let (sink, id) = match text.rsplit_once('/') {
        Some((sink, id)) => (Some(sink.to_owned()), id),
        None if ask.text("sink").is_some() => (None, text),
        None => (Some(String::new()), ""),
    };
    let seq = id.parse().map(Seq);
    let wanted = || wrong(format!("after must be SINK/ID, or with `sink` an id, not {text:?}"));
    Ok((sink, seq.map_err(|_| wanted())?))
}

async fn filter(states: &States, ask: &StateRequest) -> Result<DeliveryFilter, Problem> {
    let words = [("waiting", DeliveryState::Waiting), ("dead", DeliveryState::Dead)];
    let (older, younger) = (ask.interval("older_than")?, ask.interval("younger_than")?);
    let now = states.store.clock().await?.now;
    let ago = |age| {
        let at = SignedDuration::try_from(age).ok().and_then(|age| now.checked_sub(age).ok());
        at.unwrap_or(Timestamp::MIN)
    };
    Ok(DeliveryFilter {
        state: ask.word("state", words)?,
        types: ask.text("event_type").and_then(Patterns::selector),
        before: older.map(ago),
        after: younger.map(ago),
    })
}

/// The store, as those who only work with it see it.
pub(super) fn as_store(states: &States) -> &dyn Store {
    states.store.as_ref()
}

fn is_sink(info: &OwnerInfo, name: &str) -> bool {
    info.kind == OwnerKind::Sink && info.name == name
}

fn no_sink(name: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is no sink {name:?}"))
}

fn not_owed(sink: &str, seq: Seq) -> Problem {
    let seq = seq.0;
    Problem::new(StatusCode::NOT_FOUND, format!("the sink {sink:?} has no delivery of the event {seq}"))
}

impl OwedDelivery {
    fn of(sink: &str, row: &DeliveryRow, infos: &[OwnerInfo]) -> Self {
        let source = infos.iter().find(|info| info.id == row.source);
        let (origin, replay) = match row.origin {
            DeliveryOrigin::Log => (OriginWord::Log, None),
            DeliveryOrigin::Retry => (OriginWord::Retry, None),
            DeliveryOrigin::Replay(replay) => (OriginWord::Replay, Some(replay)),
        };
        Self {
            sink: sink.to_owned(),
            id: row.seq.0,
            event_type: row.event_type.clone(),
            entity_id: row.entity_id.clone(),
            source: source.map(|info| info.name.clone()).unwrap_or_default(),
            created_at: Time(row.created_at),
            state: match row.state {
                DeliveryState::Waiting => DeliveryWord::Waiting,
                DeliveryState::Dead => DeliveryWord::Dead,
            },
            due: Time(row.due),
            attempts: row.attempts,
            error: row.error.clone(),
            tried_at: row.tried_at.map(Time),
            origin,
            replay,
        }
    }
}

impl From<Event> for OwedEvent {
    fn from(event: Event) -> Self {
        Self {
            id: event.seq.0,
            event_id: event.event_id,
            event_type: event.event_type,
            entity_id: event.entity_id,
            created_at: wire_time(event.created_at),
            data: event.data,
            meta: event.meta,
        }
    }
}
