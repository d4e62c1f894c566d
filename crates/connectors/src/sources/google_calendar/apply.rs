//! Takes the items of a page: compares each with its snapshot, emits, and brings the snapshot up to date. Left out:
//! what an item means (`classify`).

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::{Draft, Expiry, Failure};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::classify::{Bounds, Change, Fate, Verdict, judge};
use super::passes::Desk;
use super::state::{Keys, Mode, Pass, snapshot};
use super::times::{Times, is_series};
use super::{Field, attendees, payload};
use crate::google::{is_id, stamp};

/// How much longer than `max_event_age_days` a snapshot stays, for times when the program is off.
const GRACE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How far the service's clock and the store's may be apart.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Handles the items of a page and counts into the pass.
///
/// # Errors
/// When the state cannot be read, or the turn becomes too large.
pub(super) async fn items(
    desk: &Desk,
    keys: Keys<'_>,
    draft: &mut Draft<'_>,
    pass: &mut Pass,
    items: &[Value],
) -> Result<(), Failure> {
    let prefix = keys.snapshots();
    let items: Vec<(&str, &Value)> = items.iter().filter_map(|item| Some((id(item)?, item))).collect();
    let names: Vec<String> = items.iter().map(|(id, _)| format!("{prefix}{id}")).collect();
    let entries = draft.entries(&names).await?.into_iter().flatten();
    // One that is none any more is there, and unknown.
    let mut snapshots: HashMap<String, Option<Cow<'_, Value>>> =
        entries.map(|entry| (entry.key.clone(), snapshot(&entry).map(Cow::Owned))).collect();
    let bounds = desk.bounds(draft.now(), pass);
    for ((_, item), key) in items.into_iter().zip(names) {
        let snapshot = snapshots.get(&key).and_then(Option::as_deref);
        let Some(verdict) = decide(desk, pass, &bounds, item, snapshot) else { continue };
        count(pass, &verdict);
        for change in verdict.changes {
            draft.emit(payload::event(keys.0, change, Some(item), snapshot, desk.attendee_limit)?)?;
        }
        match verdict.fate {
            Fate::Keep => {
                draft.put(&key, item, desk.expiry(item))?;
                snapshots.insert(key, Some(Cow::Borrowed(item)));
            }
            Fate::Drop if snapshots.remove(&key).is_some() => draft.delete(&key)?,
            Fate::Drop => {}
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
    desk: &Desk,
    pass: &Pass,
    bounds: &Bounds,
    item: &Value,
    snapshot: Option<&Value>,
) -> Option<Verdict> {
    if desk.drops(item) || snapshot.is_some_and(|snapshot| desk.drops(snapshot)) {
        return Some(Verdict::ignored());
    }
    match pass.mode {
        // What appears or changes during the baseline belongs to it.
        Mode::Baseline if desk.start == StartAt::Now => Some(silent(judge(item, None, bounds))),
        Mode::Baseline if snapshot.is_none() && !is_news(item, desk.start) => {
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

fn silent(verdict: Verdict) -> Verdict {
    Verdict { changes: Vec::new(), ..verdict }
}

fn count(pass: &mut Pass, verdict: &Verdict) {
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
        StartAt::Since(since) => item["created"].as_str().and_then(stamp::read).is_some_and(|at| at >= since),
    }
}

fn changed_at(item: &Value) -> Option<Timestamp> {
    stamp::read(item["updated"].as_str()?)
}

impl Desk {
    /// What is reported in a pass. Changes are seen from the present, a listing by the stretch that it covers.
    pub(super) fn bounds(&self, now: Timestamp, pass: &Pass) -> Bounds {
        // An age beyond the beginning of time is as good as none.
        let oldest = self.max_age.and_then(|age| now.checked_sub(age).ok());
        Bounds { now, oldest, horizon: pass.until }
    }

    /// Whether a filter drops an item.
    pub(super) fn drops(&self, item: &Value) -> bool {
        self.filters.matches(|field| [Cow::Owned(text(item, field))])
    }

    /// How long a snapshot stays.
    pub(super) fn expiry(&self, item: &Value) -> Expiry {
        let end = Times::of(item).end.filter(|_| !is_series(item));
        let until =
            end.zip(self.max_age).and_then(|(end, age)| end.checked_add(age).ok()?.checked_add(GRACE).ok());
        until.map_or(Expiry::Never, Expiry::Until)
    }
}

/// What a filter looks at.
fn text(item: &Value, field: Field) -> String {
    let plain = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let joined = |texts: Vec<&str>| texts.join(" ");
    match field {
        Field::Summary => plain(&item["summary"]),
        Field::Description => plain(&item["description"]),
        Field::Location => plain(&item["location"]),
        Field::Organizer => {
            let organizer = &item["organizer"];
            joined(
                [&organizer["email"], &organizer["displayName"]]
                    .into_iter()
                    .filter_map(Value::as_str)
                    .collect(),
            )
        }
        Field::Attendees => {
            joined(attendees::of(item).iter().filter_map(|attendee| attendee["email"].as_str()).collect())
        }
    }
}
