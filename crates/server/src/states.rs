//! The state API: looking into states, editing, undoing, rewinding, moving and watching them, over HTTP requests.
//!
//! Answered by the server while the program runs, and by the command line in its own process while it does not: so
//! both say the same. `routes` says which path asks for what and what that means, `request` reads requests, `types` and
//! `problem` are what answers look like; `entries`, `history`, `bulk` and `owners` do the work, `progress` streams how far
//! a long change has come, `channel` an export, `watch` what changes. Left out: who may ask (`guard`), and the edits
//! themselves.

mod bulk;
mod channel;
mod entries;
mod history;
mod owners;
mod problem;
mod progress;
mod request;
mod routes;
mod types;
mod watch;

use std::any::Any;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use inboxclaw_contract::limits::INTERNAL_SOURCE;
use inboxclaw_contract::store::{OwnerInfo, Policy};
use inboxclaw_contract::{Clock, Editable, Owner, OwnerId, OwnerKind, Random, StoreError};
use inboxclaw_edit::{Editor, Steps};
pub use owners::{OwnerList, OwnerRow};
pub(crate) use routes::routes;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
pub use watch::Watch;

use self::problem::Problem;
use crate::Bounds;
use crate::clients::Author;
use crate::reply::{self, Reply};
use crate::route;
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
    /// The rules for its state, as they are shown.
    pub policy: Policy,
}

/// The loops of a running program, as those who edit know them.
#[async_trait]
pub trait Waker: Send + Sync {
    /// Makes the owner's loop look at once; nothing happens where it has none.
    fn wake(&self, owner: &Owner);

    /// Waits until an edit of the owner may be made, and has its loop mind it until the answer is dropped.
    async fn leave(&self, owner: &Owner) -> Box<dyn Any + Send>;
}

/// Answers requests for states. Cheap to clone.
#[derive(Clone)]
pub struct States {
    store: Arc<dyn Editable>,
    random: Arc<dyn Random>,
    clock: Arc<dyn Clock>,
    configured: Arc<[Configured]>,
    /// The program that runs; `None` where only a command does.
    program: Option<Arc<dyn Waker>>,
    bounds: Limits,
}

/// How much is taken on at a time, and how long is waited.
#[derive(Clone)]
struct Limits {
    streams: Arc<Streams>,
    /// A permit per large value that is being read.
    bodies: Arc<Semaphore>,
    /// A permit per export.
    exports: Arc<Semaphore>,
    /// How long a client may send nothing of a body; for ever by default.
    patience: Option<Duration>,
}

/// Whose state a request is about.
struct Whose {
    id: OwnerId,
    owner: Owner,
    connector: String,
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
        let bounds = Limits { streams, exports: bodies.clone(), bodies, patience: None };
        Self { store, random, clock, configured: configured.into(), program: None, bounds }
    }

    /// For the running program: edits wake its loops, and its bounds hold.
    pub(crate) fn running(mut self, program: Arc<dyn Waker>, bounds: &Bounds, streams: Arc<Streams>) -> Self {
        self.program = Some(program);
        let bodies = Arc::new(Semaphore::new(bounds.batches));
        let exports = Arc::new(Semaphore::new(EXPORTS));
        self.bounds = Limits { streams, bodies, exports, patience: Some(bounds.stall_timeout) };
        self
    }

    /// Answers a request of `author` (for history: `cli:NAME`, `token`, `http`) in this process, without the limits of the
    /// server.
    pub async fn answer(&self, mut request: Request<Body>, author: String) -> Reply {
        request.extensions_mut().insert(Author(author));
        let router = route::router(routes(), None).fallback(|| ready(reply::not_found()));
        let Ok(reply) = router.with_state(self.clone()).oneshot(request).await;
        reply
    }

    /// The owner of that name. One of the configuration that never ran is registered where it is about to be changed; who
    /// only reads is told that there is nothing yet.
    async fn find(&self, kind: OwnerKind, name: String, changes: bool) -> Result<Whose, Problem> {
        let owner = Owner { kind, name };
        if let Some(info) = self.infos().await?.into_iter().find(|info| is(info, &owner)) {
            return Ok(Whose { id: info.id, owner, connector: info.connector });
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
        Ok(Whose { id: self.store.register(&owner, &connector).await?, owner, connector })
    }

    async fn infos(&self) -> Result<Vec<OwnerInfo>, StoreError> {
        self.store.owners().await
    }

    fn configured(&self, owner: &Owner) -> Option<&Configured> {
        self.configured.iter().find(|configured| configured.owner == *owner)
    }

    /// Whether the running program works with that owner.
    fn is_running(&self, owner: &Owner) -> bool {
        self.program.is_some() && (is_own(owner) || self.configured(owner).is_some())
    }

    fn editor(&self, who: &str) -> Editor {
        Editor {
            store: self.store.clone(),
            random: self.random.clone(),
            author: who.to_owned(),
            steps: Steps::default(),
        }
    }

    /// Leave to edit, held until the edit is made.
    async fn leave(&self, owner: &Owner) -> Option<Box<dyn Any + Send>> {
        match &self.program {
            Some(program) => Some(program.leave(owner).await),
            None => None,
        }
    }

    /// Waits for leave to edit and does not keep it: what takes minutes must not stop the owner's turns. When one of them
    /// comes first, the edit is worked out anew.
    async fn turn_to_edit(&self, owner: &Owner) {
        drop(self.leave(owner).await);
    }

    fn wake(&self, owner: &Owner) {
        if let Some(program) = &self.program {
            program.wake(owner);
        }
    }
}

fn is(info: &OwnerInfo, owner: &Owner) -> bool {
    info.kind == owner.kind && info.name == owner.name
}

/// Whether it is the source that reports on the program itself, which no configuration names.
fn is_own(owner: &Owner) -> bool {
    owner.kind == OwnerKind::Source && owner.name == INTERNAL_SOURCE
}
