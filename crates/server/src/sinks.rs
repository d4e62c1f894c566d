//! Who answers the paths of sinks: one table of literal paths, decoded, behind the router.
//!
//! The names of sinks come from the configuration, and none of them may become a pattern, catch another route or take a
//! method that was not meant for it. That is why they are no routes of the router. The table is built whole.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::IntoResponse;
use inboxclaw_runtime::pull::PullSink;
use percent_encoding::percent_decode_str;

use crate::openapi::Operation;
use crate::params::Params;
use crate::pull::{self, Paths, Pull};
use crate::reply::{self, Refusal, Reply};
use crate::route::{allowed, other_form, redirect};
use crate::sse::{self, SseSink, Subscriptions};

/// Every path of every sink, with its methods.
pub(crate) struct SinkTable(HashMap<String, Vec<(Method, SinkRoute)>>);

/// What one method of a sink's path does.
#[derive(Clone)]
enum SinkRoute {
    Extract(Arc<PullSink>),
    Lease(Arc<PullSink>),
    Confirm(Arc<PullSink>),
    Ack(Arc<PullSink>),
    Extend(Arc<PullSink>),
    /// Both have one path: `batch_id` tells them apart.
    ConfirmOrLease(Arc<PullSink>),
    Stream(Arc<SseSink>),
}

impl SinkTable {
    /// The table of these sinks.
    pub(crate) fn of(pulls: &[(Arc<PullSink>, Paths)], streams: &[Arc<SseSink>]) -> Self {
        let mut table = Self(HashMap::new());
        for (sink, paths) in pulls {
            let extract = paths.extract_of(sink.name());
            let confirm = paths.confirm_of(sink.name());
            table.add(&extract, Method::GET, SinkRoute::Extract(sink.clone()));
            if extract == confirm {
                table.add(&confirm, Method::POST, SinkRoute::ConfirmOrLease(sink.clone()));
            } else {
                table.add(&extract, Method::POST, SinkRoute::Lease(sink.clone()));
                table.add(&confirm, Method::POST, SinkRoute::Confirm(sink.clone()));
            }
            // The paths of the forerunner go first, whatever somebody called them.
            for (path, route) in [
                (paths.ack_of(sink.name()), SinkRoute::Ack(sink.clone())),
                (paths.extend_of(sink.name()), SinkRoute::Extend(sink.clone())),
            ] {
                if !matches!(table.find(&path, &Method::POST), Found::Route(_)) {
                    table.add(&path, Method::POST, route);
                }
            }
        }
        for sink in streams {
            table.add(&sink.path(), Method::GET, SinkRoute::Stream(sink.clone()));
        }
        table
    }

    fn add(&mut self, path: &str, method: Method, route: SinkRoute) {
        self.0.entry(path.to_owned()).or_default().push((method, route));
    }

    /// Every route with its description, by path.
    pub(crate) fn described(&self) -> Vec<(Method, String, Operation)> {
        let mut paths: Vec<_> = self.0.iter().collect();
        paths.sort_by_key(|(path, _)| *path);
        let of_path = |(path, routes): (&String, &Vec<(Method, SinkRoute)>)| {
            // A brace in the name of a sink is no part of a template.
            let path = path.replace('{', "%7B").replace('}', "%7D");
            let each = routes.iter().map(|(method, route)| (method.clone(), path.clone(), route.operation()));
            each.collect::<Vec<_>>()
        };
        paths.into_iter().flat_map(of_path).collect()
    }

    fn find(&self, path: &str, method: &Method) -> Found {
        let Some(routes) = self.0.get(path) else {
            return if self.0.contains_key(&other_form(path)) { Found::OtherForm } else { Found::Nothing };
        };
        match routes.iter().find(|(found, _)| found == method) {
            Some((_, route)) => Found::Route(route.clone()),
            // An extract writes, and a stream never ends: neither is answered to a HEAD.
            None => Found::WrongMethod(allowed(routes.iter().map(|(method, _)| (method, false)))),
        }
    }
}

impl SinkRoute {
    fn operation(&self) -> Operation {
        match self {
            Self::Extract(_) => pull::extract_operation(),
            Self::Lease(_) => pull::lease_operation(),
            Self::Confirm(_) | Self::ConfirmOrLease(_) => pull::confirm_operation(),
            Self::Ack(_) => pull::ack_operation(),
            Self::Extend(_) => pull::extend_operation(),
            Self::Stream(_) => sse::operation(),
        }
    }
}

enum Found {
    Route(SinkRoute),
    WrongMethod(String),
    /// The path exists with a slash more or less at its end.
    OtherForm,
    Nothing,
}

/// Answers what no route of the router does.
pub(crate) async fn answer(
    State(table): State<Arc<SinkTable>>,
    State(pull): State<Pull>,
    State(subscriptions): State<Subscriptions>,
    params: Params,
    request: Request,
) -> Reply {
    let Ok(path) = percent_decode_str(request.uri().path()).decode_utf8() else { return reply::not_found() };
    let route = match table.find(&path, request.method()) {
        Found::Route(route) => route,
        Found::WrongMethod(allowed) => return reply::wrong_method(&allowed),
        Found::OtherForm => return redirect(request.uri().clone(), request).await,
        Found::Nothing => return reply::not_found(),
    };
    let answer: Result<Reply, Refusal> = match route {
        SinkRoute::Extract(sink) => pull.extract(&sink, params).await,
        SinkRoute::Lease(sink) => pull.lease(&sink, params).await,
        SinkRoute::Confirm(sink) => pull.confirm(&sink, params).await,
        SinkRoute::Ack(sink) => pull.ack(&sink, params).await,
        SinkRoute::Extend(sink) => pull.extend(&sink, params).await,
        SinkRoute::ConfirmOrLease(sink) => pull.confirm_or_lease(&sink, params).await,
        SinkRoute::Stream(sink) => subscriptions.open(&sink, params, &request.into_parts().0).await,
    };
    answer.into_response()
}
