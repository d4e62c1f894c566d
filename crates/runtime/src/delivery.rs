//! The loop of a push sink: what is due again first, then the log from the sink's position on, each batch with
//! its receipts and the new position in one turn. How events of one entity keep their order is in
//! `outstanding.rs`; sinks that consumers pull from have no loop.

mod pass;

use std::time::Duration;

use inboxclaw_contract::settings::BuiltSink;
use inboxclaw_contract::store::ReadLimit;
use inboxclaw_contract::{Failure, Log, OpenTurn, Push, Selection, Seq, StoreError, Version};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::outstanding::Outstanding;
use crate::rules::refused;
use crate::runner::{Env, Runner};
use crate::schedule::{Woken, either};

/// Most events handed to a sink at once.
pub(crate) const BATCH: usize = 100;
/// Most bytes handed to a sink at once.
const BATCH_BYTES: usize = 8 << 20;
/// As many events may wait out of order; then the log is not read on until some are gone.
const MOST_WAITING: usize = 1_000;
/// How often everything that is owed is read again, and a position that moved over unwanted events is stored.
const REFRESH: Duration = Duration::from_secs(60 * 60);

/// A push sink and its loop.
pub(crate) struct DeliveryLoop {
    runner: Runner,
    sink: Push,
    /// What it takes, from where it began.
    intake: Selection,
    outstanding: Outstanding,
    /// When everything owed was last read.
    refreshed: Option<Instant>,
    /// There was more than could be read: what is due is asked of the store instead of known.
    partial: bool,
    /// The cursor as last seen, to notice an edit.
    cursor: Option<Option<String>>,
    /// How far the log is known to hold nothing for this sink; at least the cursor.
    scanned: Seq,
    /// Most events of the next batch: fewer after a batch that took too long.
    batch: usize,
}

/// How a pass ended.
enum Pass {
    /// Something was done; there may be more.
    More,
    /// There is nothing to do now.
    Idle(Idle),
    /// The state changed meanwhile.
    Conflict,
    /// The program ends.
    Cut,
}

/// What an idle sink waits for: the log beyond `head`, an edit beyond `version`, or `wait`.
struct Idle {
    head: Seq,
    version: Version,
    wait: Duration,
}

/// Why a pass could not be finished.
enum Stop {
    Failed(Failure),
    Store(StoreError),
}

impl DeliveryLoop {
    pub(crate) fn new(runner: Runner, built: BuiltSink, intake: Selection) -> Self {
        Self {
            runner,
            sink: built.push,
            intake,
            outstanding: Outstanding::default(),
            refreshed: None,
            partial: false,
            cursor: None,
            scanned: Seq(0),
            batch: BATCH,
        }
    }

    /// Runs until the program ends.
    ///
    /// # Errors
    /// When the store will not recover.
    pub(crate) async fn run(mut self) -> Result<(), StoreError> {
        while self.runner.admit().await? {
            if self.runner.take_called() {
                self.refreshed = None;
            }
            let protection = self.runner.protected().await;
            let pass = self.pass().await;
            drop(protection);
            let wait = match pass {
                Ok(Pass::More | Pass::Cut) => continue,
                Ok(Pass::Idle(idle)) => {
                    self.idle(idle).await?;
                    continue;
                }
                Ok(Pass::Conflict) => self.runner.conflicted(),
                Err(Stop::Failed(failure)) => self.runner.failed(&failure).await?,
                Err(Stop::Store(error)) => self.runner.store_failed(error)?,
            };
            if !wait.is_zero() {
                self.runner.rest(wait).await;
            }
        }
        Ok(())
    }

    async fn idle(&mut self, idle: Idle) -> Result<(), StoreError> {
        let env = self.runner.env.clone();
        let edited = Runner::edited(&env, self.runner.id, idle.version);
        let news = either(grown(&env, idle.head), edited);
        match self.runner.until(Some(idle.wait), news).await {
            Woken::News(result) => result,
            Woken::Time | Woken::Called | Woken::Shutdown => Ok(()),
        }
    }

    /// Whether the sink still wants an event that it owes.
    fn wants(&self, event_type: &str, created_at: Timestamp, now: Timestamp) -> bool {
        let lane = self.intake.lane(event_type, now);
        lane.is_some_and(|lane| lane.created_after.is_none_or(|limit| created_at > limit))
    }

    fn read_limit(&self) -> ReadLimit {
        ReadLimit { events: self.batch, bytes: BATCH_BYTES, count: false }
    }
}

async fn grown(env: &Env, head: Seq) -> Result<(), StoreError> {
    let log: &dyn Log = env.store.as_ref();
    match log.grown(head).await {
        Ok(_) => Ok(()),
        Err(error) => env.lasting(error).await,
    }
}

/// The place in the log that a cursor names; `None` for no cursor.
///
/// # Errors
/// When it is no number.
pub(crate) fn place(cursor: Option<&str>) -> Result<Option<Seq>, String> {
    let parse =
        |text: &str| text.parse().map(Seq).map_err(|_| format!("the cursor {text:?} is no place in the log"));
    cursor.map(parse).transpose()
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(_) | StoreError::OverLimit(_) => Self::Failed(refused(error)),
            error => Self::Store(error),
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Opens a draft of the sink's own.
async fn open(env: &Env, id: inboxclaw_contract::OwnerId) -> Result<OpenTurn<'_>, StoreError> {
    OpenTurn::open(env.store.as_ref(), id, env.turn_id()).await
}
