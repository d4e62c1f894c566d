//! The contract of a source.

use std::time::Duration;

use async_trait::async_trait;

use crate::draft::Draft;
use crate::failure::Failure;

/// Notices what changed in the outside world. One required method; the runtime owns the loop around it:
/// schedule, retries, back-off, time limit, commit, health and logging.
#[async_trait]
pub trait Source: Send + Sync {
    /// Returns when there may be news before the interval is over. No draft is open and no turn clock runs.
    /// May be dropped at any await and is called again before each poll.
    async fn ready(&self) {
        std::future::pending().await
    }

    /// One short turn under the turn timeout: take what is there, write it into the draft, return.
    /// Never waits for news.
    ///
    /// `Ok` commits the draft. `Ok(Next::More)` asks for the next poll at once, as for the next page;
    /// `Ok(Next::Wait)` for one after the interval or when [`ready`](Self::ready) returns; `Ok(Next::Within(_))`
    /// for the same, and not later than that.
    ///
    /// # Errors
    /// A [`Failure`]: nothing of the draft is stored and the poll is repeated after the back-off of its class.
    async fn poll(&self, draft: &mut Draft<'_>) -> Result<Next, Failure>;

    /// Exactly once after each started poll, before the next one. What a source holds in memory moves on only
    /// at [`Settled::Committed`]; otherwise it puts messages back, or drops its connection or child process and
    /// resumes from state. A push source answers its caller here.
    ///
    /// `inboxclaw source test` stores nothing, and still says `Committed` between the polls of one source that has an
    /// interval and asks for more, so that it goes on over the same draft; the last poll is always dropped. A source
    /// that tells somebody outside what was committed therefore has no interval.
    fn settled(&self, _settled: Settled) {}
}

/// When to poll again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// After the interval, or when the source is ready.
    Wait,
    /// As [`Wait`](Self::Wait), and at the latest after so long: something is to be looked at again of which no news
    /// will come.
    Within(Duration),
    /// At once: there is more to take.
    More,
}

/// What became of a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Everything the poll wrote into its draft is durable.
    Committed,
    /// Nothing of it is stored: the poll failed, was cut off, conflicted, or the store could not write.
    Dropped,
}
