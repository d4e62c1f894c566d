//! Reading a request: query parameters, conditions in headers, and bodies, each within its bound. Every error is one
//! sentence for the person who asked.

use std::borrow::Cow;
use std::io;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Path};
use axum::http::header::{ACCEPT, CONTENT_LENGTH, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, Method, Request, StatusCode};
use futures_util::StreamExt;
use futures_util::stream::unfold;
use inboxclaw_contract::json::JsonError;
use inboxclaw_contract::{Json, OwnerKind, Version};
use inboxclaw_edit::{Condition, Lines};
use inboxclaw_settings::Interval;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use super::context::{KnownOwner, States};
use super::problem::Problem;
use crate::clients::{Author, Client};

/// The media type of JSON Lines.
pub(super) const LINES: &str = "application/x-ndjson";

/// How long the rest of a body is taken after it turned out to be wrong.
const DRAIN: Duration = Duration::from_secs(5);

/// Most bytes of a body that says what to do.
const ORDER_BODY: u64 = 64 << 10;

/// A request about the state of one owner.
pub(super) struct Call {
    pub(super) states: States,
    pub(super) whose: KnownOwner,
    pub(super) ask: StateRequest,
    /// Who asks, for history.
    pub(super) author: String,
}

impl FromRequest<States> for Call {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, states: &States) -> Result<Self, Problem> {
        let (mut head, body) = request.into_parts();
        decoded(head.uri.path()).map_err(|reason| Problem::new(StatusCode::BAD_REQUEST, reason))?;
        let path = Path::<Vec<(String, String)>>::from_request_parts(&mut head, states).await;
        let mut path = path.map(|Path(path)| path.into_iter().map(|(_, value)| value)).into_iter().flatten();
        let (name, key) = (path.next().unwrap_or_default(), path.next().unwrap_or_default());
        let Author(author) = head.extensions.get().cloned().unwrap_or_else(|| Author(String::new()));
        let kind =
            if head.uri.path().starts_with("/api/sinks/") { OwnerKind::Sink } else { OwnerKind::Source };
        let changes = !matches!(head.method, Method::GET | Method::HEAD);
        let ask = StateRequest::of(Request::from_parts(head, body), key)?;
        let whose = states.find(kind, name, changes).await?;
        Ok(Self { states: states.clone(), whose, ask, author })
    }
}

/// What a request says, without its path.
pub(super) struct StateRequest {
    /// The last part of the path where that is a key.
    pub(super) key: String,
    pairs: Vec<(String, String)>,
    headers: HeaderMap,
    pub(super) client: Client,
    /// Never locked: it lets a request be shared by what runs on any thread, which a body alone does not.
    body: Mutex<Body>,
}

/// How a body is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// Most bytes.
    pub(super) bytes: u64,
    /// How long the client may send nothing; `None` is for ever.
    pub(super) idle_timeout: Option<Duration>,
}

impl StateRequest {
    pub(super) fn of(request: Request<Body>, key: String) -> Result<Self, Problem> {
        let (head, body) = request.into_parts();
        let pairs = pairs(head.uri.query().unwrap_or_default())
            .map_err(|reason| Problem::new(StatusCode::BAD_REQUEST, format!("the query: {reason}")))?;
        let client = Client::of(&head.extensions);
        Ok(Self { key, pairs, headers: head.headers, client, body: Mutex::new(body) })
    }

    /// A parameter; of a repeated one the last counts.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is 0 or 1, by default not given.
    pub(super) fn switch(&self, name: &str) -> Result<Option<bool>, Problem> {
        match self.text(name) {
            None => Ok(None),
            Some("1" | "true") => Ok(Some(true)),
            Some("0" | "false") => Ok(Some(false)),
            Some(other) => Err(unfit(name, "0 or 1", other)),
        }
    }

    /// A parameter that is 0 or 1, by default 0.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Problem> {
        Ok(self.switch(name)?.unwrap_or(false))
    }

    /// An integer within bounds.
    pub(super) fn integer(&self, name: &str, bounds: RangeInclusive<i64>) -> Result<Option<i64>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(value) if bounds.contains(&value) => Ok(Some(value)),
            _ => Err(unfit(name, &format!("an integer from {} to {}", bounds.start(), bounds.end()), text)),
        }
    }

    /// How many to give at most.
    pub(super) fn limit(&self, default: usize) -> Result<usize, Problem> {
        let limit = self.integer("limit", 1..=1_000)?;
        Ok(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(default))
    }

    /// A length of time.
    pub(super) fn interval(&self, name: &str) -> Result<Option<Duration>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let interval: Interval = text.parse().map_err(|error| wrong(format!("{name}: {error}")))?;
        Ok(Some(interval.as_duration()))
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&self, name: &str, words: [(&str, T); 2]) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text);
        let wanted = || format!("{} or {}", words[0].0, words[1].0);
        found.map(|(_, value)| Some(*value)).ok_or_else(|| unfit(name, &wanted(), text))
    }

    pub(super) fn header(&self, name: impl Into<HeaderName>) -> Option<&str> {
        self.headers.get(name.into()).and_then(|value| value.to_str().ok())
    }

    /// Whether the answer to a long change is to be streamed, with how far it has come.
    pub(super) fn accepts_lines(&self) -> bool {
        self.header(ACCEPT).is_some_and(|accept| accept.contains(LINES))
    }

    /// The condition in `If-Match` or `If-None-Match` of a change.
    pub(super) fn condition(&self) -> Result<Condition, Problem> {
        let bad = |detail: &str| Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        match (self.header(IF_MATCH).map(str::trim), self.header(IF_NONE_MATCH).map(str::trim)) {
            (None, None) => Ok(Condition::Any),
            (Some("*"), None) => Ok(Condition::Present),
            (None, Some("*")) => Ok(Condition::Absent),
            (Some(tag), None) if tag.contains(',') => bad("If-Match: give one ETag, or *"),
            // A tag that was never given out is the revision of nothing.
            (Some(tag), None) => Ok(Condition::Revision(revision(tag).unwrap_or(Version(-1)))),
            (None, Some(_)) => bad("If-None-Match: a change knows only *"),
            (Some(_), Some(_)) => bad("give If-Match or If-None-Match, not both"),
        }
    }

    /// Whether the client has that revision already, as `If-None-Match` says.
    pub(super) fn has(&self, found: Version) -> bool {
        let Some(tags) = self.header(IF_NONE_MATCH) else { return false };
        let mut tags = tags.split(',').map(str::trim);
        tags.any(|tag| tag == "*" || revision(tag.strip_prefix("W/").unwrap_or(tag)) == Some(found))
    }

    /// The length of the body, where the client says it.
    pub(super) fn length(&self) -> Option<u64> {
        self.header(CONTENT_LENGTH).and_then(|length| length.parse().ok())
    }

    /// The body as a value.
    pub(super) async fn into_value(self, how: Reading) -> Result<Json, Problem> {
        let text = self.into_text(how).await?;
        Json::new(text.as_str()).map_err(|error| unreadable(&text, &error))
    }

    /// The body as what a route wants to know; an empty one says nothing.
    pub(super) async fn into_body<T: DeserializeOwned>(self, how: Reading) -> Result<T, Problem> {
        let text = self.into_text(how).await?;
        let text = if text.trim().is_empty() { "{}" } else { text.as_str() };
        serde_json::from_str(text)
            .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the body: {error}")))
    }

    fn into_pieces(self) -> BodyDataStream {
        self.body.into_inner().unwrap_or_else(PoisonError::into_inner).into_data_stream()
    }

    async fn into_text(self, how: Reading) -> Result<String, Problem> {
        let too_large = || {
            let detail = format!("the request body is too large, the limit is {} bytes", how.bytes);
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        };
        if self.length().is_some_and(|length| length > how.bytes) {
            return Err(too_large());
        }
        let mut all = Vec::new();
        let mut pieces = self.into_pieces();
        while let Some(piece) = next(&mut pieces, how.idle_timeout).await {
            let piece = piece
                .map_err(|error| Problem::new(StatusCode::REQUEST_TIMEOUT, format!("the body: {error}")))?;
            if (all.len() + piece.len()) as u64 > how.bytes {
                return Err(too_large());
            }
            all.extend_from_slice(&piece);
        }
        String::from_utf8(all).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Problem::new(StatusCode::BAD_REQUEST, format!("the body is not UTF-8 at byte {at}"))
        })
    }

    /// The body as it comes, and what is left of it when nobody wants more.
    pub(super) fn into_lines(self, idle_timeout: Option<Duration>) -> (Lines, Rest) {
        let rest = Rest(Arc::new(tokio::sync::Mutex::new(Some(self.into_pieces()))));
        let lines = unfold(rest.0.clone(), move |shared| async move {
            let mut pieces = shared.lock().await;
            let piece = next(pieces.as_mut()?, idle_timeout).await;
            if !matches!(piece, Some(Ok(_))) {
                *pieces = None;
            }
            drop(pieces);
            Some((piece?, shared))
        });
        (lines.boxed(), rest)
    }
}

/// What is left of a body whose first part was wrong.
pub(super) struct Rest(Arc<tokio::sync::Mutex<Option<BodyDataStream>>>);

impl Rest {
    /// Takes it off the connection for a while: a client that is still sending would see the connection break instead
    /// of the answer.
    pub(super) async fn drain(self) {
        let all = async {
            let mut pieces = self.0.lock().await;
            if let Some(pieces) = pieces.as_mut() {
                while let Some(Ok(_)) = pieces.next().await {}
            }
        };
        // Whoever is slower than that is cut off.
        let _ = tokio::time::timeout(DRAIN, all).await;
    }
}

/// How a body is read that says what to do.
pub(super) fn order(states: &States) -> Reading {
    Reading { bytes: ORDER_BODY, idle_timeout: states.bounds.idle_timeout }
}

/// An error about something in the request that cannot work.
pub(super) fn wrong(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}

/// The revision of an `ETag`.
fn revision(tag: &str) -> Option<Version> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok().map(Version))?
}

async fn next(pieces: &mut BodyDataStream, idle_timeout: Option<Duration>) -> Option<io::Result<Bytes>> {
    let piece = match idle_timeout {
        None => pieces.next().await,
        Some(idle_timeout) => match tokio::time::timeout(idle_timeout, pieces.next()).await {
            Ok(piece) => piece,
            Err(_) => return Some(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing came for too long"))),
        },
    };
    piece.map(|piece| piece.map_err(|_| io::Error::new(io::ErrorKind::UnexpectedEof, "it broke off")))
}

fn pairs(query: &str) -> Result<Vec<(String, String)>, &'static str> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    let plain = |text: &str| decoded(&text.replace('+', " ")).map(|text| text.into_owned());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Ok((plain(name)?, plain(value)?))
        })
        .collect()
}

/// Undoes percent-encoding; unlike in a query, a plus is a plus.
pub(super) fn decoded(text: &str) -> Result<Cow<'_, str>, &'static str> {
    let bytes = text.as_bytes();
    let is_hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    if (0..bytes.len()).any(|at| bytes[at] == b'%' && !(is_hex(at + 1) && is_hex(at + 2))) {
        return Err("a percent sign is not followed by two hexadecimal digits: write it as %25");
    }
    percent_decode_str(text).decode_utf8().map_err(|_| "what is percent-encoded is not UTF-8")
}

fn unfit(name: &str, wanted: &str, given: &str) -> Problem {
    wrong(format!("{name} must be {wanted}, not {given:?}"))
}

/// Why a text is no value: where, or which limit it breaks.
fn unreadable(text: &str, error: &JsonError) -> Problem {
    let at = match error {
        JsonError::TooLarge { .. } => {
            return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the value has {error}"));
        }
        JsonError::TooDeep { .. } => return wrong(format!("the value is {error}")),
        JsonError::Syntax { at, .. }
        | JsonError::DuplicateKey { at, .. }
        | JsonError::LoneSurrogate { at } => *at,
        _ => 0,
    };
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let detail = format!("the body is no JSON value: line {line}, column {column}: {error}");
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(query: &str, headers: &[(&'static str, &str)]) -> StateRequest {
        let mut request = Request::builder().uri(format!("/x?{query}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        StateRequest::of(request.body(Body::empty()).unwrap(), String::new()).ok().unwrap()
    }

    #[test]
    fn parameters_are_decoded_and_the_last_counts() {
        let ask = ask("prefix=a%2Fb+c%2B&limit=5&limit=7&keys&x==", &[]);
        assert_eq!(ask.text("prefix"), Some("a/b c+"));
        assert_eq!(ask.limit(100).ok(), Some(7));
        assert_eq!((ask.text("keys"), ask.text("x"), ask.text("y")), (Some(""), Some("="), None));
        assert!(ask.flag("keys").is_err());
        for query in ["a=%FF", "%zz=1", "a=%4"] {
            assert!(pairs(query).is_err(), "{query}");
        }
        for limit in ["0", "1001", "x", "", "+5"] {
            assert!(super::tests::ask(&format!("limit={limit}"), &[]).limit(100).is_err(), "{limit}");
        }
    }

    #[test]
    fn conditions_are_one_revision_or_any() {
        let of = |name, value| ask("", &[(name, value)]).condition().ok();
        for (name, value, wanted) in [
            ("if-match", "\"7\"", Some(Condition::Revision(Version(7)))),
            ("if-match", " * ", Some(Condition::Present)),
            ("if-match", "W/\"7\"", Some(Condition::Revision(Version(-1)))),
            ("if-match", "\"+7\"", Some(Condition::Revision(Version(-1)))),
            ("if-match", "\"1\", \"2\"", None),
            ("if-none-match", "*", Some(Condition::Absent)),
            ("if-none-match", "\"7\"", None),
        ] {
            assert_eq!(of(name, value), wanted, "{name}: {value}");
        }
        assert_eq!(ask("", &[]).condition().ok(), Some(Condition::Any));
        assert!(ask("", &[("if-match", "*"), ("if-none-match", "*")]).condition().is_err());
        let has = |tags| ask("", &[("if-none-match", tags)]).has(Version(7));
        assert!(has("\"7\"") && has("\"1\", W/\"7\"") && has("*"));
        assert!(!has("\"70\"") && !has("7"));
    }
}
