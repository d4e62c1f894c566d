//! Whether the program lives and how it is: what balancers, people and the program's own commands ask.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRef, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use inboxclaw_runtime::OwnerStats;
use schemars::{Schema, SchemaGenerator, json_schema};

use crate::openapi::{Operation, anything};
use crate::proof;
use crate::reply::{self, Reply};
use crate::route::{Route, route};

/// How the rest of the program is doing.
pub trait Vitals: Send + Sync {
    /// Status code and body of `/healthcheck`: 503 when something is unhealthy, else 200.
    fn health(&self) -> (u16, serde_json::Value);

    /// A consumer asked the pull sink of that name: it got an answer, or the sink's state has this problem.
    fn asked(&self, sink: &str, problem: Option<&str>) {
        let _ = (sink, problem);
    }

    /// What each owner has done since the program started.
    fn owners(&self) -> Vec<OwnerStats>;

    /// Transactions that the store has committed since the program started.
    fn store_commits(&self) -> u64;
}

/// The token of this run, with which the program proves itself to its commands.
#[derive(Clone)]
pub(crate) struct RunToken(pub(crate) Option<Arc<str>>);

/// The description of the API, as it is sent.
#[derive(Clone)]
pub(crate) struct Description(pub(crate) Bytes);

/// The routes.
pub(crate) fn routes<S>() -> Vec<Route<S>>
where
    S: Clone + Send + Sync + 'static,
    Arc<dyn Vitals>: FromRef<S>,
    RunToken: FromRef<S>,
    Description: FromRef<S>,
{
    let new = |id, summary| Operation::new("health", id, summary);
    vec![
        route(
            Method::GET,
            "/",
            alive,
            new("alive", "Says that the program answers.").answer(
                200,
                "It does.",
                &[("application/json", status)],
            ),
        ),
        route(
            Method::GET,
            proof::PATH,
            live,
            new("live", "Says that the program answers. Needs no token.")
                .header(
                    "inboxclaw-challenge",
                    "By which commands on this machine have the program prove itself.",
                )
                .answer(200, "It does.", &[("application/json", status)]),
        ),
        route(
            Method::GET,
            "/healthcheck",
            health,
            new("health", "Says how every source and sink is.")
                .answer(200, "Nothing is unhealthy.", &[("application/json", status)])
                .answer(503, "Something is unhealthy.", &[("application/json", status)]),
        ),
        route(
            Method::GET,
            "/openapi.json",
            description,
            new("describe", "Describes this API.").answer(
                200,
                "This document.",
                &[("application/json", anything)],
            ),
        ),
    ]
}

async fn alive() -> Reply {
    reply::ok(r#"{"status":"ok"}"#)
}

/// Says that the program lives, and proves to a command that asks for it that it is the one that wrote the run file.
async fn live(State(RunToken(token)): State<RunToken>, headers: HeaderMap) -> Reply {
    let challenge = headers.get(proof::CHALLENGE).and_then(|challenge| challenge.to_str().ok());
    let proof = token.as_deref().zip(challenge).and_then(|(token, challenge)| proof::prove(token, challenge));
    let alive = alive().await;
    match proof {
        Some(proof) => reply::with(alive, HeaderName::from_static(proof::PROOF), &proof),
        None => alive,
    }
}

async fn health(State(vitals): State<Arc<dyn Vitals>>) -> Reply {
    let (status, body) = vitals.health();
    reply::value(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &body)
}

async fn description(State(Description(text)): State<Description>) -> Reply {
    reply::ok(text)
}

fn status(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": { "status": { "type": "string", "enum": ["ok", "healthy", "unhealthy", "starting"] } },
        "required": ["status"],
    })
}
