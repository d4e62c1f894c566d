//! What an answer means for the event that was sent, and for those behind it.
//!
//! A receiver that is down is no event that fails: then the sink stops and no event loses an attempt. So each status is
//! one of three. It takes the event; it says something about the receiver, whatever the event; or it refuses this event,
//! and the next one may pass. In doubt it is about the event, because one event that is refused for good must not stop all
//! others, while a receiver that refuses everything is noticed by the runtime.

use std::time::Duration;

use inboxclaw_contract::{Class, Failure, Receipt, printable};
use jiff::Timestamp;
use reqwest::StatusCode;

use crate::http::{Reply, origin};
use crate::text::cut;

/// What is read of an answer so that its connection serves the next request.
const DRAINED_BYTES: usize = 64 << 10;
/// What is read of an answer that says why.
const READ_BYTES: usize = 4 << 10;
/// How long that is waited for.
const READ_WITHIN: Duration = Duration::from_secs(2);
/// Most characters of it that are told.
const TOLD_CHARS: usize = 200;
/// Shorter texts are not looked for in answers: they would be found everywhere.
const SHORT: usize = 6;

enum Meaning {
    /// It has the event.
    Taken,
    /// It takes nothing for now.
    Down(Class),
    /// It refuses this event.
    Refused,
}

fn meaning(status: StatusCode) -> Meaning {
    match status.as_u16() {
        200..=299 => Meaning::Taken,
        // It does not know us, so it knows none of our events. 403 is about the event: gateways that look into bodies give
        // it to a single one.
        401 | 407 => Meaning::Down(Class::Authentication),
        408 => Meaning::Down(Class::Timeout),
        410 => Meaning::Down(Class::Gone),
        429 => Meaning::Down(Class::RateLimited),
        // The rest are a proxy's words for a server behind it that does not answer: 520 to 524 and 530 of Cloudflare, 529 of
        // several.
        502..=504 | 520..=524 | 529 | 530 => Meaning::Down(Class::Upstream),
        _ => Meaning::Refused,
    }
}

/// What became of the event. `hidden` is what the answer may repeat and nobody is to read.
pub(super) async fn receipt(reply: Reply, now: Timestamp, hidden: &[String]) -> Result<Receipt, Failure> {
    let (status, wait) = (reply.status(), reply.retry_after(now));
    let meaning = meaning(status);
    if matches!(meaning, Meaning::Taken) {
        reply.beginning(DRAINED_BYTES, READ_WITHIN).await;
        return Ok(Receipt::Done);
    }
    let reason = status.canonical_reason().unwrap_or("unknown status").to_ascii_lowercase();
    let mut told = format!("{} answered {} {reason}", reply.address(), status.as_u16());
    if status.is_redirection() {
        told.push_str(&match reply.location() {
            Ok(url) => format!(
                ", a redirect to {}, which is not followed: set `url` to where it leads",
                origin(&url)
            ),
            Err(_) => ", and redirects are not followed".to_owned(),
        });
        reply.beginning(DRAINED_BYTES, READ_WITHIN).await;
    } else {
        let said = said(&reply.beginning(READ_BYTES, READ_WITHIN).await, hidden);
        if !said.is_empty() {
            told.push_str(": ");
            told.push_str(&said);
        }
    }
    match meaning {
        Meaning::Down(class) => Err(failure(class, told).wait(wait)),
        Meaning::Taken | Meaning::Refused => Ok(Receipt::Again { wait, reason: told }),
    }
}

fn failure(class: Class, told: String) -> Failure {
    let failure = Failure::text(class, told);
    match class {
        Class::Authentication => failure.action("check `headers`, `secret`, and the user in `url`"),
        Class::Gone => failure.action("ask its owner for another address, or remove the sink"),
        _ => failure,
    }
}

/// A body as one line of text that can be shown: its white space and its secrets taken out, and cut.
fn said(body: &[u8], hidden: &[String]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for secret in hidden.iter().filter(|secret| secret.len() >= SHORT) {
        line = line.replace(secret.as_str(), "***");
    }
    cut(&printable(&cut(&line, TOLD_CHARS, "…")), TOLD_CHARS * 2, "…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_one_short_line_without_secrets() {
        for (body, shown) in [
            ("", "".to_owned()),
            ("{\n  \"error\": \"no\"\n}\n", "{ \"error\": \"no\" }".to_owned()),
            ("\u{1b}[31mred\u{202e}", "\\u001b[31mred\\u202e".to_owned()),
            ("got Bearer hunter22 and abc", "got *** and abc".to_owned()),
            (&"x".repeat(9_999), format!("{}…", "x".repeat(TOLD_CHARS))),
        ] {
            assert_eq!(said(body.as_bytes(), &["Bearer hunter22".to_owned(), "abc".to_owned()]), shown);
        }
        assert!(said(&[0xff; 4], &[]).contains('\u{fffd}'));
        assert!(said("\u{7}".repeat(999).as_bytes(), &[]).chars().count() <= TOLD_CHARS * 2 + 1);
    }
}
