//! Compares a document with state, emits what is new or changed, and brings state up to date.
//!
//! Ids of events: that of `feed.entry_published` is the entry's name. That of `feed.entry_updated` is the name and a
//! mark, which is a digest of the whole known history of the entry: of the mark before, what the entry says now and
//! its times. So A, B and A again are three marks, a repeated turn makes the same mark, and no counter is needed.

use std::collections::BTreeMap;
use std::time::Duration;

use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::{Draft, Entry, Expiry, Failure, NewEvent};

use super::document::Document;
use super::item::{Item, digest, text_of};

/// How long an entry that left its feed is remembered.
const REMEMBERED: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Prefix of the keys of entries that the feed holds.
const SEEN: &str = "seen:";
/// Prefix of the keys of entries that left the feed.
const PAST: &str = "past:";
/// Entries of state read at once.
const PAGE: usize = 1_000;

/// What is remembered of an entry.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Seen {
    /// What it said, see [`Item::digest`].
    digest: String,
    /// Its history.
    mark: String,
}

/// Writes into the draft what the document has to report. With `start` a document of which nothing is known begins
/// there: what appeared before is remembered without events.
pub(super) async fn report(
    draft: &mut Draft<'_>,
    document: &Document,
    start: Option<StartAt>,
) -> Result<(), Failure> {
    let mut seen = listed(draft).await?;
    let unseen = document.items.iter().filter(|item| !seen.contains_key(&item.id));
    let keys: Vec<String> = unseen.map(|item| format!("{PAST}{}", item.id)).collect();
    let past = draft.entries(&keys).await?.into_iter().flatten();
    let past: BTreeMap<String, Entry> =
        past.map(|entry| (entry.key[PAST.len()..].to_owned(), entry)).collect();
    let is_known = |item: &Item| seen.contains_key(&item.id) || past.contains_key(&item.id);
    let start = start.filter(|_| !document.items.iter().any(is_known)).unwrap_or(StartAt::All);
    for item in &document.items {
        match (seen.remove(&item.id), past.get(&item.id)) {
            (Some(entry), _) => known(draft, document, item, &entry)?,
            (None, Some(entry)) => {
                draft.delete(&entry.key)?;
                known(draft, document, item, entry)?;
            }
            (None, None) => {
                if is_news(item, start) {
                    published(draft, document, item)?;
                }
                remember(draft, item, item.digest.clone())?;
            }
        }
    }
    // What is left of `seen` is no longer in the feed.
    for (id, entry) in seen {
        draft.put(&format!("{PAST}{id}"), &entry.value, Expiry::For(REMEMBERED))?;
        draft.delete(&entry.key)?;
    }
    Ok(())
}

/// Whether an entry that nobody knows is to be reported. One without a date cannot be told from an old one.
fn is_news(item: &Item, start: StartAt) -> bool {
    match start {
        StartAt::Now => false,
        StartAt::All => true,
        StartAt::Since(since) => item.appeared_at().is_some_and(|at| at >= since),
    }
}

/// What the feed held when last read, by name.
async fn listed(draft: &mut Draft<'_>) -> Result<BTreeMap<String, Entry>, Failure> {
    let mut seen = BTreeMap::new();
    let mut after: Option<String> = None;
    loop {
        let page = draft.list(SEEN, after.as_deref(), PAGE).await?;
        let exhausted = page.len() < PAGE;
        after = page.last().map(|entry| entry.key.clone());
        seen.extend(page.into_iter().map(|entry| (entry.key[SEEN.len()..].to_owned(), entry)));
        if exhausted {
            return Ok(seen);
        }
    }
}

fn published(draft: &mut Draft<'_>, document: &Document, item: &Item) -> Result<(), Failure> {
    let data = item.data(document).map_err(Failure::internal)?;
    let mut event = NewEvent::new(&item.id, "feed.entry_published", data).entity(&item.id);
    event.occurred_at = item.appeared_at();
    draft.emit(event)
}

/// An entry that is known, in the feed or from its past.
fn known(draft: &mut Draft<'_>, document: &Document, item: &Item, entry: &Entry) -> Result<(), Failure> {
    // A value that a person made unreadable is no change upstream.
    let Ok(before) = entry.parse::<Seen>() else { return remember(draft, item, item.digest.clone()) };
    if before.digest == item.digest {
        return if entry.key.starts_with(SEEN) { Ok(()) } else { remember(draft, item, before.mark) };
    }
    let mark = digest([&before.mark, &item.digest, &text_of(item.published), &text_of(item.updated)]);
    let data = item.data(document).map_err(Failure::internal)?;
    let event_id = format!("{}:{}", item.id, &mark[..16]);
    let mut event = NewEvent::new(event_id, "feed.entry_updated", data).entity(&item.id);
    event.occurred_at = item.updated.filter(|updated| Some(*updated) != item.published);
    draft.emit(event)?;
    remember(draft, item, mark)
}

fn remember(draft: &mut Draft<'_>, item: &Item, mark: String) -> Result<(), Failure> {
    let seen = Seen { digest: item.digest.clone(), mark };
    draft.put(&format!("{SEEN}{}", item.id), &seen, Expiry::Never)
}
