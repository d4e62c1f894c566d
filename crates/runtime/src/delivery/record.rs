//! What a push sink stores together: what became of some events, its position, how far a replay came. As data, and how it
//! gets into a turn; what is put into it is in `recording.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use inboxclaw_contract::turn::{DeliveryChange, FactsPatch};
use inboxclaw_contract::{Expiry, OpenTurn, Outcome, OwnerId, Seq, StoreError, Version};
use jiff::Timestamp;

use crate::replay::{self, Replay};
use crate::runner::Env;
use crate::turn::seen_version;

/// What is stored together: what became of some events, and where the sink stands with them.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) sum: Sum,
    pub(super) changes: BTreeMap<Seq, DeliveryChange>,
    /// The new cursor, if it moves.
    pub(super) cursor: Option<String>,
    pub(super) facts: Option<FactsPatch>,
    /// How far the replay came, if it moves.
    pub(super) replay: Option<Replay>,
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

/// Stores a record. `known` is the cursor as it was last seen; if it is another one by now, a person set it, and the
/// position of the record is no longer wanted.
pub(super) async fn store(
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
