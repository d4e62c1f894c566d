//! Templates: texts and trees of texts in which references to an event are replaced.
//!
//! A text that begins with `#` or `$` and holds no space is one reference as a whole: `#root.data.n` is the value itself,
//! `$root.data.n` its JSON as a text. In any other text each `#root…` and `$root…` is replaced where it stands, and the
//! path ends where the letters, digits, `_` and dots end. A path follows the members of objects only. There is no escape.
//!
//! Values are copied from the JSON text of the event and never parsed into numbers, so that large integers and the
//! spelling of floats survive. `python` writes what `#` makes of a list or an object. Left out: what a shell makes of the
//! result where a reference stands inside quotes (`sinks/command/script.rs`).

mod python;

use std::borrow::Cow;

use inboxclaw_contract::envelope::{Style, write_envelope};
use inboxclaw_contract::json::write_string;
use inboxclaw_contract::{Event, Json, Warning};
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// What a template calls `root`: the envelope of an event, or a list of envelopes.
#[derive(Debug, Clone)]
pub struct Root(String);

impl Root {
    /// The envelope of an event.
    #[must_use]
    pub fn event(event: &Event) -> Self {
        let mut text = String::new();
        write_envelope(event, Style::Compact, &mut text);
        Self(text)
    }

    /// The envelopes of a batch, as a list.
    #[must_use]
    pub fn batch<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut text = "[".to_owned();
        for event in events {
            if text.len() > 1 {
                text.push(',');
            }
            write_envelope(event, Style::Compact, &mut text);
        }
        text.push(']');
        Self(text)
    }

    /// Any value.
    #[must_use]
    pub fn value(value: &Json) -> Self {
        let mut text = String::new();
        value.write_compact(&mut text);
        Self(text)
    }

    /// Its JSON text, without white space.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.0
    }

    /// The JSON text of the value behind a path whose first name is `root`; `None` where the path leads nowhere.
    fn find(&self, path: &[String]) -> Option<&str> {
        let (first, rest) = path.split_first()?;
        if first != "root" {
            return None;
        }
        rest.iter().try_fold(self.json(), |value, name| member(value, name))
    }
}

/// The member of an object by its name; `None` when there is none, or the value is no object.
fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    if !object.starts_with('{') {
        return None;
    }
    let found = serde_json::Deserializer::from_str(object).deserialize_map(Member(name)).ok()?;
    found.map(RawValue::get)
}

/// Finds one member and skips the others without keeping them.
struct Member<'n>(&'n str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = members.next_key::<String>()? {
            if key == self.0 {
                found = Some(members.next_value()?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// A text with references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    parts: Vec<Part>,
}

/// A part of a [`Text`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// It stays as it is.
    Literal(String),
    /// A value takes its place.
    Reference(Reference),
}

/// A reference to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// As it stands in the template.
    written: String,
    path: Vec<String>,
    /// Whether the template is nothing but this reference.
    is_whole: bool,
}

impl Text {
    /// Reads a template; every text is one.
    #[must_use]
    pub fn new(text: &str) -> Self {
        if text.starts_with(['#', '$']) && !text.contains(' ') {
            return Self { parts: vec![Part::Reference(Reference::new(text, true))] };
        }
        let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['#', '$']) {
            let Some(length) = reference_length(&rest[at..]) else {
                literal.push_str(&rest[..=at]);
                rest = &rest[at + 1..];
                continue;
            };
            literal.push_str(&rest[..at]);
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Reference(Reference::new(&rest[at..at + length], false)));
            rest = &rest[at + length..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Self { parts }
    }

    /// Literals and references, in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The text with its references replaced, as it is. A value that is missing or null leaves nothing.
    #[must_use]
    pub fn plain(&self, root: &Root) -> String {
        self.joined(|reference| reference.text(root).unwrap_or_default().into_owned())
    }

    /// The same with each value quoted for a POSIX shell, for places where no quotes are open; `None` when the template
    /// is a reference with `#` as a whole and the value is missing or null.
    #[must_use]
    pub fn quoted(&self, root: &Root) -> Option<String> {
        if let [Part::Reference(reference)] = self.parts.as_slice() {
            return reference.text(root).map(|value| quote(&value).into_owned());
        }
        Some(self.joined(|reference| quote(&reference.text(root).unwrap_or_default()).into_owned()))
    }

    fn joined(&self, value: impl Fn(&Reference) -> String) -> String {
        let parts = self.parts.iter().map(|part| match part {
            Part::Literal(text) => Cow::Borrowed(text.as_str()),
            Part::Reference(reference) => Cow::Owned(value(reference)),
        });
        parts.collect()
    }

    /// Appends the result as JSON: the value itself for a template that is a reference with `#` as a whole, else a text.
    fn write_json(&self, root: &Root, out: &mut String) {
        match self.parts.as_slice() {
            [Part::Reference(reference)] if reference.is_native() => {
                out.push_str(root.find(&reference.path).unwrap_or("null"));
            }
            _ => write_string(&self.plain(root), out, false),
        }
    }

    /// The reference as a whole that can lead nowhere, whatever the event.
    fn lost(&self) -> Option<&Reference> {
        match self.parts.as_slice() {
            [Part::Reference(reference)] if reference.is_lost() => Some(reference),
            _ => None,
        }
    }

    /// Warns of a text that is read as one reference and can never have a value, such as `#general`.
    #[must_use]
    pub fn warning(&self, path: &str) -> Option<Warning> {
        let reference = self.lost()?;
        let becomes = if reference.is_native() { "null" } else { "the text `null`" };
        let written = &reference.written;
        Some(Warning::new(
            path,
            format!(
                "`{written}` begins with `#` or `$` and holds no space, so it is read as one path; it leads nowhere and \
                 becomes {becomes}: a path begins with `root`, and a space makes it a text"
            ),
        ))
    }
}

impl Reference {
    fn new(written: &str, is_whole: bool) -> Self {
        let path = written[1..].split('.').map(str::to_owned).collect();
        Self { written: written.to_owned(), path, is_whole }
    }

    /// The reference as it stands in the template.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
    }

    /// What takes its place in a text. `None` for a template that is `#…` as a whole and has no value; everywhere else
    /// no value is the empty text for `#` and `null` for `$`.
    #[must_use]
    pub fn text<'a>(&self, root: &'a Root) -> Option<Cow<'a, str>> {
        let value = root.find(&self.path).unwrap_or("null");
        if self.is_plain() {
            return match value {
                "null" if self.is_whole => None,
                "null" => Some(Cow::Borrowed("")),
                value => Some(python::text(value)),
            };
        }
        if !self.is_whole {
            return Some(Cow::Borrowed(value));
        }
        let mut spaced = String::new();
        // A part of a checked text is a checked text.
        Json::from_store(value.into()).write_spaced(&mut spaced, false);
        Some(Cow::Owned(spaced))
    }

    /// Whether it names a member of `root` and not `root` as a whole.
    #[must_use]
    pub fn is_member(&self) -> bool {
        self.path.len() > 1
    }

    fn is_plain(&self) -> bool {
        self.written.starts_with('#')
    }

    fn is_native(&self) -> bool {
        self.is_whole && self.is_plain()
    }

    fn is_lost(&self) -> bool {
        self.path.first().is_none_or(|name| name != "root")
            || self.path.iter().any(|name| name.is_empty() || name.contains(['#', '$']))
    }
}

/// The length of the reference that a text beginning with `#` or `$` begins with.
fn reference_length(text: &str) -> Option<usize> {
    let mut rest = text[1..].strip_prefix("root")?;
    while let Some(name) = rest.strip_prefix('.') {
        let length = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
        if length == 0 {
            break;
        }
        rest = &name[length..];
    }
    Some(text.len() - rest.len())
}

/// A text as one word of a POSIX shell, or a part of one: bare when that is safe, else in single quotes.
#[must_use]
pub fn quote(text: &str) -> Cow<'_, str> {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || b"@%+=:,./-_".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_bare) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(single_quoted(text))
}

/// A text in single quotes for a POSIX shell: one literal part of a word, whatever it holds and whatever stands beside it.
#[must_use]
pub fn single_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\"'\"'"))
}

/// A tree of templates: what a JSON value with texts is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload(Node);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    /// JSON that stays as it is.
    Fixed(String),
    Text(Text),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Payload {
    /// Reads every text in a value as a template. Keys stay as they are.
    #[must_use]
    pub fn new(value: &Value) -> Self {
        Self(Node::new(value))
    }

    /// The value with its references replaced, as JSON without white space.
    #[must_use]
    pub fn render(&self, root: &Root) -> String {
        let mut out = String::new();
        self.0.write(root, &mut out);
        out
    }

    /// Warns of texts that are read as references and can never have a value. `path` is where the value stands in the
    /// settings.
    #[must_use]
    pub fn warnings(&self, path: &str) -> Vec<Warning> {
        let mut found = Vec::new();
        self.0.warnings(path, &mut found);
        found
    }
}

impl Node {
    fn new(value: &Value) -> Self {
        match value {
            Value::String(text) => Self::Text(Text::new(text)),
            Value::Array(items) => Self::List(items.iter().map(Self::new).collect()),
            Value::Object(members) => {
                Self::Map(members.iter().map(|(key, value)| (key.clone(), Self::new(value))).collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::Fixed(value.to_string()),
        }
    }

    fn write(&self, root: &Root, out: &mut String) {
        match self {
            Self::Fixed(json) => out.push_str(json),
            Self::Text(text) => text.write_json(root, out),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(root, out);
                }
                out.push(']');
            }
            Self::Map(members) => {
                out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_string(key, out, false);
                    out.push(':');
                    value.write(root, out);
                }
                out.push('}');
            }
        }
    }

    fn warnings(&self, path: &str, found: &mut Vec<Warning>) {
        match self {
            Self::Fixed(_) => {}
            Self::Text(text) => found.extend(text.warning(path)),
            Self::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.warnings(&format!("{path}.{index}"), found);
                }
            }
            Self::Map(members) => {
                for (key, value) in members {
                    value.warnings(&format!("{path}.{key}"), found);
                }
            }
        }
    }
}
