//! The settings of a pull sink.

use std::collections::BTreeMap;

use inboxclaw_contract::envelope::Format;
use inboxclaw_settings::{Interval, Ttl, coerce};
use schemars::JsonSchema;
use serde::Deserialize;

/// Hands events to consumers that ask for them over HTTP and confirm what they have.
///
/// What a consumer has to know about the envelope: `event_id` is unique within its source only, so that `source.name` and
/// `event_id` together say which event it is; `created_at` is UTC without saying so; and an event comes again until its
/// batch was confirmed. `format: cloudevents` says the time zone and when it happened.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `false` leaves `default_ttl` and `event_ttl` without effect.
    #[serde(deserialize_with = "coerce::lax")]
    pub ttl_enabled: bool,
    /// How long after it was stored an event is handed out, for types without a limit of their own. Without it, as long
    /// as the log holds the event. What outlives its time unconfirmed is counted in `/metrics`, `status` and health.
    pub default_ttl: Option<Interval>,
    /// The same by event type: an exact type, a prefix such as `user.*`, or `*`. 0 is never handed out.
    pub event_ttl: BTreeMap<String, Interval>,
    /// What the events of a batch look like. What stands around them stays the same.
    pub format: Format,
    /// The last parts of the two addresses.
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
}

impl Settings {
    /// Whether events of any type become too old.
    #[must_use]
    pub fn has_ttl(&self) -> bool {
        self.ttl().is_some()
    }

    /// The time to live; `None` when events do not become too old.
    #[must_use]
    pub fn ttl(&self) -> Option<Ttl> {
        let ttl = Ttl { default: self.default_ttl, by_type: self.event_ttl.clone() };
        (self.ttl_enabled && ttl != Ttl::default()).then_some(ttl)
    }
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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ttl_enabled: true,
            default_ttl: None,
            event_ttl: BTreeMap::new(),
            format: Format::default(),
            path: Paths::default(),
        }
    }
}

impl Default for Paths {
    fn default() -> Self {
        Self { extract: "extract".to_owned(), mark_processed: "mark-processed".to_owned() }
    }
}
