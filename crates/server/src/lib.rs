//! Everything over HTTP: the router and its guard, pull and SSE, the log, states, health and metrics.
//!
//! `connections` accepts and ends connections, `room` and `streams` say how many there may be and whose (`clients`).
//! `guard` says who may ask. `route` is what the router and the description of the API are made of, `sinks` the table of
//! what sinks answer; `limits`, `params`, `reply` and `document` read requests and shape answers. What is answered: `log`,
//! `pending`, `pull`, `sse`, `states`, `clock`, `health`, `metrics`. Left out: what a turn or an edit is (`runtime`, `edit`), and
//! which sources and sinks there are (`config`).

mod bounds;
mod clients;
pub mod clock;
mod connections;
mod document;
mod error;
pub mod guard;
pub mod health;
mod limits;
mod listener;
mod log;
mod metrics;
mod openapi;
mod params;
pub mod pending;
pub mod proof;
pub mod pull;
mod reply;
mod room;
mod route;
mod settings;
mod sinks;
pub mod sse;
mod stall;
pub mod states;
mod streams;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
pub use bounds::Bounds;
pub use error::ServeError;
pub use health::Vitals;
use inboxclaw_contract::{Clock, Editable, Random, Store};
use inboxclaw_runtime::pull::{LONGEST_WAIT, PullSink};
pub use listener::{Listener, bind};
pub use settings::ServerSettings;
pub use tokens::{RIGHTS, TokenSettings};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::connections::Server;
use crate::guard::Guard;
use crate::health::{Description, RunToken};
use crate::limits::{Limits, RouteLimits};
use crate::log::Log;
use crate::metrics::Metrics;
use crate::pull::{Paths, Pull};
use crate::room::Room;
use crate::route::Route;
use crate::sinks::SinkTable;
use crate::sse::{SseSink, Subscriptions};
use crate::states::{Configured, States, Waker};
use crate::streams::Streams;

/// What the server serves.
pub struct App {
    /// Where events and positions are.
    pub store: Arc<dyn Store>,
    /// The same store, as people look into it and edit it.
    pub states: Arc<dyn Editable>,
    /// The sources and sinks of the configuration.
    pub configured: Vec<Configured>,
    /// Whom edits wake.
    pub waker: Arc<dyn Waker>,
    /// How to serve.
    pub settings: ServerSettings,
    /// The sinks of kind [`pull::KIND`], in the order of the configuration.
    pub pulls: Vec<(Arc<PullSink>, Paths)>,
    /// The sinks of kind [`sse::KIND`], in the order of the configuration.
    pub streams: Vec<Arc<SseSink>>,
    /// How the rest of the program is doing.
    pub vitals: Arc<dyn Vitals>,
    /// Time, only for what people read; decisions are made by the store's clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness: batch ids must not be guessable.
    pub random: Arc<dyn Random>,
    /// The token of this run, which the command line reads from a file that only its user can read.
    pub run_token: Option<String>,
    /// How much the server takes on.
    pub bounds: Bounds,
}

/// Serves until `shutdown`; then streams end, answers under way get [`Bounds::grace`] and the rest is cut.
///
/// # Errors
/// [`ServeError::Accept`] when the listener breaks for good.
pub async fn serve(listener: Listener, app: App, shutdown: CancellationToken) -> Result<(), ServeError> {
    let inner = tokio::net::TcpListener::from_std(listener.inner).map_err(ServeError::Accept)?;
    let room = Arc::new(Room::new(app.bounds.connections));
    let bounds = app.bounds.clone();
    let server = Server {
        router: router(app, room.clone(), shutdown.clone()),
        room,
        head_timeout: bounds.head_timeout,
        head_bytes: bounds.head_bytes,
        stall_timeout: bounds.stall_timeout,
        grace: bounds.grace,
        shutdown,
    };
    connections::run(inner, Arc::new(server)).await;
    Ok(())
}

/// What answers take from: each handler names the parts that it uses.
#[derive(Clone, FromRef)]
struct Context {
    store: Arc<dyn Store>,
    vitals: Arc<dyn Vitals>,
    run_token: RunToken,
    description: Description,
    log: Log,
    metrics: Metrics,
    ignored: Arc<params::Logged>,
    pull: Pull,
    subscriptions: Subscriptions,
    sinks: Arc<SinkTable>,
}

/// The one router: the guard in front of the fixed routes, the routes of states, and the table of sinks behind them.
fn router(app: App, room: Arc<Room>, shutdown: CancellationToken) -> Router {
    let limits = Limits { body_bytes: app.bounds.body_bytes, answer_timeout: app.bounds.answer_timeout };
    let guard = Arc::new(Guard::new(&app.settings, app.run_token.as_deref()));
    let streams = Arc::new(Streams::new(app.bounds.streams, shutdown.clone()));
    let states =
        States::new(app.states.clone(), app.random.clone(), app.clock.clone(), app.configured.clone())
            .running(app.waker.clone(), &app.bounds, streams.clone());
    let fixed: Vec<Route<Context>> =
        [health::routes(), metrics::routes(), log::routes(), pending::routes(), clock::routes()]
            .into_iter()
            .flatten()
            .collect();
    let of_states = states::routes();
    let sinks = SinkTable::of(&app.pulls, &app.streams);
    let described = fixed.iter().map(Route::described).chain(of_states.iter().map(Route::described));
    let description = openapi::document(described.chain(sinks.described()).collect());
    let context = context(app, room, (streams, shutdown), sinks, &description);
    route::router(fixed, Some(limits))
        .fallback(sinks::answer.layer(from_fn_with_state(RouteLimits::from(limits), limits::keep)))
        .with_state(context)
        .merge(route::router(of_states, Some(limits)).with_state(states))
        .layer(from_fn_with_state(guard, guard::judge))
}

fn context(
    app: App,
    room: Arc<Room>,
    (streams, shutdown): (Arc<Streams>, CancellationToken),
    sinks: SinkTable,
    description: &serde_json::Value,
) -> Context {
    let permits = || Arc::new(Semaphore::new(app.bounds.batches));
    let pulls = app.pulls.iter().map(|(sink, _)| sink.clone()).collect();
    let (store, vitals) = (app.store, app.vitals);
    Context {
        run_token: RunToken(app.run_token.map(Arc::from)),
        description: Description(description.to_string().into()),
        log: Log { store: store.clone(), page_bytes: app.bounds.page_bytes },
        metrics: Metrics {
            store: store.clone(),
            vitals: vitals.clone(),
            room,
            streams: streams.clone(),
            pulls,
        },
        ignored: Arc::default(),
        pull: Pull {
            store: store.clone(),
            random: app.random,
            vitals: vitals.clone(),
            batches: permits(),
            small_batches: permits(),
            longest_wait: LONGEST_WAIT.min(app.bounds.answer_timeout * 5 / 6),
            shutdown,
        },
        subscriptions: Subscriptions {
            store: store.clone(),
            clock: app.clock,
            streams,
            pages: Arc::default(),
        },
        sinks: Arc::new(sinks),
        store,
        vitals,
    }
}
