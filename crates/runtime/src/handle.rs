//! The handle: what the rest of the program may ask and tell the loops while they run.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use inboxclaw_contract::Owner;
use tokio::sync::{Notify, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio::time::timeout;

use crate::health::{Health, Report, Trouble};
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

/// How one loop is called, what it last knew about being paused, and who may edit.
#[derive(Default)]
pub(crate) struct Signal {
    calls: Notify,
    paused: AtomicBool,
    /// Edits share it; a loop takes it alone for a turn that must not lose once more.
    edits: Arc<RwLock<()>>,
}

/// How long an edit lets a turn go first.
const EDIT_WAITS: Duration = Duration::from_secs(30);

/// The permit to edit the state of an owner, for as long as it lives.
pub struct EditPermit {
    _shared: Option<OwnedRwLockReadGuard<()>>,
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
            signal.calls.notify_one();
        }
        signal.is_some()
    }

    /// The permit to edit an owner's state now. Given at once, but for one case: when edits have refused several turns of
    /// the owner in a row, they wait for the end of the next one, so that no rate of edits starves it. For 30 s at
    /// most: an edit wins in the end. Not for what takes long.
    pub async fn edit_permit(&self, owner: &Owner) -> EditPermit {
        let edits = self.signal(owner).map(|signal| signal.edits.clone());
        let Some(edits) = edits else { return EditPermit { _shared: None } };
        EditPermit { _shared: timeout(EDIT_WAITS, edits.read_owned()).await.ok() }
    }

    /// Whether the owner's loop stands still because its run facts say that it is paused.
    pub fn is_paused(&self, owner: &Owner) -> bool {
        self.signal(owner).is_some_and(|signal| signal.paused.load(Relaxed))
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

impl Signal {
    /// Returns when somebody called since the last look.
    pub(crate) async fn called(&self) {
        self.calls.notified().await;
    }

    /// Whether somebody called since the last look.
    pub(crate) fn take(&self) -> bool {
        self.calls.notified().now_or_never().is_some()
    }

    /// Has edits wait until the answer is dropped.
    pub(crate) async fn hold_edits(&self) -> OwnedRwLockWriteGuard<()> {
        self.edits.clone().write_owned().await
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Relaxed);
    }
}
