//! One entry of a feed: what names it, what counts as a change of it, and the data of its event.
//!
//! Texts and lists are cut to the limits here; whatever is compared was digested before.

use feed_rs::model::{Entry, Link, Person};
use inboxclaw_contract::Json;
use inboxclaw_contract::json::JsonError;
use jiff::Timestamp;
use reqwest::Url;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::document::Document;
use crate::hex::hex;

/// Longest name of an entry in bytes. With a prefix, a variant or a mark it still fits a key and an event id.
const MOST_ID: usize = 1024;
/// What is left of a name beyond that, in characters, before its digest.
const REST_ID: usize = 200;
/// Longest content in an event, in bytes.
const MOST_CONTENT: usize = 256 << 10;
/// Longest summary in an event, in bytes.
const MOST_SUMMARY: usize = 64 << 10;
/// Longest other text in an event, in bytes.
const MOST_TEXT: usize = 4 << 10;
/// Most authors, categories or enclosures in an event, of each.
const MOST_PARTS: usize = 100;

/// An entry, whatever the format.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// Names it: its id in the feed, else its link, else a digest.
    pub(super) id: String,
    /// Tells it from another entry of that name; equal for versions of one entry.
    pub(super) variant: String,
    /// Changes when the entry says something else.
    pub(super) digest: String,
    pub(super) published: Option<Timestamp>,
    pub(super) updated: Option<Timestamp>,
    link: Option<String>,
    title: Option<String>,
    authors: Vec<Author>,
    summary: Option<String>,
    content: Option<String>,
    content_type: Option<String>,
    categories: Vec<String>,
    enclosures: Vec<Enclosure>,
    truncated: bool,
}

#[derive(Debug, Clone, Serialize)]
struct Author {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
struct Enclosure {
    url: String,
    #[serde(rename = "type")]
    media_type: Option<String>,
    length: Option<u64>,
}

/// The data of an event; the order of its keys is the order of these fields.
#[derive(Serialize)]
struct Data<'a> {
    id: &'a str,
    url: Option<&'a str>,
    title: Option<&'a str>,
    authors: &'a [Author],
    published: Option<String>,
    updated: Option<String>,
    summary: Option<&'a str>,
    content: Option<&'a str>,
    content_type: Option<&'a str>,
    categories: &'a [String],
    enclosures: &'a [Enclosure],
    feed: Origin<'a>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

#[derive(Serialize)]
struct Origin<'a> {
    title: Option<&'a str>,
    url: &'a str,
}

impl Item {
    /// The entry with its links resolved against `base`.
    pub(super) fn of(entry: Entry, base: &Url, json: bool) -> Self {
        let mut cut = Cut::default();
        let named = entry.id.trim();
        let link = page(&entry, base, json);
        let published =
            entry.published.and_then(|at| Timestamp::from_microsecond(at.timestamp_micros()).ok());
        let updated = entry.updated.and_then(|at| Timestamp::from_microsecond(at.timestamp_micros()).ok());
        // Several formats fill one from the other, and a date that follows the clock is no news.
        let changed = updated.filter(|updated| Some(*updated) != published);
        let title = entry.title.as_ref().map_or("", |title| title.content.as_str());
        let summary = entry.summary.as_ref().map_or("", |summary| summary.content.as_str());
        let content = entry.content.as_ref().and_then(|content| content.body.as_deref()).unwrap_or_default();
        let address = link.as_deref().unwrap_or_default();
        let (id, variant) = if !named.is_empty() {
            (named.to_owned(), address)
        } else if !address.is_empty() {
            (address.to_owned(), title)
        } else {
            (format!("sha256:{}", digest([title, &text_of(published), summary, content])), "")
        };
        Self {
            id: plain(id),
            variant: digest([variant]),
            digest: digest([title, address, summary, content, &text_of(changed)]),
            published,
            updated,
            enclosures: enclosures(&entry, base, json, &mut cut),
            link: link.and_then(|link| cut.address(link)),
            title: entry.title.map(|title| cut.text(title.content, MOST_TEXT)),
            authors: cut.list(entry.authors, author),
            summary: entry.summary.map(|summary| cut.text(summary.content, MOST_SUMMARY)),
            content_type: entry
                .content
                .as_ref()
                .filter(|content| content.body.is_some())
                .map(|content| content.content_type.to_string()),
            content: entry.content.and_then(|content| content.body).map(|body| cut.text(body, MOST_CONTENT)),
            categories: cut.list(entry.categories, |cut, category| Some(cut.text(category.term, MOST_TEXT))),
            truncated: cut.happened,
        }
    }

    /// When it was last touched upstream.
    pub(super) fn changed_at(&self) -> Option<Timestamp> {
        self.updated.or(self.published)
    }

    /// When it appeared upstream.
    pub(super) fn appeared_at(&self) -> Option<Timestamp> {
        self.published.or(self.updated)
    }

    /// The data of an event about it.
    pub(super) fn data(&self, document: &Document) -> Result<Json, JsonError> {
        let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Json::from_value(&Data {
            id: &self.id,
            url: self.link.as_deref(),
            title: self.title.as_deref(),
            authors: &self.authors,
            published: time(self.published),
            updated: time(self.updated),
            summary: self.summary.as_deref(),
            content: self.content.as_deref(),
            content_type: self.content_type.as_deref(),
            categories: &self.categories,
            enclosures: &self.enclosures,
            feed: Origin { title: document.title.as_deref(), url: &document.url },
            truncated: self.truncated,
        })
    }
}

/// A digest of texts, each with its length, so that no two lists of texts read the same.
pub(super) fn digest<const N: usize>(parts: [&str; N]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hex(&hasher.finalize())
}

/// A time as text for digests, empty for none.
pub(super) fn text_of(at: Option<Timestamp>) -> String {
    at.map(|at| at.to_string()).unwrap_or_default()
}

/// The start of a text for which there is only so much room.
pub(super) fn shorten(text: &mut String, most: usize) -> bool {
    let long = text.len() > most;
    if long {
        text.truncate(text.floor_char_boundary(most));
    }
    long
}

/// A name that fits keys and event ids: the feed says what it is, and feeds say anything.
fn plain(id: String) -> String {
    if id.len() <= MOST_ID && !id.contains(char::is_control) {
        return id;
    }
    let rest: String = id.chars().filter(|c| !c.is_control()).take(REST_ID).collect();
    format!("{rest}#sha256:{}", digest([&id]))
}

fn is_enclosure(link: &Link, json: bool) -> bool {
    link.rel.as_deref() == Some("enclosure") || (json && link.media_type.is_some())
}

/// The page of an entry.
fn page(entry: &Entry, base: &Url, json: bool) -> Option<String> {
    let is_page = |link: &&Link| {
        let alternate = link.rel.as_deref().is_none_or(|rel| rel == "alternate");
        alternate && link.target.is_none() && !link.href.is_empty() && !is_enclosure(link, json)
    };
    let page = entry.links.iter().find(is_page).map(|link| resolved(&link.href, base));
    // The guid of an RSS item is its address unless it says otherwise.
    let guid = Some(entry.id.trim()).filter(|id| id.starts_with("http://") || id.starts_with("https://"));
    page.or_else(|| guid.map(str::to_owned))
}

fn enclosures(entry: &Entry, base: &Url, json: bool, cut: &mut Cut) -> Vec<Enclosure> {
    let links = entry.links.iter().filter(|link| is_enclosure(link, json)).map(|link| Enclosure {
        url: resolved(&link.href, base),
        media_type: link.media_type.clone(),
        length: link.length,
    });
    let media = entry.media.iter().flat_map(|media| &media.content).filter_map(|content| {
        let media_type = content.content_type.as_ref().map(ToString::to_string);
        Some(Enclosure { url: content.url.as_ref()?.to_string(), media_type, length: content.size })
    });
    let mut found: Vec<Enclosure> = Vec::new();
    for enclosure in links.chain(media) {
        // A file is often listed twice, as an enclosure and by an extension.
        if found.len() <= MOST_PARTS && !found.iter().any(|known| known.url == enclosure.url) {
            found.push(enclosure);
        }
    }
    cut.list(found, |cut, enclosure| {
        let media_type = enclosure.media_type.map(|media_type| cut.text(media_type, MOST_TEXT));
        Some(Enclosure { url: cut.address(enclosure.url)?, media_type, length: enclosure.length })
    })
}

fn author(cut: &mut Cut, person: Person) -> Option<Author> {
    let mut short = |text: Option<String>| text.map(|text| cut.text(text, MOST_TEXT));
    let (name, email) = (short(person.name), short(person.email));
    let url = person.uri.and_then(|url| cut.address(url));
    if name.is_none() && email.is_none() && url.is_none() { None } else { Some(Author { name, email, url }) }
}

fn resolved(href: &str, base: &Url) -> String {
    base.join(href).map_or_else(|_| href.to_owned(), Url::into)
}

/// Cuts what is too long, and knows whether it did.
#[derive(Default)]
struct Cut {
    happened: bool,
}

impl Cut {
    fn text(&mut self, mut text: String, most: usize) -> String {
        self.happened |= shorten(&mut text, most);
        text
    }

    /// Half an address leads nowhere, so one that is too long goes.
    fn address(&mut self, address: String) -> Option<String> {
        let fits = address.len() <= MOST_TEXT;
        self.happened |= !fits;
        fits.then_some(address)
    }

    fn list<A, B>(&mut self, list: Vec<A>, mut each: impl FnMut(&mut Self, A) -> Option<B>) -> Vec<B> {
        self.happened |= list.len() > MOST_PARTS;
        list.into_iter().take(MOST_PARTS).filter_map(|part| each(self, part)).collect()
    }
}
