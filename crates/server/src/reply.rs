//! Shapes of answers: JSON, and the errors that every route has in common.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use futures_util::Stream;
use inboxclaw_contract::StoreError;
use serde::Serialize;
use serde_json::{Value, json};

/// An answer.
pub(crate) type Reply = Response<Body>;

/// An answer that cuts a route short.
pub(crate) struct Refusal(Box<Reply>);

impl IntoResponse for Refusal {
    fn into_response(self) -> Reply {
        *self.0
    }
}

impl From<Reply> for Refusal {
    fn from(reply: Reply) -> Self {
        Self(Box::new(reply))
    }
}

/// The answer to a request that the store could not serve.
impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "a request failed");
        match error {
            StoreError::Full(_) => busy("no room to write").into(),
            // What is wrong with the database is no secret, and who asks may be the one to mend it.
            StoreError::Damaged(_) | StoreError::Read(_) | StoreError::Broken(_) => {
                detail(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()).into()
            }
            _ => internal().into(),
        }
    }
}

/// An answer of that content type.
pub(crate) fn of(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Reply {
    let mut reply = Response::new(body.into());
    *reply.status_mut() = status;
    with(reply, CONTENT_TYPE, content_type)
}

/// A stream of server-sent events, for as long as there are texts.
pub(crate) fn events<T: Into<Bytes> + 'static>(
    texts: impl Stream<Item = Result<T, Infallible>> + Send + 'static,
) -> Reply {
    let headers = [
        (CACHE_CONTROL, "no-store"),
        (CONNECTION, "keep-alive"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let reply = of(StatusCode::OK, "text/event-stream; charset=utf-8", Body::from_stream(texts));
    headers.into_iter().fold(reply, |reply, (name, value)| with(reply, name, value))
}

/// The answer with one more header.
pub(crate) fn with(mut reply: Reply, name: HeaderName, value: &str) -> Reply {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
    reply
}

/// 204.
pub(crate) fn nothing() -> Reply {
    let mut reply = Reply::default();
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply
}

/// 200 with a JSON text.
pub(crate) fn ok(json: impl Into<Body>) -> Reply {
    of(StatusCode::OK, "application/json", json)
}

/// What serializes, as JSON under that status.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    match serde_json::to_string(value) {
        Ok(text) => of(status, "application/json", text),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written");
            internal()
        }
    }
}

/// A JSON value under that status.
pub(crate) fn value(status: StatusCode, value: &Value) -> Reply {
    of(status, "application/json", value.to_string())
}

/// An error with one sentence.
pub(crate) fn detail(status: StatusCode, detail: &str) -> Reply {
    value(status, &json!({ "detail": detail }))
}

/// 404.
pub(crate) fn not_found() -> Reply {
    detail(StatusCode::NOT_FOUND, "Not Found")
}

/// 200 without a body, naming the methods of a path.
pub(crate) fn methods(allowed: &str) -> Reply {
    with(Response::new(Body::empty()), ALLOW, allowed)
}

/// 405, naming the methods that the path has.
pub(crate) fn wrong_method(allowed: &str) -> Reply {
    with(detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"), ALLOW, allowed)
}

/// 405 with a reason: the path has that method for what was asked.
pub(crate) fn not_this_method(allowed: &str, reason: &str) -> Reply {
    with(detail(StatusCode::METHOD_NOT_ALLOWED, reason), ALLOW, allowed)
}

/// 307 to the registered form of a path.
pub(crate) fn redirect(location: &str) -> Reply {
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    with(reply, LOCATION, location)
}

/// 500 without saying why: the log says it.
pub(crate) fn internal() -> Reply {
    of(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", "Internal Server Error")
}

/// 503: it may work later.
pub(crate) fn busy(reason: &str) -> Reply {
    with(detail(StatusCode::SERVICE_UNAVAILABLE, reason), RETRY_AFTER, "1")
}
