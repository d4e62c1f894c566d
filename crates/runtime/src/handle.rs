//! The handle: what the rest of the program may ask and tell the loops while they run.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use inboxclaw_contract::Owner;
use tokio::sync::Notify;

use crate::health::{Health, Report};
use crate::stats::{OwnerStats, Stats};

/// Asks and tells a [`Runtime`](crate::Runtime). Cheap to clone; works before, during and after `run`.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

/// What the handle and the loops have in common.
pub(crate) struct Shared {
    pub(crate) health: Health,
    pub(crate) stats: Stats,
    signals: Mutex<BTreeMap<Owner, Arc<Signal>>>,
}

/// How one loop is called, and what it last knew about being paused.
#[derive(Default)]
pub(crate) struct Signal {
    calls: Notify,
    paused: AtomicBool,
}

impl Handle {
    /// How everything is, as of now.
    pub fn health(&self) -> Report {
        self.shared.health.report()
    }

    /// The counters of all owners, sources first, by name.
    pub fn stats(&self) -> Vec<OwnerStats> {
        self.shared.stats.snapshot()
    }

    /// Makes a source poll, or a push sink look, at once: also out of a back-off. To be called after an edit of
    /// state, deliveries or run facts (`pause`, `resume`); a paused owner only looks whether it still is. Several
    /// calls before the loop looks are one. `false` when no loop has that owner.
    pub fn wake(&self, owner: &Owner) -> bool {
        let signals = self.shared.signals.lock().unwrap_or_else(PoisonError::into_inner);
        let signal = signals.get(owner);
        if let Some(signal) = signal {
            signal.calls.notify_one();
        }
        signal.is_some()
    }

    /// Whether the owner's loop stands still because its run facts say that it is paused.
    pub fn is_paused(&self, owner: &Owner) -> bool {
        let signals = self.shared.signals.lock().unwrap_or_else(PoisonError::into_inner);
        signals.get(owner).is_some_and(|signal| signal.paused.load(Relaxed))
    }
}

impl Shared {
    pub(crate) fn new(health: Health) -> Self {
        Self { health, stats: Stats::default(), signals: Mutex::default() }
    }

    /// The signal of an owner's loop, made when first asked for.
    pub(crate) fn signal(&self, owner: &Owner) -> Arc<Signal> {
        let mut signals = self.signals.lock().unwrap_or_else(PoisonError::into_inner);
        signals.entry(owner.clone()).or_default().clone()
    }
}

impl Signal {
    /// Returns when somebody called since the last look.
    pub(crate) async fn called(&self) {
        self.calls.notified().await;
    }

    /// Whether somebody called since the last look.
    pub(crate) fn take(&self) -> bool {
        self.calls.notified().now_or_never().is_some()
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Relaxed);
    }
}
