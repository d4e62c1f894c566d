//! How one owner, or the store, is: a row that its loop writes and reports are made of.

use std::collections::BTreeMap;
use std::time::Duration;

use inboxclaw_contract::Owner;
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

/// Codes that count at once; any other needs [`REQUIRED_FAILURES`] in a row. `conflict` stands here because it is
/// reported only after three in a row.
const AT_ONCE: [&str; 10] = [
    "authentication",
    "authorization",
    "backoff",
    "configuration",
    "conflict",
    "expired",
    "initialization",
    "not_reporting",
    "runner_stopped",
    "stale",
];
/// How many failures in a row make unhealthy: a pending one, and the next.
pub(super) const REQUIRED_FAILURES: u32 = 2;
/// From this size on a log that has not come to its place is worth a word: some hundred times what it usually has.
const LARGE_LOG: u64 = 512 << 20;
/// Most characters of a message.
const MESSAGE_CHARS: usize = 1_000;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It has not reported yet.
    Starting,
    /// Its last work succeeded.
    Healthy,
    /// Its work fails.
    Unhealthy,
    /// A sink of the store that the configuration does not name.
    NotConfigured,
}

impl Status {
    /// The word for it in reports and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::NotConfigured => "not_configured",
        }
    }

    /// Whether it is something to announce.
    pub(crate) const fn is_final(self) -> bool {
        matches!(self, Self::Healthy | Self::Unhealthy)
    }
}

pub(super) struct Rows {
    pub(super) owners: BTreeMap<Owner, Row>,
    pub(super) store: Row,
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) action: Option<String>,
}

impl Trouble {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), action: None }
    }
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) connector: String,
    pub(super) status: Status,
    pub(super) trouble: Option<Trouble>,
    pub(super) pending: Option<(Trouble, Timestamp)>,
    pub(super) checked_at: Option<Timestamp>,
    pub(super) last_healthy_at: Option<Timestamp>,
    /// Why it rests on purpose: paused, or run by somebody else.
    pub(super) resting: Option<&'static str>,
    /// Something to know that is no failure.
    pub(super) notice: Option<String>,
    /// Which limits of its state are near.
    pub(super) filling: Option<String>,
    /// What it owes for so long that retention will not keep it for much longer.
    pub(super) owing: Option<String>,
    /// What left its debts without its consumer's yes.
    pub(super) lapsed: Option<String>,
    /// How long a loop may report nothing; `None` for what has no interval.
    pub(super) silence: Option<Duration>,
    /// Silence counts from here.
    pub(super) quiet_since: Instant,
    /// Whether it ever reported.
    pub(super) reported: bool,
    /// The status that needs no announcement any more.
    pub(super) announced: Option<Status>,
}

/// A transition of a source or sink that is to be announced.
#[derive(Debug, Clone)]
pub(crate) struct Transition {
    pub(crate) owner: Owner,
    pub(crate) connector: String,
    pub(crate) status: Status,
    pub(crate) trouble: Option<Trouble>,
    pub(crate) checked_at: Timestamp,
}

/// What to know of a log of that many bytes.
pub(super) fn large_log(bytes: u64) -> Option<String> {
    (bytes > LARGE_LOG).then(|| {
        format!(
            "the write-ahead log has {} MiB and grows while somebody reads the database for long: end what does so, such as \
             a shell or a backup program that has the file open; `inboxclaw store backup FILE` holds it only for a moment",
            bytes >> 20
        )
    })
}

impl Row {
    pub(super) fn new(connector: &str, status: Status, silence: Option<Duration>) -> Self {
        Self {
            connector: connector.to_owned(),
            status,
            trouble: None,
            pending: None,
            checked_at: None,
            last_healthy_at: None,
            resting: None,
            notice: None,
            filling: None,
            owing: None,
            lapsed: None,
            silence,
            quiet_since: Instant::now(),
            reported: false,
            announced: None,
        }
    }

    pub(super) fn reported(&mut self, now: Timestamp) {
        self.checked_at = Some(now);
        self.quiet_since = Instant::now();
        self.reported = true;
    }

    pub(super) fn succeed(&mut self, now: Timestamp) {
        self.reported(now);
        self.status = Status::Healthy;
        self.last_healthy_at = Some(now);
        self.trouble = None;
        self.pending = None;
    }

    pub(super) fn fail(&mut self, mut trouble: Trouble, now: Timestamp) {
        self.reported(now);
        if let Some((cut, _)) = trouble.message.char_indices().nth(MESSAGE_CHARS) {
            trouble.message.truncate(cut);
        }
        let counts =
            AT_ONCE.contains(&trouble.code) || self.status == Status::Unhealthy || self.pending.is_some();
        if counts {
            self.status = Status::Unhealthy;
            self.trouble = Some(trouble);
            self.pending = None;
        } else {
            self.pending = Some((trouble, now));
        }
    }

    pub(super) fn watch(&mut self, now: Timestamp) {
        let Some(silence) = self.silence.filter(|_| self.resting.is_none()) else { return };
        let quiet = self.quiet_since.elapsed();
        let known =
            self.trouble.as_ref().is_some_and(|trouble| matches!(trouble.code, "stale" | "not_reporting"));
        if quiet <= silence || known && self.status == Status::Unhealthy {
            return;
        }
        let code = if self.reported { "stale" } else { "not_reporting" };
        self.status = Status::Unhealthy;
        self.trouble = Some(Trouble::new(code, format!("nothing was reported for {} s", quiet.as_secs())));
        self.pending = None;
        self.checked_at = Some(now);
    }

    pub(super) fn transition(&self, owner: &Owner, now: Timestamp) -> Transition {
        Transition {
            owner: owner.clone(),
            connector: self.connector.clone(),
            status: self.status,
            trouble: self.trouble.clone(),
            checked_at: self.checked_at.unwrap_or(now),
        }
    }
}
