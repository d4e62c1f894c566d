//! Rate limiter: paces the requests of an account to a service, for all of its sources together. It allows so many
//! quota units a minute, and none while the service asks for a pause.
//!
//! This is the one place among connectors that looks at a clock of its own and waits, and the one that says whether a
//! request is sent again. It waits for seconds at most within one turn; times that are worth a turn of their own are
//! failures, and the runtime's.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use inboxclaw_contract::{Class, Failure, Outside, Random};
use tokio::time::Instant;

use super::account::Account;
use super::services::Api;
use crate::lock::lock;

const MINUTE: Duration = Duration::from_secs(60);
/// What may be spent at once, as the part of a minute's units: one in so many.
const BURST: u32 = 10;
/// Longest wait for a turn to ask. A longer one would use up the time of the turn.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// The first and the longest pause after a refusal, unless the service names a longer one; it doubles in between
/// (<https://developers.google.com/workspace/gmail/api/guides/handle-errors#exponential-backoff>).
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(64);
/// Requests that were refused together come again within this time, not all at once.
const SPREAD: Duration = Duration::from_millis(500);

/// Longest pause that is waited for within a turn, and the time within which a request is sent again. The runtime, told
/// of a pause, ends the turn and calls the source unhealthy from the second one in a row. Five seconds; tests of what
/// becomes of a turn that ends there put [`InTurn::NEVER`] among the shared things of an [`Outside`], under the key
/// [`InTurn::KEY`], before they build a source.
#[derive(Debug, Clone, Copy)]
pub struct InTurn(Duration);

impl InTurn {
    /// Where the shared one is.
    pub const KEY: &str = "google";
    /// No waiting and no second try.
    pub const NEVER: Self = Self(Duration::ZERO);
}

impl Default for InTurn {
    fn default() -> Self {
        Self(Duration::from_secs(5))
    }
}

/// The budget of one account at one service.
pub struct Limiter {
    name: &'static str,
    in_turn: Duration,
    random: Arc<dyn Random>,
    pace: Mutex<Pace>,
}

struct Pace {
    /// Units a minute, and whether a source asked for that number.
    units: u32,
    is_asked: bool,
    /// Up to when time has been spent; may be ahead of now by what may be spent at once.
    spent: Instant,
    blocked: Instant,
    /// Pauses that followed each other without an answer.
    pauses: u32,
}

impl Limiter {
    /// The one that all sources of the account share. `units` is what a source says may be spent in a minute; of
    /// several the least, and without any what the service gives. `api_root` is a server that stands in for the service
    /// and has a budget of its own.
    pub(super) fn shared(
        outside: &Outside,
        api: &Api,
        account: &Account,
        api_root: Option<&str>,
        units: Option<u32>,
    ) -> Arc<Self> {
        let Ok(in_turn) = outside.shared.get_or_make(InTurn::KEY, || Ok::<_, Infallible>(InTurn::default()));
        let key = format!("google:{}:{}:{}", api.name, api_root.unwrap_or_default(), account.key());
        let make = || Ok::<_, Infallible>(Self::new(api, *in_turn, outside.random.clone()));
        let Ok(limiter) = outside.shared.get_or_make(&key, make);
        if let Some(units) = units {
            lock(&limiter.pace).ask(units);
        }
        limiter
    }

    fn new(api: &Api, in_turn: InTurn, random: Arc<dyn Random>) -> Self {
        let (now, units) = (now(), api.units_per_minute);
        let pace = Pace { units, is_asked: false, spent: now, blocked: now, pauses: 0 };
        Self { name: api.name, in_turn: in_turn.0, random, pace: Mutex::new(pace) }
    }

    /// Waits until `units` may be spent; who asks first is first.
    ///
    /// # Errors
    /// While the service wants no requests, or when the wait would be too long for a turn: with the wait that is left.
    pub(super) async fn acquire(&self, units: u32) -> Result<(), Failure> {
        let at = self.book(units)?;
        if at > now() {
            wait_until(at).await;
            // The service may have refused a request of another source meanwhile.
            self.check(&lock(&self.pace), now(), Duration::ZERO)?;
        }
        Ok(())
    }

    /// The service wants no requests for `wait`, or names no time. Returns how long there will be none: what it named,
    /// or 1, 2, 4 … 64 seconds where that is longer.
    pub(super) fn block(&self, wait: Option<Duration>) -> Duration {
        let (now, mut pace) = (now(), lock(&self.pace));
        let left = pace.blocked.saturating_duration_since(now);
        let own = if left.is_zero() {
            pace.pauses += 1;
            doubled(pace.pauses)
        } else {
            // Requests under way at the same time are refused together; together they are one refusal.
            left
        };
        let wait = own.max(wait.unwrap_or_default());
        pace.blocked = now + wait;
        wait
    }

    /// The service answered.
    pub(super) fn unblock(&self) {
        let (now, mut pace) = (now(), lock(&self.pace));
        // What was sent before the pause says nothing about it.
        if pace.blocked <= now {
            pace.pauses = 0;
        }
    }

    /// How often a request that is about to be sent may be sent again.
    pub(super) fn retries(&self) -> Retries<'_> {
        Retries { limiter: self, until: now() + self.in_turn, refused: 0 }
    }

    /// Spends `units` and says from when on they may be used.
    fn book(&self, units: u32) -> Result<Instant, Failure> {
        let (now, mut pace) = (now(), lock(&self.pace));
        self.check(&pace, now, self.in_turn)?;
        let spent = pace.spent.max(now) + pace.price(units);
        let wait = spent.saturating_duration_since(now + MINUTE / BURST);
        if wait > LONGEST_WAIT {
            let cause =
                format!("the requests to {} that wait already need another {}s", self.name, whole(wait));
            return Err(Failure::text(Class::RateLimited, cause).wait(Some(wait - LONGEST_WAIT)));
        }
        pace.spent = spent;
        Ok(pace.blocked.max(now + wait))
    }

    /// Fails during a pause of which more than `most` is left.
    fn check(&self, pace: &Pace, now: Instant, most: Duration) -> Result<(), Failure> {
        let left = pace.blocked.saturating_duration_since(now);
        if left <= most {
            return Ok(());
        }
        let cause = format!("{} asked for a pause, of which {}s are left", self.name, whole(left));
        Err(Failure::text(Class::RateLimited, cause).wait(Some(left)))
    }
}

impl Pace {
    fn ask(&mut self, units: u32) {
        self.units = if self.is_asked { self.units.min(units) } else { units };
        self.is_asked = true;
    }

    /// The time that pays for `units`. With the burst, a minute never holds more than its units.
    fn price(&self, units: u32) -> Duration {
        let minute = MINUTE * BURST / (BURST - 1);
        minute.mul_f64(f64::from(units) / f64::from(self.units.max(1)))
    }
}

/// How often one request may be sent again within its turn.
pub(super) struct Retries<'a> {
    limiter: &'a Limiter,
    until: Instant,
    refused: u32,
}

impl Retries<'_> {
    /// The request was refused, in a way that may pass. Waits for `wait`, which the service named, or for 1, 2, 4 …
    /// seconds where that is longer, and says whether to send it again: not where this turn would wait too long.
    pub(super) async fn again(&mut self, wait: Option<Duration>) -> bool {
        self.refused += 1;
        let pause = doubled(self.refused).max(wait.unwrap_or_default());
        let at = now() + pause;
        if at > self.until {
            return false;
        }
        wait_until(at + SPREAD.mul_f64(part(&*self.limiter.random))).await;
        true
    }
}

/// 1, 2, 4 … 64 seconds after so many refusals in a row.
fn doubled(refusals: u32) -> Duration {
    SHORTEST_PAUSE.saturating_mul(1 << refusals.saturating_sub(1).min(6)).min(LONGEST_PAUSE)
}

/// A random part from 0 up to, not including, 1: 53 bits are what a float holds exactly.
fn part(random: &dyn Random) -> f64 {
    (random.next() >> 75) as f64 / (1_u64 << 53) as f64
}

/// Seconds, rounded up.
fn whole(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[expect(clippy::disallowed_methods, reason = "pace inside of a turn; paused in tests")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "pace inside of a turn; paused in tests")]
async fn wait_until(at: Instant) {
    tokio::time::sleep_until(at).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::google::{CALENDAR, DRIVE, GMAIL};

    const SHORT: Duration = Duration::from_secs(5);

    /// Randomness without any.
    struct None0;

    impl Random for None0 {
        fn next(&self) -> u128 {
            0
        }
    }

    fn limiter(api: &Api) -> Limiter {
        Limiter::new(api, InTurn::default(), Arc::new(None0))
    }

    fn wait(failure: Failure) -> Duration {
        assert_eq!(failure.class, Class::RateLimited);
        failure.wait.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_minute_holds_no_more_than_its_units() {
        let limiter = limiter(&GMAIL);
        let start = now();
        let mut minutes = [0_u32; 3];
        loop {
            limiter.acquire(20).await.unwrap();
            let minute = (now() - start).as_secs() / 60;
            let Some(units) = minutes.get_mut(minute as usize) else { break };
            *units += 20;
        }
        assert!(minutes[0] <= 6_000 && minutes[0] > 5_900, "{minutes:?}");
        assert!(minutes[1] <= 5_400 && minutes[1] > 5_300, "{minutes:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_does_not_wait_and_who_asks_first_is_first() {
        let (limiter, start) = (limiter(&CALENDAR), now());
        for _ in 0..54 {
            limiter.acquire(1).await.unwrap();
        }
        assert_eq!(now(), start);
        let ask = |units| {
            let limiter = &limiter;
            async move {
                limiter.acquire(units).await.unwrap();
                (now() - start).as_millis()
            }
        };
        let (big, small) = tokio::join!(ask(9), ask(1));
        assert!(big > 900 && small > big && small - big < 200, "{big} {small}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_too_long_for_a_turn_is_a_failure_and_spends_nothing() {
        let limiter = limiter(&CALENDAR);
        limiter.acquire(54).await.unwrap();
        let first = wait(limiter.acquire(540).await.unwrap_err());
        assert_eq!(wait(limiter.acquire(540).await.unwrap_err()), first);
        limiter.acquire(1).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_another_quota_is_paced_for_that() {
        let limiter = limiter(&DRIVE);
        let spend = async |units| {
            let start = now();
            limiter.acquire(units).await.unwrap();
            (now() - start).as_secs()
        };
        assert_eq!(spend(DRIVE.units_per_minute / 10).await, 0);
        lock(&limiter.pace).ask(60_000);
        assert_eq!(spend(9_000).await, 10);
        // Of several that ask the one who asks for the least is believed.
        lock(&limiter.pace).ask(600);
        lock(&limiter.pace).ask(600_000);
        assert_eq!(spend(90).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_block_fails_at_once_and_ends_by_itself() {
        let (limiter, start) = (limiter(&GMAIL), now());
        assert_eq!(limiter.block(Some(Duration::from_secs(900))), Duration::from_secs(900));
        let failure = limiter.acquire(1).await.unwrap_err();
        assert_eq!(failure.to_string(), "gmail asked for a pause, of which 900s are left");
        assert_eq!(wait(failure), Duration::from_secs(900));
        assert_eq!(now(), start);
        tokio::time::advance(Duration::from_secs(890)).await;
        // A shorter time does not end it, a longer one does prolong it.
        assert_eq!(limiter.block(Some(Duration::from_secs(1))), Duration::from_secs(10));
        assert_eq!(limiter.block(Some(Duration::from_secs(20))), Duration::from_secs(20));
        tokio::time::advance(Duration::from_secs(20)).await;
        limiter.acquire(1).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_block_reaches_those_who_wait_already() {
        let limiter = limiter(&CALENDAR);
        limiter.acquire(54).await.unwrap();
        let (waiting, ()) = tokio::join!(limiter.acquire(60), async {
            limiter.block(Some(Duration::from_secs(60)));
        });
        let left = wait(waiting.unwrap_err());
        assert!(left < Duration::from_secs(60) && left > Duration::from_secs(50), "{left:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_block_is_waited_out() {
        let (limiter, start) = (limiter(&GMAIL), now());
        limiter.block(Some(SHORT));
        let (one, other) = tokio::join!(limiter.acquire(1), limiter.acquire(1));
        assert!(one.is_ok() && other.is_ok());
        assert_eq!(now() - start, SHORT);
        // Another one meanwhile is a matter for the next turn.
        limiter.block(Some(Duration::from_secs(2)));
        let (waiting, ()) = tokio::join!(limiter.acquire(1), async {
            limiter.block(Some(Duration::from_secs(4)));
        });
        assert_eq!(wait(waiting.unwrap_err()), Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_block_is_as_long_as_was_named_and_doubles_until_an_answer() {
        let limiter = limiter(&GMAIL);
        for (named, seconds) in [(0, 1), (1, 2), (1, 4), (20, 20), (1, 16), (1, 32), (100, 100), (1, 64)] {
            assert_eq!(limiter.block(Some(Duration::from_secs(named))), Duration::from_secs(seconds));
            tokio::time::advance(Duration::from_secs(seconds)).await;
        }
        limiter.unblock();
        assert_eq!(limiter.block(Some(Duration::from_secs(1))), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_sent_again_within_five_seconds() {
        let (limiter, start) = (limiter(&GMAIL), now());
        let secs = |seconds| Some(Duration::from_secs(seconds));
        for (waits, pauses) in [
            (vec![None, None, None], vec![1, 2]),
            (vec![secs(1), secs(1), secs(1)], vec![1, 2]),
            (vec![secs(0), None, None], vec![1, 2]),
            (vec![secs(5), None], vec![5]),
            (vec![None, secs(4), None], vec![1, 4]),
            (vec![secs(6)], vec![]),
        ] {
            let (mut retries, mut found) = (limiter.retries(), Vec::new());
            for wait in waits.clone() {
                let before = now();
                if retries.again(wait).await {
                    found.push((now() - before).as_secs());
                } else {
                    assert_eq!(before, now(), "a refusal that is not waited for costs no time");
                }
            }
            assert_eq!(found, pauses, "{waits:?}");
        }
        assert!(now() > start);
        let never = Limiter::new(&GMAIL, InTurn::NEVER, Arc::new(None0));
        assert!(!never.retries().again(None).await);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_refused_together_do_not_come_again_all_at_once() {
        struct All;
        impl Random for All {
            fn next(&self) -> u128 {
                u128::MAX
            }
        }
        let (limiter, start) = (Limiter::new(&GMAIL, InTurn::default(), Arc::new(All)), now());
        assert!(limiter.retries().again(None).await);
        let took = now() - start;
        assert!(took > Duration::from_millis(1_490) && took <= Duration::from_millis(1_501), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn blocks_without_a_time_double_until_an_answer() {
        let limiter = limiter(&GMAIL);
        for seconds in [1, 2, 4, 8, 16, 32, 64, 64] {
            assert_eq!(limiter.block(None), Duration::from_secs(seconds));
            // Refused together with the first, and an answer to what was sent before.
            assert_eq!(limiter.block(None), Duration::from_secs(seconds));
            limiter.unblock();
            tokio::time::advance(Duration::from_secs(seconds)).await;
        }
        limiter.unblock();
        assert_eq!(limiter.block(None), Duration::from_secs(1));
    }
}
