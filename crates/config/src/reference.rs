//! The reference pages of the configuration: tables of every key, made of the settings types.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use inboxclaw_contract::OwnerKind;
use inboxclaw_server::ServerSettings;
use inboxclaw_settings::Interval;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value as Json};

use super::schema::kinds;
use super::sections::DatabaseSettings;

/// How every page says that nobody should edit it.
const NOTE: &str =
    "<!-- Generated from the settings types by `inboxclaw schema --markdown`. Do not edit. -->\n";

/// The pages, by file name.
pub fn pages() -> BTreeMap<String, String> {
    let mut generator = SchemaGenerator::default();
    let server = ServerSettings::json_schema(&mut generator).to_value();
    let database = DatabaseSettings::json_schema(&mut generator).to_value();
    let sources = kinds(&mut generator, OwnerKind::Source);
    let sinks = kinds(&mut generator, OwnerKind::Sink);
    let page = Page { definitions: generator.take_definitions(true) };
    let configuration = [
        NOTE,
        "# Configuration\n\nThe file `config.yaml` has the sections `server` and `database`, which may be left out, and\n\
         [`sources`](sources.md) and [`sink`](sinks.md). Keys that nobody knows are refused, except `$schema` and\n\
         `x-…` at the top. In texts, `$NAME` and `${NAME}` stand for environment variables, also those of a `.env`\n\
         file in the folder of the file or above it. Intervals are seconds, or texts such as `5m` and `1h 30m`.\n",
        &page.section("server", &server),
        &page.section("database", &database),
    ];
    let mut pages = BTreeMap::from([("configuration.md".to_owned(), configuration.join("\n"))]);
    pages.extend(page.owners(
        OwnerKind::Source,
        "Something below `sources:` notices what changes.",
        &sources,
    ));
    pages.extend(page.owners(OwnerKind::Sink, "Something below `sink:` hands events on.", &sinks));
    pages
}

struct Page {
    definitions: Map<String, Json>,
}

impl Page {
    /// A page for each kind, and one that lists them.
    fn owners(
        &self,
        owner: OwnerKind,
        lead: &str,
        kinds: &BTreeMap<&'static str, Json>,
    ) -> BTreeMap<String, String> {
        let mut list = format!(
            "{NOTE}\n# The {owner}s\n\n{lead} The key is its name; `type` says the kind and may be left out when the \
             name says it.\n\n"
        );
        let mut pages = BTreeMap::new();
        for (name, kind) in kinds {
            let file = format!("{owner}-{name}.md");
            let first = about(kind).split("\n\n").next().map(one_line).unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = writeln!(list, "- [`{name}`]({file}): {first}");
            let section = self.section(name, kind).replacen("##", "#", 1);
            pages.insert(file, format!("{NOTE}\n{section}"));
        }
        pages.insert(format!("{owner}s.md"), list);
        pages
    }

    fn section(&self, title: &str, schema: &Json) -> String {
        let about = about(schema);
        let mut text =
            format!("## `{title}`\n\n{about}\n\n| Key | Type | Default | Meaning |\n|:--|:--|:--|:--|\n");
        self.rows(&mut text, schema, "");
        text
    }

    fn rows(&self, text: &mut String, schema: &Json, prefix: &str) {
        let required = schema.get("required").and_then(Json::as_array).cloned().unwrap_or_default();
        for (key, property) in schema.get("properties").and_then(Json::as_object).into_iter().flatten() {
            let resolved = self.resolve(property);
            let about = property.get("description").or(resolved.get("description")).and_then(Json::as_str);
            let about = one_line(&format!("{} {}", about.unwrap_or_default(), choices(resolved)));
            let nested = resolved.get("properties").is_some();
            let default = match property.get("default") {
                _ if required.iter().any(|name| name == key) => "required".to_owned(),
                Some(value) if !nested && !value.is_null() => format!("`{}`", self.default(property, value)),
                _ => "–".to_owned(),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "| `{prefix}{key}` | {} | {default} | {about} |", self.kind(property));
            let items = resolved.get("items").map(|items| self.resolve(items));
            if nested {
                self.rows(text, resolved, &format!("{prefix}{key}."));
            } else if let Some(items) = items.filter(|items| items.get("properties").is_some()) {
                self.rows(text, items, &format!("{prefix}{key}[]."));
            }
        }
    }

    fn resolve<'a>(&'a self, schema: &'a Json) -> &'a Json {
        if let Some(name) = schema.get("$ref").and_then(Json::as_str) {
            let found = name.strip_prefix("#/$defs/").and_then(|name| self.definitions.get(name));
            return found.map_or(schema, |found| self.resolve(found));
        }
        let alternatives = ["anyOf", "oneOf", "allOf"].iter().find_map(|word| schema.get(word)?.as_array());
        let not_null = |schema: &&Json| schema.get("type").is_none_or(|kind| kind != "null");
        let mut choices = alternatives.into_iter().flatten().filter(not_null);
        match (choices.next(), choices.next()) {
            (Some(only), None) => self.resolve(only),
            _ => schema,
        }
    }

    /// The type of a value, in words.
    fn kind(&self, schema: &Json) -> String {
        if let Some(name) = named(schema) {
            return name.to_lowercase();
        }
        let schema = self.resolve(schema);
        if let Some(values) = schema.get("enum").and_then(Json::as_array) {
            return values.iter().map(|value| format!("`{}`", plain(value))).collect::<Vec<_>>().join(", ");
        }
        let choices = schema.get("oneOf").and_then(Json::as_array).into_iter().flatten();
        let constants: Vec<String> =
            choices.filter_map(|choice| Some(format!("`{}`", plain(choice.get("const")?)))).collect();
        if !constants.is_empty() {
            return constants.join(", ");
        }
        if let Some(value) = schema.get("const") {
            return format!("`{}`", plain(value));
        }
        let words = match schema.get("type") {
            Some(Json::Array(kinds)) => kinds.iter().map(plain).filter(|kind| kind != "null").collect(),
            Some(kind) => vec![plain(kind)],
            None => vec!["anything".to_owned()],
        };
        words.iter().map(|word| word_for(word)).collect::<Vec<_>>().join(" or ")
    }

    /// A default as people write it.
    fn default(&self, schema: &Json, value: &Json) -> String {
        match (named(schema), value.as_u64()) {
            (Some("Interval"), Some(seconds)) => Interval::from_secs(seconds).to_string(),
            _ if value == "" => "\"\"".to_owned(),
            _ => plain(value),
        }
    }
}

fn about(schema: &Json) -> &str {
    schema.get("description").and_then(Json::as_str).unwrap_or_default()
}

/// What each of a few values means, where that is said.
fn choices(schema: &Json) -> String {
    let choices = schema.get("oneOf").and_then(Json::as_array).into_iter().flatten();
    let told = choices.filter_map(|choice| {
        Some(format!("`{}`: {}", plain(choice.get("const")?), choice.get("description")?.as_str()?))
    });
    told.collect::<Vec<_>>().join(" ")
}

/// The name of the type that a schema refers to, where that says more than its form.
fn named(schema: &Json) -> Option<&str> {
    let name = schema.get("$ref").and_then(Json::as_str)?.rsplit('/').next()?;
    ["Interval", "Rate", "Size", "Patterns", "Start"].contains(&name).then_some(name)
}

fn word_for(kind: &str) -> &str {
    match kind {
        "integer" => "whole number",
        "string" => "text",
        "boolean" => "true or false",
        "array" => "list",
        "object" => "mapping",
        other => other,
    }
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Fits into a cell of a table.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
