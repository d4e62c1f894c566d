//! The open connections, and who makes room when there is no more.
//!
//! A connection is idle between two requests, and before its first one. When all places are taken, the one that has
//! been idle the longest is closed for a newcomer, of the client that has the most: so connections that do nothing lock
//! nobody out. While all of them are busy, newcomers wait. Streams leave half of the places to others (`Bounds`), and a
//! client that is not on this machine has no more than half of them. On this machine one address may be a proxy that
//! passes everybody on: there only the rule of the longest idle one holds.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::clients::{Client, Seldom, shares};

/// A connection that is idle for less may still be about to send the end of its last answer.
const IDLE_LEAST: Duration = Duration::from_secs(1);
/// How often somebody who waits for room looks whether a connection has been idle for long enough.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// See the module.
pub(crate) struct Room {
    most: usize,
    open: Mutex<Open>,
    /// Notified when a connection ended.
    left: Notify,
    /// How many were closed to make room.
    pub(crate) closed: AtomicU64,
    /// How many were refused because their client has its share.
    pub(crate) refused: AtomicU64,
    seldom: Seldom,
}

#[derive(Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Connection>,
}

struct Connection {
    client: Client,
    /// Since when; `None` while a request is answered.
    idle: Option<Instant>,
    closed: CancellationToken,
}

/// The place of an open connection, until it is dropped.
pub(super) struct Place {
    room: Arc<Room>,
    number: u64,
    closed: CancellationToken,
}

impl Room {
    pub(super) fn new(most: usize) -> Self {
        let (closed, refused) = Default::default();
        Self { most, open: Mutex::default(), left: Notify::new(), closed, refused, seldom: Seldom::default() }
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.lock().connections.len()
    }

    /// A place for a connection of that client; waits until there is one. `None` when the client has its share.
    pub(super) async fn enter(self: &Arc<Self>, client: Client) -> Option<Place> {
        let mut waits = false;
        loop {
            {
                let mut open = self.lock();
                if !client.is_here() && open.count_of(client) >= (self.most / 2).max(1) {
                    drop(open);
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    self.say("a client has half of all connections, further ones of it are closed");
                    return None;
                }
                if open.connections.len() < self.most {
                    return Some(self.place(&mut open, client));
                }
                if open.close_idle() {
                    self.closed.fetch_add(1, Ordering::Relaxed);
                    self.say("all connections are taken: idle ones are closed to make room");
                    continue;
                }
            }
            if !std::mem::replace(&mut waits, true) {
                self.say("all connections are busy: new ones wait");
            }
            let _ = timeout(LOOK_EVERY, self.left.notified()).await;
        }
    }

    fn place(self: &Arc<Self>, open: &mut Open, client: Client) -> Place {
        let (number, closed) = (open.next, CancellationToken::new());
        open.next += 1;
        let connection = Connection { client, idle: Some(Instant::now()), closed: closed.clone() };
        open.connections.insert(number, connection);
        Place { room: self.clone(), number, closed }
    }

    fn set_idle(&self, number: u64, idle: Option<Instant>) {
        if let Some(connection) = self.lock().connections.get_mut(&number) {
            connection.idle = idle;
        }
    }

    fn say(&self, what: &str) {
        if let Some(times) = self.seldom.count() {
            tracing::warn!(most = self.most, times, "{what}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn count_of(&self, client: Client) -> usize {
        self.connections.values().filter(|connection| connection.client == client).count()
    }

    /// Closes an idle connection; `false` when there is none.
    fn close_idle(&mut self) -> bool {
        let shares = shares(self.connections.values().map(|connection| connection.client));
        let idle = self.connections.iter().filter_map(|(number, connection)| {
            let idle = connection.idle?.elapsed();
            (idle >= IDLE_LEAST).then(|| (shares.get(&connection.client), idle, *number))
        });
        let Some((_, _, number)) = idle.max() else { return false };
        if let Some(connection) = self.connections.remove(&number) {
            connection.closed.cancel();
        }
        true
    }
}

impl Place {
    /// Cancelled when the connection is to close to make room.
    pub(super) fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    /// A request is being answered, until the answer is dropped.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.room.set_idle(self.number, None);
        Busy(self.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.lock().connections.remove(&self.number);
        self.room.left.notify_one();
    }
}

/// See [`Place::busy`].
pub(super) struct Busy(Arc<Place>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.room.set_idle(self.0.number, Some(Instant::now()));
    }
}

/// A body that keeps its connection busy until it is sent.
pub(super) struct Sending {
    pub(super) body: Body,
    pub(super) _busy: Busy,
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
