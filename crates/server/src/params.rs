//! Query parameters: lax integers and intervals, with every error of a request in one 422 answer.
//!
//! Of a repeated parameter the last counts. Unknown ones are ignored, as the forerunner did, but not silently: the
//! answer names them in a header, and the log once. Left out: request bodies, which no route reads.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{FromRef, FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode, Uri};
use inboxclaw_settings::Interval;
use serde_json::{Value, json};

use crate::reply::{self, Refusal, Reply};

/// Names the parameters of a request that mean nothing.
const IGNORED: HeaderName = HeaderName::from_static("inboxclaw-ignored");
/// Most bytes of that header, and most parameters that are logged.
const NAMED_BYTES: usize = 200;
const LOGGED: usize = 100;

/// The parameters of one request, and what is wrong with those read so far.
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
    /// The names that were asked for.
    known: BTreeSet<&'static str>,
    problems: Vec<Value>,
    path: String,
    logged: Arc<Logged>,
}

/// The parameters of a request that nobody asked for.
pub(crate) struct Ignored {
    names: BTreeSet<String>,
    known: BTreeSet<&'static str>,
    path: String,
    logged: Arc<Logged>,
}

/// Which ignored parameters were logged, as `PATH NAME`.
#[derive(Default)]
pub(crate) struct Logged(Mutex<BTreeSet<String>>);

impl<S> FromRequestParts<S> for Params
where
    S: Send + Sync,
    Arc<Logged>: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.uri, Arc::from_ref(state)))
    }
}

impl Params {
    fn of(uri: &Uri, logged: Arc<Logged>) -> Self {
        let pairs =
            Query::<Vec<(String, String)>>::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default();
        Self { pairs, known: BTreeSet::new(), problems: Vec::new(), path: uri.path().to_owned(), logged }
    }

    /// A text, also an empty one.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<&str> {
        self.known.insert(name);
        self.pairs.iter().rev().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// An integer within bounds.
    pub(crate) fn integer(&mut self, name: &'static str, bounds: RangeInclusive<i64>) -> Option<i64> {
        let text = self.text(name)?.to_owned();
        self.read_integer(["query", name], &text, bounds)
    }

    /// An integer that must be there.
    pub(crate) fn required_integer(&mut self, name: &'static str) -> Option<i64> {
        self.require(name);
        self.integer(name, i64::MIN..=i64::MAX)
    }

    /// A length of time that must be there.
    pub(crate) fn required_interval(
        &mut self,
        name: &'static str,
        bounds: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        self.require(name);
        self.interval(name, bounds)
    }

    fn require(&mut self, name: &'static str) {
        if self.text(name).is_none() {
            self.problems.push(problem("missing", ["query", name], "Field required", Value::Null));
        }
    }

    /// Reads an integer from elsewhere in the request, such as the path.
    pub(crate) fn read_integer(
        &mut self,
        place: [&'static str; 2],
        text: &str,
        bounds: RangeInclusive<i64>,
    ) -> Option<i64> {
        let limit = |kind, word: &str, name: &str, limit: i64| {
            let mut problem =
                problem(kind, place, &format!("Input should be {word} than or equal to {limit}"), text);
            problem["ctx"] = json!({ name: limit });
            problem
        };
        let wrong = match lax_integer(text) {
            Ok(value) if value < *bounds.start() => {
                limit("greater_than_equal", "greater", "ge", *bounds.start())
            }
            Ok(value) if value > *bounds.end() => limit("less_than_equal", "less", "le", *bounds.end()),
            Ok(value) => return Some(value),
            Err(NotAnInteger::Syntax) => {
                let message = "Input should be a valid integer, unable to parse string as an integer";
                problem("int_parsing", place, message, text)
            }
            Err(NotAnInteger::Size) => {
                let message = "Unable to parse input string as an integer, exceeded maximum size";
                problem("int_parsing_size", place, message, text)
            }
        };
        self.problems.push(wrong);
        None
    }

    /// A length of time within bounds.
    pub(crate) fn interval(
        &mut self,
        name: &'static str,
        bounds: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let text = self.text(name)?.to_owned();
        let message = match text.parse::<Interval>() {
            Ok(interval) if bounds.contains(&interval.as_duration()) => return Some(interval.as_duration()),
            Ok(_) => {
                let seconds = (bounds.start().as_secs(), bounds.end().as_secs());
                format!("Input should be from {} to {} seconds", seconds.0, seconds.1)
            }
            Err(error) => error.to_string(),
        };
        self.problems.push(problem("interval", ["query", name], &message, text));
        None
    }

    /// The end of reading.
    ///
    /// # Errors
    /// The 422 answer with everything that was wrong.
    pub(crate) fn done(self) -> Result<Ignored, Refusal> {
        let Self { pairs, known, problems, path, logged } = self;
        if problems.is_empty() {
            let names = pairs.into_iter().map(|(name, _)| name);
            let names = names.filter(|name| !known.contains(name.as_str())).collect();
            return Ok(Ignored { names, known, path, logged });
        }
        Err(reply::value(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "detail": problems })).into())
    }
}

impl Ignored {
    /// The answer with their names, if there are any.
    pub(crate) fn told(self, reply: Reply) -> Reply {
        if self.names.is_empty() {
            return reply;
        }
        self.logged.log(&self);
        reply::with(reply, IGNORED, &self.header())
    }

    /// The names with commas between, percent-encoded as in the query, as far as there is room.
    fn header(&self) -> String {
        let mut text = String::new();
        for name in &self.names {
            let name: String = percent_encoding::utf8_percent_encode(name, NAME).collect();
            if text.len() + name.len() > NAMED_BYTES {
                text.push_str(if text.is_empty() { "..." } else { ", ..." });
                break;
            }
            text.push_str(if text.is_empty() { "" } else { ", " });
            text.push_str(&name);
        }
        text
    }
}

/// What stands in the header as it is.
const NAME: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.');

impl Logged {
    fn log(&self, ignored: &Ignored) {
        let path = &ignored.path;
        for name in &ignored.names {
            let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if logged.len() < LOGGED && logged.insert(format!("{path} {name}")) {
                let known = ignored.known.iter().copied().collect::<Vec<_>>().join(", ");
                tracing::warn!(path, ?name, known, "a query parameter means nothing here and is ignored");
            }
        }
    }
}

enum NotAnInteger {
    Syntax,
    Size,
}

fn problem(kind: &str, place: [&str; 2], message: &str, input: impl Into<Value>) -> Value {
    json!({ "type": kind, "loc": place, "msg": message, "input": input.into() })
}

/// Accepts `2`, `+2`, ` 2 `, `2.0` and `1_0`.
fn lax_integer(text: &str) -> Result<i64, NotAnInteger> {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = whole.strip_prefix(['+', '-']).unwrap_or(whole);
    let grouped =
        digits.split('_').all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()));
    if !grouped || !fraction.bytes().all(|byte| byte == b'0') {
        return Err(NotAnInteger::Syntax);
    }
    whole.replace('_', "").parse().map_err(|_| NotAnInteger::Size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params::of(&format!("/x?{query}").parse().unwrap(), Arc::default())
    }

    fn size(query: &str) -> Option<i64> {
        params(query).integer("size", 1..=500)
    }

    fn errors(read: impl FnOnce(&mut Params) -> Option<i64>, query: &str) -> Vec<Value> {
        let mut params = params(query);
        assert_eq!(read(&mut params), None);
        params.problems
    }

    #[test]
    fn integers_are_read_leniently() {
        for text in ["12", "%2B12", "%2012%20", "12.0", "1_2", "12.", "012"] {
            assert_eq!(size(&format!("size={text}")), Some(12), "{text}");
        }
        assert_eq!(size("size=1&size=7"), Some(7), "the last one counts");
        assert_eq!(size("other=1"), None);
        for text in ["", "2.5", "x", "1__2", "_1", "1_", "+", "-", "1e3", "0x1", ".0"] {
            let found = errors(|params| params.integer("size", 1..=500), &format!("size={text}"));
            assert_eq!(found[0]["type"], "int_parsing", "{text}");
        }
    }

    #[test]
    fn errors_have_the_known_shape() {
        let found = errors(|params| params.integer("size", 1..=500), "size=0");
        let wanted = r#"{"type":"greater_than_equal","loc":["query","size"],"msg":"Input should be greater than or equal to 1","input":"0","ctx":{"ge":1}}"#;
        assert_eq!(found[0].to_string(), wanted);
        let found = errors(|params| params.integer("size", 1..=500), "size=501");
        assert_eq!(found[0]["ctx"].to_string(), r#"{"le":500}"#);
        let found = errors(|params| params.required_integer("id"), "");
        let wanted = r#"{"type":"missing","loc":["query","id"],"msg":"Field required","input":null}"#;
        assert_eq!(found[0].to_string(), wanted);
        let found = errors(|params| params.required_integer("id"), "id=9223372036854775808");
        assert_eq!(found[0]["type"], "int_parsing_size");
    }

    #[test]
    fn parameters_that_nobody_asked_for_are_named() {
        let mut named = params("size=1&batchsize=2&_=3&a,%0D%0Ab=4");
        assert_eq!((named.integer("size", 1..=500), named.text("lease")), (Some(1), None));
        assert_eq!(named.done().ok().unwrap().header(), "_, a%2C%0D%0Ab, batchsize");
        let mut long = params(&format!("{}=1&a=2", "z".repeat(300)));
        assert_eq!(long.text("b"), None);
        assert_eq!(long.done().ok().unwrap().header(), "a, ...");
    }

    #[test]
    fn every_error_of_a_request_is_told() {
        let mut params = params("size=x&lease=0s");
        assert_eq!(params.integer("size", 1..=500), None);
        assert_eq!(params.interval("lease", Duration::from_secs(1)..=Duration::from_secs(60)), None);
        assert_eq!(params.problems.len(), 2);
        assert!(params.done().is_err());
    }
}
