//! Requests of HTTP as the server reads them: path, parameters, form and token, unescaped.

use axum::body::{Body, to_bytes};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

/// Largest body of a request, in bytes: forms only.
const FORM_BYTES: usize = 64 << 10;
/// The headers that the log keeps.
const KEPT_HEADERS: [&str; 5] = ["authorization", "accept", "accept-encoding", "content-type", "user-agent"];

/// A request of HTTP, read whole.
#[derive(Debug)]
pub(super) struct HttpRequest {
    pub(super) method: String,
    /// The segments of the path after the prefix, unescaped.
    pub(super) segments: Vec<String>,
    /// Whether the path began with the prefix.
    pub(super) prefixed: bool,
    pub(super) query: Vec<(String, String)>,
    pub(super) form: Vec<(String, String)>,
    pub(super) bearer: Option<String>,
    /// Path and query as they came.
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    /// Whether the client takes a compressed answer.
    pub(super) gzip: bool,
}

impl HttpRequest {
    /// Reads a request; `None` when the client goes away, or sends more than a form.
    pub(super) async fn read(prefix: &str, request: hyper::Request<Incoming>) -> Option<Self> {
        let (head, body) = request.into_parts();
        let body = to_bytes(Body::new(body), FORM_BYTES).await.ok()?;
        let is_form = text(&head.headers, CONTENT_TYPE.as_str())
            .is_some_and(|found| found.starts_with("application/x-www-form-urlencoded"));
        let form = if is_form { String::from_utf8_lossy(&body).into_owned() } else { String::new() };
        let path = head.uri.path();
        let stripped = path.strip_prefix(prefix).filter(|rest| rest.starts_with('/'));
        let segments = stripped.unwrap_or(path).split('/').skip(1);
        let headers =
            KEPT_HEADERS.iter().filter_map(|name| Some(((*name).to_owned(), text(&head.headers, name)?)));
        let gzip = text(&head.headers, ACCEPT_ENCODING.as_str()).is_some_and(|found| found.contains("gzip"));
        Some(Self {
            method: head.method.as_str().to_owned(),
            segments: segments
                .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
                .collect(),
            prefixed: stripped.is_some(),
            query: pairs(head.uri.query().unwrap_or_default()),
            form: pairs(&form),
            bearer: text(&head.headers, AUTHORIZATION.as_str()),
            target: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            headers: headers.collect(),
            gzip,
        })
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The parameters of a query or of a form.
fn pairs(text: &str) -> Vec<(String, String)> {
    let plain = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let parts = text.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (plain(name), plain(value)))
        .collect()
}
