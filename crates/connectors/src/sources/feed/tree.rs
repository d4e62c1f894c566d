//! Elements with their names in namespaces, as far as feeds need them: those of feeds, and not deep.
//!
//! A namespace is what its address says, else what its prefix usually stands for, because prefixes without any
//! declaration are common. A default namespace of the root that nobody knows is the feed's own.
//!
//! An element ends where its end tag is, else where that of an element around it is, else where the next entry begins.
//! Left out: attributes and text, which are read from the document when somebody asks.

use std::borrow::Cow;

use super::markup::{self, Token, Tokens};
use super::plain_text;

/// How many elements directly within an entry are kept, and how many below those. Events show far less of each kind.
const KEPT: usize = 1_000;
/// How many open elements are known by name; beyond that only their number is.
const OPEN: usize = 200;
/// How many declarations of namespaces count at a time.
const DECLARED: usize = 50;

/// A namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Namespace {
    /// RSS and Atom of all versions. They hardly contradict each other, and are mixed often.
    Core,
    /// Dublin Core and its terms.
    Dc,
    /// `content:encoded`.
    Content,
    /// Media RSS.
    Media,
    /// Podcasts.
    Itunes,
    /// HTML as XML.
    Xhtml,
    /// Everything else.
    Other,
}

/// An element within a document.
#[derive(Debug)]
pub(super) struct Element<'a> {
    pub(super) space: Namespace,
    /// In lower case and without its prefix: some write `pubdate`.
    pub(super) name: Cow<'a, str>,
    /// What is between its tags.
    pub(super) inner: &'a str,
    /// Whether there are tags in it.
    pub(super) markup: bool,
    pub(super) children: Vec<Self>,
    attributes: &'a str,
}

impl Element<'_> {
    /// An attribute by its name without a prefix, whatever the case; `None` when it is empty.
    pub(super) fn attribute(&self, name: &str) -> Option<String> {
        attribute(self.attributes, name)
    }

    /// The text, without tags; empty when there is none.
    pub(super) fn text(&self) -> String {
        plain_text::text(self.inner).trim().to_owned()
    }

    /// The first child of a name that says something.
    pub(super) fn child(&self, name: &str) -> Option<String> {
        let found = self.children.iter().filter(|child| child.name == name);
        found.map(|child| plain_text::line(&child.text())).find(|text| !text.is_empty())
    }
}

/// Reads elements from tokens and knows the namespaces around them.
pub(super) struct Reader<'a> {
    text: &'a str,
    tokens: Tokens<'a>,
    /// The declarations that count here, innermost last: depth, prefix, namespace.
    spaces: Vec<(usize, &'a str, Namespace)>,
}

/// A start tag.
#[derive(Debug, Clone)]
pub(super) struct StartTag<'a> {
    /// The place of its `<`.
    pub(super) start: usize,
    pub(super) space: Namespace,
    pub(super) name: Cow<'a, str>,
    /// As it stands there.
    full: &'a str,
    attributes: &'a str,
    empty: bool,
}

/// What a reader meets between the elements that somebody wants.
pub(super) enum Tag<'a> {
    /// An element begins.
    Start(StartTag<'a>),
    /// An element ends, by its name without a prefix.
    End(Cow<'a, str>),
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, tokens: Tokens::new(text), spaces: Vec::new() }
    }

    /// The next tag. `depth` is that of the elements in it; declarations of deeper ones no longer count.
    pub(super) fn next(&mut self, depth: usize) -> Option<Tag<'a>> {
        loop {
            match self.tokens.next()? {
                (start, Token::Start { name, attributes, empty }) => {
                    return Some(Tag::Start(self.open(depth, start, name, attributes, empty)));
                }
                (_, Token::End { name }) => return Some(Tag::End(lower(local(name).1))),
                _ => {}
            }
        }
    }

    /// Whether the document ended within a tag or a section.
    pub(super) fn is_cut(&self) -> bool {
        self.tokens.is_cut()
    }

    fn open(
        &mut self,
        depth: usize,
        start: usize,
        full: &'a str,
        attributes: &'a str,
        empty: bool,
    ) -> StartTag<'a> {
        self.spaces.retain(|(declared, ..)| *declared < depth);
        if attributes.contains("xmlns") {
            self.declare(depth, attributes);
        }
        let (prefix, name) = local(full);
        let space = self.space(prefix);
        StartTag { start, space, name: lower(name), full, attributes, empty }
    }

    fn declare(&mut self, depth: usize, attributes: &'a str) {
        for (name, address) in markup::attributes(attributes) {
            let (before, prefix) = local(name);
            let prefix = match (before, prefix) {
                ("", "xmlns") => "",
                ("xmlns", prefix) => prefix,
                _ => continue,
            };
            let own = depth == 0 && prefix.is_empty();
            let space =
                known(address).unwrap_or_else(|| if own { Namespace::Core } else { usual(prefix, true) });
            if self.spaces.len() < DECLARED {
                self.spaces.push((depth, prefix, space));
            }
        }
    }

    fn space(&self, prefix: &str) -> Namespace {
        let declared = self.spaces.iter().rev().find(|(_, declared, _)| *declared == prefix);
        declared.map_or_else(|| usual(prefix, false), |(.., space)| *space)
    }

    /// Reads the rest of an element, and whether the document went on behind it. `depth` is its own.
    pub(super) fn element(&mut self, depth: usize, open: StartTag<'a>) -> (Option<Element<'a>>, bool) {
        let mut stack = Stack::new(open, self.tokens.at());
        if stack.is_complete() {
            return (stack.close(self.text, self.tokens.at()), true);
        }
        while let Some((start, token)) = self.tokens.next() {
            match token {
                Token::Start { name, attributes, empty } => {
                    let child = self.open(depth + stack.depth(), start, name, attributes, empty);
                    if child.is_entry() || stack.is_left_by(&child) {
                        self.tokens.again(start, token);
                        return (stack.close(self.text, start), true);
                    }
                    stack.push(self.text, child, self.tokens.at());
                }
                Token::End { name } => {
                    if stack.end(self.text, name, start) {
                        return (stack.close(self.text, start), true);
                    }
                    if ends_entry(local(name).1) {
                        self.tokens.again(start, token);
                        return (stack.close(self.text, start), true);
                    }
                }
                Token::Text(_) | Token::Literal(_) => {}
            }
        }
        (stack.close(self.text, self.text.len()), false)
    }
}

impl StartTag<'_> {
    /// As [`Element::attribute`].
    pub(super) fn attribute(&self, name: &str) -> Option<String> {
        attribute(self.attributes, name)
    }

    /// Whether it begins an entry.
    pub(super) fn is_entry(&self) -> bool {
        self.space == Namespace::Core && matches!(&*self.name, "item" | "entry")
    }

    /// Whether it is what feeds are in.
    pub(super) fn is_root(&self) -> bool {
        let is_named = matches!(&*self.name, "rss" | "rdf");
        is_named || self.space == Namespace::Core && matches!(&*self.name, "feed" | "channel")
    }

    /// Whether all that it says is in its attributes. Some forget the slash at the end of such a tag.
    pub(super) fn is_void(&self) -> bool {
        let wanted = match (self.space, &*self.name) {
            (Namespace::Core, "enclosure") | (Namespace::Media, "thumbnail") => "url",
            (Namespace::Core, "link") => "href",
            _ => return self.empty,
        };
        let found = markup::attributes(self.attributes);
        self.empty || found.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted))
    }

    /// Whether this one cannot be within that one, whose end tag is missing then.
    fn follows(&self, before: &Self) -> bool {
        let is_part = !matches!(self.space, Namespace::Xhtml | Namespace::Other);
        let is_next = PLAIN.contains(&&*self.name) || RICH.contains(&&*self.name);
        is_part && is_next && before.space == Namespace::Core && PLAIN.contains(&&*before.name)
    }
}

/// Elements that hold nothing but text.
const PLAIN: [&str; 9] =
    ["title", "link", "guid", "id", "pubdate", "published", "updated", "category", "comments"];
/// Elements that may follow one of them and never are in it.
const RICH: [&str; 7] = ["description", "summary", "content", "encoded", "author", "creator", "enclosure"];
/// Elements that say something as well.
const MORE: [&str; 6] = ["tagline", "issued", "created", "date", "modified", "subject"];

/// Whether an element at that depth, which is 2 directly within an entry, may say something about the entry. Contents
/// are often made of thousands of elements of HTML.
fn is_wanted(depth: usize, open: &StartTag<'_>) -> bool {
    let name = &*open.name;
    match (depth, open.space) {
        (_, Namespace::Other) => false,
        (2, Namespace::Core) => PLAIN.contains(&name) || RICH.contains(&name) || MORE.contains(&name),
        (2, Namespace::Xhtml) => matches!(name, "body" | "div"),
        (2, _) => true,
        // Parts of a person, and what XHTML is in.
        (3, Namespace::Core | Namespace::Xhtml) => matches!(name, "name" | "email" | "uri" | "url" | "div"),
        // A group of media, its content, its description.
        (3..=5, Namespace::Media) => true,
        _ => false,
    }
}

/// The elements that are open, outermost first.
struct Stack<'a> {
    open: Vec<Frame<'a>>,
    /// How many are open beyond those.
    beyond: usize,
    /// What to add to the depth of an element for its depth within an entry.
    offset: usize,
    kept: [usize; 2],
}

struct Frame<'a> {
    open: StartTag<'a>,
    /// Where its inner text begins.
    from: usize,
    markup: bool,
    children: Vec<Element<'a>>,
}

impl<'a> Frame<'a> {
    fn new(open: StartTag<'a>, from: usize) -> Self {
        Self { open, from, markup: false, children: Vec::new() }
    }

    fn close(self, text: &'a str, end: usize) -> Element<'a> {
        let StartTag { space, name, attributes, .. } = self.open;
        let inner = text.get(self.from..end).unwrap_or_default();
        Element { space, name, inner, markup: self.markup, children: self.children, attributes }
    }
}

impl<'a> Stack<'a> {
    fn new(open: StartTag<'a>, from: usize) -> Self {
        let offset = usize::from(!open.is_entry());
        Self { open: vec![Frame::new(open, from)], beyond: 0, offset, kept: [0, 0] }
    }

    fn depth(&self) -> usize {
        self.open.len() + self.beyond
    }

    /// Whether the element is over as it begins.
    fn is_complete(&self) -> bool {
        self.open.first().is_none_or(|frame| frame.open.is_void())
    }

    /// Whether this one begins behind the whole element, whose end tag is missing.
    fn is_left_by(&self, child: &StartTag<'a>) -> bool {
        matches!(&*self.open, [only] if child.follows(&only.open))
    }

    fn push(&mut self, text: &'a str, child: StartTag<'a>, at: usize) {
        if self.beyond == 0 && self.open.last().is_some_and(|top| child.follows(&top.open)) {
            self.pop(text, child.start);
        }
        if let Some(top) = self.open.last_mut() {
            top.markup = true;
        }
        let is_void = child.is_void();
        if self.beyond > 0 || self.open.len() == OPEN {
            self.beyond += usize::from(!is_void);
            return;
        }
        self.open.push(Frame::new(child, at));
        if is_void {
            self.pop(text, at);
        }
    }

    /// Closes the innermost element, which goes into the one around it if anybody may want it.
    fn pop(&mut self, text: &'a str, end: usize) {
        let depth = self.open.len();
        if depth < 2 {
            return;
        }
        let Some(frame) = self.open.pop() else { return };
        let depth = depth + self.offset;
        let Some(kept) = self.kept.get_mut(usize::from(depth > 2)) else { return };
        if *kept < KEPT
            && is_wanted(depth, &frame.open)
            && let Some(top) = self.open.last_mut()
        {
            top.children.push(frame.close(text, end));
            *kept += 1;
        }
    }

    /// Whether an end tag closes the whole element. One that closes nothing is not there.
    fn end(&mut self, text: &'a str, name: &str, start: usize) -> bool {
        let is_same = |frame: &Frame<'_>| frame.open.full.eq_ignore_ascii_case(name);
        if self.beyond > 0 && !self.open.first().is_some_and(is_same) {
            self.beyond -= 1;
            return false;
        }
        let Some(place) = self.open.iter().rposition(is_same) else { return false };
        self.beyond = 0;
        while self.open.len() > place.max(1) {
            self.pop(text, start);
        }
        place == 0
    }

    fn close(mut self, text: &'a str, end: usize) -> Option<Element<'a>> {
        while self.open.len() > 1 {
            self.pop(text, end);
        }
        self.open.pop().map(|root| root.close(text, end))
    }
}

fn attribute(attributes: &str, name: &str) -> Option<String> {
    let found = markup::attributes(attributes);
    let (_, value) = found.into_iter().find(|(found, _)| local(found).1.eq_ignore_ascii_case(name))?;
    let value = plain_text::unescape(value.trim());
    (!value.is_empty()).then_some(value)
}

/// The prefix and the rest of a name.
fn local(name: &str) -> (&str, &str) {
    name.split_once(':').unwrap_or(("", name))
}

fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// Whether the end tag of that name ends every entry that is open.
fn ends_entry(name: &str) -> bool {
    ["item", "entry", "channel", "feed", "rss", "rdf"].iter().any(|end| end.eq_ignore_ascii_case(name))
}

/// The namespace of an address. Compared without scheme, case and what is at the end, which vary.
fn known(address: &str) -> Option<Namespace> {
    let address = address.trim().to_ascii_lowercase();
    let address = address.split_once("://").map_or(&*address, |(_, rest)| rest);
    let address = address.trim_end_matches(['/', '#']);
    let is = |start: &str| address.starts_with(start);
    match address {
        "purl.org/rss/1.0/modules/content" => Some(Namespace::Content),
        "purl.org/rss/1.0/modules/dcterms" => Some(Namespace::Dc),
        "www.w3.org/1999/xhtml" => Some(Namespace::Xhtml),
        "www.w3.org/2005/atom" | "purl.org/atom/ns" | "purl.org/rss/1.0" | "purl.org/net/rss1.1" => {
            Some(Namespace::Core)
        }
        _ if is("backend.userland.com/rss") || is("my.netscape.com/") || is("channel.netscape.com/") => {
            Some(Namespace::Core)
        }
        _ if is("blogs.law.harvard.edu/tech/rss") || is("cyber.law.harvard.edu/rss") => Some(Namespace::Core),
        _ if is("purl.org/dc/elements/") || is("purl.org/dc/terms") => Some(Namespace::Dc),
        _ if address.contains("search.yahoo.com/mrss") => Some(Namespace::Media),
        _ if address.ends_with("/dtds/podcast-1.0.dtd") => Some(Namespace::Itunes),
        _ => None,
    }
}

/// The namespace that a prefix usually stands for. `declared` to something that nobody knows, no prefix is another
/// language's.
fn usual(prefix: &str, declared: bool) -> Namespace {
    match prefix.to_ascii_lowercase().as_str() {
        "" if declared => Namespace::Other,
        "" | "atom" | "a10" | "rss" => Namespace::Core,
        "dc" | "dcterms" => Namespace::Dc,
        "content" => Namespace::Content,
        "media" => Namespace::Media,
        "itunes" => Namespace::Itunes,
        "xhtml" => Namespace::Xhtml,
        _ => Namespace::Other,
    }
}
