//! From the body of an answer to what it says: unpacked where the server did not say that it is packed, decoded, and
//! read as what it looks like, whatever its type is said to be.

use reqwest::Url;

use super::parsed::{Parsed, Place};
use super::xml::NoFeed;
use super::{decode, json, xml};

/// The nature that people meet most: the address of a blog instead of its feed.
const PAGE: &str = "an HTML page";

/// Why a document is no feed.
#[derive(Debug, thiserror::Error)]
#[error("it is {nature}, and no feed that can be read: {reason}")]
pub(super) struct ParseError {
    /// What it looks like.
    nature: &'static str,
    reason: String,
    /// What a person can do about it.
    pub(super) action: Option<String>,
}

impl ParseError {
    fn new(nature: &'static str, reason: impl Into<String>) -> Self {
        Self { nature, reason: reason.into(), action: None }
    }
}

/// Reads a feed of any format that came from `base`. At least one entry is there if any is marked.
pub(super) fn parse(body: &[u8], content_type: Option<&str>, base: &Url) -> Result<Parsed, ParseError> {
    let text = decode::decode(body, content_type);
    // A mark that a program wrote in front of another one, or before what it added.
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    let parsed = if text.starts_with('{') {
        json::read(text, base).map_err(|reason| ParseError::new("JSON", reason))?
    } else {
        xml::read(text, base).map_err(|no_feed| unreadable(no_feed, text, base))?
    };
    match (parsed.entries.is_empty(), parsed.first_unclear, parsed.cut) {
        (true, Some(place), _) => {
            let reason =
                format!("none of its {} entries is understood, the first {}", parsed.marked, at(place));
            Err(ParseError::new(nature(text), reason))
        }
        (true, None, Some(place)) => {
            let reason = format!("it breaks off before any entry is complete ({})", at(place));
            Err(ParseError::new(nature(text), reason))
        }
        _ => Ok(parsed),
    }
}

/// A place for people.
pub(super) fn at(place: Place) -> String {
    format!("at line {}, column {}", place.line, place.column)
}

fn unreadable(no_feed: NoFeed, text: &str, base: &Url) -> ParseError {
    match no_feed {
        _ if no_feed == NoFeed::Page || is_page(text) => {
            let action = match xml::feed_of_page(text, base) {
                Some(feed) => format!("set `url` to the feed itself, not to its page, which names {feed}"),
                None => "set `url` to the feed itself, not to its page".to_owned(),
            };
            ParseError { action: Some(action), ..ParseError::new(PAGE, "it begins as one") }
        }
        _ if text.is_empty() => ParseError::new("empty", "there is nothing in it"),
        _ => ParseError::new(nature(text), "it has no element that a feed begins with"),
    }
}

/// Pages need no `html` element to be pages.
fn is_page(text: &str) -> bool {
    let start = "<!doctype html";
    text.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start))
}

/// What a document that is no feed looks like.
fn nature(text: &str) -> &'static str {
    let start = text.as_bytes();
    if start.first() == Some(&b'<') && !text[1..].starts_with('\0') {
        "XML"
    } else if matches!(start.first(), Some(b'{' | b'[')) {
        "JSON"
    } else if text.contains('\0') || start.starts_with(b"%PDF") || start.starts_with(b"\x1f") {
        "binary data"
    } else {
        "plain text"
    }
}
