//! A rate as people write it: a whole number of events per unit of time, such as `1/s`, `10/m`, `100/h` or `1/90s`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::coerce::{Found, Lax, lax};
use crate::interval::Interval;

/// The units without a number in front.
const UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 60 * 60), ("d", 24 * 60 * 60)];

/// How many events in how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    events: u32,
    per: Interval,
}

impl Rate {
    /// The shortest and the longest time between two events.
    const PACES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(7 * 24 * 60 * 60));

    /// The least time between two events, from 1 ms to 7 days.
    #[must_use]
    pub fn pace(self) -> Duration {
        self.per.as_duration() / self.events
    }

    fn parse(text: &str) -> Option<Self> {
        let (events, per) = text.split_once('/')?;
        let (events, per) = (events.trim().parse().ok().filter(|events| *events > 0)?, per.trim());
        let unit = UNITS.iter().find(|(unit, _)| per.eq_ignore_ascii_case(unit));
        let per = match unit {
            Some((_, seconds)) => Interval::from_secs(*seconds),
            None => per.parse().ok()?,
        };
        Some(Self { events, per })
    }
}

impl Lax for Rate {
    fn lax(found: Found<'_>) -> Result<Self, String> {
        let rate = match found {
            Found::Text(text) => Self::parse(text),
            _ => None,
        };
        let Some(rate) = rate else {
            return Err(found.instead_of(
                "a whole number of events from 1 per time, such as \"1/s\", \"10/m\" or \"100/h\"",
            ));
        };
        let (shortest, longest) = Self::PACES;
        if !(shortest..=longest).contains(&rate.pace()) {
            return Err(found.instead_of("a rate from \"1/7d\" to \"1000/s\""));
        }
        Ok(rate)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        lax(deserializer)
    }
}

/// As it is written in a setting.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = self.per.as_duration();
        match UNITS.iter().find(|(_, seconds)| Duration::from_secs(*seconds) == per) {
            Some((unit, _)) => write!(f, "{}/{unit}", self.events),
            None => write!(f, "{}/{}", self.events, self.per),
        }
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Rate {
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["1/s", "10/m", "100/h"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Rate, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_number_per_unit_is_a_pace() {
        for (text, millis, shown) in [
            ("1/s", 1_000, "1/s"),
            ("10/m", 6_000, "10/m"),
            (" 100 / h ", 36_000, "100/h"),
            ("2/D", 43_200_000, "2/d"),
            ("1/90s", 90_000, "1/1m 30s"),
            ("5/10 minutes", 120_000, "5/10m"),
            ("1000/s", 1, "1000/s"),
            ("1/7d", 604_800_000, "1/1w"),
        ] {
            let rate = read(&format!("{text:?}")).unwrap();
            assert_eq!(
                (rate.pace(), rate.to_string().as_str()),
                (Duration::from_millis(millis), shown),
                "{text}"
            );
            assert_eq!(read(&serde_json::to_string(&rate).unwrap()), Ok(rate));
        }
    }

    #[test]
    fn what_is_no_rate() {
        for json in [
            "5",
            "true",
            "null",
            "\"\"",
            "\"1\"",
            "\"s\"",
            "\"/s\"",
            "\"0/s\"",
            "\"-1/s\"",
            "\"1.5/s\"",
            "\"inf/s\"",
            "\"nan/s\"",
            "\"1/\"",
            "\"1/-5m\"",
            "\"1/x\"",
            "\"1/s/s\"",
            "\"99999999999/s\"",
            "[]",
        ] {
            let error = read(json).unwrap_err();
            assert!(
                error.starts_with("expected a whole number of events from 1 per time, such as"),
                "{json}: {error}"
            );
        }
        for json in ["\"1001/s\"", "\"1/8d\"", "\"1/0s\""] {
            let error = read(json).unwrap_err();
            assert!(
                error.starts_with("expected a rate from \"1/7d\" to \"1000/s\", found"),
                "{json}: {error}"
            );
        }
    }
}
