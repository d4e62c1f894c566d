//! A log of the requests, and counts by kind of request.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use super::api::first;
use super::faults::Fault;

/// The most requests that the log keeps until somebody reads it; the oldest go first.
const KEPT: usize = 100_000;

/// The fixed segments of the services' paths. Every other one is an id.
const FIXED: [&str; 37] = [
    "acl",
    "about",
    "attachments",
    "auth",
    "calendar",
    "calendarList",
    "calendars",
    "changes",
    "channels",
    "colors",
    "comments",
    "download",
    "drafts",
    "drive",
    "drives",
    "events",
    "export",
    "files",
    "freeBusy",
    "gmail",
    "history",
    "instances",
    "labels",
    "me",
    "messages",
    "o",
    "oauth2",
    "permissions",
    "profile",
    "revisions",
    "settings",
    "startPageToken",
    "threads",
    "token",
    "users",
    "watch",
    "send",
];

/// A request and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    /// When, by the clock of the account.
    pub at: Timestamp,
    /// `GET`, mostly.
    pub method: String,
    /// The path without the prefix of the options, unescaped.
    pub path: String,
    /// The parameters, unescaped, in their order; for the token endpoint those of the form, secrets included.
    pub query: Vec<(String, String)>,
    /// The headers `authorization`, `accept`, `accept-encoding`, `content-type` and `user-agent`, as far as given.
    pub headers: Vec<(String, String)>,
    /// The status of the answer; 0 when the connection was cut before it.
    pub status: u16,
    /// The fault that it met.
    pub fault: Option<Fault>,
}

impl LoggedRequest {
    /// The first value of a parameter.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        first(&self.query, name)
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }
}

/// The log of a server.
#[derive(Debug, Default)]
pub(super) struct RequestLog {
    latest: VecDeque<LoggedRequest>,
    counts: BTreeMap<String, u64>,
}

impl RequestLog {
    pub(super) fn add(&mut self, asked: LoggedRequest, segments: &[String]) {
        *self.counts.entry(format!("{} {}", asked.method, pattern(segments))).or_default() += 1;
        if self.latest.len() == KEPT {
            self.latest.pop_front();
        }
        self.latest.push_back(asked);
    }

    pub(super) fn drain(&mut self) -> Vec<LoggedRequest> {
        self.latest.drain(..).collect()
    }

    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.clone()
    }
}

fn pattern(segments: &[String]) -> String {
    let is_fixed = |segment: &str| FIXED.contains(&segment) || matches!(segment, "v1" | "v2" | "v3");
    segments
        .iter()
        .map(|segment| if is_fixed(segment) { format!("/{segment}") } else { "/{}".to_owned() })
        .collect()
}
