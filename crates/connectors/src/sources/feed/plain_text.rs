//! Text within markup: references, white space, and HTML as text for titles.
//!
//! References are replaced where they are whole: `&amp;`, `&#8217;`, and every name that HTML knows, whether the
//! document declares it or not. Everything else behind an `&` is text, so that addresses with several parameters and
//! names of firms stay what they are. Entities that a document declares itself are never replaced: nobody needs them,
//! and they are how a small document becomes a large one.

use super::markup::{Token, Tokens};

/// Longest reference, from `&` to `;`. The longest name has 31 letters.
const MOST_REFERENCE: usize = 40;

/// Tags that publishers put into titles of formats whose titles are text.
const INLINE: [&str; 24] = [
    "a", "abbr", "b", "bdi", "bdo", "big", "br", "cite", "code", "div", "em", "font", "i", "img", "mark",
    "p", "s", "small", "span", "strong", "sub", "sup", "u", "wbr",
];

/// Replaces references and drops characters that no text has.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut high: Option<u32> = None;
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        push(&mut out, &mut high, &rest[..at]);
        rest = &rest[at..];
        let end = rest.bytes().take(MOST_REFERENCE).position(|byte| byte == b';');
        let Some(end) = end.filter(|end| *end > 1) else {
            push(&mut out, &mut high, "&");
            rest = &rest[1..];
            continue;
        };
        let reference = &rest[..=end];
        match number(reference) {
            Some(number) => push_number(&mut out, &mut high, number),
            None if reference[1..end].bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                push(&mut out, &mut high, &htmlize::unescape(reference));
            }
            None => {
                push(&mut out, &mut high, "&");
                rest = &rest[1..];
                continue;
            }
        }
        rest = &rest[end + 1..];
    }
    push(&mut out, &mut high, rest);
    out.extend(high.map(|_| char::REPLACEMENT_CHARACTER));
    out
}

/// The number of a character reference. One that fits nowhere is a character that does not exist.
fn number(reference: &str) -> Option<u32> {
    let digits = reference.strip_prefix("&#")?.strip_suffix(';')?;
    let (digits, base) = match digits.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16),
        None => (digits, 10),
    };
    let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(base));
    is_number.then(|| u32::from_str_radix(digits, base).unwrap_or(u32::MAX))
}

/// Adds a character by its number. Halves of a pair are what programs write that count in UTF-16, and numbers from 128
/// to 159 are meant as those of Windows, as HTML has it.
fn push_number(out: &mut String, high: &mut Option<u32>, number: u32) {
    match (high.take(), number) {
        (Some(first), 0xdc00..=0xdfff) => {
            let whole = 0x1_0000 + ((first - 0xd800) << 10) + (number - 0xdc00);
            out.push(char::from_u32(whole).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        (first, number) => {
            out.extend(first.map(|_| char::REPLACEMENT_CHARACTER));
            match number {
                0xd800..=0xdbff => *high = Some(number),
                0x80..=0x9f => out.push_str(&htmlize::unescape(format!("&#{number};"))),
                number => out.extend(
                    Some(char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER))
                        .filter(|c| is_text(*c)),
                ),
            }
        }
    }
}

fn push(out: &mut String, high: &mut Option<u32>, text: &str) {
    if !text.is_empty() {
        out.extend(high.take().map(|_| char::REPLACEMENT_CHARACTER));
        out.extend(text.chars().filter(|c| is_text(*c)));
    }
}

/// Whether XML 1.0 allows a character (section 2.2). The others come from copying out of word processors.
pub(super) fn is_text(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// The text of an element, given what is between its tags. Tags within it are left out.
pub(super) fn text(inner: &str) -> String {
    let mut tokens = Tokens::new(inner);
    let mut out = String::new();
    while let Some((_, token)) = tokens.next() {
        match token {
            // The end of a section within a section.
            Token::Text(text) => out.push_str(&unescape(&text.replace("]]>", ""))),
            Token::Literal(text) => {
                out.extend(text.replace("<![CDATA[", "").chars().filter(|c| is_text(*c)));
            }
            Token::Start { .. } | Token::End { .. } => {}
        }
    }
    out
}

/// Markup as it stands there, sections resolved.
pub(super) fn raw(inner: &str) -> String {
    if !inner.contains("<![CDATA[") {
        return inner.chars().filter(|c| is_text(*c)).collect();
    }
    let mut tokens = Tokens::new(inner);
    let mut out = String::new();
    while let Some((start, token)) = tokens.next() {
        match token {
            Token::Literal(text) => {
                let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                out.extend(escaped.chars().filter(|c| is_text(*c)));
            }
            _ => out.extend(inner[start..tokens.at()].chars().filter(|c| is_text(*c))),
        }
    }
    out
}

/// Whether markup is one element of that name and nothing beside it.
pub(super) fn is_all(inner: &str, name: &str) -> bool {
    let is_named = |full: &str| full.rsplit(':').next().is_some_and(|last| last.eq_ignore_ascii_case(name));
    let mut tokens = Tokens::new(inner);
    let (mut depth, mut over) = (0_usize, false);
    while let Some((_, token)) = tokens.next() {
        match token {
            Token::Text(text) if depth == 0 && text.trim().is_empty() => {}
            _ if over => return false,
            Token::Start { name, empty, .. } if is_named(name) => depth += usize::from(!empty),
            Token::End { name } if is_named(name) => {
                depth = depth.saturating_sub(1);
                over = depth == 0;
            }
            _ if depth == 0 => return false,
            _ => {}
        }
    }
    over
}

/// HTML as text. With `loosely` it is perhaps no HTML: only tags that people put into titles are tags.
pub(super) fn of_html(html: &str, loosely: bool) -> String {
    let mut tokens = Tokens::new(html);
    let mut out = String::new();
    while let Some((start, token)) = tokens.next() {
        let name = match token {
            Token::Start { name, .. } | Token::End { name } => name.to_ascii_lowercase(),
            _ => String::new(),
        };
        match token {
            Token::Text(text) => out.push_str(&unescape(text)),
            Token::Literal(text) => out.push_str(text),
            _ if matches!(name.as_str(), "br" | "p" | "div" | "li" | "td") => out.push(' '),
            _ if loosely && !INLINE.contains(&name.as_str()) => out.push_str(&html[start..tokens.at()]),
            Token::Start { .. } | Token::End { .. } => {}
        }
    }
    out
}

/// Text in one line: white space of markup is one blank. Other blanks, such as one that may not break, stay.
pub(super) fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_ascii_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_replaced_where_they_are_whole() {
        for (text, result) in [
            ("Salt & pepper &amp; &lt;b&gt;", "Salt & pepper & <b>"),
            ("?a=1&b=2&copy=3&amp;lt=4", "?a=1&b=2&copy=3&lt=4"),
            ("Caf&eacute;&nbsp;bar &hellip;", "Caf\u{e9}\u{a0}bar \u{2026}"),
            ("Anna&#8217;s &#x1F600; &#X41;", "Anna\u{2019}s \u{1f600} A"),
            ("Grin &#55357;&#56832; face", "Grin \u{1f600} face"),
            ("&#xD83D;&#xDE00;", "\u{1f600}"),
            ("&#55357; &#56832;&#55357;", "\u{fffd} \u{fffd}\u{fffd}"),
            ("it&#146;s &#133;", "it\u{2019}s \u{2026}"),
            ("a&#0;&#1;&#11;b&#99999999999;", "ab\u{fffd}"),
            ("&d;&secret; &; &#; &#x; &#12x; & ; AT&T; R&D", "&d;&secret; &; &#; &#x; &#12x; & ; AT&T; R&D"),
            ("&&amp;&", "&&&"),
            ("a\u{8}\u{1c}b\u{ffff}", "ab"),
            (
                "&\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4};",
                "&\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4};",
            ),
        ] {
            assert_eq!(unescape(text), result, "{text}");
        }
    }

    #[test]
    fn sections_are_text_also_when_they_are_nested() {
        for (inner, result) in [
            ("<![CDATA[a &amp; <b>]]>", "a &amp; <b>"),
            (" x <![CDATA[a]]> &amp; <![CDATA[b]]> ", " x a & b "),
            ("<![CDATA[a <![CDATA[b]]> c]]>", "a b c"),
            ("a<b>c</b><br/>d<!-- e -->f<?g h?>i", "acdfi"),
        ] {
            assert_eq!(text(inner), result, "{inner}");
        }
        assert_eq!(raw("<p title=\"a &lt; b\"><![CDATA[1 < 2]]></p>"), "<p title=\"a &lt; b\">1 &lt; 2</p>");
    }

    #[test]
    fn one_element_around_everything_is_told_from_several() {
        for (inner, expected) in [
            (" <div class='x'>a<div>b</div></div>\n", true),
            ("<xhtml:div>a</xhtml:div>", true),
            ("<div>a</div><div>b</div>", false),
            ("<div>a</div> b", false),
            ("a<div>b</div>", false),
            ("<p>a</p>", false),
            ("", false),
        ] {
            assert_eq!(is_all(inner, "div"), expected, "{inner}");
        }
    }

    #[test]
    fn html_becomes_text() {
        for (html, loosely, result) in [
            ("Salt &amp; <b>pepper</b> caf&eacute;", false, "Salt & pepper caf\u{e9}"),
            ("<3 Deno", false, "<3 Deno"),
            ("&lt;3 &lt;b&gt;", false, "<3 <b>"),
            ("<custom>x</custom>", false, "x"),
            ("Vec<T> and <script> in <i>HTML</i>", true, "Vec<T> and <script> in HTML"),
            ("a < b <6 and c > d", true, "a < b <6 and c > d"),
            ("one<br>two", true, "one two"),
        ] {
            assert_eq!(of_html(html, loosely), result, "{html}");
        }
    }
}
