//! The handle: what the rest of the program may ask and tell the loops while they run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use inboxclaw_contract::Owner;

use crate::health::{Health, Report, Trouble};
use crate::signal::{EditPermit, Signal};
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

impl Handle {
    /// How everything is, as of now.
    pub fn health(&self) -> Report {
        self.shared.health.report()
    }

    /// The counters of all owners, sources first, by name.
    pub fn stats(&self) -> Vec<OwnerStats> {
        self.shared.stats.snapshot()
    }

    /// A sink without a loop, from which consumers take what they ask for, gave an answer.
    pub fn sink_worked(&self, owner: &Owner) {
        self.shared.health.succeeded(owner);
    }

    /// Such a sink could not answer, and will not until a person has set its state right.
    pub fn sink_failed(&self, owner: &Owner, message: &str, action: &str) {
        let trouble = Trouble { action: Some(action.to_owned()), ..Trouble::new("configuration", message) };
        self.shared.health.failed(owner, trouble);
    }

    /// Makes a source poll, or a push sink look, at once: also out of a back-off. To be called after an edit of
    /// state, deliveries or run facts (`pause`, `resume`); a paused owner only looks whether it still is. Several
    /// calls before the loop looks are one. `false` when no loop has that owner.
    pub fn wake(&self, owner: &Owner) -> bool {
        let signal = self.signal(owner);
        if let Some(signal) = &signal {
            signal.call();
        }
        signal.is_some()
    }

    /// A permit to edit an owner's state now. Given at once, but for one case: when edits have refused several turns of
    /// the owner in a row, they wait for the end of the next one, so that no rate of edits starves it. For 30 s at
    /// most: an edit wins in the end. Not for what takes long.
    pub async fn edit_permit(&self, owner: &Owner) -> EditPermit {
        match self.signal(owner) {
            Some(signal) => signal.edit_permit().await,
            None => EditPermit::default(),
        }
    }

    /// Whether the owner's loop stands still because its run facts say that it is paused.
    pub fn is_paused(&self, owner: &Owner) -> bool {
        self.signal(owner).is_some_and(|signal| signal.is_paused())
    }

    fn signal(&self, owner: &Owner) -> Option<Arc<Signal>> {
        self.shared.signals.lock().unwrap_or_else(PoisonError::into_inner).get(owner).cloned()
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
