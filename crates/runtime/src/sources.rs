//! The loop of a source: turns, and the waits between them.

use std::future::pending;
use std::time::Duration;

use inboxclaw_contract::{Failure, Next, Source, StoreError, Version};
use tokio::time::Instant;

use crate::health::Trouble;
use crate::runner::Runner;
use crate::schedule::{EDIT_GAP, LEAST_INTERVAL, Woken, contained_async, either, jittered, tick};
use crate::stats::count;
use crate::turn::{self, End, Start, panicked};

/// A source and its loop.
pub(crate) struct SourceLoop {
    pub(crate) runner: Runner,
    pub(crate) source: Box<dyn Source>,
    /// See [`SourceSettings::settle`](inboxclaw_contract::SourceSettings::settle).
    pub(crate) settle: Duration,
    /// When the last turn ended.
    pub(crate) ended: Option<Instant>,
    /// An edit is why the next turn comes now.
    pub(crate) edited: bool,
}

/// What lies before the next turn.
enum Pause {
    /// Nothing.
    None,
    /// The interval, or so long when that is less, unless the source is ready or somebody edits its state beyond this
    /// version.
    Interval(Version, Option<Duration>),
    /// So long, and nobody but a call ends it: a source that is ready all the time cannot spin here.
    BackOff(Duration),
}

/// What can end an interval early.
enum News {
    Ready(Result<(), String>),
    Edited(Result<(), StoreError>),
}

impl SourceLoop {
    /// Runs until the program ends.
    ///
    /// # Errors
    /// When the store will not recover.
    pub(crate) async fn run(mut self) -> Result<(), StoreError> {
        let mut at_once = true;
        while self.runner.admit().await? {
            self.space_out(at_once).await;
            let end = self.turn().await;
            self.ended = Some(Instant::now());
            let pause = self.conclude(end).await?;
            at_once = matches!(pause, Pause::None);
            match pause {
                Pause::None => {}
                Pause::Interval(version, within) => self.interval(version, within).await?,
                Pause::BackOff(wait) => self.runner.rest(wait).await,
            }
        }
        Ok(())
    }

    /// One edit is answered at once; of many in a row each may only prompt a poll some time after the last one, so
    /// that the outside world does not get a request for each.
    async fn space_out(&mut self, at_once: bool) {
        let prompted = (self.runner.take_called() | std::mem::take(&mut self.edited)) && !at_once;
        let wait = self.ended.map(|ended| EDIT_GAP.saturating_sub(ended.elapsed()));
        if let Some(wait) = wait.filter(|wait| prompted && !wait.is_zero()) {
            tick(&self.runner.env.shutdown, wait, pending()).await;
        }
    }

    async fn turn(&self) -> End {
        let _protection = self.runner.protected().await;
        let env = &self.runner.env;
        let start = Start {
            store: env.store.as_ref(),
            owner: self.runner.id,
            turn_id: env.turn_id(),
            bounds: &env.bounds(env.options.turn_timeout),
            facts: self.runner.clearing(),
        };
        turn::run(self.source.as_ref(), start).await
    }

    /// Draws the conclusions from a turn.
    async fn conclude(&mut self, end: End) -> Result<Pause, StoreError> {
        let runner = &mut self.runner;
        Ok(match end {
            End::Committed { next, committed, seen, problems, notices, wrote } => {
                runner.committed(wrote);
                count(&runner.counters.stored, committed.stored);
                count(&runner.counters.known, committed.known);
                match partial(&problems) {
                    Some(trouble) => runner.env.health().failed(&runner.owner, trouble),
                    None => runner.env.health().succeeded(&runner.owner),
                }
                let notice = (!notices.is_empty()).then(|| notices.join("; "));
                runner.env.health().notice(&runner.owner, notice);
                match next {
                    Next::More => Pause::None,
                    Next::Wait => Pause::Interval(seen, None),
                    Next::Within(wait) => Pause::Interval(seen, Some(wait.max(LEAST_INTERVAL))),
                }
            }
            End::Conflict => Pause::after(runner.conflicted()),
            End::Failed(failure) => Pause::BackOff(runner.failed(&failure).await?),
            End::Store(error) => Pause::BackOff(runner.store_failed(error)?),
            End::Cut => Pause::None,
        })
    }

    /// Waits for the next poll.
    async fn interval(&mut self, version: Version, within: Option<Duration>) -> Result<(), StoreError> {
        let Self { runner, source, settle, edited, .. } = self;
        let (env, id) = (runner.env.clone(), runner.id);
        let wait =
            runner.interval.map(|interval| jittered(env.doors.random.as_ref(), interval.max(LEAST_INTERVAL)));
        let wait = match (wait, within) {
            (Some(wait), Some(within)) => Some(wait.min(within)),
            (wait, within) => wait.or(within),
        };
        let ready = async { News::Ready(contained_async(async { source.ready().await }).await) };
        let other = async { News::Edited(Runner::edited(&env, id, version).await) };
        let news = either(ready, other);
        match runner.until(wait, news).await {
            Woken::News(News::Ready(Err(message))) => {
                let wait = runner.failed(&panicked("the source", &message)).await?;
                runner.rest(wait).await;
                Ok(())
            }
            Woken::News(News::Edited(result)) => {
                *edited = true;
                result
            }
            Woken::News(News::Ready(Ok(()))) if !settle.is_zero() => {
                runner.rest(*settle).await;
                Ok(())
            }
            Woken::News(News::Ready(Ok(()))) | Woken::Time | Woken::Called | Woken::Shutdown => Ok(()),
        }
    }
}

impl Pause {
    fn after(wait: Duration) -> Self {
        if wait.is_zero() { Self::None } else { Self::BackOff(wait) }
    }
}

/// The trouble of a turn that committed without some of its parts.
fn partial(problems: &[Failure]) -> Option<Trouble> {
    let first = problems.first()?;
    let more = problems.len() - 1;
    let message = if more == 0 { first.to_string() } else { format!("{first} (and {more} more)") };
    let action = problems.iter().find_map(|problem| problem.action.clone());
    Some(Trouble { code: "partial_failure", message, action })
}
