//! What an item of an answer means, given what is known of it: which events it makes and what becomes of its snapshot.
//! A function of its arguments. Left out: what the events hold (`payload`), and where snapshots are.

use jiff::Timestamp;
use serde_json::Value;

use super::times::{Times, is_instance};
use super::{attendees, payload};

/// What happened to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It is there and was not, as far as was reported.
    Created,
    /// It says something else.
    Updated,
    /// It is no longer there, or no longer among what is reported.
    Deleted,
    /// An attendee answered, came or went.
    RsvpChanged,
}

/// What becomes of the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The item is the snapshot now.
    Keep,
    /// There is none any more.
    Drop,
}

/// What is decided about an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The events, in their order.
    pub(super) changes: Vec<Change>,
    /// The snapshot.
    pub(super) fate: Fate,
}

/// What is reported, by time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The time of the turn.
    pub(super) now: Timestamp,
    /// What ended before is forgotten; `None`: nothing is.
    pub(super) oldest: Option<Timestamp>,
    /// What starts then or later is not reported yet.
    pub(super) horizon: Timestamp,
}

impl Verdict {
    fn new(changes: impl Into<Vec<Change>>, fate: Fate) -> Self {
        Self { changes: changes.into(), fate }
    }

    /// Nothing to report, nothing to remember.
    pub(super) fn ignored() -> Self {
        Self::new([], Fate::Drop)
    }
}

/// Whether an item is no event any more.
pub(super) fn is_cancelled(item: &Value) -> bool {
    item["status"] == "cancelled"
}

/// Decides about an item that no filter drops. `snapshot` may be one that was cancelled already, which counts as
/// unknown: so its instance is created when it is confirmed again, and not deleted twice.
pub(super) fn judge(item: &Value, snapshot: Option<&Value>, bounds: &Bounds) -> Verdict {
    let known = snapshot.filter(|snapshot| !is_cancelled(snapshot));
    let (own, before) = (Times::of(item), known.map(Times::of));
    if own.are_over(bounds.now) && before.is_some_and(|before| !before.are_over(bounds.now)) {
        return Verdict::new([Change::Deleted], Fate::Drop);
    }
    let times = if own.are_known() { own } else { before.unwrap_or_default() };
    if times.end.zip(bounds.oldest).is_some_and(|(end, oldest)| end < oldest) {
        return Verdict::ignored();
    }
    if times.are_over(bounds.now) {
        let stays = known.is_some() && !is_cancelled(item);
        return Verdict::new([], if stays { Fate::Keep } else { Fate::Drop });
    }
    // Known and beyond the horizon is what a smaller window leaves out, which is no news.
    let is_told = before.is_some_and(|before| before.start.is_none_or(|start| start < bounds.horizon));
    let gone = if is_told { vec![Change::Deleted] } else { Vec::new() };
    if times.start.is_some_and(|start| start >= bounds.horizon) {
        return Verdict::new(gone, Fate::Drop);
    }
    if is_cancelled(item) {
        let stays = is_instance(item) && snapshot.is_some();
        return Verdict::new(gone, if stays { Fate::Keep } else { Fate::Drop });
    }
    match known {
        None => Verdict::new([Change::Created], Fate::Keep),
        Some(known) => Verdict::new(differences(known, item), Fate::Keep),
    }
}

fn differences(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    if attendees::answers(before) != attendees::answers(after) {
        changes.push(Change::RsvpChanged);
    }
    if payload::differ(before, after) {
        changes.push(Change::Updated);
    }
    changes
}
