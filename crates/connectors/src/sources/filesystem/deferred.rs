//! Debounce and back-off for single files: large files, which must not hold up small ones, and files that change all
//! the time, which must not be read all the time. Held in memory only: after a start the first full pass finds them
//! again.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::path::RelPath;

/// Largest file, in bytes, that is read while others wait.
pub(super) const SMALL: u64 = 1 << 20;
/// How long a file may be unstable before it is reported by its size and times, unread.
const GIVE_UP_AFTER: SignedDuration = SignedDuration::from_secs(30);
/// The first wait for a file to come to rest; it doubles.
const FIRST_SMALL: Duration = Duration::from_millis(250);
/// The same for a large one.
const FIRST_LARGE: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST_UNSTABLE: Duration = Duration::from_secs(8);
/// Reports in a row without a wait, and the longest wait after that: a person who saves a note again and again is not
/// to notice, a log is not to become a stream of events.
const SMALL_PACE: (u32, Duration) = (5, Duration::from_secs(10));
/// The same for large files.
const LARGE_PACE: (u32, Duration) = (1, Duration::from_secs(300));
/// A file that did not change for so long after its wait was over is at rest.
const REST: Duration = Duration::from_secs(10);

/// The files that are looked at later, and those that changed lately.
#[derive(Debug, Default)]
pub(super) struct DeferredFiles {
    files: BTreeMap<RelPath, Pace>,
}

/// How a file behaved lately.
#[derive(Debug)]
struct Pace {
    size: u64,
    /// Whether it is to be looked at when it is due.
    is_wanted: bool,
    /// Not before.
    due: Timestamp,
    /// The wait that ends then.
    wait: Duration,
    /// Changes in a row, without a rest.
    changes: u32,
    /// Since when it was never seen at rest.
    unstable_since: Option<Timestamp>,
}

/// What a pass found out about a file that is for later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    /// It is large: look when nothing else is to be done.
    Large,
    /// It changed, and is not due.
    Early,
    /// It changed while it was looked at.
    Unstable,
    /// It is no longer there.
    Gone,
    /// A change was reported; `read` says whether of its content.
    Reported {
        /// Whether the content was read.
        read: bool,
    },
}

impl DeferredFiles {
    /// Takes note at `now` of what a pass found out about a file of that size.
    pub(super) fn note(&mut self, path: &RelPath, size: u64, note: Note, now: Timestamp) {
        if note == Note::Gone {
            self.files.remove(path);
            return;
        }
        let pace = self.files.entry(path.clone()).or_insert_with(|| Pace::new(size, now));
        pace.size = size;
        match note {
            Note::Large | Note::Early | Note::Gone => pace.is_wanted = true,
            Note::Unstable => {
                pace.is_wanted = true;
                pace.unstable_since.get_or_insert(now);
                let first = if size <= SMALL { FIRST_SMALL } else { FIRST_LARGE };
                pace.again(now, doubled(first, pace.changes, LONGEST_UNSTABLE));
            }
            Note::Reported { read } => {
                pace.is_wanted = false;
                if read {
                    pace.unstable_since = None;
                }
                if pace.is_at_rest(now) {
                    (pace.changes, pace.unstable_since) = (0, None);
                }
                let (free, longest) = if size <= SMALL { SMALL_PACE } else { LARGE_PACE };
                let wait = match (pace.changes + 1).checked_sub(free) {
                    Some(over @ 1..) => doubled(FIRST_LARGE, over - 1, longest),
                    _ => Duration::ZERO,
                };
                pace.again(now, wait);
            }
        }
    }

    /// Whether a change at the path has to wait.
    pub(super) fn is_early(&self, path: &RelPath, now: Timestamp) -> bool {
        self.files.get(path).is_some_and(|pace| now < pace.due)
    }

    /// Whether a file was unstable for so long that its size and times have to do.
    pub(super) fn is_restless(&self, path: &RelPath, now: Timestamp) -> bool {
        let since = self.files.get(path).and_then(|pace| pace.unstable_since);
        since.is_some_and(|since| now.duration_since(since) >= GIVE_UP_AFTER)
    }

    /// The small files that are due, as far as `is_cheap` says so of their size.
    pub(super) fn take_cheap(&mut self, now: Timestamp, is_cheap: impl Fn(u64) -> bool) -> Vec<RelPath> {
        let due = self.files.iter_mut().filter(|(_, pace)| pace.is_due(now) && is_cheap(pace.size));
        due.map(|(path, pace)| {
            pace.is_wanted = false;
            path.clone()
        })
        .collect()
    }

    /// The smallest file that is due.
    pub(super) fn take_smallest(&mut self, now: Timestamp) -> Option<RelPath> {
        let due = self.files.iter_mut().filter(|(_, pace)| pace.is_due(now));
        let (path, pace) = due.min_by_key(|(_, pace)| pace.size)?;
        pace.is_wanted = false;
        Some(path.clone())
    }

    /// Looks at a file again that was taken, since nothing came of it.
    pub(super) fn put_back(&mut self, path: &RelPath) {
        if let Some(pace) = self.files.get_mut(path) {
            pace.is_wanted = true;
        }
    }

    /// How long until the next file is due; zero when one is.
    pub(super) fn wait(&self, now: Timestamp) -> Option<Duration> {
        let wanted = self.files.values().filter(|pace| pace.is_wanted);
        let due = wanted.map(|pace| pace.due).min()?;
        Some(Duration::try_from(due.duration_since(now)).unwrap_or_default())
    }

    /// Forgets the files that are at rest.
    pub(super) fn forget_resting(&mut self, now: Timestamp) {
        self.files.retain(|_, pace| pace.is_wanted || !pace.is_at_rest(now));
    }
}

impl Pace {
    fn new(size: u64, now: Timestamp) -> Self {
        Self { size, is_wanted: false, due: now, wait: Duration::ZERO, changes: 0, unstable_since: None }
    }

    fn again(&mut self, now: Timestamp, wait: Duration) {
        self.changes = self.changes.saturating_add(1);
        self.wait = wait;
        self.due = now.checked_add(wait).unwrap_or(now);
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.is_wanted && self.due <= now
    }

    fn is_at_rest(&self, now: Timestamp) -> bool {
        let rest = self.wait.max(REST);
        self.due.checked_add(rest).is_ok_and(|end| end < now)
    }
}

/// A wait, doubled so often.
fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << times.min(16)).min(longest)
}
