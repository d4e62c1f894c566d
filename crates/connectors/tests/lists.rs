//! What holds for every connector in the lists.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use inboxclaw_connectors::{SINKS, SOURCES};
use schemars::{Schema, SchemaGenerator};
use serde_json::{Value, json};
use support::outside;

/// Name and schema of every kind.
fn schemas() -> Vec<(&'static str, Value)> {
    let of = |schema: fn(&mut SchemaGenerator) -> Schema| {
        let mut generator = SchemaGenerator::default();
        let mut schema = schema(&mut generator).to_value();
        schema["$defs"] = Value::Object(generator.take_definitions(true));
        schema
    };
    let sources = SOURCES.iter().map(|kind| (kind.name, of(kind.schema)));
    sources.chain(SINKS.iter().map(|kind| (kind.name, of(kind.schema)))).collect()
}

/// Calls `check` for every schema of an object within `schema`.
fn objects(schema: &Value, check: &mut dyn FnMut(&Value)) {
    if schema.get("properties").is_some() {
        check(schema);
    }
    match schema {
        Value::Object(parts) => parts.values().for_each(|part| objects(part, check)),
        Value::Array(parts) => parts.iter().for_each(|part| objects(part, check)),
        _ => {}
    }
}

#[test]
fn names_are_unique_and_plain() {
    for names in [
        SOURCES.iter().map(|kind| kind.name).collect::<Vec<_>>(),
        SINKS.iter().map(|kind| kind.name).collect(),
    ] {
        assert!(!names.is_empty());
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
    }
}

#[test]
fn every_file_of_a_connector_is_in_the_list_under_its_name() {
    let files = |folder: &str| -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder);
        // A connector of several files has a file and a folder of its name.
        let paths = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
        paths.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let listed = |names: Vec<&str>| -> BTreeSet<String> { names.into_iter().map(str::to_owned).collect() };
    assert_eq!(listed(SOURCES.iter().map(|kind| kind.name).collect()), files("sources"));
    assert_eq!(listed(SINKS.iter().map(|kind| kind.name).collect()), files("sinks"));
}

#[test]
fn every_setting_is_described_and_optional_ones_name_their_default() {
    for (name, schema) in schemas() {
        assert!(
            schema["description"].as_str().is_some_and(|text| !text.is_empty()),
            "{name} is not described"
        );
        objects(&schema, &mut |object| {
            let required =
                |key: &str| object["required"].as_array().is_some_and(|keys| keys.contains(&json!(key)));
            for (key, setting) in object["properties"].as_object().unwrap() {
                let described = setting["description"].as_str().is_some_and(|text| text.len() > 10);
                assert!(described, "{name}: {key} is not described: {setting}");
                let has_default = setting.get("default").is_some();
                assert!(
                    required(key) || has_default,
                    "{name}: {key} is optional without a default: {setting}"
                );
            }
        });
    }
}

#[test]
fn unknown_settings_are_refused_with_their_name() {
    for (name, schema) in schemas() {
        objects(&schema, &mut |object| {
            assert_eq!(object["additionalProperties"], json!(false), "{name} takes unknown settings");
        });
    }
    let unknown = || json!({ "no_such_setting": 1 });
    let sources = SOURCES.iter().map(|kind| (kind.build)(unknown(), &outside("/")).map(drop));
    let sinks = SINKS.iter().map(|kind| (kind.build)(unknown(), &outside("/")).map(drop));
    for built in sources.chain(sinks) {
        let error = built.unwrap_err();
        assert_eq!(error.path, "no_such_setting");
        assert!(error.to_string().starts_with("unknown field `no_such_setting`"), "{error}");
    }
}
