//! The loop of a push sink: reads the log ahead, sends what may be sent, records what became of it.
//!
//! A sink without a state is sent to by several calls at a time, and what became of them is recorded behind the sends: at
//! most [`UNRECORDED`] events or [`RECORD_AFTER`], which is what a crash repeats. A sink with a state gets one batch at a
//! time, in the turn that records it. What may be sent when is in `queue.rs`, how the receiver is in `receiver.rs`; sinks
//! that consumers pull from have no loop.

mod call;
mod queue;
mod reading;
mod receiver;
mod record;
mod recording;
mod sending;

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::settings::BuiltSink;
use inboxclaw_contract::{
    Condition, DeliveryPolicy, Failure, Log, OwnerId, Push, Selection, Sender, Seq, Sink, StoreError, Version,
};
use jiff::Timestamp;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use self::call::Ended;
use self::queue::Queue;
use self::receiver::Receiver;
use self::record::{Record, Recorded, Replaying};
use crate::rules::refused;
use crate::runner::{Env, Runner};
use crate::schedule::Woken;

/// Most events that were sent and are not recorded; then no more are sent until they are.
const UNRECORDED: usize = 100;
/// So many are recorded at once at the latest.
const RECORD: usize = 50;
/// How long what became of an event stays unrecorded, but for the time that the store takes.
const RECORD_AFTER: Duration = Duration::from_millis(25);
/// How long a position that moved over unwanted events alone is not recorded.
const POSITION_AFTER: Duration = Duration::from_secs(60 * 60);
/// The same where a condition has to be asked of each event: to read them again costs something.
const SCANNED_AFTER: Duration = Duration::from_secs(10);

/// A push sink and its loop.
pub(crate) struct DeliveryLoop {
    runner: Runner,
    target: Target,
    policy: DeliveryPolicy,
    /// The source of the program's own events.
    internal: OwnerId,
    /// What it takes, from where it began.
    intake: Selection,
    /// What an event has to fulfil besides.
    condition: Option<Condition>,
    queue: Queue,
    receiver: Receiver,
    /// The calls that run.
    calls: JoinSet<Ended>,
    /// The record that is being stored.
    storing: Option<JoinHandle<(Record, Result<Recorded, StoreError>)>>,
    /// How many events that record is about.
    storing_events: usize,
    /// What is to be recorded next, and since when.
    next: Record,
    unrecorded_since: Option<Instant>,
    /// The cursor as the store has it, to notice an edit; and when it last was what it should be.
    cursor: Option<String>,
    cursor_at: Instant,
    /// The version of the state that this loop knows of.
    version: Version,
    /// The end of the log, when all up to there is in the queue.
    head: Option<Seq>,
    /// The replay that runs.
    replay: Option<Replaying>,
    /// The store's clock when it was last looked at, and when that was.
    clock: (Timestamp, Instant),
    /// There are rows that are not in the queue, because it holds as many as it may.
    rows_left: bool,
    /// Everything is to be read again.
    stale: bool,
}

/// Where events go.
enum Target {
    Sink(Box<dyn Sink>),
    Sender(Arc<dyn Sender>),
}

/// Why a step could not be finished.
enum Stop {
    /// The receiver, or what the store refuses of this sink.
    Failed(Failure),
    /// Somebody changed the state meanwhile.
    Conflict,
    Store(StoreError),
}

/// What a loop with nothing to do was waiting for.
enum News {
    Call(Ended),
    Recorded(Box<Record>, Result<Recorded, StoreError>),
    /// The log has grown.
    Grown,
    /// Somebody edited the state.
    Edited,
    /// The store will not recover.
    Broken(StoreError),
}

impl DeliveryLoop {
    pub(crate) fn new(runner: Runner, built: BuiltSink, intake: Selection, internal: OwnerId) -> Self {
        let target = match built.push {
            Push::Sink(sink) => Target::Sink(sink),
            Push::Sender(sender) => Target::Sender(Arc::from(sender)),
        };
        let policy = built.policy;
        Self {
            queue: Queue::new(&policy, Seq(0)),
            receiver: Receiver::new(&policy, matches!(target, Target::Sender(_))),
            runner,
            target,
            policy,
            internal,
            intake,
            condition: built.condition,
            calls: JoinSet::new(),
            storing: None,
            storing_events: 0,
            next: Record::default(),
            unrecorded_since: None,
            cursor: None,
            cursor_at: Instant::now(),
            version: Version(0),
            head: None,
            replay: None,
            clock: (Timestamp::MIN, Instant::now()),
            rows_left: false,
            stale: true,
        }
    }

    /// Runs until the program ends.
    ///
    /// # Errors
    /// When the store will not recover.
    pub(crate) async fn run(mut self) -> Result<(), StoreError> {
        loop {
            if self.runner.is_interrupted() {
                self.finish().await?;
                if !self.runner.admit().await? {
                    return Ok(());
                }
            }
            if self.runner.take_called() {
                self.stale = true;
                self.receiver.try_again();
            }
            match self.step().await {
                Ok(()) => {}
                Err(Stop::Conflict) => {
                    self.stale = true;
                    let wait = self.runner.conflicted();
                    self.rest(wait).await;
                }
                Err(Stop::Failed(failure)) => {
                    self.stale = true;
                    let wait = self.runner.failed(&failure).await?;
                    self.rest(wait).await;
                }
                Err(Stop::Store(error)) => {
                    // A sink with a state has no calls beside this step: what was picked for it is not being sent.
                    self.stale |= matches!(self.target, Target::Sink(_));
                    let wait = self.runner.store_failed(error)?;
                    self.rest(wait).await;
                }
            }
        }
    }

    async fn rest(&mut self, wait: Duration) {
        if !wait.is_zero() {
            self.runner.rest(wait).await;
        }
    }

    /// Does what can be done now, then waits for something to happen.
    async fn step(&mut self) -> Result<(), Stop> {
        if self.stale || self.has_rows_to_read() {
            self.finish().await?;
            self.refresh().await?;
        }
        self.read_on().await?;
        self.replay_on().await?;
        let sent = match &self.target {
            Target::Sink(_) => self.deliver_in_turn().await?,
            Target::Sender(_) => {
                self.send().await?;
                false
            }
        };
        self.record_when_due();
        // A page may hold nothing that is to be sent.
        if sent || self.may_read_on() || self.may_replay_on() { Ok(()) } else { self.wait().await }
    }

    /// Waits until there may be something to do.
    async fn wait(&mut self) -> Result<(), Stop> {
        let wait = self.next_wake();
        let env = self.runner.env.clone();
        let head = self.head.filter(|_| self.has_room());
        let (id, version) = (self.runner.id, self.version);
        let (calls, storing) = (&mut self.calls, &mut self.storing);
        let news = async {
            let mut grown = pin!(grown(&env, head));
            let mut edited = pin!(Runner::edited(&env, id, version));
            tokio::select! {
                biased;
                Some(ended) = calls.join_next(), if !calls.is_empty() => ended.map_or(News::Edited, News::Call),
                (record, recorded) = stored(storing) => News::Recorded(Box::new(record), recorded),
                result = &mut grown => result.map_or_else(News::Broken, |()| News::Grown),
                result = &mut edited => result.map_or_else(News::Broken, |()| News::Edited),
            }
        };
        match self.runner.until(wait, news).await {
            Woken::Time | Woken::Called | Woken::Shutdown => {
                self.runner.keep_going();
                Ok(())
            }
            Woken::News(news) => {
                self.runner.keep_going();
                self.take_in(news).await
            }
        }
    }

    async fn take_in(&mut self, news: News) -> Result<(), Stop> {
        match news {
            News::Call(ended) => self.ended(ended).await,
            News::Recorded(record, recorded) => self.recorded(*record, recorded),
            News::Grown => {
                self.head = None;
                Ok(())
            }
            News::Edited => {
                self.stale = true;
                Ok(())
            }
            News::Broken(error) => Err(Stop::Store(error)),
        }
    }

    /// Waits for the calls that run, and records everything.
    async fn finish(&mut self) -> Result<(), StoreError> {
        while let Some(ended) = self.calls.join_next().await {
            // Only the end of the program aborts a call.
            if let Ok(ended) = ended {
                match self.ended(ended).await {
                    Ok(()) | Err(Stop::Failed(_) | Stop::Conflict) => {}
                    Err(Stop::Store(error)) => {
                        self.runner.store_failed(error)?;
                    }
                }
            }
        }
        while self.storing.is_some() || self.is_unrecorded() {
            if self.storing.is_none() {
                self.start_record();
            }
            let (record, recorded) = stored(&mut self.storing).await;
            match self.recorded(record, recorded) {
                Ok(()) => {}
                // What is not recorded is sent again.
                Err(Stop::Failed(_) | Stop::Conflict) => break,
                Err(Stop::Store(error)) => {
                    self.runner.store_failed(error)?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// When there is something to do at the latest, if nothing happens before.
    fn next_wake(&self) -> Option<Duration> {
        let now = Instant::now();
        let mut at: Vec<Instant> = Vec::new();
        // Without room for another call, the end of one is what there is to wait for.
        if self.has_free_call() {
            let due = self.queue.next_due().map(|due| due.duration_since(self.now()));
            let due = due.map(|wait| now + Duration::try_from(wait).unwrap_or_default());
            let ready = self.batch_ready().or_else(|| self.queue.next_ready());
            let first = due.into_iter().chain(ready).min();
            at.extend(first.map(|at| self.receiver.not_before(at)));
        }
        if self.storing.is_none() {
            at.extend(self.unrecorded_since.map(|since| since + RECORD_AFTER));
            at.extend(self.position_lags().then(|| self.cursor_at + self.position_after()));
        }
        // Timers count milliseconds: a shorter wait would be none.
        let first = at.into_iter().min()?;
        Some(first.saturating_duration_since(now).max(Duration::from_millis(1)))
    }

    fn position_after(&self) -> Duration {
        if self.condition.is_some() { SCANNED_AFTER } else { POSITION_AFTER }
    }

    /// The store's clock.
    fn now(&self) -> Timestamp {
        queue::ahead(self.clock.0, self.clock.1.elapsed())
    }

    fn looked_at_clock(&mut self, now: Timestamp) {
        self.clock = (now, Instant::now());
    }
}

/// Returns when the log is beyond `head`; never without one.
async fn grown(env: &Env, head: Option<Seq>) -> Result<(), StoreError> {
    let Some(head) = head else { return pending().await };
    let log: &dyn Log = env.store.as_ref();
    match log.grown(head).await {
        Ok(_) => Ok(()),
        Err(error) => env.lasting(error).await,
    }
}

/// Returns what became of the record that is being stored; never when there is none.
async fn stored(
    storing: &mut Option<JoinHandle<(Record, Result<Recorded, StoreError>)>>,
) -> (Record, Result<Recorded, StoreError>) {
    let Some(task) = storing else { return pending().await };
    let ended = task.await;
    *storing = None;
    // Only a store that panicked ends without an answer.
    ended.unwrap_or_else(|error| (Record::default(), Err(StoreError::Broken(error.to_string()))))
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
