//! `google`: access to accounts of Google. What is asked for and what answers mean is in `inboxclaw_connectors`; here
//! is the talk with the person and the browser.
//!
//! `auth` asks for consent, `listener` receives the browser, `page` is what it shows, `calendars` lists calendars.

mod auth;
mod calendars;
mod listener;
mod message;
mod page;

use super::failed::Failed;
use crate::cli::{Google, GoogleCommand};

pub(super) fn run(args: &Google, json: bool) -> Result<u8, Failed> {
    match &args.command {
        GoogleCommand::Auth(args) => auth::run(args, json),
        GoogleCommand::ListCalendars(args) => calendars::run(args, json),
    }
}
