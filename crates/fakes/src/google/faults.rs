//! Faults: which request meets which, by rule or by chance, and what the answers look like.
//!
//! Forms of the errors: <https://developers.google.com/workspace/gmail/api/guides/handle-errors>,
//! <https://developers.google.com/workspace/drive/api/guides/handle-errors>,
//! <https://developers.google.com/workspace/calendar/api/guides/errors>. Left out: carrying them out (`server`).

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::api::{Body, Response};

/// What a request may meet instead of its answer, or on top of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// 401: the access token is not accepted, though it is good.
    Unauthorized,
    /// 403 `rateLimitExceeded`.
    RateLimit,
    /// 403 `userRateLimitExceeded`.
    UserRateLimit,
    /// 429 `rateLimitExceeded`, with the header `Retry-After` of so many seconds if any are given.
    TooMany(Option<u32>),
    /// 429 as Gmail words it, with a time so many seconds ahead in the message and no header.
    TooManyUntil(u32),
    /// 403 for good, with a reason such as `insufficientPermissions` or `cannotDownloadFile`.
    Denied(String),
    /// 404 `notFound`.
    NotFound,
    /// 410 `fullSyncRequired`.
    Gone,
    /// 400, with a reason such as `invalid` or `invalidPageToken`.
    Invalid(String),
    /// 400 `failedPrecondition`, as Gmail answers one or two of a hundred good requests, and not when they are sent again
    /// (<https://github.com/googleapis/google-api-php-client/issues/2558>). The token endpoint has no such answer.
    FailedPrecondition,
    /// 500 `backendError`.
    Internal,
    /// 503 `backendError`.
    Unavailable,
    /// The connection ends before the answer; the request has no effect.
    CutBefore,
    /// The connection ends in the middle of the body; the request has its effect.
    CutInside,
    /// The answer comes late.
    Slow(Duration),
}

impl Fault {
    /// One of each that says nothing for good: what chance chooses from at first. Waits are a second at most.
    #[must_use]
    pub fn passing() -> Vec<Self> {
        vec![
            Self::Unauthorized,
            Self::RateLimit,
            Self::UserRateLimit,
            Self::TooMany(Some(1)),
            Self::TooMany(None),
            Self::TooManyUntil(1),
            Self::FailedPrecondition,
            Self::Internal,
            Self::Unavailable,
            Self::CutBefore,
            Self::CutInside,
            Self::Slow(Duration::from_millis(50)),
        ]
    }

    /// A word for counters.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unauthorized => "401",
            Self::RateLimit => "403 rateLimitExceeded",
            Self::UserRateLimit => "403 userRateLimitExceeded",
            Self::TooMany(Some(_)) => "429 Retry-After",
            Self::TooMany(None) => "429",
            Self::TooManyUntil(_) => "429 until",
            Self::Denied(_) => "403 denied",
            Self::NotFound => "404",
            Self::Gone => "410",
            Self::Invalid(_) => "400",
            Self::FailedPrecondition => "400 failedPrecondition",
            Self::Internal => "500",
            Self::Unavailable => "503",
            Self::CutBefore => "cut before",
            Self::CutInside => "cut inside",
            Self::Slow(_) => "slow",
        }
    }

    /// The answer of a service in its place; `None` where the fault is none of the answer.
    #[must_use]
    pub fn answer(&self, now: Timestamp) -> Option<Response> {
        let answer = match self {
            Self::Unauthorized => super::oauth::unauthorized(),
            Self::RateLimit => quota(403, "rateLimitExceeded", "Rate Limit Exceeded"),
            Self::UserRateLimit => quota(403, "userRateLimitExceeded", "User Rate Limit Exceeded"),
            Self::TooMany(wait) => {
                let answer = quota(429, "rateLimitExceeded", "Too many concurrent requests for user");
                match wait {
                    Some(seconds) => answer.header("retry-after", seconds.to_string()),
                    None => answer,
                }
            }
            Self::TooManyUntil(seconds) => {
                let until = now.saturating_add(SignedDuration::from_secs((*seconds).into())).unwrap_or(now);
                // Two blanks and milliseconds, as Gmail writes it.
                let text = format!("User-rate limit exceeded.  Retry after {until:.3}");
                quota(429, "rateLimitExceeded", &text)
            }
            Self::Denied(reason) => Response::error(403, reason, &denial(reason)),
            Self::NotFound => Response::error(404, "notFound", "Not Found"),
            Self::Gone => Response::error(
                410,
                "fullSyncRequired",
                "Sync token is no longer valid, a full sync is required.",
            ),
            Self::Invalid(reason) => Response::error(400, reason, "Invalid Value"),
            Self::FailedPrecondition => {
                Response::error(400, "failedPrecondition", "Precondition check failed.")
                    .naming("FAILED_PRECONDITION")
            }
            Self::Internal => Response::error(500, "backendError", "Internal Error"),
            Self::Unavailable => Response::error(503, "backendError", "Service Unavailable"),
            Self::CutBefore | Self::CutInside | Self::Slow(_) => return None,
        };
        Some(answer)
    }

    /// The answer of the token endpoint in its place: its errors look different
    /// (<https://datatracker.ietf.org/doc/html/rfc6749#section-5.2>).
    #[must_use]
    pub fn token_answer(&self) -> Option<Response> {
        let (status, error) = match self {
            Self::Unauthorized => (401, "invalid_client"),
            Self::RateLimit | Self::UserRateLimit | Self::TooMany(_) | Self::TooManyUntil(_) => {
                (429, "rate_limit_exceeded")
            }
            Self::Denied(reason) => (403, reason.as_str()),
            Self::Invalid(reason) => (400, reason.as_str()),
            Self::NotFound => (404, "not_found"),
            Self::Gone => (410, "gone"),
            Self::Internal => (500, "internal_failure"),
            Self::Unavailable => (503, "temporarily_unavailable"),
            Self::FailedPrecondition | Self::CutBefore | Self::CutInside | Self::Slow(_) => return None,
        };
        let body = json!({ "error": error, "error_description": "Try again." });
        Some(Response::new(status, Body::Json(body)))
    }
}

/// A fault for chosen requests.
#[derive(Debug, Clone)]
pub struct Rule {
    part: String,
    skip: u64,
    left: u64,
    fault: Fault,
}

impl Rule {
    /// Every request whose path and query hold `part`.
    #[must_use]
    pub fn always(part: &str, fault: Fault) -> Self {
        Self { part: part.to_owned(), skip: 0, left: u64::MAX, fault }
    }

    /// The next `count` requests whose path and query hold `part`.
    #[must_use]
    pub fn next(part: &str, count: u64, fault: Fault) -> Self {
        Self { left: count, ..Self::always(part, fault) }
    }

    /// The `nth` request from now, counted from 1, whose path and query hold `part`.
    #[must_use]
    pub fn nth(part: &str, nth: u64, fault: Fault) -> Self {
        Self { skip: nth.saturating_sub(1), left: 1, ..Self::always(part, fault) }
    }

    fn meets(&mut self, target: &str) -> bool {
        if self.left == 0 || !target.contains(&self.part) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.left -= 1;
        true
    }
}

/// The faults of a server. None at first.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Vec<Rule>,
    chance: Option<Chance>,
    thrown: BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
struct Chance {
    rng: Rng,
    probability: f64,
    among: Vec<Fault>,
}

impl Faults {
    /// Adds a rule. Rules go before chance, earlier before later ones.
    pub fn rule(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    /// Lets each request that no rule meets fail with a probability between 0 and 1. The same seed gives the same
    /// sequence of choices.
    pub fn random(&mut self, seed: u64, probability: f64) {
        self.random_among(seed, probability, Fault::passing());
    }

    /// As [`random`](Self::random), with the faults to choose from.
    pub fn random_among(&mut self, seed: u64, probability: f64, among: Vec<Fault>) {
        self.chance = Some(Chance { rng: Rng::with_seed(seed), probability, among });
    }

    /// No faults from now on. What was thrown stays counted.
    pub fn off(&mut self) {
        self.rules.clear();
        self.chance = None;
    }

    /// How often each fault was thrown, by [`Fault::name`].
    #[must_use]
    pub fn thrown(&self) -> &BTreeMap<&'static str, u64> {
        &self.thrown
    }

    /// What a request meets. `target` is its path and query as they came.
    pub(super) fn decide(&mut self, target: &str) -> Option<Fault> {
        let ruled = self.rules.iter_mut().find_map(|rule| rule.meets(target).then(|| rule.fault.clone()));
        let fault = ruled.or_else(|| self.chance.as_mut()?.draw())?;
        *self.thrown.entry(fault.name()).or_default() += 1;
        Some(fault)
    }
}

impl Chance {
    fn draw(&mut self) -> Option<Fault> {
        if self.rng.f64() >= self.probability {
            return None;
        }
        self.rng.choice(&self.among).cloned()
    }
}

fn quota(status: u16, reason: &str, message: &str) -> Response {
    let domain = if status == 403 { "usageLimits" } else { "global" };
    Response::error_in(domain, status, reason, message)
}

fn denial(reason: &str) -> String {
    let text = match reason {
        "insufficientPermissions" => "Request had insufficient authentication scopes.",
        "cannotDownloadFile" => "This file cannot be downloaded by the user.",
        "accessNotConfigured" => "The API has not been used in this project before or it is disabled.",
        "domainPolicy" => "The domain administrators have disabled this app.",
        _ => "The user does not have sufficient permissions.",
    };
    text.to_owned()
}
