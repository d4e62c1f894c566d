//! The forms of answers: a document's schemas, turned into JSON Schema and compiled when first used.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::params::is_formatted;
use crate::google::fields::Mask;
use crate::lock::locked;

/// Where definitions stand in a JSON Schema.
const DEFINITIONS: &str = "#/$defs/";
/// Formats of texts, as [`is_formatted`] knows them. Other names than JSON Schema's own, whose meaning differs.
const FORMATS: [&str; 6] = ["int64", "uint64", "date-time", "google-datetime", "date", "byte"];
/// The most errors that are reported of one answer.
const MOST_ERRORS: usize = 5;

/// The schemas of a document.
#[derive(Debug)]
pub(super) struct Schemas {
    definitions: Map<String, Value>,
    compiled: Mutex<HashMap<String, Arc<Result<Validator, String>>>>,
}

impl Schemas {
    /// Takes the schemas as a document has them.
    pub(super) fn new(found: Map<String, Value>) -> Self {
        let definitions = found.into_iter().map(|(name, schema)| (name, translated(&schema))).collect();
        Self { definitions, compiled: Mutex::default() }
    }

    /// Adds to `wrong` in what a value differs from a schema.
    pub(super) fn check(&self, name: &str, value: &Value, wrong: &mut Vec<String>) {
        match self.validator(name).as_ref() {
            Ok(validator) => {
                let errors = validator.iter_errors(value).take(MOST_ERRORS);
                wrong.extend(errors.map(|error| {
                    format!("{name}{}: {}", error.instance_path(), shortened(&error.to_string()))
                }));
            }
            Err(error) => wrong.push(format!("the schema {name} does not compile: {error}")),
        }
    }

    /// Adds to `wrong` which fields of a selector a schema does not have.
    pub(super) fn check_fields(&self, name: &str, selector: &str, wrong: &mut Vec<String>) {
        match Mask::parse(selector) {
            Ok(mask) => self.select(&mask, &json!({ "$ref": format!("{DEFINITIONS}{name}") }), name, wrong),
            Err(_) => wrong.push(format!("fields is {selector:?}, which is no selector")),
        }
    }

    fn select(&self, mask: &Mask, schema: &Value, place: &str, wrong: &mut Vec<String>) {
        if let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix(DEFINITIONS)) {
            return self
                .definitions
                .get(name)
                .into_iter()
                .for_each(|found| self.select(mask, found, place, wrong));
        }
        if let Some(items) = schema.get("items") {
            return self.select(mask, items, place, wrong);
        }
        for (name, below) in mask.fields() {
            let place = format!("{place}/{name}");
            match schema["properties"].get(name).or_else(|| schema.get("additionalProperties")) {
                Some(found) if !found.is_boolean() => self.select(below, found, &place, wrong),
                _ if name == "*" && below.is_all() => {}
                _ => wrong.push(format!("fields selects {place}, which does not exist")),
            }
        }
    }

    fn validator(&self, name: &str) -> Arc<Result<Validator, String>> {
        let mut compiled = locked(&self.compiled);
        if let Some(found) = compiled.get(name) {
            return found.clone();
        }
        let made = Arc::new(self.compile(name));
        compiled.insert(name.to_owned(), made.clone());
        made
    }

    fn compile(&self, name: &str) -> Result<Validator, String> {
        let schema = json!({ "$ref": format!("{DEFINITIONS}{name}"), "$defs": self.reachable(name) });
        let options = jsonschema::options().should_validate_formats(true);
        let options = FORMATS.iter().fold(options, |options, format| {
            options.with_format(own_name(format), move |text: &str| is_formatted(format, text))
        });
        options.build(&schema).map_err(|error| error.to_string())
    }

    /// The definitions that a schema needs: compiling takes a while.
    fn reachable(&self, name: &str) -> Map<String, Value> {
        let mut found = Map::new();
        let mut open = BTreeSet::from([name.to_owned()]);
        while let Some(name) = open.pop_first() {
            let Some(schema) = self.definitions.get(&name).filter(|_| !found.contains_key(&name)) else {
                continue;
            };
            references(schema, &mut open);
            found.insert(name, schema.clone());
        }
        found
    }
}

/// A schema of a document as JSON Schema: only what says something of the form, and closed objects.
fn translated(schema: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        return json!({ "$ref": format!("{DEFINITIONS}{name}") });
    }
    let kind = schema["type"].as_str().unwrap_or("any");
    let mut made = Map::new();
    if kind != "any" {
        made.insert("type".to_owned(), json!(kind));
    }
    if let Some(values) = schema.get("enum") {
        made.insert("enum".to_owned(), values.clone());
    }
    match (kind, schema["format"].as_str()) {
        ("integer", Some("int32")) => made.extend(bounds(i32::MIN.into(), i32::MAX.into())),
        ("integer", Some("uint32")) => made.extend(bounds(0, u32::MAX.into())),
        ("string", Some(format)) => {
            made.insert("format".to_owned(), json!(own_name(format)));
        }
        _ => {}
    }
    if let Some(items) = schema.get("items") {
        made.insert("items".to_owned(), translated(items));
    }
    if let Some(properties) = schema["properties"].as_object() {
        let properties: Map<_, _> =
            properties.iter().map(|(name, schema)| (name.clone(), translated(schema))).collect();
        made.insert("properties".to_owned(), Value::Object(properties));
    }
    if kind == "object" {
        let more = schema.get("additionalProperties").map_or(json!(false), translated);
        made.insert("additionalProperties".to_owned(), more);
    }
    Value::Object(made)
}

fn own_name(format: &str) -> String {
    format!("google.{format}")
}

fn bounds(lowest: i64, highest: i64) -> [(String, Value); 2] {
    [("minimum".to_owned(), json!(lowest)), ("maximum".to_owned(), json!(highest))]
}

fn references(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            let name =
                object.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix(DEFINITIONS));
            found.extend(name.map(str::to_owned));
            object.values().for_each(|schema| references(schema, found));
        }
        Value::Array(items) => items.iter().for_each(|schema| references(schema, found)),
        _ => {}
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
