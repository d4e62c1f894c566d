//! The batches that a sink remembers until they are confirmed, and some time beyond: entries of its state, under
//! `batch:` and the number.
//!
//! So that a consumer that asks again and again without confirming does not fill the state, the same events for the
//! same request are the same batch, and of each kind only so many are kept. The oldest goes; who confirms it is told
//! that it is not known (404), and its events come again. What is kept in memory here is an index of the entries: it
//! says where to look and what is too much, and whatever it says is checked against the state within a turn.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use inboxclaw_contract::{Draft, Expiry, Failure, OwnerId, Seq, Store, StoreError};
use inboxclaw_settings::Patterns;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::limits::{BATCH_LASTS, LEASED_EVENTS};

/// Most unconfirmed batches without a lease. A consumer has one at a time.
pub const PLAIN_BATCHES: usize = 100;
/// Most unconfirmed batches with a lease: each leases an event at least.
const LEASED_BATCHES: usize = LEASED_EVENTS;
/// Most confirmed batches. They are kept so that confirming twice is no error.
const CONFIRMED_BATCHES: usize = 1_000;
/// Most entries that one turn removes.
const REMOVED_AT_ONCE: usize = 1_000;
/// A batch that is handed out again lasts anew, which is written only when so much of its time has passed.
const RENEWED_AFTER: Duration = Duration::from_secs(60 * 60);
/// How many entries are read at once.
const PAGE: usize = 1_000;

const PREFIX: &str = "batch:";

/// What is remembered of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The last seq of each event type in it.
    pub(super) last: BTreeMap<String, Seq>,
    /// How many events it held.
    pub(super) count: u64,
    pub(super) confirmed: bool,
    /// Events up to `last` that it did not hold because they were leased, in order.
    pub(super) excluded: Vec<Seq>,
    /// Whether its events are leased. Records of earlier versions do not say; they may be.
    #[serde(default = "unknown")]
    pub(super) leased: bool,
    /// When its lease ends. The rows of its events are due then, unless they are somebody else's by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) due: Option<Timestamp>,
    /// What the request asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) selector: Option<Patterns>,
}

impl Record {
    /// The part of the batch that does not lie behind a place.
    pub(super) fn up_to(&self, place: Seq) -> Self {
        let last =
            self.last.iter().map(|(event_type, last)| (event_type.clone(), (*last).min(place))).collect();
        Self { last, ..self.clone() }
    }
}

fn unknown() -> bool {
    true
}

/// The key of a batch.
pub(super) fn key(batch: i64) -> String {
    format!("{PREFIX}{batch}")
}

/// The index.
#[derive(Default)]
pub(super) struct Records(OnceCell<Mutex<Index>>);

/// The batches of each kind, the oldest first.
#[derive(Default)]
struct Index {
    plain: VecDeque<(i64, Record)>,
    leased: VecDeque<i64>,
    confirmed: VecDeque<i64>,
}

impl Records {
    /// Puts a new batch into the draft, and takes out what is too much. Returns what to tell
    /// [`stored`](Self::stored) once the turn is committed.
    pub(super) async fn add(
        &self,
        store: &dyn Store,
        owner: OwnerId,
        draft: &mut Draft<'_>,
        (id, record): (i64, Record),
    ) -> Result<Change, Stop> {
        draft.check(&key(id), None);
        draft.put(&key(id), &record, Expiry::For(BATCH_LASTS + RENEWED_AFTER))?;
        let removed = self.index(store, owner).await?.excess(record.leased);
        self.remove(draft, id, record, removed)
    }

    /// Puts a batch that is known already into the draft anew, and makes it last anew.
    pub(super) fn change(draft: &mut Draft<'_>, id: i64, record: Record) -> Result<Change, Stop> {
        draft.put(&key(id), &record, Expiry::For(BATCH_LASTS + RENEWED_AFTER))?;
        Ok(Change { id, record, removed: Vec::new() })
    }

    /// Marks a batch as confirmed in the draft. It lasts as long as before.
    pub(super) async fn confirm(
        &self,
        store: &dyn Store,
        owner: OwnerId,
        draft: &mut Draft<'_>,
        id: i64,
    ) -> Result<Change, Stop> {
        let record = Record { confirmed: true, ..Record::default() };
        draft.put(&key(id), &record, Expiry::Keep)?;
        let removed = excess(&self.index(store, owner).await?.confirmed, CONFIRMED_BATCHES);
        self.remove(draft, id, record, removed)
    }

    fn remove(
        &self,
        draft: &mut Draft<'_>,
        id: i64,
        record: Record,
        removed: Vec<i64>,
    ) -> Result<Change, Stop> {
        for old in removed.iter().filter(|old| **old != id) {
            draft.delete(&key(*old))?;
        }
        Ok(Change { id, record, removed })
    }

    /// What a committed turn changed.
    pub(super) fn stored(&self, change: Change) {
        if let Some(index) = self.0.get() {
            lock(index).apply(change);
        }
    }

    /// The batch of the same content that was handed out before, if it is still there. The draft depends on it, and
    /// makes it last anew.
    pub(super) async fn same(
        &self,
        store: &dyn Store,
        owner: OwnerId,
        draft: &mut Draft<'_>,
        record: &Record,
    ) -> Result<Option<Repeated>, Stop> {
        let known = self.index(store, owner).await?.find(record);
        let Some(id) = known else { return Ok(None) };
        let entry = draft.entry(&key(id)).await?;
        let Some(entry) = entry.filter(|entry| entry.parse::<Record>().is_ok_and(|found| found == *record))
        else {
            self.index(store, owner).await?.plain.retain(|(known, _)| *known != id);
            return Ok(None);
        };
        draft.check(&entry.key, Some(entry.revision));
        let left = entry.expires_at.map(|at| Duration::try_from(at.duration_since(draft.now())));
        let renewed = left.is_some_and(|left| left.is_ok_and(|left| left < BATCH_LASTS));
        if renewed {
            draft.touch(&entry.key, Expiry::For(BATCH_LASTS + RENEWED_AFTER))?;
        }
        Ok(Some(Repeated { id, renewed }))
    }

    /// The index, read from the state when it is first needed.
    async fn index(&self, store: &dyn Store, owner: OwnerId) -> Result<MutexGuard<'_, Index>, StoreError> {
        let index = self.0.get_or_try_init(|| async {
            let read = Index::read(store, owner).await?;
            Ok::<_, StoreError>(Mutex::new(read))
        });
        Ok(lock(index.await?))
    }
}

/// A change of the records that is part of a turn.
pub(super) struct Change {
    id: i64,
    record: Record,
    removed: Vec<i64>,
}

/// A batch that is handed out once more.
pub(super) struct Repeated {
    pub(super) id: i64,
    /// Whether the turn writes that it lasts anew.
    pub(super) renewed: bool,
}

/// Why records cannot be changed.
pub(super) enum Stop {
    Store(StoreError),
    Failed(Failure),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Index {
    async fn read(store: &dyn Store, owner: OwnerId) -> Result<Self, StoreError> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.list(owner, PREFIX, after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|entry| entry.key.clone());
            // What a person put there is none of ours.
            found.extend(page.into_iter().filter_map(|entry| {
                let id = entry.key.strip_prefix(PREFIX)?.parse().ok()?;
                Some((entry.revision, id, entry.parse().ok()?))
            }));
            if is_last {
                break;
            }
        }
        found.sort_by_key(|(revision, ..)| *revision);
        let mut index = Self::default();
        for (_, id, record) in found {
            index.push(id, record);
        }
        Ok(index)
    }

    fn push(&mut self, id: i64, record: Record) {
        if record.confirmed {
            self.confirmed.push_back(id);
        } else if record.leased {
            self.leased.push_back(id);
        } else {
            self.plain.push_back((id, record));
        }
    }

    /// Which go when one more batch is handed out.
    fn excess(&self, leased: bool) -> Vec<i64> {
        if leased {
            return excess(&self.leased, LEASED_BATCHES);
        }
        excess(self.plain.iter().map(|(id, _)| id), PLAIN_BATCHES)
    }

    fn find(&self, record: &Record) -> Option<i64> {
        self.plain.iter().rev().find(|(_, known)| known == record).map(|(id, _)| *id)
    }

    fn apply(&mut self, Change { id, record, removed }: Change) {
        let is_gone = |known: &i64| *known == id || removed.contains(known);
        self.plain.retain(|(known, _)| !is_gone(known));
        self.leased.retain(|known| !is_gone(known));
        self.confirmed.retain(|known| !is_gone(known));
        self.push(id, record);
    }
}

/// The oldest ones that go so that one more makes `most`.
fn excess<'a>(ids: impl IntoIterator<Item = &'a i64, IntoIter: ExactSizeIterator>, most: usize) -> Vec<i64> {
    let ids = ids.into_iter();
    let excess = (ids.len() + 1).saturating_sub(most).min(REMOVED_AT_ONCE);
    ids.take(excess).copied().collect()
}

fn lock(index: &Mutex<Index>) -> MutexGuard<'_, Index> {
    index.lock().unwrap_or_else(PoisonError::into_inner)
}
