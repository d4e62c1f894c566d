//! Replays, for people: which there are, what one would be, its start and its end.

use axum::http::StatusCode;
use inboxclaw_contract::store::OwnerInfo;
use inboxclaw_contract::turn::TurnId;
use inboxclaw_contract::{Owner, OwnerKind};
use inboxclaw_runtime::pull;
use inboxclaw_runtime::replay::{self, Replay, ReplayError, ReplayRequest};
use inboxclaw_settings::{Interval, Patterns, moment};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::context::States;
use super::deliveries::{SinkCall, as_store};
use super::problem::Problem;
use super::request::{order, wrong};
use crate::reply::{self, Reply};
use crate::sse;

/// What to send once more.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartReplay {
    /// To which sink.
    pub sink: String,
    /// Events stored from then on: a time (RFC 3339), a date, or so long ago (`1h`).
    pub since: String,
    /// Events stored before that: as `since`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Only this type, or those that match: `user.*`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// Only say what it would be.
    #[serde(default)]
    pub dry_run: bool,
}

/// A replay of a sink.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReplayJob {
    /// The sink.
    pub sink: String,
    /// Its number: counts the replays of the sink, from 1. 0 for one that was not started.
    pub replay: u64,
    /// Everything up to this place in the log was sent, or waits for another attempt.
    pub position: i64,
    /// The last place that belongs to it.
    pub until: i64,
    /// How many events it had when it was asked for.
    pub events: u64,
    /// How many of them the sink has taken.
    pub sent: u64,
    /// Whether it is at its end, or somebody ended it.
    pub ended: bool,
}

impl ReplayJob {
    fn of(sink: &str, job: &Replay) -> Self {
        Self {
            sink: sink.to_owned(),
            replay: job.id,
            position: job.position.0,
            until: job.until.0,
            events: job.events,
            sent: job.sent,
            ended: job.ended,
        }
    }
}

pub(super) async fn list(SinkCall { states, ask, .. }: SinkCall) -> Result<Reply, Problem> {
    let wanted = ask.text("sink");
    let mut infos = states.infos().await?;
    infos.retain(|info| info.kind == OwnerKind::Sink && wanted.is_none_or(|name| info.name == name));
    if let Some(name) = wanted.filter(|_| infos.is_empty()) {
        return Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no sink {name:?}")));
    }
    infos.sort_by(|a, b| a.name.cmp(&b.name));
    let mut jobs = Vec::new();
    for info in infos.iter().filter(|info| is_pushed(info)) {
        jobs.extend(
            replay::find(as_store(&states), info.id).await?.map(|job| ReplayJob::of(&info.name, &job)),
        );
    }
    Ok(reply::json(StatusCode::OK, &jobs))
}

pub(super) async fn start(SinkCall { states, ask, author, .. }: SinkCall) -> Result<Reply, Problem> {
    let wanted: StartReplay = ask.into_body(order(&states)).await?;
    let whose = states.find(OwnerKind::Sink, wanted.sink.clone(), true).await?;
    let configured = states.configured(&whose.owner).ok_or_else(|| {
        let detail = format!("the configuration does not name the {}: nothing is sent to it", whose.owner);
        Problem::new(StatusCode::CONFLICT, detail)
    })?;
    if [pull::KIND, sse::KIND].contains(&whose.connector.as_str()) {
        return Err(wrong(format!(
            "the {} is of type {}: its consumers ask for events, nothing is sent to it",
            whose.owner, whose.connector
        )));
    }
    let now = states.store.clock().await?.now;
    let request = ReplayRequest {
        patterns: configured.takes.clone(),
        selector: wanted.event_type.as_deref().and_then(Patterns::selector),
        since: time("since", &wanted.since, now)?,
        until: wanted.until.as_deref().map(|until| time("until", until, now)).transpose()?,
    };
    let store = as_store(&states);
    if wanted.dry_run {
        let planned = request.plan(store, whose.id).await?;
        return Ok(reply::json(StatusCode::OK, &ReplayJob::of(&wanted.sink, &planned)));
    }
    let started = request.start(store, whose.id, TurnId(states.random.next()), &author).await?;
    states.wake(&whose.owner);
    Ok(reply::json(StatusCode::CREATED, &ReplayJob::of(&wanted.sink, &started)))
}

pub(super) async fn end(call: SinkCall) -> Result<Reply, Problem> {
    let info = call.sink().await?;
    let states: &States = &call.states;
    let turn_id = TurnId(states.random.next());
    let ended = replay::end(as_store(states), info.id, turn_id, &call.author).await?;
    states.wake(&Owner::sink(&*info.name));
    let none = || Problem::new(StatusCode::NOT_FOUND, format!("no replay of the sink {:?} runs", info.name));
    Ok(reply::json(StatusCode::OK, &ReplayJob::of(&info.name, &ended.ok_or_else(none)?)))
}

/// Whether events are sent to a sink, rather than that its consumers ask for them.
fn is_pushed(info: &OwnerInfo) -> bool {
    ![pull::KIND, sse::KIND].contains(&info.connector.as_str())
}

/// The instant that a text means.
fn time(name: &str, text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    let ago = || {
        let ago = text.parse::<Interval>().ok()?;
        now.checked_sub(SignedDuration::try_from(ago.as_duration()).ok()?).ok()
    };
    moment::parse(text).or_else(ago).ok_or_else(|| {
        wrong(format!("{name} must be a time (RFC 3339), a date or a length of time (1h), not {text:?}"))
    })
}

impl From<ReplayError> for Problem {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Store(error) => error.into(),
            other => Self::new(StatusCode::CONFLICT, other.to_string()),
        }
    }
}
