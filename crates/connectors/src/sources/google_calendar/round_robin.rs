//! Round robin over the calendars, and which of them fail. Kept in memory only: after a restart every calendar has its
//! turn, and those that need nothing cost a request. It moves on when a turn is committed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use anyhow::anyhow;
use inboxclaw_contract::{Failure, Next, Settled};

use super::context::{FailingCalendar, Step};
use crate::lock::lock;

/// Says whose turn it is: in each round every calendar has its turns.
#[derive(Debug)]
pub(super) struct RoundRobin {
    memory: Mutex<Memory>,
    calendars: usize,
}

#[derive(Debug, Default)]
struct Memory {
    round: Round,
    proposed: Option<Round>,
}

/// What is left of a round.
#[derive(Debug, Clone, Default)]
pub(super) struct Round {
    queue: VecDeque<QueuedCalendar>,
    failing: BTreeMap<usize, FailingCalendar>,
    /// Whether a calendar of this round worked.
    worked: bool,
}

/// A calendar that waits for its turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueuedCalendar {
    /// Its place in the settings.
    pub(super) calendar: usize,
    /// Whether it had no step in this round yet.
    pub(super) is_new: bool,
    /// Whether it came further since it last failed.
    moved: bool,
    /// Whether it failed in the round before.
    failed_before: bool,
}

impl RoundRobin {
    /// The rounds of so many calendars.
    pub(super) fn new(calendars: usize) -> Self {
        Self { memory: Mutex::default(), calendars }
    }

    /// What is to be done in this turn: the rest of the round, or a new one.
    pub(super) fn round(&self) -> Round {
        let mut memory = lock(&self.memory);
        if memory.round.queue.is_empty() {
            memory.round.begin(0, self.calendars);
        }
        memory.round.clone()
    }

    /// What holds if the turn becomes durable.
    pub(super) fn propose(&self, round: Round) {
        lock(&self.memory).proposed = Some(round);
    }

    /// The turn is durable, or it never was.
    pub(super) fn turn_ended(&self, settled: Settled) {
        let mut memory = lock(&self.memory);
        match (settled, memory.proposed.take()) {
            (Settled::Committed, Some(round)) => memory.round = round,
            (Settled::Committed, None) => {}
            // One that makes turns fail must not keep the others from theirs: neither those behind it, nor those that
            // had theirs, because it may be the only one that is left of the round for ever.
            (Settled::Dropped, _) => {
                let after = memory.round.first().map_or(0, |first| first.calendar + 1);
                memory.round.begin(after, self.calendars);
            }
        }
    }
}

impl Round {
    /// Begins a round with the calendar `from`, or the first if there is none.
    fn begin(&mut self, from: usize, calendars: usize) {
        let failed_before = |calendar| self.failing.contains_key(&calendar);
        let waiting = |calendar| QueuedCalendar {
            calendar,
            is_new: true,
            moved: false,
            failed_before: failed_before(calendar),
        };
        let mut queue: VecDeque<QueuedCalendar> = (0..calendars).map(waiting).collect();
        queue.rotate_left(from.checked_rem(calendars).unwrap_or_default());
        (self.queue, self.worked) = (queue, false);
    }

    /// The calendar whose turn it is.
    pub(super) fn first(&self) -> Option<QueuedCalendar> {
        self.queue.front().copied()
    }

    /// The first calendar took a step.
    pub(super) fn worked(&mut self, step: Step) -> Next {
        self.worked = true;
        let Some(first) = self.queue.front_mut() else { return self.wait() };
        (first.is_new, first.moved) = (false, true);
        let QueuedCalendar { calendar, failed_before, .. } = *first;
        match step {
            Step::More => {
                if let Some(failing) = self.failing.get_mut(&calendar) {
                    failing.quiet = !failing.lasts;
                }
                return self.wait();
            }
            Step::Done => drop(self.failing.remove(&calendar)),
            Step::Anew(failing) => {
                drop(self.failing.insert(calendar, FailingCalendar { lasts: failed_before, ..failing }))
            }
        }
        self.queue.pop_front();
        self.wait()
    }

    /// The first calendar did not work. It leaves the queue, so a round ends whatever fails. One that came further
    /// before has another try when the others are through.
    pub(super) fn failed(&mut self, failing: FailingCalendar) {
        let Some(first) = self.queue.pop_front() else { return };
        if first.moved && failing.is_transient {
            self.queue.push_back(QueuedCalendar { moved: false, ..first });
        }
        self.failing.insert(first.calendar, FailingCalendar { lasts: first.failed_before, ..failing });
    }

    /// When to go on after calendars that did not work.
    ///
    /// # Errors
    /// When none worked in the whole round: then nothing of the source works, and the runtime knows best when to try
    /// again. Soon, if one of them may work then.
    pub(super) fn next(&self) -> Result<Next, Failure> {
        let passing = self.failing.values().find(|failing| failing.is_transient);
        match passing.or(self.failing.values().next()) {
            Some(failing) if self.queue.is_empty() && !self.worked => Err(self.failure(failing)),
            _ => Ok(self.wait()),
        }
    }

    /// What is wrong, calendar by calendar.
    pub(super) fn troubles(&self) -> Vec<Failure> {
        let told = self.failing.values().filter(|failing| !failing.quiet);
        told.map(|failing| failing.trouble.failure()).collect()
    }

    fn failure(&self, failing: &FailingCalendar) -> Failure {
        let failure = failing.trouble.failure();
        match self.failing.len() {
            0 | 1 => failure,
            all => Failure { cause: anyhow!("{:#} (and {} more)", failure.cause, all - 1), ..failure },
        }
    }

    fn wait(&self) -> Next {
        if self.queue.is_empty() { Next::Wait } else { Next::More }
    }
}
