//! Accepts connections, bounds them, and ends them at shutdown.

use std::convert::Infallible;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::X_CONTENT_TYPE_OPTIONS;
use futures_util::FutureExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::clients::{Client, Peer};
use crate::limits::shown;
use crate::reply;
use crate::room::{Place, Room, Sending};
use crate::stall::Stalling;

/// What connections need.
pub(crate) struct Server {
    pub(crate) router: Router,
    pub(crate) room: Arc<Room>,
    /// How long a request's head may take.
    pub(crate) head_timeout: Duration,
    /// Most bytes of it.
    pub(crate) head_bytes: usize,
    /// How long a client may take nothing of what is sent to it.
    pub(crate) stall_timeout: Duration,
    /// How long answers under way may still take at shutdown.
    pub(crate) grace: Duration,
    pub(crate) shutdown: CancellationToken,
}

/// The pause after a failed accept, which mostly means that this process has too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Accepts until shutdown, then waits for the answers under way as long as the grace allows.
pub(crate) async fn run(listener: TcpListener, server: Arc<Server>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            () = server.shutdown.cancelled() => break,
            Some(_) = open.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, remote)) => {
                    let client = Client::new(remote.ip());
                    // Not in the select around: what it drops unfinished, it would drop with the connection.
                    let entered = tokio::select! {
                        () = server.shutdown.cancelled() => break,
                        entered = server.room.enter(client) => entered,
                    };
                    if let Some(place) = entered {
                        // Only a connection that is gone already refuses this.
                        let _ = stream.set_nodelay(true);
                        open.spawn(drive(stream, client, Arc::new(place), server.clone()));
                    }
                }
                Err(error) if is_of_client(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    if timeout(server.grace, async { while open.join_next().await.is_some() {} }).await.is_err() {
        tracing::debug!(connections = open.len(), "cut off at shutdown");
    }
    open.shutdown().await;
}

/// Whether the client went away before it was accepted, which is none of our trouble.
fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves one connection to its end.
async fn drive(stream: TcpStream, client: Client, place: Arc<Place>, server: Arc<Server>) {
    let Ok(local) = stream.local_addr() else { return };
    let peer = Peer { local: local.ip().to_canonical(), client };
    let service = service_fn(|request| answer(&server, peer, &place, request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(server.head_timeout)
        .max_header_size(server.head_bytes)
        .serve_connection(TokioIo::new(Stalling::new(stream, server.stall_timeout)), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = place.closed().cancelled() => return,
        () = server.shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// One answer. A panicking route does not take the connection with it.
async fn answer(
    server: &Server,
    peer: Peer,
    place: &Arc<Place>,
    request: hyper::Request<hyper::body::Incoming>,
) -> Result<reply::Reply, Infallible> {
    let busy = place.busy();
    let (method, path) = (request.method().clone(), shown(request.uri().path()));
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(peer);
    let answer = AssertUnwindSafe(server.router.clone().oneshot(request)).catch_unwind().await;
    let reply = answer.map_or_else(
        |_| {
            tracing::error!(%method, path, "a route panicked");
            reply::internal()
        },
        |Ok(reply)| reply,
    );
    // Nothing here is what a browser may take it for.
    let reply = reply::with(reply, X_CONTENT_TYPE_OPTIONS, "nosniff");
    Ok(reply.map(|body| Body::new(Sending { body, _busy: busy })))
}
