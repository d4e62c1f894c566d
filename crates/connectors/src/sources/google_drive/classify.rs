//! What the difference between two states of a file means. No I/O and no state.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::snapshot::Snapshot;
use crate::google::timestamp;
use crate::textdiff::TextDiff;

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Created,
    Updated,
    Moved,
    Trashed,
    Untrashed,
    SharedWithYou,
    Removed,
}

/// What is known of the text of a file beside its hash in the snapshot.
#[derive(Debug, Default)]
pub(super) struct TextComparison {
    /// It was read just now.
    pub(super) is_read: bool,
    /// What changed since it was read before.
    pub(super) diff: Option<TextDiff>,
}

/// What happened to a file that is known, in the order of its events.
pub(super) fn known(before: &Snapshot, now: &Snapshot, reading: &TextComparison) -> Vec<Kind> {
    let mut kinds = Vec::new();
    if sorted(&before.parents) != sorted(&now.parents) {
        kinds.push(Kind::Moved);
    }
    match (before.trashed, now.trashed) {
        (false, true) => kinds.push(Kind::Trashed),
        (true, false) => kinds.push(Kind::Untrashed),
        _ => {}
    }
    if becomes_shared(before, now) {
        kinds.push(Kind::SharedWithYou);
    }
    let shows = || reading.diff.is_some() || !updates(before, now).is_empty();
    if is_updated(before, now, reading.is_read, kinds.is_empty()) && shows() {
        kinds.push(Kind::Updated);
    }
    kinds
}

/// What a file means that was not known: nothing, if it was there at `baseline` already, as far as its own times say.
pub(super) fn first_seen(now: &Snapshot, baseline: Timestamp) -> Option<Kind> {
    let is_later =
        |text: &Option<String>| text.as_deref().and_then(timestamp::read).is_some_and(|at| at > baseline);
    let is_shared_later = now.is_shared_with_me() && is_later(&now.shared_with_me_time);
    appeared(now).filter(|_| is_shared_later || is_later(&now.created_time))
}

/// What a file means that is new.
pub(super) fn appeared(now: &Snapshot) -> Option<Kind> {
    if now.is_shared_with_me() {
        return Some(Kind::SharedWithYou);
    }
    now.is_owned().then_some(Kind::Created)
}

/// Whether something changed that the text may have changed with.
pub(super) fn may_be_updated(before: &Snapshot, now: &Snapshot) -> bool {
    !now.is_folder() && (differs(before, now) || before.modified_time != now.modified_time)
}

/// The fields of an update that changed, with the values before and after.
pub(super) fn updates(before: &Snapshot, now: &Snapshot) -> Map<String, Value> {
    let fields = |file: &Snapshot| {
        [
            ("name", json!(file.name)),
            ("mimeType", json!(file.mime_type)),
            ("modificationDate", json!(file.modified_time)),
            ("description", json!(file.description)),
            ("lastModifyingUser", json!(file.last_modifying_user)),
            ("webViewLink", json!(file.web_view_link)),
            ("size", json!(file.size)),
        ]
    };
    let pairs = fields(before).into_iter().zip(fields(now));
    let changed = pairs.filter(|((_, before), (_, after))| before != after);
    changed
        .map(|((name, before), (_, after))| (name.to_owned(), json!({ "before": before, "after": after })))
        .collect()
}

fn is_updated(before: &Snapshot, now: &Snapshot, is_read: bool, is_alone: bool) -> bool {
    if now.is_folder() {
        // The rest of a folder changes with what is in it. Old entries may not hold a name.
        return before.name.is_some() && before.name != now.name || before.description != now.description;
    }
    if differs(before, now) {
        return true;
    }
    if let (Some(old), Some(new)) = (&before.content_hash, &now.content_hash) {
        if old != new {
            return true;
        }
        if is_read {
            return false;
        }
    }
    is_alone && before.modified_time != now.modified_time
}

fn differs(before: &Snapshot, now: &Snapshot) -> bool {
    before.name != now.name
        || before.mime_type != now.mime_type
        || before.description != now.description
        || before.last_modifying_user != now.last_modifying_user
        || before.web_view_link != now.web_view_link
        || before.size != now.size
}

fn becomes_shared(before: &Snapshot, now: &Snapshot) -> bool {
    if !now.is_shared_with_me() {
        return false;
    }
    if before.is_owned() {
        return true;
    }
    match (&before.shared_with_me_time, &now.shared_with_me_time) {
        (Some(old), Some(new)) => new > old,
        (None, Some(_)) => true,
        (_, None) => {
            (before.sharing_user.is_none() && now.sharing_user.is_some()) || !before.is_shared_with_me()
        }
    }
}

fn sorted(parents: &[String]) -> Vec<&str> {
    let mut parents: Vec<&str> = parents.iter().map(String::as_str).collect();
    parents.sort_unstable();
    parents
}

#[cfg(test)]
mod tests;
