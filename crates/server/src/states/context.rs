//! What every request about a state uses: the store, who edits, whom edits wake, and how much is taken on at a time.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::StatusCode;
use inboxclaw_contract::limits::INTERNAL_SOURCE;
use inboxclaw_contract::store::{OwnerInfo, StateLimits};
use inboxclaw_contract::{Clock, Editable, Owner, OwnerId, OwnerKind, Random, StoreError};
use inboxclaw_edit::{Editor, Steps};
use inboxclaw_settings::Patterns;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::problem::Problem;
use crate::bounds::Bounds;
use crate::streams::Streams;

/// Most exports at a time: each takes threads from those that read the store.
const EXPORTS: usize = 4;

/// A source or sink that the configuration names.
#[derive(Debug, Clone)]
pub struct Configured {
    /// Its kind and name.
    pub owner: Owner,
    /// Its type.
    pub connector: String,
    /// The event types that a sink takes.
    pub takes: Patterns,
    /// The rules for its state, as they are shown.
    pub policy: StateLimits,
}

/// The loops of a running program, as those who edit know them.
#[async_trait]
pub trait Waker: Send + Sync {
    /// Makes the owner's loop look at once; nothing happens where it has none.
    fn wake(&self, owner: &Owner);

    /// Waits until an edit of the owner may be made, and has its loop mind it until the answer is dropped.
    async fn edit_permit(&self, owner: &Owner) -> Box<dyn Any + Send>;
}

/// Answers requests for states. Cheap to clone.
#[derive(Clone)]
pub struct States {
    pub(super) store: Arc<dyn Editable>,
    pub(super) random: Arc<dyn Random>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) configured: Arc<[Configured]>,
    /// The program that runs; `None` where only a command does.
    program: Option<Arc<dyn Waker>>,
    pub(super) bounds: Limits,
}

/// How much is taken on at a time, and how long is waited.
#[derive(Clone)]
pub(super) struct Limits {
    pub(super) streams: Arc<Streams>,
    /// A permit per large value that is being read.
    pub(super) bodies: Arc<Semaphore>,
    /// A permit per export.
    pub(super) exports: Arc<Semaphore>,
    /// How long a client may send nothing of a body; for ever by default.
    pub(super) idle_timeout: Option<Duration>,
}

/// KnownOwner state a request is about.
pub(super) struct KnownOwner {
    pub(super) id: OwnerId,
    pub(super) owner: Owner,
    pub(super) connector: String,
}

impl States {
    /// For a process in which nothing but a command runs. `configured` is what the configuration names: its owners
    /// are known also before they first ran.
    pub fn new(
        store: Arc<dyn Editable>,
        random: Arc<dyn Random>,
        clock: Arc<dyn Clock>,
        configured: Vec<Configured>,
    ) -> Self {
        let streams = Arc::new(Streams::new(usize::MAX, CancellationToken::new()));
        let bodies = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        let bounds = Limits { streams, exports: bodies.clone(), bodies, idle_timeout: None };
        Self { store, random, clock, configured: configured.into(), program: None, bounds }
    }

    /// For the running program: edits wake its loops, and its bounds hold.
    pub(crate) fn running(mut self, program: Arc<dyn Waker>, bounds: &Bounds, streams: Arc<Streams>) -> Self {
        self.program = Some(program);
        let bodies = Arc::new(Semaphore::new(bounds.batches));
        let exports = Arc::new(Semaphore::new(EXPORTS));
        self.bounds = Limits { streams, bodies, exports, idle_timeout: Some(bounds.stall_timeout) };
        self
    }

    /// The owner of that name. One of the configuration that never ran is registered where it is about to be changed; who
    /// only reads is told that there is nothing yet.
    pub(super) async fn find(
        &self,
        kind: OwnerKind,
        name: String,
        changes: bool,
    ) -> Result<KnownOwner, Problem> {
        let owner = Owner { kind, name };
        if let Some(info) = self.infos().await?.into_iter().find(|info| is(info, &owner)) {
            return Ok(KnownOwner { id: info.id, owner, connector: info.connector });
        }
        let Some(configured) = self.configured(&owner) else {
            let detail = format!("there is no {kind} {:?}", owner.name);
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        };
        if !changes {
            let detail = format!("{owner} has no state yet: it has not run");
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        }
        let connector = configured.connector.clone();
        Ok(KnownOwner { id: self.store.register(&owner, &connector).await?, owner, connector })
    }

    pub(super) async fn infos(&self) -> Result<Vec<OwnerInfo>, StoreError> {
        self.store.owners().await
    }

    pub(super) fn configured(&self, owner: &Owner) -> Option<&Configured> {
        self.configured.iter().find(|configured| configured.owner == *owner)
    }

    /// Whether the running program works with that owner.
    pub(super) fn is_running(&self, owner: &Owner) -> bool {
        self.program.is_some() && (is_own(owner) || self.configured(owner).is_some())
    }

    pub(super) fn editor(&self, who: &str) -> Editor {
        Editor {
            store: self.store.clone(),
            random: self.random.clone(),
            author: who.to_owned(),
            steps: Steps::default(),
        }
    }

    /// A permit to edit, held until the edit is made.
    pub(super) async fn edit_permit(&self, owner: &Owner) -> Option<Box<dyn Any + Send>> {
        match &self.program {
            Some(program) => Some(program.edit_permit(owner).await),
            None => None,
        }
    }

    /// Waits for a permit to edit and does not keep it: what takes minutes must not stop the owner's turns. When one of them
    /// comes first, the edit is worked out anew.
    pub(super) async fn turn_to_edit(&self, owner: &Owner) {
        drop(self.edit_permit(owner).await);
    }

    pub(super) fn wake(&self, owner: &Owner) {
        if let Some(program) = &self.program {
            program.wake(owner);
        }
    }
}

pub(super) fn is(info: &OwnerInfo, owner: &Owner) -> bool {
    info.kind == owner.kind && info.name == owner.name
}

/// Whether it is the source that reports on the program itself, which no configuration names.
pub(super) fn is_own(owner: &Owner) -> bool {
    owner.kind == OwnerKind::Source && owner.name == INTERNAL_SOURCE
}
