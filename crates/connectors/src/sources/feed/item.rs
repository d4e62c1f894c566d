//! One entry of a feed: what names it, what counts as a change of it, and the data of its event.
//!
//! What counts is what the event shows, except for dates, which many feeds renew all the time, and for what belongs to
//! the feed and not to the entry. Texts and lists are cut to the limits here; whatever is compared was digested before.

use inboxclaw_contract::Json;
use inboxclaw_contract::json::JsonError;
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::parsed::{Author, Enclosure, Entry};
use crate::hex::hex;
use crate::text::truncate;

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
    /// What its feed calls it, else its link, else a digest of what it says. Several entries may have the same.
    pub(super) stem: String,
    /// What tells it from others of that stem.
    pub(super) traits: Traits,
    /// Names that earlier versions of this program gave it, where they are not the stem.
    pub(super) former: Vec<String>,
    /// Changes when the entry says something else.
    pub(super) digest: String,
    pub(super) published: Option<Timestamp>,
    pub(super) updated: Option<Timestamp>,
    versioned: bool,
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

/// What tells entries of one stem apart, as short digests, because that is all that is compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(super) struct Traits {
    pub(super) link: String,
    pub(super) title: String,
    pub(super) date: String,
}

impl Traits {
    /// All of them in one.
    pub(super) fn variant(&self) -> String {
        short(&digest([&*self.link, &self.title, &self.date])).to_owned()
    }
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

/// The feed that an event names as the origin of its entry.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Origin<'a> {
    pub(super) title: Option<&'a str>,
    pub(super) url: &'a str,
}

impl Item {
    /// The entry, whose feed was written by `authors` where it does not say it itself.
    pub(super) fn of(entry: Entry, authors: &[Author]) -> Self {
        let mut cut = Truncation::default();
        let digest = said(&entry);
        let (stem, former) = names(&entry);
        let traits = traits(&entry);
        // Those of the feed are not the entry's, so that a new one there changes no entry.
        let authors = if entry.authors.is_empty() { authors.to_vec() } else { entry.authors };
        let (content, content_type) = match entry.content {
            Some(content) => (Some(content.text), Some(content.media_type)),
            None => (None, None),
        };
        Self {
            stem,
            traits,
            former,
            digest,
            published: entry.published,
            updated: entry.updated,
            versioned: entry.versioned,
            enclosures: cut.list(entry.enclosures, enclosure),
            link: entry.link.and_then(|link| cut.address(link)),
            title: entry.title.map(|title| cut.text(title, MOST_TEXT)),
            authors: cut.list(authors, author),
            summary: entry.summary.map(|summary| cut.text(summary, MOST_SUMMARY)),
            content: content.map(|content| cut.text(content, MOST_CONTENT)),
            content_type: content_type.map(|media_type| cut.text(media_type, MOST_TEXT)),
            categories: cut.list(entry.categories, |cut, category| Some(cut.text(category, MOST_TEXT))),
            truncated: cut.happened,
        }
    }

    /// Whether another one of the same document is a version of this one, or simply the same.
    pub(super) fn is_version_of(&self, other: &Self) -> bool {
        let (own, others) = (&self.traits, &other.traits);
        let is_version = self.versioned && own.link == others.link;
        self.stem == other.stem && (is_version || own == others)
    }

    /// When it was last touched upstream.
    pub(super) fn changed_at(&self) -> Option<Timestamp> {
        self.updated.or(self.published)
    }

    /// When it appeared upstream.
    pub(super) fn appeared_at(&self) -> Option<Timestamp> {
        self.published.or(self.updated)
    }

    /// The data of an event about it under the name `id`.
    pub(super) fn data(&self, id: &str, feed: Origin<'_>) -> Result<Json, JsonError> {
        let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Json::from_value(&Data {
            id,
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
            feed,
            truncated: self.truncated,
        })
    }
}

/// The stem of an entry and its former names.
fn names(entry: &Entry) -> (String, Vec<String>) {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (id, link) = (entry.id.trim(), text(&entry.link));
    if !id.is_empty() {
        let stem = plain(id.to_owned());
        let former = Some(plain(link)).filter(|link| entry.newly_named && !link.is_empty() && *link != stem);
        return (stem, former.into_iter().collect());
    }
    if !link.is_empty() {
        return (plain(link), Vec::new());
    }
    let (title, summary) = (text(&entry.title), text(&entry.summary));
    let content = entry.content.as_ref().map(|content| content.text.as_str()).unwrap_or_default();
    let file = entry.enclosures.first().map(|enclosure| enclosure.url.as_str()).unwrap_or_default();
    let name = |parts: &[&str]| format!("sha256:{}", digest(parts.iter().copied()));
    // Without a date, which may be that of the moment; the date tells several of them apart.
    let stem = name(&[&title, &summary, content, file]);
    (stem, vec![name(&[&title, &text_of(entry.published), &summary, content])])
}

fn traits(entry: &Entry) -> Traits {
    let part = |text: &str| short(&digest([text])).to_owned();
    let text = |text: &Option<String>| part(text.as_deref().unwrap_or_default());
    Traits { link: text(&entry.link), title: text(&entry.title), date: part(&text_of(entry.published)) }
}

/// A digest of what an event about the entry shows.
fn said(entry: &Entry) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut parts = vec![text(&entry.title), text(&entry.link), text(&entry.summary)];
    if let Some(content) = &entry.content {
        parts.extend([content.text.clone(), content.media_type.clone()]);
    }
    for author in &entry.authors {
        parts.extend(["author".to_owned(), text(&author.name), text(&author.email), text(&author.url)]);
    }
    for category in &entry.categories {
        parts.extend(["category".to_owned(), category.clone()]);
    }
    for file in &entry.enclosures {
        let length = file.length.map(|length| length.to_string());
        parts.extend(["enclosure".to_owned(), file.url.clone(), text(&file.media_type), text(&length)]);
    }
    digest(parts.iter().map(String::as_str))
}

/// The first 16 digits of a digest.
pub(super) fn short(digest: &str) -> &str {
    &digest[..16]
}

/// A digest of texts, each with its length, so that no two lists of texts read the same.
pub(super) fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
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

/// A name that fits keys and event ids: the feed says what it is, and feeds say anything.
fn plain(id: String) -> String {
    if id.len() <= MOST_ID && !id.contains(char::is_control) {
        return id;
    }
    let rest: String = id.chars().filter(|c| !c.is_control()).take(REST_ID).collect();
    format!("{rest}#sha256:{}", digest([&*id]))
}

fn enclosure(cut: &mut Truncation, enclosure: Enclosure) -> Option<Enclosure> {
    let media_type = enclosure.media_type.map(|media_type| cut.text(media_type, MOST_TEXT));
    Some(Enclosure { url: cut.address(enclosure.url)?, media_type, length: enclosure.length })
}

fn author(cut: &mut Truncation, author: Author) -> Option<Author> {
    let mut short = |text: Option<String>| text.map(|text| cut.text(text, MOST_TEXT));
    let (name, email) = (short(author.name), short(author.email));
    let url = author.url.and_then(|url| cut.address(url));
    Author { name, email, url }.filled()
}

/// Cuts what is too long, and knows whether it did.
#[derive(Default)]
struct Truncation {
    happened: bool,
}

impl Truncation {
    fn text(&mut self, mut text: String, most: usize) -> String {
        self.happened |= truncate(&mut text, most);
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
