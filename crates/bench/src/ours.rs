//! Our store as a benchmark uses it: through the traits, as the runtime does.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use inboxclaw_contract::turn::{EntryChange, Outcome, TurnId};
use inboxclaw_contract::{
    Clock, Expiry, Failure, Housekeeping, Json, NewEvent, OpenTurn, Owner, OwnerId, State, Turn,
};
use inboxclaw_store::{HistoryBounds, Options, SqliteStore};
use jiff::Timestamp;

use crate::data::{self, LOAD_STEP};

/// The type of the events that all benchmarks write.
pub(crate) const EVENT_TYPE: &str = "mail.message_received";

/// A store and its owners.
pub(crate) struct Ours {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) owners: Vec<OwnerId>,
}

struct WallClock;

/// How far the clock of our stores is ahead, in seconds.
static CLOCK_OFFSET: AtomicU64 = AtomicU64::new(0);

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp::now() + Duration::from_secs(CLOCK_OFFSET.load(Ordering::Relaxed))
    }
}

/// Advances the clock of our stores, without waiting.
pub(crate) fn advance_clock(seconds: u64) {
    CLOCK_OFFSET.fetch_add(seconds, Ordering::Relaxed);
}

impl Ours {
    pub(crate) async fn new(folder: &Path, owners: usize) -> anyhow::Result<Self> {
        Self::with_history(folder, owners, HistoryBounds::default()).await
    }

    pub(crate) async fn with_history(
        folder: &Path,
        owners: usize,
        history: HistoryBounds,
    ) -> anyhow::Result<Self> {
        let options = Options { history, ..Options::new(Arc::new(WallClock)) };
        let store = SqliteStore::open(&folder.join("ours.db"), options)?;
        let mut ids = Vec::new();
        for n in 0..owners {
            ids.push(store.register(&Owner::source(format!("source-{n}")), "bench").await?);
        }
        Ok(Self { store: Arc::new(store), owners: ids })
    }

    /// One durable turn: so many events, and a cursor.
    pub(crate) async fn turn(&self, owner: usize, events: usize) -> anyhow::Result<()> {
        self.turn_of(owner, EVENT_TYPE, events).await
    }

    pub(crate) async fn turn_of(&self, owner: usize, event_type: &str, events: usize) -> anyhow::Result<()> {
        let owner = *self.owners.get(owner).context("no such owner")?;
        commit_turn(&self.store, owner, event_type, events, []).await
    }
}

/// Commits a turn of an owner, as its connector does: so many events of a type, these keys with their values, and a
/// cursor.
pub(crate) async fn commit_turn(
    store: &SqliteStore,
    owner: OwnerId,
    event_type: &str,
    events: usize,
    puts: impl IntoIterator<Item = (String, Json)>,
) -> anyhow::Result<()> {
    let first = next(events);
    let mut draft = OpenTurn::open(store, owner, TurnId(first.into())).await?;
    for id in first..first + events as u64 {
        let event = NewEvent::new(format!("event-{id}"), event_type, Json::new(data::event(id))?);
        draft.emit(event.entity(format!("thing-{id}"))).map_err(cause)?;
    }
    for (key, value) in puts {
        draft.put(&key, &value, Expiry::Keep).map_err(cause)?;
    }
    draft.set_cursor(Some(format!("cursor-{first}"))).map_err(cause)?;
    match draft.commit().await? {
        Outcome::Committed(done) if done.stored == events as u64 => Ok(()),
        other => bail!("the turn was not stored whole: {other:?}"),
    }
}

/// The first of `count` numbers that were never used before, by ours or by a peer.
pub(crate) fn next(count: usize) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(count as u64, Ordering::Relaxed)
}

/// Puts the entries of these numbers into an owner's space, in turns of some thousand.
pub(crate) async fn fill(
    store: &SqliteStore,
    owner: OwnerId,
    numbers: Range<u64>,
    expiry: Expiry,
    entry: impl Fn(u64) -> (String, String),
) -> anyhow::Result<()> {
    for step in numbers.clone().step_by(usize::try_from(LOAD_STEP)?) {
        let base = store.snapshot(owner).await?.version;
        let mut turn = Turn::new(TurnId(next(1).into()), owner, base);
        for n in step..(step + LOAD_STEP).min(numbers.end) {
            let (key, value) = entry(n);
            turn.entries.insert(key, EntryChange::Put { value: Json::new(value)?, expiry, secret: false });
        }
        committed(&store.commit(turn).await?)?;
    }
    Ok(())
}

/// Fails when the turn was refused.
pub(crate) fn committed(outcome: &Outcome) -> anyhow::Result<()> {
    match outcome {
        Outcome::Committed(_) => Ok(()),
        Outcome::Conflict(conflict) => bail!("nobody else writes, and yet: {conflict}"),
    }
}

/// What a connector's error says.
pub(crate) fn cause(failure: Failure) -> anyhow::Error {
    failure.cause
}
