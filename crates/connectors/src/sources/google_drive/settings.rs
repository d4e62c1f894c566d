//! The settings ready for use, and the fingerprint of those that decide which files are known.

use std::borrow::Cow;

use inboxclaw_contract::settings::StartAt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::snapshot::Snapshot;
use crate::google::filter::{Filters, Rules};
use crate::textdiff::Bounds;

/// Largest text that is kept, in bytes: an entry holds 16 MiB.
pub(super) const MOST_BYTES: usize = 15 << 20;
/// The type of a Google document.
pub(super) const DOCUMENT: &str = "application/vnd.google-apps.document";
/// How the types of Google's own files begin.
const NATIVE: &str = "application/vnd.google-apps.";

pub(super) fn default_types() -> Vec<String> {
    [DOCUMENT, "text/plain", "text/markdown", "text/html"].map(str::to_owned).to_vec()
}

pub(super) fn default_bytes() -> usize {
    10 << 20
}

/// What a filter looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Field {
    /// The id of the file.
    FileId,
    /// Its name.
    Name,
    /// The id of each folder that it is in.
    ParentId,
}

/// What the forerunner did at its first start.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum BootstrapMode {
    /// Remember the files.
    BaselineOnly,
    /// Remember the files with their texts.
    FullSnapshot,
    /// Remember nothing.
    Off,
}

/// The settings ready for use.
pub(super) struct Config {
    pub(super) restrict: bool,
    pub(super) bounds: Bounds,
    pub(super) most_bytes: usize,
    /// Changes when other files are to be known.
    pub(super) fingerprint: String,
    pub(super) start: StartAt,
    pub(super) types: Vec<String>,
    pub(super) filters: Filters<Field>,
}

impl Config {
    /// Whether a filter leaves the file out; `known` is what is known of it, if anything.
    pub(super) fn filters_out(&self, id: &str, known: Option<&Snapshot>) -> bool {
        self.filters.matches(|field| -> Vec<Cow<'_, str>> {
            match field {
                Field::FileId => vec![Cow::Borrowed(id)],
                Field::Name => {
                    known.iter().filter_map(|known| known.name.as_deref()).map(Cow::Borrowed).collect()
                }
                Field::ParentId => known
                    .iter()
                    .flat_map(|known| &known.parents)
                    .map(|id| Cow::Borrowed(id.as_str()))
                    .collect(),
            }
        })
    }

    /// Whether the text of a file is wanted and may be had.
    pub(super) fn wants_text(&self, file: &Snapshot) -> bool {
        let Some(mime) = file.mime_type.as_deref() else { return false };
        let has_text = mime == DOCUMENT || !mime.starts_with(NATIVE);
        let is_wanted = self.types.iter().any(|wanted| match wanted.strip_suffix('*') {
            Some(beginning) => mime.starts_with(beginning),
            None => mime == wanted,
        });
        let size = file.size.as_deref().and_then(|size| size.parse::<usize>().ok());
        has_text
            && is_wanted
            && file.can_download != Some(false)
            && size.is_none_or(|size| size <= self.most_bytes)
    }
}

/// The fingerprint, as the forerunner writes it, so that an update of the program is no change of the settings.
pub(super) fn fingerprint(filters: &Rules<Field>, restrict: bool) -> String {
    let list = filters.iter().map(|named| {
        let named = named.iter().map(|(name, rule)| {
            let mut parts = Map::new();
            if let Some(contains) = &rule.contains {
                parts.insert("contains".to_owned(), json!(contains));
            }
            parts.insert("in".to_owned(), json!(rule.field));
            if let Some(regex) = &rule.regex {
                parts.insert("regex".to_owned(), json!(regex));
            }
            (name.clone(), Value::Object(parts))
        });
        Value::Object(named.collect())
    });
    let list: Vec<Value> = list.collect();
    let mut text = String::new();
    write(&json!({ "filters": list, "restrict_to_my_drive": restrict }), &mut text);
    text
}

/// JSON with blanks behind commas and colons, in ASCII.
fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            text.push('{');
            for (at, (key, member)) in members.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { ", " });
                write_ascii(&json!(key), text);
                text.push_str(": ");
                write(member, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { ", " });
                write(item, text);
            }
            text.push(']');
        }
        scalar => write_ascii(scalar, text),
    }
}

fn write_ascii(scalar: &Value, text: &mut String) {
    for c in scalar.to_string().chars() {
        if c.is_ascii() {
            text.push(c);
        } else {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_that_of_the_forerunner() {
        let filters =
            json!([{ "b": { "in": "name", "regex": "ü" }, "a": { "in": "file_id", "contains": "x" } }]);
        let filters: Rules<Field> = serde_json::from_value(filters).unwrap();
        assert_eq!(
            fingerprint(&filters, true),
            r#"{"filters": [{"a": {"contains": "x", "in": "file_id"}, "b": {"in": "name", "regex": "\u00fc"}}], "restrict_to_my_drive": true}"#
        );
        assert_eq!(fingerprint(&Vec::new(), false), r#"{"filters": [], "restrict_to_my_drive": false}"#);
    }
}
