//! What a document says, whatever its format: texts as they are meant, addresses resolved, dates read, nothing cut.

use jiff::Timestamp;
use reqwest::Url;
use serde::Serialize;

use super::plain_text::line;

/// Most entries of a feed that are looked at. Feeds list the newest first.
pub(super) const MOST_ENTRIES: usize = 10_000;

/// A feed that was read.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) title: Option<String>,
    /// The address of its page.
    pub(super) page: Option<String>,
    /// Who wrote the entries that do not say it themselves.
    pub(super) authors: Vec<Author>,
    /// As the document has them, at most [`MOST_ENTRIES`].
    pub(super) entries: Vec<Entry>,
    /// How many entries the document marks.
    pub(super) marked: usize,
    /// How many of them were not understood.
    pub(super) unclear: usize,
    /// Where the first of those is.
    pub(super) first_unclear: Option<Place>,
    /// Where the document ends before it is over.
    pub(super) cut: Option<Place>,
}

impl Parsed {
    /// Notes an entry that was not understood, at that byte.
    pub(super) fn note_unclear(&mut self, text: &str, byte: usize) {
        self.unclear += 1;
        self.first_unclear.get_or_insert_with(|| Place::of(text, byte));
    }
}

/// A place in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Counted from 1.
    pub(super) line: usize,
    /// In characters, counted from 1.
    pub(super) column: usize,
}

impl Place {
    /// The place of a byte.
    pub(super) fn of(text: &str, byte: usize) -> Self {
        let before = &text[..text.floor_char_boundary(byte)];
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        Self { line: before.matches('\n').count() + 1, column: before[start..].chars().count() + 1 }
    }
}

/// An entry.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// What its feed calls it; empty when it has no name.
    pub(super) id: String,
    /// Whether several entries of that name and link are versions of one, which Atom allows (RFC 4287, section 4.1.1).
    pub(super) versioned: bool,
    /// Whether earlier versions of this program did not see that name.
    pub(super) newly_named: bool,
    pub(super) link: Option<String>,
    pub(super) title: Option<String>,
    pub(super) authors: Vec<Author>,
    pub(super) published: Option<Timestamp>,
    pub(super) updated: Option<Timestamp>,
    pub(super) summary: Option<String>,
    pub(super) content: Option<Content>,
    pub(super) categories: Vec<String>,
    pub(super) enclosures: Vec<Enclosure>,
}

impl Entry {
    /// Whether it says anything at all.
    pub(super) fn is_understood(&self) -> bool {
        let says = [&self.link, &self.title, &self.summary].iter().any(|text| text.is_some());
        !self.id.is_empty() || says || self.content.is_some() || !self.enclosures.is_empty()
    }

    /// Adds somebody who is not there yet.
    pub(super) fn add_author(&mut self, author: Option<Author>) {
        self.authors.extend(author.filter(|author| !self.authors.contains(author)));
    }

    /// Adds a file that is not there yet. A file is often listed twice, as an enclosure and by an extension.
    pub(super) fn add_enclosure(&mut self, enclosure: Enclosure) {
        if !self.enclosures.iter().any(|known| known.url == enclosure.url) {
            self.enclosures.push(enclosure);
        }
    }
}

/// A text with its type.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) text: String,
    /// A media type, such as `text/html`.
    pub(super) media_type: String,
}

/// Who wrote something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Author {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
}

impl Author {
    /// Reads `mia@example.org (Mia Ng)` (which is RSS's way to write it), `Mia Ng <mia@example.org>` and what is like
    /// them.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = line(text);
        let (email, rest) = match email(&text) {
            Some((start, end)) => {
                (Some(text[start..end].to_owned()), [&text[..start], &text[end..]].concat())
            }
            None => (None, text),
        };
        let name = if email.is_some() { rest.replace("mailto:", "") } else { rest };
        let around =
            |c: char| c.is_whitespace() || "()<>[]\"'\u{201c}\u{201d}\u{201e}\u{ff08}\u{ff09},;:".contains(c);
        let name = if email.is_some() { line(name.trim_matches(around)) } else { name };
        Self { name: Some(name), email, url: None }.filled()
    }

    /// This one, if there is anything about them.
    pub(super) fn filled(mut self) -> Option<Self> {
        for part in [&mut self.name, &mut self.email, &mut self.url] {
            part.take_if(|text| text.is_empty());
        }
        let is_filled = self.name.is_some() || self.email.is_some() || self.url.is_some();
        is_filled.then_some(self)
    }
}

/// Where a mail address is in a text.
fn email(text: &str) -> Option<(usize, usize)> {
    let is_part = |c: &char| c.is_ascii_alphanumeric() || "._%+-".contains(*c);
    text.match_indices('@').find_map(|(at, _)| {
        let local = text[..at].chars().rev().take_while(is_part).count();
        let domain = text[at + 1..].chars().take_while(is_part).count();
        let domain = text[at + 1..at + 1 + domain].trim_end_matches(['.', '-']);
        let is_email = local > 0 && domain.contains('.') && !domain.starts_with('.');
        is_email.then(|| (at - local, at + 1 + domain.len()))
    })
}

/// A file that belongs to an entry.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Enclosure {
    pub(super) url: String,
    #[serde(rename = "type")]
    pub(super) media_type: Option<String>,
    /// In bytes, as the feed says.
    pub(super) length: Option<u64>,
}

/// An address resolved; as it stands when it is none.
pub(super) fn resolved(address: &str, base: &Url) -> String {
    base.join(address).map_or_else(|_| address.to_owned(), Url::into)
}

/// A length as text: digits, with a fraction of zero at the most.
pub(super) fn length(text: &str) -> Option<u64> {
    let text = text.trim();
    let whole = text.split_once('.').filter(|(_, fraction)| fraction.bytes().all(|byte| byte == b'0'));
    whole.map_or(text, |(whole, _)| whole).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_read_in_the_forms_that_are_common() {
        for (text, name, email) in [
            ("mia@example.org (Mia Ng)", Some("Mia Ng"), Some("mia@example.org")),
            ("Mia Ng <mia@example.org>", Some("Mia Ng"), Some("mia@example.org")),
            ("Mia Ng (mia@example.org)", Some("Mia Ng"), Some("mia@example.org")),
            ("mailto:mia@example.org", None, Some("mia@example.org")),
            ("mia@example.org", None, Some("mia@example.org")),
            (
                "\u{5c71}\u{7530}\u{ff08}yamada@example.jp\u{ff09}",
                Some("\u{5c71}\u{7530}"),
                Some("yamada@example.jp"),
            ),
            ("\u{201c}a@example.org\u{201d}", None, Some("a@example.org")),
            ("Mia\n  Ng", Some("Mia Ng"), None),
            ("@mia", Some("@mia"), None),
            ("mia @ example", Some("mia @ example"), None),
            ("O'Neill, J.", Some("O'Neill, J."), None),
        ] {
            let author = Author::parse(text).unwrap();
            assert_eq!((author.name.as_deref(), author.email.as_deref()), (name, email), "{text}");
        }
        assert_eq!(Author::parse(" "), None);
    }

    #[test]
    fn a_place_is_counted_as_editors_count() {
        for (byte, line, column) in [(0, 1, 1), (3, 1, 3), (5, 2, 1), (7, 2, 3), (99, 2, 3)] {
            assert_eq!(Place::of("a\u{e9}b\n\u{20}x", byte), Place { line, column }, "{byte}");
        }
    }

    #[test]
    fn a_length_is_a_number_of_bytes() {
        for (text, bytes) in [
            (" 123 ", Some(123)),
            ("123.0", Some(123)),
            ("1.5", None),
            ("", None),
            ("1 MB", None),
            ("-1", None),
        ] {
            assert_eq!(length(text), bytes, "{text}");
        }
    }
}
