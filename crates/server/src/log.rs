//! Read-only routes for people and tools: events of the log, and the owners that the store knows.
//!
//! Left out: anything that changes something.

use axum::http::{StatusCode, Uri};
use inboxclaw_contract::envelope::wire_time;
use inboxclaw_contract::store::Find;
use inboxclaw_contract::{Event, Json, OwnerKind, Seq, Store};
use inboxclaw_runtime::{AT_ONCE, Bodies};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::Server;
use crate::document::{self, Document};
use crate::params::Params;
use crate::reply::{self, Refusal, Reply};

/// Most ids that one request may name; further ones are not looked up.
const IDS: usize = 1_000;

/// `GET /api/events/{id}`.
pub(crate) async fn event(store: &dyn Store, id: &str) -> Result<Reply, Refusal> {
    let mut params = Params::of(&Uri::default());
    let seq = params.read_integer(["path", "id"], id, i64::MIN..=i64::MAX);
    params.done()?;
    let event = store.event(Seq(seq.unwrap_or(0))).await?;
    match event {
        Some(event) => json(&LoggedEvent::of(&event)),
        None => Err(reply::detail(StatusCode::NOT_FOUND, "Event not found").into()),
    }
}

/// `GET /api/events`: a page that ends after so many bytes.
pub(crate) async fn events(server: &Server, uri: &Uri) -> Result<Reply, Refusal> {
    let mut params = Params::of(uri);
    let (limit, offset) = page(&mut params);
    let mut text = |name| params.text(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let ids = text("ids")
        .map(|ids| ids.split(',').filter_map(|id| id.trim().parse().ok().map(Seq)).take(IDS).collect());
    let (event_type, source) = (text("event_type"), text("source_name"));
    let after = params.integer("after", 0..=i64::MAX).map(Seq);
    let find =
        Find { seqs: ids, event_type, patterns: None, source, after, limit, offset, bytes: usize::MAX };
    let ignored = params.done()?;
    Ok(ignored.told(server, uri, found(server, find).await?))
}

/// `GET /api/events/recent`, as far as so many bytes.
pub(crate) async fn recent(server: &Server, uri: &Uri) -> Result<Reply, Refusal> {
    let mut params = Params::of(uri);
    let limit = params.integer("limit", 1..=200).unwrap_or(20);
    let ignored = params.done()?;
    let limit = usize::try_from(limit).unwrap_or(0);
    Ok(ignored.told(server, uri, found(server, Find { limit, ..Find::default() }).await?))
}

/// `GET /api/pending-events`. Nothing is ever pending while events are not coalesced.
pub(crate) fn pending(server: &Server, uri: &Uri) -> Result<Reply, Refusal> {
    let mut params = Params::of(uri);
    page(&mut params);
    let ignored = params.done()?;
    Ok(ignored.told(server, uri, reply::ok(r#"{"events":[],"total":0}"#)))
}

/// `GET /api/sources` and `GET /api/sinks`: also those no longer configured.
pub(crate) async fn owners(store: &dyn Store, kind: OwnerKind) -> Result<Reply, Refusal> {
    let owners = store.owners().await?;
    let mut rows: Vec<NamedOwner<'_>> = owners
        .iter()
        .filter(|owner| owner.kind == kind)
        .map(|owner| NamedOwner { id: owner.id.0, name: &owner.name, kind: &owner.connector })
        .collect();
    rows.sort_by_key(|row| row.name);
    json(&rows)
}

/// Limit and offset of a page.
fn page(params: &mut Params) -> (usize, usize) {
    let limit = params.integer("limit", 1..=500).unwrap_or(50);
    let offset = params.integer("offset", 0..=i64::MAX).unwrap_or(0);
    (usize::try_from(limit).unwrap_or(0), usize::try_from(offset).unwrap_or(usize::MAX))
}

/// The page as an [`EventPage`], whose events are read as they are sent.
async fn found(server: &Server, find: Find) -> Result<Reply, Refusal> {
    let app = &server.app;
    let most = app.bounds.page_bytes;
    let found = app.store.find(&Find { bytes: most.min(AT_ONCE), ..find }).await?;
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
    Ok(reply::ok(document::body(document, bodies, app.store.clone(), None).await?))
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

fn json(value: &impl Serialize) -> Result<Reply, Refusal> {
    serde_json::to_string(value).map(reply::ok).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written");
        reply::internal().into()
    })
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
