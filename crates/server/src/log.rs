//! Read-only routes for people and tools: events of the log, and the owners that the store knows.
//!
//! Left out: anything that changes something.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRef, Path, State};
use axum::http::{Method, StatusCode};
use inboxclaw_contract::envelope::wire_time;
use inboxclaw_contract::store::Find;
use inboxclaw_contract::{Event, Json, OwnerKind, Seq, Store};
use inboxclaw_runtime::{AT_ONCE, Bodies};
use jiff::Timestamp;
use schemars::{JsonSchema, Schema, json_schema};
use serde::{Serialize, Serializer};

use crate::document::{self, Document};
use crate::openapi::{Operation, text, up_to};
use crate::params::{Logged, Params};
use crate::reply::{self, Refusal, Reply};
use crate::route::{Route, route};

/// Most ids that one request may name; further ones are not looked up.
const IDS: usize = 1_000;

/// What the routes read.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) store: Arc<dyn Store>,
    /// Most bytes of data and meta in a page; one event is given even when it is larger.
    pub(crate) page_bytes: usize,
}

/// The routes.
pub(crate) fn routes<S>() -> Vec<Route<S>>
where
    S: Clone + Send + Sync + 'static,
    Log: FromRef<S>,
    Arc<Logged>: FromRef<S>,
{
    vec![
        route(
            Method::GET,
            "/api/events/{id}",
            event,
            operation("getEvent", "Gives one event.")
                .gives::<LoggedEvent<'_>>(200, "The event.")
                .refuses(404, "There is none of that number, or no more."),
        ),
        route(Method::GET, "/api/events", events, list_operation()),
        route(
            Method::GET,
            "/api/events/recent",
            recent,
            operation("listRecentEvents", "Lists the last events, newest first.")
                .query("limit", up_to(200, 20), "Most events.")
                .gives::<EventPage<'_>>(200, "The events."),
        ),
        route(
            Method::GET,
            "/api/sources",
            sources,
            Operation::new("events", "listSources", "Lists the sources that the store knows.").gives::<Vec<
                NamedOwner<'_>,
            >>(
                200,
                "Their numbers, names and types.",
            ),
        ),
        route(
            Method::GET,
            "/api/sinks",
            sinks,
            Operation::new("events", "listSinks", "Lists the sinks that the store knows.")
                .gives::<Vec<NamedOwner<'_>>>(200, "Their numbers, names and types."),
        ),
    ]
}

fn list_operation() -> Operation {
    operation("listEvents", "Lists events, newest first.")
        .query("limit", up_to(500, 50), "Most events; a page also ends at 64 MiB.")
        .query("offset", offset(), "How many to skip.")
        .query("event_type", text(), "Only this type.")
        .query("source_name", text(), "Only of this source.")
        .query("ids", text(), "Only these numbers, with commas between.")
        .query(
            "after",
            json_schema!({ "type": "integer", "minimum": 0 }),
            "Only later ones; the answer says `truncated` when some of them are gone.",
        )
        .gives::<EventPage<'_>>(200, "A page of events.")
}

fn operation(id: &'static str, summary: &'static str) -> Operation {
    Operation::new("events", id, summary).refuses(422, "A parameter cannot work.")
}

fn offset() -> Schema {
    json_schema!({ "type": "integer", "minimum": 0, "default": 0 })
}

async fn event(
    State(log): State<Log>,
    id: Result<Path<String>, PathRejection>,
    mut params: Params,
) -> Result<Reply, Refusal> {
    let Ok(Path(id)) = id else { return Err(reply::not_found().into()) };
    let seq = params.read_integer(["path", "id"], &id, i64::MIN..=i64::MAX);
    params.done()?;
    let event = log.store.event(Seq(seq.unwrap_or(0))).await?;
    match event {
        Some(event) => Ok(reply::json(StatusCode::OK, &LoggedEvent::of(&event))),
        None => Err(reply::detail(StatusCode::NOT_FOUND, "Event not found").into()),
    }
}

/// A page that ends after so many bytes.
async fn events(State(log): State<Log>, mut params: Params) -> Result<Reply, Refusal> {
    let (limit, offset) = page(&mut params);
    let mut text = |name| params.text(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let ids = text("ids")
        .map(|ids| ids.split(',').filter_map(|id| id.trim().parse().ok().map(Seq)).take(IDS).collect());
    let (event_type, source) = (text("event_type"), text("source_name"));
    let after = params.integer("after", 0..=i64::MAX).map(Seq);
    let find =
        Find { seqs: ids, event_type, patterns: None, source, after, limit, offset, bytes: usize::MAX };
    let ignored = params.done()?;
    Ok(ignored.told(log.found(find).await?))
}

/// The last events, as far as so many bytes.
async fn recent(State(log): State<Log>, mut params: Params) -> Result<Reply, Refusal> {
    let limit = params.integer("limit", 1..=200).unwrap_or(20);
    let ignored = params.done()?;
    let limit = usize::try_from(limit).unwrap_or(0);
    Ok(ignored.told(log.found(Find { limit, ..Find::default() }).await?))
}

async fn sources(State(log): State<Log>) -> Result<Reply, Refusal> {
    log.owners(OwnerKind::Source).await
}

async fn sinks(State(log): State<Log>) -> Result<Reply, Refusal> {
    log.owners(OwnerKind::Sink).await
}

/// Limit and offset of a page.
fn page(params: &mut Params) -> (usize, usize) {
    let limit = params.integer("limit", 1..=500).unwrap_or(50);
    let offset = params.integer("offset", 0..=i64::MAX).unwrap_or(0);
    (usize::try_from(limit).unwrap_or(0), usize::try_from(offset).unwrap_or(usize::MAX))
}

impl Log {
    /// The owners of that kind, also those no longer configured.
    async fn owners(&self, kind: OwnerKind) -> Result<Reply, Refusal> {
        let owners = self.store.owners().await?;
        let mut rows: Vec<NamedOwner<'_>> = owners
            .iter()
            .filter(|owner| owner.kind == kind)
            .map(|owner| NamedOwner { id: owner.id.0, name: &owner.name, kind: &owner.connector })
            .collect();
        rows.sort_by_key(|row| row.name);
        Ok(reply::json(StatusCode::OK, &rows))
    }

    /// The page as an [`EventPage`], whose events are read as they are sent.
    async fn found(&self, find: Find) -> Result<Reply, Refusal> {
        let most = self.page_bytes;
        let found = self.store.find(&Find { bytes: most.min(AT_ONCE), ..find }).await?;
        let truncated = found.truncation.map(|it| format!(r#","truncated":{{"oldest":{}}}"#, it.up_to.0 + 1));
        let truncated = truncated.unwrap_or_default();
        let document = Document {
            head: r#"{"events":["#.to_owned(),
            write: logged,
            tail: format!(r#"],"total":{}{truncated}}}"#, found.total),
            most,
        };
        let seqs: Vec<Seq> = found.events.iter().map(|event| event.seq).chain(found.rest).collect();
        let bodies = Bodies::new(seqs, found.events);
        Ok(reply::ok(document::body(document, bodies, self.store.clone(), None).await?))
    }
}

fn logged(event: &Event, text: &mut String) {
    match serde_json::to_string(&LoggedEvent::of(event)) {
        Ok(json) => text.push_str(&json),
        Err(error) => {
            tracing::error!(%error, seq = event.seq.0, "an event cannot be written");
            text.push_str("null");
        }
    }
}

/// Events, newest first.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it is written piece by piece; this is what the pieces make")]
pub(crate) struct EventPage<'a> {
    /// The events.
    events: Vec<LoggedEvent<'a>>,
    /// How many match, before paging.
    total: u64,
    /// With `after`: what can no longer be read of what came after that place.
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<MissedEvents>,
}

/// Some events after the place asked for are gone, or that place is none of this log.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "as above")]
pub(crate) struct MissedEvents {
    /// From this number on, nothing is missing.
    #[schemars(with = "i64")]
    oldest: Seq,
}

/// An event of the log.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LoggedEvent<'a> {
    /// Its place in the log.
    #[schemars(with = "i64")]
    id: Seq,
    /// Unique in its source.
    event_id: &'a str,
    /// What kind of event it is.
    event_type: &'a str,
    /// What it is about.
    entity_id: Option<&'a str>,
    /// The source's number.
    source_id: i64,
    /// The source's name.
    source_name: &'a str,
    /// When it was stored, in UTC without saying so.
    #[serde(serialize_with = "time")]
    #[schemars(with = "String")]
    created_at: Option<Timestamp>,
    /// When it happened, if that is known.
    #[serde(serialize_with = "time")]
    #[schemars(with = "Option<String>")]
    occurred_at: Option<Timestamp>,
    /// What the source says of it.
    #[schemars(with = "serde_json::Value")]
    data: &'a Json,
    /// What the program adds to it.
    #[schemars(with = "serde_json::Value")]
    meta: &'a Json,
}

impl<'a> LoggedEvent<'a> {
    fn of(event: &'a Event) -> Self {
        Self {
            id: event.seq,
            event_id: &event.event_id,
            event_type: &event.event_type,
            entity_id: event.entity_id.as_deref(),
            source_id: event.source.0,
            source_name: &event.source_name,
            created_at: Some(event.created_at),
            occurred_at: event.occurred_at,
            data: &event.data,
            meta: &event.meta,
        }
    }
}

/// A source or sink that the store knows.
#[derive(Serialize, JsonSchema)]
pub(crate) struct NamedOwner<'a> {
    /// Its number.
    id: i64,
    /// Its name.
    name: &'a str,
    /// Its connector's type.
    #[serde(rename = "type")]
    kind: &'a str,
}

/// As in the envelope: UTC without an offset.
fn time<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(wire_time).serialize(serializer)
}
