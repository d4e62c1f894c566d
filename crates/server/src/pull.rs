//! The pull sink over HTTP: its settings, what consumers ask, and what they get.
//!
//! Asking for a lease hides events from others, so it is a POST: no page, link or prefetch makes one. Left out: the turns
//! (the runtime's).

mod settings;

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use inboxclaw_contract::envelope::{Format, Style};
use inboxclaw_contract::{Random, Seq, Store};
/// The word behind `type:`.
pub use inboxclaw_runtime::pull::KIND;
use inboxclaw_runtime::pull::{
    LONGEST_LEASE, LONGEST_WAIT, Parcel, PullError, PullSink, SHORTEST_LEASE, Wanted,
};
use inboxclaw_settings::Patterns;
use schemars::{Schema, SchemaGenerator, json_schema};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

pub use self::settings::{Paths, Settings};
use crate::document::{self, Document};
use crate::health::Vitals;
use crate::openapi::{Operation, integer, text};
use crate::params::Params;
use crate::reply::{self, Refusal, Reply};

/// Up to so many events, a batch does not wait for large ones.
const SMALL_BATCH: usize = 1_000;

/// What the requests of consumers need.
#[derive(Clone)]
pub(crate) struct Pull {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) vitals: Arc<dyn Vitals>,
    /// A permit per batch that is read or being sent.
    pub(crate) batches: Arc<Semaphore>,
    /// The same for small ones, so that they never wait for somebody who takes a large one slowly.
    pub(crate) small_batches: Arc<Semaphore>,
    /// For how long an extract may wait for events: so that its answer begins in time.
    pub(crate) longest_wait: Duration,
    /// Ends every wait.
    pub(crate) shutdown: CancellationToken,
}

impl Pull {
    /// `GET /{name}/extract`.
    pub(crate) async fn extract(&self, sink: &PullSink, mut params: Params) -> Result<Reply, Refusal> {
        if params.text("lease").is_some() {
            let detail = "a lease changes what others get: ask for it with POST";
            return Err(reply::not_this_method("POST", detail).into());
        }
        let (size, selector) = size_and_selector(&mut params);
        let wait = self.wait(&mut params);
        let ignored = params.done()?;
        Ok(ignored.told(self.answer(sink, &Wanted { selector, size, lease: None }, wait).await?))
    }

    /// `POST /{name}/extract`: with a lease.
    pub(crate) async fn lease(&self, sink: &PullSink, mut params: Params) -> Result<Reply, Refusal> {
        let (size, selector) = size_and_selector(&mut params);
        let lease = params.required_interval("lease", SHORTEST_LEASE..=LONGEST_LEASE);
        let wait = self.wait(&mut params);
        let ignored = params.done()?;
        Ok(ignored.told(self.answer(sink, &Wanted { selector, size, lease }, wait).await?))
    }

    /// How long to wait for events while there are none.
    fn wait(&self, params: &mut Params) -> Duration {
        params.interval("wait", Duration::ZERO..=LONGEST_WAIT).unwrap_or_default().min(self.longest_wait)
    }

    /// `POST /{name}/mark-processed`.
    pub(crate) async fn confirm(&self, sink: &PullSink, mut params: Params) -> Result<Reply, Refusal> {
        let batch = params.required_integer("batch_id");
        let ignored = params.done()?;
        let marked = sink.confirm(self.store.as_ref(), self.random.as_ref(), batch.unwrap_or_default()).await;
        let marked = self.reported(sink, marked)?;
        Ok(ignored.told(reply::ok(format!(r#"{{"status":"success","marked_count":{marked}}}"#))))
    }

    /// `POST /{name}/ack`.
    pub(crate) async fn ack(&self, sink: &PullSink, mut params: Params) -> Result<Reply, Refusal> {
        let (batch, seq) = (params.required_integer("batch_id"), params.required_integer("seq"));
        let ignored = params.done()?;
        let part = (batch.unwrap_or_default(), Seq(seq.unwrap_or_default()));
        let marked = sink.acknowledge(self.store.as_ref(), self.random.as_ref(), part).await;
        let marked = self.reported(sink, marked)?;
        Ok(ignored.told(reply::ok(format!(r#"{{"status":"success","marked_count":{marked}}}"#))))
    }

    /// `POST /{name}/extend`.
    pub(crate) async fn extend(&self, sink: &PullSink, mut params: Params) -> Result<Reply, Refusal> {
        let batch = params.required_integer("batch_id");
        let lease = params.required_interval("lease", Duration::ZERO..=LONGEST_LEASE);
        let ignored = params.done()?;
        let lease = (batch.unwrap_or_default(), lease.unwrap_or_default());
        let extended = sink.extend(self.store.as_ref(), self.random.as_ref(), lease).await;
        let extended = self.reported(sink, extended)?;
        Ok(ignored.told(reply::ok(format!(r#"{{"status":"success","extended_count":{extended}}}"#))))
    }

    /// Where both have one path.
    pub(crate) async fn confirm_or_lease(
        &self,
        sink: &PullSink,
        mut params: Params,
    ) -> Result<Reply, Refusal> {
        if params.text("batch_id").is_some() {
            self.confirm(sink, params).await
        } else {
            self.lease(sink, params).await
        }
    }

    /// A batch, as soon as there is one. A client that goes away ends its wait, because nobody asks for the answer then:
    /// nothing is leased to it.
    async fn answer(&self, sink: &PullSink, wanted: &Wanted, wait: Duration) -> Result<Reply, Refusal> {
        let deadline = Instant::now() + wait;
        loop {
            let store = self.store.as_ref();
            let watch = sink.watch(store).await.map_err(PullError::from)?;
            let (parcel, permit) = self.parcel(sink, wanted).await?;
            if parcel.id.is_some() || Instant::now() >= deadline || self.shutdown.is_cancelled() {
                return self.batch(sink.format(), parcel, permit).await;
            }
            let next_due = parcel.next_due;
            drop((parcel, permit));
            tokio::select! {
                () = self.shutdown.cancelled() => {}
                () = sleep_until(deadline) => {}
                news = watch.news(store, wanted, next_due) => news.map_err(PullError::from)?,
            }
        }
    }

    async fn parcel(
        &self,
        sink: &PullSink,
        wanted: &Wanted,
    ) -> Result<(Parcel, OwnedSemaphorePermit), Refusal> {
        let small = wanted.size.is_some_and(|size| size <= SMALL_BATCH);
        let permits = if small { &self.small_batches } else { &self.batches };
        let permit = permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| Refusal::from(reply::busy("the server is stopping")))?;
        let parcel = sink.parcel(self.store.as_ref(), self.random.as_ref(), wanted).await;
        Ok((self.reported(sink, parcel)?, permit))
    }

    async fn batch(
        &self,
        format: Format,
        parcel: Parcel,
        permit: OwnedSemaphorePermit,
    ) -> Result<Reply, Refusal> {
        let Parcel { id, bodies, remaining, truncation, .. } = parcel;
        let id = id.map_or_else(|| "null".to_owned(), |id| id.to_string());
        let truncated = truncation.map(|it| format!(r#","truncated":{{"oldest":{}}}"#, it.up_to.0 + 1));
        let truncated = truncated.unwrap_or_default();
        let document = Document {
            head: format!(r#"{{"batch_id":{id},"events":["#),
            write: match format {
                Format::Inboxclaw => |event, text| Format::Inboxclaw.write(event, Style::Compact, text),
                Format::CloudEvents => |event, text| Format::CloudEvents.write(event, Style::Compact, text),
            },
            tail: format!(r#"],"remaining_events":{remaining}{truncated}}}"#),
            most: usize::MAX,
        };
        Ok(reply::ok(document::body(document, bodies, self.store.clone(), Some(permit)).await?))
    }

    /// Tells health how the sink did. A store that fails has a health of its own.
    fn reported<T>(&self, sink: &PullSink, result: Result<T, PullError>) -> Result<T, PullError> {
        match &result {
            Ok(_) => self.vitals.asked(sink.name(), None),
            Err(error @ PullError::State(_)) => self.vitals.asked(sink.name(), Some(&error.to_string())),
            Err(_) => {}
        }
        result
    }
}

fn size_and_selector(params: &mut Params) -> (Option<usize>, Option<Patterns>) {
    let size = params.integer("batch_size", 1..=i64::MAX);
    let size = size.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
    (size, params.text("event_type").and_then(Patterns::selector))
}

impl From<PullError> for Refusal {
    fn from(error: PullError) -> Self {
        let reply = match error {
            PullError::Store(error) => return error.into(),
            PullError::NotFound(batch) => {
                reply::detail(StatusCode::NOT_FOUND, &format!("Batch {batch} not found"))
            }
            PullError::NoLease(batch) => {
                let detail = format!("Batch {batch} has no lease: it was taken without one");
                reply::detail(StatusCode::CONFLICT, &detail)
            }
            PullError::Busy => reply::busy("too many requests changed the sink at the same time"),
            PullError::State(_) => {
                tracing::error!(%error, "a pull sink cannot go on");
                reply::internal()
            }
        };
        reply.into()
    }
}

pub(crate) fn extract_operation() -> Operation {
    batch_operation("extract", "Takes the next batch of events.")
        .refuses(405, "It asks for a lease: that is a POST.")
        .refuses(422, "A parameter cannot work.")
}

pub(crate) fn lease_operation() -> Operation {
    batch_operation("lease", "Takes the next batch of events and keeps them from others for a while.")
        .required("lease", text(), "For how long: `5m`.")
        .refuses(422, "A parameter cannot work.")
}

pub(crate) fn confirm_operation() -> Operation {
    Operation::new("pull", "markProcessed", "Confirms a batch, so that its events never come again.")
        .required("batch_id", integer(), "Which.")
        .answer(200, "It is confirmed.", &[("application/json", confirmed)])
        .refuses(404, "There is no such batch, or it is too old.")
        .refuses(422, "A parameter cannot work.")
}

pub(crate) fn ack_operation() -> Operation {
    Operation::new("pull", "ack", "Confirms the events of a batch up to one of them.")
        .required("batch_id", integer(), "Which.")
        .required(
            "seq",
            integer(),
            "The `id` of the last event that is confirmed; those of the batch before it are as well.",
        )
        .answer(200, "They are confirmed.", &[("application/json", confirmed)])
        .refuses(404, "There is no such batch, or it is too old.")
        .refuses(422, "A parameter cannot work.")
}

pub(crate) fn extend_operation() -> Operation {
    Operation::new("pull", "extend", "Moves the end of the lease of a batch.")
        .required("batch_id", integer(), "Which.")
        .required("lease", text(), "For how long from now on: `5m`; `0` gives its events back at once.")
        .answer(200, "For how many of its events that holds.", &[("application/json", extended)])
        .refuses(404, "There is no such batch, or it is too old.")
        .refuses(409, "It was taken without a lease.")
        .refuses(422, "A parameter cannot work.")
}

/// What takes a batch, on either way.
fn batch_operation(id: &'static str, summary: &'static str) -> Operation {
    let about = "A batch; empty, with a null batch_id, when there is none.";
    Operation::new("pull", id, summary)
        .query("event_type", text(), "Only events whose type matches: `user.*`, or one exact type.")
        .query("batch_size", integer(), "Most events.")
        .query(
            "wait",
            text(),
            "How long to wait for events while there are none, up to `50s`; by default not at all.",
        )
        .answer(200, about, &[("application/json", batch)])
}

fn extended(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "status": { "const": "success" },
            "extended_count": {
                "type": "integer",
                "description": "How many: those that are neither confirmed nor leased to somebody else by now.",
            },
        },
        "required": ["status", "extended_count"],
    })
}

fn confirmed(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": { "status": { "const": "success" }, "marked_count": { "type": "integer" } },
        "required": ["status", "marked_count"],
    })
}

fn batch(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "batch_id": { "type": ["integer", "null"], "description": "What to confirm." },
            "events": { "type": "array", "items": event_schema() },
            "remaining_events": {
                "type": "integer",
                "description": "How many more there are; above 0 only if the next request gives something.",
            },
            "truncated": {
                "type": "object",
                "description": "Only when events are gone that this sink should have given.",
                "properties": {
                    "oldest": { "type": "integer", "description": "From this number on, nothing is missing." },
                },
                "required": ["oldest"],
            },
        },
        "required": ["batch_id", "events", "remaining_events"],
    })
}

/// An event as it leaves the program; see the contract's `envelope`.
fn event_schema() -> Schema {
    let text_or_null = ["string", "null"];
    json_schema!({
        "type": "object",
        "properties": {
            "id": { "type": "integer", "description": "Its place in the log." },
            "event_id": { "type": "string", "description": "Unique in its source." },
            "event_type": { "type": "string" },
            "entity_id": { "type": text_or_null, "description": "What it is about." },
            "created_at": { "type": "string", "description": "When it was stored, in UTC without saying so." },
            "data": { "description": "What the source says of it." },
            "source": { "type": "object", "required": ["id", "name"] },
            "meta": { "type": "object" },
        },
        "required": ["id", "event_id", "event_type", "entity_id", "created_at", "data", "source", "meta"],
    })
}
