//! Keeps secrets out of messages: which values are secret, and a message without them.

use super::yaml::{Node, Value};

/// Parts of keys behind which a secret stands.
const WORDS: [&str; 10] = [
    "token",
    "secret",
    "password",
    "passwd",
    "api_key",
    "apikey",
    "credential",
    "authorization",
    "cookie",
    "headers",
];
/// Messages show at most so many characters of a text, so a longer secret may stand in one in part.
const SHOWN: usize = 40;
/// Shorter values are not looked for in messages about other keys: they would be found everywhere.
const SHORT: usize = 4;

/// The secret values of a stretch of the file.
pub(super) struct Secrets(Vec<String>);

/// Whether the value behind this key is not to be shown.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase().replace('-', "_");
    key.ends_with("_key") || WORDS.iter().any(|word| key.contains(word))
}

impl Secrets {
    /// The values under secret keys, and those that came from the environment.
    pub(super) fn of(node: &Node) -> Self {
        let mut found = Vec::new();
        collect(node, false, &mut found);
        found.retain(|text| text.chars().count() >= SHORT);
        // The longest first, lest a part of one is replaced and the rest of it stays.
        found.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Self(found)
    }

    /// The message without secrets. `keys` and `node` say what it is about.
    pub(super) fn hide(&self, message: &str, keys: &[String], node: &Node) -> String {
        let mut message = message.to_owned();
        for secret in &self.0 {
            message = replace(&message, secret);
        }
        if !node.hidden && !keys.iter().any(|key| is_secret(key)) {
            return message;
        }
        if let Some((before, _)) = message.split_once(", found ") {
            return format!("{before}, found something else (not shown, it may be a secret)");
        }
        let mut own = Vec::new();
        collect(node, true, &mut own);
        if own.iter().any(|text| message.contains(text.as_str())) {
            return "the value does not fit (not shown, it may be a secret)".to_owned();
        }
        message
    }
}

fn collect(node: &Node, secret: bool, found: &mut Vec<String>) {
    let secret = secret || node.hidden;
    match &node.value {
        Value::Text(text) if secret => found.push(text.clone()),
        Value::Number(number) if secret => found.push(number.to_string()),
        Value::List(items) => items.iter().for_each(|item| collect(item, secret, found)),
        Value::Map(entries) => {
            entries.iter().for_each(|entry| collect(&entry.value, secret || is_secret(&entry.key), found));
        }
        _ => {}
    }
}

fn replace(message: &str, secret: &str) -> String {
    let start: String = secret.chars().take(SHOWN).collect();
    let mut message = message.to_owned();
    for text in [secret, start.as_str()] {
        let quoted = format!("{text:?}");
        message = message.replace(text, "***").replace(quoted.trim_matches('"'), "***");
    }
    message
}
