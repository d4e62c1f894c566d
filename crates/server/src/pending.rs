//! Pending events over HTTP: `GET /api/pending-events` shows them, `POST /api/pending-events/flush` and `…/drop` end them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRef, State};
use axum::http::{Method, StatusCode};
use inboxclaw_contract::coalesce::{PendingChoice, PendingEnd, PendingQuery, Strategy};
use inboxclaw_contract::envelope::wire_time;
use inboxclaw_contract::{Coalescing, Json, Pending, Store, StoreError};
use inboxclaw_runtime::AT_ONCE;
use inboxclaw_settings::Patterns;
use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Serialize, Serializer};

use crate::openapi::{Operation, flag, text, up_to};
use crate::params::{Logged, Params};
use crate::reply::{self, Refusal, Reply};
use crate::route::{Route, route};

/// The routes.
pub(crate) fn routes<S>() -> Vec<Route<S>>
where
    S: Clone + Send + Sync + 'static,
    Arc<dyn Store>: FromRef<S>,
    Arc<Logged>: FromRef<S>,
{
    let new = |id, summary| Operation::new("events", id, summary).refuses(422, "A parameter cannot work.");
    let end = |id, summary| {
        new(id, summary)
            .query("source_name", text(), "Only of this source.")
            .query("event_type", text(), "Only those whose type matches: `user.*`, or one exact type.")
            .query("entity_id", text(), "Only of this entity.")
            .query("all", flag(), "All of them; needed where nothing else is said.")
            .gives::<EndedAnswer>(200, "How many there were.")
    };
    let offset = json_schema!({ "type": "integer", "minimum": 0, "default": 0 });
    vec![
        route(
            Method::GET,
            "/api/pending-events",
            list,
            new(
                "listPendingEvents",
                "Lists events that are pending: collected by a rule, and not in the log yet.",
            )
            .query("limit", up_to(500, 50), "Most events; a page also ends at 4 MiB.")
            .query("offset", offset, "How many to skip.")
            .query("source_name", text(), "Only of this source.")
            .query("event_type", text(), "Only those whose type matches: `user.*`, or one exact type.")
            .query("entity_id", text(), "Only of this entity.")
            .gives::<PendingAnswer<'_>>(200, "The events, those first that changed last."),
        ),
        route(
            Method::POST,
            "/api/pending-events/flush",
            flush,
            end(
                "flushPendingEvents",
                "Stores pending events now, without waiting for the end of their windows.",
            ),
        ),
        route(
            Method::POST,
            "/api/pending-events/drop",
            discard,
            end("dropPendingEvents", "Drops pending events. What they consist of does not come again."),
        ),
    ]
}

/// How many pending events ended.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub struct EndedAnswer {
    /// So many.
    pub events: u64,
}

/// A page of pending events.
#[derive(Serialize, JsonSchema)]
struct PendingAnswer<'a> {
    /// The events.
    events: Vec<PendingRow<'a>>,
    /// How many match, before paging.
    total: u64,
}

/// A pending event.
#[derive(Serialize, JsonSchema)]
struct PendingRow<'a> {
    /// Its number while it is pending; another one than it gets in the log.
    id: i64,
    /// The source's number.
    source_id: i64,
    /// What kind of event it is.
    event_type: &'a str,
    /// What it is about.
    entity_id: &'a str,
    /// The data of its events so far, joined.
    #[schemars(with = "serde_json::Value")]
    data: &'a Json,
    /// The meta of its events, merged.
    #[schemars(with = "serde_json::Value")]
    meta: &'a Json,
    /// How many events it holds.
    count: u64,
    /// When the first of them was reported, in UTC without saying so.
    first_seen_at: String,
    /// When the last of them was.
    last_seen_at: String,
    /// When it is stored.
    flush_at: String,
    /// How that time is found.
    strategy: Strategy,
    /// How long the window is.
    window_seconds: Seconds,
}

/// A length of time in seconds: a whole number where it is one.
#[derive(Debug, Clone, Copy)]
pub struct Seconds(pub Duration);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.subsec_nanos() {
            0 => serializer.serialize_u64(self.0.as_secs()),
            _ => serializer.serialize_f64(self.0.as_secs_f64()),
        }
    }
}

impl JsonSchema for Seconds {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Seconds".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        json_schema!({ "description": "A length of time in seconds.", "type": "number", "minimum": 0 })
    }
}

/// Ends all chosen pending events, in steps that hold up nobody.
///
/// # Errors
/// Those of the store. What ended before one stays ended.
pub async fn end(
    store: &dyn Coalescing,
    choice: &PendingChoice,
    end: PendingEnd,
) -> Result<EndedAnswer, StoreError> {
    let (mut events, mut next) = (0, Some(0));
    while let Some(after) = next {
        let step = store.end_pending(choice, end, after).await?;
        (events, next) = (events + step.events, step.next);
    }
    Ok(EndedAnswer { events })
}

async fn list(State(store): State<Arc<dyn Store>>, mut params: Params) -> Result<Reply, Refusal> {
    let limit = params.integer("limit", 1..=500).unwrap_or(50);
    let offset = params.integer("offset", 0..=i64::MAX).unwrap_or(0);
    let choice = choice(&mut params);
    let ignored = params.done()?;
    let (limit, offset) =
        (usize::try_from(limit).unwrap_or(0), usize::try_from(offset).unwrap_or(usize::MAX));
    let page = store.pending(&PendingQuery { choice, limit, offset, bytes: AT_ONCE }).await?;
    let events = page.events.iter().map(PendingRow::of).collect();
    Ok(ignored.told(reply::json(StatusCode::OK, &PendingAnswer { events, total: page.total })))
}

async fn flush(State(store): State<Arc<dyn Store>>, params: Params) -> Result<Reply, Refusal> {
    end_chosen(store, params, PendingEnd::Flush).await
}

async fn discard(State(store): State<Arc<dyn Store>>, params: Params) -> Result<Reply, Refusal> {
    end_chosen(store, params, PendingEnd::Drop).await
}

async fn end_chosen(store: Arc<dyn Store>, mut params: Params, how: PendingEnd) -> Result<Reply, Refusal> {
    let choice = choice(&mut params);
    let all = params.text("all").is_some_and(|all| all == "1");
    let ignored = params.done()?;
    if choice == PendingChoice::default() && !all {
        let detail = "say which pending events: source_name, event_type, entity_id, or all=1";
        return Err(reply::detail(StatusCode::UNPROCESSABLE_ENTITY, detail).into());
    }
    let ended = end(store.as_ref(), &choice, how).await?;
    Ok(ignored.told(reply::json(StatusCode::OK, &ended)))
}

fn choice(params: &mut Params) -> PendingChoice {
    let mut text = |name| params.text(name).map(str::to_owned);
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    PendingChoice {
        source: filled(text("source_name")),
        patterns: text("event_type").as_deref().and_then(Patterns::selector),
        // An empty one is an entity as well.
        entity: text("entity_id"),
    }
}

impl<'a> PendingRow<'a> {
    fn of(pending: &'a Pending) -> Self {
        Self {
            id: pending.id,
            source_id: pending.source.0,
            event_type: &pending.event_type,
            entity_id: &pending.entity_id,
            data: &pending.data,
            meta: &pending.meta,
            count: pending.count,
            first_seen_at: wire_time(pending.first_seen_at),
            last_seen_at: wire_time(pending.last_seen_at),
            flush_at: wire_time(pending.flush_at),
            strategy: pending.strategy,
            window_seconds: Seconds(pending.window),
        }
    }
}
