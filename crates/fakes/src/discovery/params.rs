//! Values of parameters and of formatted texts.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;

/// What a document says of a parameter. Numbers stand in texts there.
#[derive(Debug, Deserialize)]
pub(super) struct Parameter {
    #[serde(rename = "type")]
    kind: String,
    location: String,
    format: Option<String>,
    minimum: Option<String>,
    maximum: Option<String>,
    #[serde(rename = "enum")]
    values: Option<Vec<String>>,
    #[serde(default)]
    pub(super) required: bool,
    #[serde(default)]
    pub(super) repeated: bool,
}

impl Parameter {
    pub(super) fn is_in_query(&self) -> bool {
        self.location == "query"
    }

    /// Whether a value is allowed, or why not.
    pub(super) fn check(&self, value: &str) -> Result<(), String> {
        let refuse = |allowed: &str| Err(format!("must be {allowed}"));
        match self.kind.as_str() {
            "boolean" if !matches!(value, "true" | "false") => return refuse("true or false"),
            "integer" => return self.check_integer(value),
            "number" if value.parse::<f64>().is_err() => return refuse("a number"),
            _ => {}
        }
        match (&self.values, &self.format) {
            (Some(values), _) if !values.iter().any(|allowed| allowed == value) => refuse(&values.join(", ")),
            (_, Some(format)) if !is_formatted(format, value) => refuse(format),
            _ => Ok(()),
        }
    }

    fn check_integer(&self, value: &str) -> Result<(), String> {
        let number: i64 = value.parse().map_err(|_| "must be a whole number".to_owned())?;
        let (lowest, highest) = match self.format.as_deref() {
            Some("uint32") => (0, i64::from(u32::MAX)),
            Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
            _ => (i64::MIN, i64::MAX),
        };
        let bound = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok());
        let lowest = bound(&self.minimum).unwrap_or(lowest);
        let highest = bound(&self.maximum).unwrap_or(highest);
        if (lowest..=highest).contains(&number) {
            Ok(())
        } else {
            Err(format!("must be {lowest} to {highest}"))
        }
    }
}

/// Whether a text has a format; one that is not known here allows everything.
/// <https://developers.google.com/discovery/v1/type-format>
pub(super) fn is_formatted(format: &str, text: &str) -> bool {
    match format {
        "int64" => text.parse::<i64>().is_ok(),
        "uint64" => text.parse::<u64>().is_ok(),
        "date-time" | "google-datetime" => text.parse::<Timestamp>().is_ok(),
        "date" => text.len() == 10 && text.parse::<Date>().is_ok(),
        "byte" => {
            let digits = text.trim_end_matches('=');
            let is_digit =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
            text.len() - digits.len() <= 2 && digits.len() % 4 != 1 && digits.bytes().all(is_digit)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_tell_right_from_wrong() {
        for (format, right, wrong) in [
            ("int64", "-5", "5.0"),
            ("uint64", "18446744073709551615", "-1"),
            ("date-time", "2026-01-31T10:00:00.5+01:00", "2026-01-31T10:00:00"),
            ("date", "2026-01-31", "2026-02-30"),
            ("byte", "QUI_-w==", "Q"),
            ("byte", "", "a b"),
        ] {
            assert!(is_formatted(format, right), "{format} {right}");
            assert!(!is_formatted(format, wrong), "{format} {wrong}");
        }
    }
}
