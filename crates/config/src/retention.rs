//! How long events of a type are kept, as the configuration says it.

use std::borrow::Cow;
use std::time::Duration;

use inboxclaw_settings::Interval;
use inboxclaw_settings::coerce::{self, Found, Lax};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

const DAY: u64 = 24 * 60 * 60;

/// Days as a number, an interval with its unit, or `never`, which 0 or less means as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RetentionAge(pub(super) Option<Duration>);

impl RetentionAge {
    fn days(days: i64) -> Self {
        let days = u64::try_from(days).ok().filter(|days| *days > 0);
        Self(days.map(|days| Duration::from_secs(days.saturating_mul(DAY))))
    }
}

impl Lax for RetentionAge {
    fn lax(found: Found<'_>) -> Result<Self, String> {
        let refused = || {
            format!(
                "expected a number of days, an interval such as `12h` or `30d`, or `never`, found {found}"
            )
        };
        if let Found::Int(days) = found {
            return i64::try_from(days).map(Self::days).map_err(|_| refused());
        }
        let Found::Text(text) = found else { return Err(refused()) };
        let text = text.trim();
        if text.eq_ignore_ascii_case("never") {
            return Ok(Self(None));
        }
        if let Ok(days) = text.parse() {
            return Ok(Self::days(days));
        }
        let age: Interval = text.parse().map_err(|_| refused())?;
        Ok(Self(Some(age.as_duration()).filter(|age| !age.is_zero())))
    }
}

impl<'de> Deserialize<'de> for RetentionAge {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        coerce::lax(deserializer)
    }
}

impl JsonSchema for RetentionAge {
    fn schema_name() -> Cow<'static, str> {
        "RetentionAge".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of days, an interval with its unit, or `never`; 0 or less is `never` as well.",
            "type": ["string", "integer"],
            "examples": [7, "12h", "never"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_days_an_interval_or_never() {
        let hours = |hours: u64| Some(Duration::from_secs(hours * 60 * 60));
        for (text, age) in [
            ("7", hours(7 * 24)),
            ("12h", hours(12)),
            (" 30d ", hours(30 * 24)),
            ("1.5h", Some(Duration::from_secs(5_400))),
            ("never", None),
            ("Never", None),
            ("0", None),
            ("-1", None),
            ("0s", None),
        ] {
            assert_eq!(RetentionAge::lax(Found::Text(text)), Ok(RetentionAge(age)), "{text}");
        }
        assert_eq!(RetentionAge::lax(Found::Int(2)), Ok(RetentionAge(hours(48))));
        assert_eq!(RetentionAge::lax(Found::Int(0)), Ok(RetentionAge(None)));
        for text in ["", "soon", "1 month", "-5h"] {
            let refused = RetentionAge::lax(Found::Text(text)).unwrap_err();
            assert!(refused.starts_with("expected a number of days"), "{text}: {refused}");
        }
    }
}
