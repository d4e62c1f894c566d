//! The event `inboxclaw.source.gap`: a service no longer knows the sync token of a source. The event says how far back
//! the state was compared instead.
//!
//! The event is the source's own, so it names no source. Left out: finding what happened meanwhile (the sources).

use inboxclaw_contract::{Draft, Failure, Json, NewEvent};
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::hex::hex;

/// The type of the event.
pub const EVENT: &str = "inboxclaw.source.gap";

/// Longest cursor that stands in the name of a gap as it is, in bytes.
const CURSOR_BYTES: usize = 512;

/// What is missing whatever the service.
pub const PASSING: &str = "what came and went within the stretch, and states in between";

/// What happened to a stretch of changes that a service no longer lists one by one.
#[derive(Debug, Clone, Serialize)]
pub struct Gap {
    /// The log that was interrupted, in the words of the source: `mailbox`, `user`, a drive's or calendar's id.
    pub log: String,
    /// Why, in words.
    pub reason: String,
    /// The last instant up to which everything is known to be reported, if it is known.
    pub from: Option<Timestamp>,
    /// Up to where the stretch reaches: when the new cursor was pinned.
    pub to: Timestamp,
    /// Since when changes were looked for; `None`: everything there is was compared.
    pub recovered_from: Option<Timestamp>,
    /// Whether the whole stretch was looked at, so that all that is there at its end is reported as it is then.
    pub complete: bool,
    /// Kinds of changes that no look at the present shows, in words: they may have happened and are not reported, even
    /// where the stretch is complete.
    pub missing: Vec<String>,
    /// How many items were reported now. The pipeline stores none that it knows already.
    pub found: u64,
    /// How many items were found to be deleted.
    pub deleted: u64,
}

impl Gap {
    /// Emits it. `lost` is the cursor that was refused and `pinned` the one that takes its place: together they name
    /// the gap, so that a repeated turn reports it once.
    ///
    /// # Errors
    /// Those of [`Draft::emit`].
    pub fn emit(&self, draft: &mut Draft<'_>, lost: &str, pinned: &str) -> Result<(), Failure> {
        let data = Json::from_value(self).map_err(Failure::internal)?;
        let event_id = format!("gap:{}:{}:{}", self.log, named(lost), named(pinned));
        draft.emit(NewEvent::new(event_id, EVENT, data).entity(&self.log).at(self.to))
    }
}

/// A cursor as part of a name. One that somebody edited may be anything, and must not keep the gap from being reported.
fn named(cursor: &str) -> String {
    if cursor.len() <= CURSOR_BYTES && !cursor.contains(char::is_control) {
        return cursor.to_owned();
    }
    hex(&Sha256::digest(cursor))
}
