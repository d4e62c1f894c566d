//! Spaces, as the contract wants them: here is what is asked of the store. `read`: looking into them; `build`: making
//! new ones; `rename` and `forget`: what happens to an owner as a whole. Putting a space in place is part of a turn
//! (`apply.rs`), removing those that nobody names part of sweeping.

mod build;
mod copy;
mod forget;
mod read;
mod rename;

use async_trait::async_trait;
use inboxclaw_contract::space::{Copied, EachEntry, Look, Looked, NewSpace, SpaceInfo};
use inboxclaw_contract::{Entry, Owner, OwnerId, Snapshot, SpaceId, Spaces, StoreError};
use jiff::Timestamp;
use rusqlite::Connection;

use super::store::SqliteStore;

#[async_trait]
impl Spaces for SqliteStore {
    async fn space(&self, owner: OwnerId) -> Result<SpaceInfo, StoreError> {
        let found = self.shared.small(|connection, _| read::info(connection, owner));
        found?.ok_or(StoreError::NoOwner(owner))
    }

    async fn look(&self, owner: OwnerId, look: &Look) -> Result<Looked, StoreError> {
        let wanted = look.clone();
        let page =
            move |connection: &Connection, now, most| read::look(connection, owner, &wanted, now, most);
        self.shared.few(look.entries, page).await?.ok_or(StoreError::NoOwner(owner))
    }

    async fn scan(&self, owner: OwnerId, prefix: &str, each: EachEntry) -> Result<Snapshot, StoreError> {
        let (shared, prefix) = (self.shared.clone(), prefix.to_owned());
        copy::scan(shared, owner, prefix, each).await
    }

    async fn entries_in(&self, space: SpaceId, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        let wanted = keys.to_vec();
        let read =
            move |connection: &Connection, now, most| read::entries_in(connection, space, &wanted, now, most);
        self.shared.few(keys.len(), read).await
    }

    async fn expiring(
        &self,
        owner: OwnerId,
        after: Timestamp,
        limit: usize,
    ) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let read = move |connection: &Connection, _, _| read::expiring(connection, owner, after, limit);
        self.shared.few(limit, read).await?.ok_or(StoreError::NoOwner(owner))
    }

    async fn swept_until(&self, owner: OwnerId) -> Result<Option<Timestamp>, StoreError> {
        let found = self.shared.small(|connection, _| read::swept_until(connection, owner));
        found?.ok_or(StoreError::NoOwner(owner))
    }

    async fn build(&self, owner: OwnerId) -> Result<NewSpace, StoreError> {
        self.write(0, move |tx| build::begin(tx, owner)).await
    }

    async fn fill(&self, space: &NewSpace, changes: Vec<(String, Option<Entry>)>) -> Result<(), StoreError> {
        let size = build::size(&changes)?;
        let space = space.id;
        self.write(size, move |tx| build::fill(tx, space, &changes)).await
    }

    async fn copy(
        &self,
        from: SpaceId,
        to: &NewSpace,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Copied, StoreError> {
        let (to, prefix, after) = (to.id, prefix.to_owned(), after.map(str::to_owned));
        let weight = build::COPIED_BYTES;
        self.write(weight, move |tx| build::copy(tx, from, to, &prefix, after.as_deref(), limit)).await
    }

    async fn rename(&self, owner: OwnerId, to: &Owner) -> Result<(), StoreError> {
        let to = to.clone();
        self.write(0, move |tx| rename::rename(tx, owner, &to)).await
    }

    async fn forget(&self, owner: OwnerId) -> Result<bool, StoreError> {
        self.write(0, move |tx| forget::step(tx, owner)).await
    }
}
