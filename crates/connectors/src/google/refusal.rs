//! What an answer that is no success means: by its status, by the reasons in its body and by what it says.
//!
//! Left out: what to do about a token, which `account` knows, and how long requests pause, which `limiter` decides.

use std::time::Duration;

use anyhow::anyhow;
use inboxclaw_contract::{Class, Failure};
use jiff::Timestamp;
use reqwest::StatusCode;
use serde::Deserialize;

use super::services::Api;
use crate::http::{LONGEST_WAIT, Reply};

/// Largest body of an error that is read, in bytes.
const BODY_BYTES: usize = 64 << 10;
/// Most characters of a foreign text in a failure.
const SHOWN: usize = 300;
/// Most reasons that are kept.
const REASONS: usize = 8;
/// A daily quota says nothing about the time of day when it is filled up.
const DAILY_WAIT: Duration = Duration::from_secs(60 * 60);

/// Why there is no usable answer: what a source may decide by, and the failure that it is otherwise.
#[derive(Debug)]
pub struct Refusal {
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// The `reason` of each error in the body, such as `rateLimitExceeded`; the body's `status` where there is none.
    pub reasons: Vec<String>,
    /// What becomes of the turn if the source has no better idea.
    pub failure: Failure,
}

/// What a refusal is about, as far as it is acted upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefusalKind {
    /// Too many requests.
    Quota,
    /// Too many requests for today.
    Daily,
    /// The token is not accepted.
    Token,
    /// The token is not good for such requests.
    Scope,
    /// The API is not enabled for the client.
    Disabled,
    /// An administrator does not allow the client.
    Policy,
    /// Anything else.
    Other,
}

impl Refusal {
    /// Reads the body of an answer. `token` is what must not be seen in it.
    pub(super) async fn read(reply: Reply, now: Timestamp, api: &Api, token: &str) -> Self {
        let (status, address) = (reply.status(), reply.address().to_owned());
        let mut failure = reply.refused(now);
        let body = reply.body_within(BODY_BYTES).await.ok().flatten().unwrap_or_default();
        let ErrorDetails { reasons, message } = ErrorDetails::read(&body);
        let trouble = RefusalKind::of(status.as_u16(), &reasons);
        if matches!(trouble, RefusalKind::Quota | RefusalKind::Daily) && failure.wait.is_none() {
            failure.wait = time_in(&message, now).or((trouble == RefusalKind::Daily).then_some(DAILY_WAIT));
        }
        failure.class = trouble.class().unwrap_or(failure.class);
        failure.action = trouble.action(api);
        failure.cause = anyhow!(text(status, &address, &reasons, &cut(&message.replace(token, "…"))));
        Self { status: Some(status.as_u16()), reasons, failure }
    }

    /// The thing asked for is not there (404).
    pub fn is_missing(&self) -> bool {
        self.status == Some(404)
    }

    /// A token that was valid once is no longer (410).
    pub fn is_gone(&self) -> bool {
        self.status == Some(410)
    }

    /// A parameter was not understood (400).
    pub fn is_invalid(&self) -> bool {
        self.status == Some(400) && !self.is_precondition()
    }

    /// Gmail answers one or two of a hundred good requests with 400 `failedPrecondition`, and answers them when they
    /// are sent again (<https://github.com/googleapis/google-api-php-client/issues/2558>).
    fn is_precondition(&self) -> bool {
        self.status == Some(400) && (self.has("failedPrecondition") || self.has("FAILED_PRECONDITION"))
    }

    /// The token of a page or of a point in a log is not accepted, in whatever words (400, 404, 410): services document
    /// neither how long tokens hold nor how they say that one no longer does.
    pub fn is_lost(&self) -> bool {
        self.is_invalid() || self.is_missing() || self.is_gone()
    }

    /// The token is not good for requests of this kind, so that all others of the kind are refused as well.
    pub fn is_of_scope(&self) -> bool {
        self.kind() == RefusalKind::Scope
    }

    /// Whether one of the reasons is `reason`.
    pub fn has(&self, reason: &str) -> bool {
        self.reasons.iter().any(|found| found == reason)
    }

    /// Whether the service itself failed (5xx, or a precondition of its own).
    pub fn is_of_server(&self) -> bool {
        matches!(self.status, Some(500..=599)) || self.is_precondition()
    }

    /// Whether the same request may well be answered within seconds: the service or the way to it failed, it wants a
    /// pause, or it does not know a token yet that it gave. What takes long by itself is left to another turn.
    pub(super) fn is_passing(&self) -> bool {
        match self.status {
            None => matches!(self.failure.class, Class::Connectivity | Class::Upstream | Class::RateLimited),
            Some(408 | 425) => true,
            Some(_) => self.is_of_server() || matches!(self.kind(), RefusalKind::Quota | RefusalKind::Token),
        }
    }

    /// Whether the service took the request for one of many that it answers, so that its quotas are kept.
    pub(super) fn is_answer(&self) -> bool {
        let is_quota = matches!(self.kind(), RefusalKind::Quota | RefusalKind::Daily);
        self.status.is_some() && !is_quota && !self.is_of_server()
    }

    /// Whether the refusal says nothing about the thing asked for, so that the same request may succeed later: a
    /// quota, a server that fails, no connection, no token. Then a source stops and comes back. Everything else will be
    /// the same next time: the thing is missing, refused to us, or not what we can read.
    pub fn is_transient(&self) -> bool {
        match self.status {
            None => true,
            Some(403) => matches!(
                self.kind(),
                RefusalKind::Quota
                    | RefusalKind::Daily
                    | RefusalKind::Disabled
                    | RefusalKind::Policy
                    | RefusalKind::Token
            ),
            Some(400) => self.is_precondition(),
            Some(status) => matches!(status, 300..=399 | 401 | 407 | 408 | 409 | 425 | 429 | 500..),
        }
    }

    /// What it is about.
    pub(super) fn kind(&self) -> RefusalKind {
        self.status.map_or(RefusalKind::Other, |status| RefusalKind::of(status, &self.reasons))
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { status: None, reasons: Vec::new(), failure }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        refusal.failure
    }
}

/// A foreign text for a message: on one line and not too long.
pub(super) fn cut(text: &str) -> String {
    let text = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    crate::text::cut(&text.collect::<Vec<_>>().join(" "), SHOWN, "…")
}

impl RefusalKind {
    /// By the pages of the services on errors:
    /// <https://developers.google.com/workspace/drive/api/guides/handle-errors>,
    /// <https://developers.google.com/workspace/gmail/api/guides/handle-errors>,
    /// <https://developers.google.com/workspace/calendar/api/guides/errors>, and
    /// <https://cloud.google.com/apis/design/errors> for the words in capitals.
    fn of(status: u16, reasons: &[String]) -> Self {
        let by_reason = reasons.iter().find_map(|reason| match reason.as_str() {
            "rateLimitExceeded"
            | "userRateLimitExceeded"
            | "quotaExceeded"
            | "sharingRateLimitExceeded"
            | "RATE_LIMIT_EXCEEDED"
            | "RESOURCE_EXHAUSTED" => Some(Self::Quota),
            "dailyLimitExceeded" => Some(Self::Daily),
            "insufficientPermissions" | "insufficientScopes" | "ACCESS_TOKEN_SCOPE_INSUFFICIENT" => {
                Some(Self::Scope)
            }
            "accessNotConfigured" | "SERVICE_DISABLED" => Some(Self::Disabled),
            "domainPolicy" => Some(Self::Policy),
            _ => None,
        });
        match status {
            401 => Self::Token,
            429 => by_reason.filter(|found| *found == Self::Daily).unwrap_or(Self::Quota),
            403 => by_reason.unwrap_or(Self::Other),
            _ => Self::Other,
        }
    }

    /// The class, where the status alone does not say it.
    fn class(self) -> Option<Class> {
        match self {
            Self::Quota | Self::Daily => Some(Class::RateLimited),
            Self::Token => Some(Class::Authentication),
            Self::Scope | Self::Policy => Some(Class::Authorization),
            Self::Disabled => Some(Class::Configuration),
            Self::Other => None,
        }
    }

    /// What a person can do, as far as it does not depend on the account.
    fn action(self, api: &Api) -> Option<String> {
        match self {
            Self::Disabled => Some(format!(
                "enable the API in the Cloud console, in the project that the client of the token file belongs to: \
                 https://console.cloud.google.com/apis/library/{}; it takes effect after some minutes",
                api.service
            )),
            Self::Policy => {
                Some("ask the administrator of the domain to allow the client of the token file".to_owned())
            }
            _ => None,
        }
    }
}

/// What a body says.
#[derive(Default)]
struct ErrorDetails {
    reasons: Vec<String>,
    message: String,
}

#[derive(Deserialize)]
struct Body {
    error: Problem,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Problem {
    message: String,
    status: String,
    errors: Vec<Part>,
    details: Vec<Part>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Part {
    reason: String,
}

impl ErrorDetails {
    /// The form that the services share; any other is not shown, because it may be a page of a proxy.
    fn read(body: &[u8]) -> Self {
        let Ok(Body { error }) = serde_json::from_slice(body) else { return Self::default() };
        let Problem { message, status, errors, details } = error;
        let mut reasons: Vec<String> = Vec::new();
        for Part { reason } in errors.into_iter().chain(details) {
            if !reason.is_empty() && !reasons.contains(&reason) && reasons.len() < REASONS {
                reasons.push(cut(&reason));
            }
        }
        if reasons.is_empty() && !status.is_empty() {
            reasons.push(cut(&status));
        }
        Self { reasons, message }
    }
}

fn text(status: StatusCode, address: &str, reasons: &[String], message: &str) -> String {
    let word = status.canonical_reason().unwrap_or("unknown status").to_ascii_lowercase();
    let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
    let message = if message.is_empty() { String::new() } else { format!(": {message}") };
    format!("{address} answered {} {word}{reasons}{message}", status.as_u16())
}

/// The wait until the time in a text such as `Retry after 2026-11-22T06:15:00.000Z`. One in the past is a known
/// mistake of the services and says nothing.
fn time_in(message: &str, now: Timestamp) -> Option<Duration> {
    let start = message.to_ascii_lowercase().find("retry after ")? + "retry after ".len();
    let time = message[start..].split_whitespace().next()?;
    let time: Timestamp = time.trim_end_matches(['.', ',', ')', '"', '\'']).parse().ok()?;
    let wait = Duration::try_from(time.duration_since(now)).ok()?;
    (!wait.is_zero() && wait <= LONGEST_WAIT).then_some(wait)
}

#[cfg(test)]
mod tests;
