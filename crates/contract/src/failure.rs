//! Failures: what a connector returns when a turn did not work, typed by what happens next.

use std::fmt;
use std::time::Duration;

/// What kind of failure it was. The runtime has one table that turns a class into a health code and a
/// back-off; no class ends a source or sink for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The other side could not be reached.
    Connectivity,
    /// It did not answer in time.
    Timeout,
    /// It answered with an error of its own (HTTP 5xx, a broken document).
    Upstream,
    /// Something on this machine is not there or cannot be read right now (a folder, a disk). To look again costs
    /// nobody anything, so that it is retried within a minute, however often it failed.
    Unavailable,
    /// It asked us to slow down (HTTP 429).
    RateLimited,
    /// It does not know us (HTTP 401, a revoked token). Retried at least 15 minutes later, or after `resume`.
    Authentication,
    /// It knows us and refuses (HTTP 403, a permission). Retried as above.
    Authorization,
    /// A setting cannot work (a calendar that does not exist, an address that is gone). Retried as above.
    Configuration,
    /// The cursor is no longer accepted upstream and the connector could not recover by itself.
    Expired,
    /// Its address says that it is gone for good (HTTP 410). Retried as above; a sink whose receiver says so for an hour is
    /// paused.
    Gone,
    /// A defect of ours.
    Internal,
}

impl Class {
    /// The word for it in health reports and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connectivity => "connectivity",
            Self::Timeout => "timeout",
            Self::Upstream => "upstream",
            Self::Unavailable => "unavailable",
            Self::RateLimited => "rate_limited",
            Self::Authentication => "authentication",
            Self::Authorization => "authorization",
            Self::Configuration => "configuration",
            Self::Expired => "expired",
            Self::Gone => "gone",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A turn, or a part of one, that did not work.
///
/// Returned from `poll` or `deliver`, nothing of the turn is stored and the runtime tries again later.
/// Given to [`Draft::problem`](crate::Draft::problem), the rest of the turn commits and health names the part.
#[derive(Debug)]
pub struct Failure {
    /// What happens next.
    pub class: Class,
    /// Why: lower case, no full stop, names the setting and the value, never a secret.
    pub cause: anyhow::Error,
    /// What a person can do about it, if anything.
    pub action: Option<String>,
    /// The wait that the other side asked for (`Retry-After`). It is the wait, at least a second, and takes the place of
    /// what the runtime would wait by itself; where the same is refused again in a row, the runtime waits longer. For
    /// `Authentication`, `Authorization` and `Configuration` it can only make the wait longer.
    pub wait: Option<Duration>,
}

impl Failure {
    /// A failure of `class` because of `cause`.
    pub fn new(class: Class, cause: impl Into<anyhow::Error>) -> Self {
        Self { class, cause: cause.into(), action: None, wait: None }
    }

    /// A failure of `class` described by a text.
    pub fn text(class: Class, cause: impl Into<String>) -> Self {
        Self { class, cause: anyhow::Error::msg(cause.into()), action: None, wait: None }
    }

    /// A defect of ours.
    pub fn internal(cause: impl Into<anyhow::Error>) -> Self {
        Self::new(Class::Internal, cause)
    }

    /// Adds what a person can do.
    #[must_use]
    pub fn action(mut self, action: impl Into<String>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// Adds the wait that the other side asked for, if it did.
    #[must_use]
    pub fn wait(mut self, wait: Option<Duration>) -> Self {
        self.wait = wait;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The alternate form joins the chain of causes with ": ".
        write!(f, "{:#}", self.cause)
    }
}
