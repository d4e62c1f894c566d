//! What commands say: results on standard output, everything else on standard error. What people read goes through
//! [`printable`], whoever wrote it.

use std::io::{self, IsTerminal as _, Write as _};

use inboxclaw_contract::printable;
use serde::Serialize;
use serde_json::Value as Json;

use super::failed::Failed;

/// One line of a result for people, out at once. A line break in it shows as one and makes no other line.
pub(super) fn line(text: &str) -> io::Result<()> {
    exact(&printable(text))
}

/// A result for machines, out at once: byte for byte in a pipe, and on a terminal with nothing in it that acts, which is the
/// same value if it is JSON.
pub(super) fn result(text: &str) -> io::Result<()> {
    if io::stdout().is_terminal() { line(text) } else { exact(text) }
}

/// A part of such a result; its last part is for [`result`].
pub(super) fn part(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let text = if out.is_terminal() { printable(text) } else { text.into() };
    out.write_all(text.as_bytes())
}

fn exact(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Lines that are a machine's in a pipe, and for people on a terminal.
pub(super) fn lines(text: &str) -> io::Result<()> {
    if io::stdout().is_terminal() { text.lines().try_for_each(line) } else { exact(text) }
}

/// The same for lines that come in pieces, each of any size.
pub(super) struct Lines {
    is_terminal: bool,
    /// What of a line is there already.
    rest: Vec<u8>,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self { is_terminal: io::stdout().is_terminal(), rest: Vec::new() }
    }

    pub(super) fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        if !self.is_terminal {
            return io::stdout().lock().write_all(piece);
        }
        self.rest.extend_from_slice(piece);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return Ok(()) };
        let after = self.rest.split_off(end + 1);
        let whole = std::mem::replace(&mut self.rest, after);
        String::from_utf8_lossy(&whole).lines().try_for_each(line)
    }

    pub(super) fn end(self) -> io::Result<()> {
        if !self.rest.is_empty() {
            line(&String::from_utf8_lossy(&self.rest))?;
        }
        io::stdout().lock().flush()
    }
}

/// A result as JSON for people: two spaces, other letters than ASCII escaped, as the forerunner prints it. Numbers
/// and strings stay as they are written.
pub(super) fn pretty(value: &impl Serialize) -> Result<(), Failed> {
    let text = serde_json::to_string(value).map_err(io::Error::from)?;
    exact(&indent(&text))?;
    Ok(())
}

/// The same value with the keys of all objects sorted.
pub(super) fn sorted(value: &Json) -> Json {
    match value {
        Json::Array(items) => items.iter().map(sorted).collect(),
        Json::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by_key(|(key, _)| key.as_str());
            Json::Object(keys.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect())
        }
        other => other.clone(),
    }
}

/// A remark on standard error, where nobody can be told that it failed. Line breaks in it are ours: text of others in
/// several lines goes through [`printable`] first.
pub(super) fn remark(text: &str) {
    let mut shown = String::with_capacity(text.len() + 1);
    for line in text.lines() {
        shown.extend([&printable(line), "\n"]);
    }
    let _ = io::stderr().write_all(shown.as_bytes());
}

/// An error on standard error; nothing for an empty text.
pub(super) fn complain(text: &str) {
    if !text.is_empty() {
        remark(text);
    }
}

/// Lays out a JSON text, without reading its values: that would change large numbers.
fn indent(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let mut chars = json.chars().peekable();
    let mut depth = 0;
    let (mut in_string, mut escaped) = (false, false);
    while let Some(c) = chars.next() {
        if in_string {
            push_ascii(&mut text, c);
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            ' ' | '\t' | '\n' | '\r' => {}
            '{' | '[' => {
                text.push(c);
                while chars.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(close) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    text.push(close);
                } else {
                    depth += 1;
                    new_line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth -= 1;
                new_line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                new_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            _ => {
                in_string = c == '"';
                text.push(c);
            }
        }
    }
    text
}

fn new_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

fn push_ascii(text: &mut String, c: char) {
    if c.is_ascii() {
        text.push(c);
        return;
    }
    for unit in c.encode_utf16(&mut [0; 2]) {
        text.push_str(&format!("\\u{unit:04x}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_laid_out_and_values_stay() {
        for (json, shown) in [
            ("{}", "{}"),
            ("[ ]", "[]"),
            ("5", "5"),
            (
                r#"{"a":[1,{"b":123456789012345678901234567890}],"c": {}}"#,
                "{\n  \"a\": [\n    1,\n    {\n      \"b\": 123456789012345678901234567890\n    }\n  ],\n  \"c\": {}\n}",
            ),
            (r#"["\"{,:}\\","ž😀"]"#, "[\n  \"\\\"{,:}\\\\\",\n  \"\\u017e\\ud83d\\ude00\"\n]"),
        ] {
            assert_eq!(indent(json), shown, "{json}");
        }
    }

    #[test]
    fn keys_are_sorted_at_every_level() {
        let value = json!({"b": [{"d": 1, "c": 2}], "a": null});
        assert_eq!(sorted(&value).to_string(), "{\"a\":null,\"b\":[{\"c\":2,\"d\":1}]}");
    }
}
