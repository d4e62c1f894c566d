//! Housekeeping, as the contract wants it done.

use std::time::Duration;

use async_trait::async_trait;
use inboxclaw_contract::store::{ClockState, Condition, OwnerInfo, Prune, Pruned, Room, StateLimits, Swept};
use inboxclaw_contract::turn::{FactsPatch, RunFacts};
use inboxclaw_contract::{Housekeeping, Owner, OwnerId, StoreError};

use super::store::SqliteStore;
use super::tx::Tx;
use super::{owners, prune, room, sweep, writer};

#[async_trait]
impl Housekeeping for SqliteStore {
    async fn register(&self, owner: &Owner, connector: &str) -> Result<OwnerId, StoreError> {
        let (owner, connector) = (owner.clone(), connector.to_owned());
        self.write(0, move |tx| owners::register(tx, &owner, &connector)).await
    }

    async fn owners(&self) -> Result<Vec<OwnerInfo>, StoreError> {
        // Their cursors may have a megabyte each.
        self.shared.long(|connection, _| owners::all(connection)).await
    }

    async fn facts(&self, owner: OwnerId) -> Result<RunFacts, StoreError> {
        self.shared.small(|connection, _| owners::facts(connection, owner))?.ok_or(StoreError::NoOwner(owner))
    }

    async fn set_limits(&self, owner: OwnerId, policy: StateLimits) -> Result<(), StoreError> {
        let set = move |tx: &mut Tx<'_>| {
            tx.owner(owner)?;
            tx.writer.policies.insert(owner, policy.clone());
            tx.writer.restart_rules(owner);
            Ok(())
        };
        self.write(0, set).await
    }

    async fn set_facts(&self, owner: OwnerId, patch: FactsPatch) -> Result<(), StoreError> {
        self.write(0, move |tx| owners::patch_facts(tx, owner, &patch).map(drop)).await
    }

    async fn claim(&self, owner: OwnerId, holder: &str, lasts: Duration) -> Result<bool, StoreError> {
        let holder = holder.to_owned();
        self.write(0, move |tx| owners::claim(tx, owner, &holder, lasts)).await
    }

    async fn clock(&self) -> Result<ClockState, StoreError> {
        Ok(self.shared.clock.report())
    }

    async fn accept_clock(&self) -> Result<ClockState, StoreError> {
        let shared = self.shared.clone();
        // Stored at once, and first of all by who may write: what a command that only reads says is worth nothing.
        self.write(0, move |tx| {
            shared.clock.accept();
            Ok(shared.clock.last().map_or(Ok(()), |last| writer::set_clock(tx.connection, last))?)
        })
        .await?;
        self.clock().await
    }

    async fn sweep(&self) -> Result<Swept, StoreError> {
        let place = self.place.clone();
        let swept = self.write_lazily(move |tx| {
            place.as_ref().map_or(Ok(()), |place| place.check())?;
            sweep::step(tx)
        });
        swept.await.map_err(|error| self.shared.fail(error))
    }

    async fn prune(&self, prune: &Prune) -> Result<Pruned, StoreError> {
        let prune = prune.clone();
        self.write(0, move |tx| prune::step(tx, &prune)).await
    }

    async fn make_room(&self, max_bytes: u64, limit: usize) -> Result<Room, StoreError> {
        // To look needs no write.
        let bytes = self.shared.small(|connection, _| room::used(connection))?;
        if bytes <= max_bytes {
            return Ok(Room { bytes, ..Room::default() });
        }
        self.write(0, move |tx| room::step(tx, max_bytes, limit)).await
    }

    fn condition(&self) -> Condition {
        let clock = Some(self.shared.clock.report());
        Condition { log_bytes: self.log_bytes(), trouble: self.shared.trouble(), clock }
    }
}
