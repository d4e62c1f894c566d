//! Query parameters: lax integers and intervals, with every error of a request in one 422 answer.
//!
//! Unknown parameters are ignored, and of a repeated one the last counts. Left out: request bodies, which no route
//! reads.

use std::ops::RangeInclusive;
use std::time::Duration;

use axum::extract::Query;
use axum::http::{StatusCode, Uri};
use inboxclaw_contract::Interval;
use serde_json::{Value, json};

use super::reply::{self, Refusal};

/// The parameters of one request, and what is wrong with those read so far.
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
    problems: Vec<Value>,
}

impl Params {
    /// The query parameters of an address.
    pub(crate) fn of(uri: &Uri) -> Self {
        let pairs =
            Query::<Vec<(String, String)>>::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default();
        Self { pairs, problems: Vec::new() }
    }

    /// A text, also an empty one.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// An integer within bounds.
    pub(crate) fn integer(&mut self, name: &'static str, bounds: RangeInclusive<i64>) -> Option<i64> {
        let text = self.text(name)?.to_owned();
        self.read_integer(["query", name], &text, bounds)
    }

    /// An integer that must be there.
    pub(crate) fn required_integer(&mut self, name: &'static str) -> Option<i64> {
        if self.text(name).is_none() {
            self.problems.push(problem("missing", ["query", name], "Field required", Value::Null));
        }
        self.integer(name, i64::MIN..=i64::MAX)
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
    pub(crate) fn done(self) -> Result<(), Refusal> {
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(reply::value(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "detail": self.problems })).into())
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
        Params::of(&format!("/x?{query}").parse().unwrap())
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
    fn every_error_of_a_request_is_told() {
        let mut params = params("size=x&lease=0s");
        assert_eq!(params.integer("size", 1..=500), None);
        assert_eq!(params.interval("lease", Duration::from_secs(1)..=Duration::from_secs(60)), None);
        assert_eq!(params.problems.len(), 2);
        assert!(params.done().is_err());
    }
}
