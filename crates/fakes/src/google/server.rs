//! HTTP: reads requests, finds who answers them, carries out faults, and writes answers.
//!
//! Left out: what the answers say (the models, `oauth`), which request meets which fault (`faults`).

use std::io::{self, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::{fmt, thread};

use axum::body::{Body as HttpBody, Bytes};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, VARY};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{StreamExt as _, stream};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::account::Account;
use super::api::{Body, Response};
use super::dispatch;
use super::faults::Fault;
use super::http_request::HttpRequest;
use super::request_log::LoggedRequest;
use crate::lock::locked;

/// A response as it is sent.
type HttpResponse = axum::http::Response<HttpBody>;

/// The connection is to be cut without an answer.
#[derive(Debug)]
struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("cut on purpose")
    }
}

impl std::error::Error for Cut {}

/// A running server. It runs until it is dropped, on a task of the caller's runtime or on a thread of its own.
#[derive(Debug)]
pub(super) enum Server {
    Task(JoinHandle<()>),
    /// Both are taken when it ends.
    Thread(Option<oneshot::Sender<()>>, Option<thread::JoinHandle<()>>),
}

impl Server {
    /// On the runtime that the caller runs on.
    pub(super) fn task(listener: TcpListener, account: Arc<Account>) -> io::Result<Self> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        Ok(Self::Task(tokio::spawn(run(listener, account))))
    }

    /// On a thread of its own.
    pub(super) fn thread(listener: TcpListener, account: Arc<Account>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let thread = thread::Builder::new().name("google-fake".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = run(listener, account) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self::Thread(Some(stop), Some(thread)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match self {
            Self::Task(task) => task.abort(),
            Self::Thread(stop, thread) => {
                drop(stop.take());
                // A thread that panicked is gone as well.
                let _ = thread.take().map(thread::JoinHandle::join);
            }
        }
    }
}

/// Serves until it is dropped, connections included.
async fn run(listener: tokio::net::TcpListener, account: Arc<Account>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = open.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    open.spawn(connection(stream, account.clone()));
                }
                // Mostly too many open files; another task has to close one.
                Err(_) => tokio::task::yield_now().await,
            },
        }
    }
}

async fn connection(stream: TcpStream, account: Arc<Account>) {
    let service = service_fn(|request| handle(account.clone(), request));
    // No timer: a test with a stopped clock would see every idle connection time out.
    let served =
        http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(stream), service);
    // A client that goes away, or is cut off on purpose, is nothing to tell of.
    let _ = served.await;
}

async fn handle(account: Arc<Account>, request: hyper::Request<Incoming>) -> Result<HttpResponse, Cut> {
    let request = HttpRequest::read(&account.prefix, request).await.ok_or(Cut)?;
    let now = account.clock.now();
    let fault = locked(&account.faults).decide(&request.target);
    if let Some(Fault::Slow(wait)) = fault {
        tokio::time::sleep(wait).await;
    }
    let answer = match fault {
        Some(Fault::CutBefore) => None,
        _ => Some(dispatch::answer(&account, &request, now, fault.as_ref())),
    };
    let asked = LoggedRequest {
        at: now,
        method: request.method.clone(),
        path: format!("/{}", request.segments.join("/")),
        query: [request.query.as_slice(), request.form.as_slice()].concat(),
        headers: request.headers.clone(),
        status: answer.as_ref().map_or(0, |answer| answer.status),
        fault: fault.clone(),
    };
    locked(&account.log).add(asked, &request.segments);
    respond(answer.ok_or(Cut)?, now, request.gzip, fault == Some(Fault::CutInside)).map_err(|_| Cut)
}

fn respond(answer: Response, now: Timestamp, gzip: bool, cut: bool) -> Result<HttpResponse, io::Error> {
    let (mime, body) = match answer.body {
        Body::Json(value) => ("application/json; charset=UTF-8", value.to_string().into_bytes()),
        Body::Bytes(mime, bytes) => (mime, bytes),
    };
    let gzip = gzip && !body.is_empty();
    let body = if gzip { packed(&body)? } else { body };
    let mut response = axum::http::Response::builder()
        .status(answer.status)
        .header(CONTENT_TYPE, mime)
        .header(DATE, date(now)?);
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
