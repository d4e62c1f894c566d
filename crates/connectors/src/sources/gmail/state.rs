//! The keys and values that passes over the history and listings of the mailbox share.

use serde::{Deserialize, Serialize};

/// The key of the pass in progress.
pub(super) const PASS: &str = "pass";
/// The key of the time at which the cursor moved last.
pub(super) const SYNCED: &str = "synced";
/// The key of the listing in progress.
pub(super) const RECOVERY: &str = "recovery";

/// What is known about how far the source came, besides the cursor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Synced {
    /// When the cursor moved last.
    pub(super) at: jiff::Timestamp,
    /// When the source began to report; nothing when it began with everything there was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) began: Option<jiff::Timestamp>,
}
