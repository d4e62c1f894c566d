//! Tokens of XML as people write it: what is no markup is text, what is not closed ends somewhere.
//!
//! A tokenizer for XML proper stops at the first fault, and the rest of the feed with it; feeds are full of faults (see
//! `docs/decisions/0016-an-own-reader-of-feeds.md`). This one never fails, and looks at each byte a bounded number of
//! times: whatever is searched for and not there is not searched for again.
//!
//! Left out: references (`plain_text.rs`), names and nesting (`tree.rs`).

/// A piece of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Text with references in it.
    Text(&'a str),
    /// The text of a CDATA section.
    Literal(&'a str),
    /// A start tag; with `empty` there is no end tag.
    Start {
        /// As it stands there, with its prefix.
        name: &'a str,
        /// What follows the name, for [`attributes`].
        attributes: &'a str,
        /// Whether it ends with a slash.
        empty: bool,
    },
    /// An end tag.
    End {
        /// As it stands there.
        name: &'a str,
    },
}

/// What is known not to follow any more.
#[derive(Default)]
struct Absent {
    comment_end: bool,
    literal_end: bool,
    instruction_end: bool,
    item_end: bool,
    subset_end: bool,
    tag_end: bool,
    quotes: [bool; 2],
}

/// The tokens of a text.
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
    absent: Absent,
    /// A token to be given once more, with its place and the place behind it.
    again: Option<(usize, Token<'a>, usize)>,
    cut: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, absent: Absent::default(), again: None, cut: false }
    }

    /// The place behind the last token, in bytes.
    pub(super) fn at(&self) -> usize {
        self.again.map_or(self.at, |(start, ..)| start)
    }

    /// Whether the text ended within a tag or a section.
    pub(super) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Gives a token once more; `start` is its place.
    pub(super) fn again(&mut self, start: usize, token: Token<'a>) {
        self.again = Some((start, token, self.at));
    }

    /// The next token and its place.
    pub(super) fn next(&mut self) -> Option<(usize, Token<'a>)> {
        if let Some((start, token, behind)) = self.again.take() {
            self.at = behind;
            return Some((start, token));
        }
        while self.at < self.text.len() {
            let start = self.at;
            if let Some(token) = self.token() {
                return Some((start, token));
            }
        }
        None
    }

    /// The token at this place; `None` for what says nothing, such as a comment.
    fn token(&mut self) -> Option<Token<'a>> {
        let rest = &self.text[self.at..];
        match kind(rest) {
            Kind::Text => Some(self.prose()),
            Kind::Comment => self.skip_comment(),
            Kind::Literal => Some(self.literal()),
            Kind::Instruction => {
                let end = self.find(2, "?>", |absent| &mut absent.instruction_end);
                self.skip(end.map(|end| end + 2))
            }
            Kind::Declaration => {
                let end = self.declaration();
                self.skip(end)
            }
            Kind::End => self.end(),
            Kind::Start => Some(self.start()),
        }
    }

    /// Text up to the next markup. A `<` that begins none is text.
    fn prose(&mut self) -> Token<'a> {
        let rest = &self.text[self.at..];
        let mut end = usize::from(rest.starts_with('<'));
        loop {
            match rest[end..].find('<') {
                Some(length) if kind(&rest[end + length..]) == Kind::Text => end += length + 1,
                Some(length) => break end += length,
                None => break end = rest.len(),
            }
        }
        self.at += end;
        Token::Text(&rest[..end])
    }

    fn skip_comment(&mut self) -> Option<Token<'a>> {
        let end = self.find(4, "-->", |absent| &mut absent.comment_end);
        self.skip(end.map(|end| end + 3))
    }

    /// Goes on at `end`, counted from here, or behind the next `>`.
    fn skip(&mut self, end: Option<usize>) -> Option<Token<'a>> {
        let end = end.or_else(|| self.find(1, ">", |absent| &mut absent.tag_end).map(|end| end + 1));
        self.cut |= end.is_none();
        self.at = end.map_or(self.text.len(), |end| self.at + end);
        None
    }

    /// A CDATA section. One that another begins in before an entry ends was never closed: then it ends there, and
    /// so does one that nothing closes.
    fn literal(&mut self) -> Token<'a> {
        const OPEN: &str = "<![CDATA[";
        let from = self.at + OPEN.len();
        let end = self.find(OPEN.len(), "]]>", |absent| &mut absent.literal_end).map(|end| self.at + end);
        let body = &self.text[from..end.unwrap_or(self.text.len())];
        let open_again = if end.is_none() { body.len() } else { body.find(OPEN).unwrap_or_default() };
        let entry_end = if self.absent.item_end { None } else { item_end(&body[..open_again]) };
        self.absent.item_end |= end.is_none() && entry_end.is_none();
        let is_open = end.is_none() || entry_end.is_some();
        let body = &body[..entry_end.unwrap_or(body.len())];
        self.at = match (entry_end, end) {
            (Some(entry_end), _) => from + entry_end,
            (None, Some(end)) => end + 3,
            (None, None) => self.text.len(),
        };
        self.cut |= end.is_none() && entry_end.is_none();
        // The end tag of the element that the section is in is no part of it.
        let inner = body.trim_end().strip_suffix('>').and_then(|body| Some(&body[..body.rfind("</")?]));
        let body = inner.filter(|_| is_open).unwrap_or(body);
        Token::Literal(body)
    }

    /// The end of a document type with its own declarations between brackets.
    fn declaration(&mut self) -> Option<usize> {
        let rest = &self.text[self.at..];
        let (bracket, close) = (rest.find(['[', '>']), rest.find('>'));
        if bracket == close || self.absent.subset_end {
            return close.map(|close| close + 1);
        }
        let mut from = bracket?;
        while let Some(length) = rest[from..].find(']') {
            from += length + 1;
            let behind = rest[from..].trim_start();
            if behind.starts_with('>') {
                return Some(rest.len() - behind.len() + 1);
            }
        }
        self.absent.subset_end = true;
        close.map(|close| close + 1)
    }

    fn end(&mut self) -> Option<Token<'a>> {
        let rest = &self.text[self.at..];
        let name = name(&rest[2..]);
        let close = rest[2..].find(['>', '<']).map(|length| length + 2);
        let close = close.map_or(rest.len(), |close| close + usize::from(rest.as_bytes()[close] == b'>'));
        self.at += close;
        Some(Token::End { name })
    }

    /// A start tag, or text when the `<` turns out to begin none.
    fn start(&mut self) -> Token<'a> {
        let rest = &self.text[self.at..];
        let name = name(&rest[1..]);
        let from = 1 + name.len();
        match self.tag_end(from) {
            Some((end, behind)) => {
                self.at += behind;
                let attributes = &rest[from..end];
                let empty = attributes.trim_end().ends_with('/');
                Token::Start { name, attributes, empty }
            }
            None => {
                self.at += 1;
                Token::Text(&rest[..1])
            }
        }
    }

    /// Where the attributes of a start tag end, and where the tag does. Both counted from here.
    fn tag_end(&mut self, from: usize) -> Option<(usize, usize)> {
        let rest = &self.text[self.at..];
        let bytes = rest.as_bytes();
        let (mut at, mut value) = (from, false);
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'>' => return Some((at, at + 1)),
                // The next tag begins: this one lacks its end, or is none.
                b'<' => return rest[from..at].trim().is_empty().then_some((at, at)),
                b'"' | b'\'' if value => at = self.quoted(at, *byte).unwrap_or(at),
                _ => {}
            }
            value = *byte == b'=' || value && byte.is_ascii_whitespace();
            at += 1;
        }
        self.cut = true;
        None
    }

    /// Where a quoted value ends; `None` when its quote was never closed, which is so when the next one of its kind
    /// has the start of a tag before it and goes on with text.
    fn quoted(&mut self, at: usize, quote: u8) -> Option<usize> {
        let close = match quote {
            b'"' => self.find(at + 1, "\"", |absent| &mut absent.quotes[0]),
            _ => self.find(at + 1, "'", |absent| &mut absent.quotes[1]),
        }?;
        let rest = &self.text[self.at..];
        let goes_on = |byte: &u8| !(byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>' | b'?'));
        let is_open = rest[at..close].contains('<') && rest.as_bytes().get(close + 1).is_some_and(goes_on);
        (!is_open).then_some(close)
    }

    /// Finds a word from `from` on, counted from here. What is not there once is not there later.
    fn find(&mut self, from: usize, word: &str, absent: fn(&mut Absent) -> &mut bool) -> Option<usize> {
        if *absent(&mut self.absent) {
            return None;
        }
        let found =
            self.text[self.at..].get(from..).and_then(|rest| rest.find(word)).map(|length| from + length);
        *absent(&mut self.absent) = found.is_none();
        found
    }
}

/// What begins at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Comment,
    Literal,
    Instruction,
    Declaration,
    End,
    Start,
}

fn kind(rest: &str) -> Kind {
    let is_name = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':') || !byte.is_ascii())
    };
    let bytes = rest.as_bytes();
    match bytes {
        [b'<', b'!', b'-', b'-', ..] => Kind::Comment,
        [b'<', b'!', ..] if rest.starts_with("<![CDATA[") => Kind::Literal,
        [b'<', b'!', word @ ..] if is_declaration(word) => Kind::Declaration,
        [b'<', b'?', ..] => Kind::Instruction,
        [b'<', b'/', ..] if is_name(bytes.get(2)) => Kind::End,
        [b'<', ..] if is_name(bytes.get(1)) => Kind::Start,
        _ => Kind::Text,
    }
}

fn is_declaration(rest: &[u8]) -> bool {
    let words: [&[u8]; 5] = [b"DOCTYPE", b"ENTITY", b"ELEMENT", b"ATTLIST", b"NOTATION"];
    words.iter().any(|word| rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)))
}

fn name(rest: &str) -> &str {
    let end = rest.find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>' | '<' | '=' | '"' | '\''));
    &rest[..end.unwrap_or(rest.len())]
}

/// Where an entry ends within a text.
fn item_end(text: &str) -> Option<usize> {
    let ends = ["</item", "</entry"];
    let starts = text.match_indices("</").map(|(at, _)| at);
    let is_end = |at: usize| {
        ends.iter().any(|end| text.get(at..at + end.len()).is_some_and(|part| part.eq_ignore_ascii_case(end)))
    };
    starts.into_iter().find(|at| is_end(*at))
}

/// The attributes of a start tag: name and value with its references. Values need no quotes.
pub(super) fn attributes(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
    while !rest.is_empty() && found.len() < MOST_ATTRIBUTES {
        let end = rest.find(|c: char| c.is_ascii_whitespace() || c == '=').unwrap_or(rest.len());
        let name = &rest[..end];
        rest = rest[end..].trim_ascii_start();
        let mut value = "";
        if let Some(behind) = rest.strip_prefix('=') {
            let behind = behind.trim_ascii_start();
            let quote = behind.chars().next().filter(|quote| matches!(quote, '"' | '\''));
            let (from, end) = match quote.and_then(|quote| behind[1..].find(quote)) {
                Some(length) => (1, 1 + length),
                None => (0, behind.find(|c: char| c.is_ascii_whitespace()).unwrap_or(behind.len())),
            };
            value = &behind[from..end];
            rest = behind[end..].trim_start_matches(['"', '\'']);
        }
        if !name.is_empty() {
            found.push((name, value));
        }
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
    }
    found
}

/// Most attributes of an element that are looked at.
const MOST_ATTRIBUTES: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens in short: text as it is, tags with a sign before their name.
    fn short(text: &str) -> Vec<String> {
        let mut tokens = Tokens::new(text);
        let mut found = Vec::new();
        while let Some((_, token)) = tokens.next() {
            found.push(match token {
                Token::Text(text) => text.to_owned(),
                Token::Literal(text) => format!("[{text}]"),
                Token::Start { name, empty, .. } => format!("{}{name}", if empty { '!' } else { '+' }),
                Token::End { name } => format!("-{name}"),
            });
        }
        found
    }

    #[test]
    fn markup_is_told_from_text() {
        for (text, expected) in [
            ("<a>b</a>", vec!["+a", "b", "-a"]),
            ("<a/><b />", vec!["!a", "!b"]),
            ("1 < 2 <3 <> </ > &", vec!["1 < 2 <3 <> </ > &"]),
            ("<1536x1536>", vec!["<1536x1536>"]),
            ("<!-- <a> -- --><?x <a> ?>b", vec!["b"]),
            ("<!DOCTYPE a [<!ENTITY b '>'> <!-- ] --> ]>c", vec!["c"]),
            ("<!doctype html>c", vec!["c"]),
            ("<!a>", vec!["<!a>"]),
            ("<![CDATA[<a>]]]]><b>", vec!["[<a>]]]", "+b"]),
            ("<a b='>' c=\">\" d>e", vec!["+a", "e"]),
            ("<a b=\"c>d</a><e f=\"g\">", vec!["+a", "d", "-a", "+e"]),
            ("<a title=\"1 < 2\">b", vec!["+a", "b"]),
            ("<a <b>", vec!["+a", "+b"]),
            ("x <b and <c>", vec!["x ", "<", "b and ", "+c"]),
            ("</a<b>", vec!["-a", "+b"]),
            ("<![CDATA[a</b></item><c><![CDATA[d]]>", vec!["[a]", "-item", "+c", "[d]"]),
            ("<![CDATA[a</b></item><c>", vec!["[a]", "-item", "+c"]),
            ("<!-- a <b>", vec![]),
            ("\u{e4}<\u{e4}>\u{e4}</\u{e4}>", vec!["\u{e4}", "+\u{e4}", "\u{e4}", "-\u{e4}"]),
        ] {
            assert_eq!(short(text), expected, "{text}");
        }
    }

    #[test]
    fn attributes_are_read_with_and_without_quotes() {
        for (text, expected) in [
            (" a=\"1\" b = '2' c=3 d /", vec![("a", "1"), ("b", "2"), ("c", "3"), ("d", "")]),
            (" a=\"1\"b='2'", vec![("a", "1"), ("b", "2")]),
            (" a=\"1", vec![("a", "1")]),
            (" ='1' = a", vec![]),
            (" a='\u{e4}\"' \u{e4}=\u{e4}", vec![("a", "\u{e4}\""), ("\u{e4}", "\u{e4}")]),
        ] {
            let found = attributes(text);
            let found: Vec<_> =
                found.iter().map(|(name, value)| (*name, value.trim_start_matches('"'))).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_token_may_be_given_once_more() {
        let mut tokens = Tokens::new("<a>b");
        let (start, token) = tokens.next().unwrap();
        tokens.again(start, token);
        assert_eq!(tokens.at(), 0);
        assert_eq!(tokens.next(), Some((start, token)));
        assert_eq!(tokens.next(), Some((3, Token::Text("b"))));
        assert_eq!(tokens.next(), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_comes_to_an_end_and_loses_nothing_but_markup(text in "([<>/!?=\"'\\[\\]a& -]|<!--|-->|<!\\[CDATA\\[|\\]\\]>|<item>|</item>){0,40}") {
            let mut tokens = Tokens::new(&text);
            let mut last = 0;
            while let Some((start, _)) = tokens.next() {
                assert!(start >= last && tokens.at() > start, "{text}");
                last = tokens.at();
            }
        }
    }
}
