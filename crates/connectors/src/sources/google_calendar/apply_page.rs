//! Applies the items of a page: compares each with its snapshot, emits events, and updates the snapshot. Left out: what
//! an item means (`classify`).

use std::borrow::Cow;
use std::collections::HashMap;

use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::{Draft, Failure};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::classify::{Bounds, Change, Decision, SnapshotAction, judge};
use super::context::CalendarContext;
use super::payload;
use super::state::{Keys, Mode, Pass, snapshot};
use crate::google::{is_id, timestamp};

/// How far the service's clock and the store's may be apart.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Handles the items of a page of a calendar of this zone, and counts into the pass.
///
/// # Errors
/// When the state cannot be read, or the turn becomes too large.
pub(super) async fn items(
    context: &CalendarContext,
    keys: Keys<'_>,
    draft: &mut Draft<'_>,
    (pass, zone): (&mut Pass, &TimeZone),
    items: &[Value],
) -> Result<(), Failure> {
    let prefix = keys.snapshots();
    let items: Vec<(&str, &Value)> = items.iter().filter_map(|item| Some((id(item)?, item))).collect();
    let names: Vec<String> = items.iter().map(|(id, _)| format!("{prefix}{id}")).collect();
    let entries = draft.entries(&names).await?.into_iter().flatten();
    // One that is none any more is there, and unknown.
    let mut snapshots: HashMap<String, Option<Cow<'_, Value>>> =
        entries.map(|entry| (entry.key.clone(), snapshot(&entry).map(Cow::Owned))).collect();
    let bounds = context.bounds(draft.now(), pass, zone);
    for ((_, item), key) in items.into_iter().zip(names) {
        let snapshot = snapshots.get(&key).and_then(Option::as_deref);
        let Some(verdict) = decide(context, pass, &bounds, item, snapshot) else { continue };
        count(pass, &verdict);
        for change in verdict.changes {
            draft.emit(payload::event(keys.0, change, Some(item), snapshot, context.attendee_limit)?)?;
        }
        match verdict.action {
            SnapshotAction::Keep => {
                draft.put(&key, item, context.expiry(item, zone))?;
                snapshots.insert(key, Some(Cow::Borrowed(item)));
            }
            SnapshotAction::Drop if snapshots.remove(&key).is_some() => draft.delete(&key)?,
            SnapshotAction::Drop => {}
        }
    }
    Ok(())
}

/// The id of an item that can be part of a key; the service makes no others.
pub(super) fn id(item: &Value) -> Option<&str> {
    item["id"].as_str().filter(|id| is_id(id))
}

/// What becomes of an item in this pass; `None`: nothing.
fn decide(
    context: &CalendarContext,
    pass: &Pass,
    bounds: &Bounds,
    item: &Value,
    snapshot: Option<&Value>,
) -> Option<Decision> {
    if context.drops(item) || snapshot.is_some_and(|snapshot| context.drops(snapshot)) {
        return Some(Decision::ignored());
    }
    match pass.mode {
        // What appears or changes during the baseline belongs to it.
        Mode::Baseline if context.start == StartAt::Now => Some(silent(judge(item, None, bounds))),
        Mode::Baseline if snapshot.is_none() && !is_news(item, context.start) => {
            Some(silent(judge(item, None, bounds)))
        }
        // What is known is left to the sync token, and so is what changed since it was given.
        Mode::Widen if snapshot.is_some() || changed_at(item).is_some_and(|at| at >= pass.began - SKEW) => {
            None
        }
        Mode::Widen => Some(silent(judge(item, None, bounds))),
        _ => Some(judge(item, snapshot, bounds)),
    }
}

fn silent(verdict: Decision) -> Decision {
    Decision { changes: Vec::new(), ..verdict }
}

fn count(pass: &mut Pass, verdict: &Decision) {
    if verdict.changes.contains(&Change::Deleted) {
        pass.deleted += 1;
    } else if !verdict.changes.is_empty() {
        pass.found += 1;
    }
}

/// Whether the first listing reports an item.
fn is_news(item: &Value, start: StartAt) -> bool {
    match start {
        StartAt::Now => false,
        StartAt::All => true,
        StartAt::Since(since) => {
            item["created"].as_str().and_then(timestamp::read).is_some_and(|at| at >= since)
        }
    }
}

fn changed_at(item: &Value) -> Option<Timestamp> {
    timestamp::read(item["updated"].as_str()?)
}
