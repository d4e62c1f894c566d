//! Compares a document with state, emits what is new or changed, and brings state up to date. Which entry of state an
//! entry of the document is, is decided in `identity.rs`.
//!
//! Ids of events: that of `feed.entry_published` is the entry's name. That of `feed.entry_updated` is the name and a
//! mark, which is a digest of the whole known history of the entry: of the mark before, what the entry says now and
//! its times. So A, B and A again are three marks, a repeated turn makes the same mark, and no counter is needed.

use std::collections::BTreeMap;
use std::time::Duration;

use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::{Draft, Entry, Expiry, Failure, NewEvent};

use super::document::Document;
use super::identity::{self, NamedItem, Record};
use super::item::{Item, Traits, digest, short, text_of};

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
struct StoredEntry {
    /// What it said, see [`Item::digest`].
    digest: String,
    /// Its history.
    mark: String,
    /// What tells it from others of its stem. Versions of this program that read feeds in another way did not write
    /// it; their digests say nothing about what this one reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traits: Option<Traits>,
}

/// Writes into the draft what the document has to report. With `start` a document of which nothing is known begins
/// there: what appeared before is remembered without events.
pub(super) async fn report(
    draft: &mut Draft<'_>,
    document: &Document,
    start: Option<StartAt>,
) -> Result<(), Failure> {
    let mut records: BTreeMap<String, Record> = BTreeMap::new();
    for entry in listed(draft).await? {
        records.insert(entry.key[SEEN.len()..].to_owned(), record(entry));
    }
    // Of the entries that left the feed only those are read that could be one of the document's: the others are many,
    // and they expire by themselves.
    let names = identity::former_names(&document.items, &records);
    let keys: Vec<String> = names.into_iter().map(|name| format!("{PAST}{name}")).collect();
    for entry in draft.entries(&keys).await?.into_iter().flatten() {
        records.entry(entry.key[PAST.len()..].to_owned()).or_insert_with(|| record(entry));
    }
    let named = identity::named(&document.items, &records);
    let is_known = named.iter().any(|named| named.known.is_some());
    let start = start.filter(|_| !is_known).unwrap_or(StartAt::All);
    for (item, NamedItem { name, known }) in document.items.iter().zip(&named) {
        match known.as_ref().and_then(|known| records.remove(known)) {
            Some(record) => {
                // Its name is what it was first known by.
                let name = known.as_deref().unwrap_or(name);
                if record.entry.key.starts_with(PAST) {
                    draft.delete(&record.entry.key)?;
                }
                self::known(draft, document, item, name, &record)?;
            }
            None => {
                if is_news(item, start) {
                    published(draft, document, item, name)?;
                }
                remember(draft, item, name, item.digest.clone())?;
            }
        }
    }
    if !document.partial {
        left(draft, records)?;
    }
    Ok(())
}

/// What is no longer in the feed.
fn left(draft: &mut Draft<'_>, records: BTreeMap<String, Record>) -> Result<(), Failure> {
    for (name, Record { entry, .. }) in records {
        if entry.key.starts_with(SEEN) {
            draft.put(&format!("{PAST}{name}"), &entry.value, Expiry::For(REMEMBERED))?;
            draft.delete(&entry.key)?;
        }
    }
    Ok(())
}

/// Whether an unknown entry is to be reported. One without a date cannot be told from an old one.
fn is_news(item: &Item, start: StartAt) -> bool {
    match start {
        StartAt::Now => false,
        StartAt::All => true,
        StartAt::Since(since) => item.appeared_at().is_some_and(|at| at >= since),
    }
}

fn record(entry: Entry) -> Record {
    let traits = entry.parse::<StoredEntry>().ok().and_then(|seen| seen.traits);
    Record { entry, traits }
}

/// What the feed held when last read.
async fn listed(draft: &mut Draft<'_>) -> Result<Vec<Entry>, Failure> {
    let mut seen: Vec<Entry> = Vec::new();
    loop {
        let after = seen.last().map(|entry| entry.key.clone());
        let page = draft.list(SEEN, after.as_deref(), PAGE).await?;
        let exhausted = page.len() < PAGE;
        seen.extend(page);
        if exhausted {
            return Ok(seen);
        }
    }
}

fn published(draft: &mut Draft<'_>, document: &Document, item: &Item, name: &str) -> Result<(), Failure> {
    let data = item.data(name, document.origin()).map_err(Failure::internal)?;
    let mut event = NewEvent::new(name, "feed.entry_published", data).entity(name);
    event.occurred_at = item.appeared_at();
    draft.emit(event)
}

/// An entry that is known, in the feed or from its past.
fn known(
    draft: &mut Draft<'_>,
    document: &Document,
    item: &Item,
    name: &str,
    record: &Record,
) -> Result<(), Failure> {
    // A value that a person made unreadable is no change upstream.
    let Ok(before) = record.entry.parse::<StoredEntry>() else {
        return remember(draft, item, name, item.digest.clone());
    };
    if before.digest == item.digest || before.traits.is_none() {
        let is_there = record.entry.key.starts_with(SEEN) && before.traits.is_some();
        return if is_there { Ok(()) } else { remember(draft, item, name, before.mark) };
    }
    let times = [text_of(item.published), text_of(item.updated)];
    let mark = digest([&before.mark, &item.digest, &times[0], &times[1]].map(String::as_str));
    let data = item.data(name, document.origin()).map_err(Failure::internal)?;
    let event_id = format!("{name}:{}", short(&mark));
    let mut event = NewEvent::new(event_id, "feed.entry_updated", data).entity(name);
    event.occurred_at = item.updated.filter(|updated| Some(*updated) != item.published);
    draft.emit(event)?;
    remember(draft, item, name, mark)
}

fn remember(draft: &mut Draft<'_>, item: &Item, name: &str, mark: String) -> Result<(), Failure> {
    let seen = StoredEntry { digest: item.digest.clone(), mark, traits: Some(item.traits.clone()) };
    draft.put(&format!("{SEEN}{name}"), &seen, Expiry::Never)
}
