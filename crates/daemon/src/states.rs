//! The state API: looking into states, editing, undoing, rewinding, moving and watching them, over HTTP requests.
//!
//! Answered by the server while the program runs, and by the command line in its own process while it does not: so
//! both say the same. `table` says which path asks for what and `describe` what that means, `ask` reads requests,
//! `shapes` and `problem` are what answers look like; `entries`, `past`, `bulk` and `keeping` do the work, `long`
//! streams how far a long change has come, `pieces` an export, `watch` what changes. Left out: who may ask (`guard`), and the edits
//! themselves.

mod ask;
mod bulk;
mod describe;
mod entries;
mod keeping;
mod long;
mod past;
mod pieces;
mod problem;
mod shapes;
mod table;
mod watch;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use inboxclaw_contract::limits::INTERNAL_SOURCE;
use inboxclaw_contract::store::{OwnerInfo, Policy};
use inboxclaw_contract::{Clock, Editable, Owner, OwnerId, OwnerKind, Random, StoreError};
use inboxclaw_edit::{Editor, Steps};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::ask::Ask;
use self::problem::Problem;
use self::table::{Found, Op, Place};
use crate::config::Config;
use crate::serve::Bounds;
use crate::serve::reply::{self, Reply};
use crate::serve::streams::Streams;

pub(crate) use describe::operations;
pub(crate) use keeping::{OwnerList, OwnerRow};
pub use watch::Watch;

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

impl Configured {
    /// All of a configuration.
    pub(crate) fn all(config: &Config) -> Vec<Self> {
        let sources = config.sources.iter().map(|source| Self {
            owner: Owner::source(&source.name),
            connector: source.kind.to_owned(),
            policy: source.policy.clone(),
        });
        let sinks = config.sinks.iter().map(|sink| Self {
            owner: Owner::sink(&sink.name),
            connector: sink.kind.to_owned(),
            policy: sink.policy.clone(),
        });
        sources.chain(sinks).collect()
    }
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
pub(crate) struct States {
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
    pub(crate) fn new(
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

    /// Most bytes of the body of such a request; `None` where the path says nothing of it.
    pub(crate) fn most_bytes(method: &Method, path: &str) -> Option<u64> {
        match table::find(method, path) {
            Found::Route(op, _) => op.most_bytes(),
            _ => None,
        }
    }

    /// Whether the answer to such a request may rightly take longer than others to begin.
    pub(crate) fn is_long(method: &Method, path: &str) -> bool {
        matches!(table::find(method, path), Found::Route(op, _) if op.is_long())
    }

    /// Answers a request of `who` (for history: `cli:NAME`, `token`, `http`). `None` when its path is none of the
    /// state API's.
    pub(crate) async fn answer(&self, request: Request<Body>, who: &str) -> Option<Reply> {
        let (op, place) = match table::find(request.method(), request.uri().path()) {
            Found::Route(op, place) => (op, place),
            Found::Nothing => return None,
            Found::Malformed(reason) => return Some(reply::detail(StatusCode::BAD_REQUEST, reason)),
            Found::WrongMethod(allowed) => return Some(reply::wrong_method(&allowed)),
        };
        Some(self.route(op, place, request, who).await.unwrap_or_else(Problem::into_reply))
    }

    async fn route(&self, op: Op, place: Place, request: Request<Body>, who: &str) -> Result<Reply, Problem> {
        let ask = Ask::of(request, place.key)?;
        if op == Op::Owners {
            return keeping::owners(self).await;
        }
        let whose = self.find(place.kind, place.name, op.changes()).await?;
        match op {
            Op::Owners => keeping::owners(self).await,
            Op::List => entries::list(self, &whose, &ask).await,
            Op::Get => entries::get(self, &whose, &ask).await,
            Op::Put => entries::put(self, &whose, ask, who).await,
            Op::Delete => entries::delete(self, &whose, &ask, who).await,
            Op::DeleteChosen => bulk::delete(self, whose, &ask, who).await,
            Op::GetCursor => entries::cursor(self, &whose).await,
            Op::PutCursor => entries::set_cursor(self, &whose, ask, who).await,
            Op::DeleteCursor => entries::clear_cursor(self, &whose, who).await,
            Op::History => past::history(self, &whose, &ask).await,
            Op::Undo => past::undo(self, whose, ask, who).await,
            Op::Rewind => past::rewind(self, whose, ask, who).await,
            Op::Import => bulk::import(self, whose, ask, who).await,
            Op::Export => bulk::export(self, whose, &ask, who).await,
            Op::Copy => bulk::copy(self, whose, ask, who).await,
            Op::Rename => keeping::rename(self, &whose, ask).await,
            Op::Forget => keeping::forget(self, &whose).await,
            Op::Watch => watch::answer(self, &whose, &ask).await,
            Op::Pause => keeping::pause(self, &whose, true).await,
            Op::Resume => keeping::pause(self, &whose, false).await,
        }
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

    /// The permit to edit, held until the edit is made.
    async fn edit_permit(&self, owner: &Owner) -> Option<Box<dyn Any + Send>> {
        match &self.program {
            Some(program) => Some(program.edit_permit(owner).await),
            None => None,
        }
    }

    /// Waits for the permit to edit and does not keep it: what takes minutes must not stop the owner's turns. When one of them
    /// comes first, the edit is worked out anew.
    async fn turn_to_edit(&self, owner: &Owner) {
        drop(self.edit_permit(owner).await);
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
