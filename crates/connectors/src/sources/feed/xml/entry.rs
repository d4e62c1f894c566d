//! An entry of RSS or Atom: which of its elements says what.
//!
//! Where several say the same, the feed's own format comes first, then extensions in the order below. Titles become
//! text; summaries and contents stay what their author wrote, as HTML where they are HTML.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;

use super::super::date;
use super::super::parsed::{Author, Content, Enclosure, Entry, length, resolved};
use super::super::plain_text;
use super::super::tree::{Element, Namespace};

const HTML: &str = "text/html";
const TEXT: &str = "text/plain";
const XHTML: &str = "application/xhtml+xml";

/// What the extensions say, for what the format itself does not.
#[derive(Default)]
struct Extra {
    title: Option<String>,
    summary: Option<String>,
    authors: Vec<Author>,
    /// The address behind a content that is elsewhere.
    source: Option<String>,
    /// The guid, if it may be an address.
    permalink: Option<String>,
}

/// Reads an entry; `None` when it says nothing that anybody knows.
pub(super) fn read(element: &Element<'_>, base: &Url, is_atom: bool) -> Option<Entry> {
    let base = based(element, base);
    let about = element.attribute("about");
    let newly_named = about.is_some();
    let mut entry =
        Entry { id: about.unwrap_or_default(), versioned: is_atom, newly_named, ..Entry::default() };
    let mut extra = Extra::default();
    for child in &element.children {
        match child.space {
            Namespace::Core | Namespace::Content => core(&mut entry, &mut extra, child, &base, is_atom),
            Namespace::Dc => dublin_core(&mut entry, &mut extra, child),
            Namespace::Media => media(&mut entry, &mut extra, child, &base),
            Namespace::Itunes => itunes(&mut extra, child),
            Namespace::Xhtml if entry.content.is_none() && matches!(&*child.name, "body" | "div") => {
                entry.content =
                    filled(xhtml(child)).map(|text| Content { text, media_type: XHTML.to_owned() });
            }
            Namespace::Xhtml | Namespace::Other => {}
        }
    }
    entry.title = entry.title.or(extra.title);
    entry.summary = entry.summary.or(extra.summary);
    if entry.authors.is_empty() {
        entry.authors = extra.authors;
    }
    entry.link = entry.link.or(extra.permalink).or(extra.source);
    if !is_atom {
        entry.updated = entry.updated.or(entry.published);
    }
    entry.is_understood().then_some(entry)
}

fn core(entry: &mut Entry, extra: &mut Extra, child: &Element<'_>, base: &Url, is_atom: bool) {
    match &*child.name {
        "guid" => guid(entry, extra, child),
        "id" if entry.id.is_empty() => entry.id = child.text(),
        "title" if entry.title.is_none() => entry.title = title(child, is_atom),
        "link" => {
            if let Some(link) = link(child, base) {
                if link.is_enclosure {
                    entry.add_enclosure(link.enclosure());
                } else if link.is_page && entry.link.is_none() {
                    entry.link = Some(link.url);
                }
            }
        }
        "description" | "summary" | "tagline" if entry.summary.is_none() => entry.summary = summary(child),
        "encoded" => {
            let text = filled(html(child)).map(|text| Content { text, media_type: HTML.to_owned() });
            entry.content = text.or(entry.content.take());
        }
        "content" if entry.content.is_none() => {
            entry.content = content(child);
            extra.source = child.attribute("src").map(|source| resolved(&source, &based(child, base)));
        }
        "pubdate" | "published" | "issued" | "created" | "date" if entry.published.is_none() => {
            entry.published = date::parse(&child.text());
        }
        "updated" | "modified" if entry.updated.is_none() => entry.updated = date::parse(&child.text()),
        "author" => entry.add_author(author(child)),
        "category" | "subject" => {
            let term =
                child.attribute("term").or_else(|| child.attribute("label")).unwrap_or_else(|| child.text());
            entry.categories.extend(filled(plain_text::line(&term)));
        }
        "enclosure" => entry.enclosure(child, base),
        _ => {}
    }
}

fn guid(entry: &mut Entry, extra: &mut Extra, child: &Element<'_>) {
    let text = child.text();
    if text.is_empty() {
        return;
    }
    let is_permalink = !child.attribute("ispermalink").is_some_and(|word| word.eq_ignore_ascii_case("false"));
    let is_address = text.starts_with("http://") || text.starts_with("https://");
    extra.permalink = (is_permalink && is_address).then(|| text.clone());
    entry.id = text;
}

fn dublin_core(entry: &mut Entry, extra: &mut Extra, child: &Element<'_>) {
    match &*child.name {
        "creator" => entry.add_author(author(child)),
        "title" if extra.title.is_none() => extra.title = title(child, false),
        "description" | "abstract" if extra.summary.is_none() => extra.summary = summary(child),
        "date" | "issued" | "created" | "available" if entry.published.is_none() => {
            entry.published = date::parse(&child.text());
        }
        "modified" if entry.updated.is_none() => entry.updated = date::parse(&child.text()),
        "subject" => entry.categories.extend(filled(plain_text::line(&child.text()))),
        _ => {}
    }
}

fn itunes(extra: &mut Extra, child: &Element<'_>) {
    match &*child.name {
        "title" if extra.title.is_none() => extra.title = title(child, false),
        "summary" => extra.summary = summary(child).or(extra.summary.take()),
        "subtitle" if extra.summary.is_none() => extra.summary = summary(child),
        "author" => extra.authors.extend(author(child)),
        _ => {}
    }
}

fn media(entry: &mut Entry, extra: &mut Extra, child: &Element<'_>, base: &Url) {
    match &*child.name {
        "group" => child.children.iter().for_each(|inner| media(entry, extra, inner, base)),
        "content" => {
            let player = child.children.iter().find(|inner| inner.name == "player");
            let url = child.attribute("url").or_else(|| player?.attribute("url"));
            if let Some(url) = url {
                entry.add_enclosure(Enclosure {
                    url: resolved(&url, &based(child, base)),
                    media_type: child.attribute("type"),
                    length: child.attribute("filesize").as_deref().and_then(length),
                });
            }
            child.children.iter().for_each(|inner| media(entry, extra, inner, base));
        }
        "title" if extra.title.is_none() => extra.title = title(child, false),
        "description" if extra.summary.is_none() => extra.summary = summary(child),
        _ => {}
    }
}

impl Entry {
    fn enclosure(&mut self, child: &Element<'_>, base: &Url) {
        let url = child.attribute("url").or_else(|| child.attribute("href"));
        let Some(url) = url.or_else(|| filled(child.text())) else { return };
        self.add_enclosure(Enclosure {
            url: resolved(&url, &based(child, base)),
            media_type: child.attribute("type"),
            length: child.attribute("length").as_deref().and_then(length),
        });
    }
}

/// An address with what it is for.
pub(super) struct Link {
    pub(super) url: String,
    pub(super) is_page: bool,
    is_enclosure: bool,
    media_type: Option<String>,
    length: Option<u64>,
}

impl Link {
    fn enclosure(self) -> Enclosure {
        Enclosure { url: self.url, media_type: self.media_type, length: self.length }
    }
}

/// A link of either format. Relations may be written as addresses of the register of them (RFC 4287, section 4.2.7.2).
pub(super) fn link(element: &Element<'_>, base: &Url) -> Option<Link> {
    let url = element.attribute("href").or_else(|| filled(element.text()))?;
    let relation = element.attribute("rel").unwrap_or_default().to_ascii_lowercase();
    let is =
        |wanted: &str| relation.split_ascii_whitespace().any(|word| word.rsplit('/').next() == Some(wanted));
    let is_enclosure = is("enclosure");
    Some(Link {
        url: resolved(&url, &based(element, base)),
        is_page: relation.is_empty() || is("alternate") && !is_enclosure,
        is_enclosure,
        media_type: element.attribute("type"),
        length: element.attribute("length").as_deref().and_then(length),
    })
}

/// Who wrote it: parts of their own, or one text with a name and an address.
pub(super) fn author(element: &Element<'_>) -> Option<Author> {
    let (name, email) = (element.child("name"), element.child("email"));
    let url = element.child("uri").or_else(|| element.child("url"));
    let parts = Author { name, email, url }.filled();
    parts.or_else(|| Author::parse(&plain_text::unescape(&element.text())))
}

/// A title, which is text in events. Atom says what it is; elsewhere nobody does, and many write HTML.
pub(super) fn title(element: &Element<'_>, is_atom: bool) -> Option<String> {
    let text = match kind(element).as_str() {
        _ if element.markup => element.text(),
        HTML | XHTML => plain_text::of_html(&element.text(), false),
        TEXT if is_atom => element.text(),
        _ => plain_text::of_html(&element.text(), true),
    };
    filled(plain_text::line(&text))
}

/// A summary: HTML where it is HTML, as its author wrote it.
fn summary(element: &Element<'_>) -> Option<String> {
    let text = if kind(element) == XHTML { xhtml(element) } else { html(element) };
    filled(text)
}

/// Text with its references resolved, or markup as it stands there.
fn html(element: &Element<'_>) -> String {
    if element.markup { plain_text::raw(element.inner).trim().to_owned() } else { element.text() }
}

/// The content of Atom (RFC 4287, section 4.1.3) and of its forerunner.
fn content(element: &Element<'_>) -> Option<Content> {
    let kind = kind(element);
    let text = match kind.as_str() {
        XHTML => xhtml(element),
        _ if element.attribute("mode").is_some_and(|mode| mode.eq_ignore_ascii_case("base64")) => {
            let packed: String = element.text().split_whitespace().collect();
            let bytes = STANDARD.decode(packed).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        _ => html(element),
    };
    // Tags that nobody announced are HTML.
    let media_type = if kind == TEXT && element.markup { HTML.to_owned() } else { kind };
    filled(text).map(|text| Content { text, media_type })
}

/// The media type of a text. Words that are none are text, as where nothing is said.
fn kind(element: &Element<'_>) -> String {
    let kind = element.attribute("type").unwrap_or_default().to_ascii_lowercase();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let mode = element.attribute("mode").unwrap_or_default();
    match kind {
        "html" => HTML.to_owned(),
        "xhtml" => XHTML.to_owned(),
        // The forerunner of Atom says with a mode what the type of Atom says.
        XHTML if mode.eq_ignore_ascii_case("escaped") => HTML.to_owned(),
        kind if kind.contains('/') => kind.to_owned(),
        _ => TEXT.to_owned(),
    }
}

/// XHTML without the `div` that has to be around it and is no part of it (RFC 4287, section 3.1.1.3).
fn xhtml(element: &Element<'_>) -> String {
    let only = match element.children.as_slice() {
        [only] if only.name == "div" && plain_text::is_all(element.inner, "div") => only.inner,
        _ => element.inner,
    };
    // Some announce XHTML and escape it.
    if element.markup { plain_text::raw(only).trim().to_owned() } else { element.text() }
}

fn based(element: &Element<'_>, base: &Url) -> Url {
    let own = element.attribute("base").and_then(|own| base.join(&own).ok());
    own.unwrap_or_else(|| base.clone())
}

fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
