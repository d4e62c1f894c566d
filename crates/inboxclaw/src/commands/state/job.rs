//! What the commands `state …` have in common.

use axum::http::Method;
use inboxclaw_config::Config;
use inboxclaw_contract::Owner;

use super::super::failed::Failed;
use super::super::output;
use super::super::response::{self, Answer, Ended};
use super::super::state_client::{ApiRequest, StateClient};
use crate::cli::exit;

/// What every command has.
pub(super) struct Job<'a> {
    pub(super) config: &'a Config,
    pub(super) json: bool,
}

impl Job<'_> {
    /// The result of a change: the answer for machines, a sentence for people.
    pub(super) fn done(
        &self,
        json: &str,
        told: impl FnOnce() -> Result<String, Failed>,
    ) -> Result<u8, Failed> {
        if self.json {
            output::result(json.trim_end())?;
        } else {
            output::remark(&told()?);
        }
        Ok(exit::OK)
    }

    /// Asks for a change that may take long, and tells of its end.
    pub(super) async fn long(
        &self,
        states: &StateClient,
        owner: &Owner,
        request: ApiRequest,
        told: impl FnOnce(&str) -> Result<String, Failed>,
    ) -> Result<u8, Failed> {
        match response::long(states, request).await? {
            Ended::Well(result) => self.done(&result, || told(&result)),
            Ended::Refused(said) => Err(named(owner, Failed::plain(response::detail(&said)))),
        }
    }
}

/// One key of an owner.
pub(super) fn of_key(method: Method, owner: &Owner, key: &str) -> ApiRequest {
    ApiRequest::of(method, owner, &["state", key])
}

/// The failure that an answer about an owner tells of.
pub(super) fn about(owner: &Owner, answer: &Answer) -> Failed {
    named(owner, answer.failure())
}

/// A failure about an owner, which the sentence does not always name.
fn named(owner: &Owner, Failed { code, message }: Failed) -> Failed {
    let is_named = message.starts_with(&format!("{}:{}", owner.kind, owner.name));
    Failed::new(code, if is_named { message } else { format!("{owner}: {message}") })
}

/// A count with its noun.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}
