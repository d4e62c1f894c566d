//! Our store as a benchmark uses it: through the traits, as the runtime does.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, bail};
use inboxclaw_contract::turn::{Outcome, TurnId};
use inboxclaw_contract::{Clock, Draft, Keeper, NewEvent, Owner, OwnerId};
use inboxclaw_store::{Options, SqliteStore};
use jiff::Timestamp;

use crate::log::{EVENT_TYPE, event_data};

/// A store and its owners.
pub(crate) struct Ours {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) owners: Vec<OwnerId>,
}

struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl Ours {
    pub(crate) async fn new(folder: &Path, owners: usize) -> anyhow::Result<Self> {
        let store = SqliteStore::open(&folder.join("ours.db"), Options::new(Arc::new(WallClock)))?;
        let mut ids = Vec::new();
        for n in 0..owners {
            ids.push(store.register(&Owner::source(format!("source-{n}")), "bench").await?);
        }
        Ok(Self { store: Arc::new(store), owners: ids })
    }

    /// One durable turn: so many events, and a cursor.
    pub(crate) async fn turn(&self, owner: usize, events: usize) -> anyhow::Result<()> {
        self.turn_of(owner, EVENT_TYPE, events).await
    }

    pub(crate) async fn turn_of(&self, owner: usize, event_type: &str, events: usize) -> anyhow::Result<()> {
        let owner = *self.owners.get(owner).context("no such owner")?;
        let first = next(events);
        let mut draft = Draft::open(&*self.store, owner, TurnId(first.into())).await?;
        for n in 0..events {
            let id = first + n as u64;
            let event = NewEvent::new(format!("event-{id}"), event_type, event_data(id))
                .entity(format!("thing-{id}"));
            draft.emit(event).map_err(|failure| failure.cause)?;
        }
        draft.set_cursor(Some(format!("cursor-{first}"))).map_err(|failure| failure.cause)?;
        match draft.commit().await? {
            Outcome::Committed(done) if done.stored == events as u64 => Ok(()),
            other => bail!("the turn was not stored whole: {other:?}"),
        }
    }
}

/// The first of `count` numbers that were never used before, by ours or by a peer.
pub(crate) fn next(count: usize) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(count as u64, Ordering::Relaxed)
}
