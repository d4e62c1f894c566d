//! The JSON schema of the whole file, for editors: made of the schemas of the settings types and of nothing else.

use std::collections::BTreeMap;

use inboxclaw_connectors::{SINKS, SOURCES};
use inboxclaw_contract::OwnerKind;
use inboxclaw_server::ServerSettings;
use inboxclaw_server::{pull, sse};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value as Json, json};

use super::sections::{DatabaseSettings, SourceCommon};
use super::sinks::{WITHOUT_EFFECT, shared_schemas};

/// Where every kind of source and sink has its schema, by its name.
type Kinds = BTreeMap<&'static str, Json>;

/// The schema of a configuration file.
pub fn schema() -> Json {
    let mut generator = SchemaGenerator::default();
    let sources = kinds(&mut generator, OwnerKind::Source);
    let mut sinks = kinds(&mut generator, OwnerKind::Sink);
    sinks.insert(WITHOUT_EFFECT, json!({ "type": "object", "description": "Accepted, without effect." }));
    let server = ServerSettings::json_schema(&mut generator).to_value();
    let database = DatabaseSettings::json_schema(&mut generator).to_value();
    let mut definitions = generator.take_definitions(true);
    let sources = owners(&mut definitions, "source", sources);
    let sinks = owners(&mut definitions, "sink", sinks);
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Inboxclaw configuration",
        "type": "object",
        "properties": {
            "$schema": { "type": "string", "description": "The schema of this file, for editors." },
            "server": server,
            "database": database,
            "sources": sources,
            "sink": sinks,
        },
        "patternProperties": { "^x-": { "description": "Anything, for instance a place for anchors." } },
        "additionalProperties": false,
        "required": ["sources", "sink"],
        "$defs": definitions,
    });
    widen(&mut schema);
    schema
}

/// The schema of every kind of source or sink, with the keys that it shares with others.
pub(super) fn kinds(generator: &mut SchemaGenerator, owner: OwnerKind) -> Kinds {
    let mut kinds = Kinds::new();
    match owner {
        OwnerKind::Source => {
            kinds.extend(SOURCES.iter().map(|kind| (kind.name, (kind.schema)(generator).to_value())));
        }
        OwnerKind::Sink => {
            kinds.insert(pull::KIND, pull::Settings::json_schema(generator).to_value());
            kinds.insert(sse::KIND, sse::Settings::json_schema(generator).to_value());
            kinds.extend(SINKS.iter().map(|kind| (kind.name, (kind.schema)(generator).to_value())));
        }
    }
    for (name, kind) in &mut kinds {
        let shared = match owner {
            OwnerKind::Source => vec![SourceCommon::json_schema(generator)],
            OwnerKind::Sink => shared_schemas(name, generator),
        };
        add_common(name, kind, &shared);
    }
    kinds
}

fn add_common(name: &str, kind: &mut Json, common: &[Schema]) {
    let Some(kind) = kind.as_object_mut() else { return };
    let own = kind.entry("properties").or_insert_with(|| json!({})).as_object_mut().map(std::mem::take);
    let mut properties = Map::new();
    properties.insert(
        "type".to_owned(),
        json!({ "const": name, "description": "The kind; the name when not given." }),
    );
    for common in common {
        properties.extend(common.get("properties").and_then(Json::as_object).cloned().unwrap_or_default());
    }
    properties.extend(own.unwrap_or_default());
    kind.insert("properties".to_owned(), Json::Object(properties));
}

/// The schema of a section: `type` decides, or else the name.
fn owners(definitions: &mut Map<String, Json>, section: &str, kinds: Kinds) -> Json {
    let names: Vec<&str> = kinds.keys().copied().collect();
    let reference = |name: &str| json!({ "$ref": format!("#/$defs/{section}.{name}") });
    let choices: Vec<Json> = names
        .iter()
        .map(|name| {
            json!({
                "if": { "properties": { "type": { "const": name } }, "required": ["type"] },
                "then": reference(name),
            })
        })
        .collect();
    let typed = json!({
        "type": "object",
        "required": ["type"],
        "properties": { "type": { "enum": names } },
        "allOf": choices,
    });
    let by_name = names.iter().map(|name| {
        let either =
            json!({ "if": { "required": ["type"] }, "then": reference("any"), "else": reference(name) });
        ((*name).to_owned(), either)
    });
    let by_name: Map<String, Json> = by_name.collect();
    definitions.extend(kinds.into_iter().map(|(name, kind)| (format!("{section}.{name}"), kind)));
    definitions.insert(format!("{section}.any"), typed);
    json!({ "type": "object", "properties": by_name, "additionalProperties": reference("any") })
}

/// Numbers and booleans may also be texts, such as a reference to an environment variable.
fn widen(schema: &mut Json) {
    match schema {
        Json::Array(items) => items.iter_mut().for_each(widen),
        Json::Object(map) => {
            map.iter_mut()
                .filter(|(key, _)| *key != "default" && *key != "examples")
                .for_each(|(_, inner)| widen(inner));
            let is_scalar = |kind: &Json| matches!(kind.as_str(), Some("integer" | "number" | "boolean"));
            match map.get_mut("type") {
                Some(Json::Array(kinds))
                    if kinds.iter().any(is_scalar) && !kinds.contains(&json!("string")) =>
                {
                    kinds.push(json!("string"));
                }
                Some(kind) if is_scalar(kind) => *kind = json!([kind, "string"]),
                _ => {}
            }
        }
        _ => {}
    }
}
