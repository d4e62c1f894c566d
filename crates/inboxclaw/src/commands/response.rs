//! Answers of the state API: whole, as a stream, or with how far a long change has come. An answer that is no success
//! becomes the failure that a person reads.

use std::io::{self, IsTerminal as _, Write as _};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{ACCEPT, CONTENT_TYPE, ETAG};
use axum::http::{Response, StatusCode};
use futures_util::StreamExt as _;
use inboxclaw_contract::printable;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::failed::Failed;
use super::state_client::{ApiRequest, StateClient};

/// The content type of answers that come line by line.
const LINES: &str = "application/x-ndjson";

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The revision between the quotes of the header `ETag`.
    pub(super) revision: Option<String>,
    pub(super) body: Bytes,
}

impl Answer {
    /// The body as text.
    pub(super) fn text(&self) -> Result<&str, Failed> {
        std::str::from_utf8(&self.body).map_err(|_| Failed::plain("the answer is no text"))
    }

    /// The body, read.
    pub(super) fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Failed> {
        read(&self.body)
    }

    /// The failure that an unsuccessful answer tells of.
    pub(super) fn failure(&self) -> Failed {
        Failed::plain(reason(self.status, &self.body))
    }
}

/// Asks and waits for the whole answer, also for one without success.
pub(super) async fn any(states: &StateClient, request: ApiRequest) -> Result<Answer, Failed> {
    let response = states.send(request).await?;
    let status = response.status();
    let revision = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
    let revision = revision.map(|tag| tag.trim_matches('"').to_owned());
    let body = to_bytes(response.into_body(), usize::MAX).await.map_err(|error| broken(&error))?;
    Ok(Answer { status, revision, body })
}

/// Asks and waits for the whole answer, which must be a success.
pub(super) async fn whole(states: &StateClient, request: ApiRequest) -> Result<Answer, Failed> {
    let answer = any(states, request).await?;
    if answer.status.is_success() { Ok(answer) } else { Err(answer.failure()) }
}

/// Asks, and returns the body of a success to be read piece by piece.
pub(super) async fn stream(states: &StateClient, request: ApiRequest) -> Result<Body, Failed> {
    let response = states.send(request).await?;
    if response.status().is_success() {
        return Ok(response.into_body());
    }
    Err(failure_of(response).await?)
}

/// A line of a long change.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Progress { done: u64, of: Option<u64> },
    Result(Box<RawValue>),
    Error(Value),
}

/// How a long change ended.
pub(super) enum Ended {
    /// With this result, as JSON.
    Well(String),
    /// Refused, with what the answer says.
    Refused(Value),
}

/// Asks for a change that may take long, and shows how far it is.
pub(super) async fn long(states: &StateClient, request: ApiRequest) -> Result<Ended, Failed> {
    let response = states.send(request.header(ACCEPT, LINES)).await?;
    if !response.status().is_success() {
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.map_err(|error| broken(&error))?;
        let said = serde_json::from_slice(&body);
        return Ok(Ended::Refused(said.unwrap_or_else(
            |_| serde_json::json!({ "detail": String::from_utf8_lossy(&body), "status": status.as_u16() }),
        )));
    }
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with(LINES) {
        let body = to_bytes(response.into_body(), usize::MAX).await.map_err(|error| broken(&error))?;
        return Ok(Ended::Well(String::from_utf8_lossy(&body).into_owned()));
    }
    follow(response.into_body()).await
}

async fn follow(body: Body) -> Result<Ended, Failed> {
    let mut pieces = body.into_data_stream();
    let mut progress = Progress::default();
    let mut rest = Vec::new();
    while let Some(piece) = pieces.next().await {
        // Why it broke says nothing about what is to be done.
        let Ok(piece) = piece else { break };
        rest.extend_from_slice(&piece);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            if line.trim_ascii().is_empty() {
                continue;
            }
            match read(&line)? {
                Line::Progress { done, of } => progress.show(done, of),
                Line::Result(result) => return Ok(Ended::Well(result.get().to_owned())),
                Line::Error(error) => return Ok(Ended::Refused(error)),
            }
        }
    }
    Err(Failed::plain(
        "the connection broke before the result came: either all of the change was made or nothing, \
         `inboxclaw state history` tells",
    ))
}

/// How far a long change has come, in one line on standard error that goes when it is done. Nothing where nobody
/// watches.
#[derive(Default)]
struct Progress {
    shown: bool,
}

impl Progress {
    fn show(&mut self, done: u64, of: Option<u64>) {
        let mut out = io::stderr().lock();
        if out.is_terminal() {
            self.shown = true;
            let of = of.map_or_else(String::new, |of| format!(" of {of}"));
            // Nobody can be told that this failed.
            let _ = write!(out, "\r\x1b[K{done}{of} entries").and_then(|()| out.flush());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// What a refusal says, in one sentence on one line.
pub(super) fn detail(said: &Value) -> String {
    let detail = match said.get("detail") {
        Some(Value::String(detail)) => detail.clone(),
        Some(Value::Array(problems)) => problems.iter().map(problem).collect::<Vec<_>>().join("; "),
        _ => said.to_string(),
    };
    printable(&detail).into_owned()
}

/// One of the things that are wrong with the parameters of a request.
fn problem(problem: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let place = problem.get("loc").and_then(Value::as_array).and_then(|place| place.last()).map(text);
    let message = problem.get("msg").map(text).unwrap_or_else(|| problem.to_string());
    place.map_or_else(|| message.clone(), |place| format!("{place}: {message}"))
}

pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failed> {
    serde_json::from_slice(body).map_err(|error| Failed::plain(format!("the answer is another: {error}")))
}

/// Reads a result that owns what it holds.
pub(super) fn result<T: DeserializeOwned>(json: &str) -> Result<T, Failed> {
    read(json.as_bytes())
}

/// The failure when a stream breaks.
pub(super) fn broken(error: &axum::Error) -> Failed {
    Failed::plain(format!("the answer broke off: {error}"))
}

async fn failure_of(response: Response<Body>) -> Result<Failed, Failed> {
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.map_err(|error| broken(&error))?;
    Ok(Failed::plain(reason(status, &body)))
}

fn reason(status: StatusCode, body: &[u8]) -> String {
    match serde_json::from_slice(body) {
        Ok(said) => detail(&said),
        Err(_) => {
            format!("the answer is {status}: {}", printable(String::from_utf8_lossy(body).trim_end()))
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    async fn followed(stream_of: &str, size: usize) -> Result<String, String> {
        let pieces: Vec<io::Result<Bytes>> =
            stream_of.as_bytes().chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        match follow(Body::from_stream(stream::iter(pieces))).await {
            Ok(Ended::Well(result)) => Ok(result),
            Ok(Ended::Refused(said)) => Err(detail(&said)),
            Err(failed) => Err(failed.message),
        }
    }

    #[tokio::test]
    async fn a_long_change_ends_with_its_last_line_however_it_is_cut() {
        let begin = "{\"progress\":{\"done\":1,\"of\":null}}\n\n{\"progress\":{\"done\":2,\"of\":3}}\n";
        for size in [1, 7, 1000] {
            let well = format!("{begin}{{\"result\":{{\"n\":123456789012345678901234567890}}}}\n");
            assert_eq!(followed(&well, size).await.as_deref(), Ok("{\"n\":123456789012345678901234567890}"));
            let refused = format!("{begin}{{\"error\":{{\"status\":409,\"detail\":\"no\"}}}}\n");
            assert_eq!(followed(&refused, size).await, Err("no".to_owned()));
            let broken = followed(begin, size).await.unwrap_err();
            assert!(broken.starts_with("the connection broke before the result came"), "{broken}");
        }
        let killed =
            Body::from_stream(stream::iter([Ok(Bytes::from(begin)), Err(io::Error::other("reset"))]));
        let Err(broken) = follow(killed).await else { panic!("it has no result") };
        assert!(broken.message.starts_with("the connection broke before the result came"), "{broken:?}");
    }

    #[test]
    fn refusals_are_told_in_words() {
        for (body, told) in [
            (r#"{"detail":"there is no key"}"#, "there is no key"),
            (r#"{"detail":[{"loc":["query","limit"],"msg":"too much"},{"msg":"b"}]}"#, "limit: too much; b"),
            ("oops\n", "the answer is 500 Internal Server Error: oops"),
        ] {
            assert_eq!(reason(StatusCode::INTERNAL_SERVER_ERROR, body.as_bytes()), told);
        }
    }
}
