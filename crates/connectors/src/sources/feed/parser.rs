//! The parser of feeds and what it needs around it: a bound on its memory, a net for its panics, and a word for
//! what is no feed.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use feed_rs::model::Feed;
use feed_rs::parser::{Builder, ParseFeedError, ParseFeedResult};
use reqwest::Url;
use serde_json::Value;

/// The nature that people meet most: the address of a blog instead of its feed.
pub(super) const HTML: &str = "an HTML page";

/// Most elements that look like entries (of JSON: objects). An entry takes a thousand times the memory of the few
/// bytes it can be written with, so a small document could otherwise fill the machine.
const MOST_MARKS: usize = 100_000;
/// Stands for `@` where the parser must not see one. Survives addresses: lower case, nothing to escape.
const AT: &str = "zz-at-5d1c7b-zz";

/// Why a document is no feed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The parser said no.
    #[error("it is {nature}, and no feed that can be read: {reason}")]
    Unreadable {
        /// What it looks like.
        nature: &'static str,
        /// The parser's reason, with all causes in it.
        reason: ParseFeedError,
    },
    /// Too many elements.
    #[error("it holds {found} elements that look like entries, the limit is {MOST_MARKS}")]
    TooMany {
        /// How many.
        found: usize,
    },
    /// The parser panicked.
    #[error("the parser of feeds has a defect that this document meets")]
    Panicked,
}

/// Parses a feed of any format that came from `base`. Entries without an id have an empty one.
pub(super) fn parse(body: &[u8], base: &Url) -> Result<Feed, Broken> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let found = marks(body);
    if found > MOST_MARKS {
        return Err(Broken::TooMany { found });
    }
    let body = with_text_ids(body);
    let parsed = match caught(&body, base) {
        Some(parsed) => parsed,
        None => without_at(&body, base).ok_or(Broken::Panicked)?,
    };
    parsed.map_err(|reason| Broken::Unreadable { nature: nature(&body), reason })
}

/// `None` when the parser panicked.
fn caught(body: &[u8], base: &Url) -> Option<ParseFeedResult<Feed>> {
    // Its own ids would be random where there is neither link nor title.
    let parser = Builder::new().base_uri(Some(base)).id_generator(|_, _, _| String::new()).build();
    catch_unwind(AssertUnwindSafe(|| parser.parse(body))).ok()
}

/// Parses once more without any `@`. The parser splits names from mail addresses at a byte that can lie within a
/// character, as in `“me@example.org”`, and panics; a feed must not be lost for that.
fn without_at(body: &[u8], base: &Url) -> Option<ParseFeedResult<Feed>> {
    let parts: Vec<&[u8]> = body.split(|byte| *byte == b'@').collect();
    let feed = match caught(&parts.join(AT.as_bytes()), base)? {
        Ok(feed) => serde_json::to_string(&feed).ok()?,
        error => return Some(error),
    };
    serde_json::from_str(&feed.replace(AT, "@")).ok().map(Ok)
}

/// How many entries there could be at most.
fn marks(body: &[u8]) -> usize {
    let json = body.iter().find(|byte| matches!(byte, b'<' | b'{')) == Some(&b'{');
    if json {
        return body.iter().filter(|byte| **byte == b'{').count();
    }
    // UTF-16 has a zero beside each letter of a tag.
    let wide = body.starts_with(b"\xff\xfe") || body.starts_with(b"\xfe\xff");
    let narrow = || body.iter().copied().filter(|byte| *byte != 0).collect();
    let text: Cow<'_, [u8]> = if wide { Cow::Owned(narrow()) } else { Cow::Borrowed(body) };
    let starts = |name: &[u8], word: &[u8]| name.get(..word.len()).is_some_and(|name| name == word);
    let names = (0..text.len()).filter(|at| matches!(text[*at], b'<' | b':')).map(|at| &text[at + 1..]);
    names.filter(|name| starts(name, b"item") || starts(name, b"entry")).count()
}

/// JSON Feed 1.1 tells readers to accept ids that are numbers; the parser does not.
fn with_text_ids(body: &[u8]) -> Cow<'_, [u8]> {
    let feed = body.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice::<Value>(body));
    let Some(Ok(mut feed)) = feed else { return Cow::Borrowed(body) };
    let items = feed.get_mut("items").and_then(Value::as_array_mut);
    let mut changed = false;
    for id in items.into_iter().flatten().filter_map(|item| item.get_mut("id")).filter(|id| id.is_number()) {
        *id = id.to_string().into();
        changed = true;
    }
    let changed = changed.then(|| serde_json::to_vec(&feed)).and_then(Result::ok);
    changed.map_or(Cow::Borrowed(body), Cow::Owned)
}

/// What a document that is no feed looks like.
fn nature(body: &[u8]) -> &'static str {
    let start: Vec<u8> = body.trim_ascii_start().iter().take(512).map(u8::to_ascii_lowercase).collect();
    let holds = |word: &[u8]| start.windows(word.len()).any(|part| part == word);
    if start.is_empty() {
        "empty"
    } else if start.starts_with(b"<!doctype html") || holds(b"<html") {
        HTML
    } else if start.starts_with(b"<") {
        "XML"
    } else if start.starts_with(b"{") || start.starts_with(b"[") {
        "JSON"
    } else if start.contains(&0) || start.starts_with(b"\x1f\x8b") || start.starts_with(b"%pdf") {
        "binary data"
    } else {
        "plain text"
    }
}
