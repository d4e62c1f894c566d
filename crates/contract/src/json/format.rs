//! Writers that change the style of a JSON text: white space and ASCII escapes, nothing else.
//!
//! Numbers and strings are copied as they stand. No value is parsed, so nothing can be rounded on the way.

use super::check::string_stop;

/// Appends a valid text without white space outside strings.
pub(super) fn compact(text: &str, out: &mut String) {
    out.reserve(text.len());
    restyle(text, out, "", String::push_str);
}

/// Appends a valid text with white space between its parts.
pub(super) fn spaced(text: &str, out: &mut String, ascii: bool) {
    out.reserve(text.len() + text.len() / 8);
    restyle(text, out, " ", if ascii { push_ascii } else { String::push_str });
}

/// Appends `text` as a JSON string literal, with the escapes of Python's `json.dumps`: short ones where JSON has them,
/// `\u00XX` for other control characters. `ascii` as in [`Json::write_spaced`](crate::Json::write_spaced).
pub fn write_string(text: &str, out: &mut String, ascii: bool) {
    let push = if ascii { push_ascii } else { String::push_str };
    out.reserve(text.len() + 2);
    out.push('"');
    let mut done = 0;
    loop {
        let stop = string_stop(text.as_bytes(), done);
        push(out, &text[done..stop]);
        let Some(&byte) = text.as_bytes().get(stop) else { break };
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            control => push_escape(out, u16::from(control)),
        }
        done = stop + 1;
    }
    out.push('"');
}

/// Copies a valid text, dropping white space outside strings, adding `gap` after commas and colons there, and
/// giving the inside of strings to `push`.
fn restyle(text: &str, out: &mut String, gap: &str, push: fn(&mut String, &str)) {
    let bytes = text.as_bytes();
    let same = gap.is_empty();
    // `done` is the end of what is written; everything from there to `at` is to be written as it stands.
    let (mut done, mut at) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let end = string_end(bytes, at + 1);
                if !same {
                    out.push_str(&text[done..at]);
                    push(out, &text[at..end]);
                    done = end;
                }
                at = end;
            }
            b',' | b':' if !same => {
                out.push_str(&text[done..=at]);
                out.push_str(gap);
                at += 1;
                done = at;
            }
            b' ' | b'\t' | b'\n' | b'\r' => {
                out.push_str(&text[done..at]);
                at += 1;
                done = at;
            }
            _ => at += 1,
        }
    }
    out.push_str(&text[done..]);
}

/// The offset behind the quote that closes the string whose inside starts at `at`.
pub(super) fn string_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        at = string_stop(bytes, at);
        match bytes.get(at) {
            Some(b'\\') => at += 2,
            Some(_) => return at + 1,
            None => return bytes.len(),
        }
    }
}

/// Appends text with every character outside printable ASCII as `\uXXXX`. Python counts DEL among them.
fn push_ascii(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte >= 0x7f) {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = special.chars();
        for unit in chars.next().unwrap_or_default().encode_utf16(&mut [0; 2]) {
            push_escape(out, *unit);
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}

fn push_escape(out: &mut String, unit: u16) {
    out.push_str("\\u");
    for shift in [12, 8, 4, 0] {
        out.push(char::from(b"0123456789abcdef"[usize::from(unit >> shift) & 15]));
    }
}
