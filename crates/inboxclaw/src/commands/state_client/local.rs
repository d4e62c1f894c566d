//! The routes in this process, over the database itself.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Response};
use inboxclaw_config::Config;
use inboxclaw_contract::coalesce::{PendingChoice, PendingEnd};
use inboxclaw_contract::turn::FactsPatch;
use inboxclaw_contract::{Housekeeping as _, Owner, StoreError};
use inboxclaw_server::clock::ClockAnswer;
use inboxclaw_server::pending::{self, EndedAnswer};
use inboxclaw_server::states::{Configured, States};
use inboxclaw_store::SqliteStore;

use super::super::failed::Failed;
use crate::outside::{SystemClock, SystemRandom, user};

/// The routes, and the store under them. What holds the database lets go of it with this.
pub(in crate::commands) struct LocalStates {
    store: Arc<SqliteStore>,
    states: States,
    configured: Vec<Configured>,
    /// Sources that are paused when they are first registered.
    stopped: Vec<Owner>,
}

impl LocalStates {
    /// Over a store that was opened for reading or writing.
    pub(super) fn over(store: SqliteStore, config: &Config) -> Self {
        let store = Arc::new(store);
        let (random, clock) = (Arc::new(SystemRandom), Arc::new(SystemClock));
        let configured = config.owners();
        let states = States::new(store.clone(), random, clock, configured.clone());
        let stopped = config.sources.iter().filter(|source| source.stopped);
        let stopped = stopped.map(|source| Owner::source(&source.name)).collect();
        Self { store, states, configured, stopped }
    }

    /// Tells the store the rules for an owner, which it does not keep. One that never ran is registered, as the program
    /// would do it.
    pub(super) async fn set_limits(&self, owner: &Owner, known: &[Owner]) -> Result<(), Failed> {
        let failed = |error: StoreError| Failed::plain(error.to_string());
        let configured = self.configured.iter().find(|configured| configured.owner == *owner);
        let Some(Configured { connector, policy, .. }) = configured else { return Ok(()) };
        let id = self.store.register(owner, connector).await.map_err(failed)?;
        if self.stopped.contains(owner) && !known.contains(owner) {
            let paused = FactsPatch { paused: Some(true), ..FactsPatch::default() };
            self.store.set_facts(id, paused).await.map_err(failed)?;
        }
        self.store.set_limits(id, policy.clone()).await.map_err(failed)
    }

    /// How the clock stands; a person may say that it is right.
    pub(in crate::commands) async fn clock(&self, accepts: bool) -> Result<ClockAnswer, Failed> {
        let state = if accepts { self.store.accept_clock().await } else { self.store.clock().await };
        state.map(ClockAnswer::from).map_err(|error| Failed::plain(error.to_string()))
    }

    /// Ends pending events.
    pub(in crate::commands) async fn end_pending(
        &self,
        choice: &PendingChoice,
        end: PendingEnd,
    ) -> Result<EndedAnswer, Failed> {
        let ended = pending::end(self.store.as_ref(), choice, end).await;
        ended.map_err(|error| Failed::plain(error.to_string()))
    }

    /// Every owner that the database knows.
    pub(super) async fn owners(&self) -> Result<Vec<Owner>, Failed> {
        owners(&self.store).await
    }

    /// Answers as the server would.
    pub(super) async fn answer(&self, request: Request<Body>) -> Response<Body> {
        self.states.answer(request, format!("cli:{}", user())).await
    }
}

/// Every owner that a database knows.
pub(super) async fn owners(store: &SqliteStore) -> Result<Vec<Owner>, Failed> {
    let owners = store.owners().await.map_err(|error| Failed::plain(error.to_string()))?;
    Ok(owners.into_iter().map(|owner| Owner { kind: owner.kind, name: owner.name }).collect())
}
