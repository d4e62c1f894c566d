//! What the source holds between two polls. All of it can be lost: the next start looks at everything.

use std::collections::BTreeSet;
use std::time::Duration;

use inboxclaw_contract::Settled;
use jiff::{SignedDuration, Timestamp};

use super::pass::Pass;
use super::path::Rel;
use super::trouble::Unreadable;
use super::watch::Scopes;
use super::{Config, WatchMode};

/// Between two polls.
#[derive(Default)]
pub(super) struct Memory {
    /// A pass that goes on in the next turn.
    pass: Option<Pass>,
    /// What the pass looks at, to start over should a turn of it be lost.
    running: Scopes,
    /// What is to be looked at besides the news.
    todo: Scopes,
    /// What changed while it was looked at. Worth another look, but no reason to hurry.
    again: BTreeSet<Rel>,
    /// What could not be read when it was last looked at.
    unreadable: Unreadable,
    last_poll: Option<Timestamp>,
    /// When everything was last looked at.
    last_all: Option<Timestamp>,
    /// Becomes true if the turn is committed.
    pending: Option<Pending>,
}

/// How a poll ended.
pub(super) enum Pending {
    /// The pass goes on.
    Unfinished(Box<Pass>),
    /// The pass is over.
    Finished {
        /// Whether it looked at everything.
        all: bool,
        /// When.
        at: Timestamp,
        unreadable: Unreadable,
        again: BTreeSet<Rel>,
    },
}

/// What a poll is to do.
pub(super) enum Start {
    /// Go on.
    Resume(Box<Pass>),
    /// Look at these.
    Look(Scopes),
    /// Nothing.
    Rest,
}

impl Memory {
    /// Decides what a poll at `now` does. `is_watching` says whether the watcher sees everything.
    pub(super) fn start(
        &mut self,
        config: &Config,
        is_watching: bool,
        now: Timestamp,
        news: impl FnOnce() -> Scopes,
    ) -> Start {
        let since = |before: Option<Timestamp>| before.map(|before| now.duration_since(before));
        let since_poll = since(self.last_poll);
        self.last_poll = Some(now);
        if let Some(pass) = self.pass.take() {
            return Start::Resume(Box::new(pass));
        }
        let mut scopes = std::mem::take(&mut self.todo);
        scopes.merge(news());
        let by_timer = config.watch_mode != WatchMode::Watch || !is_watching;
        let is_due = since(self.last_all).is_none_or(|since| since >= signed(config.interval));
        // Without news, the timer polls, or somebody asks: after an edit of the state, or by hand. A watcher that
        // sees everything leaves nothing to find at the timer.
        let is_asked = since_poll.is_none_or(|since| since < signed(config.interval) * 9 / 10);
        if (by_timer && is_due) || (scopes.is_empty() && (by_timer || is_asked)) {
            scopes.all = true;
        }
        scopes.merge(Scopes { all: false, paths: std::mem::take(&mut self.again) });
        self.running = scopes.clone();
        if scopes.is_empty() { Start::Rest } else { Start::Look(scopes) }
    }

    /// More to look at in the pass that runs.
    pub(super) fn extend(&mut self, paths: &BTreeSet<Rel>) {
        self.running.paths.extend(paths.iter().cloned());
    }

    /// The pass that runs, or the next one, has to look at everything.
    pub(super) fn want_all(&mut self) {
        self.running.merge(Scopes { all: true, paths: BTreeSet::new() });
    }

    /// What cannot be read, given what a pass over `scopes` found so far.
    pub(super) fn unreadable(&self, scopes: &Scopes, found: Unreadable, is_finished: bool) -> Unreadable {
        let mut unreadable = self.unreadable.clone();
        let root = Rel::root();
        let everything = [&root];
        match (is_finished, scopes.all) {
            (false, _) => unreadable.replace([].into_iter(), found),
            (true, true) => unreadable.replace(everything.into_iter(), found),
            (true, false) => unreadable.replace(scopes.paths.iter(), found),
        }
        unreadable
    }

    /// Takes note of how a poll ended.
    pub(super) fn end(&mut self, pending: Pending) {
        self.pending = Some(pending);
    }

    /// Moves on, or starts over.
    pub(super) fn settled(&mut self, settled: Settled) {
        match (settled, self.pending.take()) {
            (Settled::Committed, Some(Pending::Unfinished(pass))) => self.pass = Some(*pass),
            (Settled::Committed, Some(Pending::Finished { all, at, unreadable, again })) => {
                self.running = Scopes::default();
                self.again = again;
                self.unreadable = unreadable;
                if all {
                    self.last_all = Some(at);
                }
            }
            (Settled::Committed, None) => {}
            (Settled::Dropped, Some(Pending::Unfinished(pass))) if !pass.is_writing() => {
                self.pass = Some(*pass)
            }
            (Settled::Dropped, _) => {
                self.pass = None;
                self.todo.merge(std::mem::take(&mut self.running));
            }
        }
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
