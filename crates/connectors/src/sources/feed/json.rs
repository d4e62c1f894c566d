//! JSON Feed, versions 1.0 and 1.1 (<https://www.jsonfeed.org/version/1.1/>). A field that is not what it should be is
//! read if its meaning is plain, else left out; an item that is no object is left out.
//!
//! Broken JSON is mended where that is certain, and read item by item where it is not. Mending keeps every byte in its
//! place, so that places in messages are those of the document. Fields that nobody wants are never built in memory.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use reqwest::Url;
use serde::Deserializer;
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::date;
use super::parsed::{Author, Content, Enclosure, Entry, MOST_ENTRIES, Parsed, Place, length, resolved};
use super::plain_text;

/// Most parts of a list within an item that are read. Events show far less.
const MOST_PARTS: usize = 1_000;

const FEED: &[&str] = &["version", "title", "home_page_url", "feed_url", "author", "authors", "items"];
const ITEM: &[&str] = &[
    "id",
    "url",
    "external_url",
    "title",
    "content_html",
    "content_text",
    "summary",
    "date_published",
    "date_modified",
    "author",
    "authors",
    "tags",
    "attachments",
];
const PERSON: &[&str] = &["name", "url"];
const ATTACHMENT: &[&str] = &["url", "mime_type", "size_in_bytes"];

/// Reads a document that came from `base`.
///
/// # Errors
/// The reason in words.
pub(super) fn read(text: &str, base: &Url) -> Result<Parsed, String> {
    let text = &*mended(text);
    match Fields::of(text, FEED) {
        Ok(feed) => {
            let items = match feed.0.get("items") {
                Some(items) if items.get().starts_with('[') => Some(place(text, items)),
                None if feed.text("version").is_none_or(|version| !version.contains("jsonfeed")) => {
                    return Err("there are no items in it".to_owned());
                }
                None => None,
                Some(items) if items.get() == "null" => None,
                Some(_) => return Err("its items are no list".to_owned()),
            };
            Ok(items_into(about(&feed, base), text, items, base))
        }
        Err(error) => {
            let (head, list) = list_of_items(text).ok_or_else(|| error.to_string())?;
            let head = format!("{}\"items\":null}}", &text[..head]);
            let parsed = Fields::of(&head, FEED).map(|feed| about(&feed, base)).unwrap_or_default();
            Ok(items_into(parsed, text, Some(list), base))
        }
    }
}

/// What is said about the feed.
fn about(feed: &Fields<'_>, base: &Url) -> Parsed {
    let page = feed.text("home_page_url").or_else(|| feed.text("feed_url"));
    Parsed {
        title: feed.title(),
        page: page.map(|page| resolved(&page, base)),
        authors: feed.authors(),
        ..Parsed::default()
    }
}

/// Reads the items of the list that begins at `list`.
fn items_into(mut parsed: Parsed, text: &str, list: Option<usize>, base: &Url) -> Parsed {
    let Some(list) = list else { return parsed };
    // Behind a broken item `is_sure` is false until an object with an id is read, because what is found may still be a
    // part of the broken one: nothing is counted or complained of until then.
    let (mut at, mut is_sure) = (list + 1, true);
    loop {
        let blank = |c: char| c.is_ascii_whitespace() || c == ',';
        at = text.len() - text[at..].trim_start_matches(blank).len();
        if !is_sure && !text[at..].starts_with('{') {
            // Still within the broken item, perhaps.
            let Some(next) = behind_object(&text[at..]) else { return parsed };
            at += next;
        } else if text[at..].starts_with(']') {
            return parsed;
        }
        let mut items = serde_json::Deserializer::from_str(&text[at..]).into_iter::<&RawValue>();
        let Some(item) = items.next() else { break };
        match item {
            Ok(raw) => {
                let entry = item_of(raw, base).filter(|entry| is_sure || !entry.id.is_empty());
                let found = entry.is_some();
                parsed.marked += usize::from(is_sure || found);
                match entry {
                    _ if parsed.marked > MOST_ENTRIES => {}
                    Some(entry) => parsed.entries.push(entry),
                    None if is_sure => parsed.note_unclear(text, at),
                    None => {}
                }
                is_sure |= found;
                at += items.byte_offset();
            }
            Err(error) => {
                parsed.marked += usize::from(is_sure);
                let Some(next) = next_item(&text[at..], &error) else { break };
                if is_sure {
                    parsed.note_unclear(text, at);
                }
                // It may be a part of the broken item, in which case it has no id.
                is_sure = false;
                at += next;
            }
        }
    }
    parsed.cut = Some(Place::of(text, at));
    parsed
}

/// Where an object begins that follows another one, behind an error within `text`.
fn next_item(text: &str, error: &serde_json::Error) -> Option<usize> {
    if error.is_eof() {
        return None;
    }
    let line = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
    let from = text.floor_char_boundary(line + error.column().saturating_sub(1));
    behind_object(&text[from..]).map(|next| from + next)
}

fn behind_object(text: &str) -> Option<usize> {
    text.match_indices('}').find_map(|(close, _)| {
        let behind = text[close + 1..].trim_ascii_start().strip_prefix(',')?.trim_ascii_start();
        behind.starts_with('{').then_some(text.len() - behind.len())
    })
}

/// Where the key `items` is and where its list begins, in JSON that cannot be read as a whole.
fn list_of_items(text: &str) -> Option<(usize, usize)> {
    text.match_indices("\"items\"").find_map(|(key, word)| {
        let behind = text[key + word.len()..].trim_ascii_start().strip_prefix(':')?.trim_ascii_start();
        behind.starts_with('[').then_some((key, text.len() - behind.len()))
    })
}

/// The place of a value in the text that it was read from.
fn place(text: &str, raw: &RawValue) -> usize {
    (raw.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len())
}

fn item_of(raw: &RawValue, base: &Url) -> Option<Entry> {
    let item = Fields::of(raw.get(), ITEM).ok()?;
    let content = |key, media_type: &str| {
        item.text(key).map(|text| Content { text, media_type: media_type.to_owned() })
    };
    let (html, plain) = (content("content_html", "text/html"), content("content_text", "text/plain"));
    let link = item.text("url").or_else(|| item.text("external_url"));
    let mut entry = Entry {
        id: item.text("id").unwrap_or_default(),
        link: link.map(|link| resolved(&link, base)),
        title: item.title(),
        authors: item.authors(),
        published: item.text("date_published").as_deref().and_then(date::parse),
        updated: item.text("date_modified").as_deref().and_then(date::parse),
        summary: item.text("summary"),
        categories: item.tags(),
        ..Entry::default()
    };
    match html {
        Some(html) => {
            entry.summary = entry.summary.or(plain.map(|plain| plain.text));
            entry.content = Some(html);
        }
        None => entry.content = plain,
    }
    for attachment in item.parts("attachments") {
        let Ok(attachment) = Fields::of(attachment.get(), ATTACHMENT) else { continue };
        let Some(url) = attachment.text("url") else { continue };
        entry.add_enclosure(Enclosure {
            url: resolved(&url, base),
            media_type: attachment.text("mime_type"),
            length: attachment.text("size_in_bytes").as_deref().and_then(length),
        });
    }
    entry.is_understood().then_some(entry)
}

/// The fields of an object that somebody wants.
struct Fields<'a>(HashMap<&'static str, &'a RawValue>);

impl<'a> Fields<'a> {
    fn of(text: &'a str, wanted: &'static [&'static str]) -> serde_json::Result<Self> {
        let mut json = serde_json::Deserializer::from_str(text);
        let fields = json.deserialize_map(FieldVisitor(wanted))?;
        json.end()?;
        Ok(Self(fields))
    }

    /// A text, or a number as one; nothing when it is empty or something else.
    fn text(&self, key: &str) -> Option<String> {
        self.0.get(key).and_then(|raw| text_of(raw))
    }

    fn title(&self) -> Option<String> {
        let title = plain_text::line(&plain_text::of_html(&self.text("title")?, true));
        (!title.is_empty()).then_some(title)
    }

    /// A list, or the one thing that stands where it should be.
    fn parts(&self, key: &str) -> Vec<&'a RawValue> {
        let Some(raw) = self.0.get(key) else { return Vec::new() };
        serde_json::Deserializer::from_str(raw.get())
            .deserialize_seq(ListVisitor)
            .unwrap_or_else(|_| vec![raw])
    }

    /// Version 1.1 has a list of authors, 1.0 one; some write only the name.
    fn authors(&self) -> Vec<Author> {
        let mut authors: Vec<Author> = Vec::new();
        for raw in ["author", "authors"].iter().flat_map(|key| self.parts(key)) {
            let author = match Fields::of(raw.get(), PERSON) {
                Ok(person) => {
                    let author = person.text("name").and_then(|name| Author::parse(&name));
                    let author = author.unwrap_or(Author { name: None, email: None, url: None });
                    Author { url: person.text("url"), ..author }.filled()
                }
                Err(_) => text_of(raw).and_then(|name| Author::parse(&name)),
            };
            authors.extend(author.filter(|author| !authors.contains(author)));
        }
        authors
    }

    /// A list of words; one text is split at its commas.
    fn tags(&self) -> Vec<String> {
        let is_list = self.0.get("tags").is_some_and(|raw| raw.get().starts_with('['));
        let tags = self.parts("tags").into_iter().filter_map(text_of);
        if is_list {
            return tags.collect();
        }
        let words = tags.flat_map(|tags| tags.split(',').map(plain_text::line).collect::<Vec<_>>());
        words.filter(|word| !word.is_empty()).collect()
    }
}

fn text_of(raw: &RawValue) -> Option<String> {
    let json = raw.get();
    let text = if json.starts_with('"') {
        // As bytes, because half of a pair of surrogates is no text for the parser.
        let text = serde_json::Deserializer::from_str(json).deserialize_bytes(Text).ok()?;
        text.trim().chars().filter(|c| plain_text::is_text(*c)).collect()
    } else if json.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        json.to_owned()
    } else {
        return None;
    };
    (!text.is_empty()).then_some(text)
}

struct FieldVisitor(&'static [&'static str]);

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = HashMap<&'static str, &'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = HashMap::new();
        while let Some(key) = map.next_key::<&RawValue>()? {
            let wanted = key.get().get(1..key.get().len().saturating_sub(1));
            match self.0.iter().find(|name| wanted == Some(**name)) {
                Some(name) => {
                    fields.insert(*name, map.next_value::<&RawValue>()?);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(fields)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut parts = Vec::new();
        while let Some(part) = seq.next_element::<&RawValue>()? {
            if parts.len() < MOST_PARTS {
                parts.push(part);
            }
        }
        Ok(parts)
    }
}

struct Text;

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<String, E> {
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// Takes the faults out of JSON that have one meaning only: control characters and unknown escapes within texts, and
/// commas with nothing behind them. Each becomes a blank; JSON without a fault stays as it is.
fn mended(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    // A blank takes the place of each fault, so that all places in the text stay what they were, also in messages.
    let mut faults = Vec::new();
    let (mut at, mut in_text) = (0, false);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => in_text = !in_text,
            b'\\' if in_text => {
                let is_hex = |from: usize| {
                    bytes.get(from..from + 4).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
                };
                match bytes.get(at + 1) {
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 1,
                    Some(b'u') if is_hex(at + 2) => at += 1,
                    _ => faults.push(at),
                }
            }
            ..0x20 if in_text => faults.push(at),
            b',' if !in_text => {
                let next = bytes[at + 1..].iter().find(|byte| !byte.is_ascii_whitespace());
                faults.extend(matches!(next, Some(b']' | b'}')).then_some(at));
            }
            _ => {}
        }
        at += 1;
    }
    if faults.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut bytes = bytes.to_vec();
    for fault in faults {
        bytes[fault] = b' ';
    }
    // Only ASCII became other ASCII.
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Parsed {
        read(text, &Url::parse("https://j.example/feed.json").unwrap()).unwrap()
    }

    fn ids(parsed: &Parsed) -> Vec<&str> {
        parsed.entries.iter().map(|entry| entry.id.as_str()).collect()
    }

    #[test]
    fn faults_with_one_meaning_are_mended() {
        for (text, result) in [
            ("{\"a\":[1,2,],}", "{\"a\":[1,2 ] }"),
            ("{\"a\":\"b\nc\td\"}", "{\"a\":\"b c d\"}"),
            (r#"{"a":"it\'s \x \u12 \u00e9 \" ,]"}"#, r#"{"a":"it 's  x  u12 \u00e9 \" ,]"}"#),
            ("{\n\"a\" :\t1 , \"b\": [ ] }", "{\n\"a\" :\t1 , \"b\": [ ] }"),
        ] {
            assert_eq!(mended(text), result);
        }
    }

    #[test]
    fn broken_items_cost_themselves() {
        let text = "{\"title\":\"T\",\"items\":[\n{\"id\":\"1\"},\n{\"id\":\"2\",\"x\":[{\"url\":bad},{\"url\":\"u\"}]},\n{\"id\":\"3\"},4,{}]}";
        let parsed = parsed(text);
        assert_eq!((ids(&parsed), parsed.title.as_deref()), (vec!["1", "3"], Some("T")));
        assert_eq!((parsed.unclear, parsed.first_unclear), (3, Some(Place { line: 3, column: 1 })));
        assert_eq!((parsed.marked, parsed.cut), (5, None));
    }

    #[test]
    fn a_document_that_breaks_off_gives_what_is_whole() {
        let parsed = parsed("{\"items\":[{\"id\":\"1\"},{\"id\":\"2");
        assert_eq!(ids(&parsed), ["1"]);
        assert_eq!(parsed.cut, Some(Place { line: 1, column: 22 }));
        let parsed = self::parsed("{\"items\":[{\"id\":\"1\"}");
        assert_eq!((ids(&parsed), parsed.cut.is_some()), (vec!["1"], true));
    }

    #[test]
    fn odd_fields_are_read_or_left_out() {
        let parsed = parsed(
            r#"{"version":"https://jsonfeed.org/version/1","items":[{"id":1.5,"url":["x"],"title":{"a":1},"summary":"a\ud83d\u0000b",
            "authors":[null,"Jo",{"name":"Mia","url":7},{"name":"Mia","url":7}],"author":"Jo","tags":[1,null,"b"],
            "attachments":{"url":"a.mp3","size_in_bytes":"12"},"date_published":1793613600,"content_text":false}]}"#,
        );
        let entry = &parsed.entries[0];
        assert_eq!((entry.id.as_str(), &entry.link, &entry.title), ("1.5", &None, &None));
        assert!(entry.summary.as_deref().unwrap().starts_with("a\u{fffd}") && entry.content.is_none());
        let names: Vec<_> = entry.authors.iter().map(|author| author.name.as_deref()).collect();
        assert_eq!(names, [Some("Jo"), Some("Mia")]);
        assert_eq!((entry.categories.join(" "), entry.published), ("1 b".to_owned(), None));
        assert_eq!(
            (entry.enclosures[0].url.as_str(), entry.enclosures[0].length),
            ("https://j.example/a.mp3", Some(12))
        );
    }

    #[test]
    fn what_is_no_feed_says_why() {
        let base = Url::parse("https://j.example/").unwrap();
        for (text, reason) in [
            ("{\"error\": \"no\"}", "there are no items in it"),
            ("{\"items\": {}}", "its items are no list"),
            ("{\"a\": ", "EOF while parsing a value at line 1 column 6"),
        ] {
            assert_eq!(read(text, &base).unwrap_err(), reason);
        }
        for text in
            ["{\"items\":null}", "{\"version\":\"https://jsonfeed.org/version/1.1\"}", "{\"items\":[]}"]
        {
            assert_eq!(read(text, &base).unwrap().marked, 0, "{text}");
        }
    }
}
