//! How an extract waits: until the log holds something new that is wanted, a lease ends, or somebody gives events back.
//! While it waits it reads nothing and holds nothing but its place in the log.
//!
//! What a person changes meanwhile (a position moved back) is found by the last look, when the wait is over.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use inboxclaw_contract::store::ReadLimit;
use inboxclaw_contract::{Seq, Store, StoreError};
use tokio::sync::futures::Notified;

use super::{PullSink, Wanted};

/// What tells whether there is a next event at all.
const NEXT: ReadLimit = ReadLimit { events: 1, bytes: 1, count: false };

/// The state of a pull sink before somebody looked, so that nothing that happens meanwhile is missed.
pub struct Watch<'a> {
    sink: &'a PullSink,
    released: Pin<Box<Notified<'a>>>,
    head: Seq,
}

impl PullSink {
    /// To be taken before an extract that may be waited for.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn watch(&self, store: &dyn Store) -> Result<Watch<'_>, StoreError> {
        let mut released = Box::pin(self.released.notified());
        released.as_mut().enable();
        Ok(Watch { sink: self, released, head: store.head().await? })
    }

    /// Waits for an event after `head` that is wanted.
    async fn grown(&self, store: &dyn Store, wanted: &Wanted, mut head: Seq) -> Result<(), StoreError> {
        let selection = self.wanted(BTreeMap::new(), wanted.selector.clone());
        loop {
            store.grown(head).await?;
            let page = store.rows(&selection.from_place(head), NEXT).await?;
            if !page.events.is_empty() {
                return Ok(());
            }
            head = head.max(page.head);
        }
    }
}

impl Watch<'_> {
    /// Waits until an extract that found nothing may find something. `next_due` is what that extract said.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn news(
        self,
        store: &dyn Store,
        wanted: &Wanted,
        next_due: Option<Duration>,
    ) -> Result<(), StoreError> {
        let Self { sink, released, head } = self;
        let due = async {
            match next_due {
                Some(due) => tokio::time::sleep(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = released => Ok(()),
            () = due => Ok(()),
            grown = sink.grown(store, wanted, head) => grown,
        }
    }
}
