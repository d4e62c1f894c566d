//! What a push sink has in memory of what it owes, as plain data: the window of the log that was read ahead, the events
//! that wait for another attempt, and which of them may be sent now. The files beside this one read, send and store it.

mod item;
mod picking;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::store::DeliveryRow;
use inboxclaw_contract::turn::{DeliveryChange, DeliveryState};
use inboxclaw_contract::{DeliveryOrigin, DeliveryPolicy, Event, Order, OwnerId, Seq};
use jiff::Timestamp;
use tokio::time::Instant;

use self::item::{Item, Line, cut, size};
pub(super) use self::item::{Picked, ahead};

/// Most events that are stored. Beyond that a failing event is dead at once.
pub(super) const MOST_STORED: usize = 100_000;
/// Calls that fail with an event and not with others, before that is a failure of the event.
const MISSES: u32 = 3;

/// The unfinished events of a sink, and the changes of them that are not stored yet.
///
/// An unfinished event is either *stored*, with a row in `deliveries`, or it is in the *window*: then it holds the sink's
/// position, which is why the window is bounded.
#[derive(Debug)]
pub(super) struct Queue {
    order: Order,
    max_attempts: u32,
    max_age: Duration,
    items: BTreeMap<Seq, Item>,
    /// The unfinished events of each line, those that wait for each other.
    lines: HashMap<Line, BTreeSet<Seq>>,
    /// The events of the log that have no row.
    window: BTreeSet<Seq>,
    /// The events of a replay that have no row: they hold the position of the replay.
    replaying: BTreeSet<Seq>,
    /// The bytes of the window's bodies.
    window_bytes: usize,
    /// The stored events that are not being sent and are the first of their line, by when they are due.
    due: BTreeSet<(Timestamp, Seq)>,
    /// How many events are stored.
    stored: usize,
    /// How far the log was read.
    scanned: Seq,
    /// The highest event of the window that is finished.
    done_to: Seq,
    /// Picks from the log since the last pick of what is due.
    log_picks: u32,
    /// The dead letters that lie beyond where the log was read when the queue was made.
    dead: BTreeSet<Seq>,
    changes: BTreeMap<Seq, DeliveryChange>,
    /// The events whose changes are being stored.
    storing: BTreeSet<Seq>,
}

impl Queue {
    /// A queue of which nothing is known, for a sink that stands at `position`.
    pub(super) fn new(policy: &DeliveryPolicy, position: Seq) -> Self {
        Self {
            order: policy.order,
            max_attempts: policy.max_attempts,
            max_age: policy.max_age,
            items: BTreeMap::new(),
            lines: HashMap::new(),
            window: BTreeSet::new(),
            replaying: BTreeSet::new(),
            window_bytes: 0,
            due: BTreeSet::new(),
            stored: 0,
            scanned: position,
            done_to: Seq(0),
            log_picks: 0,
            dead: BTreeSet::new(),
            changes: BTreeMap::new(),
            storing: BTreeSet::new(),
        }
    }

    /// How far the log was read.
    pub(super) fn scanned(&self) -> Seq {
        self.scanned
    }

    /// Notes how far the log was read.
    pub(super) fn scanned_to(&mut self, seq: Seq) {
        self.scanned = self.scanned.max(seq);
    }

    /// Where the sink stands: everything up to here is finished or has a row.
    pub(super) fn position(&self) -> Seq {
        self.window.first().map_or(self.scanned, |first| Seq(first.0 - 1))
    }

    /// How many events the window holds, and the bytes of their bodies.
    pub(super) fn window(&self) -> (usize, usize) {
        (self.window.len(), self.window_bytes)
    }

    /// How many events have a row.
    pub(super) fn stored(&self) -> usize {
        self.stored
    }

    /// The first unfinished event of a replay.
    pub(super) fn first_replayed(&self) -> Option<Seq> {
        self.replaying.first().copied()
    }

    /// How many unfinished events of a replay have no row.
    pub(super) fn replaying(&self) -> usize {
        self.replaying.len()
    }

    /// Whether nothing is unfinished.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether the event is unfinished.
    pub(super) fn holds(&self, seq: Seq) -> bool {
        self.items.contains_key(&seq)
    }

    /// Whether the event of the log is new: not unfinished, and no dead letter.
    pub(super) fn is_new(&self, seq: Seq) -> bool {
        !self.holds(seq) && !self.dead.contains(&seq)
    }

    /// Takes in a dead letter that lies beyond where the log was read: after a crash, or when a person set the cursor back.
    pub(super) fn restore_dead(&mut self, seq: Seq) {
        self.dead.insert(seq);
    }

    /// Whether the event has a row.
    pub(super) fn is_stored(&self, seq: Seq) -> bool {
        self.items.get(&seq).is_some_and(|item| item.stored)
    }

    /// Whether the event is sent because of a replay.
    pub(super) fn is_replayed(&self, seq: Seq) -> bool {
        let origin = self.items.get(&seq).map(|item| item.origin);
        matches!(origin, Some(DeliveryOrigin::Replay(_)))
    }

    /// Whether the event's row has a change that may not be stored yet: then the store does not say whether the event is
    /// owed.
    pub(super) fn is_changed(&self, seq: Seq) -> bool {
        self.changes.contains_key(&seq) || self.storing.contains(&seq)
    }

    /// When the next stored event is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Takes in a row that waits.
    pub(super) fn restore(&mut self, row: &DeliveryRow) {
        let line = match row.origin {
            DeliveryOrigin::Log => self.line(row.source, row.entity_id.as_ref()),
            DeliveryOrigin::Retry | DeliveryOrigin::Replay(_) => None,
        };
        let item = Item {
            stored: true,
            due: row.due,
            attempts: row.attempts,
            tried_at: row.tried_at,
            origin: row.origin,
            ..Item::new(line, None)
        };
        self.stored += 1;
        self.insert(row.seq, item);
    }

    /// Takes in an event of the log that is not known yet.
    pub(super) fn admit(&mut self, event: Event) {
        let line = self.line(event.source, event.entity_id.as_ref());
        let seq = event.seq;
        self.window_bytes += size(&event);
        self.window.insert(seq);
        self.insert(seq, Item::new(line, Some(event)));
    }

    /// Takes in an event of a replay that is not unfinished anyway: it waits for nobody.
    pub(super) fn replay(&mut self, event: Event, replay: u64) {
        let seq = event.seq;
        self.replaying.insert(seq);
        self.insert(seq, Item { origin: DeliveryOrigin::Replay(replay), ..Item::new(None, Some(event)) });
    }

    /// The event is no longer owed.
    pub(super) fn done(&mut self, seq: Seq) {
        if let Some(item) = self.remove(seq)
            // A replay may bring through what is a dead letter.
            && (item.stored || item.origin != DeliveryOrigin::Log)
        {
            self.changes.insert(seq, DeliveryChange::Done { seq });
        }
    }

    /// The sink will never take the event.
    pub(super) fn dead(&mut self, seq: Seq, now: Timestamp, reason: String) {
        let Some(mut item) = self.remove(seq) else { return };
        item.attempts = item.attempts.saturating_add(1);
        item.tried_at.get_or_insert(now);
        item.due = now;
        self.changes.insert(seq, item.change(seq, DeliveryState::Dead, Some(cut(reason))));
    }

    /// The event is to be tried again at `due`, unless this was its last attempt: then it is dead, and `false` comes back.
    /// The later ones of its line wait for it.
    pub(super) fn again(&mut self, seq: Seq, now: Timestamp, due: Timestamp, reason: String) -> bool {
        let Some(item) = self.items.get(&seq) else { return true };
        let tried_at = item.tried_at.unwrap_or(now);
        let too_old = Duration::try_from(due.duration_since(tried_at)).is_ok_and(|age| age >= self.max_age);
        let attempt = item.attempts.saturating_add(1);
        let end = match () {
            () if attempt >= self.max_attempts => format!("attempt {attempt} of {attempt}: "),
            () if too_old => format!("attempt {attempt}, too long after the first: "),
            () if !item.stored && self.stored >= MOST_STORED => {
                format!("{MOST_STORED} events wait already: ")
            }
            () => String::new(),
        };
        if !end.is_empty() {
            self.dead(seq, now, end + &reason);
            return false;
        }
        self.keep(seq, |item| {
            item.attempts = item.attempts.saturating_add(1);
            item.tried_at = Some(tried_at);
            item.due = due;
            item.sending = None;
            Some(cut(reason))
        });
        true
    }

    /// How often an event was tried.
    pub(super) fn attempts(&self, seq: Seq) -> u32 {
        self.items.get(&seq).map_or(0, |item| item.attempts)
    }

    /// A call with these events failed for none of them: they may be sent again after `wait`. Returns the event that is at
    /// fault all the same: calls failed with it again and again while `successes` says that others came through.
    pub(super) fn missed(
        &mut self,
        seqs: &[Seq],
        now: Timestamp,
        wait: Duration,
        successes: u64,
    ) -> Option<Seq> {
        let ready = Instant::now() + wait;
        let mut at_fault = None;
        for seq in seqs {
            let Some(item) = self.items.get_mut(seq) else { continue };
            if item.misses == 0 {
                item.successes = successes;
            }
            (item.sending, item.ready, item.misses) = (None, ready, item.misses.saturating_add(1));
            // Only here, not in the row: after a restart it may go at once.
            item.due = item.due.max(ahead(now, wait));
            if seqs.len() == 1 && item.misses >= MISSES && successes > item.successes {
                (item.misses, at_fault) = (0, Some(*seq));
            }
            self.enqueue(*seq);
        }
        at_fault
    }

    /// Gives rows to the events of the window that have been sent for longer than `limit` while later ones are finished,
    /// and to those behind an event that waits for its next attempt: they would hold the position, and a crash would
    /// repeat all that was finished meanwhile.
    pub(super) fn store_stragglers(&mut self, now: Timestamp, limit: Duration) {
        let is_slow = |item: &Item| item.sending.is_some_and(|since| since.elapsed() >= limit);
        let before = self.window.iter().take_while(|seq| **seq < self.done_to);
        let slow: Vec<Seq> = before.filter(|seq| self.items.get(seq).is_some_and(is_slow)).copied().collect();
        self.keep_at(now, slow);
        if self.order != Order::All {
            self.store_followers(now);
        }
    }

    /// Gives rows to the events of the window behind one that has a row.
    fn store_followers(&mut self, now: Timestamp) {
        let behind = |seq: &&Seq| {
            let line = self.items.get(seq).and_then(|item| item.line.as_ref());
            let first = line.and_then(|line| self.lines.get(line)).and_then(|seqs| seqs.first());
            first.is_some_and(|first| first < *seq && self.is_stored(*first))
        };
        let followers: Vec<Seq> = self.window.iter().filter(behind).copied().collect();
        self.keep_at(now, followers);
    }

    /// Gives rows to events that have not failed.
    fn keep_at(&mut self, now: Timestamp, seqs: Vec<Seq>) {
        for seq in seqs {
            self.keep(seq, |item| {
                item.due = now;
                None
            });
        }
    }

    /// Whether there is nothing to store.
    pub(super) fn is_unchanged(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes since the last time, to be stored with the position.
    pub(super) fn take_changes(&mut self) -> BTreeMap<Seq, DeliveryChange> {
        let changes = std::mem::take(&mut self.changes);
        self.storing.extend(changes.keys());
        changes
    }

    /// Notes that the changes taken are stored.
    pub(super) fn recorded(&mut self) {
        self.storing.clear();
    }

    /// Takes back changes that could not be stored. A later change of the same event stands for both.
    pub(super) fn put_back(&mut self, changes: BTreeMap<Seq, DeliveryChange>) {
        self.storing.clear();
        for (seq, change) in changes {
            self.changes.entry(seq).or_insert(change);
        }
    }

    /// Writes an item's row: the event leaves the window and holds the position no longer.
    fn keep(&mut self, seq: Seq, change: impl FnOnce(&mut Item) -> Option<String>) {
        let Some(item) = self.items.get_mut(&seq) else { return };
        self.due.remove(&(item.due, seq));
        let error = change(item);
        self.changes.insert(seq, item.change(seq, DeliveryState::Waiting, error));
        let event = item.event.take();
        if !std::mem::replace(&mut item.stored, true) {
            self.stored += 1;
        }
        self.replaying.remove(&seq);
        if self.window.remove(&seq) {
            self.window_bytes -= event.as_ref().map_or(0, size).min(self.window_bytes);
        }
        self.enqueue(seq);
    }

    fn line(&self, source: OwnerId, entity: Option<&String>) -> Option<Line> {
        match self.order {
            Order::None => None,
            Order::Entity => entity.map(|entity| Arc::new((source, entity.clone()))),
            Order::All => Some(Arc::new((OwnerId(0), String::new()))),
        }
    }

    fn insert(&mut self, seq: Seq, item: Item) {
        if let Some(line) = &item.line {
            let seqs = self.lines.entry(line.clone()).or_default();
            seqs.insert(seq);
            // After a restart the log is read again from before events that have a row: those now wait for this one.
            if let Some(next) = seqs.range(seq..).nth(1)
                && let Some(behind) = self.items.get(next)
            {
                self.due.remove(&(behind.due, *next));
            }
        }
        self.items.insert(seq, item);
        self.enqueue(seq);
    }

    fn remove(&mut self, seq: Seq) -> Option<Item> {
        let item = self.items.remove(&seq)?;
        self.due.remove(&(item.due, seq));
        if item.stored {
            self.stored -= 1;
        }
        self.replaying.remove(&seq);
        if self.window.remove(&seq) {
            self.done_to = self.done_to.max(seq);
            self.window_bytes -= item.event.as_ref().map_or(0, size).min(self.window_bytes);
        }
        if let Some(line) = &item.line
            && let Some(seqs) = self.lines.get_mut(line)
        {
            seqs.remove(&seq);
            match seqs.first().copied() {
                Some(next) => self.enqueue(next),
                None => drop(self.lines.remove(line)),
            }
        }
        Some(item)
    }

    /// Puts a stored event among those that are due some time, if it may be sent at all.
    fn enqueue(&mut self, seq: Seq) {
        if let Some(item) = self.items.get(&seq)
            && item.stored
            && item.sending.is_none()
            && self.ahead(seq, item).is_none()
        {
            self.due.insert((item.due, seq));
        }
    }

    /// The event right ahead in its line.
    fn ahead(&self, seq: Seq, item: &Item) -> Option<Seq> {
        self.lines.get(item.line.as_ref()?)?.range(..seq).next_back().copied()
    }
}
