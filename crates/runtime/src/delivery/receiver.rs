//! How the receiver of a push sink is, as plain data: whether it is down, how fast it may be sent to.

use std::time::Duration;

use inboxclaw_contract::{Class, DeliveryPolicy, Failure};
use tokio::time::Instant;

/// Failed calls of a sender in a row, without a success, that are taken for passing and not told of.
const PASSING: u32 = 2;
/// The wait after the first of them; it doubles.
const PASSING_WAIT: Duration = Duration::from_millis(250);
/// With so many events waiting for another attempt, and so many events failing one after another at their first, it is the
/// receiver that fails and not the events.
const FAILING_STORED: usize = 10_000;
const FAILING_IN_A_ROW: u32 = 1_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Receiver {
    /// The time between the starts of two events.
    pace: Option<Duration>,
    next_start: Instant,
    /// Nothing is sent before.
    resume_at: Option<Instant>,
    /// It is down: then one event is sent, to see whether it still is.
    down: bool,
    /// Down because every event failed: then a failure of an event counts as one of the receiver.
    tripped: bool,
    /// So many failed calls in a row are taken for passing.
    passing: u32,
    /// Failed calls since the last success, and when the last one counted.
    failed: u32,
    failed_at: Option<Instant>,
    /// Events that failed at their first attempt since the last success.
    failed_events: u32,
    /// Events that it took.
    successes: u64,
    /// Since when it says that it is gone.
    gone_since: Option<Instant>,
    /// Most events of one call: fewer after a call that took too long.
    batch: usize,
    batch_max: usize,
}

impl Receiver {
    pub(super) fn new(policy: &DeliveryPolicy, is_sender: bool) -> Self {
        let batch = policy.batch_max.max(1);
        Self {
            pace: policy.pace,
            next_start: Instant::now(),
            resume_at: None,
            down: false,
            tripped: false,
            passing: if is_sender { PASSING } else { 0 },
            failed: 0,
            failed_at: None,
            failed_events: 0,
            successes: 0,
            gone_since: None,
            batch,
            batch_max: batch,
        }
    }

    /// Forgets a wait: a person asks for a try.
    pub(super) fn try_again(&mut self) {
        self.resume_at = None;
    }

    /// Whether it is down, so that one event is sent as a probe.
    pub(super) fn is_down(&self) -> bool {
        self.down
    }

    /// Whether it may be sent to now.
    pub(super) fn takes(&self) -> bool {
        let now = Instant::now();
        self.not_before(now) <= now
    }

    /// When an event may be sent that could be at `at`.
    pub(super) fn not_before(&self, at: Instant) -> Instant {
        let at = self.resume_at.map_or(at, |resume_at| at.max(resume_at));
        if self.pace.is_some() { at.max(self.next_start) } else { at }
    }

    /// Most events of the next call.
    pub(super) fn batch(&self) -> usize {
        self.batch
    }

    /// So many events are being sent from now on.
    pub(super) fn started(&mut self, events: usize) {
        if let Some(pace) = self.pace {
            let taken = pace.saturating_mul(u32::try_from(events).unwrap_or(u32::MAX));
            self.next_start = self.next_start.max(Instant::now()) + taken;
        }
    }

    /// How many events it took.
    pub(super) fn successes(&self) -> u64 {
        self.successes
    }

    /// It took an event of a call that began at `begun`, or said that it never will.
    pub(super) fn took(&mut self, begun: Instant, success: bool) {
        self.is_there(begun);
        if success {
            (self.failed_events, self.tripped) = (0, false);
            self.successes += 1;
        }
    }

    /// A call that began at `begun` came through. What it says of an older failure is nothing.
    fn is_there(&mut self, begun: Instant) {
        if self.failed_at.is_none_or(|at| at < begun) {
            (self.down, self.failed, self.resume_at, self.gone_since) = (false, 0, None, None);
        }
    }

    /// An event of a call that began at `begun` failed; `first` tells whether it was its first attempt. Returns whether it
    /// is the receiver that fails.
    pub(super) fn event_failed(&mut self, begun: Instant, first: bool, stored: usize) -> bool {
        self.failed_events = self.failed_events.saturating_add(u32::from(first));
        self.tripped |= self.failed_events >= FAILING_IN_A_ROW && stored >= FAILING_STORED;
        if !self.tripped {
            self.is_there(begun);
        }
        self.tripped
    }

    /// A call that began at `begun` failed. Returns the wait when the failure may be a passing one; `None` when it counts.
    /// Of calls that ran at the same time one counts.
    pub(super) fn passing(&mut self, begun: Instant, failure: &Failure) -> Option<Duration> {
        if self.failed_at.is_some_and(|at| at >= begun) {
            return Some(Duration::ZERO);
        }
        self.failed_at = Some(Instant::now());
        self.failed = self.failed.saturating_add(1);
        let may_pass = matches!(failure.class, Class::Connectivity | Class::Timeout | Class::Upstream);
        if may_pass && failure.wait.is_none() && !self.down && self.failed <= self.passing {
            let wait = PASSING_WAIT * self.failed;
            self.rest(wait);
            return Some(wait);
        }
        self.down = true;
        None
    }

    /// Nothing is sent for so long.
    pub(super) fn rest(&mut self, wait: Duration) {
        let at = Instant::now() + wait;
        self.resume_at = Some(self.resume_at.map_or(at, |before| before.max(at)));
    }

    /// It says that it is gone; returns for how long it has been saying so.
    pub(super) fn gone(&mut self) -> Duration {
        self.gone_since.get_or_insert_with(Instant::now).elapsed()
    }

    /// A call with so many events took too long: the next one has half as many.
    pub(super) fn too_slow(&mut self, events: usize) {
        self.batch = (self.batch.min(events) / 2).max(1);
    }

    /// A call came through.
    pub(super) fn in_time(&mut self) {
        self.batch = (self.batch * 2).min(self.batch_max);
    }
}
