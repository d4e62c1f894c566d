//! RSS and Atom of all versions, and what is between them: entries wherever they are, the rest by the names that any
//! of the formats gives it. `xml/entry.rs` says what an entry holds.

mod entry;

use reqwest::Url;

use super::parsed::{Author, MOST_ENTRIES, Parsed, Place};
use super::tree::{Element, Namespace, Reader, StartTag, Tag};

/// How many open elements around entries are known.
const OPEN: usize = 200;

/// How much of a page is searched for the address of its feed.
const HEAD: usize = 256 << 10;
/// Longest address that a message shows.
const SHOWN: usize = 300;

/// Why there is nothing to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoFeed {
    /// It is a page, perhaps with the address of its feed.
    Page,
    /// There is no element that a feed begins with.
    NoRoot,
}

/// Reads a document that came from `base`.
pub(super) fn read(text: &str, base: &Url) -> Result<Parsed, NoFeed> {
    let mut document = Document {
        text,
        reader: Reader::new(text),
        base: base.clone(),
        around: Vec::new(),
        root: None,
        editor: None,
        parsed: Parsed::default(),
    };
    while let Some(met) = document.reader.next(document.around.len()) {
        match met {
            Tag::Start(open) => document.start(open)?,
            Tag::End(name) => {
                if let Some(place) = document.around.iter().rposition(|open| *open == *name) {
                    document.around.truncate(place);
                }
            }
        }
    }
    document.end()
}

/// A document that is being read.
struct Document<'a> {
    text: &'a str,
    reader: Reader<'a>,
    base: Url,
    /// The names of the elements that are open.
    around: Vec<String>,
    /// What the feed began with; nothing counts before.
    root: Option<Root>,
    /// Who is responsible for an RSS feed, where nobody is named as its author.
    editor: Option<Author>,
    parsed: Parsed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Root {
    Atom,
    Rss,
}

impl<'a> Document<'a> {
    fn start(&mut self, open: StartTag<'a>) -> Result<(), NoFeed> {
        if self.root.is_none() {
            if matches!(&*open.name, "html" | "head" | "body") {
                return Err(NoFeed::Page);
            }
            if open.is_root() || open.is_entry() {
                let is_atom = matches!(&*open.name, "feed" | "entry");
                self.root = Some(if is_atom { Root::Atom } else { Root::Rss });
            }
        }
        if open.is_entry() {
            self.entry(open);
        } else if self.root.is_some() && self.is_in_feed() && is_about_feed(&open) {
            if let (Some(element), _) = self.reader.element(self.around.len(), open) {
                self.about(&element);
            }
        } else {
            if open.is_root()
                && let Some(base) = open.attribute("base").and_then(|base| self.base.join(&base).ok())
            {
                self.base = base;
            }
            if !open.is_void() && self.around.len() < OPEN {
                self.around.push(open.name.into_owned());
            }
        }
        Ok(())
    }

    /// Whether what begins here is about the feed, and not, for instance, about its image.
    fn is_in_feed(&self) -> bool {
        self.around.last().is_some_and(|name| matches!(name.as_str(), "rss" | "rdf" | "feed" | "channel"))
    }

    fn entry(&mut self, open: StartTag<'a>) {
        let start = open.start;
        self.parsed.marked += 1;
        let (element, is_whole) = self.reader.element(self.around.len(), open);
        if self.parsed.marked > MOST_ENTRIES {
            return;
        }
        // Half an entry would be news now and a change once it is whole.
        if !is_whole {
            self.parsed.cut = Some(Place::of(self.text, start));
            return;
        }
        let is_atom = self.root == Some(Root::Atom);
        match element.and_then(|element| entry::read(&element, &self.base, is_atom)) {
            Some(entry) => self.parsed.entries.push(entry),
            None => self.parsed.note_unclear(self.text, start),
        }
    }

    fn about(&mut self, element: &Element<'_>) {
        let is_atom = self.root == Some(Root::Atom);
        match (element.space, &*element.name) {
            (_, "title") if self.parsed.title.is_none() => {
                self.parsed.title = entry::title(element, is_atom);
            }
            (_, "link") if self.parsed.page.is_none() => {
                self.parsed.page =
                    entry::link(element, &self.base).filter(|link| link.is_page).map(|link| link.url);
            }
            (_, "managingeditor") => self.editor = entry::author(element),
            (_, "author" | "creator") => {
                let author = entry::author(element).filter(|author| !self.parsed.authors.contains(author));
                self.parsed.authors.extend(author);
            }
            _ => {}
        }
    }

    fn end(mut self) -> Result<Parsed, NoFeed> {
        self.root.ok_or(NoFeed::NoRoot)?;
        let is_open =
            self.around.iter().any(|name| matches!(name.as_str(), "rss" | "rdf" | "feed" | "channel"));
        if is_open || self.reader.is_cut() {
            self.parsed.cut.get_or_insert_with(|| Place::of(self.text, self.text.trim_end().len()));
        }
        if self.parsed.authors.is_empty() {
            self.parsed.authors.extend(self.editor);
        }
        Ok(self.parsed)
    }
}

/// The address of a feed that a page names.
pub(super) fn feed_of_page(text: &str, base: &Url) -> Option<String> {
    let start = &text[..text.floor_char_boundary(HEAD)];
    let mut reader = Reader::new(start);
    while let Some(met) = reader.next(0) {
        let Tag::Start(open) = met else { continue };
        let kind = open.attribute("type").unwrap_or_default();
        let is_feed = ["rss+xml", "atom+xml", "feed+json"].iter().any(|end| kind.ends_with(end));
        if is_feed && open.name == "link" {
            let found = base.join(&open.attribute("href")?).ok()?;
            return Some(crate::http::shown(&found)).filter(|found| found.len() <= SHOWN);
        }
    }
    None
}

fn is_about_feed(open: &StartTag<'_>) -> bool {
    match open.space {
        Namespace::Core => matches!(&*open.name, "title" | "link" | "author" | "managingeditor"),
        Namespace::Dc => matches!(&*open.name, "title" | "creator"),
        Namespace::Itunes => &*open.name == "author",
        _ => false,
    }
}
