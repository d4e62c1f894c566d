//! The state API: looking into states, editing, undoing, rewinding, moving and watching them, over HTTP requests.
//!
//! Answered by the server while the program runs, and by the command line in its own process while it does not: so
//! both say the same. `context` is what all of them use; `routes` says which path asks for what and what that means,
//! `request` reads requests, `types` and `problem` are what answers look like; `entries`, `history`, `bulk` and `owners`
//! do the work, `progress` streams how far a long change has come, `channel` an export, `watch` what changes. `deliveries`
//! and `replays` are about what sinks owe: the same two ways lead to it. Left out: who may ask (`guard`), and the edits
//! themselves.

mod bulk;
mod channel;
mod context;
mod deliveries;
mod entries;
mod history;
mod owners;
mod problem;
mod progress;
mod replays;
mod request;
mod routes;
mod types;
mod watch;

use std::future::ready;

use axum::body::Body;
use axum::http::Request;
use tower::ServiceExt;

pub use self::context::{Configured, States, Waker};
pub use self::deliveries::{ChangedDeliveries, DeliveryWord, OriginWord, OwedDelivery};
pub use self::owners::{OwnerList, OwnerRow, Paused};
pub use self::replays::{ReplayJob, StartReplay};
pub(crate) use self::routes::routes;
pub use self::types::{
    DeletedEntries, ImportedEntries, PutEntry, RewoundState, StateCursor, Time, UndoneChange,
};
pub use self::watch::Watch;
use crate::clients::Author;
use crate::reply::{self, Reply};
use crate::route;

impl States {
    /// Answers a request of `author` (for history: `cli:NAME`, `token`, `http`) in this process, without the limits of the
    /// server.
    pub async fn answer(&self, mut request: Request<Body>, author: String) -> Reply {
        request.extensions_mut().insert(Author(author));
        let router = route::router(routes(), None).fallback(|| ready(reply::not_found()));
        let Ok(reply) = router.with_state(self.clone()).oneshot(request).await;
        reply
    }
}
