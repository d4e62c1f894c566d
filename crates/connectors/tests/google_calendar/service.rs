//! A service whose answers a test makes itself, for what the stand-in does not do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use inboxclaw_contract::{Next, Source};
use jiff::Timestamp;
use reqwest::Url;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Polled, Recorder, outside, poll};
use crate::world::{at, build, short};

/// A request for events: the calendar and the parameters.
pub(crate) struct Asked {
    pub(crate) calendar: String,
    query: HashMap<String, String>,
}

impl Asked {
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    pub(crate) fn moment(&self, name: &str) -> Option<Timestamp> {
        self.param(name).map(at)
    }
}

/// A running service and a state.
pub(crate) struct Service {
    pub(crate) memory: Recorder,
    base: String,
    dir: TempDir,
}

impl Service {
    /// Starts one that answers as `answer` says: a status and a body.
    pub(crate) async fn start(answer: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let answer = Arc::new(answer);
        let handler = move |request: Request| {
            let url = Url::parse(&format!("http://x{}", request.uri())).unwrap();
            let calendar = url.path_segments().unwrap().rev().nth(1).unwrap().to_owned();
            let (status, body) = answer(&Asked { calendar, query: url.query_pairs().into_owned().collect() });
            let response = Response::builder().status(status).body(Body::from(body.to_string())).unwrap();
            std::future::ready(response)
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await.unwrap() });
        let dir = tempfile::tempdir().unwrap();
        let token = json!({
            "token": "t", "refresh_token": "r", "client_id": "c", "client_secret": "s",
            "expiry": "2100-01-01T00:00:00Z",
        });
        std::fs::write(dir.path().join("token.json"), token.to_string()).unwrap();
        Self { memory: Recorder::new(), base, dir }
    }

    pub(crate) fn source(&self, calendars: &[&str]) -> Box<dyn Source> {
        let settings = json!({
            "token_file": "token.json", "api_root": self.base, "calendar_ids": calendars, "max_into_future": "10d",
            "units_per_minute": u32::MAX,
        });
        build(settings, &outside(self.dir.path())).unwrap()
    }

    /// Polls until there is nothing more to take: what is told, and the last turn.
    pub(crate) async fn round(&self, source: &dyn Source) -> (Vec<String>, Polled) {
        let mut told = Vec::new();
        loop {
            let polled = poll(source, &self.memory).await.unwrap();
            told.extend(polled.events.iter().map(short));
            if polled.next == Next::Wait {
                return (told, polled);
            }
        }
    }
}

/// A page of events, the last one.
pub(crate) fn last(items: Vec<Value>, token: &str) -> (u16, Value) {
    (200, json!({ "items": items, "nextSyncToken": token }))
}
