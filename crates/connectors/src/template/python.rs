//! The text form of a JSON value as Python's `str` writes it: a text as it is, `True`, `None`, `{'a': [1, 'b']}`.
//!
//! Numbers are the one exception: they stay as the JSON text spells them (`1e5`, where Python writes `100000.0`).

use std::borrow::Cow;
use std::fmt::Write as _;

/// The form of a value, given as checked JSON without white space between its parts.
pub(super) fn text(json: &str) -> Cow<'_, str> {
    match json.as_bytes().first() {
        Some(b'"') => Cow::Owned(string(json)),
        Some(b'{' | b'[') => Cow::Owned(container(json)),
        Some(b't') => Cow::Borrowed("True"),
        Some(b'f') => Cow::Borrowed("False"),
        Some(b'n') => Cow::Borrowed("None"),
        _ => Cow::Borrowed(json),
    }
}

/// What a JSON string means.
fn string(json: &str) -> String {
    serde_json::from_str(json).unwrap_or_default()
}

/// A list or an object. It goes through the text once, without recursion: outside strings only commas, colons and the
/// three words differ between the two languages.
fn container(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + json.len() / 8);
    let mut rest = json;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => {
                let length = string_length(rest);
                repr(&string(&rest[..length]), &mut out);
                length
            }
            ',' | ':' => {
                out.push(first);
                out.push(' ');
                1
            }
            't' | 'f' | 'n' => {
                let word = text(rest);
                out.push_str(&word);
                if first == 'f' { 5 } else { 4 }
            }
            other => {
                out.push(other);
                other.len_utf8()
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    out
}

/// The length of the string literal that the text begins with, quotes included.
fn string_length(json: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in json.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    json.len()
}

/// A text as Python's `repr` writes it: in single quotes unless it holds some and no double ones, what cannot be seen
/// as an escape.
fn repr(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        // Writing to a string cannot fail.
        let _ = match c {
            '\\' => out.write_str("\\\\"),
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            c if c == quote => write!(out, "\\{c}"),
            c if is_printable(c) => out.write_char(c),
            c if u32::from(c) < 0x100 => write!(out, "\\x{:02x}", u32::from(c)),
            c if u32::from(c) < 0x1_0000 => write!(out, "\\u{:04x}", u32::from(c)),
            c => write!(out, "\\U{:08x}", u32::from(c)),
        };
    }
    out.push(quote);
}

/// Whether Python shows a character as it is. The rule of both languages is the same: not those of the Unicode categories
/// "other" and "separator", but for the space. Rust offers it only within a debug form, which also escapes marks that join
/// the character before; it does so for the first character of a text only, hence the letter in front.
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    let mut pair = [b'a'; 5];
    let length = c.encode_utf8(&mut pair[1..]).len() + 1;
    std::str::from_utf8(&pair[..length]).is_ok_and(|pair| pair.escape_debug().nth(1) == Some(c))
}
