//! A command that is a list of arguments: no shell reads it.

use anyhow::ensure;

use super::second_parse::{self, Word};
use super::value::{Guard, Refused};
use crate::template::{Part, Root, Text};

/// A program and its arguments, each with places for values.
#[derive(Debug)]
pub(super) struct Arguments(Vec<Argument>);

#[derive(Debug)]
struct Argument {
    text: Text,
    guard: Guard,
}

impl Arguments {
    /// Checks a list.
    ///
    /// # Errors
    /// Says what no value can stand in.
    pub(super) fn new(setting: &str, texts: &[String]) -> anyhow::Result<Self> {
        ensure!(texts.first().is_some_and(|program| !program.is_empty()), "{setting} names no program");
        ensure!(!texts.iter().any(|text| text.contains('\0')), "{setting} holds a zero byte");
        let templates: Vec<Text> = texts.iter().map(|text| Text::new(text)).collect();
        let words: Vec<Word> = templates.iter().map(word).collect();
        second_parse::check_arguments(&words).map_err(|problem| {
            anyhow::anyhow!(
                "{setting}: {problem}; take the event from standard input or from the INBOXCLAW_EVENT_… variables"
            )
        })?;
        let is_curl = words.iter().any(|word| word.program() == "curl");
        let dashes = texts.iter().position(|text| text == "--").unwrap_or(texts.len());
        let arguments = templates
            .into_iter()
            .enumerate()
            .map(|(at, text)| Argument { text, guard: Guard { option: at < dashes, file: is_curl } });
        Ok(Self(arguments.collect()))
    }

    /// Whether it refers to a member of an event, which a list of events does not have.
    pub(super) fn is_of_one_event(&self) -> bool {
        let mut parts = self.0.iter().flat_map(|argument| argument.text.parts());
        parts.any(|part| matches!(part, Part::Reference(reference) if reference.is_member()))
    }

    /// The list with the values of an event.
    pub(super) fn render(&self, root: &Root) -> Result<Vec<String>, Refused> {
        self.0.iter().map(|argument| argument.render(root)).collect()
    }
}

impl Argument {
    fn render(&self, root: &Root) -> Result<String, Refused> {
        let mut out = String::new();
        for part in self.text.parts() {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Reference(reference) => {
                    let value = reference.text(root).unwrap_or_default();
                    self.guard.check(reference, &value, out.is_empty())?;
                    out.push_str(&value);
                }
            }
        }
        Ok(out)
    }
}

/// An argument as a word.
fn word(text: &Text) -> Word {
    let mut word = Word::default();
    for part in text.parts() {
        match part {
            Part::Literal(text) => word.text.push_str(text),
            Part::Reference(_) => {
                word.begins |= word.text.is_empty();
                word.has_reference = true;
            }
        }
    }
    word
}
