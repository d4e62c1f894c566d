//! What a route is: a method of a path, who answers it, what it means, and its limits. The router and the
//! description of the API are made from the same list of them.
//!
//! Answers that every path has in common are made here: 405 with the methods that there are, and a redirect from the
//! path with a slash more or less at its end.

use std::collections::BTreeMap;
use std::future::ready;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::{Method, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, any, on};

use crate::limits::{self, Limits, RouteLimits};
use crate::openapi::Operation;
use crate::reply::{self, Reply};

/// One method of one path.
pub(crate) struct Route<S> {
    method: Method,
    path: &'static str,
    handler: MethodRouter<S>,
    operation: Operation,
    /// Whether its answer ends, so that a HEAD can be answered as a GET.
    ends: bool,
    /// No time limit: its duration grows with the number of entries.
    long: bool,
    /// Most bytes of the request's body, where that is not the same as everywhere.
    body_bytes: Option<u64>,
}

/// One of the methods of a path; a GET is also a HEAD unless it is [`endless`](Route::endless).
pub(crate) fn route<H, T, S>(method: Method, path: &'static str, handler: H, operation: Operation) -> Route<S>
where
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    // Only a method that HTTP does not know has no filter.
    let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
    let handler = on(filter, handler);
    Route { method, path, handler, operation, ends: true, long: false, body_bytes: None }
}

impl<S> Route<S> {
    /// Its answer does not end by itself: a HEAD is refused.
    pub(crate) fn endless(mut self) -> Self {
        self.ends = false;
        self
    }

    /// It may take as long as there are entries.
    pub(crate) fn long(mut self) -> Self {
        self.long = true;
        self
    }

    /// Most bytes of the request's body.
    pub(crate) fn body_bytes(mut self, most: u64) -> Self {
        self.body_bytes = Some(most);
        self
    }

    /// The route, as the description of the API holds it.
    pub(crate) fn described(&self) -> (Method, String, Operation) {
        (self.method.clone(), self.path.to_owned(), self.operation.clone())
    }
}

/// A router of these routes. `{kind}` in a path stands for `sources` and `sinks`. Without limits a request may take what
/// it takes.
pub(crate) fn router<S>(routes: Vec<Route<S>>, limits: Option<Limits>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let mut paths: BTreeMap<&'static str, Vec<Route<S>>> = BTreeMap::new();
    for route in routes {
        paths.entry(route.path).or_default().push(route);
    }
    let mut router = Router::new();
    for (path, routes) in paths {
        let methods = methods(routes, limits);
        for path in spellings(path) {
            if path != "/" && !path.contains('{') {
                router = router.route(&other_form(&path), any(redirect));
            }
            router = router.route(&path, methods.clone());
        }
    }
    router
}

/// The methods of one path.
fn methods<S>(routes: Vec<Route<S>>, limits: Option<Limits>) -> MethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    let allowed = allowed(routes.iter().map(|route| (&route.method, route.ends)));
    let refuse = move || ready(reply::wrong_method(&allowed));
    let mut methods = MethodRouter::new().fallback(refuse.clone());
    for route in routes {
        let time = limits.filter(|_| !route.long).map(|limits| limits.answer_timeout);
        let body_bytes = route.body_bytes.or(limits.map(|limits| limits.body_bytes)).unwrap_or(u64::MAX);
        let own = RouteLimits { body_bytes, time };
        let handler = match limits {
            Some(_) => route.handler.route_layer(from_fn_with_state(own, limits::keep)),
            None => route.handler,
        };
        methods = methods.merge(handler);
        if !route.ends {
            methods = methods.on(MethodFilter::HEAD, refuse.clone());
        }
    }
    methods
}

/// The value of `Allow`: the methods in the order in which they were declared, HEAD behind a GET that ends.
pub(crate) fn allowed<'a>(methods: impl Iterator<Item = (&'a Method, bool)>) -> String {
    let named = methods.flat_map(|(method, ends)| {
        let head = (method == Method::GET && ends).then_some("HEAD");
        [method.as_str()].into_iter().chain(head)
    });
    named.collect::<Vec<_>>().join(", ")
}

/// The path, as the router takes it.
fn spellings(path: &str) -> Vec<String> {
    let kinds: &[&str] = if path.contains("{kind}") { &["sources", "sinks"] } else { &[""] };
    let of_kind = |kind: &&str| {
        let path = path.replace("{kind}", kind);
        // A parameter is never empty, but an empty key is to be told that it is one.
        let without_key = path.strip_suffix("{key}").map(str::to_owned);
        [Some(path), without_key].into_iter().flatten()
    };
    kinds.iter().flat_map(of_kind).collect()
}

/// The path with a slash more or less at its end.
pub(crate) fn other_form(path: &str) -> String {
    match path.strip_suffix('/') {
        Some(shorter) => shorter.to_owned(),
        None => format!("{path}/"),
    }
}

/// Points at the registered form of the path, spelled as the client spelled it.
pub(crate) async fn redirect(uri: Uri, request: Request) -> Reply {
    let header =
        |name| request.headers().get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    let host = header(header::HOST).unwrap_or_default();
    // A proxy that ends TLS says so; a client without one can only redirect itself.
    let proto = header(header::HeaderName::from_static("x-forwarded-proto"));
    let scheme = if proto == Some("https") { "https" } else { "http" };
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    reply::redirect(&format!("{scheme}://{host}{}{query}", other_form(uri.path())))
}
