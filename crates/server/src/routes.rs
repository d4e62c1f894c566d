//! Who answers which path, besides the state API, which has a table of its own (`states`).
//!
//! A table of literal paths, decoded: the names of sinks come from the configuration, and none of them may become a
//! pattern, catch another route or take a method that was not meant for it. That is why this is no general router.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderName, Method, Request, StatusCode, header};
use inboxclaw_runtime::pull::PullSink;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::clients::Peer;
use crate::describe::describe;
use crate::guard::{HEALTH_PATHS, Verdict};
use crate::pull::Paths;
use crate::reply::{self, Refusal, Reply};
use crate::sse::SseSink;
use crate::states::{States, operations};
use crate::{App, Server};
use crate::{clock, log, metrics, openapi, proof, pull, sse};

/// The path of one event, without its id.
const EVENT: &str = "/api/events/";

/// The table.
pub(crate) struct Routes(HashMap<String, Vec<(Method, Target)>>);

/// Who answers.
#[derive(Clone)]
pub(super) enum Target {
    Alive,
    Proof,
    Health,
    Metrics,
    Description,
    Event(String),
    Events,
    RecentEvents,
    PendingEvents,
    Sources,
    Sinks,
    Clock,
    AcceptClock,
    Extract(Arc<PullSink>),
    Lease(Arc<PullSink>),
    Confirm(Arc<PullSink>, Paths),
    Stream(Arc<SseSink>),
}

impl Routes {
    /// Every path that is served.
    pub(super) fn of(app: &App) -> Self {
        let mut routes = Self(HashMap::new());
        for (path, target) in [
            ("/", Target::Alive),
            ("/healthcheck", Target::Health),
            (proof::PATH, Target::Proof),
            ("/metrics", Target::Metrics),
            ("/openapi.json", Target::Description),
            ("/api/events", Target::Events),
            ("/api/events/recent", Target::RecentEvents),
            ("/api/pending-events", Target::PendingEvents),
            ("/api/sources", Target::Sources),
            ("/api/sinks", Target::Sinks),
            ("/api/clock", Target::Clock),
        ] {
            routes.add(path.to_owned(), Method::GET, target);
        }
        routes.add("/api/clock/accept".to_owned(), Method::POST, Target::AcceptClock);
        for (sink, paths) in &app.pulls {
            let extract = paths.extract_of(sink.name());
            routes.add(extract.clone(), Method::GET, Target::Extract(sink.clone()));
            routes.add(
                paths.confirm_of(sink.name()),
                Method::POST,
                Target::Confirm(sink.clone(), paths.clone()),
            );
            // Where both are one path, the route that confirms hands leases on.
            if !paths.is_one() {
                routes.add(extract, Method::POST, Target::Lease(sink.clone()));
            }
        }
        for sink in &app.streams {
            routes.add(sink.path(), Method::GET, Target::Stream(sink.clone()));
        }
        routes
    }

    /// The description of everything that is served.
    fn description(&self) -> Value {
        let mut routes: Vec<_> = self.0.iter().collect();
        routes.sort_by_key(|(path, _)| *path);
        let fixed = routes.into_iter().flat_map(|(path, targets)| {
            // A brace in the name of a sink is no part of a template.
            let path = path.replace('{', "%7B").replace('}', "%7D");
            targets.iter().map(move |(method, target)| (method.clone(), path.clone(), describe(target)))
        });
        let event = (Method::GET, format!("{EVENT}{{id}}"), describe(&Target::Event(String::new())));
        openapi::document(fixed.chain([event]).chain(operations()).collect())
    }

    fn add(&mut self, path: String, method: Method, target: Target) {
        self.0.entry(path).or_default().push((method, target));
    }

    fn find(&self, path: &str, method: &Method) -> Found {
        let Some(targets) = self.0.get(path) else { return self.find_other(path, method) };
        match targets.iter().find(|(found, target)| found == method || target.answers_head(found, method)) {
            Some((_, target)) => Found::Target(target.clone()),
            None => Found::WrongMethod(allowed(targets)),
        }
    }

    fn find_other(&self, path: &str, method: &Method) -> Found {
        if let Some(id) = path.strip_prefix(EVENT).filter(|id| !id.is_empty() && !id.contains('/')) {
            if method == Method::GET || method == Method::HEAD {
                return Found::Target(Target::Event(id.to_owned()));
            }
            return Found::WrongMethod("GET, HEAD".to_owned());
        }
        if self.0.contains_key(&other_form(path)) { Found::OtherForm } else { Found::Nothing }
    }
}

impl Target {
    /// Whether a HEAD is answered as the GET that this is. An extract writes, and a stream never ends.
    fn answers_head(&self, found: &Method, method: &Method) -> bool {
        let is_safe = !matches!(self, Self::Extract(_) | Self::Stream(_));
        is_safe && found == Method::GET && method == Method::HEAD
    }
}

/// The methods of a path.
fn allowed(targets: &[(Method, Target)]) -> String {
    let methods = targets.iter().flat_map(|(method, target)| {
        let head = target.answers_head(method, &Method::HEAD).then_some("HEAD");
        [method.as_str()].into_iter().chain(head)
    });
    methods.collect::<Vec<_>>().join(", ")
}

enum Found {
    Target(Target),
    WrongMethod(String),
    /// The path exists with a slash more or less at its end.
    OtherForm,
    Nothing,
}

/// Answers a request, if its sender may ask.
pub(super) async fn answer(server: &Arc<Server>, peer: Peer, request: Request<Body>) -> Reply {
    let (mut parts, body) = request.into_parts();
    let (origin, who) = match server.guard.check(&parts, peer.local) {
        Verdict::Pass { origin, who } => (origin, who),
        Verdict::Answer(reply) => return reply,
    };
    parts.extensions.insert(peer.client.behind(&parts.headers));
    let most = States::most_bytes(&parts.method, parts.uri.path()).unwrap_or(server.app.bounds.body_bytes);
    let too_large = declared_length(&parts) > most;
    let reply = if too_large {
        reply::detail(
            StatusCode::PAYLOAD_TOO_LARGE,
            &format!("the request body is too large, the limit is {most} bytes"),
        )
    } else {
        match server.states.answer(Request::from_parts(parts.clone(), body), &who).await {
            Some(reply) => reply,
            None => dispatch(server, &parts).await,
        }
    };
    server.guard.share(reply, origin)
}

async fn dispatch(server: &Arc<Server>, request: &Parts) -> Reply {
    let Ok(path) = percent_decode_str(request.uri.path()).decode_utf8() else { return reply::not_found() };
    // Balancers ask so whether somebody is there.
    if request.method == Method::OPTIONS && HEALTH_PATHS.contains(&&*path) {
        return reply::methods("GET, HEAD, OPTIONS");
    }
    let target = match server.routes.find(&path, &request.method) {
        Found::Target(target) => target,
        Found::WrongMethod(allowed) => return reply::wrong_method(&allowed),
        Found::OtherForm => return redirect(request),
        Found::Nothing => return reply::not_found(),
    };
    let app = &server.app;
    let store = app.store.as_ref();
    let answer = match target {
        Target::Alive => Ok(reply::ok(r#"{"status":"ok"}"#)),
        Target::Proof => Ok(proven(server, request)),
        Target::Health => {
            let (status, body) = app.vitals.health();
            Ok(reply::value(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &body))
        }
        Target::Metrics => metrics::answer(server).await,
        Target::Description => Ok(reply::value(StatusCode::OK, &server.routes.description())),
        Target::Event(id) => log::event(store, &id).await,
        Target::Events => log::events(server, &request.uri).await,
        Target::RecentEvents => log::recent(server, &request.uri).await,
        Target::PendingEvents => log::pending(server, &request.uri),
        Target::Sources => log::owners(store, inboxclaw_contract::OwnerKind::Source).await,
        Target::Sinks => log::owners(store, inboxclaw_contract::OwnerKind::Sink).await,
        Target::Clock => clock::show(store).await,
        Target::AcceptClock => clock::accept(store).await,
        Target::Extract(sink) => pull::extract(&sink, server, &request.uri).await,
        Target::Lease(sink) => pull::lease(&sink, server, &request.uri).await,
        Target::Confirm(sink, paths) => pull::confirm((&sink, &paths), server, &request.uri).await,
        Target::Stream(sink) => sse::stream(&sink, server, request).await,
    };
    answer.unwrap_or_else(Refusal::into_reply)
}

/// Says that the program lives, and proves to a command that asks for it that it is the one that wrote the run file.
fn proven(server: &Server, request: &Parts) -> Reply {
    let challenge = request.headers.get(proof::CHALLENGE).and_then(|challenge| challenge.to_str().ok());
    let proof = server.app.run_token.as_deref().zip(challenge);
    let alive = reply::ok(r#"{"status":"ok"}"#);
    match proof.and_then(|(token, challenge)| proof::prove(token, challenge)) {
        Some(proof) => reply::with(alive, HeaderName::from_static(proof::PROOF), &proof),
        None => alive,
    }
}

/// The path with a slash more or less at its end.
fn other_form(path: &str) -> String {
    match path.strip_suffix('/') {
        Some(shorter) => shorter.to_owned(),
        None => format!("{path}/"),
    }
}

/// Points at the registered form of the path, spelled as the client spelled it.
fn redirect(request: &Parts) -> Reply {
    let header = |name| request.headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    let host = header(header::HOST).unwrap_or_default();
    // A proxy that ends TLS says so; a client without one can only redirect itself.
    let proto = header(header::HeaderName::from_static("x-forwarded-proto"));
    let scheme = if proto == Some("https") { "https" } else { "http" };
    let query = request.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    reply::redirect(&format!("{scheme}://{host}{}{query}", other_form(request.uri.path())))
}

fn declared_length(request: &Parts) -> u64 {
    let length = request.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|length| length.parse().ok()).unwrap_or(0)
}
