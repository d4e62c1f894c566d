//! Housekeeping: sweeps away what has expired, prunes what is past retention and owed to nobody any more, and watches
//! for debts that grow old and for states that come near to their limits.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::StoreError;
use inboxclaw_contract::store::{NEAR, Prune, share};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::debts::Debts;
use crate::rules::{self, Limits};
use crate::runner::Env;
use crate::schedule::tick;

/// How often to look for something to do.
const LOOK: Duration = Duration::from_secs(5);
/// How often to sweep.
const SWEEP: Duration = Duration::from_secs(60);
/// How often to prune, by the store's clock: after a step of it, and when the machine slept, at once.
const PRUNE: SignedDuration = SignedDuration::from_hours(1);
/// Most events removed in one step.
const STEP: usize = 1_000;

/// The loop of housekeeping.
pub(crate) struct HousekeepingLoop {
    pub(crate) env: Arc<Env>,
    pub(crate) debts: Debts,
    pub(crate) limits: Limits,
}

impl HousekeepingLoop {
    /// Runs until the program ends.
    ///
    /// # Errors
    /// When the store will not recover.
    pub(crate) async fn run(mut self) -> Result<(), StoreError> {
        let (mut swept, mut pruned): (Option<Instant>, Option<Timestamp>) = (None, None);
        loop {
            let result = self.prune_in_time(&mut pruned).await;
            self.forgive(result)?;
            if swept.is_none_or(|at| at.elapsed() >= SWEEP) {
                swept = Some(Instant::now());
                let result = self.sweep().await;
                self.forgive(result)?;
                let result = self.make_room().await;
                self.forgive(result)?;
                self.env.health().look_at_store();
                let result = rules::show(&self.limits, &self.env).await;
                self.forgive(result)?;
            }
            let result = self.debts.expire().await;
            self.forgive(result)?;
            if !tick(&self.env.shutdown, LOOK, pending()).await {
                return Ok(());
            }
        }
    }

    async fn prune_in_time(&mut self, pruned: &mut Option<Timestamp>) -> Result<(), StoreError> {
        let now = self.env.store.clock().await?.now;
        // Also a clock that was set back is no reason to wait.
        if pruned.is_some_and(|at| now.duration_since(at).abs() < PRUNE) {
            return Ok(());
        }
        *pruned = Some(now);
        self.prune().await
    }

    fn forgive(&self, result: Result<(), StoreError>) -> Result<(), StoreError> {
        match result {
            Ok(()) => Ok(()),
            Err(error) => self.env.store_failed(error).map(drop),
        }
    }

    async fn sweep(&self) -> Result<(), StoreError> {
        while !self.env.shutdown.is_cancelled() {
            let swept = self.env.store.sweep().await?;
            self.env.health().store_works(swept.entries + swept.history > 0);
            if !swept.more {
                break;
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn prune(&mut self) -> Result<(), StoreError> {
        self.expire_dead().await?;
        self.debts.show().await?;
        let options = &self.env.options;
        let Some(keep) = options.retention() else { return Ok(()) };
        let prune = Prune { keep, owed_max: options.owed_max, limit: STEP };
        let mut events = 0;
        while !self.env.shutdown.is_cancelled() {
            let step = self.env.store.prune(&prune).await?;
            events += step.events;
            self.env.health().store_works(step.events > 0);
            if !step.more {
                break;
            }
            tokio::task::yield_now().await;
        }
        if events > 0 {
            tracing::info!(events, "retention removed events");
        }
        self.debts.tell_dropped(self.debts.owed_for_long()).await
    }

    /// Removes the oldest events while the store holds more than it may.
    async fn make_room(&self) -> Result<(), StoreError> {
        let Some(max_bytes) = self.env.options.max_bytes else { return Ok(()) };
        // What was dropped for another reason is told first: the store does not keep the reason.
        self.debts.tell_dropped(self.debts.owed_for_long()).await?;
        let (mut events, mut bytes) = (0, 0);
        while !self.env.shutdown.is_cancelled() {
            let step = self.env.store.make_room(max_bytes, STEP).await?;
            (events, bytes) = (events + step.events, step.bytes);
            if !step.more {
                break;
            }
            tokio::task::yield_now().await;
        }
        let used = share(bytes, Some(max_bytes)).filter(|percent| *percent >= NEAR);
        self.env.health().filling_store(used.map(|percent| {
            format!(
                "events and states fill {percent} % of database.max_bytes; beyond it the oldest events go"
            )
        }));
        if events > 0 {
            self.env.health().store_works(true);
            tracing::warn!(events, max_bytes, "events were removed to make room (database.max_bytes)");
            self.debts.tell_dropped("the database was full (database.max_bytes)".to_owned()).await?;
        }
        Ok(())
    }

    /// Ends dead letters that nobody acted on, also where events are kept for ever.
    async fn expire_dead(&self) -> Result<(), StoreError> {
        // What was dropped for another reason is told first: the store does not keep the reason.
        self.debts.tell_dropped(self.debts.owed_for_long()).await?;
        let mut letters = 0;
        while !self.env.shutdown.is_cancelled() {
            let step = self.env.store.expire_dead(self.env.options.dead_max, STEP).await?;
            letters += step.letters;
            self.env.health().store_works(step.letters > 0);
            if !step.more {
                break;
            }
            tokio::task::yield_now().await;
        }
        if letters == 0 {
            return Ok(());
        }
        tracing::warn!(letters, "dead letters went, because nobody retried or dropped them");
        self.debts.tell_dropped(self.debts.dead_for_long()).await
    }
}
