//! Housekeeping: sweeps away what has expired, prunes what is past retention and owed to nobody, and watches
//! for sinks whose consumers have gone and for states that come near to their limits.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use inboxclaw_contract::store::{DeliveryQuery, Prune, ReadLimit};
use inboxclaw_contract::turn::{DeliveryState, FactsPatch};
use inboxclaw_contract::{
    Keeper, Log, Owner, OwnerId, OwnerKind, Patterns, Selection, State, Store, StoreError, Ttl,
};
use tokio::time::Instant;

use crate::delivery::{Start, owed_by};
use crate::health::Status;
use crate::rules::{self, Limits};
use crate::runner::Env;
use crate::schedule::tick;

/// How often to sweep.
const SWEEP: Duration = Duration::from_secs(60);
/// How often to prune.
const PRUNE: Duration = Duration::from_secs(60 * 60);
/// Most events removed in one step.
const STEP: usize = 1_000;
/// How many owed events are looked at for one that waits.
const LOOKED_AT: usize = 100;
/// How old `seen_at` of a sink that owes nothing may become.
const SEEN_MOST: Duration = Duration::from_secs(24 * 60 * 60);

/// Somebody who owes events to a consumer: every sink of the configuration.
#[async_trait]
pub trait Debtor: Send + Sync {
    /// The events of the log that are still to be handed out in order; `None` for none ever, as with a stream
    /// that starts when a client connects. What is owed out of order is known to the store.
    ///
    /// # Errors
    /// When it cannot say, with [`StoreError::Read`] for whatever may pass; nothing is pruned then.
    async fn selection(&self, store: &dyn Store, owner: OwnerId) -> Result<Option<Selection>, StoreError>;
}

/// A push sink as a debtor.
pub(crate) struct Pushed {
    pub(crate) patterns: Patterns,
    pub(crate) ttl: Option<Ttl>,
    pub(crate) start: Start,
}

#[async_trait]
impl Debtor for Pushed {
    async fn selection(&self, store: &dyn Store, owner: OwnerId) -> Result<Option<Selection>, StoreError> {
        let state = State::snapshot(store, owner).await?;
        Ok(owed_by(&self.patterns, self.ttl.as_ref(), self.start, &state))
    }
}

/// A debtor that is registered.
pub(crate) struct Registered {
    pub(crate) owner: Owner,
    pub(crate) id: OwnerId,
    pub(crate) debtor: Box<dyn Debtor>,
    /// It could not say what it owes, so that retention waits.
    pub(crate) holds_up: bool,
}

/// The loop of housekeeping.
pub(crate) struct Housekeeping {
    pub(crate) env: Arc<Env>,
    pub(crate) debtors: Vec<Registered>,
    pub(crate) limits: Limits,
}

/// What is owed and may not be removed.
#[derive(Default)]
struct Debts {
    selections: Vec<Selection>,
    sinks: Vec<OwnerId>,
}

impl Housekeeping {
    /// Runs until the program ends.
    ///
    /// # Errors
    /// When the store will not recover.
    pub(crate) async fn run(mut self) -> Result<(), StoreError> {
        let mut pruned: Option<Instant> = None;
        loop {
            if pruned.is_none_or(|at| at.elapsed() >= PRUNE) {
                pruned = Some(Instant::now());
                let result = self.prune().await;
                self.forgive(result)?;
            }
            let result = self.sweep().await;
            self.forgive(result)?;
            self.env.health().look_at_store();
            let result = rules::show(&self.limits, &self.env).await;
            self.forgive(result)?;
            if !tick(&self.env.shutdown, SWEEP, pending()).await {
                return Ok(());
            }
        }
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
        self.show_strangers().await?;
        let Some(debts) = self.debts().await? else { return Ok(()) };
        let Ok(days @ 1..) = u64::try_from(self.env.options.retention_days) else { return Ok(()) };
        let older_than = Duration::from_secs(days.saturating_mul(24 * 60 * 60));
        let prune = Prune { older_than, owed: debts.selections, sinks: debts.sinks, limit: STEP };
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
        Ok(())
    }

    /// Asks every debtor what it owes; `None` when one cannot say.
    async fn debts(&mut self) -> Result<Option<Debts>, StoreError> {
        let mut selections = Vec::new();
        for registered in &mut self.debtors {
            selections.push(registered.ask(&self.env).await?);
        }
        if self.debtors.iter().any(|registered| registered.holds_up) {
            return Ok(None);
        }
        let store = self.env.store.as_ref();
        let mut debts = Debts::default();
        for (Registered { owner, id, .. }, selection) in self.debtors.iter().zip(selections) {
            let silence = self.silence(*id).await?;
            if owes(store, *id, selection.as_ref()).await? {
                let silent = silence > self.env.options.owed_max;
                self.env.health().silent(owner, silent);
                if silent {
                    continue;
                }
            } else {
                self.env.health().silent(owner, false);
                self.refresh_seen(*id, silence).await?;
            }
            debts.selections.extend(selection);
            debts.sinks.push(*id);
        }
        Ok(Some(debts))
    }

    /// How long ago the consumer took something.
    async fn silence(&self, id: OwnerId) -> Result<Duration, StoreError> {
        let store = self.env.store.as_ref();
        let Some(seen_at) = Keeper::facts(store, id).await?.seen_at else {
            let seen = FactsPatch { seen: true, ..FactsPatch::default() };
            store.set_facts(id, seen).await?;
            return Ok(Duration::ZERO);
        };
        let now = State::snapshot(store, id).await?.now;
        Ok(Duration::try_from(now.duration_since(seen_at)).unwrap_or_default())
    }

    /// A consumer that is owed nothing is not silent: its time counts from the next event on, about a day exact.
    async fn refresh_seen(&self, id: OwnerId, silence: Duration) -> Result<(), StoreError> {
        if silence < SEEN_MOST.min(self.env.options.owed_max / 2) {
            return Ok(());
        }
        self.env.store.set_facts(id, FactsPatch { seen: true, ..FactsPatch::default() }).await
    }

    /// Shows the sinks that the store knows and the configuration does not.
    async fn show_strangers(&self) -> Result<(), StoreError> {
        for info in self.env.store.owners().await? {
            let known = self.debtors.iter().any(|debtor| debtor.id == info.id);
            if info.kind == OwnerKind::Sink && !known {
                let owner = Owner::sink(info.name);
                self.env.health().add_still(&owner, &info.connector, Status::NotConfigured);
                self.env.health().notice(&owner, Some("not in the configuration: owes nothing".to_owned()));
            }
        }
        Ok(())
    }
}

impl Registered {
    /// What it owes in order. One that cannot say is named in health.
    async fn ask(&mut self, env: &Env) -> Result<Option<Selection>, StoreError> {
        match self.debtor.selection(env.store.as_ref(), self.id).await {
            Err(StoreError::Read(problem)) => {
                let notice = format!("retention waits, because what this sink owes is unknown: {problem}");
                env.health().notice(&self.owner, Some(notice));
                self.holds_up = true;
                Ok(None)
            }
            answer => {
                if std::mem::take(&mut self.holds_up) {
                    env.health().notice(&self.owner, None);
                }
                answer
            }
        }
    }
}

/// Whether there is anything that a sink has to hand out, now or later.
async fn owes(store: &dyn Store, id: OwnerId, selection: Option<&Selection>) -> Result<bool, StoreError> {
    if let Some(selection) = selection {
        let limit = ReadLimit { events: 1, bytes: 1, count: false };
        if !Log::read(store, selection, limit).await?.events.is_empty() {
            return Ok(true);
        }
    }
    let owed = store.deliveries(id, DeliveryQuery::all(LOOKED_AT)).await?.deliveries;
    // Dead ones are kept for a person, not for the consumer: they make nobody silent.
    Ok(owed.iter().any(|delivery| delivery.state == DeliveryState::Waiting))
}
