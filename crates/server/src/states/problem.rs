//! What the state API answers when it does not do what was asked: a status, one sentence, and what a program may want
//! to know of it.

use axum::http::StatusCode;
use axum::response::IntoResponse;
use inboxclaw_contract::StoreError;
use inboxclaw_contract::limits::LimitError;
use inboxclaw_edit::EditError;
use serde_json::{Map, Value, json};

use crate::reply::{self, Reply};

/// An answer that says no.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    body: Map<String, Value>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let body = Map::from_iter([("detail".to_owned(), Value::from(detail.into()))]);
        Self { status, body }
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.body.insert(name.to_owned(), value.into());
        self
    }

    /// As the last line of a streamed answer.
    pub(super) fn into_line(self) -> Value {
        let mut error = Map::from_iter([("status".to_owned(), Value::from(self.status.as_u16()))]);
        error.extend(self.body);
        json!({ "error": error })
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Reply {
        let is_busy = self.status == StatusCode::SERVICE_UNAVAILABLE;
        let reply = reply::value(self.status, &Value::Object(self.body));
        if is_busy { reply::with(reply, axum::http::header::RETRY_AFTER, "1") } else { reply }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            // Its text may name keys: it goes to who asked, not to the log.
            StoreError::Refused(reason) | StoreError::OverLimit(reason) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, reason)
            }
            StoreError::NoOwner(_) => Self::new(StatusCode::NOT_FOUND, "there is no such owner any more"),
            StoreError::Full(_) => {
                tracing::warn!(%error, "a request failed");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "no room to write")
            }
            StoreError::Damaged(_) | StoreError::Read(_) | StoreError::Broken(_) => {
                tracing::warn!(%error, "a request failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
            }
            other => {
                tracing::warn!(error = %other, "a request failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }
        }
    }
}

impl From<LimitError> for Problem {
    fn from(error: LimitError) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
    }
}

impl From<EditError> for Problem {
    fn from(error: EditError) -> Self {
        let detail = error.to_string();
        match error {
            EditError::Store(error) => error.into(),
            EditError::Condition { found, .. } => Self::new(StatusCode::PRECONDITION_FAILED, detail)
                .with("revision", found.map(|found| found.0)),
            EditError::Changed { version, keys, more, cursor } => Self::new(StatusCode::CONFLICT, detail)
                .with("version", version)
                .with("keys", keys)
                .with("of", more)
                .with("cursor", cursor),
            EditError::Line { line, .. } => Self::new(StatusCode::BAD_REQUEST, detail).with("line", line),
            EditError::Input(_) => Self::new(StatusCode::BAD_REQUEST, detail),
            EditError::Refused(_) | EditError::Empty => Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail),
            // The rest is about what the state or its history is at the moment.
            _ => Self::new(StatusCode::CONFLICT, detail),
        }
    }
}
