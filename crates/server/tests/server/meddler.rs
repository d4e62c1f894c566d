//! A store in which something happens at the worst moment: a request of somebody else, between the reads of a request
//! and its commit, or between two of its reads.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use inboxclaw_contract::{Outcome, Store, StoreError, Turn};
use inboxclaw_contract_testing::{Intercepted, Interceptor};

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

/// What happens once.
pub(crate) struct Meddler {
    when: When,
    deed: Mutex<Option<Deed>>,
    reads: AtomicUsize,
}

/// The store, and what happens once.
pub(crate) type Meddled = Intercepted<dyn Store, Meddler>;

impl Meddler {
    pub(crate) fn over(store: Arc<dyn Store>, when: When, deed: Deed) -> Meddled {
        Intercepted { store, by: Self { when, deed: Mutex::new(Some(deed)), reads: AtomicUsize::new(0) } }
    }

    /// One in which nothing happens.
    pub(crate) fn idle(store: Arc<dyn Store>) -> Meddled {
        Intercepted {
            store,
            by: Self { when: When::Read, deed: Mutex::default(), reads: AtomicUsize::new(0) },
        }
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
impl Interceptor for Meddler {
    async fn before(&self, method: &'static str) -> Result<(), StoreError> {
        match method {
            "read" => {
                self.reads.fetch_add(1, Ordering::Relaxed);
                self.now(When::Read).await;
            }
            "rows" => self.now(When::Read).await,
            "deliveries" => self.now(When::Deliveries).await,
            _ => {}
        }
        Ok(())
    }

    async fn commit(&self, _: &Turn) -> Result<Option<Outcome>, StoreError> {
        self.now(When::Commit).await;
        Ok(None)
    }
}
