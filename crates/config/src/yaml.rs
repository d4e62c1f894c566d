//! The configuration file as a tree in which every key and every value knows its place. The only module that
//! knows the YAML parser. Left out: what unquoted scalars mean, which is in `scalar.rs`.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Marker, Options, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::{Number, Value as Json};

use super::report::{Place, Problem, Report, join};
use super::scalar::{Plain, resolve};

/// Most nodes of a file once its aliases are expanded.
const NODES: usize = 100_000;
/// Most bytes of keys and texts that aliases expand to.
const BYTES: usize = 8 << 20;
/// Deepest nesting of lists and mappings together.
const DEPTH: usize = 100;

/// A value of the file.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
    /// Came from the environment and is not to be shown.
    pub(super) hidden: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a mapping with its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) value: Node,
}

/// Reads a file of one document. Doubled keys and the like go to the report and the rest is still read.
pub(super) fn parse(text: &str, report: &mut Report) -> Result<Node, Problem> {
    let options = granit_parser::options! {
        flow_nesting_limit: DEPTH,
        block_nesting_limit: DEPTH,
        emit_comments: false,
    };
    Builder::new(text, options, report).document()
}

impl Node {
    pub(super) fn map(&self) -> Option<&[Entry]> {
        if let Value::Map(entries) = &self.value { Some(entries) } else { None }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.map()?.iter().find(|entry| entry.key == key)
    }

    /// The same value as plain JSON.
    pub(super) fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(number) => Json::Number(number.clone()),
            Value::Text(text) => Json::String(text.clone()),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => {
                Json::Object(entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect())
            }
        }
    }

    /// What it is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// How many nodes it has, how deep they go, and how many bytes their keys and texts have.
    fn measure(&self) -> Measured {
        let mut all = Measured { nodes: 1, depth: 0, bytes: 0 };
        let mut add = |key: &str, child: &Self| {
            let child = child.measure();
            all.nodes += child.nodes;
            all.depth = all.depth.max(child.depth + 1);
            all.bytes += key.len() + child.bytes;
        };
        match &self.value {
            Value::Text(text) => all.bytes = text.len(),
            Value::List(items) => items.iter().for_each(|item| add("", item)),
            Value::Map(entries) => entries.iter().for_each(|entry| add(&entry.key, &entry.value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        all
    }
}

/// The size of a node with everything in it.
struct Measured {
    nodes: usize,
    depth: usize,
    bytes: usize,
}

impl Place {
    fn of(mark: &Marker) -> Self {
        Self { line: mark.line(), column: mark.col() + 1 }
    }
}

struct Builder<'a, 'r> {
    lines: Vec<&'a str>,
    parser: Parser<'a, StrInput<'a>>,
    report: &'r mut Report,
    anchors: HashMap<usize, Node>,
    count: usize,
    /// Bytes that aliases expanded to.
    bytes: usize,
    path: Vec<String>,
}

impl<'a, 'r> Builder<'a, 'r> {
    fn new(text: &'a str, options: Options, report: &'r mut Report) -> Self {
        let parser = Parser::new_from_str_with_options(text, options);
        Self {
            lines: text.lines().collect(),
            parser,
            report,
            anchors: HashMap::new(),
            count: 0,
            bytes: 0,
            path: Vec::new(),
        }
    }

    fn document(mut self) -> Result<Node, Problem> {
        let root = loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(..), _) => {}
                (Event::StreamEnd, span) => return Err(self.wrong(&span, "the file is empty")),
                (event, span) => break self.node(event, &span)?,
            }
        };
        loop {
            match self.next()? {
                (Event::DocumentEnd, _) => {}
                (Event::StreamEnd, _) => return Ok(root),
                (_, span) => {
                    return Err(self.wrong(&span, "a second document begins here; the file must hold one"));
                }
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Problem> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => {
                Err(self.wrong(&Span::empty(*error.marker()), format!("this is not YAML: {}", error.info())))
            }
            None => Ok((Event::StreamEnd, Span::empty(Marker::new(0, 1, 0)))),
        }
    }

    fn wrong(&self, span: &Span, message: impl Into<String>) -> Problem {
        Problem { place: Some(Place::of(&span.start)), path: self.path.join("."), message: message.into() }
    }

    fn node(&mut self, event: Event<'a>, span: &Span) -> Result<Node, Problem> {
        self.count += 1;
        if self.count > NODES {
            return Err(self.wrong(span, format!("the file has more than {NODES} values, aliases expanded")));
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (self.scalar(text, style, tag.as_deref(), span)?, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", span)?;
                (Value::List(self.list()?), anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", span)?;
                (Value::Map(self.mapping()?), anchor)
            }
            Event::Alias(id) => return self.alias(id, span),
            _ => return Err(self.wrong(span, "a value is missing here")),
        };
        let node = Node { place: Place::of(&span.start), value, hidden: false };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, span: &Span) -> Result<Node, Problem> {
        let Some(node) = self.anchors.get(&id) else {
            return Err(self.wrong(span, "this alias stands inside of what it stands for"));
        };
        let Measured { nodes, depth, bytes } = node.measure();
        self.count += nodes;
        self.bytes += bytes;
        if self.count > NODES || self.path.len() + depth > DEPTH || self.bytes > BYTES {
            let message = format!(
                "aliases expand to more than {NODES} values, {DEPTH} levels or {BYTES} bytes of text"
            );
            return Err(self.wrong(span, message));
        }
        Ok(node.clone())
    }

    fn list(&mut self) -> Result<Vec<Node>, Problem> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(items);
            }
            self.path.push(items.len().to_string());
            items.push(self.node(event, &span)?);
            self.path.pop();
        }
    }

    fn mapping(&mut self) -> Result<Vec<Entry>, Problem> {
        let (mut entries, mut merged, mut places) = (Vec::new(), Vec::new(), HashMap::new());
        loop {
            let (event, key_span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, _) if text == "<<");
            let key = self.node(event, &key_span)?;
            let text = if let Value::Text(text) = &key.value { Some(text.clone()) } else { None };
            self.path.push(text.clone().unwrap_or_default());
            let (event, span) = self.next()?;
            let value = self.node(event, &span)?;
            if matches!(value.value, Value::Null) {
                self.warn_of_cut(&key_span.end, ":");
            }
            self.path.pop();
            match text {
                Some(_) if is_merge => merged.push((key.place, value)),
                Some(text) => match places.insert(text.clone(), key.place) {
                    None => entries.push(Entry { key: text, place: key.place, value }),
                    Some(first) => {
                        self.doubled(&text, key.place, first);
                        places.insert(text, first);
                    }
                },
                None => self.bad_key(&key),
            }
        }
        let mut known: HashSet<String> = places.into_keys().collect();
        for (place, value) in merged {
            self.merge((&mut entries, &mut known), place, value);
        }
        Ok(entries)
    }

    /// Two values for one key are nearly always a slip of the hand, and a silent choice hides it.
    fn doubled(&mut self, key: &str, place: Place, first: Place) {
        let message = format!(
            "the key `{key}` stands here again, it was already given in line {}, column {}",
            first.line, first.column
        );
        let path = join(&self.path.join("."), key);
        self.report.problem(place, &path, message);
    }

    fn bad_key(&mut self, key: &Node) {
        let message = format!("this key is read as {}, not as a text; put it in quotes", key.kind());
        self.report.problem(key.place, &self.path.join("."), message);
    }

    /// Takes over what `<<` names, without replacing what is there: a mapping, or a list of them.
    fn merge(
        &mut self,
        (entries, known): (&mut Vec<Entry>, &mut HashSet<String>),
        place: Place,
        value: Node,
    ) {
        let maps = match value.value {
            Value::List(maps) => maps,
            _ => vec![value],
        };
        for map in maps {
            match map.value {
                Value::Map(more) => {
                    for entry in more {
                        if known.insert(entry.key.clone()) {
                            entries.push(entry);
                        }
                    }
                }
                _ => self.report.problem(
                    place,
                    &self.path.join("."),
                    "`<<` takes a mapping or a list of mappings",
                ),
            }
        }
    }

    fn scalar(
        &mut self,
        text: Cow<'a, str>,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: &Span,
    ) -> Result<Value, Problem> {
        let typed = ["int", "float", "bool", "null"].into_iter().find(|kind| is(tag, kind));
        self.check_tag(tag, typed.unwrap_or("str"), span)?;
        if style == ScalarStyle::Plain {
            self.warn_of_cut(&span.end, "");
        }
        if style != ScalarStyle::Plain || is(tag, "str") {
            return Ok(Value::Text(text.into_owned()));
        }
        Ok(match resolve(&text) {
            Plain::Null => Value::Null,
            Plain::Bool(value) => Value::Bool(value),
            // More than 64 bits are not a number to anybody here, but perhaps a secret or an id.
            Plain::Int(value) => {
                Number::from_i128(value).map_or(Value::Text(text.into_owned()), Value::Number)
            }
            Plain::Float(value) => match Number::from_f64(value) {
                Some(number) => Value::Number(number),
                None => return Err(self.wrong(span, "a number must be finite")),
            },
            Plain::Text => Value::Text(text.into_owned()),
        })
    }

    /// A placeholder behind a blank is a comment where it has no quotes, so that the text ends before it. `sign` is what
    /// stands between the end of what was read and the blank.
    fn warn_of_cut(&mut self, end: &Marker, sign: &str) {
        let place = Place::of(end);
        let line = self.lines.get(place.line.saturating_sub(1)).copied().unwrap_or_default();
        let at = line.char_indices().nth(place.column - 1).map_or(line.len(), |(at, _)| at);
        let (before, behind) = line.split_at(at);
        let Some(behind) = behind.strip_prefix(sign) else { return };
        let comment = behind.trim_start();
        let is_apart = comment.len() < behind.len() || before.ends_with([' ', '\t']);
        if is_apart && comment.starts_with("#root") {
            let message = "`#root` behind a blank begins a comment of YAML and is no part of the text; put the text into quotes";
            self.report.warn(place, &self.path.join("."), message);
        }
    }

    fn check_tag(&self, tag: Option<&Tag>, expected: &str, span: &Span) -> Result<(), Problem> {
        match tag {
            Some(tag) if tag.core_suffix() != Some(expected) => {
                Err(self.wrong(span, format!("the tag {} has no meaning here", tag.original())))
            }
            _ => Ok(()),
        }
    }
}

fn is(tag: Option<&Tag>, kind: &str) -> bool {
    tag.is_some_and(|tag| tag.core_suffix() == Some(kind))
}

#[cfg(test)]
mod tests;
