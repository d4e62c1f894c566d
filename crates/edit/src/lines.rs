//! The lines of an export, as they are written and read: a head, then a line for each entry. How an import is cut
//! into lines is in `reader.rs`.

use std::fmt::Write as _;

use inboxclaw_contract::json::write_string;
use inboxclaw_contract::limits::{self, CURSOR_BYTES};
use inboxclaw_contract::{Entry, Json, Snapshot, Version};
use jiff::Timestamp;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The format that is written, and the only one that is read.
const FORMAT: u64 = 1;
/// How much of a text an error shows.
const SHOWN: usize = 64;

const HEAD: [&str; 7] = ["inboxclaw", "format", "owner", "connector", "version", "cursor", "at"];
const ENTRY: [&str; 8] =
    ["key", "value", "text", "revision", "created_at", "updated_at", "expires_at", "secret"];

/// A line that was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Line {
    Head {
        /// The cursor, where the head tells of one.
        cursor: Option<Option<String>>,
    },
    Entry(Entry),
    /// A secret whose value was not exported, by its key.
    Hidden(String),
}

/// The first line of an export.
pub(crate) fn head(owner: &str, connector: &str, snapshot: &Snapshot) -> String {
    let mut out = format!("{{\"inboxclaw\":\"state\",\"format\":{FORMAT},\"owner\":");
    write_string(owner, &mut out, false);
    out.push_str(",\"connector\":");
    write_string(connector, &mut out, false);
    let _ = write!(out, ",\"version\":{},\"cursor\":", snapshot.version.0);
    match &snapshot.cursor {
        Some(cursor) => write_string(cursor, &mut out, false),
        None => out.push_str("null"),
    }
    let _ = writeln!(out, ",\"at\":\"{}\"}}", snapshot.now);
    out
}

/// Appends the line of an entry, with the value of a secret if `secrets`.
pub(crate) fn write_entry(out: &mut String, entry: &Entry, secrets: bool) {
    out.push_str("{\"key\":");
    write_string(&entry.key, out, false);
    if !entry.secret || secrets {
        let value = entry.value.as_str();
        // A value may hold line breaks between its parts, which a line cannot.
        if value.contains(['\n', '\r']) {
            out.push_str(",\"text\":");
            write_string(value, out, false);
        } else {
            out.push_str(",\"value\":");
            out.push_str(value);
        }
    }
    let (revision, created_at, updated_at) = (entry.revision.0, entry.created_at, entry.updated_at);
    let _ = write!(
        out,
        ",\"revision\":{revision},\"created_at\":\"{created_at}\",\"updated_at\":\"{updated_at}\""
    );
    if let Some(expires_at) = entry.expires_at {
        let _ = write!(out, ",\"expires_at\":\"{expires_at}\"");
    }
    if entry.secret {
        out.push_str(",\"secret\":true");
    }
    out.push_str("}\n");
}

/// Reads a line. Times that it does not tell are `now`.
///
/// # Errors
/// What is wrong with it, by field; never a value.
pub(crate) fn parse(line: &str, now: Timestamp) -> Result<Line, String> {
    if !line.trim_start().starts_with('{') {
        return Err(format!("expected a JSON object, found {}", kind(line.trim_start())));
    }
    let fields: Fields<'_> = serde_json::from_str(line).map_err(|error| syntax(&error))?;
    if fields.raw("inboxclaw").is_some() { fields.head() } else { fields.entry(now) }
}

/// The fields of a line, as they stand there.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl Fields<'_> {
    fn head(&self) -> Result<Line, String> {
        self.known("a head", &HEAD)?;
        let what: String = self.get("inboxclaw")?.unwrap_or_default();
        if what != "state" {
            return Err(format!("inboxclaw: expected \"state\", found {:?}", shown(&what)));
        }
        let format = self.raw("format").ok_or("format: missing in the head")?.get();
        if format.parse() != Ok(FORMAT) {
            return Err(format!("format: this program reads {FORMAT}, found {}", shown(format)));
        }
        self.get::<String>("owner")?;
        self.get::<String>("connector")?;
        self.get::<i64>("version")?;
        self.time("at")?;
        let cursor: Option<Option<String>> = match self.raw("cursor") {
            Some(raw) if raw.get() == "null" => Some(None),
            _ => self.get("cursor")?.map(Some),
        };
        let size = cursor.iter().flatten().map(String::len).sum();
        limits::check_size("the cursor", size, CURSOR_BYTES).map_err(|error| format!("cursor: {error}"))?;
        Ok(Line::Head { cursor })
    }

    fn entry(&self, now: Timestamp) -> Result<Line, String> {
        self.known("an entry", &ENTRY)?;
        let key: String = self.get("key")?.ok_or("key: missing")?;
        limits::check_new_key(&key).map_err(|error| format!("key: {error}"))?;
        let revision = Version(self.get("revision")?.unwrap_or(0));
        let created_at = self.time("created_at")?.unwrap_or(now);
        let updated_at = self.time("updated_at")?.unwrap_or(now);
        let expires_at = match self.raw("expires_at") {
            Some(raw) if raw.get() == "null" => None,
            _ => self.time("expires_at")?,
        };
        let secret = self.get("secret")?.unwrap_or(false);
        let value = match (self.raw("value"), self.get::<String>("text")?) {
            (Some(_), Some(_)) => return Err("text: there is a value already".into()),
            (Some(raw), None) => Json::new(raw.get()).map_err(|error| format!("value: {error}"))?,
            (None, Some(text)) => Json::new(text).map_err(|error| format!("text: {error}"))?,
            (None, None) if secret => return Ok(Line::Hidden(key)),
            (None, None) => return Err("value: missing".into()),
        };
        Ok(Line::Entry(Entry { key, value, revision, created_at, updated_at, expires_at, secret }))
    }

    fn known(&self, what: &str, known: &[&str]) -> Result<(), String> {
        match self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => {
                let known = known.join(", ");
                Err(format!("unknown field {:?}, those of {what} are {known}", shown(name)))
            }
            None => Ok(()),
        }
    }

    fn raw(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, raw)| *raw)
    }

    fn get<T: DeserializeOwned + Expected>(&self, name: &str) -> Result<Option<T>, String> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        let parsed = serde_json::from_str(raw.get());
        parsed.map(Some).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => {
                format!("{name}: expected {}, found {}", T::EXPECTED, kind(raw.get()))
            }
            _ => format!("{name}: {}", syntax(&error)),
        })
    }

    fn time(&self, name: &str) -> Result<Option<Timestamp>, String> {
        let Some(text) = self.get::<String>(name)? else { return Ok(None) };
        let time = text.parse();
        time.map(Some).map_err(|_| {
            format!("{name}: expected a time such as 2024-05-01T12:00:00Z, found {:?}", shown(&text))
        })
    }
}

/// What an error says that a field should hold.
trait Expected {
    const EXPECTED: &'static str;
}

impl Expected for String {
    const EXPECTED: &'static str = "a string";
}

impl Expected for i64 {
    const EXPECTED: &'static str = "an integer of 64 bits";
}

impl Expected for bool {
    const EXPECTED: &'static str = "true or false";
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields: Vec<(String, &RawValue)> = Vec::with_capacity(ENTRY.len());
        while let Some(name) = map.next_key::<String>()? {
            if fields.iter().any(|(found, _)| *found == name) {
                let twice = format!("the field {:?} is there twice", shown(&name));
                return Err(serde::de::Error::custom(twice));
            }
            // Bounds what a line of nothing but fields can cost.
            if !HEAD.contains(&name.as_str()) && !ENTRY.contains(&name.as_str()) {
                let unknown = format!("unknown field {:?}", shown(&name));
                return Err(serde::de::Error::custom(unknown));
            }
            fields.push((name, map.next_value()?));
        }
        Ok(Fields(fields))
    }
}

/// What the parser says, with the place in the line: the number of the line is told elsewhere.
fn syntax(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let problem = text.rsplit_once(" at line ").map_or(text.as_str(), |(problem, _)| problem);
    format!("{problem} at column {}", error.column())
}

/// What kind of JSON a text starts.
fn kind(text: &str) -> &'static str {
    match text.bytes().next() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        Some(b'-' | b'0'..=b'9') => "a number",
        _ => "no JSON",
    }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests;
