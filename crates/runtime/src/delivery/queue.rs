//! What a push sink has in memory of what it owes, as plain data: the window of the log that was read ahead, the events
//! that wait for another attempt, and which of them may be sent now. The files beside this one read, send and store it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::store::DeliveryRow;
use inboxclaw_contract::turn::{DeliveryChange, DeliveryState};
use inboxclaw_contract::{Delivery, DeliveryOrigin, DeliveryPolicy, Event, Order, OwnerId, Seq};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// Events that wait for each other: of one entity of one source, or all.
type Line = Arc<(OwnerId, String)>;

/// Most characters of a reason.
const REASON_CHARS: usize = 500;
/// After so many picks from the log in a row an attempt that is due comes first.
const LOG_SHARE: u32 = 3;
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
    changes: BTreeMap<Seq, DeliveryChange>,
    /// The events whose changes are being stored.
    storing: BTreeSet<Seq>,
}

/// An unfinished event.
#[derive(Debug)]
struct Item {
    line: Option<Line>,
    /// Its body, from when it was read until it is sent; later ones are read when they are sent again.
    event: Option<Event>,
    stored: bool,
    /// Since when it is being sent.
    sending: Option<Instant>,
    /// When it was read, or may be sent again after a call that failed.
    ready: Instant,
    due: Timestamp,
    attempts: u32,
    tried_at: Option<Timestamp>,
    origin: DeliveryOrigin,
    /// Calls with it that failed, and how many events had succeeded before the first.
    misses: u32,
    successes: u64,
}

/// What to send.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Picked {
    /// The events, in the order of the log.
    pub(super) seqs: Vec<Seq>,
    /// The bodies that are at hand.
    pub(super) bodies: Vec<Event>,
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

    /// Chooses up to `most` events that may be sent now. A `probe` takes the event that had the fewest failed calls, so
    /// that one event with which every call fails is told from a receiver that is down.
    ///
    /// What is due shares the sender with the log: one pick in [`LOG_SHARE`] + 1, so that neither a great number of failing
    /// events slows the others down, nor a backlog keeps the failing ones from their end.
    pub(super) fn pick(&mut self, now: Timestamp, most: usize, probe: bool) -> Picked {
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
    pub(super) fn put_down(&mut self, seqs: &[Seq]) {
        for seq in seqs {
            if let Some(item) = self.items.get_mut(seq) {
                item.sending = None;
            }
            self.enqueue(*seq);
        }
    }

    /// How many events of the log could be sent now, up to `most`, and since when the first could.
    pub(super) fn ready(&self, most: usize) -> (usize, Option<Instant>) {
        let free = self.free_in_window(most);
        (free.len(), free.first().and_then(|seq| self.items.get(seq)).map(|item| item.ready))
    }

    /// When the next event of the window may be sent: one with nothing ahead of it, also one that a failed call keeps back.
    pub(super) fn next_ready(&self) -> Option<Instant> {
        let waiting =
            self.window.iter().chain(&self.replaying).filter_map(|seq| Some((*seq, self.items.get(seq)?)));
        let free = waiting.filter(|(seq, item)| item.sending.is_none() && self.ahead(*seq, item).is_none());
        free.map(|(_, item)| item.ready).min()
    }

    /// The next attempt of an event.
    pub(super) fn delivery(&self, event: Event) -> Delivery {
        let item = self.items.get(&event.seq);
        let attempt = item.map_or(0, |item| item.attempts).saturating_add(1);
        let origin = item.map(|item| item.origin).unwrap_or_default();
        Delivery { attempt, origin, ..Delivery::first(event) }
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
        for seq in slow {
            self.keep(seq, |item| {
                item.due = now;
                None
            });
        }
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
        for seq in followers {
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
            self.lines.entry(line.clone()).or_default().insert(seq);
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

impl Item {
    fn new(line: Option<Line>, event: Option<Event>) -> Self {
        Self {
            line,
            event,
            stored: false,
            sending: None,
            ready: Instant::now(),
            due: Timestamp::MIN,
            attempts: 0,
            tried_at: None,
            origin: DeliveryOrigin::Log,
            misses: 0,
            successes: 0,
        }
    }

    fn change(&self, seq: Seq, state: DeliveryState, error: Option<String>) -> DeliveryChange {
        DeliveryChange::Owe {
            seq,
            entity: self.line.as_ref().map(|line| line.1.clone()).filter(|entity| !entity.is_empty()),
            state,
            due: self.due,
            attempts: self.attempts,
            error,
            tried_at: self.tried_at,
            origin: self.origin,
        }
    }
}

/// The instant that lies so far ahead, or the end of time.
pub(super) fn ahead(now: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

fn size(event: &Event) -> usize {
    event.data.len() + event.meta.len()
}

fn cut(mut reason: String) -> String {
    if let Some((end, _)) = reason.char_indices().nth(REASON_CHARS) {
        reason.truncate(end);
    }
    reason
}
