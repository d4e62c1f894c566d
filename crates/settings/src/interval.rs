//! Intervals as people write them: `5m`, `1h 30m`, `2 weeks`, `4:13`, or a number of seconds.
//!
//! Never negative, never infinite, at most a hundred years. Months and years are left out: they have no fixed length.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::coerce::{Found, Lax, lax, shown};

const DAY: u64 = 24 * 60 * 60;

/// The units in the order in which they must be written: name for output, length in seconds, words.
const UNITS: [(&str, u64, &[&str]); 5] = [
    ("w", 7 * DAY, &["w", "wk", "wks", "week", "weeks"]),
    ("d", DAY, &["d", "dy", "dys", "day", "days"]),
    ("h", 60 * 60, &["h", "hr", "hrs", "hour", "hours"]),
    ("m", 60, &["m", "min", "mins", "minute", "minutes"]),
    ("s", 1, &["s", "sec", "secs", "second", "seconds"]),
];

/// How many of [`UNITS`] may stand before a clock form.
const BEFORE_CLOCK: usize = 2;

/// A length of time in a setting: from 0 to [`Interval::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(Duration);

/// Why a text or number is no [`Interval`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid interval {text}: {problem}")]
pub struct IntervalError {
    text: String,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("it is empty")]
    Empty,
    #[error("it must not be negative")]
    Negative,
    #[error("it must be finite")]
    NotFinite,
    #[error("the limit is 100 years")]
    TooLong,
    #[error("units go from weeks to seconds, each at most once")]
    Order,
    #[error("{0:?} is no unit, use w, d, h, m or s")]
    Unit(String),
    #[error("{0:?} is no number")]
    Number(String),
    #[error("{0:?} has no unit")]
    NoUnit(String),
    #[error("a clock time has the form M:SS, H:MM:SS or D:HH:MM:SS")]
    Clock,
}

impl Interval {
    /// The longest interval: 100 years of 365.25 days.
    pub const MAX: Self = Self(Duration::from_secs(36_525 * DAY));

    /// An interval of whole seconds; more than [`Interval::MAX`] becomes that.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        if seconds > Self::MAX.0.as_secs() { Self::MAX } else { Self(Duration::from_secs(seconds)) }
    }

    /// The same length as a duration.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        self.0
    }

    /// The duration, for settings where 0 would make something spin.
    ///
    /// # Errors
    ///
    /// Names the setting when the interval is 0.
    pub fn nonzero(self, setting: &str) -> anyhow::Result<Duration> {
        anyhow::ensure!(!self.0.is_zero(), "{setting} is 0 seconds, it must be longer");
        Ok(self.0)
    }

    fn checked(duration: Duration) -> Result<Self, Problem> {
        if duration > Self::MAX.0 { Err(Problem::TooLong) } else { Ok(Self(duration)) }
    }

    fn from_number(seconds: f64) -> Result<Self, Problem> {
        if !seconds.is_finite() {
            return Err(Problem::NotFinite);
        }
        if seconds < 0.0 {
            return Err(Problem::Negative);
        }
        Self::checked(seconds_to_duration(seconds)?)
    }
}

impl From<Interval> for Duration {
    fn from(interval: Interval) -> Self {
        interval.0
    }
}

impl FromStr for Interval {
    type Err = IntervalError;

    fn from_str(text: &str) -> Result<Self, IntervalError> {
        parse(text).map_err(|problem| IntervalError { text: format!("{:?}", shown(text)), problem })
    }
}

/// The longest units first, such as `1h 30m`; [`FromStr`] reads it back without loss.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut seconds, nanos) = (self.0.as_secs(), self.0.subsec_nanos());
        let mut gap = "";
        for (unit, length, _) in UNITS {
            let count = seconds / length;
            seconds %= length;
            if length == 1 && nanos > 0 {
                let fraction = format!("{nanos:09}");
                write!(f, "{gap}{count}.{}{unit}", fraction.trim_end_matches('0'))?;
            } else if count > 0 || (length == 1 && gap.is_empty()) {
                write!(f, "{gap}{count}{unit}")?;
            } else {
                continue;
            }
            gap = " ";
        }
        Ok(())
    }
}

impl Lax for Interval {
    fn lax(found: Found<'_>) -> Result<Self, String> {
        let read = match found {
            Found::Text(text) => text.parse(),
            Found::Bool(_) | Found::Int(_) | Found::Float(_) => {
                Self::from_number(found.number().unwrap_or(f64::NAN))
                    .map_err(|problem| IntervalError { text: found.to_string(), problem })
            }
            _ => return Err(found.instead_of("an interval such as \"5m\" or a number of seconds")),
        };
        read.map_err(|error| error.to_string())
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        lax(deserializer)
    }
}

/// A number of seconds, whole where the interval is.
impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.subsec_nanos() == 0 {
            serializer.serialize_u64(self.0.as_secs())
        } else {
            serializer.serialize_f64(self.0.as_secs_f64())
        }
    }
}

impl JsonSchema for Interval {
    fn schema_name() -> Cow<'static, str> {
        "Interval".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A length of time: seconds as a number, or a text of weeks, days, hours, minutes and seconds.",
            "type": ["string", "number"],
            "minimum": 0,
            "maximum": Self::MAX.0.as_secs(),
            "examples": ["5m", "1h 30m", "2 weeks", "4:13", 30]
        })
    }
}

fn parse(text: &str) -> Result<Interval, Problem> {
    let text = text.trim().to_ascii_lowercase();
    if let Ok(seconds) = text.parse() {
        return Interval::from_number(seconds);
    }
    if text.starts_with('-') {
        return Err(Problem::Negative);
    }
    match text.strip_prefix('+').unwrap_or(&text).trim_start() {
        "" => Err(Problem::Empty),
        text => Interval::checked(parse_parts(text)?),
    }
}

/// Parts with units, or a clock form with or without weeks and days before it.
fn parse_parts(mut rest: &str) -> Result<Duration, Problem> {
    let mut total = Duration::ZERO;
    let mut next_unit = 0;
    loop {
        if rest.contains(':') && !rest.contains(char::is_alphabetic) {
            let clock = if next_unit == 0 { parse_clock(rest)? } else { parse_hours_clock(rest)? };
            return if next_unit > BEFORE_CLOCK {
                Err(Problem::Order)
            } else {
                Ok(total.saturating_add(clock))
            };
        }
        let (number, after) = split_while(rest, |c| c.is_ascii_digit() || c == '.');
        let (word, after) = split_while(after.trim_start(), char::is_alphabetic);
        let shown = if number.is_empty() { rest } else { number };
        let count: f64 = number.parse().map_err(|_| Problem::Number(start_of(shown)))?;
        if word.is_empty() {
            return Err(Problem::NoUnit(start_of(number)));
        }
        let unit = UNITS.iter().position(|(_, _, words)| words.contains(&word));
        let unit = unit.ok_or_else(|| Problem::Unit(start_of(word)))?;
        if unit < next_unit {
            return Err(Problem::Order);
        }
        next_unit = unit + 1;
        total = total.saturating_add(seconds_to_duration(count * UNITS[unit].1 as f64)?);
        let after = after.trim_start();
        if after.is_empty() {
            return Ok(total);
        }
        rest = after.strip_prefix([',', '/']).unwrap_or(after).trim_start();
        if rest.is_empty() {
            return Err(Problem::Number(start_of(after)));
        }
    }
}

/// `:SS`, `M:SS`, `H:MM:SS`, `D:HH:MM:SS` or `D-HH:MM:SS`; the seconds may have decimals.
fn parse_clock(text: &str) -> Result<Duration, Problem> {
    let fields: Vec<&str> = text.split(':').collect();
    match fields[..] {
        ["", seconds] => clock(["0", "0", "0", seconds]),
        [minutes, seconds] if minutes.len() <= 2 => clock(["0", "0", minutes, seconds]),
        [first, minutes, seconds] => match first.split_once('-') {
            Some((days, hours)) if hours.len() == 2 && minutes.len() == 2 => {
                clock([days, hours, minutes, seconds])
            }
            Some(_) => Err(Problem::Clock),
            None => parse_hours_clock(text),
        },
        [days, hours, minutes, seconds] if hours.len() == 2 && minutes.len() == 2 => {
            clock([days, hours, minutes, seconds])
        }
        _ => Err(Problem::Clock),
    }
}

fn parse_hours_clock(text: &str) -> Result<Duration, Problem> {
    let fields: Vec<&str> = text.split(':').collect();
    match fields[..] {
        [hours, minutes, seconds] if minutes.len() == 2 => clock(["0", hours, minutes, seconds]),
        _ => Err(Problem::Clock),
    }
}

/// The sum of days, hours, minutes and seconds, the last with two digits before the point.
fn clock(fields: [&str; 4]) -> Result<Duration, Problem> {
    let [days, hours, minutes, seconds] = fields;
    let (whole, decimals) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let digits = |field: &&str| !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() != 2 || ![days, hours, minutes, whole, decimals].iter().all(digits) {
        return Err(Problem::Clock);
    }
    let mut total = Duration::ZERO;
    for (field, length) in [(days, DAY), (hours, 3600), (minutes, 60), (seconds, 1)] {
        let count: f64 = field.parse().map_err(|_| Problem::Clock)?;
        total = total.saturating_add(seconds_to_duration(count * length as f64)?);
    }
    Ok(total)
}

/// To the nearest nanosecond.
fn seconds_to_duration(seconds: f64) -> Result<Duration, Problem> {
    Duration::try_from_secs_f64(seconds).map_err(|_| Problem::TooLong)
}

fn split_while(text: &str, wanted: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !wanted(c)).unwrap_or(text.len()))
}

fn start_of(text: &str) -> String {
    shown(text.split_whitespace().next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_accepted_form() {
        for (text, seconds) in [
            ("5", 5.0),
            ("5.5", 5.5),
            (" 1e3 ", 1000.0),
            ("+5", 5.0),
            ("0", 0.0),
            ("1h30m", 5400.0),
            ("1h 30m", 5400.0),
            ("1.5h", 5400.0),
            (".5h", 1800.0),
            ("1h, 30m", 5400.0),
            ("1h / 30m", 5400.0),
            ("1w2d3h4m5s", 788_645.0),
            ("5 M", 300.0),
            ("+5m", 300.0),
            ("2 weeks", 1_209_600.0),
            ("90 minutes", 5400.0),
            ("1 wk 1 dy 1 hr 1 min 1 sec", 694_861.0),
            ("2wks 2dys 2hrs 2mins 2secs", 1_389_722.0),
            ("1week1day1hour1minute1second", 694_861.0),
            ("2 DAYS, 2 Hours, 2 seconds", 180_002.0),
            ("0.5s", 0.5),
            ("4:13", 253.0),
            ("04:13.25", 253.25),
            ("1:02:03", 3723.0),
            ("100:00:00.5", 360_000.5),
            ("1:02:03:04", 93_784.0),
            ("1-02:03:04", 93_784.0),
            ("1w 2d 3:04:05", 788_645.0),
            ("2d, 3:04:05", 183_845.0),
            (":07", 7.0),
            // Each word for a unit by itself, in any case.
            ("1W", 604_800.0),
            ("1wk", 604_800.0),
            ("2Wks", 1_209_600.0),
            ("1 week", 604_800.0),
            ("1d", 86_400.0),
            ("1DY", 86_400.0),
            ("2dys", 172_800.0),
            ("1 day", 86_400.0),
            ("2 days", 172_800.0),
            ("1H", 3600.0),
            ("1hr", 3600.0),
            ("2hrs", 7200.0),
            ("1 hour", 3600.0),
            ("1.25 hours", 4500.0),
            ("1min", 60.0),
            ("2 mins", 120.0),
            ("1 Minute", 60.0),
            ("1S", 1.0),
            ("1 sec", 1.0),
            ("2secs", 2.0),
            ("1 second", 1.0),
            ("1.5 seconds", 1.5),
            ("+1h30m", 5400.0),
            ("1h/30m/5s", 5405.0),
            ("1d,1s", 86_401.0),
        ] {
            let interval: Interval = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(interval.as_duration(), Duration::from_secs_f64(seconds), "{text}");
        }
    }

    #[test]
    fn every_refused_form_says_why() {
        for (text, problem) in [
            ("", "it is empty"),
            ("  ", "it is empty"),
            ("-5m", "it must not be negative"),
            ("-5", "it must not be negative"),
            ("inf", "it must be finite"),
            ("nan", "it must be finite"),
            ("1e999", "it must be finite"),
            ("30s 1m", "units go from weeks to seconds, each at most once"),
            ("5m5m", "units go from weeks to seconds, each at most once"),
            ("5h 3:04:05", "units go from weeks to seconds, each at most once"),
            ("5ms", "\"ms\" is no unit, use w, d, h, m or s"),
            ("2 months", "\"months\" is no unit, use w, d, h, m or s"),
            ("1 year", "\"year\" is no unit, use w, d, h, m or s"),
            ("1h 30", "\"30\" has no unit"),
            ("1.2.3h", "\"1.2.3\" is no number"),
            ("1h,", "\",\" is no number"),
            ("1h,,5m", "\",5m\" is no number"),
            ("soon", "\"soon\" is no number"),
            ("m", "\"m\" is no number"),
            ("100:00", "a clock time has the form M:SS, H:MM:SS or D:HH:MM:SS"),
            ("4:1", "a clock time has the form M:SS, H:MM:SS or D:HH:MM:SS"),
            ("4:13.", "a clock time has the form M:SS, H:MM:SS or D:HH:MM:SS"),
            ("0:2:03", "a clock time has the form M:SS, H:MM:SS or D:HH:MM:SS"),
            ("0:00:2:03", "a clock time has the form M:SS, H:MM:SS or D:HH:MM:SS"),
            ("1-2:03:04", "a clock time has the form M:SS, H:MM:SS or D:HH:MM:SS"),
            ("1:2:03", "a clock time has the form M:SS, H:MM:SS or D:HH:MM:SS"),
            ("1:2:03:04", "a clock time has the form M:SS, H:MM:SS or D:HH:MM:SS"),
            ("1d 4:13", "a clock time has the form M:SS, H:MM:SS or D:HH:MM:SS"),
            ("200000000h", "the limit is 100 years"),
            ("3155760001", "the limit is 100 years"),
        ] {
            let error = text.parse::<Interval>().unwrap_err();
            assert_eq!(error.to_string(), format!("invalid interval {text:?}: {problem}"));
        }
    }

    #[test]
    fn settings_take_numbers_and_texts_only() {
        let read = |json: &str| serde_json::from_str::<Interval>(json).map_err(|error| error.to_string());
        for (json, nanos) in [
            ("15", 15_000_000_000),
            ("15.5", 15_500_000_000),
            ("true", 1_000_000_000),
            ("false", 0),
            ("0", 0),
        ] {
            assert_eq!(read(json).unwrap().as_duration(), Duration::from_nanos(nanos), "{json}");
        }
        assert_eq!(read("\"5m\""), Ok(Interval::from_secs(300)));
        for (json, message) in [
            ("null", "expected an interval such as \"5m\" or a number of seconds, found null"),
            ("[5]", "expected an interval such as \"5m\" or a number of seconds, found a list"),
            ("{}", "expected an interval such as \"5m\" or a number of seconds, found a mapping"),
            ("-5", "invalid interval -5: it must not be negative"),
            ("-0.5", "invalid interval -0.5: it must not be negative"),
            ("\"5x\"", "invalid interval \"5x\": \"x\" is no unit, use w, d, h, m or s"),
            ("1e12", "invalid interval 1000000000000.0: the limit is 100 years"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.starts_with(message), "{json}: {error}");
        }
    }

    #[test]
    fn shown_and_serialized() {
        let half = Interval(Duration::from_millis(1_500));
        assert_eq!(Interval::from_secs(5400).to_string(), "1h 30m");
        assert_eq!(Interval::from_secs(0).to_string(), "0s");
        assert_eq!(half.to_string(), "1.5s");
        assert_eq!(Interval::MAX.to_string(), "5217w 6d");
        assert_eq!(serde_json::to_string(&[Interval::from_secs(5400), half]).unwrap(), "[5400,1.5]");
    }

    #[test]
    fn zero_is_refused_where_it_would_spin() {
        let error = Interval::from_secs(0).nonzero("retry_interval").unwrap_err();
        assert_eq!(error.to_string(), "retry_interval is 0 seconds, it must be longer");
        assert_eq!(Interval::from_secs(5).nonzero("retry_interval").unwrap(), Duration::from_secs(5));
        assert_eq!(Interval::from_secs(u64::MAX), Interval::MAX);
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(seconds in 0..=36_525 * DAY, nanos in prop_oneof![Just(0), 0..1_000_000_000_u32]) {
            let interval = Interval(Duration::new(seconds, nanos).min(Interval::MAX.0));
            prop_assert_eq!(interval.to_string().parse(), Ok(interval));
        }

        #[test]
        fn no_text_panics(text in "[-+0-9.:wdhms ,/e]{0,20}") {
            if let Ok(interval) = text.parse::<Interval>() {
                prop_assert!(interval <= Interval::MAX);
            }
        }
    }
}
