//! The health report as people and programs see it at `/healthcheck`: keys, order and times are fixed.

use inboxclaw_contract::store::{ClockState, Condition};
use inboxclaw_contract::{Owner, OwnerKind, StoreError};
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::row::{REQUIRED_FAILURES, Row, Rows, Status, Trouble, large_log};
use crate::schedule::{DAMAGED, UNREADABLE};

/// The code of a clock in doubt, and what to do about it.
const CLOCK: &str = "clock";
const ACCEPT: &str = "set the clock right, or run `inboxclaw clock accept` if it is";

/// How everything is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `unhealthy` when a source, a sink or the store is; else `starting` when a source that is to run has not
    /// reported yet; else `healthy`. Sinks that are not configured do not count.
    pub status: Status,
    /// When the report was made.
    #[serde(serialize_with = "time")]
    pub checked_at: Timestamp,
    /// The sources by name.
    pub sources: Vec<OwnerReport>,
    /// The unhealthy ones of `sources`.
    pub failures: Vec<OwnerReport>,
    /// The store.
    pub store: StoreReport,
    /// The sinks by name, also those that only the store knows.
    pub sinks: Vec<OwnerReport>,
}

/// How a source or sink is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwnerReport {
    /// Its configured name.
    pub name: String,
    /// Its connector type.
    #[serde(rename = "type")]
    pub connector: String,
    /// How it is.
    pub status: Status,
    /// What kind of trouble it has.
    pub code: Option<&'static str>,
    /// The trouble in words, and what else there is to know, such as that it is paused or its state nearly full.
    pub message: Option<String>,
    /// What a person can do.
    pub action: Option<String>,
    /// When it last reported, or was found silent.
    #[serde(serialize_with = "opt_time")]
    pub checked_at: Option<Timestamp>,
    /// When it was last healthy, since the start of the program.
    #[serde(serialize_with = "opt_time")]
    pub last_healthy_at: Option<Timestamp>,
    /// A failure that does not count yet.
    pub pending_failure: Option<PendingFailure>,
}

/// A first failure: one more, and it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PendingFailure {
    /// What kind of trouble.
    pub code: &'static str,
    /// The trouble in words.
    pub message: String,
    /// What a person can do.
    pub action: Option<String>,
    /// When it was seen.
    #[serde(serialize_with = "time")]
    pub observed_at: Timestamp,
    /// How many there were.
    pub consecutive_failures: u32,
    /// How many count.
    pub required_failures: u32,
}

/// How the store is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreReport {
    /// How it is.
    pub status: Status,
    /// `full`, `damaged` or `unreadable`; `clock` while the clock is in doubt, which is no failure.
    pub code: Option<&'static str>,
    /// The trouble in words, and what else there is to know.
    pub message: Option<String>,
    /// What a person can do.
    pub action: Option<String>,
    /// When it last did its work, or failed.
    #[serde(serialize_with = "opt_time")]
    pub checked_at: Option<Timestamp>,
    /// Bytes of the write-ahead log.
    pub log_bytes: u64,
}

impl Report {
    /// Whether to answer with 503.
    pub fn is_unhealthy(&self) -> bool {
        self.status == Status::Unhealthy
    }
}

/// How everything is at `checked_at`, by the rows and by what the store noticed itself.
pub(super) fn of(rows: &Rows, checked_at: Timestamp, condition: &Condition) -> Report {
    let store = rows.store.store(condition);
    let of = |kind| {
        let rows = rows.owners.iter().filter(move |(owner, _)| owner.kind == kind);
        rows.map(|(owner, row)| row.report(owner)).collect::<Vec<_>>()
    };
    let sources = of(OwnerKind::Source);
    let unhealthy = |row: &&OwnerReport| row.status == Status::Unhealthy;
    let failures = sources.iter().filter(unhealthy).cloned().collect();
    Report {
        status: overall(rows, store.status),
        checked_at,
        sources,
        failures,
        store,
        sinks: of(OwnerKind::Sink),
    }
}

fn overall(rows: &Rows, store: Status) -> Status {
    let all = || rows.owners.iter();
    if store == Status::Unhealthy || all().any(|(_, row)| row.status == Status::Unhealthy) {
        return Status::Unhealthy;
    }
    let starting = |(owner, row): (&Owner, &Row)| {
        owner.kind == OwnerKind::Source && row.status == Status::Starting && row.resting.is_none()
    };
    if all().any(starting) { Status::Starting } else { Status::Healthy }
}

impl Row {
    fn report(&self, owner: &Owner) -> OwnerReport {
        let trouble = self.trouble.as_ref();
        let (message, notice) = (trouble.map(|trouble| trouble.message.as_str()), self.notice.as_deref());
        let (owing, lapsed) = (self.owing.as_deref(), self.lapsed.as_deref());
        let words = [message, self.resting, notice, owing, lapsed, self.filling.as_deref()];
        let words: Vec<&str> = words.into_iter().flatten().collect();
        OwnerReport {
            name: owner.name.clone(),
            connector: self.connector.clone(),
            status: self.status,
            code: trouble.map(|trouble| trouble.code),
            message: (!words.is_empty()).then(|| words.join("; ")),
            action: trouble.and_then(|trouble| trouble.action.clone()),
            checked_at: self.checked_at,
            last_healthy_at: self.last_healthy_at,
            pending_failure: self.pending.as_ref().map(pending),
        }
    }

    /// The report on the store, by its work and by what it noticed itself: reads for those who ask over HTTP are no work
    /// of a loop.
    fn store(&self, condition: &Condition) -> StoreReport {
        let noticed = condition.trouble.as_ref().map(|error| {
            let policy = if matches!(error, StoreError::Damaged(_)) { DAMAGED } else { UNREADABLE };
            Trouble::new(policy.code, error.to_string())
        });
        let trouble = noticed.as_ref().or(self.trouble.as_ref());
        let clock = condition.clock.filter(|clock| clock.doubted.is_some());
        let message = trouble.map(|trouble| trouble.message.clone());
        let words = [message, clock.map(doubted), large_log(condition.log_bytes), self.filling.clone()];
        let words: Vec<String> = words.into_iter().flatten().collect();
        StoreReport {
            status: if noticed.is_some() { Status::Unhealthy } else { self.status },
            code: trouble.map(|trouble| trouble.code).or(clock.map(|_| CLOCK)),
            message: (!words.is_empty()).then(|| words.join("; ")),
            action: clock.map(|_| ACCEPT.to_owned()),
            checked_at: self.checked_at,
            log_bytes: condition.log_bytes,
        }
    }
}

/// What is said of a clock in doubt.
fn doubted(ClockState { now, wall, doubted }: ClockState) -> String {
    let days = wall.duration_since(now).as_hours() / 24;
    let minutes = doubted.unwrap_or_default().as_secs().div_ceil(60);
    format!(
        "the clock is in doubt: it is {days} d ahead of the last time that is known ({}); nothing is removed because of \
         it for {minutes} more minutes at most",
        iso(now)
    )
}

fn pending((trouble, observed_at): &(Trouble, Timestamp)) -> PendingFailure {
    PendingFailure {
        code: trouble.code,
        message: trouble.message.clone(),
        action: trouble.action.clone(),
        observed_at: *observed_at,
        consecutive_failures: 1,
        required_failures: REQUIRED_FAILURES,
    }
}

/// ISO 8601 in UTC with `+00:00`; six digits of a second, or none when they are all zero.
pub(crate) fn iso(at: Timestamp) -> String {
    let whole = at.strftime("%Y-%m-%dT%H:%M:%S");
    match at.as_microsecond().rem_euclid(1_000_000) {
        0 => format!("{whole}+00:00"),
        micros => format!("{whole}.{micros:06}+00:00"),
    }
}

fn time<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&iso(*at))
}

fn opt_time<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(iso).serialize(serializer)
}
