//! The settings of a pull sink.

use inboxclaw_contract::envelope::Format;
use schemars::JsonSchema;
use serde::Deserialize;

/// Hands events to consumers that ask for them over HTTP and confirm what they have.
///
/// What a consumer has to know about the envelope: `event_id` is unique within its source only, so that `source.name` and
/// `event_id` together say which event it is; `created_at` is UTC without saying so; and an event comes again until its
/// batch was confirmed. `format: cloudevents` says the time zone and when it happened.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What the events of a batch look like. What stands around them stays the same.
    pub format: Format,
    /// The last parts of the addresses.
    pub path: Paths,
}

/// The last parts of a pull sink's addresses, behind its name.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Paths {
    /// Where a consumer gets the next batch (GET).
    pub extract: String,
    /// Where a consumer confirms a batch (POST).
    pub mark_processed: String,
    /// Where a consumer confirms a batch up to one of its events (POST).
    pub ack: String,
    /// Where a consumer prolongs the lease of a batch, or gives it back (POST).
    pub extend: String,
}

impl Paths {
    /// Where a consumer of the sink of that name gets the next batch.
    #[must_use]
    pub fn extract_of(&self, name: &str) -> String {
        format!("/{name}/{}", self.extract.trim_start_matches('/'))
    }

    /// Where it confirms a batch.
    #[must_use]
    pub fn confirm_of(&self, name: &str) -> String {
        format!("/{name}/{}", self.mark_processed.trim_start_matches('/'))
    }

    /// Where it confirms a part of one.
    #[must_use]
    pub fn ack_of(&self, name: &str) -> String {
        format!("/{name}/{}", self.ack.trim_start_matches('/'))
    }

    /// Where it prolongs a lease.
    #[must_use]
    pub fn extend_of(&self, name: &str) -> String {
        format!("/{name}/{}", self.extend.trim_start_matches('/'))
    }
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            extract: "extract".to_owned(),
            mark_processed: "mark-processed".to_owned(),
            ack: "ack".to_owned(),
            extend: "extend".to_owned(),
        }
    }
}
