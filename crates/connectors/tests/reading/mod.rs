//! Documents and what must be read of them, as tables: each is served, polled once, and looked at.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use inboxclaw_connectors::SOURCES;
use inboxclaw_contract::Source;
use serde_json::{Value, json};

use crate::server::{Server, ok};
use crate::support::{Polled, Recorder, outside, poll};

/// A document and what is expected of it.
pub struct Case {
    /// Its name in messages.
    pub name: &'static str,
    body: Vec<u8>,
    headers: Vec<(&'static str, &'static str)>,
    entries: usize,
    values: Vec<(&'static str, Value)>,
    problems: usize,
}

/// A document of which everything is read: so many entries.
pub fn case(name: &'static str, entries: usize, body: impl Into<Vec<u8>>) -> Case {
    Case { name, body: body.into(), headers: Vec::new(), entries, values: Vec::new(), problems: 0 }
}

impl Case {
    /// What some entry holds at a pointer, or is said to hold when the pointer begins with `~`.
    pub fn has(mut self, pointer: &'static str, value: impl Into<Value>) -> Self {
        self.values.push((pointer, value.into()));
        self
    }

    /// A header of the answer.
    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// How many problems health is told.
    pub fn problems(mut self, count: usize) -> Self {
        self.problems = count;
        self
    }

    /// What is wrong, if anything.
    pub async fn fails(&self) -> Option<String> {
        let polled = match self.poll().await {
            Ok(polled) => polled,
            Err(failure) => return Some(format!("{}: {failure}", self.name)),
        };
        let found: Vec<Value> = polled.events.iter().map(|event| event.data.parse().unwrap()).collect();
        if (found.len(), polled.problems.len()) != (self.entries, self.problems) {
            return Some(format!("{}: {found:?} {:?}", self.name, polled.problems));
        }
        self.values.iter().find_map(|(pointer, value)| {
            let is_there = |entry: &Value| match (pointer.strip_prefix('~'), value.as_str()) {
                (Some(pointer), Some(part)) => {
                    entry.pointer(pointer).and_then(Value::as_str).is_some_and(|text| text.contains(part))
                }
                _ => entry.pointer(pointer) == Some(value),
            };
            let wrong = !found.iter().any(is_there);
            wrong.then(|| format!("{}: no {pointer} is {value} in {found:#?}", self.name))
        })
    }

    async fn poll(&self) -> Result<Polled, inboxclaw_contract::Failure> {
        let server = Server::start().await;
        let answer = self
            .headers
            .iter()
            .fold(ok(self.body.clone()), |answer, (name, value)| answer.header(name, *value));
        server.set("/feed", answer);
        poll(&*build(&server), &Recorder::new()).await
    }
}

/// A feed that reports everything that it holds.
pub fn build(server: &Server) -> Box<dyn Source> {
    let kind = SOURCES.iter().find(|kind| kind.name == "feed").unwrap();
    let settings = json!({ "url": format!("{}/feed", server.base), "bootstrap": "all" });
    (kind.build)(settings, &outside("/")).unwrap().source
}

/// Looks at all of them and says everything that is wrong.
pub async fn check(cases: Vec<Case>) {
    let mut wrong = Vec::new();
    for case in &cases {
        wrong.extend(case.fails().await);
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
