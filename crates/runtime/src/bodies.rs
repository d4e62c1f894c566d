//! Events whose bodies are read from the store when they are taken: what is in memory at a time does not grow with how many
//! there are.

use std::collections::VecDeque;

use inboxclaw_contract::{Event, Seq, Store, StoreError};

/// Most bytes of bodies that are read at once, unless a single one is larger.
pub const AT_ONCE: usize = 4 << 20;
/// Most bodies that are asked for at once.
const ASKED: usize = 4_096;

/// Events in an order, of which some bodies are known and the others are read when it is their turn.
#[derive(Debug, Default)]
pub struct Bodies {
    seqs: VecDeque<Seq>,
    /// In the same order.
    known: VecDeque<Event>,
}

impl Bodies {
    /// The events of `seqs`, of which `known` are at hand.
    pub fn new(seqs: impl Into<VecDeque<Seq>>, known: impl IntoIterator<Item = Event>) -> Self {
        Self { seqs: seqs.into(), known: known.into_iter().collect() }
    }

    /// How many are left. Of those that are not read yet, some may be gone.
    #[must_use]
    pub fn left(&self) -> usize {
        self.seqs.len()
    }

    /// The next event; `None` at the end.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn next(&mut self, store: &dyn Store) -> Result<Option<Event>, StoreError> {
        while let Some(first) = self.seqs.front() {
            if self.known.front().is_some_and(|event| event.seq == *first) {
                self.seqs.pop_front();
                return Ok(self.known.pop_front());
            }
            self.read(store).await?;
        }
        Ok(None)
    }

    /// Reads the first bodies up to one that is known. Those that retention has removed since are passed over.
    async fn read(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let known = self.known.front().map(|event| event.seq);
        let unknown = self.seqs.iter().copied().take(ASKED).take_while(|seq| Some(*seq) != known);
        let unknown: Vec<Seq> = unknown.collect();
        let events = store.events(&unknown, AT_ONCE).await?;
        let Some(last) = events.last().map(|event| event.seq) else {
            self.seqs.drain(..unknown.len());
            return Ok(());
        };
        while self.seqs.pop_front().is_some_and(|seq| seq != last) {}
        for event in events.into_iter().rev() {
            self.seqs.push_front(event.seq);
            self.known.push_front(event);
        }
        Ok(())
    }
}
