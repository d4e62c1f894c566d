//! What the configuration says about the state of a source or sink: rules, limits, and where a new source begins.
//! Left out: keeping the rules, which is the store's business.

use std::borrow::Cow;

use inboxclaw_contract::SettingsError;
use inboxclaw_contract::limits::check_prefix;
use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::store::{Expire, StateLimits};
use inboxclaw_contract::turn::Age;
use inboxclaw_settings::Interval;
use inboxclaw_settings::coerce::{self, Found, Lax};
use inboxclaw_settings::{Size, moment};
use jiff::{SignedDuration, Timestamp};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Rules for the state of one source or sink.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StateSettings {
    /// Entries that go at a certain age: within an hour of it they are swept away, which makes no version and no history.
    pub(super) expire: Vec<ExpireSettings>,
    /// Most entries. Health tells of it from 80 % on; a turn that would make them more is refused.
    #[serde(deserialize_with = "coerce::lax")]
    pub(super) max_entries: Option<u64>,
    /// Most bytes of keys and values together: a number, or a text such as `1 GiB`. As with `max_entries`.
    pub(super) max_bytes: Option<Size>,
}

/// A rule by which entries go.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpireSettings {
    /// What the keys begin with, literally; an empty text means all of them.
    #[serde(deserialize_with = "coerce::lax")]
    pub(super) prefix: String,
    /// The age.
    pub(super) after: Interval,
    /// From when it counts: when the key was first put, or when its value last changed.
    #[serde(default)]
    pub(super) by: Age,
}

/// Where a source without any state begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// With what changes from now on.
    Now,
    /// With everything there is.
    All,
    /// With what changed since then.
    At(Timestamp),
    /// With what changed since so long ago.
    Ago(Interval),
}

impl StateSettings {
    /// The rules for the store. The paths of errors start at `state`.
    pub(super) fn policy(&self) -> Result<StateLimits, SettingsError> {
        let wrong = |path: String, message: anyhow::Error| SettingsError { path, message };
        let mut expire = Vec::new();
        for (index, rule) in self.expire.iter().enumerate() {
            let path = |key: &str| format!("state.expire[{index}].{key}");
            check_prefix(&rule.prefix).map_err(|error| wrong(path("prefix"), error.into()))?;
            let after = rule.after.nonzero("the age").map_err(|error| wrong(path("after"), error))?;
            expire.push(Expire { prefix: rule.prefix.clone(), after, by: rule.by });
        }
        let max_bytes = self.max_bytes.map(|size| size.0);
        for (key, limit) in [("max_entries", self.max_entries), ("max_bytes", max_bytes)] {
            if limit == Some(0) {
                let message =
                    anyhow::anyhow!("a limit of 0 leaves no room for anything; remove the key for none");
                return Err(wrong(format!("state.{key}"), message));
            }
        }
        Ok(StateLimits { expire, max_entries: self.max_entries, max_bytes })
    }
}

impl Start {
    /// The instant that this means at `now`.
    pub(super) fn at(self, now: Timestamp) -> StartAt {
        match self {
            Self::Now => StartAt::Now,
            Self::All => StartAt::All,
            Self::At(at) => StartAt::Since(at),
            Self::Ago(interval) => {
                let age = SignedDuration::try_from(interval.as_duration()).unwrap_or(SignedDuration::MAX);
                StartAt::Since(now.checked_sub(age).unwrap_or(Timestamp::MIN))
            }
        }
    }
}

impl Lax for Start {
    fn lax(found: Found<'_>) -> Result<Self, String> {
        let refused = found.instead_of(
            "`now`, `all`, a date such as 2026-01-31, a time such as 2026-01-31T08:00:00Z or an interval such as `7d`",
        );
        let Found::Text(text) = found else {
            return Interval::lax(found).map(Self::Ago).map_err(|_| refused);
        };
        match text.trim().to_ascii_lowercase().as_str() {
            "now" => return Ok(Self::Now),
            "all" => return Ok(Self::All),
            _ => {}
        }
        let text = text.trim();
        let at = moment::parse(text);
        at.map(Self::At).or_else(|| text.parse().ok().map(Self::Ago)).ok_or(refused)
    }
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        coerce::lax(deserializer)
    }
}

impl JsonSchema for Start {
    fn schema_name() -> Cow<'static, str> {
        "Start".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number"], "examples": ["now", "all", "2026-01-31", "7d"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_word_a_date_a_time_or_so_long_ago() {
        let now: Timestamp = "2026-06-15T12:00:00Z".parse().unwrap();
        let since = |text: &str| StartAt::Since(text.parse().unwrap());
        for (text, start) in [
            ("now", StartAt::Now),
            (" All ", StartAt::All),
            ("2026-01-31", since("2026-01-31T00:00:00Z")),
            ("2026-01-31T08:00:00+02:00", since("2026-01-31T06:00:00Z")),
            ("7d", since("2026-06-08T12:00:00Z")),
            ("1 week", since("2026-06-08T12:00:00Z")),
            ("90", since("2026-06-15T11:58:30Z")),
        ] {
            assert_eq!(Start::lax(Found::Text(text)).unwrap().at(now), start, "{text}");
        }
        assert_eq!(Start::lax(Found::Int(60)).unwrap().at(now), since("2026-06-15T11:59:00Z"));
        for text in ["", "yesterday", "2026-01-32", "2026-01-31T08:00:00", "-7d", "2026"] {
            let read = Start::lax(Found::Text(text));
            // A number is an interval of seconds, whatever it looks like.
            assert_eq!(read.is_ok(), text == "2026", "{text}: {read:?}");
        }
        let refused = Start::lax(Found::Text("soon")).unwrap_err();
        assert!(
            refused.starts_with("expected `now`, `all`, a date such as")
                && refused.ends_with("found \"soon\"")
        );
    }
}
