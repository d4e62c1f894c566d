//! Objects merged and lists made as texts: what is taken over stays byte for byte.

use std::borrow::Cow;
use std::collections::HashMap;

use super::check::WHITE_SPACE;
use super::error::JsonError;
use super::format::string_end;
use crate::limits::JSON_BYTES;

/// A key with its quotes, and its value, as they stand.
type Member<'a> = (&'a str, &'a str);

/// The members of both objects: those of the first keep their place, and a key that both have gets the later value. Two
/// keys are the same when they are so after decoding their escapes. A text that is no object is replaced by the later one.
pub(super) fn merged(text: &str, later: &str) -> Result<String, JsonError> {
    if !text.starts_with('{') || !later.starts_with('{') {
        return Ok(later.to_owned());
    }
    let mut all: Vec<Member<'_>> = members(text);
    let mut places: HashMap<Cow<'_, str>, usize> =
        all.iter().enumerate().map(|(place, (key, _))| (decoded(key), place)).collect();
    for (key, value) in members(later) {
        match places.get(&decoded(key)) {
            Some(place) => all[*place].1 = value,
            None => {
                places.insert(decoded(key), all.len());
                all.push((key, value));
            }
        }
    }
    let bytes = all.iter().map(|(key, value)| key.len() + value.len() + ":,".len()).sum::<usize>();
    let bytes = bytes.max(1) + 1;
    if bytes > JSON_BYTES {
        return Err(JsonError::TooLarge { bytes, limit: JSON_BYTES });
    }
    let mut out = String::with_capacity(bytes);
    out.push('{');
    for (place, (key, value)) in all.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        out.push_str(key);
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    Ok(out)
}

/// How many arrays and objects are open at once where it is deepest.
pub(super) fn depth(text: &str) -> usize {
    let (bytes, mut at, mut open, mut deepest) = (text.as_bytes(), 0, 0_usize, 0);
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => at = string_end(bytes, at),
            b'{' | b'[' => {
                open += 1;
                deepest = deepest.max(open);
            }
            b'}' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The members of a checked object, in their order.
fn members(text: &str) -> Vec<Member<'_>> {
    let (bytes, mut all, mut at) = (text.as_bytes(), Vec::new(), 1);
    // A key can only begin where a quote stands outside of values.
    while let Some(start) = text[at..].find('"').map(|place| at + place) {
        let end = string_end(bytes, start + 1);
        let colon = end + text[end..].find(':').unwrap_or(0);
        let value = value_end(bytes, colon + 1);
        all.push((&text[start..end], text[colon + 1..value].trim_matches(WHITE_SPACE)));
        at = value;
    }
    all
}

/// Where the value ends whose text begins at `at`: at the comma or the brace behind it.
fn value_end(bytes: &[u8], mut at: usize) -> usize {
    let mut open = 0_usize;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at + 1);
                continue;
            }
            b'{' | b'[' => open += 1,
            b',' | b'}' if open == 0 => return at,
            b'}' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    at
}

fn decoded(key: &str) -> Cow<'_, str> {
    let plain = || Cow::Borrowed(key.trim_matches('"'));
    if key.contains('\\') { serde_json::from_str(key).map_or_else(|_| plain(), Cow::Owned) } else { plain() }
}
