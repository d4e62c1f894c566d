//! `google`: access to accounts of Google. What is asked for and what answers mean is in `inboxclaw_connectors`; here
//! is the talk with the person and the browser.
//!
//! `auth` asks for consent, `listener` receives the browser, `page` is what it shows, `calendars` lists calendars.

mod auth;
mod calendars;
mod listener;
mod page;

use inboxclaw_contract::{Failure, printable};

use super::Failed;
use crate::cli::{Google, GoogleCommand};

pub(super) fn run(args: &Google, json: bool) -> Result<u8, Failed> {
    match &args.command {
        GoogleCommand::Auth(args) => auth::run(args, json),
        GoogleCommand::ListCalendars(args) => calendars::run(args, json),
    }
}

/// A failure with what can be done about it, in one line. Parts of it may be a stranger's words.
fn told(failure: &Failure) -> String {
    let action = failure.action.as_ref().map(|action| format!("; {action}")).unwrap_or_default();
    printable(&format!("{failure}{action}")).into_owned()
}
