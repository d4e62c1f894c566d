//! Time: when to try again, how long to wait, and the waiting itself. Nothing else in this crate sleeps.
//! What is done between two waits is in `sources.rs` and `delivery.rs`.

use std::any::Any;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures_util::FutureExt;
use inboxclaw_contract::{Class, Random};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::signal::Signal;

/// The least that lies between two polls by interval, so that an interval of zero cannot spin.
pub(crate) const LEAST_INTERVAL: Duration = Duration::from_millis(100);
/// The least that lies between a turn and one that was only prompted by edits.
pub(crate) const EDIT_GAP: Duration = Duration::from_secs(1);
/// The longest wait that another side may ask for.
pub(crate) const LONGEST_ASKED: Duration = Duration::from_secs(24 * 60 * 60);
/// Where the other side names a time: the least wait after the first failure in a row. It doubles with each further one
/// up to [`NAMED_MAX`], whatever time is named, because a side that goes on refusing has named too short a time.
const NAMED_BASE: Duration = Duration::from_secs(1);
/// Where that doubling ends: <https://developers.google.com/workspace/drive/api/guides/limits#exponential>.
const NAMED_MAX: Duration = Duration::from_secs(64);
/// The longest stored wait that a restart honours. A longer one tells of a clock that was wrong.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Between two tries of something that a person has to repair.
const REPAIR: Duration = Duration::from_secs(15 * 60);
/// Jitter adds at most this part of a wait.
const JITTER_PART: u32 = 10;
/// Jitter adds at most this much.
const JITTER_MOST: Duration = Duration::from_secs(30);

/// What health calls a trouble, and how long to wait after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backoff {
    /// The code in health reports.
    pub(crate) code: &'static str,
    /// The wait after the first in a row; it doubles with each further one.
    base: Duration,
    /// Where the doubling ends.
    max: Duration,
    /// Whether the wait is never shorter than the interval.
    paced: bool,
    /// Whether a time that the other side names takes the place of the line's own. Where a person has to repair
    /// something, or a receiver has refused one event, it only makes the wait longer.
    obeys: bool,
}

/// The table of failures: one line for each class. No class ends a source or sink for ever.
pub(crate) const fn policy(class: Class) -> Backoff {
    match class {
        Class::Connectivity => Backoff::doubling("connectivity", 5, 10 * 60),
        Class::Timeout => Backoff::doubling("timeout", 10, 15 * 60),
        Class::Upstream => Backoff::doubling("upstream", 15, 30 * 60),
        Class::Unavailable => Backoff::doubling("unavailable", 5, 45),
        Class::RateLimited => Backoff::doubling("rate_limited", 60, 60 * 60),
        Class::Authentication => Backoff::repair("authentication"),
        Class::Authorization => Backoff::repair("authorization"),
        Class::Configuration => Backoff::repair("configuration"),
        Class::Gone => Backoff::repair("gone"),
        Class::Expired => Backoff::doubling("expired", 60, 60 * 60),
        Class::Internal => Backoff::doubling("internal", 10, 10 * 60),
    }
}

/// The same for a receiver to which several calls at a time are sent. What fails there is often over in a moment, and a probe
/// a minute costs it nothing, while everything that happens meanwhile waits for it.
pub(crate) const fn receiver_policy(class: Class) -> Backoff {
    match class {
        Class::Connectivity => Backoff::doubling("connectivity", 1, 60),
        Class::Timeout => Backoff::doubling("timeout", 1, 60),
        Class::Upstream => Backoff::doubling("upstream", 1, 60),
        Class::RateLimited => Backoff::doubling("rate_limited", 5, 5 * 60),
        class => policy(class),
    }
}

/// Turns refused because the state changed meanwhile, from the second in a row on.
pub(crate) const CONFLICT: Backoff = Backoff::doubling("conflict", 1, 60);
/// The store has no room.
pub(crate) const FULL: Backoff = Backoff::doubling("full", 5, 60);
/// The store could not be read, which may pass.
pub(crate) const UNREADABLE: Backoff = Backoff::doubling("unreadable", 5, 60);
/// The store is damaged: only a person can help, but what is whole can be read.
pub(crate) const DAMAGED: Backoff = Backoff::doubling("damaged", 60, 60);
/// Single events that a consumer wants to be given again.
pub(crate) const AGAIN: Backoff = Backoff { obeys: false, ..Backoff::doubling("upstream", 10, 60 * 60) };

impl Backoff {
    const fn doubling(code: &'static str, base: u64, max: u64) -> Self {
        let (base, max) = (Duration::from_secs(base), Duration::from_secs(max));
        Self { code, base, max, paced: false, obeys: true }
    }

    const fn repair(code: &'static str) -> Self {
        Self { code, base: REPAIR, max: REPAIR, paced: true, obeys: false }
    }

    /// The wait after so many troubles in a row, before jitter. A time that the other side `asked` for is the wait; it
    /// is longer only when that was not enough, and where the line does not obey (see `obeys`).
    pub(crate) fn delay(
        self,
        in_a_row: u32,
        interval: Option<Duration>,
        asked: Option<Duration>,
    ) -> Duration {
        let doubled = |base: Duration, max| {
            let doublings = in_a_row.saturating_sub(1).min(16);
            base.saturating_mul(1 << doublings).min(max)
        };
        let own = match asked {
            Some(_) if self.obeys => doubled(NAMED_BASE, NAMED_MAX),
            _ => doubled(self.base, self.max),
        };
        let paced = interval.filter(|_| self.paced).unwrap_or_default();
        own.max(paced).max(asked.unwrap_or_default().min(LONGEST_ASKED))
    }
}

/// A wait and up to a tenth more, at most 30 s more, so that many that started together spread.
pub(crate) fn jittered(random: &dyn Random, wait: Duration) -> Duration {
    let most = (wait / JITTER_PART).min(JITTER_MOST);
    // 53 random bits are what a float holds exactly: a part from 0 up to, not including, 1.
    let part = (random.next() >> 75) as f64 / (1_u64 << 53) as f64;
    wait.saturating_add(most.mul_f64(part))
}

/// Why a wait ended.
#[derive(Debug)]
pub(crate) enum Woken<N> {
    /// The time is over.
    Time,
    /// There is news.
    News(N),
    /// Somebody called [`Handle::wake`](crate::Handle::wake).
    Called,
    /// The program ends.
    Shutdown,
}

/// Waits until `wait` is over (`None`: for ever), there is `news`, somebody calls, or the program ends.
pub(crate) async fn until<N>(
    shutdown: &CancellationToken,
    signal: &Signal,
    wait: Option<Duration>,
    news: impl Future<Output = N>,
) -> Woken<N> {
    tokio::select! {
        biased;
        () = shutdown.cancelled() => Woken::Shutdown,
        () = signal.called() => Woken::Called,
        () = passed(wait) => Woken::Time,
        news = news => Woken::News(news),
    }
}

/// Waits and listens to nobody but a call and the end of the program.
pub(crate) async fn rest(shutdown: &CancellationToken, signal: &Signal, wait: Duration) -> Woken<()> {
    until(shutdown, signal, Some(wait), pending()).await
}

/// Waits for whichever of two comes first.
pub(crate) async fn either<T>(one: impl Future<Output = T>, other: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        value = one => value,
        value = other => value,
    }
}

/// Waits for a regular duty; `false` when the program ends.
pub(crate) async fn tick(
    shutdown: &CancellationToken,
    wait: Duration,
    news: impl Future<Output = ()>,
) -> bool {
    tokio::select! {
        biased;
        () = shutdown.cancelled() => false,
        () = sleep(wait) => true,
        () = news => true,
    }
}

/// Waits until `deadline` for something; `None` when it takes longer.
pub(crate) async fn by<T>(deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout_at(deadline, work).await.ok()
}

/// What became of work that is limited in time and kept from tearing others along.
#[derive(Debug)]
pub(crate) enum Attempt<T> {
    /// It ended.
    Done(T),
    /// It took longer than the limit, and was dropped.
    TooLong,
    /// It panicked with this message.
    Panicked(String),
    /// The program ends and the grace is over: it was dropped.
    Cut,
}

/// The bounds of an attempt.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    /// How long it may take.
    pub(crate) limit: Duration,
    /// Says that the program ends.
    pub(crate) shutdown: CancellationToken,
    /// How long it may go on then.
    pub(crate) grace: Duration,
}

impl Bounds {
    /// Runs foreign code.
    pub(crate) async fn attempt<T>(&self, work: impl Future<Output = T> + Send) -> Attempt<T> {
        let mut work = Box::pin(AssertUnwindSafe(work).catch_unwind());
        let attempt = tokio::select! {
            biased;
            ended = &mut work => match ended {
                Ok(value) => Attempt::Done(value),
                Err(payload) => Attempt::Panicked(message(payload.as_ref())),
            },
            () = sleep(self.limit) => Attempt::TooLong,
            () = self.over() => Attempt::Cut,
        };
        // What is dropped unfinished runs its destructors, which are foreign code too.
        match (contained(|| drop(work)), attempt) {
            (Err(message), Attempt::TooLong | Attempt::Cut) => Attempt::Panicked(message),
            (_, attempt) => attempt,
        }
    }

    async fn over(&self) {
        self.shutdown.cancelled().await;
        sleep(self.grace).await;
    }
}

/// Calls foreign code and turns a panic into its message.
pub(crate) fn contained<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| message(payload.as_ref()))
}

/// Awaits foreign code and turns a panic into its message.
pub(crate) async fn contained_async<T>(work: impl Future<Output = T> + Send) -> Result<T, String> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|payload| message(payload.as_ref()))
}

async fn passed(wait: Option<Duration>) {
    match wait {
        Some(wait) => sleep(wait).await,
        None => pending().await,
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u128);

    impl Random for Fixed {
        fn next(&self) -> u128 {
            self.0
        }
    }

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn waits_double_up_to_the_end_of_their_line() {
        let upstream = policy(Class::Upstream);
        let waits = [1, 2, 3, 7, 8, u32::MAX].map(|n| upstream.delay(n, Some(secs(7)), None).as_secs());
        assert_eq!(waits, [15, 30, 60, 960, 1800, 1800]);
    }

    #[test]
    fn what_is_unavailable_is_looked_for_within_a_minute() {
        let policy = policy(Class::Unavailable);
        for (in_a_row, wait) in [(1, 5), (2, 10), (4, 40), (5, 45), (u32::MAX, 45)] {
            assert_eq!(policy.delay(in_a_row, Some(secs(7200)), None), secs(wait), "{in_a_row}");
        }
        assert!(jittered(&Fixed(u128::MAX), secs(45)) < secs(60));
    }

    #[test]
    fn what_a_person_repairs_waits_for_the_interval_and_a_quarter_of_an_hour() {
        for class in [Class::Authentication, Class::Authorization, Class::Configuration] {
            let policy = policy(class);
            assert_eq!(policy.delay(1, None, None), secs(900), "{class}");
            assert_eq!(policy.delay(9, Some(secs(60)), None), secs(900), "{class}");
            assert_eq!(policy.delay(1, Some(secs(7200)), None), secs(7200), "{class}");
        }
    }

    #[test]
    fn a_named_time_is_the_wait_and_grows_only_when_it_was_not_enough() {
        for class in [
            Class::Connectivity,
            Class::Timeout,
            Class::Upstream,
            Class::RateLimited,
            Class::Expired,
            Class::Internal,
        ] {
            let waits = |named: u64| {
                let wait = |n| policy(class).delay(n, Some(secs(600)), Some(secs(named))).as_secs();
                [1, 2, 3, 4, 7, 8, u32::MAX].map(wait)
            };
            assert_eq!(waits(0), [1, 2, 4, 8, 64, 64, 64], "{class}");
            assert_eq!(waits(1), [1, 2, 4, 8, 64, 64, 64], "{class}");
            assert_eq!(waits(5), [5, 5, 5, 8, 64, 64, 64], "{class}");
            assert_eq!(waits(7000), [7000; 7], "{class}");
            assert_eq!(waits(1 << 40), [86_400; 7], "{class}");
        }
    }

    #[test]
    fn a_named_time_shortens_neither_a_repair_nor_the_wait_for_a_single_event() {
        for class in [Class::Authentication, Class::Authorization, Class::Configuration] {
            assert_eq!(policy(class).delay(1, None, Some(secs(1))), secs(900), "{class}");
            assert_eq!(policy(class).delay(1, None, Some(secs(1000))), secs(1000), "{class}");
        }
        assert_eq!(AGAIN.delay(2, None, Some(secs(1))), secs(20));
        assert_eq!(AGAIN.delay(1, None, Some(secs(60))), secs(60));
    }

    #[test]
    fn jitter_adds_up_to_a_tenth_and_never_more_than_half_a_minute() {
        assert_eq!(jittered(&Fixed(0), secs(100)), secs(100));
        let most = jittered(&Fixed(u128::MAX), secs(100));
        assert!(most > secs(109) && most <= secs(110), "{most:?}");
        let most = jittered(&Fixed(u128::MAX), secs(10_000));
        assert!(most > secs(10_029) && most <= secs(10_030), "{most:?}");
        assert_eq!(jittered(&Fixed(1 << 127), secs(100)), secs(105));
    }
}
