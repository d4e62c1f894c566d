//! HTTP: reads requests, finds who answers them, carries out faults, and writes answers.
//!
//! Left out: what the answers say (the models, `oauth`), which request meets which fault (`faults`).

use std::fmt;
use std::io::{self, Write as _};
use std::sync::Arc;

use axum::body::{Body as HttpBody, Bytes, to_bytes};
use axum::http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, DATE, VARY};
use axum::http::{HeaderMap, HeaderValue, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{StreamExt as _, stream};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use percent_encoding::percent_decode_str;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::api::{Answer, Body};
use super::faults::Fault;
use super::request_log::Asked;
use super::{Shared, dispatch, locked};

/// Largest body of a request, in bytes: forms only.
const FORM_BYTES: usize = 64 << 10;
/// The headers that the log keeps.
const KEPT_HEADERS: [&str; 5] = ["authorization", "accept", "accept-encoding", "content-type", "user-agent"];

/// A request as the rest of this module sees it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// The segments of the path after the prefix, unescaped.
    pub(super) segments: Vec<String>,
    /// Whether the path began with the prefix.
    pub(super) prefixed: bool,
    pub(super) query: Vec<(String, String)>,
    pub(super) form: Vec<(String, String)>,
    pub(super) bearer: Option<String>,
    target: String,
    headers: Vec<(String, String)>,
    gzip: bool,
}

/// The connection is to be cut without an answer.
#[derive(Debug)]
struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("cut on purpose")
    }
}

impl std::error::Error for Cut {}

/// Serves until it is dropped, connections included.
pub(super) async fn run(listener: TcpListener, shared: Arc<Shared>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = open.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    open.spawn(connection(stream, shared.clone()));
                }
                // Mostly too many open files; another task has to close one.
                Err(_) => tokio::task::yield_now().await,
            },
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(|request| handle(shared.clone(), request));
    // No timer: a test with a stopped clock would see every idle connection time out.
    let served =
        http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(stream), service);
    // A client that goes away, or is cut off on purpose, is nothing to tell of.
    let _ = served.await;
}

async fn handle(shared: Arc<Shared>, request: hyper::Request<Incoming>) -> Result<Response<HttpBody>, Cut> {
    let request = read(&shared.prefix, request).await?;
    let now = shared.clock.now();
    let fault = locked(&shared.faults).decide(&request.target);
    if let Some(Fault::Slow(wait)) = fault {
        tokio::time::sleep(wait).await;
    }
    let answer = match fault {
        Some(Fault::CutBefore) => None,
        _ => Some(dispatch::answer(&shared, &request, now, fault.as_ref())),
    };
    let asked = Asked {
        at: now,
        method: request.method.clone(),
        path: format!("/{}", request.segments.join("/")),
        query: [request.query.as_slice(), request.form.as_slice()].concat(),
        headers: request.headers.clone(),
        status: answer.as_ref().map_or(0, |answer| answer.status),
        fault: fault.clone(),
    };
    locked(&shared.log).add(asked, &request.segments);
    respond(answer.ok_or(Cut)?, now, request.gzip, fault == Some(Fault::CutInside)).map_err(|_| Cut)
}

async fn read(prefix: &str, request: hyper::Request<Incoming>) -> Result<Request, Cut> {
    let (head, body) = request.into_parts();
    let body = to_bytes(HttpBody::new(body), FORM_BYTES).await.map_err(|_| Cut)?;
    let is_form = text(&head.headers, CONTENT_TYPE.as_str())
        .is_some_and(|found| found.starts_with("application/x-www-form-urlencoded"));
    let form = if is_form { String::from_utf8_lossy(&body).into_owned() } else { String::new() };
    let path = head.uri.path();
    let stripped = path.strip_prefix(prefix).filter(|rest| rest.starts_with('/'));
    let segments = stripped.unwrap_or(path).split('/').skip(1);
    let headers =
        KEPT_HEADERS.iter().filter_map(|name| Some(((*name).to_owned(), text(&head.headers, name)?)));
    let gzip = text(&head.headers, ACCEPT_ENCODING.as_str()).is_some_and(|found| found.contains("gzip"));
    Ok(Request {
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

fn respond(answer: Answer, now: Timestamp, gzip: bool, cut: bool) -> Result<Response<HttpBody>, io::Error> {
    let (mime, body) = match answer.body {
        Body::Json(value) => ("application/json; charset=UTF-8", value.to_string().into_bytes()),
        Body::Bytes(mime, bytes) => (mime, bytes),
    };
    let gzip = gzip && !body.is_empty();
    let body = if gzip { packed(&body)? } else { body };
    let mut response =
        Response::builder().status(answer.status).header(CONTENT_TYPE, mime).header(DATE, date(now)?);
    if gzip {
        response = response.header(CONTENT_ENCODING, "gzip").header(VARY, "Accept-Encoding");
    }
    for (name, value) in answer.headers {
        response = response.header(name, HeaderValue::from_str(&value).map_err(io::Error::other)?);
    }
    let body = if cut { half(body) } else { HttpBody::from(body) };
    response.body(body).map_err(io::Error::other)
}

/// The first half of a body, then the end of the connection.
fn half(mut body: Vec<u8>) -> HttpBody {
    body.truncate(body.len() / 2);
    let first = stream::once(async { Ok(Bytes::from(body)) });
    // What precedes an error is sent only if the error does not follow at once.
    let end = stream::once(async {
        tokio::task::yield_now().await;
        Err(Cut)
    });
    HttpBody::from_stream(first.chain(end))
}

fn packed(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

fn date(now: Timestamp) -> io::Result<String> {
    DateTimePrinter::new().timestamp_to_rfc9110_string(&now).map_err(io::Error::other)
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
