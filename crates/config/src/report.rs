//! What is wrong with a configuration file, or only doubtful: found all at once, told line by line.
//! Left out: how it is found.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use inboxclaw_contract::printable;
use serde::Serialize;

/// A place in a text, counted from 1 in lines and characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where in the file, if it is about a place.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// The dotted location, such as `sources.docs.filesystem.poll_interval`; empty for the file as a whole.
    pub path: String,
    /// What is wrong, and what would do.
    pub message: String,
}

/// A file that cannot be used, with everything that is wrong with it.
#[derive(Debug, Clone, thiserror::Error)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// At least one finding, in the order of the file.
    pub problems: Vec<Problem>,
    /// What is doubtful besides.
    pub warnings: Vec<Problem>,
}

/// Everything found while reading a file.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    /// A secret stands in the file itself.
    pub(super) holds_secret: bool,
    /// A secret comes from the environment.
    pub(super) refers_to_secret: bool,
    /// The variables of the environment that the file refers to.
    pub(super) variables: BTreeSet<String>,
}

impl Problem {
    /// The line that people read, such as `config.yaml:12:7: sources.docs: unknown key`.
    pub fn line(&self, file: &str) -> String {
        let place = self.place.map_or_else(String::new, |place| format!("{}:{}:", place.line, place.column));
        let path = if self.path.is_empty() { String::new() } else { format!(" {}:", self.path) };
        // A name with a line break in it may not pretend to be another finding.
        printable(&format!("{file}:{place}{path} {}", self.message)).into_owned()
    }
}

impl ConfigError {
    /// An error about the file as a whole.
    pub(super) fn whole(file: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        let problem = Problem { place: None, path: String::new(), message: message.into() };
        Self { file: file.into(), problems: vec![problem], warnings: Vec::new() }
    }
}

/// One line for each problem.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display().to_string();
        let lines: Vec<String> = self.problems.iter().map(|problem| problem.line(&file)).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl Report {
    pub(super) fn problem(&mut self, place: Place, path: &str, message: impl Into<String>) {
        self.problems.push(Problem { place: Some(place), path: path.to_owned(), message: message.into() });
    }

    pub(super) fn warn(&mut self, place: Place, path: &str, message: impl Into<String>) {
        self.warnings.push(Problem { place: Some(place), path: path.to_owned(), message: message.into() });
    }

    /// Both lists in the order of the file.
    pub(super) fn sorted(mut self) -> Self {
        self.problems.sort_by_key(|problem| problem.place);
        self.warnings.sort_by_key(|problem| problem.place);
        self
    }
}

/// The dotted location of `key` under `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The choice that was probably meant, if one is near.
pub fn nearest<'a>(given: &str, choices: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let given = plain(given);
    let distance = |choice: &str| strsim::damerau_levenshtein(&given, &plain(choice));
    let near = |choice: &&str| distance(choice) <= (given.chars().count().max(choice.len()) / 3).max(1);
    choices.into_iter().filter(near).min_by_key(|choice| distance(choice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_choice_must_be_near() {
        let keys = ["poll_interval", "path", "recursive", "sink", "sources"];
        for (given, meant) in [
            ("poll_intervall", Some("poll_interval")),
            ("poll-interval", Some("poll_interval")),
            ("Path", Some("path")),
            ("sinks", Some("sink")),
            ("source", Some("sources")),
            ("zebra", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, keys), meant, "{given}");
        }
    }

    #[test]
    fn a_line_names_file_place_and_location() {
        let problem = Problem {
            place: Some(Place { line: 12, column: 7 }),
            path: "sink.hook".to_owned(),
            message: "unknown key `x`".to_owned(),
        };
        assert_eq!(problem.line("config.yaml"), "config.yaml:12:7: sink.hook: unknown key `x`");
        assert_eq!(ConfigError::whole("a.yaml", "it is empty").to_string(), "a.yaml: it is empty");
    }

    #[test]
    fn a_name_with_a_line_break_cannot_pretend_to_be_a_finding() {
        let problem = Problem {
            place: None,
            path: "sink.a\nconfig.yaml:1:1: fine".to_owned(),
            message: "no `b\u{1b}[2J` ž".to_owned(),
        };
        assert_eq!(problem.line("c"), "c: sink.a\\nconfig.yaml:1:1: fine: no `b\\u001b[2J` ž");
    }
}
