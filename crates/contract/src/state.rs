//! State: the private memory of an owner, one cursor and a space of entries.

use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::json::Json;

/// How often an owner's state has changed. Grows by one with each turn that changes it; an expiry, a sweep,
/// a touch and a put of an equal value do not count.
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
    /// The store's clock, to the microsecond.
    pub now: Timestamp,
}

/// A value under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, unique in its owner's space.
    pub key: String,
    /// The value, byte for byte as it was put.
    pub value: Json,
    /// The owner's version when this value was put: grows with each change, also across delete and put again.
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
        self.value.parse().map_err(|reason| TypeError { key: self.key.clone(), reason: reason.to_string() })
    }
}

/// A stored value does not fit the type that a connector asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the value of {key:?} does not fit: {reason}")]
pub struct TypeError {
    /// The key.
    pub key: String,
    /// What the parser said.
    pub reason: String,
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
