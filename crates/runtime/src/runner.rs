//! What the loops of sources and sinks have in common: when they may start, and what a failure, a conflict or
//! a store in trouble costs them. What they do in between is in `sources.rs` and `delivery.rs`.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::turn::{FactsPatch, TurnId};
use inboxclaw_contract::{Class, Failure, Owner, OwnerId, State, Store, StoreError, Version};
use jiff::Timestamp;
use tokio::sync::{OwnedRwLockWriteGuard, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::handle::Shared;
use crate::health::{Health, Trouble, iso};
use crate::options::{Doors, Options};
use crate::schedule::{self, Backoff, Bounds, CONFLICT, DAMAGED, FULL, UNREADABLE, Woken, jittered};
use crate::signal::Signal;
use crate::stats::{Counters, count};

/// How often a paused owner looks by itself whether it still is: another machine may have resumed it.
const PAUSED_LOOK: Duration = Duration::from_secs(30);
/// Conflicts in a row after which edits wait for the next turn.
const CONFLICTS_SHIELDED: u32 = 2;
/// Conflicts in a row that show in health.
const CONFLICTS_SHOWN: u32 = 3;
/// How long running work may go on when the program ends.
pub(crate) const GRACE: Duration = Duration::from_secs(3);

/// What every loop needs.
pub(crate) struct Env {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) doors: Doors,
    pub(crate) options: Options,
    pub(crate) shared: Arc<Shared>,
    pub(crate) shutdown: CancellationToken,
}

/// The common part of a loop.
pub(crate) struct Runner {
    pub(crate) env: Arc<Env>,
    pub(crate) owner: Owner,
    pub(crate) id: OwnerId,
    pub(crate) interval: Option<Duration>,
    pub(crate) signal: Arc<Signal>,
    pub(crate) counters: Arc<Counters>,
    claim: watch::Receiver<bool>,
    failures: u32,
    conflicts: u32,
    troubles: u32,
    /// The stored facts tell of a failure that the next commit clears.
    noted: bool,
    /// The facts are to be read before the next turn.
    look: bool,
    /// A stored wait that was asked for is to be honoured: at the start, and when a claim was won.
    resuming: bool,
    /// Somebody called since [`take_called`](Self::take_called).
    called: bool,
    /// When the facts were last read.
    looked_at: Instant,
}

/// What the run facts say about the next turn.
enum Gate {
    Open,
    Paused,
    /// The other side asked for a wait, which is not over: so long, until then.
    After(Duration, Timestamp),
}

impl Env {
    pub(crate) fn health(&self) -> &Health {
        &self.shared.health
    }

    pub(crate) fn turn_id(&self) -> TurnId {
        TurnId(self.doors.random.next())
    }

    pub(crate) fn bounds(&self, limit: Duration) -> Bounds {
        Bounds { limit, shutdown: self.shutdown.clone(), grace: GRACE }
    }

    /// Shows in health that the store fails, and says how to wait for it.
    ///
    /// # Errors
    /// The error itself, when the store will not recover.
    pub(crate) fn store_failed(&self, error: StoreError) -> Result<Backoff, StoreError> {
        let policy = match &error {
            StoreError::Full(_) => FULL,
            StoreError::Read(_) => UNREADABLE,
            StoreError::Damaged(_) => DAMAGED,
            _ => return Err(error),
        };
        self.health().store_failed(Trouble::new(policy.code, error.to_string()));
        Ok(policy)
    }
}

impl Runner {
    pub(crate) fn new(
        env: Arc<Env>,
        owner: Owner,
        id: OwnerId,
        interval: Option<Duration>,
        claim: watch::Receiver<bool>,
    ) -> Self {
        let (signal, counters) = (env.shared.signal(&owner), env.shared.stats.of(&owner));
        Self {
            env,
            owner,
            id,
            interval,
            signal,
            counters,
            claim,
            failures: 0,
            conflicts: 0,
            troubles: 0,
            noted: false,
            look: true,
            resuming: true,
            called: false,
            looked_at: Instant::now(),
        }
    }

    /// Whether [`admit`](Self::admit) may have something to wait for: it is to be asked before anything else is begun.
    pub(crate) fn is_interrupted(&mut self) -> bool {
        if self.signal.take() {
            (self.look, self.called) = (true, true);
        }
        self.look || self.env.shutdown.is_cancelled() || !*self.claim.borrow()
    }

    /// After a wait that was not for the next turn: the facts are read again when somebody called, or now and then.
    pub(crate) fn keep_going(&mut self) {
        self.look = self.called || self.looked_at.elapsed() >= PAUSED_LOOK;
    }

    /// Has the facts read before anything else is begun.
    pub(crate) fn look_again(&mut self) {
        self.look = true;
    }

    /// Returns `true` when a turn may start: the claim is held, nobody paused the owner, no wait
    /// that the other side asked for before the restart runs.
    /// `false` when the program ends.
    ///
    /// # Errors
    /// When the store will not recover.
    pub(crate) async fn admit(&mut self) -> Result<bool, StoreError> {
        // Also turns that follow each other without a wait leave room for others.
        tokio::task::yield_now().await;
        loop {
            if self.env.shutdown.is_cancelled() {
                return Ok(false);
            }
            if self.signal.take() {
                (self.look, self.called) = (true, true);
            }
            if !*self.claim.borrow() {
                self.await_claim().await;
                continue;
            }
            if !self.look {
                return Ok(true);
            }
            match self.gate().await {
                Ok(Gate::Open) => return Ok(true),
                Ok(Gate::Paused) => self.rest_resting(PAUSED_LOOK, "paused").await,
                Ok(Gate::After(wait, until)) => {
                    self.backing_off(wait, until);
                    self.rest(wait).await;
                }
                Err(error) => {
                    let wait = self.store_failed(error)?;
                    self.rest(wait).await;
                }
            }
        }
    }

    /// Waits, and lets only a call or the end of the program cut it short.
    pub(crate) async fn rest(&mut self, wait: Duration) {
        let woken = schedule::rest(&self.env.shutdown, &self.signal, wait).await;
        self.woken(&woken);
    }

    /// Waits for the end of `wait`, for news, a call, or the end of the program.
    pub(crate) async fn until<N>(
        &mut self,
        wait: Option<Duration>,
        news: impl Future<Output = N>,
    ) -> Woken<N> {
        let woken = schedule::until(&self.env.shutdown, &self.signal, wait, news).await;
        self.woken(&woken);
        woken
    }

    /// After conflicts in a row, has edits wait for the turn that follows: dropped at its end.
    pub(crate) async fn protected(&self) -> Option<OwnedRwLockWriteGuard<()>> {
        if self.conflicts < CONFLICTS_SHIELDED { None } else { Some(self.signal.hold_edits().await) }
    }

    /// Whether somebody called since the last time.
    pub(crate) fn take_called(&mut self) -> bool {
        std::mem::take(&mut self.called)
    }

    /// What a committing turn changes about the stored facts: nothing, unless they tell of a failure.
    pub(crate) fn clearing(&self) -> Option<FactsPatch> {
        self.noted.then(|| FactsPatch {
            failures: Some(0),
            next_in: Some(Duration::ZERO),
            ..FactsPatch::default()
        })
    }

    /// A turn committed.
    pub(crate) fn committed(&mut self, wrote: bool) {
        count(&self.counters.turns, 1);
        (self.failures, self.conflicts, self.troubles, self.noted) = (0, 0, 0, false);
        self.env.health().store_works(wrote);
    }

    /// Something came through: failures before it are no longer in a row with those after it.
    pub(crate) fn came_through(&mut self) {
        self.failures = 0;
    }

    /// A turn committed that says nothing about what failed before.
    pub(crate) fn stored(&mut self, wrote: bool) {
        count(&self.counters.turns, 1);
        (self.conflicts, self.troubles) = (0, 0);
        self.env.health().store_works(wrote);
    }

    /// A turn failed. Returns how long to wait.
    ///
    /// # Errors
    /// When the store will not recover.
    pub(crate) async fn failed(&mut self, failure: &Failure) -> Result<Duration, StoreError> {
        self.failed_by(failure, schedule::policy(failure.class)).await
    }

    /// The same with another back-off than that of its class.
    ///
    /// # Errors
    /// When the store will not recover.
    pub(crate) async fn failed_by(
        &mut self,
        failure: &Failure,
        policy: Backoff,
    ) -> Result<Duration, StoreError> {
        self.failures = self.failures.saturating_add(1);
        self.conflicts = 0;
        let wait = policy.delay(self.failures, self.interval, failure.wait);
        let wait = jittered(self.env.doors.random.as_ref(), wait);
        count(&self.counters.failures, 1);
        self.log_failure(failure, wait);
        let trouble =
            Trouble { code: policy.code, message: failure.to_string(), action: failure.action.clone() };
        self.env.health().failed(&self.owner, trouble);
        self.env.health().quiet_for(&self.owner, wait);
        // A wait of our own is not for the next start: whoever restarts has repaired something and wants a try.
        let is_asked = failure.wait.is_some() || failure.class == Class::RateLimited;
        let next_in = if is_asked { wait } else { Duration::ZERO };
        let patch =
            FactsPatch { failures: Some(self.failures), next_in: Some(next_in), ..FactsPatch::default() };
        // Also when this fails: the next commit then writes, which shows whether there is room again.
        self.noted = true;
        if let Err(error) = self.env.store.set_facts(self.id, patch).await {
            self.env.store_failed(error)?;
        }
        Ok(wait)
    }

    /// A turn worked from outdated state. Returns how long to wait: nothing after the first in a row.
    pub(crate) fn conflicted(&mut self) -> Duration {
        self.conflicts = self.conflicts.saturating_add(1);
        count(&self.counters.conflicts, 1);
        tracing::debug!(owner = %self.owner, in_a_row = self.conflicts, "the state changed during a turn, which is repeated");
        if self.conflicts < CONFLICTS_SHOWN {
            self.env.health().touched(&self.owner);
        } else {
            let message = format!("the state was changed by others during {} turns in a row", self.conflicts);
            self.env.health().failed(&self.owner, Trouble::new(CONFLICT.code, message));
        }
        match self.conflicts {
            1 => Duration::ZERO,
            more => jittered(self.env.doors.random.as_ref(), CONFLICT.delay(more - 1, None, None)),
        }
    }

    /// The store did not take or read what a turn needed. Returns how long to wait.
    ///
    /// # Errors
    /// When the store will not recover.
    pub(crate) fn store_failed(&mut self, error: StoreError) -> Result<Duration, StoreError> {
        let policy = self.env.store_failed(error)?;
        self.troubles = self.troubles.saturating_add(1);
        self.env.health().touched(&self.owner);
        Ok(jittered(self.env.doors.random.as_ref(), policy.delay(self.troubles, None, None)))
    }

    /// Returns when the owner's version is beyond `after`: somebody edited its state.
    ///
    /// # Errors
    /// When the store will not recover.
    pub(crate) async fn edited(env: &Env, id: OwnerId, after: Version) -> Result<(), StoreError> {
        let state: &dyn State = env.store.as_ref();
        match state.changed(id, after).await {
            Ok(_) => Ok(()),
            Err(error) => env.lasting(error).await,
        }
    }

    /// Reads the facts and says what they mean for the next turn.
    async fn gate(&mut self) -> Result<Gate, StoreError> {
        let facts = self.env.store.facts(self.id).await?;
        self.looked_at = Instant::now();
        self.signal.set_paused(facts.paused);
        if facts.paused {
            return Ok(Gate::Paused);
        }
        self.env.health().resting(&self.owner, None);
        self.look = false;
        if !std::mem::take(&mut self.resuming) {
            return Ok(Gate::Open);
        }
        self.failures = facts.failures;
        self.noted = facts.failures > 0 || facts.next_at.is_some();
        let Some(next_at) = facts.next_at else { return Ok(Gate::Open) };
        let now = self.env.store.snapshot(self.id).await?.now;
        match Duration::try_from(next_at.duration_since(now)) {
            // A time far ahead is another clock's mistake.
            Ok(wait) if !wait.is_zero() => {
                let wait = wait.min(schedule::LONGEST_WAIT);
                Ok(Gate::After(wait, now.checked_add(wait).unwrap_or(next_at)))
            }
            _ => Ok(Gate::Open),
        }
    }

    /// Says why nothing happens although the program has just started.
    fn backing_off(&self, wait: Duration, until: Timestamp) {
        let (owner, failures, until) = (&self.owner, self.failures, iso(until));
        tracing::info!(%owner, failures, until, "the other side asked for a wait before the restart, which goes on");
        let message =
            format!("failures before the restart: {failures}; waits until {until} as it was asked to");
        self.env.health().failed(owner, Trouble::new("backoff", message));
        self.env.health().quiet_for(owner, wait);
    }

    /// Waits until the claim is won.
    async fn await_claim(&mut self) {
        (self.look, self.resuming) = (true, true);
        self.env.health().resting(&self.owner, Some("run by another holder of its claim"));
        let mut won = self.claim.clone();
        let won = pin!(async move {
            // The sender lives as long as the program; without it nothing can be won.
            if won.wait_for(|held| *held).await.is_err() {
                std::future::pending::<()>().await;
            }
        });
        self.until(None, won).await;
    }

    async fn rest_resting(&mut self, wait: Duration, why: &'static str) {
        self.env.health().resting(&self.owner, Some(why));
        self.rest(wait).await;
        self.look = true;
    }

    fn woken<N>(&mut self, woken: &Woken<N>) {
        self.look = true;
        self.called |= matches!(woken, Woken::Called);
    }

    /// Tells of the first failure in a row, then ever more rarely.
    fn log_failure(&self, failure: &Failure, wait: Duration) {
        let (owner, class, in_a_row) = (&self.owner, failure.class, self.failures);
        if in_a_row.is_power_of_two() {
            tracing::warn!(%owner, %class, in_a_row, retry_in = ?wait, cause = %failure, "a turn failed");
        } else {
            tracing::debug!(%owner, %class, in_a_row, retry_in = ?wait, cause = %failure, "a turn failed");
        }
    }
}

impl Env {
    /// An error of a call that only waits: ends everything when the store will not recover, else nothing comes.
    pub(crate) async fn lasting(&self, error: StoreError) -> Result<(), StoreError> {
        self.store_failed(error)?;
        std::future::pending().await
    }
}
