//! A store on which something happens between the steps of an edit: turns of the owner, or the end of the one who
//! waits for the edit.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use inboxclaw_contract::space::{Copied, EachEntry, Look, Looked, NewSpace, SpaceInfo};
use inboxclaw_contract::store::{
    ClockState, HistoryLimit, OwnerInfo, PastTurn, Policy, Prune, Pruned, Swept,
};
use inboxclaw_contract::turn::{FactsPatch, RunFacts};
use inboxclaw_contract::{
    Entry, Housekeeping, Outcome, Owner, OwnerId, Snapshot, SpaceId, Spaces, State, StoreError, Turn, Version,
};
use inboxclaw_store::SqliteStore;
use jiff::Timestamp;
use tokio::sync::Notify;

use super::commit;

/// A step of an edit before which something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Look,
    Scan,
    Fill,
    Copy,
    /// A commit that puts a space in place.
    Swap,
    /// Any other commit.
    Commit,
}

type Change = Box<dyn FnOnce(&mut Turn) + Send>;

/// A turn of the owner before a step.
pub(crate) type Planned = (Step, Change);

/// A turn of the owner before a step.
pub(crate) fn before(step: Step, change: impl FnOnce(&mut Turn) + Send + 'static) -> Planned {
    (step, Box::new(change))
}

pub(crate) struct Meddler {
    inner: Arc<SqliteStore>,
    owner: OwnerId,
    /// What happens before which of the next steps.
    plan: Mutex<VecDeque<Planned>>,
    /// How many more calls are answered, and whether the one after them is still made.
    calls: AtomicUsize,
    stopped: Notify,
}

impl Meddler {
    /// Turns of `owner` come before these steps, one after the other.
    pub(crate) fn new(inner: Arc<SqliteStore>, owner: OwnerId, plan: Vec<Planned>) -> Arc<Self> {
        let (plan, calls, stopped) = (Mutex::new(plan.into()), AtomicUsize::new(usize::MAX), Notify::new());
        Arc::new(Self { inner, owner, plan, calls, stopped })
    }

    /// The answer to the call after so many never comes.
    pub(crate) fn stopping(inner: Arc<SqliteStore>, owner: OwnerId, calls: usize) -> Arc<Self> {
        let (plan, calls, stopped) = (Mutex::default(), AtomicUsize::new(calls), Notify::new());
        Arc::new(Self { inner, owner, plan, calls, stopped })
    }

    /// Returns once a call waits for ever.
    pub(crate) async fn stopped(&self) {
        self.stopped.notified().await;
    }

    /// How many planned turns are left.
    pub(crate) fn left(&self) -> usize {
        self.plan.lock().unwrap().len()
    }

    async fn before(&self, step: Step) {
        let next = {
            let mut plan = self.plan.lock().unwrap();
            let due = plan.front().is_some_and(|(planned, _)| *planned == step);
            if due { plan.pop_front() } else { None }
        };
        if let Some((_, change)) = next {
            commit(&*self.inner, self.owner, change).await;
        }
    }

    async fn answer<T>(&self, answer: T) -> T {
        if self.calls.fetch_sub(1, Ordering::SeqCst) == 0 {
            self.stopped.notify_one();
            pending::<()>().await;
        }
        answer
    }
}

#[async_trait]
impl State for Meddler {
    async fn snapshot(&self, owner: OwnerId) -> Result<Snapshot, StoreError> {
        self.answer(self.inner.snapshot(owner).await).await
    }

    async fn entries(&self, owner: OwnerId, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        self.answer(self.inner.entries(owner, keys).await).await
    }

    async fn list(
        &self,
        owner: OwnerId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.answer(self.inner.list(owner, prefix, after, limit).await).await
    }

    async fn commit(&self, turn: Turn) -> Result<Outcome, StoreError> {
        self.before(if turn.swap.is_some() { Step::Swap } else { Step::Commit }).await;
        self.answer(self.inner.commit(turn).await).await
    }

    async fn history(
        &self,
        owner: OwnerId,
        before: Option<Version>,
        limit: HistoryLimit,
    ) -> Result<Vec<PastTurn>, StoreError> {
        self.answer(self.inner.history(owner, before, limit).await).await
    }

    async fn changed(&self, owner: OwnerId, after: Version) -> Result<Version, StoreError> {
        self.inner.changed(owner, after).await
    }
}

#[async_trait]
impl Housekeeping for Meddler {
    async fn register(&self, owner: &Owner, connector: &str) -> Result<OwnerId, StoreError> {
        self.inner.register(owner, connector).await
    }

    async fn owners(&self) -> Result<Vec<OwnerInfo>, StoreError> {
        self.inner.owners().await
    }

    async fn facts(&self, owner: OwnerId) -> Result<RunFacts, StoreError> {
        self.inner.facts(owner).await
    }

    async fn set_limits(&self, owner: OwnerId, policy: Policy) -> Result<(), StoreError> {
        self.inner.set_limits(owner, policy).await
    }

    async fn set_facts(&self, owner: OwnerId, patch: FactsPatch) -> Result<(), StoreError> {
        self.inner.set_facts(owner, patch).await
    }

    async fn claim(&self, owner: OwnerId, holder: &str, lasts: Duration) -> Result<bool, StoreError> {
        self.inner.claim(owner, holder, lasts).await
    }

    async fn clock(&self) -> Result<ClockState, StoreError> {
        self.inner.clock().await
    }

    async fn accept_clock(&self) -> Result<ClockState, StoreError> {
        self.inner.accept_clock().await
    }

    async fn sweep(&self) -> Result<Swept, StoreError> {
        self.inner.sweep().await
    }

    async fn prune(&self, prune: &Prune) -> Result<Pruned, StoreError> {
        self.inner.prune(prune).await
    }
}

#[async_trait]
impl Spaces for Meddler {
    async fn space(&self, owner: OwnerId) -> Result<SpaceInfo, StoreError> {
        self.answer(self.inner.space(owner).await).await
    }

    async fn look(&self, owner: OwnerId, look: &Look) -> Result<Looked, StoreError> {
        self.before(Step::Look).await;
        self.answer(self.inner.look(owner, look).await).await
    }

    async fn scan(&self, owner: OwnerId, prefix: &str, each: EachEntry) -> Result<Snapshot, StoreError> {
        self.before(Step::Scan).await;
        self.answer(self.inner.scan(owner, prefix, each).await).await
    }

    async fn entries_in(&self, space: SpaceId, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        self.answer(self.inner.entries_in(space, keys).await).await
    }

    async fn expiring(
        &self,
        owner: OwnerId,
        after: Timestamp,
        limit: usize,
    ) -> Result<Vec<(String, Timestamp)>, StoreError> {
        self.inner.expiring(owner, after, limit).await
    }

    async fn swept_until(&self, owner: OwnerId) -> Result<Option<Timestamp>, StoreError> {
        self.inner.swept_until(owner).await
    }

    async fn build(&self, owner: OwnerId) -> Result<NewSpace, StoreError> {
        self.answer(self.inner.build(owner).await).await
    }

    async fn fill(&self, space: &NewSpace, changes: Vec<(String, Option<Entry>)>) -> Result<(), StoreError> {
        self.before(Step::Fill).await;
        self.answer(self.inner.fill(space, changes).await).await
    }

    async fn copy(
        &self,
        from: SpaceId,
        to: &NewSpace,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Copied, StoreError> {
        self.before(Step::Copy).await;
        self.answer(self.inner.copy(from, to, prefix, after, limit).await).await
    }

    async fn rename(&self, owner: OwnerId, to: &Owner) -> Result<(), StoreError> {
        self.inner.rename(owner, to).await
    }

    async fn forget(&self, owner: OwnerId) -> Result<bool, StoreError> {
        self.inner.forget(owner).await
    }
}
