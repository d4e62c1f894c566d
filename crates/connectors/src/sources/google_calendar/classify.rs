//! What an item of an answer means, given what is known of it: which events it makes and what becomes of its snapshot.
//! A function of its arguments. Left out: what the events hold (`payload`), and where snapshots are.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::times::{EventTimes, is_instance};
use super::{attendees, compare};
use crate::google::timestamp;

/// What happened to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It is there and was not, as far as was reported.
    Created,
    /// It says something else.
    Updated,
    /// It is no longer there.
    Deleted,
    /// An attendee answered, came or went.
    RsvpChanged,
}

/// What becomes of the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SnapshotAction {
    /// The item is the snapshot now.
    Keep,
    /// There is none any more.
    Drop,
}

/// What is decided about an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decision {
    /// The events, in their order.
    pub(super) changes: Vec<Change>,
    /// The snapshot.
    pub(super) action: SnapshotAction,
}

/// What is reported, by time.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    /// The zone of the calendar, whose midnights its whole days begin and end at.
    pub(super) zone: TimeZone,
    /// The time of the turn.
    pub(super) now: Timestamp,
    /// What ended before is forgotten; `None`: nothing is.
    pub(super) oldest: Option<Timestamp>,
    /// What starts then or later is not reported yet.
    pub(super) horizon: Timestamp,
}

impl Decision {
    fn new(changes: impl Into<Vec<Change>>, action: SnapshotAction) -> Self {
        Self { changes: changes.into(), action }
    }

    /// Nothing to report, nothing to remember.
    pub(super) fn ignored() -> Self {
        Self::new([], SnapshotAction::Drop)
    }
}

/// Whether an item is no event any more.
pub(super) fn is_cancelled(item: &Value) -> bool {
    item["status"] == "cancelled"
}

/// Decides about an item that no filter drops. `snapshot` may be one that was cancelled already, which counts as
/// unknown: so its instance is created when it is confirmed again, and not deleted twice.
///
/// What is known was reported, or was there before anything was. As long as the service does not cancel it, it is in
/// the calendar, wherever it is moved to: a meeting that ends early or moves into next year is updated, and only what
/// was over before and is over now is not reported.
pub(super) fn judge(item: &Value, snapshot: Option<&Value>, bounds: &Bounds) -> Decision {
    let known = snapshot.filter(|snapshot| !is_cancelled(snapshot));
    if is_cancelled(item) {
        return judge_cancelled(item, known, snapshot.is_some(), bounds);
    }
    let own = EventTimes::of(item, &bounds.zone);
    let Some(known) = known else {
        let is_reported = !bounds.are_over(&own) && !bounds.are_beyond(&own);
        return if is_reported {
            Decision::new([Change::Created], SnapshotAction::Keep)
        } else {
            Decision::ignored()
        };
    };
    let before = EventTimes::of(known, &bounds.zone);
    let times = if own.are_known() { own } else { before };
    let action = if bounds.are_forgotten(&times) { SnapshotAction::Drop } else { SnapshotAction::Keep };
    if bounds.are_over(&before) && bounds.are_over(&times) {
        return Decision::new([], action);
    }
    Decision::new(differences(known, item), action)
}

/// Decides about an item that is no event any more.
fn judge_cancelled(item: &Value, known: Option<&Value>, is_noted: bool, bounds: &Bounds) -> Decision {
    // Of an instance that was reported the cancelled resource stays. Some come with a date of long ago.
    let stays = is_noted && is_instance(item) && !bounds.are_over(&EventTimes::of(item, &bounds.zone));
    let action = if stays { SnapshotAction::Keep } else { SnapshotAction::Drop };
    let Some(known) = known else { return Decision::new([], action) };
    if bounds.is_past(known) {
        return Decision::ignored();
    }
    Decision::new([Change::Deleted], action)
}

impl Bounds {
    fn are_over(&self, times: &EventTimes) -> bool {
        times.are_over(self.now)
    }

    fn are_beyond(&self, times: &EventTimes) -> bool {
        times.start.is_some_and(|start| start >= self.horizon)
    }

    fn are_forgotten(&self, times: &EventTimes) -> bool {
        times.end.zip(self.oldest).is_some_and(|(end, oldest)| end < oldest)
    }

    /// Whether a known event is over by the passing of time, so that its end is no news. One that a change has made end
    /// before the change is not.
    pub(super) fn is_past(&self, known: &Value) -> bool {
        let times = EventTimes::of(known, &self.zone);
        let changed = known["updated"].as_str().and_then(timestamp::read);
        let ended_by_change = times.end.zip(changed).is_some_and(|(end, changed)| end <= changed);
        self.are_over(&times) && !ended_by_change
    }
}

fn differences(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    if attendees::answers(before) != attendees::answers(after) {
        changes.push(Change::RsvpChanged);
    }
    if compare::differ(before, after) {
        changes.push(Change::Updated);
    }
    changes
}
