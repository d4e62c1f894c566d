//! A store in which something happens at the worst moment: a request of somebody else, between the reads of a request
//! and its commit, or between two of its reads.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use inboxclaw_contract::sinks::{Expired, Lapse, SinkDebts};
use inboxclaw_contract::store::{
    ClockState, DeliveryPage, DeliveryQuery, EventRow, Find, Found, HistoryLimit, Housekeeping, Log,
    OwnerInfo, Page, PastTurn, Policy, Prune, Pruned, ReadLimit, State, Swept,
};
use inboxclaw_contract::turn::{FactsPatch, RunFacts};
use inboxclaw_contract::{
    Entry, Event, Intake, Outcome, Owner, OwnerId, Selection, Seq, Sinks, Snapshot, Store, StoreError, Turn,
    Version,
};

type Deed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// When the deed is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// After the cursor was read, before the deliveries are.
    Deliveries,
    /// After the deliveries were read, before the log is.
    Read,
    /// After all reads, before the commit.
    Commit,
}

/// The store, and what happens once.
pub(crate) struct Meddler {
    inner: Arc<dyn Store>,
    when: When,
    deed: Mutex<Option<Deed>>,
    reads: AtomicUsize,
}

impl Meddler {
    pub(crate) fn new(inner: Arc<dyn Store>, when: When, deed: Deed) -> Self {
        Self { inner, when, deed: Mutex::new(Some(deed)), reads: AtomicUsize::new(0) }
    }

    /// One in which nothing happens.
    pub(crate) fn idle(inner: Arc<dyn Store>) -> Self {
        Self { inner, when: When::Read, deed: Mutex::new(None), reads: AtomicUsize::new(0) }
    }

    /// How often the log was read.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.deed.lock().unwrap().is_none()
    }

    async fn now(&self, when: When) {
        let deed = if self.when == when { self.deed.lock().unwrap().take() } else { None };
        if let Some(deed) = deed {
            deed.await;
        }
    }
}

#[async_trait]
impl State for Meddler {
    async fn snapshot(&self, owner: OwnerId) -> Result<Snapshot, StoreError> {
        self.inner.snapshot(owner).await
    }

    async fn entries(&self, owner: OwnerId, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        self.inner.entries(owner, keys).await
    }

    async fn list(
        &self,
        owner: OwnerId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.inner.list(owner, prefix, after, limit).await
    }

    async fn commit(&self, turn: Turn) -> Result<Outcome, StoreError> {
        self.now(When::Commit).await;
        self.inner.commit(turn).await
    }

    async fn history(
        &self,
        owner: OwnerId,
        before: Option<Version>,
        limit: HistoryLimit,
    ) -> Result<Vec<PastTurn>, StoreError> {
        self.inner.history(owner, before, limit).await
    }

    async fn changed(&self, owner: OwnerId, after: Version) -> Result<Version, StoreError> {
        self.inner.changed(owner, after).await
    }
}

#[async_trait]
impl Log for Meddler {
    async fn read(&self, selection: &Selection, limit: ReadLimit) -> Result<Page, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.now(When::Read).await;
        self.inner.read(selection, limit).await
    }

    async fn rows(&self, selection: &Selection, limit: ReadLimit) -> Result<Page<EventRow>, StoreError> {
        self.now(When::Read).await;
        self.inner.rows(selection, limit).await
    }

    async fn deliveries(&self, sink: OwnerId, query: DeliveryQuery) -> Result<DeliveryPage, StoreError> {
        self.now(When::Deliveries).await;
        self.inner.deliveries(sink, query).await
    }

    async fn events(&self, seqs: &[Seq], bytes: usize) -> Result<Vec<Event>, StoreError> {
        self.inner.events(seqs, bytes).await
    }

    async fn event(&self, seq: Seq) -> Result<Option<Event>, StoreError> {
        self.inner.event(seq).await
    }

    async fn find(&self, find: &Find) -> Result<Found, StoreError> {
        self.inner.find(find).await
    }

    async fn grown(&self, after: Seq) -> Result<Seq, StoreError> {
        self.inner.grown(after).await
    }

    async fn head(&self) -> Result<Seq, StoreError> {
        self.inner.head().await
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
impl Sinks for Meddler {
    async fn set_intake(&self, sink: OwnerId, intake: &Intake) -> Result<Selection, StoreError> {
        self.inner.set_intake(sink, intake).await
    }

    async fn set_configured(&self, sinks: &[OwnerId]) -> Result<(), StoreError> {
        self.inner.set_configured(sinks).await
    }

    async fn debts(&self) -> Result<Vec<SinkDebts>, StoreError> {
        self.inner.debts().await
    }

    async fn expire(&self) -> Result<Vec<Expired>, StoreError> {
        self.inner.expire().await
    }

    async fn lapses(&self) -> Result<Vec<Lapse>, StoreError> {
        self.inner.lapses().await
    }

    async fn set_told(&self, lapse: &Lapse) -> Result<(), StoreError> {
        self.inner.set_told(lapse).await
    }

    async fn release(&self, sink: OwnerId) -> Result<(), StoreError> {
        self.inner.release(sink).await
    }
}
