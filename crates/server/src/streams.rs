//! The open streams, and who makes room when there is no more.
//!
//! No fixed number of streams is a client's own: alone, one may have them all. When all are taken, the client that has
//! the most gives its oldest one to a client that has at least two fewer; between equals the newcomer is refused.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::clients::{Client, Seldom, shares};

/// See the module.
pub(crate) struct Streams {
    most: usize,
    shutdown: CancellationToken,
    open: Mutex<Open>,
    /// How many were refused.
    pub(crate) refused: AtomicU64,
    /// How many were ended to make room for others.
    pub(crate) ended: AtomicU64,
    seldom: Seldom,
}

#[derive(Default)]
struct Open {
    next: u64,
    /// By age, the oldest first.
    streams: BTreeMap<u64, (Client, CancellationToken)>,
}

/// The place of an open stream, until it is dropped.
pub(crate) struct StreamPlace {
    streams: Arc<Streams>,
    number: u64,
    ended: CancellationToken,
}

impl Streams {
    /// Room for so many; all end at `shutdown`.
    pub(crate) fn new(most: usize, shutdown: CancellationToken) -> Self {
        let (refused, ended) = Default::default();
        Self { most, shutdown, open: Mutex::default(), refused, ended, seldom: Seldom::default() }
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.lock().streams.len()
    }

    /// A place for one more stream of that client, if there is or can be one.
    pub(crate) fn open(self: &Arc<Self>, client: Client) -> Option<StreamPlace> {
        let mut open = self.lock();
        if open.streams.len() >= self.most {
            let made = open.make_room_for(client);
            self.count_one(made);
            if !made {
                return None;
            }
        }
        let (number, ended) = (open.next, self.shutdown.child_token());
        open.next += 1;
        open.streams.insert(number, (client, ended.clone()));
        Some(StreamPlace { streams: self.clone(), number, ended })
    }

    fn count_one(&self, made_room: bool) {
        let counter = if made_room { &self.ended } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
        if let Some(times) = self.seldom.count() {
            let most = self.most;
            tracing::warn!(most, times, "all streams are taken: one is refused, or ended to make room");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Ends a stream in favour of that client; `false` when it has its share.
    fn make_room_for(&mut self, client: Client) -> bool {
        let shares = shares(self.streams.values().map(|(client, _)| *client));
        let own = shares.get(&client).copied().unwrap_or(0);
        let Some((greediest, most)) = shares.into_iter().max_by_key(|(_, count)| *count) else {
            return false;
        };
        let oldest = self.streams.iter().find(|(_, (client, _))| *client == greediest);
        let Some(number) = oldest.map(|(number, _)| *number).filter(|_| most > own + 1) else { return false };
        if let Some((_, ended)) = self.streams.remove(&number) {
            ended.cancel();
        }
        true
    }
}

impl StreamPlace {
    /// Cancelled when the stream is to end: at shutdown, or to make room.
    pub(crate) fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.streams.lock().streams.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> Client {
        Client::new([192, 0, 2, last].into())
    }

    #[test]
    fn the_greediest_makes_room_and_equals_do_not() {
        let streams = Arc::new(Streams::new(4, CancellationToken::new()));
        let mut greedy: Vec<_> = (0..4).map(|_| streams.open(client(1)).unwrap()).collect();
        assert!(streams.open(client(1)).is_none(), "nobody is greedier than it");
        let second = streams.open(client(2)).unwrap();
        assert!(greedy[0].ended().is_cancelled() && !greedy[1].ended().is_cancelled());
        assert_eq!(streams.count(), 4);
        let third = streams.open(client(2)).unwrap();
        assert!(greedy[1].ended().is_cancelled());
        assert!(streams.open(client(2)).is_none(), "two each");
        assert!(streams.open(client(1)).is_none());
        // The places of those that were ended are somebody else's by now.
        greedy.drain(..2);
        assert_eq!(streams.count(), 4);
        drop((greedy, second, third));
        assert_eq!(streams.count(), 0);
        assert_eq!((streams.refused.load(Ordering::Relaxed), streams.ended.load(Ordering::Relaxed)), (3, 2));
    }

    #[test]
    fn all_end_at_shutdown() {
        let shutdown = CancellationToken::new();
        let streams = Arc::new(Streams::new(1, shutdown.clone()));
        let place = streams.open(client(1)).unwrap();
        shutdown.cancel();
        assert!(place.ended().is_cancelled());
        drop(place);
        assert_eq!(streams.count(), 0);
    }
}
