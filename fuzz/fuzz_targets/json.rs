//! Any bytes as a JSON value, beside serde_json and the differences that `Json` documents.
#![no_main]

use std::collections::HashSet;
use std::fmt;

use inboxclaw_contract::Json;
use inboxclaw_contract::json::JsonError;
use inboxclaw_contract::limits::JSON_DEPTH;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The whole of the grammar, and nothing but the grammar: numbers of any size, halves of surrogate pairs.
fn is_grammatical(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// Levels of nesting up to the end of a text, by brackets outside of strings.
fn depth(text: &str) -> usize {
    let (mut open, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' if !quoted => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Whether an object anywhere has a key twice.
struct Repeats(bool);

impl<'de> Deserialize<'de> for Repeats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Look)
    }
}

struct Look;

impl<'de> Visitor<'de> for Look {
    type Value = Repeats;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Repeats, E> {
        Ok(Repeats(false))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Repeats, E> {
        Ok(Repeats(false))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Repeats, E> {
        Ok(Repeats(false))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Repeats, E> {
        Ok(Repeats(false))
    }

    fn visit_str<E>(self, _: &str) -> Result<Repeats, E> {
        Ok(Repeats(false))
    }

    fn visit_unit<E>(self) -> Result<Repeats, E> {
        Ok(Repeats(false))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Repeats, A::Error> {
        let mut repeats = false;
        while let Some(Repeats(inner)) = seq.next_element()? {
            repeats |= inner;
        }
        Ok(Repeats(repeats))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Repeats, A::Error> {
        let (mut seen, mut repeats) = (HashSet::new(), false);
        while let Some((key, Repeats(inner))) = map.next_entry::<String, Repeats>()? {
            repeats |= inner | !seen.insert(key);
        }
        Ok(Repeats(repeats))
    }
}

fn accepted(json: &Json, text: &str) {
    let trimmed = text.trim_matches([' ', '\t', '\r', '\n']);
    assert_eq!(json.as_str(), trimmed, "it comes back byte for byte");
    assert!(is_grammatical(trimmed), "taken against the grammar");
    assert!(depth(trimmed) <= JSON_DEPTH, "taken too deep");
    json.parse::<IgnoredAny>().unwrap();
    match json.parse::<Repeats>() {
        Ok(Repeats(repeats)) => assert!(!repeats, "taken with a key twice"),
        Err(error) => assert!(error.to_string().starts_with("number out of range"), "{error}"),
    }
    assert_eq!(serde_json::to_string(json).unwrap(), trimmed);
    assert_eq!(Json::new(json.as_str()).unwrap(), *json);
    assert_eq!(json.is_object(), trimmed.starts_with('{'));
    assert_eq!(format!("{json:?}"), format!("Json({} bytes)", trimmed.len()));
}

fn refused(error: &JsonError, text: &str) {
    match error {
        JsonError::Syntax { at, .. } => {
            assert!(*at <= text.len());
            assert!(!is_grammatical(text), "refused as against the grammar: {error}");
        }
        JsonError::DuplicateKey { at, .. } => {
            assert!(text[*at..].starts_with('"'), "{error}");
            if is_grammatical(text)
                && let Ok(Repeats(repeats)) = serde_json::from_str(text)
            {
                assert!(repeats, "{error}");
            }
        }
        JsonError::LoneSurrogate { at } => {
            let escape = text[*at..].get(..3).map(str::to_ascii_lowercase);
            assert_eq!(escape.as_deref(), Some("\\ud"), "{error}");
            assert!(serde_json::from_str::<serde_json::Value>(text).is_err(), "{error}");
        }
        JsonError::TooDeep { at, .. } => assert_eq!(depth(&text[..=*at]), JSON_DEPTH + 1, "{error}"),
        JsonError::TooLarge { .. } | JsonError::Unwritable(_) => panic!("{error}"),
        other => panic!("{other}"),
    }
}

fuzz_target!(|input: (u16, bool, &[u8])| {
    let (levels, objects, bytes) = input;
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // Chance alone nests nothing deeply.
    let levels = if levels < 0x8000 { 0 } else { usize::from(levels - 0x8000) };
    let (open, close) = if objects { ("{\"a\":", "}") } else { ("[", "]") };
    let text = format!("{}{text}{}", open.repeat(levels), close.repeat(levels));
    match Json::new(text.as_str()) {
        Ok(json) => accepted(&json, &text),
        Err(error) => refused(&error, &text),
    }
});
