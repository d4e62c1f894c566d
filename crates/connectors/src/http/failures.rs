//! What went wrong, as a [`Failure`]: of a status, of a broken connection, of a body too large.

use std::time::Duration;

use anyhow::anyhow;
use inboxclaw_contract::{Class, Failure};
use jiff::Timestamp;
use reqwest::StatusCode;

/// The longest `Retry-After` that is believed. A mistake of the other side must not stop us for a year.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// The client could not be made.
pub(super) fn no_client(error: reqwest::Error) -> Failure {
    let cause = anyhow!(error.without_url()).context("cannot prepare connections by https");
    Failure::new(Class::Configuration, cause)
        .action("install the system's root certificates (package ca-certificates) or set SSL_CERT_FILE")
}

/// No answer.
pub(super) fn unreached(error: reqwest::Error, address: &str) -> Failure {
    let (class, what) = match error.is_timeout() {
        true => (Class::Timeout, "did not answer in time"),
        false => (Class::Connectivity, "cannot be reached"),
    };
    Failure::new(class, anyhow!(error.without_url()).context(format!("{address} {what}")))
}

/// A request that would have come to our own server.
pub(super) fn own_server(address: &str) -> Failure {
    let cause = format!("{address} is not asked: it is the address of inboxclaw's own server");
    Failure::text(Class::Configuration, cause).action("check `url`, and where it redirects to")
}

/// An answer that is shorter than it says, or that takes too long.
pub(super) fn broken_off(error: reqwest::Error, address: &str) -> Failure {
    let (class, what) = match error.is_timeout() {
        true => (Class::Timeout, "did not answer in time"),
        false => (Class::Connectivity, "broke off its answer"),
    };
    Failure::new(class, anyhow!(error.without_url()).context(format!("{address} {what}")))
}

/// A body that is not packed as it says.
pub(super) fn not_unpacked(error: std::io::Error, address: &str) -> Failure {
    let what = format!("{address} sent a body that breaks off or cannot be unpacked");
    Failure::new(Class::Upstream, anyhow!(error).context(what))
}

/// A body that is packed in a way that was not asked for.
pub(super) fn unasked(address: &str, encoding: &str) -> Failure {
    Failure::text(
        Class::Upstream,
        format!("{address} packed its answer by {encoding}, which nobody asked for"),
    )
}

/// A body beyond the limit.
pub(super) fn too_large(address: &str, limit: usize) -> Failure {
    Failure::text(
        Class::Upstream,
        format!("the answer of {address} has more than the limit of {limit} bytes"),
    )
}

/// What a status that is no success means (RFC 9110, section 15).
pub(super) fn refused(status: StatusCode, address: &str) -> Failure {
    let class = match status.as_u16() {
        401 => Class::Authentication,
        403 => Class::Authorization,
        408 => Class::Timeout,
        409 | 429 => Class::RateLimited,
        _ => Class::Upstream,
    };
    let reason = status.canonical_reason().unwrap_or("unknown status").to_ascii_lowercase();
    Failure::text(class, format!("{address} answered {} {reason}", status.as_u16()))
}

/// The wait that a `Retry-After` asks for (RFC 9110, section 10.2.3): seconds or a date, at most a day.
pub(super) fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let wait = if value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits that do not fit are a long time.
        if value.is_empty() { return None } else { Duration::from_secs(value.parse().unwrap_or(u64::MAX)) }
    } else {
        let at = httpdate::parse_http_date(value).ok()?;
        let at = Timestamp::try_from(at).ok()?;
        Duration::try_from(at.duration_since(now)).unwrap_or_default()
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_what_happens_next() {
        for (status, class) in [
            (401, Class::Authentication),
            (403, Class::Authorization),
            (404, Class::Upstream),
            (408, Class::Timeout),
            (409, Class::RateLimited),
            (429, Class::RateLimited),
            (500, Class::Upstream),
            (503, Class::Upstream),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(refused(status, "http://h/").class, class, "{status}");
        }
        let failure = refused(StatusCode::NOT_FOUND, "http://h/p");
        assert_eq!(failure.to_string(), "http://h/p answered 404 not found");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-11-22T06:00:00Z".parse().unwrap();
        for (value, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 22 Nov 2026 06:01:30 GMT", Some(90)),
            ("Sun, 22 Nov 2026 05:00:00 GMT", Some(0)),
            ("99999999999999999999999", Some(86_400)),
            ("Sun, 22 Nov 2099 06:01:30 GMT", Some(86_400)),
            ("", None),
            ("-5", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after(value, now), seconds.map(Duration::from_secs), "{value:?}");
        }
    }
}
