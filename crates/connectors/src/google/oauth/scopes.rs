//! Scopes: what a token is good for, and the short words for them. Left out: which source needs which (docs/google.md).

use std::collections::{HashSet, VecDeque};
use std::str::FromStr;

/// What all scopes of ours begin with.
const PREFIX: &str = "https://www.googleapis.com/auth/";

/// Words that stand for one scope each, without [`PREFIX`]: only those that read.
const WORDS: [(&str, &str); 9] = [
    ("gmail", "gmail.readonly"),
    ("drive", "drive.readonly"),
    ("drive_metadata", "drive.metadata.readonly"),
    ("calendar", "calendar.readonly"),
    ("docs", "drive.readonly"),
    ("contacts", "contacts.readonly"),
    ("health_activity", "googlehealth.activity_and_fitness.readonly"),
    ("health_sleep", "googlehealth.sleep.readonly"),
    ("health_metrics", "googlehealth.health_metrics_and_measurements.readonly"),
];

/// Words that stand for several others.
const GROUPS: [(&str, &[&str]); 2] = [
    ("health", &["health_activity", "health_sleep", "health_metrics"]),
    ("all", &["gmail", "drive", "calendar", "contacts", "health"]),
];

/// Scopes, each once, in the order in which they are asked for. At least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes(Vec<String>);

/// A text that stands for no scopes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownScope {
    /// An entry of it.
    #[error("unknown scope {0:?}: there are {words}, and addresses that begin with https://", words = words())]
    Entry(String),
    /// There is no entry at all.
    #[error("no scope is named: there are {words}, and addresses that begin with https://", words = words())]
    Empty,
}

impl Scopes {
    /// Each of them.
    pub fn each(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// All of them as requests want them, with blanks between.
    pub fn joined(&self) -> String {
        self.0.join(" ")
    }

    /// Those that are not among `granted`.
    pub fn beyond(&self, granted: &[&str]) -> Vec<&str> {
        self.each().filter(|asked| !granted.contains(asked)).collect()
    }
}

/// Reads a list with commas. What a group stands for comes after everything that is named by itself.
impl FromStr for Scopes {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let mut queue: VecDeque<&str> = entries.collect();
        let (mut scopes, mut known) = (Vec::new(), HashSet::new());
        while let Some(entry) = queue.pop_front() {
            let word = entry.to_lowercase();
            if let Some((_, members)) = GROUPS.iter().find(|(group, _)| *group == word) {
                queue.extend(*members);
                continue;
            }
            let scope = match WORDS.iter().find(|(known, _)| *known == word) {
                Some((_, scope)) => format!("{PREFIX}{scope}"),
                // A blank would make two of it, one of which nobody named.
                None if entry.starts_with("https://") && !entry.contains(char::is_whitespace) => {
                    entry.to_owned()
                }
                None => return Err(UnknownScope::Entry(entry.to_owned())),
            };
            if known.insert(scope.clone()) {
                scopes.push(scope);
            }
        }
        if scopes.is_empty() { Err(UnknownScope::Empty) } else { Ok(Self(scopes)) }
    }
}

fn words() -> String {
    let words = WORDS.iter().map(|(word, _)| *word).chain(GROUPS.iter().map(|(word, _)| *word));
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_scopes_once_each_and_groups_come_last() {
        let short = |text: &str| {
            let scopes: Scopes = text.parse().unwrap();
            scopes.each().map(|scope| scope.trim_start_matches(PREFIX).to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(short("gmail"), ["gmail.readonly"]);
        assert_eq!(short(" Gmail,, CALENDAR ,gmail,"), ["gmail.readonly", "calendar.readonly"]);
        assert_eq!(short("drive,docs"), ["drive.readonly"]);
        assert_eq!(
            short("https://mail.google.com/,drive_metadata"),
            ["https://mail.google.com/", "drive.metadata.readonly"]
        );
        assert_eq!(
            short("health,gmail"),
            [
                "gmail.readonly",
                "googlehealth.activity_and_fitness.readonly",
                "googlehealth.sleep.readonly",
                "googlehealth.health_metrics_and_measurements.readonly"
            ]
        );
        let all = short("all");
        assert_eq!(all[..4], ["gmail.readonly", "drive.readonly", "calendar.readonly", "contacts.readonly"]);
        assert_eq!(all.len(), 7);
        let scopes: Scopes = "gmail,calendar".parse().unwrap();
        assert_eq!(scopes.joined(), format!("{PREFIX}gmail.readonly {PREFIX}calendar.readonly"));
        assert_eq!(
            scopes.beyond(&[&format!("{PREFIX}gmail.readonly")]),
            [format!("{PREFIX}calendar.readonly")]
        );
    }

    #[test]
    fn an_unknown_word_is_named_and_the_known_ones_are_listed() {
        for (text, named) in [
            (
                "gmail,mails",
                "unknown scope \"mails\": there are gmail, drive, drive_metadata, calendar, docs, ",
            ),
            ("gmail calendar", "unknown scope \"gmail calendar\": "),
            (
                "http://www.googleapis.com/auth/drive",
                "unknown scope \"http://www.googleapis.com/auth/drive\": ",
            ),
            ("https://a https://b", "unknown scope \"https://a https://b\": "),
            (" , ", "no scope is named: there are gmail, "),
        ] {
            let message = text.parse::<Scopes>().unwrap_err().to_string();
            assert!(message.starts_with(named), "{message}");
            assert!(message.ends_with("health, all, and addresses that begin with https://"), "{message}");
        }
    }
}
