//! A store on which something happens between the steps of an edit: turns of the owner, or the end of the one who
//! waits for the edit.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use inboxclaw_contract::{Outcome, OwnerId, StoreError, Turn};
use inboxclaw_contract_testing::{Intercepted, Interceptor};
use inboxclaw_store::SqliteStore;
use tokio::sync::Notify;

use super::commit;

/// The methods of a store that are steps of an edit.
const STEPS: [&str; 13] = [
    "snapshot",
    "entries",
    "list",
    "keys",
    "history",
    "commit",
    "space",
    "look",
    "scan",
    "entries_in",
    "build",
    "fill",
    "copy",
];

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
    store: Arc<SqliteStore>,
    owner: OwnerId,
    /// What happens before which of the next steps.
    plan: Mutex<VecDeque<Planned>>,
    /// How many more calls are answered, and whether the one after them is still made.
    calls: AtomicUsize,
    stopped: Notify,
}

/// The store, and what happens meanwhile.
pub(crate) type Meddled = Arc<Intercepted<SqliteStore, Meddler>>;

impl Meddler {
    /// Turns of `owner` come before these steps, one after the other.
    pub(crate) fn planned(store: Arc<SqliteStore>, owner: OwnerId, plan: Vec<Planned>) -> Meddled {
        Self::over(store, owner, plan, usize::MAX)
    }

    /// The answer to the call after so many never comes.
    pub(crate) fn stopping(store: Arc<SqliteStore>, owner: OwnerId, calls: usize) -> Meddled {
        Self::over(store, owner, Vec::new(), calls)
    }

    fn over(store: Arc<SqliteStore>, owner: OwnerId, plan: Vec<Planned>, calls: usize) -> Meddled {
        let (plan, calls, stopped) = (Mutex::new(plan.into()), AtomicUsize::new(calls), Notify::new());
        let by = Self { store: store.clone(), owner, plan, calls, stopped };
        Arc::new(Intercepted { store, by })
    }

    /// Returns once a call waits for ever.
    pub(crate) async fn stopped(&self) {
        self.stopped.notified().await;
    }

    /// How many planned turns are left.
    pub(crate) fn left(&self) -> usize {
        self.plan.lock().unwrap().len()
    }

    async fn meddle(&self, step: Step) {
        let next = {
            let mut plan = self.plan.lock().unwrap();
            let due = plan.front().is_some_and(|(planned, _)| *planned == step);
            if due { plan.pop_front() } else { None }
        };
        if let Some((_, change)) = next {
            commit(&*self.store, self.owner, change).await;
        }
    }
}

#[async_trait]
impl Interceptor for Meddler {
    async fn before(&self, method: &'static str) -> Result<(), StoreError> {
        match method {
            "look" => self.meddle(Step::Look).await,
            "scan" => self.meddle(Step::Scan).await,
            "fill" => self.meddle(Step::Fill).await,
            "copy" => self.meddle(Step::Copy).await,
            _ => {}
        }
        Ok(())
    }

    async fn commit(&self, turn: &Turn) -> Result<Option<Outcome>, StoreError> {
        self.meddle(if turn.swap.is_some() { Step::Swap } else { Step::Commit }).await;
        Ok(None)
    }

    async fn after(&self, method: &'static str) {
        if STEPS.contains(&method) && self.calls.fetch_sub(1, Ordering::SeqCst) == 0 {
            self.stopped.notify_one();
            pending::<()>().await;
        }
    }
}
