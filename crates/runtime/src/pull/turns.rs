//! The two turns of a pull sink: taking a batch and confirming one.
//!
//! A turn reads the cursor and, without looking at its value, the entry `lease`, which changes with every change of
//! the deliveries. So whatever happens between its reads and its commit makes it conflict, and it starts over. That
//! holds for an extract that finds the batch of last time, too: its turn writes nothing, but it is checked like any.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use inboxclaw_contract::store::{DeliveryQuery, DeliveryRow, EventRow, Page, ReadLimit};
use inboxclaw_contract::turn::{DeliveryChange, DeliveryState, FactsPatch, TurnId};
use inboxclaw_contract::{
    DeliveryOrigin, Draft, Event, Expiry, Failure, OpenTurn, Outcome, Random, Selection, Seq, Store,
};
use jiff::Timestamp;

use super::batch::{self, Room, Taken};
use super::lease::{LEASE, Lease, batch_id};
use super::limits::{BATCH_BYTES, BATCH_EVENTS, LEASED_EVENTS};
use super::records::{self, Record, Records, Stop};
use super::{Batch, Parcel, PullError, PullSink, Wanted};
use crate::bodies::{AT_ONCE, Bodies};

/// How far the sink has come, by event type.
type Positions = BTreeMap<String, Seq>;

/// How often a turn starts over.
const TRIES: usize = 16;

/// The positions that a cursor holds.
fn positions(cursor: Option<&str>) -> Result<Positions, PullError> {
    let Some(cursor) = cursor else { return Ok(Positions::new()) };
    serde_json::from_str(cursor).map_err(|error| PullError::State(format!("its cursor: {error}")))
}

impl PullSink {
    /// Takes the next batch.
    ///
    /// # Errors
    /// [`PullError`], and then nothing was taken.
    pub async fn extract(
        &self,
        store: &dyn Store,
        random: &dyn Random,
        wanted: &Wanted,
    ) -> Result<Batch, PullError> {
        let Parcel { id, mut bodies, remaining, truncation, .. } = self.parcel(store, random, wanted).await?;
        let mut events = Vec::with_capacity(bodies.left());
        while let Some(event) = bodies.next(store).await? {
            events.push(event);
        }
        Ok(Batch { id, events, remaining, truncation })
    }

    /// Takes the next batch, whose bodies are read later.
    ///
    /// # Errors
    /// [`PullError`], and then nothing was taken.
    pub async fn parcel(
        &self,
        store: &dyn Store,
        random: &dyn Random,
        wanted: &Wanted,
    ) -> Result<Parcel, PullError> {
        let parcel = extract(self, store, random, wanted).await?;
        if parcel.id.is_some() {
            self.counts.batches.fetch_add(1, Ordering::Relaxed);
            self.counts.events.fetch_add(parcel.bodies.left() as u64, Ordering::Relaxed);
        }
        Ok(parcel)
    }

    /// Confirms a batch: its events never come again. Returns how many that were; 0 when the batch was confirmed
    /// before.
    ///
    /// # Errors
    /// [`PullError`], and then nothing is confirmed.
    pub async fn confirm(
        &self,
        store: &dyn Store,
        random: &dyn Random,
        batch: i64,
    ) -> Result<u64, PullError> {
        self.acknowledge(store, random, (batch, Seq(i64::MAX))).await
    }

    /// Confirms the events of a batch up to a place in the log: each type moves to its last one that is not behind it.
    /// Returns how many that were; the rest of the batch can still be confirmed.
    ///
    /// # Errors
    /// [`PullError`], and then nothing is confirmed.
    pub async fn acknowledge(
        &self,
        store: &dyn Store,
        random: &dyn Random,
        (batch, up_to): (i64, Seq),
    ) -> Result<u64, PullError> {
        let marked = retried(self, || try_confirm(self, store, random, (batch, up_to))).await?;
        self.counts.confirmed.fetch_add(marked, Ordering::Relaxed);
        self.released.notify_waiters();
        Ok(marked)
    }

    /// Moves the end of a batch's lease to `lease` from now; zero ends it. Returns how many events that holds for: those
    /// that are neither confirmed nor leased to somebody else by now.
    ///
    /// # Errors
    /// [`PullError`], and then nothing is changed.
    pub async fn extend(
        &self,
        store: &dyn Store,
        random: &dyn Random,
        (batch, lease): (i64, Duration),
    ) -> Result<u64, PullError> {
        let extended = retried(self, || try_extend(self, store, random, (batch, lease))).await?;
        self.released.notify_waiters();
        Ok(extended)
    }
}

/// Takes the next batch.
async fn extract(
    sink: &PullSink,
    store: &dyn Store,
    random: &dyn Random,
    wanted: &Wanted,
) -> Result<Parcel, PullError> {
    for attempt in 0..TRIES {
        // An extract without a lease disturbs nobody, so only one that was disturbed waits for its turn.
        let _turn = if attempt > 0 || wanted.lease.is_some() { Some(sink.turn.lock().await) } else { None };
        if let Some(batch) = try_extract(sink, store, random, wanted).await? {
            return Ok(batch);
        }
        sink.counts.conflicts.fetch_add(1, Ordering::Relaxed);
    }
    Err(PullError::Busy)
}

/// Tries until nobody was faster.
async fn retried<T, F>(sink: &PullSink, turn: impl Fn() -> F) -> Result<T, PullError>
where
    F: Future<Output = Result<Option<T>, PullError>>,
{
    for _ in 0..TRIES {
        let _turn = sink.turn.lock().await;
        if let Some(done) = turn().await? {
            return Ok(done);
        }
        sink.counts.conflicts.fetch_add(1, Ordering::Relaxed);
    }
    Err(PullError::Busy)
}

/// One try; `None` after a conflict.
async fn try_extract(
    sink: &PullSink,
    store: &dyn Store,
    random: &dyn Random,
    wanted: &Wanted,
) -> Result<Option<Parcel>, PullError> {
    let mut draft = open(sink, store, random).await?;
    let mut positions = positions(draft.cursor())?;
    let rows = deliveries(sink, store).await?;
    let selection = sink.wanted(positions.clone(), wanted.selector.clone());
    let room = room(wanted, &rows);
    let limit = limit(&rows, &selection, draft.now(), room);
    let (page, events) = read(store, &selection, limit).await?;
    let truncation = page.truncation;
    let outlived = outlived(sink, &rows, draft.now());
    let next_due = batch::next_due(&rows, &selection, draft.now());
    let taken = batch::take(rows, page, &selection, draft.now(), room);
    if taken.items.is_empty() {
        return Ok(Some(Parcel { remaining: taken.remaining, truncation, next_due, ..Parcel::default() }));
    }
    let remaining = taken.remaining;
    let bodies = bodies(&taken, events);
    let parcel = |id| Parcel { id: Some(id), bodies, remaining, truncation, next_due };
    let mut record = record(&taken, wanted);
    if wanted.lease.is_none()
        && let Some(known) = sink.records.same(store, sink.owner, &mut draft, &record).await?
    {
        let committed = commit(sink, draft, known.renewed).await?;
        return Ok(committed.then(|| parcel(known.id)));
    }
    let id = batch_id(random);
    if let Some(lease) = wanted.lease {
        let due = draft.now().checked_add(lease).map_err(|error| PullError::State(error.to_string()))?;
        let changes = leased(&taken, due).chain(outlived).collect();
        change_deliveries(
            &mut draft,
            changes,
            &Lease { batch: id, confirmed: false, at: due.as_microsecond() },
        )?;
        record.due = Some(due);
        advance(&mut draft, &mut positions, &taken.last)?;
    }
    let change = sink.records.add(store, sink.owner, &mut draft, (id, record)).await?;
    if !commit(sink, draft, true).await? {
        return Ok(None);
    }
    sink.records.stored(change);
    Ok(Some(parcel(id)))
}

/// One try; `None` after a conflict.
async fn try_confirm(
    sink: &PullSink,
    store: &dyn Store,
    random: &dyn Random,
    (batch, up_to): (i64, Seq),
) -> Result<Option<u64>, PullError> {
    let Some((mut draft, record)) = open_batch(sink, store, random, batch).await? else { return Ok(Some(0)) };
    let mut positions = positions(draft.cursor())?;
    let rows = deliveries(sink, store).await?;
    // Up to its last event of a type, a batch holds all that was not confirmed; so it does up to any place before.
    let part = record.up_to(up_to);
    let is_whole = part.last == record.last;
    let marked =
        if is_whole { record.count } else { unconfirmed(sink, store, &positions, &rows, &part).await? };
    if marked == 0 && !is_whole {
        return Ok(Some(0));
    }
    let mut changes = outlived(sink, &rows, draft.now());
    changes.extend(rows.iter().filter(|row| is_confirmed(row, &part)).map(done));
    if !changes.is_empty() {
        change_deliveries(&mut draft, changes, &Lease { batch, confirmed: is_whole, at: up_to.0 })?;
    }
    advance(&mut draft, &mut positions, &part.last)?;
    let change = if is_whole {
        sink.records.confirm(store, sink.owner, &mut draft, batch).await?
    } else {
        Records::change(&mut draft, batch, Record { count: record.count.saturating_sub(marked), ..record })?
    };
    if !commit(sink, draft, true).await? {
        return Ok(None);
    }
    sink.records.stored(change);
    Ok(Some(marked))
}

/// How many of the events of a part of a batch are not confirmed yet: those with a delivery, and those that lie beyond
/// the positions.
async fn unconfirmed(
    sink: &PullSink,
    store: &dyn Store,
    positions: &Positions,
    rows: &[DeliveryRow],
    part: &Record,
) -> Result<u64, PullError> {
    let selection = sink.wanted(positions.clone(), part.selector.clone());
    let limit = ReadLimit { events: BATCH_EVENTS, bytes: usize::MAX, count: false };
    let page = store.rows(&selection, limit).await?;
    let owed: BTreeSet<Seq> = rows.iter().filter(|row| is_confirmed(row, part)).map(|row| row.seq).collect();
    let is_fresh = |row: &&EventRow| {
        let last = part.last.get(&row.event_type);
        let is_held = rows.binary_search_by_key(&row.seq, |held| held.seq).is_ok();
        last.is_some_and(|last| row.seq <= *last) && !is_held
    };
    Ok((owed.len() + page.events.iter().filter(is_fresh).count()) as u64)
}

/// One try; `None` after a conflict.
async fn try_extend(
    sink: &PullSink,
    store: &dyn Store,
    random: &dyn Random,
    (batch, lease): (i64, Duration),
) -> Result<Option<u64>, PullError> {
    let Some((mut draft, record)) = open_batch(sink, store, random, batch).await? else { return Ok(Some(0)) };
    let Some(until) = record.due else { return Err(PullError::NoLease(batch)) };
    let rows = deliveries(sink, store).await?;
    // A lease ends later than every lease of the same event before it. So what is due at another time is not its own.
    let is_own =
        |row: &&DeliveryRow| is_confirmed(row, &record) && row.due.as_microsecond() == until.as_microsecond();
    let due = draft.now().checked_add(lease).map_err(|error| PullError::State(error.to_string()))?;
    let changes: Vec<_> = rows.iter().filter(is_own).map(|row| due_at(row, due)).collect();
    if changes.is_empty() {
        return Ok(Some(0));
    }
    let extended = changes.len() as u64;
    change_deliveries(&mut draft, changes, &Lease { batch, confirmed: false, at: due.as_microsecond() })?;
    let change = Records::change(&mut draft, batch, Record { due: Some(due), ..record })?;
    if !commit(sink, draft, true).await? {
        return Ok(None);
    }
    sink.records.stored(change);
    Ok(Some(extended))
}

/// A turn about a batch, with what is remembered of it; `None` when it is confirmed.
async fn open_batch<'a>(
    sink: &PullSink,
    store: &'a dyn Store,
    random: &dyn Random,
    batch: i64,
) -> Result<Option<(OpenTurn<'a>, Record)>, PullError> {
    let mut draft = open(sink, store, random).await?;
    let record: Option<Record> = draft.get(&records::key(batch)).await.map_err(broken)?;
    let record = record.ok_or(PullError::NotFound(batch))?;
    Ok((!record.confirmed).then_some((draft, record)))
}

/// The same delivery, due at another time.
fn due_at(row: &DeliveryRow, due: Timestamp) -> DeliveryChange {
    DeliveryChange::Owe {
        seq: row.seq,
        entity: row.entity_id.clone(),
        state: row.state,
        due,
        attempts: row.attempts,
        error: row.error.clone(),
        tried_at: row.tried_at,
        origin: row.origin,
    }
}

async fn open<'a>(
    sink: &PullSink,
    store: &'a dyn Store,
    random: &dyn Random,
) -> Result<OpenTurn<'a>, PullError> {
    let mut draft = OpenTurn::open(store, sink.owner, TurnId(random.next())).await?;
    draft.turn_mut().reads.keys.insert(LEASE.to_owned());
    Ok(draft)
}

/// Stores the turn, which shows that the consumer is there if it writes something; `false` after a conflict.
async fn commit(sink: &PullSink, mut draft: OpenTurn<'_>, writes: bool) -> Result<bool, PullError> {
    if writes {
        let seen = FactsPatch { seen: true, ..FactsPatch::default() };
        draft.turn_mut().facts.push((sink.owner, seen));
    }
    Ok(matches!(draft.commit().await?, Outcome::Committed(_)))
}

/// All deliveries of the sink. There are few: [`room`] sees to it.
async fn deliveries(sink: &PullSink, store: &dyn Store) -> Result<Vec<DeliveryRow>, PullError> {
    Ok(store.deliveries(sink.owner, DeliveryQuery::all(usize::MAX)).await?.deliveries)
}

/// The page of the log that a batch is picked from, and as many bodies as are read at once: all of a small one. Of a
/// large one the bodies are read when they are sent.
async fn read(
    store: &dyn Store,
    selection: &Selection,
    limit: ReadLimit,
) -> Result<(Page<EventRow>, Vec<Event>), PullError> {
    let bytes = limit.bytes.min(AT_ONCE);
    let Page { events, remaining, complete, head, truncation } =
        store.read(selection, ReadLimit { bytes, ..limit }).await?;
    let page = if complete || events.len() >= limit.events || bytes == limit.bytes {
        let rows = events.iter().map(row_of).collect();
        Page { events: rows, remaining, complete, head, truncation }
    } else {
        store.rows(selection, limit).await?
    };
    Ok((page, events))
}

fn row_of(event: &Event) -> EventRow {
    EventRow {
        seq: event.seq,
        event_type: event.event_type.clone(),
        entity_id: event.entity_id.clone(),
        bytes: event.data.len() + event.meta.len(),
    }
}

/// The bodies of a batch, those of `events` known already.
fn bodies(taken: &Taken, events: Vec<Event>) -> Bodies {
    let seqs: Vec<Seq> = taken.items.iter().map(|item| item.row.seq).collect();
    let held: BTreeSet<Seq> = seqs.iter().copied().collect();
    Bodies::new(seqs, events.into_iter().filter(|event| held.contains(&event.seq)))
}

/// What the sink owes once a batch is leased until `due`.
fn leased(taken: &Taken, due: Timestamp) -> impl Iterator<Item = DeliveryChange> {
    taken.items.iter().map(move |item| DeliveryChange::Owe {
        seq: item.row.seq,
        entity: item.row.entity_id.clone(),
        state: DeliveryState::Waiting,
        due,
        attempts: item.leased.unwrap_or(0) + 1,
        error: None,
        tried_at: None,
        origin: DeliveryOrigin::Log,
    })
}

/// How much a batch may hold. What is leased is looked at with each request, so it is bounded.
fn room(wanted: &Wanted, rows: &[DeliveryRow]) -> Room {
    let events = wanted.size.unwrap_or(BATCH_EVENTS).min(BATCH_EVENTS);
    let fresh = wanted.lease.map(|_| LEASED_EVENTS.saturating_sub(rows.len()));
    Room { events, bytes: BATCH_BYTES, fresh }
}

/// How much of the log to read. Events that have a delivery are not taken from there, so they come on top: else a
/// page full of them would look like the end.
fn limit(rows: &[DeliveryRow], wanted: &Selection, now: Timestamp, room: Room) -> ReadLimit {
    let overlap = batch::overlap(rows, wanted, now);
    let bytes: usize = overlap.clone().map(|row| row.bytes).sum();
    ReadLimit { events: room.events + overlap.count(), bytes: room.bytes + bytes, count: true }
}

/// Deliveries that nobody is to get any more.
fn outlived(sink: &PullSink, rows: &[DeliveryRow], now: Timestamp) -> Vec<DeliveryChange> {
    let wanted = sink.wanted(Positions::new(), None);
    rows.iter().filter(|row| batch::is_outlived(row, &wanted, now)).map(done).collect()
}

fn is_confirmed(row: &DeliveryRow, record: &Record) -> bool {
    let last = record.last.get(&row.event_type);
    last.is_some_and(|last| row.seq <= *last) && record.excluded.binary_search(&row.seq).is_err()
}

fn done(row: &DeliveryRow) -> DeliveryChange {
    DeliveryChange::Done { seq: row.seq }
}

fn change_deliveries(
    draft: &mut OpenTurn<'_>,
    changes: Vec<DeliveryChange>,
    lease: &Lease,
) -> Result<(), PullError> {
    draft.turn_mut().deliveries = changes;
    draft.put(LEASE, lease, Expiry::Never).map_err(broken)
}

fn record(taken: &Taken, wanted: &Wanted) -> Record {
    Record {
        last: taken.last.clone(),
        count: taken.items.len() as u64,
        confirmed: false,
        excluded: taken.excluded.clone(),
        leased: wanted.lease.is_some(),
        due: None,
        selector: wanted.selector.clone(),
    }
}

/// Moves the positions to `last`, never back.
fn advance(draft: &mut Draft<'_>, positions: &mut Positions, last: &Positions) -> Result<(), PullError> {
    let mut moved = false;
    for (kind, last) in last {
        let position = positions.entry(kind.clone()).or_default();
        if last > position {
            *position = *last;
            moved = true;
        }
    }
    if !moved {
        return Ok(());
    }
    let cursor = serde_json::to_string(positions).map_err(|error| PullError::State(error.to_string()))?;
    draft.set_cursor(Some(cursor)).map_err(broken)
}

fn broken(failure: Failure) -> PullError {
    PullError::State(failure.to_string())
}

impl From<Stop> for PullError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Store(error) => error.into(),
            Stop::Failed(failure) => broken(failure),
        }
    }
}
