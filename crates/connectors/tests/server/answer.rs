//! An answer of a server of a test, set in advance.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use axum::body::Body;
use axum::response::Response;

/// An answer.
#[derive(Clone)]
pub struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// 200 with a body.
pub fn ok(body: impl Into<Vec<u8>>) -> Answer {
    status(200).body(body)
}

/// Another status.
pub fn status(status: u16) -> Answer {
    Answer { status, headers: Vec::new(), body: Vec::new() }
}

impl Answer {
    /// With a header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With a body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The value of its `etag` header.
    pub fn tag(&self) -> Option<&str> {
        self.headers.iter().find(|(name, _)| *name == "etag").map(|(_, value)| value.as_str())
    }

    /// As it is sent.
    pub fn response(self) -> Response {
        let mut response = Response::builder().status(self.status);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        response.body(Body::from(self.body)).unwrap()
    }
}
