//! Goes through the snapshots of a calendar, some thousand in a turn: deletes what is beyond a smaller window, and
//! finds what a reconciliation did not list. Left out: what is listed (`apply_page`).

use inboxclaw_contract::{Draft, Entry, Failure};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::classify::{Change, is_cancelled};
use super::context::CalendarContext;
use super::payload;
use super::state::{Keys, Pass, snapshot};
use super::times::{EventTimes, is_series};
use crate::google::listing::Listing;

/// Snapshots looked at in a turn.
const PAGE: usize = 2_000;

/// Forgets snapshots that start beyond the pass's stretch. Whether these were the last.
///
/// # Errors
/// When the state cannot be read.
pub(super) async fn narrow(
    keys: Keys<'_>,
    draft: &mut Draft<'_>,
    (pass, zone): (&mut Pass, &TimeZone),
) -> Result<bool, Failure> {
    let page = next(keys, draft, pass).await?;
    for entry in &page {
        if snapshot(entry).is_some_and(|known| starts_beyond(&known, pass, zone)) {
            draft.delete(&entry.key)?;
        }
    }
    Ok(page.len() < PAGE)
}

/// Reports what is known and was not listed. Whether these were the last; `None` when what was listed is lost.
///
/// # Errors
/// When the state cannot be read.
pub(super) async fn vanished(
    context: &CalendarContext,
    keys: Keys<'_>,
    draft: &mut Draft<'_>,
    (pass, zone): (&mut Pass, &TimeZone),
) -> Result<Option<bool>, Failure> {
    let listing = Listing::new(keys.listed());
    let Some(listed) = listing.ids(draft, pass.pages).await? else { return Ok(None) };
    let prefix = keys.snapshots();
    let page = next(keys, draft, pass).await?;
    for entry in &page {
        if !listed.contains(&entry.key[prefix.len()..]) {
            missed(context, keys, draft, (pass, zone), entry)?;
        }
    }
    Ok(Some(page.len() < PAGE))
}

async fn next(keys: Keys<'_>, draft: &mut Draft<'_>, pass: &mut Pass) -> Result<Vec<Entry>, Failure> {
    let page = draft.list(&keys.snapshots(), pass.after.as_deref(), PAGE).await?;
    if let Some(last) = page.last() {
        pass.after = Some(last.key.clone());
    }
    Ok(page)
}

/// A snapshot of what was not listed: gone, unless it is over, was gone before, or was not to be listed.
fn missed(
    context: &CalendarContext,
    keys: Keys<'_>,
    draft: &mut Draft<'_>,
    (pass, zone): (&mut Pass, &TimeZone),
    entry: &Entry,
) -> Result<(), Failure> {
    // Without a readable snapshot there is nothing to report.
    let Some(known) = snapshot(entry) else { return draft.delete(&entry.key) };
    if is_series(&known) {
        return Ok(());
    }
    if EventTimes::of(&known, zone).are_over(draft.now()) {
        // It stays as long as without a recovery; snapshots of earlier programs had no expiry.
        return if entry.expires_at.is_none() {
            draft.touch(&entry.key, context.expiry(&known, zone))
        } else {
            Ok(())
        };
    }
    let is_silent = is_cancelled(&known) || starts_beyond(&known, pass, zone) || context.drops(&known);
    if !is_silent {
        pass.deleted += 1;
        draft.emit(payload::event(keys.0, Change::Deleted, None, Some(&known), context.attendee_limit)?)?;
    }
    draft.delete(&entry.key)
}

fn starts_beyond(known: &Value, pass: &Pass, zone: &TimeZone) -> bool {
    EventTimes::of(known, zone).start.is_some_and(|start| start >= pass.until)
}
