//! The loop of a source: turns, and the waits between them.

use std::time::Duration;

use inboxclaw_contract::{Failure, Next, Source, StoreError, Version};

use crate::health::Trouble;
use crate::runner::Runner;
use crate::schedule::{LEAST_INTERVAL, Woken, contained_async, either, jittered};
use crate::stats::count;
use crate::turn::{self, End, Start, panicked};

/// A source and its loop.
pub(crate) struct SourceLoop {
    pub(crate) runner: Runner,
    pub(crate) source: Box<dyn Source>,
    /// See [`SourceSettings::settle`](inboxclaw_contract::SourceSettings::settle).
    pub(crate) settle: Duration,
}

/// What lies before the next turn.
enum Pause {
    /// Nothing.
    None,
    /// The interval, unless the source is ready or somebody edits its state beyond this version.
    Interval(Version),
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
        while self.runner.admit().await? {
            let end = self.turn().await;
            match self.conclude(end).await? {
                Pause::None => {}
                Pause::Interval(version) => self.interval(version).await?,
                Pause::BackOff(wait) => self.runner.rest(wait).await,
            }
        }
        Ok(())
    }

    async fn turn(&self) -> End {
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
            End::Committed { next, committed, seen, problems, wrote } => {
                runner.committed(wrote);
                count(&runner.counters.stored, committed.stored);
                count(&runner.counters.known, committed.known);
                match partial(&problems) {
                    Some(trouble) => runner.env.health().failed(&runner.owner, trouble),
                    None => runner.env.health().succeeded(&runner.owner),
                }
                match next {
                    Next::More => Pause::None,
                    Next::Wait => Pause::Interval(seen),
                }
            }
            End::Conflict => Pause::after(runner.conflicted()),
            End::Failed(failure) => Pause::BackOff(runner.failed(&failure).await?),
            End::Store(error) => Pause::BackOff(runner.store_failed(error)?),
            End::Cut => Pause::None,
        })
    }

    /// Waits for the next poll.
    async fn interval(&mut self, version: Version) -> Result<(), StoreError> {
        let Self { runner, source, settle } = self;
        let (env, id) = (runner.env.clone(), runner.id);
        let wait =
            runner.interval.map(|interval| jittered(env.doors.random.as_ref(), interval.max(LEAST_INTERVAL)));
        let ready = async { News::Ready(contained_async(async { source.ready().await }).await) };
        let edited = async { News::Edited(Runner::edited(&env, id, version).await) };
        let news = either(ready, edited);
        match runner.until(wait, news).await {
            Woken::News(News::Ready(Err(message))) => {
                let wait = runner.failed(&panicked("the source", &message)).await?;
                runner.rest(wait).await;
                Ok(())
            }
            Woken::News(News::Edited(result)) => result,
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
