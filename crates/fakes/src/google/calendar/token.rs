//! The tokens of listings: opaque to callers, and holding all that the service has to know again, so that nothing is
//! remembered for a listing in progress.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// A token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Token {
    /// What was seen of a calendar.
    Sync {
        calendar: String,
        epoch: u32,
        /// The last change before the first page.
        stamp: u64,
        /// The parameters that must stay the same.
        same: String,
    },
    /// How far a listing came.
    Page {
        calendar: String,
        epoch: u32,
        stamp: u64,
        /// The whole query.
        query: String,
        /// The last item shown.
        after: String,
        /// How many pages there were.
        pages: u32,
    },
    /// How far the list of calendars came.
    List(usize),
}

impl Token {
    /// As the API hands it out.
    pub(super) fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// As it came back.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}
