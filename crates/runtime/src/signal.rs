//! How one loop is called from outside, and who may edit the state of its owner.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Notify, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio::time::timeout;

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

/// A permit to edit the state of an owner, for as long as it lives.
#[derive(Default)]
pub struct EditPermit {
    _shared: Option<OwnedRwLockReadGuard<()>>,
}

impl Signal {
    /// Has the loop look at once.
    pub(crate) fn call(&self) {
        self.calls.notify_one();
    }

    /// A permit to edit; see [`Handle::edit_permit`](crate::Handle::edit_permit).
    pub(crate) async fn edit_permit(&self) -> EditPermit {
        EditPermit { _shared: timeout(EDIT_WAITS, self.edits.clone().read_owned()).await.ok() }
    }

    /// Whether the loop stands still because its owner is paused.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Relaxed)
    }

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
