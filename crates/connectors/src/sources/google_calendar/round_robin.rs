//! Whose turn it is, and which calendar is in trouble. Kept in memory only: after a restart every calendar has its
//! turn, and those that need nothing cost a request. Moves on when a turn is durable.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use anyhow::anyhow;
use inboxclaw_contract::{Failure, Next, Settled};

use super::context::{Ailing, Step};
use crate::lock::lock;

/// The rounds of a source: in each, every calendar has its turns.
#[derive(Debug)]
pub(super) struct Rounds {
    inner: Mutex<Inner>,
    calendars: usize,
}

#[derive(Debug, Default)]
struct Inner {
    plan: Plan,
    proposed: Option<Plan>,
}

/// What is left of a round.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    queue: VecDeque<Waiting>,
    ailing: BTreeMap<usize, Ailing>,
    /// Whether a calendar of this round worked.
    worked: bool,
}

/// A calendar that waits for its turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    /// Its place in the settings.
    pub(super) calendar: usize,
    /// Whether it had no step in this round yet.
    pub(super) is_new: bool,
    /// Whether it came further since it last failed.
    moved: bool,
    /// Whether it was in trouble when the round began.
    ailed: bool,
}

impl Rounds {
    /// The rounds of so many calendars.
    pub(super) fn new(calendars: usize) -> Self {
        Self { inner: Mutex::default(), calendars }
    }

    /// What is to be done in this turn: the rest of the round, or a new one.
    pub(super) fn plan(&self) -> Plan {
        let mut inner = lock(&self.inner);
        if inner.plan.queue.is_empty() {
            inner.plan.begin(0, self.calendars);
        }
        inner.plan.clone()
    }

    /// What holds if the turn becomes durable.
    pub(super) fn propose(&self, plan: Plan) {
        lock(&self.inner).proposed = Some(plan);
    }

    /// The turn is durable, or it never was.
    pub(super) fn settled(&self, settled: Settled) {
        let mut inner = lock(&self.inner);
        match (settled, inner.proposed.take()) {
            (Settled::Committed, Some(plan)) => inner.plan = plan,
            (Settled::Committed, None) => {}
            // One that makes turns fail must not keep the others from theirs: neither those behind it, nor those that
            // had theirs, because it may be the only one that is left of the round for ever.
            (Settled::Dropped, _) => {
                let after = inner.plan.first().map_or(0, |first| first.calendar + 1);
                inner.plan.begin(after, self.calendars);
            }
        }
    }
}

impl Plan {
    /// Begins a round with the calendar `from`, or the first if there is none.
    fn begin(&mut self, from: usize, calendars: usize) {
        let ailed = |calendar| self.ailing.contains_key(&calendar);
        let waiting = |calendar| Waiting { calendar, is_new: true, moved: false, ailed: ailed(calendar) };
        let mut queue: VecDeque<Waiting> = (0..calendars).map(waiting).collect();
        queue.rotate_left(from.checked_rem(calendars).unwrap_or_default());
        (self.queue, self.worked) = (queue, false);
    }

    /// The calendar whose turn it is.
    pub(super) fn first(&self) -> Option<Waiting> {
        self.queue.front().copied()
    }

    /// The first calendar took a step.
    pub(super) fn worked(&mut self, step: Step) -> Next {
        self.worked = true;
        let Some(first) = self.queue.front_mut() else { return self.wait() };
        (first.is_new, first.moved) = (false, true);
        let Waiting { calendar, ailed, .. } = *first;
        match step {
            Step::More => {
                if let Some(ailing) = self.ailing.get_mut(&calendar) {
                    ailing.quiet = !ailing.lasts;
                }
                return self.wait();
            }
            Step::Done => drop(self.ailing.remove(&calendar)),
            Step::Anew(ailing) => drop(self.ailing.insert(calendar, Ailing { lasts: ailed, ..ailing })),
        }
        self.queue.pop_front();
        self.wait()
    }

    /// The first calendar did not work. One that came further before has another try when the others are through.
    pub(super) fn failed(&mut self, ailing: Ailing) {
        let Some(first) = self.queue.pop_front() else { return };
        if first.moved && ailing.passes {
            self.queue.push_back(Waiting { moved: false, ..first });
        }
        self.ailing.insert(first.calendar, Ailing { lasts: first.ailed, ..ailing });
    }

    /// When to go on after calendars that did not work.
    ///
    /// # Errors
    /// When none worked in the whole round: then nothing of the source works, and the runtime knows best when to try
    /// again. Soon, if one of them may work then.
    pub(super) fn next(&self) -> Result<Next, Failure> {
        let passing = self.ailing.values().find(|ailing| ailing.passes);
        match passing.or(self.ailing.values().next()) {
            Some(ailing) if self.queue.is_empty() && !self.worked => Err(self.failure(ailing)),
            _ => Ok(self.wait()),
        }
    }

    /// What is wrong, calendar by calendar.
    pub(super) fn troubles(&self) -> Vec<Failure> {
        let told = self.ailing.values().filter(|ailing| !ailing.quiet);
        told.map(|ailing| ailing.trouble.failure()).collect()
    }

    fn failure(&self, ailing: &Ailing) -> Failure {
        let failure = ailing.trouble.failure();
        match self.ailing.len() {
            0 | 1 => failure,
            all => Failure { cause: anyhow!("{:#} (and {} more)", failure.cause, all - 1), ..failure },
        }
    }

    fn wait(&self) -> Next {
        if self.queue.is_empty() { Next::Wait } else { Next::More }
    }
}
