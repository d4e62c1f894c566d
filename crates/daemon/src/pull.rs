//! The pull sink: consumers extract batches of events and confirm them over HTTP.
//!
//! The sink's cursor holds a position per event type; a batch is an entry that remembers how far it came. Confirming
//! a batch moves the positions. A leased extract moves them at once and writes a delivery for each event, due when the
//! lease ends; every extract is what is due of those, and the log beyond the positions.
//!
//! `take` picks the events of a batch, `turns` writes, `answer` shapes what the consumer gets.

mod answer;
mod settings;
mod take;
mod turns;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{StatusCode, Uri};
use inboxclaw_contract::settings::SettingsError;
use inboxclaw_contract::{Event, OwnerId, Patterns, Random, Selection, State, Store, StoreError, Ttl};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::serve::params::Params;
use crate::serve::reply::{self, Refusal, Reply};
use crate::serve::{App, Server};

pub use settings::{Paths, Settings};

/// The word behind `type:`.
pub const KIND: &str = "http_pull";

/// Most events of one batch, however many were asked for.
pub const BATCH_EVENTS: usize = 100_000;
/// Up to so many events, a batch does not wait for large ones.
const SMALL_BATCH: usize = 1_000;
/// Most bytes of event data and meta in one batch; a single larger event still comes alone.
pub const BATCH_BYTES: usize = 64 << 20;
/// Most events of one sink that are leased or were leased and are not confirmed yet.
pub const LEASED_EVENTS: usize = 10_000;
/// How long a batch can be confirmed.
pub const BATCH_LASTS: Duration = Duration::from_secs(24 * 60 * 60);
/// The shortest lease.
pub const SHORTEST_LEASE: Duration = Duration::from_secs(1);
/// The longest lease: as long as its batch can be confirmed.
pub const LONGEST_LEASE: Duration = BATCH_LASTS;

/// The schema of the settings.
pub fn schema(generator: &mut SchemaGenerator) -> Schema {
    Settings::json_schema(generator)
}

/// Parses the settings, without `type` and `match`.
///
/// # Errors
/// [`SettingsError`] with the path to what is wrong.
pub fn parse(value: serde_json::Value) -> Result<Settings, SettingsError> {
    inboxclaw_contract::settings::parse(value)
}

/// A pull sink, ready to serve.
pub struct PullSink {
    owner: OwnerId,
    name: String,
    patterns: Patterns,
    ttl: Option<Ttl>,
    paths: Paths,
    /// One writing request at a time; another process may still be faster, then the turn conflicts.
    turn: tokio::sync::Mutex<()>,
    counts: Counts,
}

/// What an extract asks for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Narrows the event types.
    pub selector: Option<Patterns>,
    /// Most events; [`BATCH_EVENTS`] bounds it in any case.
    pub size: Option<usize>,
    /// Hides the events from other extracts for that long, from [`SHORTEST_LEASE`] to [`LONGEST_LEASE`].
    pub lease: Option<Duration>,
}

/// A batch, as handed to a consumer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Its number, with which it is confirmed; `None` when there is nothing.
    pub id: Option<i64>,
    /// The events, in the order of seq.
    pub events: Vec<Event>,
    /// How many more there are.
    pub remaining: u64,
}

/// What happened at a sink since the program started.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) batches: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) confirmed: AtomicU64,
    pub(crate) conflicts: AtomicU64,
}

/// Why a request to a pull sink failed. Nothing was stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PullError {
    /// The sink has no such batch, or it is older than [`BATCH_LASTS`].
    #[error("batch {0} not found")]
    NotFound(i64),
    /// Others were faster each time.
    #[error("too many requests changed the sink at the same time")]
    Busy,
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state of the sink has another form than this program writes.
    #[error("the state of the sink cannot be used: {0}")]
    State(String),
}

impl PullSink {
    /// The sink of that name.
    #[must_use]
    pub fn new(owner: OwnerId, name: &str, patterns: Patterns, settings: Settings) -> Self {
        let ttl = settings.ttl();
        let counts = Counts::default();
        Self {
            owner,
            name: name.to_owned(),
            patterns,
            ttl,
            paths: settings.path,
            turn: <_>::default(),
            counts,
        }
    }

    /// Its number in the store.
    #[must_use]
    pub fn owner(&self) -> OwnerId {
        self.owner
    }

    /// Its configured name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the sink owes in the order of the log; what it owes besides stands in the deliveries.
    ///
    /// # Errors
    /// Those of the store, and [`PullError::State`].
    pub async fn selection(&self, state: &dyn State) -> Result<Selection, PullError> {
        let cursor = state.snapshot(self.owner).await?.cursor;
        Ok(self.wanted(turns::positions(cursor.as_deref())?, None))
    }

    /// Takes the next batch.
    ///
    /// # Errors
    /// [`PullError`], and then nothing was taken.
    pub async fn extract(
        &self,
        store: &dyn Store,
        random: &dyn Random,
        wanted: &Wanted,
    ) -> Result<Batch, PullError> {
        let batch = turns::extract(self, store, random, wanted).await?;
        if batch.id.is_some() {
            self.counts.batches.fetch_add(1, Ordering::Relaxed);
            self.counts.events.fetch_add(batch.events.len() as u64, Ordering::Relaxed);
        }
        Ok(batch)
    }

    /// Confirms a batch: its events never come again. Returns how many that were; 0 when the batch was confirmed
    /// before.
    ///
    /// # Errors
    /// [`PullError`], and then nothing is confirmed.
    pub async fn confirm(
        &self,
        store: &dyn Store,
        random: &dyn Random,
        batch: i64,
    ) -> Result<u64, PullError> {
        let marked = turns::confirm(self, store, random, batch).await?;
        self.counts.confirmed.fetch_add(marked, Ordering::Relaxed);
        Ok(marked)
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(crate) fn extract_path(&self) -> String {
        format!("/{}/{}", self.name, self.paths.extract.trim_start_matches('/'))
    }

    pub(crate) fn confirm_path(&self) -> String {
        format!("/{}/{}", self.name, self.paths.mark_processed.trim_start_matches('/'))
    }

    fn wanted(&self, positions: turns::Positions, selector: Option<Patterns>) -> Selection {
        let patterns = self.patterns.clone();
        Selection { patterns, selector, positions, ttl: self.ttl.clone(), ..Selection::default() }
    }
}

/// `GET /{name}/extract`.
pub(crate) async fn extract(sink: &PullSink, server: &Server, uri: &Uri) -> Result<Reply, Refusal> {
    let mut params = Params::of(uri);
    let size = params.integer("batch_size", 1..=i64::MAX);
    let lease = params.interval("lease", SHORTEST_LEASE..=LONGEST_LEASE);
    let selector = params.text("event_type").and_then(Patterns::selector);
    params.done()?;
    let size = size.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
    let wanted = Wanted { selector, size, lease };
    let small = wanted.size.is_some_and(|size| size <= SMALL_BATCH);
    let permits = if small { &server.small_batches } else { &server.batches };
    let permit = permits.clone().acquire_owned().await;
    let permit = permit.map_err(|_| Refusal::from(reply::busy("the server is stopping")))?;
    let app = &server.app;
    let batch = sink.extract(app.store.as_ref(), app.random.as_ref(), &wanted).await?;
    Ok(reply::ok(answer::body(batch, permit)))
}

/// `POST /{name}/mark-processed`.
pub(crate) async fn confirm(sink: &PullSink, app: &App, uri: &Uri) -> Result<Reply, Refusal> {
    let mut params = Params::of(uri);
    let batch = params.required_integer("batch_id");
    params.done()?;
    let batch = batch.unwrap_or_default();
    let marked = sink.confirm(app.store.as_ref(), app.random.as_ref(), batch).await?;
    Ok(reply::ok(format!(r#"{{"status":"success","marked_count":{marked}}}"#)))
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
