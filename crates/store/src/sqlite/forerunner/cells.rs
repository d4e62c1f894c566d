//! What the cells of the Python program's tables mean: times as texts without a zone, and JSON that became a number where
//! the column's type made one of it.

use inboxclaw_contract::Json;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rusqlite::types::ValueRef;

/// A time: `2026-11-22 06:46:20.047621`, in UTC. `None` when there is none, or what is there is no time.
pub(super) fn time(cell: ValueRef<'_>) -> Option<Timestamp> {
    let text = cell.as_str_or_null().ok().flatten()?;
    let time = match text.parse::<Timestamp>() {
        Ok(time) => time,
        Err(_) => text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp(),
    };
    // A mark of a time that no column of ours can hold is none.
    Timestamp::from_microsecond(time.as_microsecond()).ok()
}

/// A text; `None` when there is none.
pub(super) fn text(cell: ValueRef<'_>) -> Result<Option<String>, String> {
    match cell {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(number) => Ok(Some(number.to_string())),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err("the text is not UTF-8".to_owned()),
        },
        ValueRef::Real(_) | ValueRef::Blob(_) => Err("it is no text".to_owned()),
    }
}

/// JSON; `None` where nothing was ever set.
pub(super) fn json(cell: ValueRef<'_>) -> Result<Option<Json>, String> {
    let text = match cell {
        ValueRef::Real(number) if !number.is_finite() => return Err("it is no number".to_owned()),
        // The shortest text that is read as the same number.
        ValueRef::Real(number) => Some(format!("{number:?}")),
        other => text(other)?,
    };
    text.map(|text| Json::new(text).map_err(|error| error.to_string())).transpose()
}

/// A JSON object: an empty one where there is none.
pub(super) fn object(cell: ValueRef<'_>) -> Result<Json, String> {
    match json(cell)? {
        None => Ok(Json::empty_object()),
        Some(json) if json.as_str() == "null" => Ok(Json::empty_object()),
        Some(json) if json.is_object() => Ok(json),
        Some(_) => Err("it is no JSON object".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_utc_and_to_the_microsecond() {
        let read = |text: &str| time(ValueRef::Text(text.as_bytes())).map(|time| time.to_string());
        assert_eq!(read("2026-11-22 06:46:20.047621").unwrap(), "2026-11-22T06:46:20.047621Z");
        assert_eq!(read("2026-11-22 06:46:20.000000").unwrap(), "2026-11-22T06:46:20Z");
        assert_eq!(read("2026-11-22T06:46:20+02:00").unwrap(), "2026-11-22T04:46:20Z");
        assert_eq!(read("yesterday"), None);
        assert_eq!(time(ValueRef::Null), None);
        assert_eq!(time(ValueRef::Integer(5)), None);
    }

    #[test]
    fn json_comes_back_from_numbers_and_words_that_are_none_are_refused() {
        let read = |cell| json(cell).map(|json| json.map(Json::into_string));
        assert_eq!(read(ValueRef::Integer(5)).unwrap().unwrap(), "5");
        assert_eq!(read(ValueRef::Real(1.5)).unwrap().unwrap(), "1.5");
        assert_eq!(read(ValueRef::Real(1e300)).unwrap().unwrap(), "1e300");
        assert_eq!(read(ValueRef::Text(b"\"5\"")).unwrap().unwrap(), "\"5\"");
        assert_eq!(read(ValueRef::Text(b"null")).unwrap().unwrap(), "null");
        assert_eq!(read(ValueRef::Text(b"{\"a\": \"\\u00e9\"}")).unwrap().unwrap(), "{\"a\": \"\\u00e9\"}");
        assert_eq!(read(ValueRef::Null).unwrap(), None);
        for bad in [
            ValueRef::Text(b"NaN"),
            ValueRef::Text(b"{\"a\": Infinity}"),
            ValueRef::Text(b"{"),
            ValueRef::Text(b"\xff"),
            ValueRef::Real(f64::INFINITY),
            ValueRef::Blob(b"{}"),
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_object_that_is_missing_is_an_empty_one() {
        let read = |cell| object(cell).map(Json::into_string);
        assert_eq!(read(ValueRef::Null).unwrap(), "{}");
        assert_eq!(read(ValueRef::Text(b"null")).unwrap(), "{}");
        assert_eq!(read(ValueRef::Text(b"{\"a\": 1}")).unwrap(), "{\"a\": 1}");
        assert!(read(ValueRef::Text(b"[1]")).is_err());
        assert!(read(ValueRef::Integer(1)).is_err());
    }
}
