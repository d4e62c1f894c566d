//! What every turn works with: the client of the account, and the rules of what is reported.

use std::borrow::Cow;
use std::time::Duration;

use inboxclaw_contract::settings::StartAt;

use super::api::{Api, Message};
use super::events;
use crate::google::filter::Filters;

/// What every turn of a source works with.
pub(super) struct Gmail {
    pub(super) api: Api,
    pub(super) rules: Rules,
    /// Where a mailbox without a cursor begins.
    pub(super) start: StartAt,
}

/// What is reported.
pub(super) struct Rules {
    /// Labels that hide a message.
    pub(super) hiding: Vec<String>,
    pub(super) filters: Filters<Field>,
    pub(super) label_events: bool,
    /// How far a recovery looks back.
    pub(super) window: Duration,
}

impl Rules {
    /// Whether one of these labels hides a message.
    pub(super) fn hides(&self, labels: &[String]) -> bool {
        labels.iter().any(|label| self.hiding.contains(label))
    }

    /// Whether a filter drops the message.
    pub(super) fn filters(&self, message: &Message) -> bool {
        self.filters.matches(|field| {
            let value = match field {
                Field::Subject => events::header(message, "Subject"),
                Field::Snippet => Some(&*message.snippet),
                Field::Sender => events::header(message, "From"),
            };
            value.map(Cow::Borrowed)
        })
    }
}

/// What a filter looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Field {
    /// The subject.
    Subject,
    /// How the text begins.
    Snippet,
    /// The sender, name and address together.
    Sender,
}
