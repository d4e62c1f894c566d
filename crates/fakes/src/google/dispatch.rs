//! Finds who answers a request: one of the services, if the token is good, or the authorization server.
//!
//! What a request asks and what a service answers are checked here if there is something to check them against.

use jiff::Timestamp;

use super::account::Account;
use super::api::{Body, Request, Response, Service, first};
use super::faults::Fault;
use super::fields::Mask;
use super::http_request::HttpRequest;
use crate::lock::locked;

/// The answer to a request, faults of the answer included.
pub(super) fn answer(
    account: &Account,
    request: &HttpRequest,
    now: Timestamp,
    fault: Option<&Fault>,
) -> Response {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let service = match segments.as_slice() {
        ["token"] if request.method == "POST" => {
            let fault = fault.and_then(Fault::token_answer);
            return fault.unwrap_or_else(|| locked(&account.tokens).endpoint(now, &request.form));
        }
        ["o", "oauth2", "v2", "auth"] if request.method == "GET" => {
            return locked(&account.tokens).consent(now, &request.query);
        }
        ["gmail", "v1", ..] if request.prefixed => Service::Gmail,
        ["drive", "v3", ..] if request.prefixed => Service::Drive,
        ["calendar", "v3", ..] if request.prefixed => Service::Calendar,
        _ => return Response::error(404, "notFound", "The requested URL was not found on this server."),
    };
    checked(account, service, request, now, fault)
}

fn checked(
    account: &Account,
    service: Service,
    request: &HttpRequest,
    now: Timestamp,
    fault: Option<&Fault>,
) -> Response {
    let mut wrong = Vec::new();
    let discovery = account.discovery.as_deref();
    let call = discovery
        .and_then(|found| found.request(&request.method, &request.segments, &request.query, &mut wrong));
    let answer = fault
        .and_then(|fault| fault.answer(now))
        .unwrap_or_else(|| allowed(account, service, request, now).unwrap_or_else(|refusal| refusal));
    if let (Some(discovery), Some(call)) = (discovery, call) {
        let body = match &answer.body {
            Body::Json(value) => Some(value),
            Body::Bytes(..) => None,
        };
        discovery.answer(call, answer.status, body, &mut wrong);
    }
    locked(&account.violations).append(&mut wrong);
    masked(request, answer)
}

fn allowed(
    account: &Account,
    service: Service,
    http: &HttpRequest,
    now: Timestamp,
) -> Result<Response, Response> {
    let request =
        Request { path: http.segments.iter().skip(2).cloned().collect(), query: http.query.clone() };
    let is_media =
        request.param("alt") == Some("media") || request.path.last().is_some_and(|last| last == "export");
    locked(&account.tokens).check(now, http.bearer.as_deref(), |scope| suits(service, is_media, scope))?;
    if http.method != "GET" {
        return Err(Response::error(403, "forbidden", "This account is for reading only."));
    }
    Ok(match service {
        Service::Gmail => locked(&account.gmail).answer(&request, now),
        Service::Drive => locked(&account.drive).answer(&request, now),
        Service::Calendar => locked(&account.calendar).answer(&request, now),
    })
}

/// Whether a scope lets somebody read from a service. Scopes of single resources are taken for the whole service.
fn suits(service: Service, is_media: bool, scope: &str) -> bool {
    let name = scope.strip_prefix("https://www.googleapis.com/auth/").unwrap_or(scope);
    let of = |service: &str| {
        name == service || name.strip_prefix(service).is_some_and(|rest| rest.starts_with('.'))
    };
    match service {
        Service::Gmail => name == "https://mail.google.com/" || of("gmail"),
        Service::Drive => of("drive") && !(is_media && name.starts_with("drive.metadata")),
        Service::Calendar => of("calendar"),
    }
}

/// Only successes are cut down to what was asked for.
fn masked(request: &HttpRequest, answer: Response) -> Response {
    let fields = first(&request.query, "fields");
    match (fields, answer) {
        (Some(fields), Response { status: 200, body: Body::Json(value), headers }) => {
            match Mask::parse(fields) {
                Ok(mask) => Response { status: 200, body: Body::Json(mask.apply(value)), headers },
                Err(wrong) => {
                    Response::error(400, "invalidParameter", &format!("Invalid field selection {wrong}"))
                }
            }
        }
        (_, answer) => answer,
    }
}
