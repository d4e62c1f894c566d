//! The key `where`: a condition on what an event holds, as an expression of Jinja2 over its envelope.
//!
//! Evaluation is bounded in time and in the bytes it looks at. An expression that fails says nothing about the event, so
//! the event is delivered and the failure told.

use anyhow::anyhow;
use inboxclaw_contract::envelope::{Style, write_envelope};
use inboxclaw_contract::{Condition, Event, SettingsError};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};
use schemars::JsonSchema;
use serde::Deserialize;

use super::report::nearest;

/// What an expression may name: the keys of the envelope.
const NAMES: [&str; 8] =
    ["id", "event_id", "event_type", "entity_id", "created_at", "data", "source", "meta"];
/// Most bytes of data and meta of an event that is looked at.
const MAX_BYTES: usize = 1 << 20;
/// How much an evaluation may cost: far beyond any comparison, a few milliseconds at most.
const FUEL: u64 = 100_000;
/// Most bytes of an expression.
const MAX_TEXT: usize = 4 << 10;

/// Which of the events of its types a sink takes.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct SinkWhere {
    /// Only events for which this expression is true, in the language of Jinja2: `data.amount > 100`,
    /// `'urgent' in data.labels`, `source.name == 'mail' and data.subject is startingwith 'Invoice'`. It sees the keys of the
    /// envelope: `id`, `event_id`, `event_type`, `entity_id`, `created_at`, `data`, `source`, `meta`. A key that the event does not have is
    /// undefined, which is false. An event at which the expression fails, or that has more than 1 MiB of data, is taken.
    #[serde(rename = "where")]
    condition: Option<String>,
}

impl SinkWhere {
    /// The condition; an error says where in the text.
    pub(super) fn condition(self) -> Result<Option<Condition>, SettingsError> {
        let Some(text) = self.condition else { return Ok(None) };
        let wrong = |message: String| SettingsError { path: "where".to_owned(), message: anyhow!(message) };
        compile(text).map(Some).map_err(wrong)
    }
}

fn compile(text: String) -> Result<Condition, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("the expression has {} bytes, the limit is {MAX_TEXT}", text.len()));
    }
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_fuel(Some(FUEL));
    let expression = environment.compile_expression(&text).map_err(|error| told(&error, &text))?;
    let names = expression.undeclared_variables(false);
    let mut names: Vec<&str> = names.iter().map(AsRef::as_ref).filter(|name| !NAMES.contains(name)).collect();
    names.sort_unstable();
    if let Some(unknown) = names.first() {
        let near = nearest(unknown, NAMES);
        let near = near.map(|near| format!(", did you mean `{near}`?"));
        let all = || format!("; the names here are: {}", NAMES.join(", "));
        return Err(format!("unknown name `{unknown}`{}", near.unwrap_or_else(all)));
    }
    // Filters and tests are looked up when they are used. What else fails without any data may work with it.
    if let Err(error) = expression.eval(Value::from_iter(NAMES.map(|name| (name, Value::UNDEFINED))))
        && matches!(
            error.kind(),
            ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction
        )
    {
        return Err(told(&error, &text));
    }
    let source = text.clone();
    Ok(Condition::new(text, move |event: &Event| accepts(&environment, &source, event)))
}

/// Compiling the expression again costs less than reading the event.
fn accepts(environment: &Environment<'static>, text: &str, event: &Event) -> Result<bool, String> {
    let bytes = event.data.len() + event.meta.len();
    if bytes > MAX_BYTES {
        return Err(format!("the event has {bytes} bytes of data, a condition looks at {MAX_BYTES} at most"));
    }
    let mut envelope = String::new();
    write_envelope(event, Style::Compact, &mut envelope);
    let envelope: Value = serde_json::from_str(&envelope).map_err(|error| error.to_string())?;
    let expression =
        environment.compile_expression_owned(text.to_owned()).map_err(|error| told(&error, text))?;
    expression.eval(envelope).map(|found| found.is_true()).map_err(|error| told(&error, text))
}

/// What is wrong, and where in the text.
fn told(error: &Error, text: &str) -> String {
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let Some(range) = error.range() else { return what };
    let before = text.get(..range.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{what} (line {line}, column {column} of the expression)")
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use inboxclaw_contract::{Json, OwnerId, Seq};
    use jiff::Timestamp;

    use super::*;

    fn event(data: &str) -> Event {
        Event {
            seq: Seq(7),
            source: OwnerId(1),
            source_name: "mail".to_owned(),
            event_id: "e".to_owned(),
            event_type: "mail.received".to_owned(),
            entity_id: None,
            created_at: Timestamp::UNIX_EPOCH,
            occurred_at: None,
            data: Json::new(data).unwrap(),
            meta: Json::empty_object(),
        }
    }

    fn test(text: &str, data: &str) -> Result<bool, String> {
        compile(text.to_owned()).unwrap().accepts(&event(data))
    }

    #[test]
    fn an_expression_over_the_envelope() {
        let data = r#"{"amount": 120.5, "labels": ["urgent"], "from": {"name": "Ann"}, "big": 18446744073709551615}"#;
        for (text, accepted) in [
            ("true", true),
            ("data.amount > 100", true),
            ("data.amount > 121", false),
            ("'urgent' in data.labels and data.from.name == 'Ann'", true),
            ("data.labels[0] == 'urgent'", true),
            ("data['from']['name'] | lower == 'ann'", true),
            ("source.name == 'mail' and event_type is startingwith 'mail.'", true),
            ("entity_id is none and id == 7 and created_at == '1970-01-01T00:00:00'", true),
            ("data.big == 18446744073709551615", true),
            ("not meta", true),
            ("data.missing", false),
            ("data.missing.deeper == 1", false),
            ("data.missing > 100", false),
            ("data.missing is defined and data.missing < 100", false),
            ("'x' in data.missing", false),
            ("data.labels", true),
            ("''", false),
        ] {
            assert_eq!(test(text, data), Ok(accepted), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_written() {
        for (text, message) in [
            ("", "unexpected end of input"),
            ("data.amount >", "unexpected end of input"),
            ("data.amount\n  > 100)", "(line 2, column 8 of the expression)"),
            ("dta.amount > 1", "unknown name `dta`, did you mean `data`?"),
            (
                "nothing_like_it",
                "unknown name `nothing_like_it`; the names here are: id, event_id, event_type",
            ),
            ("{{ data.a }}", "of the expression)"),
            ("data.a | nosuch", "filter nosuch is unknown"),
        ] {
            let error = compile(text.to_owned()).map(drop).err().unwrap_or_default();
            assert!(error.contains(message), "{text}: {error:?}");
        }
        assert!(compile("1 + ".repeat(2_000)).unwrap_err().contains("bytes, the limit is 4096"));
    }

    #[test]
    fn a_failure_is_told_and_bounded() {
        let list = format!(r#"{{"a": [{}1], "t": "x"}}"#, "1,".repeat(100_000));
        let begun = Instant::now();
        for (text, data, message) in [
            ("data.t + 1", r#"{"t": {}}"#, ""),
            (
                "data.a | sort | reverse | join(',') | length > data.a | map('string') | join | length",
                &list,
                "fuel",
            ),
        ] {
            let error = test(text, data).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
        assert!(begun.elapsed().as_secs() < 5);
        let large = format!(r#"{{"a": "{}"}}"#, "x".repeat(MAX_BYTES));
        assert!(test("true", &large).unwrap_err().contains("looks at 1048576 at most"));
    }
}
