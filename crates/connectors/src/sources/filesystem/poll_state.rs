//! What the source holds in memory between two polls, and what it decides to do in the next one. All of it can be lost:
//! the next start looks at everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use inboxclaw_contract::{Next, Settled};
use jiff::{SignedDuration, Timestamp};

use super::config::{Config, WatchMode};
use super::deferred::{DeferredFiles, Note, SMALL};
use super::inbox::Scopes;
use super::pass::Pass;
use super::path::RelPath;
use super::problems::{Findings, Unfollowed, Unreadable};
use super::root::Root;
use crate::lock::lock;

/// What cannot be read is looked at again after so long.
const RETRY: Duration = Duration::from_secs(45);
/// No notification says that a folder above the root was renamed or that a disk was mounted over it: the root is looked
/// for this often.
const ROOT: Duration = Duration::from_secs(30);

/// No poll is asked for sooner, but for one that goes on at once.
const LEAST: Duration = Duration::from_millis(100);

/// Between two polls.
#[derive(Default)]
pub(super) struct PollState {
    /// A pass that goes on in the next turn.
    pass: Option<Pass>,
    /// A pass over a large file in the background, which goes on when there is nothing else to do.
    background: Option<(RelPath, Pass)>,
    /// Whether such a pass comes next, though there may be news: each has every second turn.
    is_background_next: bool,
    /// The files of such passes, and those that are never at rest.
    pub(super) later: Arc<Mutex<DeferredFiles>>,
    /// What the pass looks at, to start over should a turn of it be lost.
    running: Scopes,
    /// What is to be looked at besides the news.
    todo: Scopes,
    /// What could not be read when it was last looked at, and when it is looked at again.
    unreadable: Unreadable,
    retry_at: Option<Timestamp>,
    /// What is there and was not looked at.
    unfollowed: Unfollowed,
    /// The root of the last poll.
    root: Option<Root>,
    last_poll: Option<Timestamp>,
    /// When everything was last looked at.
    last_all: Option<Timestamp>,
    /// By when a poll was asked for, the last time.
    asked_for: Option<Timestamp>,
    /// Becomes true if the turn is committed.
    pending: Option<PollEnd>,
}

/// How a poll ended.
pub(super) enum PollEnd {
    /// The pass goes on; with the file if it is one in the background.
    Unfinished(Box<Pass>, Option<RelPath>),
    /// The pass is over.
    Finished {
        /// Whether it looked at everything.
        all: bool,
        /// When.
        at: Timestamp,
        findings: Findings,
        /// The file, if it was a pass in the background.
        background: Option<RelPath>,
    },
}

/// What a poll is to do.
pub(super) enum PollAction {
    /// Go on.
    Resume(Box<Pass>),
    /// Look at these.
    Look(Scopes),
    /// Read a file in the background, or go on with it.
    Background(RelPath, Option<Box<Pass>>),
    /// Nothing.
    Idle,
}

/// What a poll starts from.
pub(super) struct PollContext<'a> {
    pub(super) config: &'a Config,
    pub(super) root: &'a Root,
    /// Whether the watcher sees everything.
    pub(super) is_watching: bool,
    /// Whether everything has to be looked at, whatever the news are.
    pub(super) needs_all: bool,
    pub(super) now: Timestamp,
}

impl PollState {
    /// Decides what a poll does.
    pub(super) fn start(&mut self, context: &PollContext<'_>, news: impl FnOnce() -> Scopes) -> PollAction {
        let PollContext { config, root, now, .. } = *context;
        let since = |before: Option<Timestamp>| before.map(|before| now.duration_since(before));
        let since_poll = since(self.last_poll);
        self.last_poll = Some(now);
        let is_expected = self.asked_for.take().is_some_and(|at| at <= now);
        let old_root = self.root.replace(root.clone());
        if let Some(pass) = self.pass.take() {
            return PollAction::Resume(Box::new(pass));
        }
        let is_background_next = std::mem::take(&mut self.is_background_next) && !context.needs_all;
        if is_background_next && let Some(start) = self.background(now) {
            return start;
        }
        // News leave the inbox only here, where they become `running`: from there a turn that is dropped gives them
        // back.
        let mut scopes = std::mem::take(&mut self.todo);
        scopes.merge(news());
        scopes.merge(self.due(config, now));
        scopes.all |= context.needs_all || old_root.is_some_and(|old| !old.is_same(root));
        let by_timer = config.watch_mode != WatchMode::Watch || !context.is_watching;
        let is_due = since(self.last_all).is_none_or(|since| since >= signed(config.interval));
        // Without news, the timer polls, or somebody asks: after an edit of the state, or by hand. A watcher that
        // sees everything leaves nothing to find at the timer.
        let is_asked = since_poll.is_none_or(|since| since < signed(config.interval) * 9 / 10);
        let is_surprise = scopes.is_empty() && !is_expected;
        scopes.all |= (by_timer && is_due) || (is_surprise && (by_timer || is_asked));
        if scopes.is_empty() {
            return self.background(now).unwrap_or(PollAction::Idle);
        }
        self.running = scopes.clone();
        PollAction::Look(scopes)
    }

    /// What is due without news: small files that were not at rest, and what could not be read.
    fn due(&mut self, config: &Config, now: Timestamp) -> Scopes {
        let is_cheap = |size| size <= SMALL || size > config.hash_bytes;
        let mut paths: BTreeSet<RelPath> = lock(&self.later).take_cheap(now, is_cheap).into_iter().collect();
        if self.retry_at.is_some_and(|at| at <= now) {
            paths.extend(self.unreadable.paths().cloned());
        }
        Scopes { all: false, paths }
    }

    fn background(&mut self, now: Timestamp) -> Option<PollAction> {
        if let Some((path, pass)) = self.background.take() {
            return Some(PollAction::Background(path, Some(Box::new(pass))));
        }
        let path = lock(&self.later).take_smallest(now)?;
        Some(PollAction::Background(path, None))
    }

    /// More to look at in the pass that runs.
    pub(super) fn extend(&mut self, paths: &BTreeSet<RelPath>) {
        self.running.paths.extend(paths.iter().cloned());
    }

    /// The pass that runs, or the next one, has to look at everything.
    pub(super) fn want_all(&mut self) {
        self.running.merge(Scopes::everything());
    }

    /// What is reported as problems and notices, given what a pass over `scopes` found so far.
    pub(super) fn findings(&self, scopes: &Scopes, found: Findings, is_finished: bool) -> Findings {
        let root = BTreeSet::from([RelPath::root()]);
        let none = BTreeSet::new();
        let replaced = match (is_finished, scopes.all) {
            (false, _) => &none,
            (true, true) => &root,
            (true, false) => &scopes.paths,
        };
        let mut findings =
            Findings { unreadable: self.unreadable.clone(), unfollowed: self.unfollowed.clone() };
        findings.unreadable.replace(replaced, found.unreadable);
        findings.unfollowed.replace(replaced, found.unfollowed);
        findings
    }

    /// Takes note of how a poll ended, and says when the next one is to be.
    pub(super) fn end(&mut self, pending: PollEnd, context: &PollContext<'_>) -> Next {
        let now = context.now;
        let is_background = match &pending {
            PollEnd::Unfinished(_, background) | PollEnd::Finished { background, .. } => background.is_some(),
        };
        let is_unfinished = matches!(pending, PollEnd::Unfinished(..));
        if let PollEnd::Finished { findings, .. } = &pending {
            let is_due = self.retry_at.is_none_or(|at| at <= now);
            let retry = if is_due { now.checked_add(RETRY).ok() } else { self.retry_at };
            self.retry_at = retry.filter(|_| !findings.unreadable.is_empty());
        }
        self.is_background_next = !is_background;
        self.pending = Some(pending);
        if is_unfinished { self.more(now) } else { self.next(context) }
    }

    /// Takes note of how files behaved.
    pub(super) fn note(&self, notes: BTreeMap<RelPath, (u64, Note)>, now: Timestamp) {
        let mut later = lock(&self.later);
        for (path, (size, note)) in notes {
            later.note(&path, size, note, now);
        }
        later.forget_resting(now);
    }

    /// When the next poll is to be, if nothing is to be done now.
    pub(super) fn next(&mut self, context: &PollContext<'_>) -> Next {
        let now = context.now;
        let until = |at: Timestamp| Duration::try_from(at.duration_since(now)).unwrap_or_default();
        let later =
            if self.background.is_some() { Some(Duration::ZERO) } else { lock(&self.later).wait(now) };
        let is_lost_unseen = context.config.watch_mode != WatchMode::Poll && context.config.interval > ROOT;
        let root = is_lost_unseen.then_some(ROOT);
        match [later, self.retry_at.map(until), root].into_iter().flatten().min() {
            Some(Duration::ZERO) => self.more(now),
            Some(wait) => {
                // The timer of the looks at everything is not put off by this one.
                let by_timer = context.config.watch_mode != WatchMode::Watch || !context.is_watching;
                let last = self.last_all.filter(|_| by_timer).map(|last| now.duration_since(last));
                let past = last.and_then(|past| Duration::try_from(past).ok()).unwrap_or_default();
                let wait = wait.min(context.config.interval.saturating_sub(past).max(LEAST));
                self.asked_for = now.checked_add(wait).ok();
                Next::Within(wait)
            }
            None => Next::Wait,
        }
    }

    fn more(&mut self, now: Timestamp) -> Next {
        self.asked_for = Some(now);
        Next::More
    }

    /// Moves on, or starts over.
    pub(super) fn turn_ended(&mut self, settled: Settled) {
        match (settled, self.pending.take()) {
            (Settled::Committed, Some(PollEnd::Unfinished(pass, background))) => {
                self.go_on(*pass, background)
            }
            (Settled::Committed, Some(PollEnd::Finished { all, at, findings, background })) => {
                if background.is_none() {
                    self.running = Scopes::default();
                }
                (self.unreadable, self.unfollowed) = (findings.unreadable, findings.unfollowed);
                if all {
                    self.last_all = Some(at);
                }
            }
            (Settled::Committed, None) => {}
            (Settled::Dropped, Some(PollEnd::Unfinished(pass, background))) if !pass.is_writing() => {
                self.go_on(*pass, background);
            }
            (Settled::Dropped, pending) => {
                let file = match pending {
                    Some(PollEnd::Unfinished(_, file) | PollEnd::Finished { background: file, .. }) => file,
                    None => None,
                };
                if let Some(file) = file.or(self.background.take().map(|(file, _)| file)) {
                    lock(&self.later).put_back(&file);
                }
                self.pass = None;
                self.todo.merge(std::mem::take(&mut self.running));
            }
        }
    }

    fn go_on(&mut self, pass: Pass, background: Option<RelPath>) {
        match background {
            Some(file) => self.background = Some((file, pass)),
            None => self.pass = Some(pass),
        }
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
