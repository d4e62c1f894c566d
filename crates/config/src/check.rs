//! Checks a stretch of the file against the one declaration of its settings: keys against the JSON schema, values by
//! parsing them. Finds everything that is wrong, not only the first thing. Left out: which stretch has which settings.

use std::collections::HashSet;

use inboxclaw_contract::{SettingsError, Warning};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value as Json};

use super::report::{Place, Report, join, nearest};
use super::secrets::Secrets;
use super::yaml::{Node, Value};

/// The schema of one settings type, whole: its definitions are under `$defs`.
pub(super) fn whole_schema(schema: impl FnOnce(&mut SchemaGenerator) -> Schema) -> Json {
    let mut generator = SchemaGenerator::default();
    let mut schema = schema(&mut generator);
    schema.insert("$defs".to_owned(), Json::Object(generator.take_definitions(true)));
    schema.to_value()
}

/// The schema of `T`, whole.
pub(super) fn schema_of<T: JsonSchema>() -> Json {
    whole_schema(T::json_schema)
}

/// Checks the settings at `path` and parses them; `None` when something was wrong, which the report then names.
pub(super) fn settings<T>(
    report: &mut Report,
    node: &Node,
    path: &str,
    schema: &Json,
    parse: impl Fn(Json) -> Result<T, SettingsError>,
) -> Option<T> {
    let before = report.problems.len();
    let mut json = node.to_json();
    Walk { report, root: schema }.node(node, Some(&mut json), schema, path);
    values(report, node, path, json, parse).filter(|_| report.problems.len() == before)
}

/// Parses; on a wrong value notes it, takes it away and parses again, so that the next one is found as well.
fn values<T>(
    report: &mut Report,
    node: &Node,
    path: &str,
    mut json: Json,
    parse: impl Fn(Json) -> Result<T, SettingsError>,
) -> Option<T> {
    let secrets = Secrets::of(node);
    let before = report.problems.len();
    loop {
        let error = match parse(json.clone()) {
            Ok(parsed) => return Some(parsed),
            Err(error) => error,
        };
        let message = error.to_string();
        let found = locate(node, &error.path, &message);
        // What is missing was told before, by the schema or because it was wrong and taken away.
        if report.problems.len() > before && (found.keys.is_empty() || message.starts_with("missing field")) {
            return None;
        }
        if !message.starts_with("missing field")
            || !report.problems.iter().any(|problem| problem.path.starts_with(path))
        {
            let shown = secrets.hide(&message, &found.keys, found.node);
            report.problem(found.place, &join_all(path, &found.path), shown);
        }
        if found.keys.is_empty() || !remove(&mut json, &found.keys) {
            return None;
        }
    }
}

/// Notes what can be used and is probably a mistake, where it stands.
pub(super) fn warnings(report: &mut Report, node: &Node, path: &str, warnings: &[Warning]) {
    for warning in warnings {
        let found = locate(node, &warning.path, "");
        report.warn(found.place, &join_all(path, &found.path), warning.message.as_str());
    }
}

/// What a settings error is about.
struct Located<'a> {
    node: &'a Node,
    place: Place,
    /// The keys down to it, as far as there are mappings: what can be taken away.
    keys: Vec<String>,
    path: String,
}

/// Follows the path of a settings error, in which keys are joined by dots and may hold dots themselves. An error
/// without a path belongs to the key that its text begins with, if there is one.
fn locate<'a>(root: &'a Node, path: &str, message: &str) -> Located<'a> {
    let mut found = Located { node: root, place: root.place, keys: Vec::new(), path: String::new() };
    let first_word = message.split([' ', ':']).next().unwrap_or_default().trim_matches('`');
    let mut rest = if path.is_empty() && root.get(first_word).is_some() { first_word } else { path };
    let mut in_list = false;
    while !rest.is_empty() {
        if let (Value::List(items), Some(index)) = (&found.node.value, rest.strip_prefix('[')) {
            let Some((index, after)) = index.split_once(']') else { break };
            let Some(item) = index.parse().ok().and_then(|index: usize| items.get(index)) else { break };
            (found.node, found.place, in_list) = (item, item.place, true);
            found.path = join(&found.path, index);
            rest = after.trim_start_matches('.');
            continue;
        }
        let is_step = |key: &str| {
            rest.strip_prefix(key).is_some_and(|after| after.is_empty() || after.starts_with(['.', '[']))
        };
        let steps = found.node.map().unwrap_or_default().iter().filter(|entry| is_step(&entry.key));
        let Some(entry) = steps.max_by_key(|entry| entry.key.len()) else { break };
        (found.node, found.place) = (&entry.value, entry.value.place);
        found.path = join(&found.path, &entry.key);
        if !in_list {
            found.keys.push(entry.key.clone());
        }
        rest = rest[entry.key.len()..].trim_start_matches('.');
    }
    found
}

fn join_all(path: &str, rest: &str) -> String {
    if rest.is_empty() { path.to_owned() } else { join(path, rest) }
}

/// Removes what stands under `keys`; `false` when it is not there.
fn remove(json: &mut Json, keys: &[String]) -> bool {
    let Some((last, before)) = keys.split_last() else { return false };
    let parent = before.iter().try_fold(json, |json, key| json.get_mut(key));
    parent.and_then(Json::as_object_mut).is_some_and(|map| map.shift_remove(last).is_some())
}

/// Walks a tree beside its schema, for what parsing would tell one at a time and without a place.
struct Walk<'a, 's> {
    report: &'a mut Report,
    root: &'s Json,
}

impl<'s> Walk<'_, 's> {
    /// Takes unknown keys out of `json`, the copy that is parsed, where there is one.
    fn node(&mut self, node: &Node, mut json: Option<&mut Json>, schema: &'s Json, path: &str) {
        let Some(schema) = self.resolve(schema, node) else { return };
        match &node.value {
            Value::Map(_) => self.mapping(node, json, schema, path),
            Value::List(items) => {
                let Some(schema) = schema.get("items") else { return };
                for (index, item) in items.iter().enumerate() {
                    let json = json.as_deref_mut().and_then(|json| json.get_mut(index));
                    self.node(item, json, schema, &join(path, &index.to_string()));
                }
            }
            _ => {}
        }
    }

    fn mapping(&mut self, node: &Node, mut json: Option<&mut Json>, schema: &'s Json, path: &str) {
        let none = Map::new();
        let known = schema.get("properties").and_then(Json::as_object);
        let others = schema.get("additionalProperties");
        let mut unknown = HashSet::new();
        for entry in node.map().unwrap_or_default() {
            let inner = join(path, &entry.key);
            let found = known.and_then(|known| known.get(&entry.key));
            if let Some(found) = found.or(others.filter(|others| others.is_object())) {
                if found.get("deprecated") == Some(&Json::Bool(true)) {
                    self.report.warn(entry.place, &inner, "this key has no meaning any more and is ignored");
                }
                self.node(
                    &entry.value,
                    json.as_deref_mut().and_then(|json| json.get_mut(&entry.key)),
                    found,
                    &inner,
                );
            } else if others == Some(&Json::Bool(false)) {
                self.report.problem(
                    entry.place,
                    path,
                    unknown_key(&entry.key, known.unwrap_or(&none).keys()),
                );
                unknown.insert(entry.key.as_str());
            }
        }
        if let Some(map) = json.and_then(Json::as_object_mut) {
            map.retain(|key, _| !unknown.contains(key.as_str()));
        }
        let required = schema.get("required").and_then(Json::as_array);
        for key in required.into_iter().flatten().filter_map(Json::as_str) {
            if node.get(key).is_none() {
                self.report.problem(node.place, path, format!("the key `{key}` is missing"));
            }
        }
    }

    /// Follows references, and into the one alternative that fits the form of the node.
    fn resolve(&self, schema: &'s Json, node: &Node) -> Option<&'s Json> {
        if let Some(name) = schema.get("$ref").and_then(Json::as_str) {
            let definition = self.root.get("$defs")?.get(name.strip_prefix("#/$defs/")?)?;
            return self.resolve(definition, node);
        }
        let alternatives =
            ["anyOf", "oneOf", "allOf"].into_iter().find_map(|word| schema.get(word)?.as_array());
        let Some(alternatives) = alternatives else { return Some(schema) };
        let wanted = if node.map().is_some() { "object" } else { "array" };
        let mut fitting = alternatives
            .iter()
            .filter_map(|schema| self.resolve(schema, node))
            .filter(|schema| schema.get("type").is_some_and(|kind| kind == wanted));
        let first = fitting.next()?;
        fitting.next().is_none().then_some(first)
    }
}

/// The message about a key that nobody knows.
pub(super) fn unknown_key<K: AsRef<str>>(key: &str, known: impl Iterator<Item = K> + Clone) -> String {
    let known: Vec<String> = known.map(|key| key.as_ref().to_owned()).collect();
    match nearest(key, known.iter().map(String::as_str)) {
        Some(near) => format!("unknown key `{key}`, did you mean `{near}`?"),
        None => format!("unknown key `{key}`; the keys here are: {}", known.join(", ")),
    }
}
