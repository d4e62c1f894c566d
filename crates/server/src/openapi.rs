//! The description of the HTTP API (OpenAPI 3.1), made from the lists of routes and from the types of what they take
//! and answer.
//!
//! Here is how a route is described and what becomes of it; what each one says stands where the route is declared.

use std::collections::HashSet;

use axum::http::Method;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

/// Where schemas are in the document.
const SCHEMAS: &str = "/components/schemas";

/// Makes the schema of something.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What one method of one path does.
#[derive(Clone)]
pub(crate) struct Operation {
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    parameters: Vec<Parameter>,
    body: Option<Content>,
    answers: Vec<Answer>,
}

#[derive(Clone)]
struct Parameter {
    place: &'static str,
    name: &'static str,
    about: &'static str,
    required: bool,
    schema: Schema,
}

#[derive(Clone)]
struct Content {
    media: &'static str,
    about: &'static str,
    schema: SchemaOf,
}

#[derive(Clone)]
struct Answer {
    status: u16,
    about: &'static str,
    content: Vec<(&'static str, SchemaOf)>,
    headers: Vec<(&'static str, &'static str)>,
}

impl Operation {
    pub(crate) fn new(tag: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self { id, tag, summary, parameters: Vec::new(), body: None, answers: Vec::new() }
    }

    /// A query parameter.
    pub(crate) fn query(self, name: &'static str, schema: Schema, about: &'static str) -> Self {
        self.parameter(Parameter { place: "query", name, about, required: false, schema })
    }

    /// A query parameter that must be there.
    pub(crate) fn required(self, name: &'static str, schema: Schema, about: &'static str) -> Self {
        self.parameter(Parameter { place: "query", name, about, required: true, schema })
    }

    /// A header of the request.
    pub(crate) fn header(self, name: &'static str, about: &'static str) -> Self {
        self.parameter(Parameter { place: "header", name, about, required: false, schema: text() })
    }

    fn parameter(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// A body that is JSON of that type.
    pub(crate) fn takes<T: JsonSchema>(self, about: &'static str) -> Self {
        self.body("application/json", about, of::<T>)
    }

    /// A body.
    pub(crate) fn body(mut self, media: &'static str, about: &'static str, schema: SchemaOf) -> Self {
        self.body = Some(Content { media, about, schema });
        self
    }

    /// An answer that is JSON of that type.
    pub(crate) fn gives<T: JsonSchema>(self, status: u16, about: &'static str) -> Self {
        self.answer(status, about, &[("application/json", of::<T>)])
    }

    /// An answer in one of some forms; none at all is one without a body.
    pub(crate) fn answer(
        mut self,
        status: u16,
        about: &'static str,
        content: &[(&'static str, SchemaOf)],
    ) -> Self {
        self.answers.push(Answer { status, about, content: content.to_vec(), headers: Vec::new() });
        self
    }

    /// An answer that says why it did not work.
    pub(crate) fn refuses(self, status: u16, about: &'static str) -> Self {
        self.answer(status, about, &[("application/json", problem)])
    }

    /// A header of the answer named last.
    pub(crate) fn with(mut self, name: &'static str, about: &'static str) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.push((name, about));
        }
        self
    }
}

/// The document. Each path is a template whose parts in braces are described here.
pub(crate) fn document(routes: Vec<(Method, String, Operation)>) -> Value {
    let settings =
        || SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = SCHEMAS.into());
    let mut answers = settings().for_serialize().into_generator();
    let mut bodies = settings().for_deserialize().into_generator();
    let mut paths = Map::new();
    let mut ids = HashSet::new();
    for (method, path, operation) in routes {
        let id = unique(operation.id, &mut ids);
        let mut described = describe(&path, operation, &mut answers, &mut bodies);
        described["operationId"] = id.into();
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        methods[method.as_str().to_ascii_lowercase()] = described;
    }
    let mut schemas = answers.take_definitions(true);
    schemas.extend(bodies.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Inboxclaw",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Events as they are taken and confirmed, and the states of sources and sinks. \
                Times are RFC 3339 in UTC. An error says why in `detail`.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "`server.token`; needed wherever it is configured.",
            } },
        },
        "security": [{}, { "token": [] }],
    })
}

/// Two sinks of one kind have the same operations, whose ids must differ.
fn unique(id: &str, known: &mut HashSet<String>) -> String {
    let mut others = (2..).map(|n| format!("{id}{n}"));
    let mut chosen = id.to_owned();
    while !known.insert(chosen.clone()) {
        chosen = others.next().unwrap_or_default();
    }
    chosen
}

fn describe(
    path: &str,
    operation: Operation,
    answers: &mut SchemaGenerator,
    bodies: &mut SchemaGenerator,
) -> Value {
    let mut parameters: Vec<Value> = path.split('/').filter_map(in_path).collect();
    parameters.extend(operation.parameters.iter().map(|parameter| {
        json!({
            "name": parameter.name,
            "in": parameter.place,
            "required": parameter.required,
            "description": parameter.about,
            "schema": parameter.schema,
        })
    }));
    let mut responses = Map::new();
    for answer in operation.answers.into_iter().chain(of_every_route()) {
        let content: Map<String, Value> = answer
            .content
            .into_iter()
            .map(|(media, schema)| (media.to_owned(), json!({ "schema": schema(answers) })))
            .collect();
        let mut response = json!({ "description": answer.about });
        if !content.is_empty() {
            response["content"] = Value::Object(content);
        }
        for (name, about) in answer.headers {
            response["headers"][name] = json!({ "description": about, "schema": text() });
        }
        responses.entry(answer.status.to_string()).or_insert(response);
    }
    let mut described = json!({
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(body) = operation.body {
        let schema = (body.schema)(bodies);
        described["requestBody"] =
            json!({ "description": body.about, "content": { body.media: { "schema": schema } } });
    }
    described
}

fn of_every_route() -> [Answer; 4] {
    let answer = |status, about| Answer {
        status,
        about,
        content: vec![("application/json", problem as SchemaOf)],
        headers: Vec::new(),
    };
    [
        answer(401, "There is a token, and the request does not carry it."),
        answer(403, "The host is unknown, or a web page of another origin asks."),
        answer(413, "The body is too large."),
        answer(503, "It may work later: there is no room to write, or too much is going on."),
    ]
}

fn in_path(segment: &str) -> Option<Value> {
    let name = segment.strip_prefix('{')?.strip_suffix('}')?;
    let (schema, about) = match name {
        "kind" => (one_of(&["sources", "sinks"]), "Whether the owner is a source or a sink."),
        "name" => (text(), "The owner's name, percent-encoded."),
        "key" => (text(), "The key, percent-encoded as one segment: a slash is %2F."),
        _ => (integer(), "The number."),
    };
    Some(json!({ "name": name, "in": "path", "required": true, "description": about, "schema": schema }))
}

/// The schema of a type.
pub(crate) fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Any text.
pub(crate) fn text() -> Schema {
    json_schema!({ "type": "string" })
}

/// One of some words.
pub(crate) fn one_of(words: &[&str]) -> Schema {
    json_schema!({ "type": "string", "enum": words })
}

/// An integer.
pub(crate) fn integer() -> Schema {
    json_schema!({ "type": "integer" })
}

/// How many, up to a bound.
pub(crate) fn up_to(most: u32, default: u32) -> Schema {
    json_schema!({ "type": "integer", "minimum": 1, "maximum": most, "default": default })
}

/// Yes or no.
pub(crate) fn flag() -> Schema {
    one_of(&["0", "1"])
}

/// The form of a body that is no JSON object.
pub(crate) fn stream(_: &mut SchemaGenerator) -> Schema {
    text()
}

/// Any JSON value.
pub(crate) fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "description": "Any JSON value." })
}

/// Why something did not work.
fn problem(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": { "detail": {
            "description": "One sentence; for query parameters of the event routes a list of objects.",
            "type": ["string", "array"],
        } },
        "required": ["detail"],
    })
}
