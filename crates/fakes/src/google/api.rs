//! Requests and responses as the models of the services see them: no HTTP, no sockets, so that a model is a function.

use serde_json::{Value, json};

/// A service of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Service {
    Gmail,
    Drive,
    Calendar,
}

/// Names with their values, such as the parameters of a query or the headers of a request, in the order given.
pub(super) type Pairs = [(String, String)];

/// The first value of a name.
pub(super) fn first<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    pairs.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
}

/// A request to one of the services.
#[derive(Debug, Clone)]
pub struct Request {
    /// The segments of the path after the service's base (`/gmail/v1`, `/drive/v3`, `/calendar/v3`), unescaped.
    pub path: Vec<String>,
    /// The parameters in the order given; a repeated one appears as often as it was given.
    pub query: Vec<(String, String)>,
}

impl Request {
    /// A request for a path such as `users/me/messages`, with parameters.
    #[must_use]
    pub fn new(path: &str, query: &[(&str, &str)]) -> Self {
        let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self { path: path.split('/').map(str::to_owned).collect(), query: query.collect() }
    }

    /// The segments, to match on.
    #[must_use]
    pub fn segments(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    /// The first value of a parameter.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        first(&self.query, name)
    }

    /// Every value of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether a parameter is `true`.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.param(name) == Some("true")
    }

    /// A number, or what holds without the parameter.
    #[must_use]
    pub fn number(&self, name: &str, default: usize) -> usize {
        self.param(name).and_then(|value| value.parse().ok()).unwrap_or(default)
    }
}

/// A response.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Body,
    /// More headers.
    pub headers: Vec<(&'static str, String)>,
}

/// The body of a response.
#[derive(Debug, Clone)]
pub enum Body {
    /// JSON; `fields` is applied by whoever sends it.
    Json(Value),
    /// Anything else, with its type.
    Bytes(&'static str, Vec<u8>),
}

impl Response {
    /// A response without further headers.
    pub(super) fn new(status: u16, body: Body) -> Self {
        Self { status, body, headers: Vec::new() }
    }

    /// 200 with JSON.
    #[must_use]
    pub fn json(value: Value) -> Self {
        Self::new(200, Body::Json(value))
    }

    /// 200 with bytes.
    #[must_use]
    pub fn bytes(mime: &'static str, bytes: Vec<u8>) -> Self {
        Self::new(200, Body::Bytes(mime, bytes))
    }

    /// An error in the form that the three services share:
    /// <https://developers.google.com/workspace/drive/api/guides/handle-errors>.
    #[must_use]
    pub fn error(status: u16, reason: &str, message: &str) -> Self {
        Self::error_in("global", status, reason, message)
    }

    /// An error of another domain than `global`.
    pub(super) fn error_in(domain: &str, status: u16, reason: &str, message: &str) -> Self {
        let errors = json!([{ "domain": domain, "reason": reason, "message": message }]);
        let body = json!({ "error": { "code": status, "message": message, "errors": errors } });
        Self::new(status, Body::Json(body))
    }

    /// An error that also names its status, as some of the services do.
    pub(super) fn naming(mut self, status: &str) -> Self {
        if let Body::Json(body) = &mut self.body {
            body["error"]["status"] = status.into();
        }
        self
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}
