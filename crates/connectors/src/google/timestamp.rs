//! Instants in texts: as the services write them, and as earlier programs wrote them into entries, files and event ids.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The instant of a text; one without an offset is UTC, and a date its midnight.
pub fn read(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| utc(text.parse().ok()?))
}

/// The instant of a time of the day in UTC.
pub fn utc(at: DateTime) -> Option<Timestamp> {
    at.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp())
}

/// ISO 8601 with an offset, and with six digits unless the fraction is zero.
pub fn write(at: Timestamp) -> String {
    let format = if at.subsec_nanosecond() / 1_000 == 0 {
        "%Y-%m-%dT%H:%M:%S+00:00"
    } else {
        "%Y-%m-%dT%H:%M:%S.%6f+00:00"
    };
    at.to_zoned(TimeZone::UTC).strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_as_the_forerunner_did() {
        for (instant, text) in [
            ("2026-03-27T10:15:00.123456Z", "2026-03-27T10:15:00.123456+00:00"),
            ("2026-03-27T10:15:00Z", "2026-03-27T10:15:00+00:00"),
            ("2026-03-27T10:15:00.5Z", "2026-03-27T10:15:00.500000+00:00"),
        ] {
            let instant: Timestamp = instant.parse().unwrap();
            assert_eq!(write(instant), text);
            assert_eq!(read(text), Some(instant));
        }
        for text in ["2026-03-27", "2026-03-27T00:00:00", "2026-03-27T01:00:00+01:00"] {
            assert_eq!(read(text), Some("2026-03-27T00:00:00Z".parse().unwrap()), "{text}");
        }
        assert_eq!(read("yesterday"), None);
    }
}
