//! The schema and the reference pages against the examples and the pages in the repository.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

use std::path::{Path, PathBuf};

use inboxclaw::commands::pages;
use inboxclaw::outside::outside;
use inboxclaw_config::{Environment, Origin, load, schema};
use serde_json::{Value, json};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn examples() -> Vec<PathBuf> {
    let files = std::fs::read_dir(repository().join("examples")).unwrap();
    let mut examples: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    examples.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    examples.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands/starter.yaml"));
    assert!(examples.len() > 3, "{examples:?}");
    examples
}

/// Every key of the file as JSON, by way of the reader that the program uses.
fn as_json(text: &str) -> Value {
    inboxclaw_config::to_json(text).unwrap()
}

#[test]
fn every_example_loads_and_fits_the_schema() {
    let schema = jsonschema::validator_for(&schema()).unwrap();
    for path in examples() {
        let origin = Origin::read(&path).unwrap();
        let env = Environment::new([
            ("INBOXCLAW_TOKEN", "abc"),
            ("NOTES", "/notes"),
            ("WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            ("CHAT_HOOK", "https://chat.example.org/hooks/abc"),
        ]);
        let config = load(&origin, env, &outside()).unwrap_or_else(|error| panic!("{error}"));
        assert!(config.warnings.is_empty(), "{}: {:?}", path.display(), config.warnings);
        let json = as_json(&origin.text);
        let errors: Vec<String> =
            schema.iter_errors(&json).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    }
}

#[test]
fn the_schema_agrees_with_the_program() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for (text, fits) in [
        ("sources: {}\nsink: {}\n", true),
        ("sources: {}\n", false),
        ("sources: {}\nsinks: {}\n", false),
        ("$schema: x\nx-a: 5\nsources: {}\nsink: {}\n", true),
        ("server: {port: '8001'}\nsources: {}\nsink: {}\n", true),
        ("server: {prot: 8001}\nsources: {}\nsink: {}\n", false),
        ("sources: {mock: {}}\nsink: {sse: {}}\n", true),
        ("sources: {mock: {stopped: 'yes', state: {max_entries: '5', max_bytes: 1 KiB}}}\nsink: {}\n", true),
        ("sources: {mock: {state: {expire: [{prefix: a, after: 1d, by: created}]}}}\nsink: {}\n", true),
        ("sources: {mock: {state: {expire: [{prefix: a}]}}}\nsink: {}\n", false),
        ("sources: {mock: {state: {expire: [{prefix: a, after: 1d, by: read}]}}}\nsink: {}\n", false),
        ("sources: {mock: {state: {max: 5}}}\nsink: {}\n", false),
        ("sources: {feed: {url: 'https://a.b/c', start: 7d}}\nsink: {}\n", true),
        ("sources: {}\nsink: {sse: {state: {expire: []}}}\n", true),
        ("sources: {}\nsink: {sse: {start: now}}\n", false),
        ("sources: {mock: {intervall: 5}}\nsink: {}\n", false),
        ("sources: {mock: {interval: 5m}}\nsink: {}\n", true),
        ("sources: {a: {}}\nsink: {}\n", false),
        ("sources: {a: {type: mock, interval: 5}}\nsink: {}\n", true),
        ("sources: {mock: {type: feed, url: 'https://a.b/c'}}\nsink: {}\n", true),
        ("sources: {a: {type: gmail}}\nsink: {}\n", false),
        ("sources: {}\nsink: {a: {type: http_pull, match: [a, b], event_ttl: {a: 5}}}\n", true),
        ("sources: {}\nsink: {a: {type: http_pull, path: {extrakt: a}}}\n", false),
    ] {
        let json = as_json(text);
        assert_eq!(validator.is_valid(&json), fits, "the schema: {text}");
        let origin =
            Origin { file: "c".into(), base_dir: "/nowhere".into(), text: text.into(), built_in: true };
        assert_eq!(load(&origin, Environment::default(), &outside()).is_ok(), fits, "the program: {text}");
    }
}

#[test]
fn every_key_is_described() {
    let schema = schema();
    let mut open = vec![("".to_owned(), &schema)];
    let mut seen = 0;
    while let Some((path, node)) = open.pop() {
        for word in ["properties", "$defs"] {
            for (key, property) in node.get(word).and_then(Value::as_object).into_iter().flatten() {
                let plain = property.get("properties").is_none() && property.get("if").is_none();
                if word == "properties" && plain && !path.ends_with(".any") && !path.is_empty() {
                    assert!(property.get("description").is_some(), "{path}.{key} has no description");
                    seen += 1;
                }
                open.push((format!("{path}.{key}"), property));
            }
        }
    }
    assert!(seen > 30, "{seen}");
    assert_eq!(schema["additionalProperties"], json!(false));
}

#[test]
fn the_reference_pages_are_current() {
    let folder = repository().join("docs/reference");
    let pages = pages();
    for (name, text) in &pages {
        let path = folder.join(name);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == *text, "{} is stale: run this test with UPDATE=1", path.display());
    }
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(pages.contains_key(&name), "docs/reference/{name} belongs to nothing: remove it");
    }
}
