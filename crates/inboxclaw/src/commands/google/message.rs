//! What a person is told of a failure.

use inboxclaw_contract::{Failure, printable};

/// A failure with what can be done about it, in one line. Parts of it may be a stranger's words.
pub(super) fn message(failure: &Failure) -> String {
    let action = failure.action.as_ref().map(|action| format!("; {action}")).unwrap_or_default();
    printable(&format!("{failure}{action}")).into_owned()
}
