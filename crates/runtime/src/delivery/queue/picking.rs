//! Which events of a push sink are sent next.

use inboxclaw_contract::{Delivery, Event, Seq};
use jiff::Timestamp;
use tokio::time::Instant;

use super::Queue;
use super::item::{Picked, size};

/// After so many picks from the log in a row an attempt that is due comes first.
const LOG_SHARE: u32 = 3;

impl Queue {
    /// Chooses up to `most` events that may be sent now. A `probe` takes the event that had the fewest failed calls, so
    /// that one event with which every call fails is told from a receiver that is down.
    ///
    /// What is due shares the sender with the log: one pick in [`LOG_SHARE`] + 1, so that neither a great number of failing
    /// events slows the others down, nor a backlog keeps the failing ones from their end.
    pub(in crate::delivery) fn pick(&mut self, now: Timestamp, most: usize, probe: bool) -> Picked {
        let due_first = self.log_picks >= LOG_SHARE;
        let mut seqs = if due_first { self.pick_due(now, most) } else { Vec::new() };
        if seqs.is_empty() {
            seqs = self.pick_window(most, probe);
            self.log_picks += u32::from(!seqs.is_empty());
        }
        if seqs.is_empty() && !due_first {
            seqs = self.pick_due(now, most);
        }
        if seqs.is_empty() {
            let free = self.replaying.iter().filter(|seq| self.is_free(**seq));
            seqs = free.take(most).copied().collect();
        }
        self.start(seqs)
    }

    /// Whether an event without a row is not being sent, and is not kept back by a failed call.
    fn is_free(&self, seq: Seq) -> bool {
        let item = self.items.get(&seq);
        item.is_some_and(|item| item.sending.is_none() && item.ready <= Instant::now())
    }

    /// Begins to send these.
    fn start(&mut self, seqs: Vec<Seq>) -> Picked {
        let (mut bodies, begun) = (Vec::new(), Instant::now());
        for seq in &seqs {
            let Some(item) = self.items.get_mut(seq) else { continue };
            item.sending = Some(begun);
            if self.window.contains(seq) {
                self.window_bytes -= item.event.as_ref().map_or(0, size).min(self.window_bytes);
            }
            bodies.extend(item.event.take());
            self.due.remove(&(item.due, *seq));
        }
        Picked { seqs, bodies }
    }

    /// These are not sent after all.
    pub(in crate::delivery) fn put_down(&mut self, seqs: &[Seq]) {
        for seq in seqs {
            if let Some(item) = self.items.get_mut(seq) {
                item.sending = None;
            }
            self.enqueue(*seq);
        }
    }

    /// How many events of the log could be sent now, up to `most`, and since when the first could.
    pub(in crate::delivery) fn ready(&self, most: usize) -> (usize, Option<Instant>) {
        let free = self.free_in_window(most);
        (free.len(), free.first().and_then(|seq| self.items.get(seq)).map(|item| item.ready))
    }

    /// When the next event of the window may be sent: one with nothing ahead of it, also one that a failed call keeps back.
    pub(in crate::delivery) fn next_ready(&self) -> Option<Instant> {
        let waiting =
            self.window.iter().chain(&self.replaying).filter_map(|seq| Some((*seq, self.items.get(seq)?)));
        let free = waiting.filter(|(seq, item)| item.sending.is_none() && self.ahead(*seq, item).is_none());
        free.map(|(_, item)| item.ready).min()
    }

    /// The next attempt of an event.
    pub(in crate::delivery) fn delivery(&self, event: Event) -> Delivery {
        let item = self.items.get(&event.seq);
        let attempt = item.map_or(0, |item| item.attempts).saturating_add(1);
        let origin = item.map(|item| item.origin).unwrap_or_default();
        Delivery { attempt, origin, ..Delivery::first(event) }
    }

    fn pick_due(&mut self, now: Timestamp, most: usize) -> Vec<Seq> {
        let due = self.due.iter().take_while(|(due, _)| *due <= now).map(|(_, seq)| *seq);
        let mut seqs: Vec<Seq> = due.take(most).collect();
        seqs.sort_unstable();
        if !seqs.is_empty() {
            self.log_picks = 0;
        }
        seqs
    }

    fn pick_window(&self, most: usize, probe: bool) -> Vec<Seq> {
        if !probe {
            return self.free_in_window(most);
        }
        // Alone, so that none may go that waits for another one.
        let is_first = |seq: &Seq| self.items.get(seq).is_some_and(|item| self.ahead(*seq, item).is_none());
        let free = self.free_in_window(usize::MAX).into_iter().filter(is_first);
        let misses = |seq: &Seq| self.items.get(seq).map_or(0, |item| item.misses);
        free.min_by_key(misses).into_iter().collect()
    }

    /// The events of the window that may be sent now, in order: nothing ahead of them in their line but what comes with
    /// them.
    fn free_in_window(&self, most: usize) -> Vec<Seq> {
        let now = Instant::now();
        let mut free: Vec<Seq> = Vec::new();
        for seq in &self.window {
            if free.len() >= most {
                break;
            }
            let Some(item) = self.items.get(seq).filter(|item| item.sending.is_none()) else { continue };
            let ahead = self.ahead(*seq, item);
            if item.ready <= now && ahead.is_none_or(|ahead| free.binary_search(&ahead).is_ok()) {
                free.push(*seq);
            }
        }
        free
    }
}
