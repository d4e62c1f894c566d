//! From a thread that makes pieces to a task that sends them: the thread waits while enough of them are under way.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Most pieces under way.
const MOST: usize = 4;

/// Where the pieces are taken. Once it is gone, nobody waits any more.
pub(super) struct Pieces {
    given: UnboundedReceiver<Bytes>,
    gate: Arc<Gate>,
}

/// Where they are given.
pub(super) struct Giver {
    given: UnboundedSender<Bytes>,
    gate: Arc<Gate>,
}

/// How many are under way; `None` when nobody takes any more.
struct Gate {
    under_way: Mutex<Option<usize>>,
    moved: Condvar,
}

pub(super) fn channel() -> (Giver, Pieces) {
    let (give, given) = unbounded_channel();
    let gate = Arc::new(Gate { under_way: Mutex::new(Some(0)), moved: Condvar::new() });
    (Giver { given: give, gate: gate.clone() }, Pieces { given, gate })
}

impl Giver {
    /// Hands a piece over; waits on this thread while enough of them are under way. `false` when nobody takes it.
    pub(super) fn give(&mut self, piece: &[u8]) -> bool {
        let waits = |under_way: &mut Option<usize>| under_way.is_some_and(|pieces| pieces >= MOST);
        let mut under_way =
            self.gate.moved.wait_while(self.gate.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        match under_way.as_mut() {
            Some(pieces) => *pieces += 1,
            None => return false,
        }
        self.given.send(Bytes::copy_from_slice(piece)).is_ok()
    }
}

impl Pieces {
    /// The next piece; `None` after the last.
    pub(super) async fn take(&mut self) -> Option<Bytes> {
        let piece = self.given.recv().await?;
        if let Some(pieces) = self.gate.lock().as_mut() {
            *pieces -= 1;
        }
        self.gate.moved.notify_one();
        Some(piece)
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        *self.gate.lock() = None;
        self.gate.moved.notify_all();
    }
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, Option<usize>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pieces_come_in_order_and_only_some_are_under_way() {
        let (mut giver, mut pieces) = channel();
        let gate = pieces.gate.clone();
        let giving = std::thread::spawn(move || (0..100_u8).take_while(|n| giver.give(&[*n])).count());
        for n in 0..50_u8 {
            assert_eq!(pieces.take().await.as_deref(), Some(&[n][..]));
            assert!(gate.lock().unwrap() <= MOST);
        }
        drop(pieces);
        assert!(giving.join().unwrap() <= 50 + MOST, "who is gone is not waited for");
    }
}
