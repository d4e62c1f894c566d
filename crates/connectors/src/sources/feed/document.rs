//! A feed as a list of items with names of their own, whatever the format and however broken.
//!
//! The name of an entry is what its feed calls it (`guid`, `id`), else its link, else a digest of what it says.
//! Several entries of one document under one name are told apart by a digest behind the name, unless they are
//! versions of one entry. Then the latest counts.

use std::collections::{HashMap, HashSet};

use feed_rs::model::{Feed, FeedType};
use reqwest::Url;

use super::item::{Item, shorten};
use super::parser::{Broken, parse};

/// Most entries of a feed that are looked at. Feeds list the newest first.
const MOST_ITEMS: usize = 10_000;
/// Longest title or address of a feed, in bytes: each event repeats them.
const MOST_ORIGIN: usize = 2 << 10;

/// A feed that was read.
#[derive(Debug)]
pub(super) struct Document {
    /// The feed's title.
    pub(super) title: Option<String>,
    /// The feed's page, else the feed.
    pub(super) url: String,
    /// Its entries, oldest first, each name once.
    pub(super) items: Vec<Item>,
    /// How many more there are than are looked at.
    pub(super) cut: usize,
}

impl Document {
    /// Reads the body that came from `base`.
    pub(super) fn read(body: &[u8], base: &Url) -> Result<Self, Broken> {
        Ok(Self::of(parse(body, base)?, base))
    }

    fn of(mut feed: Feed, base: &Url) -> Self {
        let cut = feed.entries.len().saturating_sub(MOST_ITEMS);
        feed.entries.truncate(MOST_ITEMS);
        let json = feed.feed_type == FeedType::JSON;
        let items = feed.entries.into_iter().map(|entry| Item::of(entry, base, json)).collect();
        let page = feed.links.iter().find(|link| link.rel.as_deref().is_none_or(|rel| rel == "alternate"));
        let page = page.and_then(|link| base.join(&link.href).ok()).map(String::from);
        let page = page.filter(|page| page.len() <= MOST_ORIGIN);
        let mut title = feed.title.map(|title| title.content).filter(|title| !title.is_empty());
        if let Some(title) = &mut title {
            shorten(title, MOST_ORIGIN);
        }
        Self {
            title,
            url: page.unwrap_or_else(|| crate::http::shown(base)),
            items: ordered(named(items)),
            cut,
        }
    }
}

/// Leaves each name once: other entries of that name get a name of their own, older versions go.
fn named(mut items: Vec<Item>) -> Vec<Item> {
    let mut variants: HashMap<String, HashSet<String>> = HashMap::new();
    for item in &items {
        variants.entry(item.id.clone()).or_default().insert(item.variant.clone());
    }
    for item in &mut items {
        if variants.get(&item.id).is_some_and(|variants| variants.len() > 1) {
            item.id = format!("{}#{}", item.id, &item.variant[..16]);
        }
    }
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut kept: Vec<Item> = Vec::new();
    for item in items {
        match places.get(&item.id) {
            Some(&place) if item.changed_at() > kept[place].changed_at() => kept[place] = item,
            Some(_) => {}
            None => {
                places.insert(item.id.clone(), kept.len());
                kept.push(item);
            }
        }
    }
    kept
}

/// Oldest first. Where an entry has no time, the document's order has to do: feeds list the newest first.
fn ordered(mut items: Vec<Item>) -> Vec<Item> {
    items.reverse();
    if items.iter().all(|item| item.appeared_at().is_some()) {
        items.sort_by_key(Item::appeared_at);
    }
    items
}
