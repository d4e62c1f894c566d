//! Health: how each source, each sink and the store is, kept in memory and fed by their real work.
//! `report` holds what people see of it, `announce.rs` the events about it.

mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use inboxclaw_contract::store::Condition;
use inboxclaw_contract::{Clock, Owner, OwnerKind};
use jiff::Timestamp;
pub(crate) use report::iso;
pub use report::{OwnerReport, PendingFailure, Report, Status, StoreReport};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::schedule::FULL;

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
const REQUIRED_FAILURES: u32 = 2;
/// The least silence that is worth a word.
const LEAST_SILENCE: Duration = Duration::from_secs(60);
/// From this size on a log that has not come to its place is worth a word: some hundred times what it usually has.
const LARGE_LOG: u64 = 512 << 20;
/// Most characters of a message.
const MESSAGE_CHARS: usize = 1_000;

/// The health of everything that runs.
pub(crate) struct Health {
    clock: Arc<dyn Clock>,
    /// How the store is, as it noticed by itself.
    condition: Box<dyn Fn() -> Condition + Send + Sync>,
    rows: Mutex<Rows>,
    /// Notified when the status of a source changed.
    pub(crate) changed: Notify,
}

struct Rows {
    owners: BTreeMap<Owner, Row>,
    store: Row,
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
struct Row {
    connector: String,
    status: Status,
    trouble: Option<Trouble>,
    pending: Option<(Trouble, Timestamp)>,
    checked_at: Option<Timestamp>,
    last_healthy_at: Option<Timestamp>,
    /// Why it rests on purpose: paused, or run by somebody else.
    resting: Option<&'static str>,
    /// Something to know that is no failure.
    notice: Option<String>,
    /// Which limits of its state are near.
    filling: Option<String>,
    /// What it owes for so long that retention will not keep it for much longer.
    owing: Option<String>,
    /// What left its debts without its consumer's yes.
    lapsed: Option<String>,
    /// How long a loop may report nothing; `None` for what has no interval.
    silence: Option<Duration>,
    /// Silence counts from here.
    quiet_since: Instant,
    /// Whether it ever reported.
    reported: bool,
    /// The status that needs no announcement any more.
    announced: Option<Status>,
}

/// A transition of a source that is to be announced.
#[derive(Debug, Clone)]
pub(crate) struct Transition {
    pub(crate) owner: Owner,
    pub(crate) connector: String,
    pub(crate) status: Status,
    pub(crate) trouble: Option<Trouble>,
    pub(crate) checked_at: Timestamp,
}

impl Health {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let store = Row::new("store", Status::Healthy, None);
        let rows = Mutex::new(Rows { owners: BTreeMap::new(), store });
        Self { clock, condition: Box::new(Condition::default), rows, changed: Notify::new() }
    }

    /// Asks the store how it is, whenever anybody asks here.
    pub(crate) fn asking(self, condition: impl Fn() -> Condition + Send + Sync + 'static) -> Self {
        Self { condition: Box::new(condition), ..self }
    }

    /// Looks after what the store noticed by itself, and tells of a log that grows.
    pub(crate) fn look_at_store(&self) {
        let notice = large_log((self.condition)().log_bytes);
        let mut rows = self.rows();
        if let Some(notice) = &notice
            && rows.store.notice.is_none()
        {
            tracing::warn!("{notice}");
        }
        rows.store.notice = notice;
    }

    /// A source or push sink that is about to start.
    pub(crate) fn add(&self, owner: &Owner, connector: &str, interval: Option<Duration>) {
        let silence = interval.map(|interval| LEAST_SILENCE.max(interval * 2 + Duration::from_secs(30)));
        self.rows().owners.insert(owner.clone(), Row::new(connector, Status::Starting, silence));
    }

    /// An owner that has no loop: its status is what it is until somebody says otherwise.
    pub(crate) fn add_still(&self, owner: &Owner, connector: &str, status: Status) {
        self.rows().owners.insert(owner.clone(), Row::new(connector, status, None));
    }

    /// Real work succeeded.
    pub(crate) fn succeeded(&self, owner: &Owner) {
        self.change(owner, |row, now| row.succeed(now));
    }

    /// Real work failed.
    pub(crate) fn failed(&self, owner: &Owner, trouble: Trouble) {
        self.change(owner, |row, now| row.fail(trouble, now));
    }

    /// The loop is alive, but whether its work succeeds is not known: the store did not take it.
    pub(crate) fn touched(&self, owner: &Owner) {
        self.change(owner, |row, _| row.quiet_since = Instant::now());
    }

    /// Nothing will be heard for that long, on purpose.
    pub(crate) fn quiet_for(&self, owner: &Owner, wait: Duration) {
        self.change(owner, |row, _| {
            row.quiet_since = Instant::now().checked_add(wait).unwrap_or(row.quiet_since)
        });
    }

    /// The owner rests, or no longer does.
    pub(crate) fn resting(&self, owner: &Owner, why: Option<&'static str>) {
        self.change(owner, |row, _| {
            row.resting = why;
            row.quiet_since = Instant::now();
        });
    }

    /// Something to know that is no failure.
    pub(crate) fn notice(&self, owner: &Owner, notice: Option<String>) {
        self.change(owner, |row, _| row.notice = notice);
    }

    /// Which limits of the owner's state are near, if any.
    pub(crate) fn filling(&self, owner: &Owner, filling: Option<String>) {
        self.change(owner, |row, _| {
            if filling.is_some() && row.filling.is_none() {
                tracing::warn!(%owner, filling, "a limit is near");
            }
            row.filling = filling;
        });
    }

    /// The owner's loop is gone.
    pub(crate) fn stopped(&self, owner: &Owner) {
        let trouble = Trouble::new("runner_stopped", "the loop ended unexpectedly; restart the program");
        self.change(owner, |row, now| {
            row.silence = None;
            row.fail(trouble, now);
        });
    }

    /// What a sink owes for long, if anything.
    pub(crate) fn owing(&self, owner: &Owner, owing: Option<String>) {
        self.change(owner, |row, _| {
            if owing.is_some() && row.owing.is_none() {
                tracing::warn!(%owner, owing, "events are owed for long");
            }
            row.owing = owing;
        });
    }

    /// What left the debts of a sink without its consumer's yes.
    pub(crate) fn lapsed(&self, owner: &Owner, lapsed: String) {
        self.change(owner, |row, _| row.lapsed = Some(lapsed));
    }

    /// The store has done its work. That a full one can be read says nothing; only that it `wrote` does.
    pub(crate) fn store_works(&self, wrote: bool) {
        let now = self.clock.now();
        let mut rows = self.rows();
        if !wrote && rows.store.trouble.as_ref().is_some_and(|trouble| trouble.code == FULL.code) {
            return;
        }
        if rows.store.status == Status::Unhealthy {
            tracing::info!("the store works again");
        }
        rows.store.succeed(now);
    }

    /// The store could not do its work, for now.
    pub(crate) fn store_failed(&self, trouble: Trouble) {
        let now = self.clock.now();
        let mut rows = self.rows();
        if rows.store.status == Status::Healthy {
            tracing::error!(code = trouble.code, message = trouble.message, "the store fails");
        }
        // Set first: the rule of two failures is for the outside world.
        rows.store.status = Status::Unhealthy;
        rows.store.fail(trouble, now);
    }

    /// The process did not run for that long: nobody was silent then.
    pub(crate) fn stood_still(&self, late: Duration) {
        let now = Instant::now();
        for row in self.rows().owners.values_mut() {
            // What was heard of since began to count only then.
            row.quiet_since = row.quiet_since.checked_add(late).unwrap_or(now).min(now.max(row.quiet_since));
        }
    }

    /// Looks for loops that have gone silent.
    pub(crate) fn watch(&self) {
        let now = self.clock.now();
        let mut rows = self.rows();
        for (owner, row) in &mut rows.owners {
            let before = row.status;
            row.watch(now);
            self.log_transition(owner, row, before);
        }
    }

    /// The sources whose status differs from what was announced.
    pub(crate) fn transitions(&self) -> Vec<Transition> {
        let rows = self.rows();
        let sources = rows.owners.iter().filter(|(owner, _)| owner.kind == OwnerKind::Source);
        let changed = sources.filter(|(_, row)| row.status.is_final() && row.announced != Some(row.status));
        changed.map(|(owner, row)| row.transition(owner, self.clock.now())).collect()
    }

    /// A status needs no announcement any more.
    pub(crate) fn announced(&self, owner: &Owner, status: Status) {
        if let Some(row) = self.rows().owners.get_mut(owner) {
            row.announced = Some(status);
        }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, owner: &Owner, change: impl FnOnce(&mut Row, Timestamp)) {
        let now = self.clock.now();
        if let Some(row) = self.rows().owners.get_mut(owner) {
            let before = row.status;
            change(row, now);
            self.log_transition(owner, row, before);
        }
    }

    fn log_transition(&self, owner: &Owner, row: &Row, before: Status) {
        if row.status == before {
            return;
        }
        self.changed.notify_one();
        match &row.trouble {
            Some(trouble) if row.status == Status::Unhealthy => {
                tracing::warn!(%owner, code = trouble.code, message = trouble.message, "unhealthy");
            }
            _ => tracing::info!(%owner, from = before.as_str(), to = row.status.as_str(), "health changed"),
        }
    }
}

/// What to know of a log of that many bytes.
fn large_log(bytes: u64) -> Option<String> {
    (bytes > LARGE_LOG).then(|| {
        format!(
            "the write-ahead log has {} MiB and grows while somebody reads the database for long: end what does so, such as \
             a shell or a backup program that has the file open; `inboxclaw store backup FILE` holds it only for a moment",
            bytes >> 20
        )
    })
}

impl Row {
    fn new(connector: &str, status: Status, silence: Option<Duration>) -> Self {
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

    fn reported(&mut self, now: Timestamp) {
        self.checked_at = Some(now);
        self.quiet_since = Instant::now();
        self.reported = true;
    }

    fn succeed(&mut self, now: Timestamp) {
        self.reported(now);
        self.status = Status::Healthy;
        self.last_healthy_at = Some(now);
        self.trouble = None;
        self.pending = None;
    }

    fn fail(&mut self, mut trouble: Trouble, now: Timestamp) {
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

    fn watch(&mut self, now: Timestamp) {
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

    fn transition(&self, owner: &Owner, now: Timestamp) -> Transition {
        Transition {
            owner: owner.clone(),
            connector: self.connector.clone(),
            status: self.status,
            trouble: self.trouble.clone(),
            checked_at: self.checked_at.unwrap_or(now),
        }
    }
}
