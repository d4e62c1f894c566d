//! State: the private memory of an owner, one cursor and a space of entries.

use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::json::Json;

/// How often an owner's state has changed. Grows by one with each turn that changes it; an expiry, a sweep,
/// a put of an equal value and a change of expiry by the owner itself do not count. One by a person does.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Version(pub i64);

/// What a draft starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The owner's version now: the `base` of the turn.
    pub version: Version,
    /// The owner's cursor.
    pub cursor: Option<String>,
    /// The store's clock, to the microsecond: what judges ages. Goes on from the last time that is known while the wall
    /// clock is in doubt.
    pub now: Timestamp,
}

/// A value under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, unique in its owner's space.
    pub key: String,
    /// The value, byte for byte as it was put.
    pub value: Json,
    /// The owner's version when this value was put, or its expiry changed by a person: grows with each change, also
    /// across delete and put again.
    pub revision: Version,
    /// When the key was first put.
    pub created_at: Timestamp,
    /// When the value last changed.
    pub updated_at: Timestamp,
    /// When it will be gone, if ever: from that instant no read sees it.
    pub expires_at: Option<Timestamp>,
    /// Put by `put_secret`: masked wherever people look, and left out of history.
    pub secret: bool,
}

impl Entry {
    /// The value as a type of the connector's own.
    ///
    /// # Errors
    /// [`TypeError`] naming the key and why the value does not fit.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, TypeError> {
        self.value.parse().map_err(|error| TypeError { key: self.key.clone(), reason: misfit::<T>(&error) })
    }

    /// The value as a type that also reads its earlier shapes.
    ///
    /// # Errors
    /// [`TypeError`] with the reason why the value does not fit the present shape.
    pub fn parse_evolving<T: Evolving>(&self) -> Result<T, TypeError> {
        self.parse().or_else(|error| T::migrate(&self.value).ok_or(error))
    }
}

/// A stored type whose shape has changed over time: declares how values of its earlier shapes are read.
///
/// ```
/// use inboxclaw_contract::{Evolving, Json};
///
/// #[derive(serde::Deserialize)]
/// struct Page { number: u32, etag: Option<String> }
///
/// impl Evolving for Page {
///     fn migrate(old: &Json) -> Option<Self> {
///         // Until version 0.3 there was only the number.
///         Some(Page { number: old.parse().ok()?, etag: None })
///     }
/// }
/// ```
pub trait Evolving: DeserializeOwned {
    /// Reads a value that does not fit the present shape; `None` when it fits no earlier one either.
    fn migrate(old: &Json) -> Option<Self>;
}

/// A stored value does not fit the type that a connector asked for. Names no part of the value: what is in a state is
/// in no log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the value of {key:?} does not fit: {reason}")]
pub struct TypeError {
    /// The key.
    pub key: String,
    /// What the parser said, and where, without the value that it found.
    pub reason: String,
}

/// What a value is not, and where that shows. The words of the parser are left out: they quote the value.
fn misfit<T>(error: &serde_json::Error) -> String {
    let place = match error.line() {
        0 => String::new(),
        line => format!(" at line {line} column {}", error.column()),
    };
    format!("it cannot be read as {}{place}", std::any::type_name::<T>())
}

/// When an entry is to expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// As it was before; never for a new key.
    Keep,
    /// This long after the turn's `now`.
    For(Duration),
    /// At that instant.
    Until(Timestamp),
    /// Never.
    Never,
}

impl Expiry {
    /// The instant that this means at `now`, given the expiry that the entry had.
    pub fn resolve(self, now: Timestamp, kept: Option<Timestamp>) -> Option<Timestamp> {
        match self {
            Self::Keep => kept,
            // A duration beyond the end of time is as good as never.
            Self::For(duration) => jiff::SignedDuration::try_from(duration)
                .ok()
                .and_then(|duration| now.checked_add(duration).ok()),
            Self::Until(at) => Some(at),
            Self::Never => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "lowercase")]
    enum Choice {
        One,
        #[allow(dead_code, reason = "only parsed")]
        Pair {
            a: u8,
        },
    }

    /// Why a value does not fit.
    fn reason<T: DeserializeOwned + std::fmt::Debug>(json: &str) -> String {
        misfit::<T>(&Json::new(json).unwrap().parse::<T>().unwrap_err())
    }

    #[test]
    fn a_misfit_tells_what_and_where_but_nothing_of_the_value() {
        assert_eq!(reason::<u64>(r#""s3cret""#), "it cannot be read as u64 at line 1 column 8");
        assert_eq!(reason::<String>("4711"), "it cannot be read as alloc::string::String at line 1 column 4");
        for found in [
            reason::<u8>(r#""s3cret, expected u9, expected `x`""#),
            reason::<u8>("4711"),
            reason::<Choice>(r#""s3cret""#),
            reason::<Choice>(r#"{"pair": {"s3cret": 4711}}"#),
            reason::<Choice>(r#"{"s3cret": {}}"#),
            reason::<inboxclaw_settings::Interval>(r#""s3cret""#),
            reason::<BTreeMap<String, Vec<u8>>>(r#"{"s3cret": [1, 4711]}"#),
        ] {
            assert!(
                found.starts_with("it cannot be read as ") && found.contains(" at line 1 column "),
                "{found}"
            );
            assert!(!found.contains("s3cret") && !found.contains("4711"), "{found}");
        }
    }
}
