//! The account: the models of the services, and what the server needs to answer for them.

use std::fmt;
use std::sync::{Arc, Mutex};

use super::calendar::Calendars;
use super::clock::Clock;
use super::drive::Drive;
use super::faults::Faults;
use super::gmail::Mailbox;
use super::oauth::Tokens;
use super::request_log::RequestLog;
use crate::discovery::Discovery;

/// What the server shares with the [`Fake`](super::Fake) that started it.
#[derive(Default)]
pub(super) struct Account {
    pub(super) prefix: String,
    pub(super) scopes: Vec<String>,
    pub(super) clock: Clock,
    pub(super) tokens: Mutex<Tokens>,
    pub(super) faults: Mutex<Faults>,
    pub(super) gmail: Mutex<Mailbox>,
    pub(super) drive: Mutex<Drive>,
    pub(super) calendar: Mutex<Calendars>,
    pub(super) log: Mutex<RequestLog>,
    pub(super) discovery: Option<Arc<Discovery>>,
    pub(super) violations: Mutex<Vec<String>>,
}

impl fmt::Debug for Account {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Account").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
