//! The quota of a user in a minute: <https://developers.google.com/workspace/gmail/api/reference/quota>. Left out: the
//! quota of the project, which one user does not reach.

use jiff::Timestamp;

use crate::google::api::Response;

/// The units a minute of each user, for projects since 2026-05-01.
pub const UNITS_PER_MINUTE: u64 = 6_000;

/// What was spent in the minute of the last request.
#[derive(Debug, Clone, Default)]
pub(super) struct Quota {
    /// The minute since 1970.
    minute: i64,
    spent: u64,
    refused: u64,
}

impl Quota {
    /// Spends the units of a request, or refuses it, which costs nothing: at first with 429, and with 403 if it goes on
    /// in the same minute (reported, not documented: <https://github.com/mxngls/gmail-cleaner/issues/5>).
    pub(super) fn spend(&mut self, most: Option<u64>, path: &[&str], now: Timestamp) -> Option<Response> {
        let minute = now.as_second().div_euclid(60);
        if minute != self.minute {
            *self = Self { minute, ..Self::default() };
        }
        let units = price(path);
        if most.is_none_or(|most| self.spent + units <= most) {
            self.spent += units;
            return None;
        }
        self.refused += 1;
        Some(if self.refused == 1 { exhausted() } else { exceeded() })
    }
}

/// The units of a request, for projects since 2026-05-01.
fn price(path: &[&str]) -> u64 {
    match path {
        ["history"] => 2,
        ["messages"] => 5,
        ["messages", _] => 20,
        _ => 1,
    }
}

fn exhausted() -> Response {
    let message = "Resource has been exhausted (e.g. check quota).";
    refusal(429, "global", message)
}

fn exceeded() -> Response {
    let message = "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute per user' of service \
                   'gmail.googleapis.com' for consumer 'project_number:1'.";
    refusal(403, "usageLimits", message)
}

fn refusal(status: u16, domain: &str, message: &str) -> Response {
    let name = if status == 429 { "RESOURCE_EXHAUSTED" } else { "PERMISSION_DENIED" };
    Response::error_in(domain, status, "rateLimitExceeded", message).naming(name)
}
