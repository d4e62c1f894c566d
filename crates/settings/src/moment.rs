//! A point in time as people write it: a time of RFC 3339, or a date alone, which is its midnight in UTC, as everywhere.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Reads a time or a date; `None` when it is neither.
#[must_use]
pub fn parse(text: &str) -> Option<Timestamp> {
    // A date alone would also be found in a time without its offset, which could be any.
    let is_date = text.len() == "2026-01-31".len();
    let date = || text.parse::<Date>().ok().filter(|_| is_date);
    let midnight = || date()?.to_zoned(TimeZone::UTC).ok().map(|midnight| midnight.timestamp());
    text.parse().ok().or_else(midnight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_its_midnight() {
        let at = |text: &str| parse(text).map(|at| at.to_string());
        assert_eq!(at("2026-01-31").as_deref(), Some("2026-01-31T00:00:00Z"));
        assert_eq!(at("2026-01-31T08:00:00+02:00").as_deref(), Some("2026-01-31T06:00:00Z"));
        for other in ["2026-01-32", "2026-01-31T08:00:00", "2026", "yesterday", ""] {
            assert_eq!(at(other), None, "{other}");
        }
    }
}
