//! Everything over HTTP: the router and its guard, pull and SSE, the log, states, health and metrics.
//!
//! `connections` accepts and ends connections, `room` and `streams` say how many there may be and whose (`clients`),
//! `route` is what the router and the description of the API are made of, `sinks` the table of what sinks answer, `guard` who may ask, `params` reads query parameters, `reply` and `document`
//! shape answers. What is answered: `log`, `pull`, `sse`, `states`, `clock`, `metrics`. Left out: what a turn or an edit
//! is (`runtime`, `edit`), and which sources and sinks there are (`config`).

mod clients;
pub mod clock;
mod connections;
mod document;
pub mod guard;
pub mod health;
mod limits;
mod log;
mod metrics;
mod openapi;
mod params;
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

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::FromRef;
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
pub use health::Vitals;
use inboxclaw_contract::{Clock, Editable, Random, Store};
use inboxclaw_runtime::pull::PullSink;
pub use settings::ServerSettings;
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
    /// The sinks of kind [`pull::KIND`](crate::pull::KIND), in the order of the configuration.
    pub pulls: Vec<(Arc<PullSink>, Paths)>,
    /// The sinks of kind [`sse::KIND`](crate::sse::KIND), in the order of the configuration.
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

/// How much the server takes on, and how long it waits. The defaults suit everything but tests.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Most connections at a time. For a further one the longest idle one is closed; while all are busy it waits. A
    /// client that is not on this machine has at most half of them.
    pub connections: usize,
    /// Most open streams of events. For a further one the client that has the most gives one up if that is fair, else
    /// it is refused with 503.
    pub streams: usize,
    /// Most batches of pull sinks in memory, and as many again of those asked for by a small size; more wait.
    pub batches: usize,
    /// Most bytes of data and meta in a page of `/api/events`; one event is given even when it is larger.
    pub page_bytes: usize,
    /// Most bytes of a request's head.
    pub head_bytes: usize,
    /// Most bytes of a request's body, where a route does not say otherwise.
    pub body_bytes: u64,
    /// How long a request's head may take, also on a connection that is kept open.
    pub head_timeout: Duration,
    /// How long an answer may take to begin.
    pub answer_timeout: Duration,
    /// How long a client may take nothing of what is sent to it, or send nothing of a body that is read.
    pub stall_timeout: Duration,
    /// How long answers under way may still take at shutdown.
    pub grace: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 1024,
            streams: 512,
            batches: 8,
            page_bytes: 64 << 20,
            head_bytes: 32 << 10,
            body_bytes: 1 << 20,
            head_timeout: Duration::from_secs(15),
            answer_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(3),
        }
    }
}

impl Bounds {
    /// The same bounds with connections that leave half of `files` to everything else; `None` is no limit.
    #[must_use]
    pub fn within(mut self, files: Option<u64>) -> Self {
        let half = files.map_or(usize::MAX, |files| usize::try_from(files / 2).unwrap_or(usize::MAX)).max(1);
        self.connections = self.connections.min(half);
        // Streams stay open: they leave room for those who ask briefly.
        self.streams = self.streams.min(half.div_ceil(2));
        self
    }
}

/// A port that is ours. Nothing is answered before [`serve`].
#[derive(Debug)]
pub struct Listener {
    inner: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Where it listens; the port is the real one also when the setting was 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Why the server cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Another program has the port.
    #[error("port {port} of {host} is taken: stop the program that listens there, or set server.port")]
    Taken {
        /// The address as configured.
        host: String,
        /// The port.
        port: u16,
    },
    /// Other machines could read everything.
    #[error(
        "server.host {host:?} can be reached from other machines and there is no token: set server.token, or \
         server.allow_anonymous: true if everyone who reaches the port may read and confirm events and edit states"
    )]
    Exposed {
        /// The address as configured.
        host: String,
    },
    /// The address does not exist here, or may not be used.
    #[error("cannot listen on server.host {host:?}, server.port {port}")]
    Address {
        /// The address as configured.
        host: String,
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// A setting has a value that cannot work.
    #[error("{setting} {problem}")]
    Setting {
        /// The setting's dotted path.
        setting: &'static str,
        /// What is wrong; shows the value unless it is a secret.
        problem: String,
    },
    /// The port was ours and cannot be used any more.
    #[error("cannot accept connections")]
    Accept(#[source] io::Error),
}

/// Takes the port. Refuses an address that other machines can reach unless a token or the explicit permission
/// protects it.
///
/// # Errors
/// [`ServeError::Taken`], [`ServeError::Exposed`], [`ServeError::Address`], [`ServeError::Setting`].
pub fn bind(settings: &ServerSettings) -> Result<Listener, ServeError> {
    settings.check()?;
    let refused = |source| ServeError::Address { host: settings.host.clone(), port: settings.port, source };
    let host = settings.host.trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<SocketAddr> = (host, settings.port).to_socket_addrs().map_err(refused)?.collect();
    let open = settings.token.is_none() && !settings.allow_anonymous;
    if open && addresses.iter().any(|address| !is_loopback(address.ip())) {
        return Err(ServeError::Exposed { host: settings.host.clone() });
    }
    let listen = || {
        let inner = TcpListener::bind(&addresses[..])?;
        inner.set_nonblocking(true)?;
        Ok(Listener { address: inner.local_addr()?, inner })
    };
    listen().map_err(|source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::Taken { host: settings.host.clone(), port: settings.port },
        _ => refused(source),
    })
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
    let streams = Arc::new(Streams::new(app.bounds.streams, shutdown));
    let states =
        States::new(app.states.clone(), app.random.clone(), app.clock.clone(), app.configured.clone())
            .running(app.waker.clone(), &app.bounds, streams.clone());
    let fixed: Vec<Route<Context>> =
        [health::routes(), metrics::routes(), log::routes(), clock::routes()].into_iter().flatten().collect();
    let of_states = states::routes();
    let sinks = SinkTable::of(&app.pulls, &app.streams);
    let described = fixed.iter().map(Route::described).chain(of_states.iter().map(Route::described));
    let description = openapi::document(described.chain(sinks.described()).collect());
    let context = context(app, room, streams, sinks, &description);
    route::router(fixed, Some(limits))
        .fallback(sinks::answer.layer(from_fn_with_state(RouteLimits::from(limits), limits::keep)))
        .with_state(context)
        .merge(route::router(of_states, Some(limits)).with_state(states))
        .layer(from_fn_with_state(guard, guard::judge))
}

fn context(
    app: App,
    room: Arc<Room>,
    streams: Arc<Streams>,
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

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}
