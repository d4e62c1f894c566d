//! Owners, run facts, claims and the clock.

use std::time::Duration;

use async_trait::async_trait;
use inboxclaw_contract::limits::{INTERNAL_SOURCE, check_name};
use inboxclaw_contract::store::{ClockState, OwnerInfo, Prune, Pruned, Room, StateLimits, Swept};
use inboxclaw_contract::turn::{FactsPatch, RunFacts};
use inboxclaw_contract::{Housekeeping, Owner, OwnerId, StoreError};
use jiff::SignedDuration;

use super::{MemoryStore, Row};

#[async_trait]
impl Housekeeping for MemoryStore {
    async fn register(&self, owner: &Owner, connector: &str) -> Result<OwnerId, StoreError> {
        if *owner != Owner::source(INTERNAL_SOURCE) {
            check_name(owner.kind, &owner.name).map_err(|error| StoreError::Refused(error.to_string()))?;
        }
        self.write(|inner, _| {
            let known = inner.rows().find(|(_, row)| row.owner == *owner).map(|(id, _)| id);
            let id = known.unwrap_or_else(|| {
                inner.owners.push(Row::new(owner.clone()));
                OwnerId(inner.owners.len() as i64)
            });
            connector.clone_into(&mut inner.row_mut(id)?.connector);
            Ok(id)
        })
    }

    async fn owners(&self) -> Result<Vec<OwnerInfo>, StoreError> {
        let info = |(id, row): (OwnerId, &Row)| {
            let (entries, bytes) = row.counts();
            OwnerInfo {
                id,
                kind: row.owner.kind,
                name: row.owner.name.clone(),
                connector: row.connector.clone(),
                version: row.version,
                cursor: row.cursor.clone(),
                entries,
                bytes,
            }
        };
        let mut all: Vec<_> = self.read(|inner, _| inner.rows().map(info).collect());
        all.sort_by(|a, b| (a.kind.as_str(), &a.name).cmp(&(b.kind.as_str(), &b.name)));
        Ok(all)
    }

    async fn facts(&self, owner: OwnerId) -> Result<RunFacts, StoreError> {
        self.read(|inner, _| Ok(inner.row(owner)?.facts.clone()))
    }

    async fn set_limits(&self, owner: OwnerId, policy: StateLimits) -> Result<(), StoreError> {
        self.write(|inner, _| {
            let row = inner.row_mut(owner)?;
            (row.policy, row.rules_at) = (policy, None);
            Ok(())
        })
    }

    async fn set_facts(&self, owner: OwnerId, patch: FactsPatch) -> Result<(), StoreError> {
        self.write(|inner, now| {
            inner.row_mut(owner)?.patch(&patch, now.trusted);
            Ok(())
        })
    }

    async fn claim(&self, owner: OwnerId, holder: &str, lasts: Duration) -> Result<bool, StoreError> {
        self.write(|inner, now| {
            let now = now.trusted;
            let claim = &mut inner.row_mut(owner)?.claim;
            let is_free = claim.as_ref().is_none_or(|(by, until)| by == holder || *until <= now);
            if is_free {
                let lasts = SignedDuration::try_from(lasts).unwrap_or(SignedDuration::MAX);
                *claim = Some((holder.to_owned(), now.saturating_add(lasts).unwrap_or(now)));
            }
            Ok(is_free)
        })
    }

    async fn clock(&self) -> Result<ClockState, StoreError> {
        Ok(self.read(|inner, now| inner.time.report(now, &*self.clock)))
    }

    async fn accept_clock(&self) -> Result<ClockState, StoreError> {
        Ok(self.write(|inner, _| {
            let now = inner.time.look(&*self.clock, true);
            inner.time.report(now, &*self.clock)
        }))
    }

    async fn sweep(&self) -> Result<Swept, StoreError> {
        Ok(self.write(|inner, now| inner.sweep(now.trusted)))
    }

    async fn prune(&self, prune: &Prune) -> Result<Pruned, StoreError> {
        Ok(self.write(|inner, now| inner.prune(prune, now.trusted)))
    }

    async fn make_room(&self, max_bytes: u64, limit: usize) -> Result<Room, StoreError> {
        Ok(self.write(|inner, now| inner.make_room(max_bytes, limit, now.trusted)))
    }
}
