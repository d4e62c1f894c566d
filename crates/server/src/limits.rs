//! How long an answer may take to begin, and how long a request's body may be.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use tokio::time::timeout;

use crate::reply::{self, Reply};

/// The limits of every route that says nothing else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Most bytes of a request's body.
    pub(crate) body_bytes: u64,
    /// How long an answer may take to begin.
    pub(crate) answer_timeout: Duration,
}

/// The limits of one route.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RouteLimits {
    pub(crate) body_bytes: u64,
    /// `None` where an answer may take as long as there are entries.
    pub(crate) time: Option<Duration>,
}

impl From<Limits> for RouteLimits {
    fn from(Limits { body_bytes, answer_timeout }: Limits) -> Self {
        Self { body_bytes, time: Some(answer_timeout) }
    }
}

/// Refuses a body that says that it is too long, and gives up an answer that does not begin in time.
pub(crate) async fn keep(State(limits): State<RouteLimits>, request: Request, next: Next) -> Reply {
    let most = limits.body_bytes;
    if declared_length(&request) > most {
        let detail = format!("the request body is too large, the limit is {most} bytes");
        return reply::detail(StatusCode::PAYLOAD_TOO_LARGE, &detail);
    }
    let Some(time) = limits.time else { return next.run(request).await };
    let (method, path) = (request.method().clone(), shown(request.uri().path()));
    timeout(time, next.run(request)).await.unwrap_or_else(|_| {
        tracing::warn!(%method, path, "no answer in time");
        reply::busy("no answer in time")
    })
}

/// A path as it may stand in a log: as far as the name and what is asked of it, without any key.
pub(crate) fn shown(path: &str) -> String {
    path.split('/').take(5).collect::<Vec<_>>().join("/")
}

fn declared_length(request: &Request) -> u64 {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|length| length.parse().ok()).unwrap_or(0)
}
