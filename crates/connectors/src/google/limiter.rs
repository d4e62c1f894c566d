//! Paces the requests of an account to a service, so that quotas are kept, whoever of its sources asks: so many units
//! a minute, and none at all while the service wants none.
//!
//! This is the one place among connectors that looks at a clock of its own and waits. It waits for seconds at most
//! between the requests of one turn; times that are worth a turn of their own are failures, and the runtime's.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use inboxclaw_contract::{Class, Failure, Outside};
use tokio::time::Instant;

use super::Api;
use super::account::Account;

const MINUTE: Duration = Duration::from_secs(60);
/// What may be spent at once, as the part of a minute's units: one in so many.
const BURST: u32 = 10;
/// Longest wait for a turn to ask. A longer one would use up the time of the turn.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest pause that a turn waits out. The runtime, told of one, waits a minute and calls the source unhealthy.
const SHORT_BLOCK: Duration = Duration::from_secs(5);
/// The first and the longest block where the service names no time.
const SHORTEST_BLOCK: Duration = Duration::from_secs(1);
const LONGEST_BLOCK: Duration = Duration::from_secs(60);

/// The budget of one account at one service.
pub struct Limiter {
    name: &'static str,
    /// The time that pays for one unit.
    unit: Duration,
    pace: Mutex<Pace>,
}

struct Pace {
    /// Up to when time has been spent; may be ahead of now by what may be spent at once.
    spent: Instant,
    blocked: Instant,
    /// Blocks without a named time that followed each other.
    blocks: u32,
}

impl Limiter {
    /// The one that all sources of the account share. `api_root` is a server that stands in for the service: its
    /// quotas are its own, so requests to it are not paced, and stop when it says so.
    pub(super) fn shared(
        outside: &Outside,
        api: &Api,
        account: &Account,
        api_root: Option<&str>,
    ) -> Arc<Self> {
        let key = format!("google:{}:{}:{}", api.name, api_root.unwrap_or_default(), account.key());
        let make = || Ok::<_, Infallible>(Self::new(api, api_root.is_none()));
        let Ok(limiter) = outside.shared.get_or_make(&key, make);
        limiter
    }

    fn new(api: &Api, paces: bool) -> Self {
        let now = now();
        // With the burst, a minute never holds more than its units.
        let unit = MINUTE * BURST / (BURST - 1) / api.units_per_minute;
        let unit = if paces { unit } else { Duration::ZERO };
        Self { name: api.name, unit, pace: Mutex::new(Pace { spent: now, blocked: now, blocks: 0 }) }
    }

    /// Waits until `units` may be spent; who asks first is first.
    ///
    /// # Errors
    /// While the service wants no requests, or when the wait would be too long for a turn: with the wait that is left.
    pub(super) async fn take(&self, units: u32) -> Result<(), Failure> {
        let at = self.book(units)?;
        if at > now() {
            wait_until(at).await;
            // The service may have lost patience with another source meanwhile.
            self.check(&self.pace(), now(), Duration::ZERO)?;
        }
        Ok(())
    }

    /// The service wants no requests for `wait`, or names no time. Returns how long there will be none.
    pub(super) fn block(&self, wait: Option<Duration>) -> Duration {
        let (now, mut pace) = (now(), self.pace());
        let left = pace.blocked.saturating_duration_since(now);
        let wait = match wait {
            Some(wait) => wait.max(left),
            // Requests under way at the same time are refused together; together they are one refusal.
            None if !left.is_zero() => left,
            None => {
                let doubled = SHORTEST_BLOCK.saturating_mul(1 << pace.blocks.min(10));
                pace.blocks += 1;
                doubled.min(LONGEST_BLOCK)
            }
        };
        pace.blocked = now + wait;
        wait
    }

    /// The service answered.
    pub(super) fn unblock(&self) {
        let (now, mut pace) = (now(), self.pace());
        // What was sent before the block says nothing about it.
        if pace.blocked <= now {
            pace.blocks = 0;
        }
    }

    /// Spends `units` and says from when on they may be used.
    fn book(&self, units: u32) -> Result<Instant, Failure> {
        let (now, mut pace) = (now(), self.pace());
        self.check(&pace, now, SHORT_BLOCK)?;
        let spent = pace.spent.max(now) + self.unit * units;
        let wait = spent.saturating_duration_since(now + MINUTE / BURST);
        if wait > PATIENCE {
            let cause =
                format!("the requests to {} that wait already need another {}s", self.name, whole(wait));
            return Err(Failure::text(Class::RateLimited, cause).wait(Some(wait - PATIENCE)));
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

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    use crate::google::{CALENDAR, GMAIL};

    fn wait(failure: Failure) -> Duration {
        assert_eq!(failure.class, Class::RateLimited);
        failure.wait.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_minute_holds_no_more_than_its_units() {
        let limiter = Limiter::new(&GMAIL, true);
        let start = now();
        let mut minutes = [0_u32; 3];
        loop {
            limiter.take(5).await.unwrap();
            let minute = (now() - start).as_secs() / 60;
            let Some(units) = minutes.get_mut(minute as usize) else { break };
            *units += 5;
        }
        assert!(minutes[0] <= 15_000 && minutes[0] > 14_800, "{minutes:?}");
        assert!(minutes[1] <= 13_500 && minutes[1] > 13_400, "{minutes:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_does_not_wait_and_who_asks_first_is_first() {
        let (limiter, start) = (Limiter::new(&CALENDAR, true), now());
        for _ in 0..54 {
            limiter.take(1).await.unwrap();
        }
        assert_eq!(now(), start);
        let ask = |units| {
            let limiter = &limiter;
            async move {
                limiter.take(units).await.unwrap();
                (now() - start).as_millis()
            }
        };
        let (big, small) = tokio::join!(ask(9), ask(1));
        assert!(big > 900 && small > big && small - big < 200, "{big} {small}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_too_long_for_a_turn_is_a_failure_and_spends_nothing() {
        let limiter = Limiter::new(&CALENDAR, true);
        limiter.take(54).await.unwrap();
        let first = wait(limiter.take(540).await.unwrap_err());
        assert_eq!(wait(limiter.take(540).await.unwrap_err()), first);
        limiter.take(1).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_stand_in_is_not_paced() {
        let (limiter, start) = (Limiter::new(&CALENDAR, false), now());
        for _ in 0..10_000 {
            limiter.take(100).await.unwrap();
        }
        assert_eq!(now(), start);
        limiter.block(Some(Duration::from_secs(6)));
        assert!(limiter.take(1).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_block_fails_at_once_and_ends_by_itself() {
        let (limiter, start) = (Limiter::new(&GMAIL, true), now());
        assert_eq!(limiter.block(Some(Duration::from_secs(900))), Duration::from_secs(900));
        let failure = limiter.take(1).await.unwrap_err();
        assert_eq!(failure.to_string(), "gmail asked for a pause, of which 900s are left");
        assert_eq!(wait(failure), Duration::from_secs(900));
        assert_eq!(now(), start);
        tokio::time::advance(Duration::from_secs(890)).await;
        // A shorter time does not end it, a longer one does prolong it.
        assert_eq!(limiter.block(Some(Duration::from_secs(1))), Duration::from_secs(10));
        assert_eq!(limiter.block(Some(Duration::from_secs(20))), Duration::from_secs(20));
        tokio::time::advance(Duration::from_secs(20)).await;
        limiter.take(1).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_block_reaches_those_who_wait_already() {
        let limiter = Limiter::new(&CALENDAR, true);
        limiter.take(54).await.unwrap();
        let (waiting, ()) = tokio::join!(limiter.take(60), async {
            limiter.block(Some(Duration::from_secs(60)));
        });
        let left = wait(waiting.unwrap_err());
        assert!(left < Duration::from_secs(60) && left > Duration::from_secs(50), "{left:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_block_is_waited_out() {
        let (limiter, start) = (Limiter::new(&GMAIL, true), now());
        limiter.block(Some(SHORT_BLOCK));
        let (one, other) = tokio::join!(limiter.take(1), limiter.take(1));
        assert!(one.is_ok() && other.is_ok());
        assert_eq!(now() - start, SHORT_BLOCK);
        // Another one meanwhile is a matter for the next turn.
        limiter.block(Some(Duration::from_secs(2)));
        let (waiting, ()) = tokio::join!(limiter.take(1), async {
            limiter.block(Some(Duration::from_secs(4)));
        });
        assert_eq!(wait(waiting.unwrap_err()), Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn blocks_without_a_time_double_until_an_answer() {
        let limiter = Limiter::new(&GMAIL, true);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
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
