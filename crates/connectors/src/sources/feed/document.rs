//! A feed as a list of items, whatever the format and however broken.

use std::collections::HashMap;

use reqwest::Url;

use super::item::{Item, Origin};
use super::parsed::{MOST_ENTRIES, Parsed};
use super::parser::{ParseError, at, parse};
use crate::text::truncate;

/// Longest title or address of a feed, in bytes: each event repeats them.
const MOST_ORIGIN: usize = 2 << 10;

/// A feed that was read.
#[derive(Debug)]
pub(super) struct Document {
    /// The feed's title.
    pub(super) title: Option<String>,
    /// The feed's page, else the feed.
    pub(super) url: String,
    /// Its entries, oldest first. Several may have the same stem, but they are different ones.
    pub(super) items: Vec<Item>,
    /// What was not understood, for people.
    pub(super) problems: Vec<String>,
    /// Whether entries may be missing that the feed has.
    pub(super) partial: bool,
    /// Whether it ended before it was over, as when the server was interrupted.
    pub(super) cut: bool,
}

impl Document {
    /// Reads the body that came from `base` with that `Content-Type`.
    pub(super) fn read(body: &[u8], content_type: Option<&str>, base: &Url) -> Result<Self, ParseError> {
        Ok(Self::of(parse(body, content_type, base)?, base))
    }

    /// The feed as the events of its entries name it.
    pub(super) fn origin(&self) -> Origin<'_> {
        Origin { title: self.title.as_deref(), url: &self.url }
    }

    fn of(parsed: Parsed, base: &Url) -> Self {
        let (problems, is_partial) = (problems(&parsed), parsed.unclear > 0);
        let items = parsed.entries.into_iter().map(|entry| Item::of(entry, &parsed.authors)).collect();
        let mut title = parsed.title;
        if let Some(title) = &mut title {
            truncate(title, MOST_ORIGIN);
        }
        let page = parsed.page.filter(|page| page.len() <= MOST_ORIGIN);
        Self {
            title,
            url: page.unwrap_or_else(|| crate::http::shown(base)),
            items: ordered(without_versions(items)),
            problems,
            partial: is_partial || parsed.cut.is_some(),
            cut: parsed.cut.is_some(),
        }
    }
}

/// What health has to say of a document that was read.
fn problems(parsed: &Parsed) -> Vec<String> {
    let marked = parsed.marked;
    let many = (marked > MOST_ENTRIES)
        .then(|| format!("the feed holds {marked} entries, only the first {MOST_ENTRIES} are looked at"));
    let unclear = parsed.first_unclear.map(|first| {
        let count = parsed.unclear;
        format!("{count} of {marked} entries are not understood and left out, the first {}", at(first))
    });
    let cut = parsed.cut.map(|place| {
        let read = parsed.entries.len();
        format!("the feed breaks off {}: {read} entries before are read, others may be missing", at(place))
    });
    [many, unclear, cut].into_iter().flatten().collect()
}

/// Leaves of several versions of an entry the latest; of equal ones the first, because feeds list the newest first.
fn without_versions(items: Vec<Item>) -> Vec<Item> {
    let mut places: HashMap<String, Vec<usize>> = HashMap::new();
    let mut kept: Vec<Item> = Vec::new();
    for item in items {
        let known = places.entry(item.stem.clone()).or_default();
        match known.iter().take(MOST_COMPARED).find(|place| item.is_version_of(&kept[**place])) {
            Some(&place) if item.changed_at() > kept[place].changed_at() => kept[place] = item,
            Some(_) => {}
            None => {
                known.push(kept.len());
                kept.push(item);
            }
        }
    }
    kept
}

/// With how many others of its stem an entry is compared. A feed may give all of its entries one.
const MOST_COMPARED: usize = 1_000;

/// Oldest first. Where an entry has no time, the document's order has to do: feeds list the newest first.
fn ordered(mut items: Vec<Item>) -> Vec<Item> {
    items.reverse();
    if items.iter().all(|item| item.appeared_at().is_some()) {
        items.sort_by_key(Item::appeared_at);
    }
    items
}
