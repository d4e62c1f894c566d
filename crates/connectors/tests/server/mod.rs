//! A web server on this machine whose answers are set by path, and which remembers what it was asked. An answer
//! with an `etag` header becomes 304 for those who know that tag.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod answer;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

pub use answer::{Answer, ok, status};

/// A running server; it ends with the runtime of its test.
pub struct Server {
    /// Its address without a slash at the end.
    pub base: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    answers: Mutex<HashMap<String, Answer>>,
    asked: Mutex<Vec<Asked>>,
}

/// A request.
#[derive(Clone)]
pub struct Asked {
    /// Path and query.
    pub path: String,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: String,
}

impl Asked {
    /// A header as text, empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Server {
    /// Starts it on a free port.
    pub async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(serve).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, shared }
    }

    /// Sets the answer for a path; without one it is 404.
    pub fn set(&self, path: &str, answer: Answer) {
        self.shared.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// What was asked since the last call.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.shared.asked.lock().unwrap())
    }

    /// The paths asked since the last call.
    pub fn paths(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.path).collect()
    }
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path_and_query().unwrap().to_string();
    let headers = request.headers().clone();
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
    let asked = Asked { path: path.clone(), headers, body: String::from_utf8(body.to_vec()).unwrap() };
    shared.asked.lock().unwrap().push(asked.clone());
    let Some(answer) = shared.answers.lock().unwrap().get(&path).cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if answer.tag().is_some_and(|etag| asked.header("if-none-match") == etag) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    answer.response()
}
