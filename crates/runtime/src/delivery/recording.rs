//! Recording for a push sink: its position, and what it owes out of order.

use std::collections::BTreeMap;
use std::sync::Arc;

use inboxclaw_contract::turn::{DeliveryChange, FactsPatch};
use inboxclaw_contract::{Expiry, OpenTurn, Outcome, OwnerId, Seq, StoreError, Version};
use jiff::Timestamp;
use tokio::time::Instant;

use super::{DeliveryLoop, RECORD, RECORD_AFTER, Stop};
use crate::health::Trouble;
use crate::replay::{self, Replay};
use crate::runner::Env;
use crate::schedule::AGAIN;
use crate::stats::count;
use crate::turn::seen_version;

/// What is stored together: what became of some events, and where the sink stands with them.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) sum: Sum,
    changes: BTreeMap<Seq, DeliveryChange>,
    /// The new cursor, if it moves.
    cursor: Option<String>,
    facts: Option<FactsPatch>,
    /// How far the replay came, if it moves.
    replay: Option<Replay>,
}

/// A replay that runs.
#[derive(Debug)]
pub(super) struct Replaying {
    /// As the state has it.
    pub(super) job: Replay,
    /// How far the log was read for it.
    pub(super) read_to: Seq,
    /// How many of its events were taken.
    pub(super) sent: u64,
}

impl Replaying {
    pub(super) fn new(job: Replay) -> Self {
        Self { read_to: job.position, sent: job.sent, job }
    }

    /// Whether the log was read to its end.
    pub(super) fn is_read(&self) -> bool {
        self.read_to >= self.job.until
    }
}

/// What became of events.
#[derive(Debug, Default)]
pub(super) struct Sum {
    pub(super) done: u64,
    pub(super) again: u64,
    pub(super) dead: u64,
    /// Why the first of those that are tried again failed.
    pub(super) reason: Option<String>,
}

/// How storing a record ended.
pub(super) enum Recorded {
    /// It is stored; the state has this version, of which the loop knows that much.
    Stored { known: Version, now: Timestamp, wrote: bool },
    /// Somebody set the cursor: all but the position is stored.
    Edited,
}

impl Sum {
    /// How many events it is about.
    pub(super) fn events(&self) -> usize {
        usize::try_from(self.done + self.again + self.dead).unwrap_or(usize::MAX)
    }
}

impl DeliveryLoop {
    /// Whether something is to be recorded.
    pub(super) fn is_unrecorded(&self) -> bool {
        self.next.sum.events() > 0 || !self.queue.is_unchanged() || self.replayed().is_some()
    }

    /// The replay as its state is to be, where it moved.
    fn replayed(&self) -> Option<Replay> {
        let Replaying { job, read_to, sent } = self.replay.as_ref()?;
        let position = self.queue.first_replayed().map_or(*read_to, |first| Seq(first.0 - 1));
        let ended = position >= job.until;
        let moved = Replay { position, sent: *sent, ended, ..job.clone() };
        (moved != *job).then_some(moved)
    }

    /// How many events were sent and are not recorded.
    pub(super) fn unrecorded(&self) -> usize {
        self.next.sum.events() + self.storing_events
    }

    /// Whether the position moved over unwanted events, which alone is worth no write for long.
    pub(super) fn position_lags(&self) -> bool {
        self.cursor_of_queue().is_some()
    }

    /// The cursor, where it is to change. A sink that has no position yet gets one with its first event.
    fn cursor_of_queue(&self) -> Option<String> {
        let position = self.queue.position().0;
        let known = self.cursor.as_deref().and_then(|cursor| cursor.parse().ok());
        (position > known.unwrap_or(self.intake.after.0)).then(|| position.to_string())
    }

    /// Begins to store a record when it is time.
    pub(super) fn record_when_due(&mut self) {
        if self.storing.is_some() {
            return;
        }
        if self.is_unrecorded() {
            let since = *self.unrecorded_since.get_or_insert_with(Instant::now);
            if self.next.sum.events() >= RECORD || since.elapsed() >= RECORD_AFTER {
                self.start_record();
            }
        } else if self.position_lags() && self.cursor_at.elapsed() >= super::POSITION_AFTER {
            self.start_record();
        }
    }

    pub(super) fn start_record(&mut self) {
        let record = self.take_record();
        self.storing_events = record.sum.events();
        let (env, id, cursor) = (self.runner.env.clone(), self.runner.id, self.cursor.clone());
        self.storing = Some(tokio::spawn(async move {
            let recorded = store(&env, id, cursor, &record).await;
            (record, recorded)
        }));
    }

    /// Everything that is to be recorded now.
    pub(super) fn take_record(&mut self) -> Record {
        self.queue.store_stragglers(self.now(), 2 * RECORD_AFTER);
        let mut record = std::mem::take(&mut self.next);
        record.changes = self.queue.take_changes();
        record.cursor = self.cursor_of_queue();
        record.replay = self.replayed();
        record.facts = self.facts(record.sum.done > 0);
        self.unrecorded_since = None;
        record
    }

    /// Run facts: that the consumer was seen, and that what failed before works again.
    fn facts(&self, seen: bool) -> Option<FactsPatch> {
        match self.runner.clearing().filter(|_| !self.receiver.is_down()) {
            Some(patch) => Some(FactsPatch { seen, ..patch }),
            None => seen.then(|| FactsPatch { seen, ..FactsPatch::default() }),
        }
    }

    /// Takes in how storing a record ended. What could not be stored is kept for the next time.
    pub(super) fn recorded(
        &mut self,
        record: Record,
        recorded: Result<Recorded, StoreError>,
    ) -> Result<(), Stop> {
        self.storing_events = 0;
        match recorded {
            Ok(Recorded::Stored { known, now, wrote }) => {
                self.looked_at_clock(now);
                self.version = known;
                if record.cursor.is_some() {
                    self.cursor = record.cursor;
                }
                self.cursor_at = Instant::now();
                self.replay_recorded(record.replay);
                self.report(&record.sum, wrote);
                Ok(())
            }
            Ok(Recorded::Edited) => {
                self.report(&record.sum, true);
                // Both are read again.
                (self.stale, self.replay) = (true, None);
                Ok(())
            }
            Err(error) => {
                self.put_back(record);
                Err(error.into())
            }
        }
    }

    fn replay_recorded(&mut self, stored: Option<Replay>) {
        let Some(stored) = stored else { return };
        if stored.ended {
            let (owner, replay, events) = (&self.runner.owner, stored.id, stored.sent);
            tracing::info!(%owner, replay, events, "a replay is at its end");
            self.replay = None;
        } else if let Some(replaying) = &mut self.replay {
            replaying.job = stored;
        }
    }

    fn put_back(&mut self, record: Record) {
        self.queue.put_back(record.changes);
        let (sum, before) = (&mut self.next.sum, record.sum);
        (sum.done, sum.again, sum.dead) =
            (sum.done + before.done, sum.again + before.again, sum.dead + before.dead);
        sum.reason = before.reason.or(sum.reason.take());
        self.unrecorded_since = Some(Instant::now());
    }

    /// Counts and shows what a stored record says.
    pub(super) fn report(&mut self, sum: &Sum, wrote: bool) {
        let counters = self.runner.counters.clone();
        count(&counters.delivered, sum.done);
        count(&counters.again, sum.again);
        count(&counters.dead, sum.dead);
        if self.receiver.is_down() {
            self.runner.stored(wrote);
            return;
        }
        self.runner.committed(wrote);
        let (owner, health) = (&self.runner.owner, self.runner.env.health());
        match &sum.reason {
            _ if sum.done + sum.dead > 0 => health.succeeded(owner),
            Some(reason) => health.failed(owner, Trouble::new(AGAIN.code, reason.clone())),
            None if self.queue.is_empty() => health.succeeded(owner),
            None => health.touched(owner),
        }
    }
}

/// Stores a record. `known` is the cursor as it was last seen; if it is another one by now, a person set it, and the
/// position of the record is no longer wanted.
async fn store(
    env: &Arc<Env>,
    id: OwnerId,
    known: Option<String>,
    record: &Record,
) -> Result<Recorded, StoreError> {
    loop {
        let mut turn = OpenTurn::open(env.store.as_ref(), id, env.turn_id()).await?;
        let is_edited = turn.cursor() != known.as_deref() || is_ended(&mut turn, record).await?;
        if !fill(&mut turn, record, is_edited) {
            return Ok(Recorded::Edited);
        }
        let (now, wrote, known) = (turn.now(), !turn.turn_mut().is_empty(), seen_version(turn.turn_mut()));
        match turn.commit().await? {
            Outcome::Committed(_) if is_edited => return Ok(Recorded::Edited),
            Outcome::Committed(committed) => {
                return Ok(Recorded::Stored { known: known(committed.version), now, wrote });
            }
            // The cursor was set in between.
            Outcome::Conflict(_) => {}
        }
    }
}

/// Whether a person ended the replay, or put another in its place.
pub(super) async fn is_ended(turn: &mut OpenTurn<'_>, record: &Record) -> Result<bool, StoreError> {
    let Some(replay) = &record.replay else { return Ok(false) };
    let found = replay::read(turn).await;
    if let Some(error) = turn.store_error() {
        return Err(error);
    }
    Ok(!matches!(found, Ok(Some(found)) if found.id == replay.id && !found.ended))
}

/// Writes a record into a turn of the sink; `false` when the store would refuse it.
pub(super) fn fill(turn: &mut OpenTurn<'_>, record: &Record, is_edited: bool) -> bool {
    if let Some(cursor) = record.cursor.clone().filter(|_| !is_edited)
        && turn.set_cursor(Some(cursor)).is_err()
    {
        return false;
    }
    if let Some(replay) = record.replay.as_ref().filter(|_| !is_edited)
        && turn.put(replay::KEY, replay, Expiry::Never).is_err()
    {
        return false;
    }
    let owner = turn.turn_mut().owner;
    turn.turn_mut().deliveries.extend(record.changes.values().cloned());
    turn.turn_mut().facts.extend(record.facts.clone().map(|patch| (owner, patch)));
    true
}
