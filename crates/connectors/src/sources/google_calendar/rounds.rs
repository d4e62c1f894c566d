//! Whose turn it is, and which calendar is in trouble. Kept in memory only: after a restart every calendar has its
//! turn, and those that need nothing cost a request. Moves on when a turn is durable.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use inboxclaw_contract::{Class, Failure, Next, Settled};

use super::passes::{Step, Stop};
use crate::google::Refusal;
use crate::google::trouble::Trouble;

/// Why a calendar does not work.
#[derive(Debug, Clone)]
pub(super) struct Ailing {
    trouble: Trouble,
    /// Whether it may pass by itself.
    passes: bool,
}

impl Ailing {
    /// Tells the trouble of a calendar from that of the account, which no calendar would work with.
    pub(super) fn of(calendar: &str, refusal: Refusal) -> Stop {
        let Refusal { status, failure, .. } = &refusal;
        let is_ours = match failure.class {
            Class::Authentication | Class::RateLimited | Class::Internal => true,
            // Without an answer it is the token file or its scopes.
            Class::Configuration | Class::Authorization | Class::Expired => status.is_none(),
            Class::Connectivity | Class::Timeout | Class::Upstream => false,
        };
        if is_ours {
            return Stop::Turn(refusal.failure);
        }
        let (is_missing, passes) = (refusal.is_missing(), refusal.is_transient());
        let mut failure = refusal.failure;
        if is_missing {
            failure.class = Class::Configuration;
            failure = failure.action(
                "correct `calendar_ids` (`inboxclaw google list-calendars` shows what there is), or have the calendar \
                 shared with the account",
            );
        }
        let trouble = Trouble::of(&format!("the calendar {calendar}"), failure);
        Stop::Calendar(Self { trouble, passes })
    }

    /// Whether it took most of a turn's time.
    pub(super) fn is_slow(&self) -> bool {
        self.trouble.class == Class::Timeout
    }
}

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

#[derive(Debug, Clone, Copy)]
struct Waiting {
    calendar: usize,
    /// Whether it came further since it last failed.
    moved: bool,
}

impl Rounds {
    /// The rounds of so many calendars.
    pub(super) fn new(calendars: usize) -> Self {
        Self { inner: Mutex::default(), calendars }
    }

    /// What is to be done in this turn: the rest of the round, or a new one.
    pub(super) fn plan(&self) -> Plan {
        let mut inner = self.lock();
        if inner.plan.queue.is_empty() {
            inner.plan.queue =
                (0..self.calendars).map(|calendar| Waiting { calendar, moved: false }).collect();
            inner.plan.worked = false;
        }
        inner.plan.clone()
    }

    /// What holds if the turn becomes durable.
    pub(super) fn propose(&self, plan: Plan) {
        self.lock().proposed = Some(plan);
    }

    /// The turn is durable, or it never was.
    pub(super) fn settled(&self, settled: Settled) {
        let mut inner = self.lock();
        match (settled, inner.proposed.take()) {
            (Settled::Committed, Some(plan)) => inner.plan = plan,
            (Settled::Committed, None) => {}
            // One that makes turns fail must not keep the others from theirs.
            (Settled::Dropped, _) if inner.plan.queue.len() > 1 => inner.plan.queue.rotate_left(1),
            (Settled::Dropped, _) => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plan {
    /// The calendar whose turn it is.
    pub(super) fn first(&self) -> Option<usize> {
        self.queue.front().map(|waiting| waiting.calendar)
    }

    /// The first calendar took a step.
    pub(super) fn worked(&mut self, step: Step) -> Next {
        self.worked = true;
        if let Some(first) = self.queue.front_mut() {
            first.moved = true;
            self.ailing.remove(&first.calendar);
        }
        if step == Step::Done {
            self.queue.pop_front();
        }
        self.wait()
    }

    /// The first calendar did not work. One that came further before has another try when the others are through.
    pub(super) fn failed(&mut self, ailing: Ailing) {
        let Some(first) = self.queue.pop_front() else { return };
        if first.moved && ailing.passes {
            self.queue.push_back(Waiting { moved: false, ..first });
        }
        self.ailing.insert(first.calendar, ailing);
    }

    /// When to go on after calendars that did not work.
    ///
    /// # Errors
    /// When none worked in the whole round and that may pass: then the runtime knows best when to try again.
    pub(super) fn next(&self) -> Result<Next, Failure> {
        let passing = self.ailing.values().find(|ailing| ailing.passes);
        match passing {
            Some(ailing) if self.queue.is_empty() && !self.worked => Err(ailing.trouble.failure()),
            _ => Ok(self.wait()),
        }
    }

    /// What is wrong, calendar by calendar.
    pub(super) fn troubles(&self) -> Vec<Failure> {
        self.ailing.values().map(|ailing| ailing.trouble.failure()).collect()
    }

    fn wait(&self) -> Next {
        if self.queue.is_empty() { Next::Wait } else { Next::More }
    }
}
