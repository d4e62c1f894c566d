//! Health: how each source, each sink and the store is, kept in memory and fed by their real work.
//! `report` holds what people see of it, `announce.rs` the events about it.

mod report;
mod row;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use inboxclaw_contract::store::Condition;
use inboxclaw_contract::{Clock, Owner};
use jiff::Timestamp;
pub(crate) use report::iso;
pub use report::{OwnerReport, PendingFailure, Report, StoreReport};
pub use row::Status;
use row::{Row, Rows, large_log};
pub(crate) use row::{Transition, Trouble};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::schedule::FULL;

/// The least silence that is worth a word.
const LEAST_SILENCE: Duration = Duration::from_secs(60);
/// The health of everything that runs.
pub(crate) struct Health {
    clock: Arc<dyn Clock>,
    /// How the store is, as it noticed by itself.
    condition: Box<dyn Fn() -> Condition + Send + Sync>,
    rows: Mutex<Rows>,
    /// Notified when the status of a source or sink changed.
    pub(crate) changed: Notify,
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

    /// How everything is, as of now.
    pub(crate) fn report(&self) -> Report {
        let condition = (self.condition)();
        report::of(&self.rows(), self.clock.now(), &condition)
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

    /// That the store is nearly as large as it may be.
    pub(crate) fn filling_store(&self, filling: Option<String>) {
        let mut rows = self.rows();
        if let Some(filling) = &filling
            && rows.store.filling.is_none()
        {
            tracing::warn!("{filling}");
        }
        rows.store.filling = filling;
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

    /// The sources and sinks whose status differs from what was announced.
    pub(crate) fn transitions(&self) -> Vec<Transition> {
        let rows = self.rows();
        let changed =
            rows.owners.iter().filter(|(_, row)| row.status.is_final() && row.announced != Some(row.status));
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
