//! A server with a token endpoint and one API whose answers are set in advance, and the clients that ask it.

#![allow(unreachable_pub, reason = "a part of a test")]

#[path = "../server/answer.rs"]
mod answer;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use inboxclaw_connectors::google::{Api, Client, ClientSettings};
use inboxclaw_contract::Outside;
use inboxclaw_contract_testing::HandClock;
use serde_json::{Value, json};
use tempfile::TempDir;

pub use answer::Answer;

use crate::support;

/// A server, a folder for token files and a clock.
pub struct Google {
    pub base: String,
    pub outside: Outside,
    pub folder: TempDir,
    clock: Arc<HandClock>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The tokens that are accepted.
    valid: Mutex<HashSet<String>>,
    grants: Mutex<VecDeque<Answer>>,
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<Asked>>,
    given: Mutex<u32>,
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

/// A request.
pub struct Asked {
    /// Path and query.
    pub path: String,
    pub headers: HeaderMap,
    /// The fields of a form.
    pub form: HashMap<String, String>,
}

/// An answer with JSON.
pub fn answer(status: u16, body: &Value) -> Answer {
    answer::status(status).body(body.to_string())
}

/// An error in the form of the services.
pub fn error(status: u16, reason: &str, message: &str) -> Answer {
    let errors = json!([{ "domain": "global", "reason": reason, "message": message }]);
    answer(status, &json!({ "error": { "code": status, "message": message, "errors": errors } }))
}

impl Google {
    /// Starts it, with the token file `token.json` whose token `first` is good until 13:00, at noon.
    pub async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(serve).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let folder = tempfile::tempdir().unwrap();
        let clock = HandClock::at("2026-11-22T12:00:00Z".parse().unwrap());
        let mut outside = support::outside(folder.path());
        outside.clock = clock.clone();
        let google = Self { base, outside, folder, clock, shared };
        google.write("token.json", "first", "2026-11-22T13:00:00Z");
        google.accept("first");
        google
    }

    /// Requests that fail in passing are sent again within their turn, as outside of tests. Before the first client.
    pub fn patient(&mut self) {
        self.outside.shared = Arc::default();
    }

    /// A client of the account in `token.json`.
    pub fn client(&self, api: &'static Api) -> Client {
        self.client_of(api, "token.json")
    }

    pub fn client_of(&self, api: &'static Api, token_file: &str) -> Client {
        let at = ClientSettings { token_file, api_root: Some(&self.base), units_per_minute: None };
        Client::new(&self.outside, api, &at).unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a token file.
    pub fn write(&self, name: &str, token: &str, expiry: &str) {
        let file = json!({
            "token": token,
            "refresh_token": "refresh+1&",
            "token_uri": format!("{}/token", self.base),
            "client_id": "client",
            "client_secret": "geheim",
            "scopes": ["https://www.googleapis.com/auth/gmail.readonly", "https://example.org/other"],
            "universe_domain": "googleapis.com",
            "expiry": expiry,
        });
        std::fs::write(self.path(name), file.to_string()).unwrap();
    }

    /// Sets the clock to a time of the day.
    pub fn at(&self, time: &str) {
        self.clock.set(format!("2026-11-22T{time}Z").parse().unwrap());
    }

    pub fn accept(&self, token: &str) {
        self.shared.valid.lock().unwrap().insert(token.to_owned());
    }

    /// No token is accepted any more.
    pub fn refuse_all(&self) {
        self.shared.valid.lock().unwrap().clear();
    }

    /// The next answer of the token endpoint. By itself it gives `given-1`, `given-2`, … for an hour.
    pub fn grant(&self, answer: Answer) {
        self.shared.grants.lock().unwrap().push_back(answer);
    }

    /// What happens while the token endpoint is asked the next time.
    pub fn meanwhile(&self, what: impl FnOnce() + Send + 'static) {
        *self.shared.meanwhile.lock().unwrap() = Some(Box::new(what));
    }

    /// The next answer to a request with a token that is accepted; by itself an empty object.
    pub fn answer(&self, answer: Answer) {
        self.shared.answers.lock().unwrap().push_back(answer);
    }

    /// What was asked since the last call.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.shared.asked.lock().unwrap())
    }

    /// The paths without the token endpoint's, and how often that was asked.
    pub fn counted(&self) -> (Vec<String>, usize) {
        let paths = self.asked().into_iter().map(|asked| asked.path);
        let (token, others): (Vec<_>, Vec<_>) = paths.partition(|path| path == "/token");
        (others, token.len())
    }
}

/// The content of a token file.
pub fn file(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().unwrap().to_string();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let form = reqwest::Url::parse(&format!("http://h/?{}", String::from_utf8_lossy(&body))).unwrap();
    let form = form.query_pairs().into_owned().collect();
    let bearer = parts.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    shared.asked.lock().unwrap().push(Asked { path: path.clone(), headers: parts.headers, form });
    let answer = if path == "/token" { shared.token() } else { shared.api(bearer.as_deref()) };
    answer.response()
}

impl Shared {
    fn token(&self) -> Answer {
        if let Some(meanwhile) = self.meanwhile.lock().unwrap().take() {
            meanwhile();
        }
        if let Some(answer) = self.grants.lock().unwrap().pop_front() {
            return answer;
        }
        let mut given = self.given.lock().unwrap();
        *given += 1;
        let token = format!("given-{given}");
        self.valid.lock().unwrap().insert(token.clone());
        answer(
            200,
            &json!({ "access_token": token, "expires_in": 3599, "scope": "s", "token_type": "Bearer" }),
        )
    }

    fn api(&self, bearer: Option<&str>) -> Answer {
        let token = bearer.and_then(|bearer| bearer.strip_prefix("Bearer ")).unwrap_or_default();
        if !self.valid.lock().unwrap().contains(token) {
            return error(401, "authError", &format!("Invalid Credentials {token}"))
                .header("date", "Sun, 22 Nov 2026 12:00:00 GMT");
        }
        let next = self.answers.lock().unwrap().pop_front();
        next.unwrap_or_else(|| answer(200, &json!({})))
    }
}
