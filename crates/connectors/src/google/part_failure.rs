//! The failure of one part of a source, such as a calendar or a shared drive. It is kept and reported with each turn
//! until the part works again, so that the health of the source does not change with every turn.

use std::time::Duration;

use inboxclaw_contract::{Class, Failure};

/// The failure of a part, kept.
#[derive(Debug, Clone)]
pub struct PartFailure {
    /// What kind it is.
    pub class: Class,
    text: String,
    action: Option<String>,
    wait: Option<Duration>,
}

impl PartFailure {
    /// Keeps a failure, with the part in front of what it says.
    pub fn new(part: &str, failure: Failure) -> Self {
        let Failure { class, cause, action, wait } = failure;
        Self { class, text: format!("{part}: {cause:#}"), action, wait }
    }

    /// The failure.
    pub fn failure(&self) -> Failure {
        let failure = Failure::text(self.class, &self.text).wait(self.wait);
        Failure { action: self.action.clone(), ..failure }
    }
}
