//! The state of an owner that never ran, for tests of sources and sinks.

use async_trait::async_trait;
use inboxclaw_contract::store::{HistoryLimit, PastTurn};
use inboxclaw_contract::{Clock as _, Entry, Outcome, OwnerId, Snapshot, State, StoreError, Turn, Version};

use crate::outside::SystemClock;

/// The number of an owner that no store knows.
pub(super) const NOBODY: OwnerId = OwnerId(0);

/// The state of an owner that never ran.
pub(super) struct Empty;

#[async_trait]
impl State for Empty {
    async fn snapshot(&self, _: OwnerId) -> Result<Snapshot, StoreError> {
        Ok(Snapshot { version: Version(0), cursor: None, now: SystemClock.now() })
    }

    async fn entries(&self, _: OwnerId, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        Ok(vec![None; keys.len()])
    }

    async fn list(&self, _: OwnerId, _: &str, _: Option<&str>, _: usize) -> Result<Vec<Entry>, StoreError> {
        Ok(Vec::new())
    }

    async fn commit(&self, _: Turn) -> Result<Outcome, StoreError> {
        Err(StoreError::Refused("nothing is stored by a test".into()))
    }

    async fn history(
        &self,
        _: OwnerId,
        _: Option<Version>,
        _: HistoryLimit,
    ) -> Result<Vec<PastTurn>, StoreError> {
        Ok(Vec::new())
    }

    async fn changed(&self, _: OwnerId, _: Version) -> Result<Version, StoreError> {
        std::future::pending().await
    }
}
