//! Replays: events of the log that a sink is sent once more, because a person asks for it. A replay is a job with a position
//! of its own in the sink's state; the loop of the sink sends its events behind all others, outside their order and their
//! time to live. One at a time for a sink.

use inboxclaw_contract::store::ReadLimit;
use inboxclaw_contract::turn::TurnId;
use inboxclaw_contract::{
    Draft, Expiry, Failure, OpenTurn, Outcome, OwnerId, Selection, Seq, Store, StoreError,
};
use inboxclaw_settings::{Interval, Patterns, Ttl};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where the job lies in the sink's state.
pub(crate) const KEY: &str = "replay";

/// Events are looked for from so many seconds before the time that is asked for.
const SLACK: u64 = 5;
/// How much of the log is looked at in one go.
const PAGE: ReadLimit = ReadLimit { events: 500, bytes: 1 << 20, count: false };

/// What to send once more.
#[derive(Debug, Clone)]
pub struct ReplayRequest {
    /// What the sink takes.
    pub patterns: Patterns,
    /// Only these of it.
    pub selector: Option<Patterns>,
    /// Only events stored at this time or later.
    pub since: Timestamp,
    /// Only events stored before this time.
    pub until: Option<Timestamp>,
}

/// A replay of a sink, as its state holds it: the one that runs, or the last one that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// Counts the replays of the sink, from 1.
    pub id: u64,
    /// What the sink took when it was asked for.
    #[serde(rename = "match")]
    pub patterns: Patterns,
    /// Only these of it.
    pub types: Option<Patterns>,
    /// Everything up to here is sent, or waits for another attempt.
    pub position: Seq,
    /// The last event that belongs to it.
    pub until: Seq,
    /// How many events it had when it was asked for.
    pub events: u64,
    /// How many of them were taken.
    pub sent: u64,
    /// Whether it is at its end.
    pub ended: bool,
}

/// Why there is no replay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// One is running.
    #[error(
        "replay {0} of this sink is running; wait for its end, or end it with `inboxclaw replay --sink SINK --end`"
    )]
    Running(u64),
    /// What lies in the sink's state is no replay, or cannot be written.
    #[error("{0}")]
    State(Failure),
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Failure> for ReplayError {
    fn from(failure: Failure) -> Self {
        Self::State(failure)
    }
}

impl ReplayRequest {
    /// What the replay would be, without its number.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn plan(&self, store: &dyn Store, sink: OwnerId) -> Result<Replay, StoreError> {
        let now = store.snapshot(sink).await?.now;
        let (first, events) = self.since(store, now, self.since).await?;
        let head = store.head().await?;
        let (until, later) = match self.until {
            Some(until) => match self.since(store, now, until).await? {
                (Some(first), later) => (Seq(first.0 - 1), later),
                (None, _) => (head, 0),
            },
            None => (head, 0),
        };
        Ok(Replay {
            id: 0,
            patterns: self.patterns.clone(),
            types: self.selector.clone(),
            position: first.map_or(until, |first| Seq(first.0 - 1)),
            until,
            events: events.saturating_sub(later),
            sent: 0,
            ended: false,
        })
    }

    /// Starts the replay: from the next look of the sink's loop on, its events are sent.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub async fn start(
        &self,
        store: &dyn Store,
        sink: OwnerId,
        turn_id: TurnId,
        author: &str,
    ) -> Result<Replay, ReplayError> {
        let planned = self.plan(store, sink).await?;
        loop {
            let mut turn = OpenTurn::open(store, sink, turn_id).await?;
            let last = read(&mut turn).await?;
            if let Some(running) = last.as_ref().filter(|last| !last.ended) {
                return Err(ReplayError::Running(running.id));
            }
            let replay = Replay { id: last.map_or(0, |last| last.id) + 1, ..planned.clone() };
            turn.put(KEY, &replay, Expiry::Never)?;
            turn.turn_mut().author = Some(author.to_owned());
            if let Outcome::Committed(_) = turn.commit().await? {
                return Ok(replay);
            }
        }
    }

    /// The first event that was stored at `time` or later, and how many there are from there on.
    async fn since(
        &self,
        store: &dyn Store,
        now: Timestamp,
        time: Timestamp,
    ) -> Result<(Option<Seq>, u64), StoreError> {
        // The log is asked by age, in whole seconds and by the clock of the read: it starts a little early.
        let age = u64::try_from(now.duration_since(time).as_secs()).unwrap_or(0).saturating_add(SLACK);
        let ttl = Some(Ttl { default: Some(Interval::from_secs(age)), ..Ttl::default() });
        let selector = self.selector.clone();
        let mut selection =
            Selection { patterns: self.patterns.clone(), selector, ttl, ..Selection::default() };
        loop {
            let page = store.read(&selection, ReadLimit { count: true, ..PAGE }).await?;
            let early = page.events.iter().take_while(|event| event.created_at < time).count();
            if let Some(first) = page.events.get(early) {
                return Ok((Some(first.seq), page.remaining + (page.events.len() - early) as u64));
            }
            match page.events.last() {
                Some(last) if !page.complete => selection.after = last.seq,
                _ => return Ok((None, 0)),
            }
        }
    }
}

impl Replay {
    /// What of the log it is about.
    pub(crate) fn selection(&self, after: Seq) -> Selection {
        Selection {
            patterns: self.patterns.clone(),
            selector: self.types.clone(),
            after,
            ..Selection::default()
        }
    }
}

/// The replay of a sink that runs, or the last one that ended.
///
/// # Errors
/// [`ReplayError`], also when what lies in the sink's state is no replay.
pub async fn find(store: &dyn Store, sink: OwnerId) -> Result<Option<Replay>, ReplayError> {
    let mut turn = OpenTurn::open(store, sink, TurnId(0)).await?;
    Ok(read(&mut turn).await?)
}

/// Ends the replay of a sink that runs; `None` when none does. What of it waits for another attempt is owed all the same.
///
/// # Errors
/// [`ReplayError`].
pub async fn end(
    store: &dyn Store,
    sink: OwnerId,
    turn_id: TurnId,
    author: &str,
) -> Result<Option<Replay>, ReplayError> {
    loop {
        let mut turn = OpenTurn::open(store, sink, turn_id).await?;
        let Some(running) = read(&mut turn).await?.filter(|last| !last.ended) else { return Ok(None) };
        let ended = Replay { ended: true, ..running };
        turn.put(KEY, &ended, Expiry::Never)?;
        turn.turn_mut().author = Some(author.to_owned());
        if let Outcome::Committed(_) = turn.commit().await? {
            return Ok(Some(ended));
        }
    }
}

/// The replay in a sink's state.
pub(crate) async fn read(draft: &mut Draft<'_>) -> Result<Option<Replay>, Failure> {
    draft.get(KEY).await
}
