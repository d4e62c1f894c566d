//! The pull sink over HTTP: its settings, what consumers ask, and what they get.
//!
//! Asking for a lease hides events from others, so it is a POST: no page, link or prefetch makes one. Left out: the turns
//! (the runtime's).

mod settings;

use axum::http::{StatusCode, Uri};
use inboxclaw_contract::envelope::{Style, write_envelope};
use inboxclaw_contract::{Event, Patterns};
/// The word behind `type:`.
pub use inboxclaw_runtime::pull::KIND;
use inboxclaw_runtime::pull::{LONGEST_LEASE, Parcel, PullError, PullSink, SHORTEST_LEASE, Wanted};

pub use self::settings::{Paths, Settings};
use crate::Server;
use crate::document::{self, Document};
use crate::params::Params;
use crate::reply::{self, Refusal, Reply};

/// Up to so many events, a batch does not wait for large ones.
const SMALL_BATCH: usize = 1_000;

/// `GET /{name}/extract`.
pub(crate) async fn extract(sink: &PullSink, server: &Server, uri: &Uri) -> Result<Reply, Refusal> {
    let mut params = Params::of(uri);
    if params.text("lease").is_some() {
        let detail = "a lease changes what others get: ask for it with POST";
        return Err(reply::not_this_method("POST", detail).into());
    }
    let (size, selector) = size_and_selector(&mut params);
    let ignored = params.done()?;
    let wanted = Wanted { selector, size, lease: None };
    Ok(ignored.told(server, uri, answer(sink, server, &wanted).await?))
}

/// `POST /{name}/extract`: with a lease.
pub(crate) async fn lease(sink: &PullSink, server: &Server, uri: &Uri) -> Result<Reply, Refusal> {
    let mut params = Params::of(uri);
    let (size, selector) = size_and_selector(&mut params);
    let lease = params.required_interval("lease", SHORTEST_LEASE..=LONGEST_LEASE);
    let ignored = params.done()?;
    let wanted = Wanted { selector, size, lease };
    Ok(ignored.told(server, uri, answer(sink, server, &wanted).await?))
}

/// `POST /{name}/mark-processed`.
pub(crate) async fn confirm(
    (sink, paths): (&PullSink, &Paths),
    server: &Server,
    uri: &Uri,
) -> Result<Reply, Refusal> {
    let mut params = Params::of(uri);
    // Both routes of a sink may have the same path.
    if params.text("batch_id").is_none() && paths.is_one() {
        return lease(sink, server, uri).await;
    }
    let batch = params.required_integer("batch_id");
    let ignored = params.done()?;
    let (store, random) = (server.app.store.as_ref(), server.app.random.as_ref());
    let marked = sink.confirm(store, random, batch.unwrap_or_default()).await;
    let marked = reported(sink, server, marked)?;
    let reply = reply::ok(format!(r#"{{"status":"success","marked_count":{marked}}}"#));
    Ok(ignored.told(server, uri, reply))
}

fn size_and_selector(params: &mut Params) -> (Option<usize>, Option<Patterns>) {
    let size = params.integer("batch_size", 1..=i64::MAX);
    let size = size.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
    (size, params.text("event_type").and_then(Patterns::selector))
}

async fn answer(sink: &PullSink, server: &Server, wanted: &Wanted) -> Result<Reply, Refusal> {
    let small = wanted.size.is_some_and(|size| size <= SMALL_BATCH);
    let permits = if small { &server.small_batches } else { &server.batches };
    let permit = permits.clone().acquire_owned().await;
    let permit = permit.map_err(|_| Refusal::from(reply::busy("the server is stopping")))?;
    let app = &server.app;
    let parcel = sink.parcel(app.store.as_ref(), app.random.as_ref(), wanted).await;
    let Parcel { id, bodies, remaining, truncation } = reported(sink, server, parcel)?;
    let id = id.map_or_else(|| "null".to_owned(), |id| id.to_string());
    let truncated = truncation.map(|it| format!(r#","truncated":{{"oldest":{}}}"#, it.up_to.0 + 1));
    let truncated = truncated.unwrap_or_default();
    let document = Document {
        head: format!(r#"{{"batch_id":{id},"events":["#),
        write: envelope,
        tail: format!(r#"],"remaining_events":{remaining}{truncated}}}"#),
        most: usize::MAX,
    };
    Ok(reply::ok(document::body(document, bodies, app.store.clone(), Some(permit)).await?))
}

/// Tells health how the sink did. A store that fails has a health of its own.
fn reported<T>(sink: &PullSink, server: &Server, result: Result<T, PullError>) -> Result<T, PullError> {
    match &result {
        Ok(_) => server.app.vitals.asked(sink.name(), None),
        Err(error @ PullError::State(_)) => server.app.vitals.asked(sink.name(), Some(&error.to_string())),
        Err(_) => {}
    }
    result
}

fn envelope(event: &Event, text: &mut String) {
    write_envelope(event, Style::Compact, text);
}

impl From<PullError> for Refusal {
    fn from(error: PullError) -> Self {
        let reply = match error {
            PullError::Store(error) => return error.into(),
            PullError::NotFound(batch) => {
                reply::detail(StatusCode::NOT_FOUND, &format!("Batch {batch} not found"))
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
