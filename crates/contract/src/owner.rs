//! Owners: the sources and sinks that each have a private state.

use std::fmt;

use jiff::Timestamp;

/// Whether an owner notices changes or receives events.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum OwnerKind {
    /// Notices what changed in the outside world.
    Source,
    /// Hands events on.
    Sink,
}

impl OwnerKind {
    /// The word for it in tables, configuration and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Sink => "sink",
        }
    }
}

impl fmt::Display for OwnerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A source or a sink by its configured name. Kind and name together are unique and are the identity:
/// the connector type may change, the state stays.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// Source or sink.
    pub kind: OwnerKind,
    /// The key in the configuration file.
    pub name: String,
}

impl Owner {
    /// A source of that name.
    pub fn source(name: impl Into<String>) -> Self {
        Self { kind: OwnerKind::Source, name: name.into() }
    }

    /// A sink of that name.
    pub fn sink(name: impl Into<String>) -> Self {
        Self { kind: OwnerKind::Sink, name: name.into() }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// The number a store gave an owner when it was first registered. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct OwnerId(pub i64);

/// The number of a space. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpaceId(pub i64);

/// Where a source without any state begins, or a sink of which the store hears for the first time: what `start` says
/// in the configuration. One that has been there goes on from where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// With what changes from now on; a sink with the events stored from now on.
    Now,
    /// With everything there is; a sink with the first event that the log holds.
    All,
    /// With what changed, or was stored, since then.
    Since(Timestamp),
}
