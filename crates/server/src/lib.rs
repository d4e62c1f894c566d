//! Everything over HTTP: the router and its guard, pull and SSE, the log, states, health and metrics.
//!
//! `connections` accepts and ends connections, `room` and `streams` say how many there may be and whose (`clients`),
//! `routes` says who answers which path, `guard` who may ask, `params` reads query parameters, `reply` and `document`
//! shape answers. What is answered: `log`, `pull`, `sse`, `states`, `clock`, `metrics`. Left out: what a turn or an edit
//! is (`runtime`, `edit`), and which sources and sinks there are (`config`).

mod clients;
pub mod clock;
mod connections;
mod describe;
mod document;
pub mod guard;
mod log;
mod metrics;
mod openapi;
mod params;
pub mod proof;
pub mod pull;
mod reply;
mod room;
mod routes;
mod settings;
pub mod sse;
mod stall;
pub mod states;
mod streams;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::{Clock, Editable, Random, Store};
use inboxclaw_runtime::OwnerStats;
use inboxclaw_runtime::pull::PullSink;
use room::Room;
use streams::Streams;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use self::settings::ServerSettings;
use crate::guard::Guard;
use crate::pull::Paths;
use crate::sse::{SharedPages, SseSink};
use crate::states::{Configured, States, Waker};

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

/// How the rest of the program is doing.
pub trait Vitals: Send + Sync {
    /// Status code and body of `/healthcheck`: 503 when something is unhealthy, else 200.
    fn health(&self) -> (u16, serde_json::Value);

    /// A consumer asked the pull sink of that name: it got an answer, or the sink's state has this problem.
    fn asked(&self, sink: &str, problem: Option<&str>) {
        let _ = (sink, problem);
    }

    /// What each owner has done since the program started.
    fn owners(&self) -> Vec<OwnerStats>;

    /// Transactions that the store has committed since the program started.
    fn store_commits(&self) -> u64;
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
    let streams = Arc::new(Streams::new(app.bounds.streams, shutdown.clone()));
    let states =
        States::new(app.states.clone(), app.random.clone(), app.clock.clone(), app.configured.clone());
    let states = states.running(app.waker.clone(), &app.bounds, streams.clone());
    let server = Server {
        states,
        guard: Guard::new(&app.settings, app.run_token.as_deref()),
        routes: routes::Routes::of(&app),
        room: Arc::new(Room::new(app.bounds.connections)),
        streams,
        pages: SharedPages::default(),
        ignored: params::Logged::default(),
        batches: Arc::new(Semaphore::new(app.bounds.batches)),
        small_batches: Arc::new(Semaphore::new(app.bounds.batches)),
        shutdown,
        app,
    };
    connections::run(inner, Arc::new(server)).await;
    Ok(())
}

/// Everything that answers share.
pub(crate) struct Server {
    pub(crate) app: App,
    pub(crate) guard: Guard,
    routes: routes::Routes,
    pub(crate) states: States,
    pub(crate) room: Arc<Room>,
    pub(crate) streams: Arc<Streams>,
    /// What streams at the end of the log have just been sent.
    pub(crate) pages: SharedPages,
    /// Which ignored query parameters were logged.
    pub(crate) ignored: params::Logged,
    /// A permit per batch that is read or being sent.
    pub(crate) batches: Arc<Semaphore>,
    /// The same for small ones, so that they never wait for somebody who takes a large one slowly.
    pub(crate) small_batches: Arc<Semaphore>,
    pub(crate) shutdown: CancellationToken,
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}
