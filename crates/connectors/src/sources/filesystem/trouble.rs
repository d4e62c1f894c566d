//! What does not work while the rest goes on, and how it is told to people.

use std::collections::BTreeMap;
use std::io;

use inboxclaw_contract::{Class, Failure};

use super::path::Rel;

/// Most paths that a message names.
const NAMED: usize = 3;

/// A path and what the system says about it.
type Told<'a> = (&'a Rel, &'a str);

/// Something about the watcher that a person has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    text: String,
    action: &'static str,
}

impl Trouble {
    /// A watcher that could not be made, or that takes no more folders.
    pub(super) fn watcher(error: &notify::Error) -> Self {
        let action = if matches!(error.kind, notify::ErrorKind::MaxFilesWatch) {
            "raise the sysctl fs.inotify.max_user_watches, or set watch_mode: poll"
        } else {
            "raise the sysctl fs.inotify.max_user_instances if it is used up, or set watch_mode: poll"
        };
        Self { text: format!("cannot watch for changes, they are found by rescans only: {error}"), action }
    }

    /// The same as a failure.
    pub(super) fn failure(self) -> Failure {
        Failure::text(Class::Configuration, self.text).action(self.action)
    }
}

/// The files and folders that cannot be read, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Unreadable(BTreeMap<Rel, (Class, String)>);

impl Unreadable {
    /// Adds one.
    pub(super) fn insert(&mut self, path: Rel, error: &io::Error) {
        self.0.insert(path, (class(error), error.to_string()));
    }

    /// Replaces what was known below `scopes` by what was found there.
    pub(super) fn replace<'a>(&mut self, scopes: impl Iterator<Item = &'a Rel> + Clone, found: Self) {
        self.0.retain(|path, _| !scopes.clone().any(|scope| path.is_within(scope)));
        self.0.extend(found.0);
    }

    /// One failure for each class, naming the first paths.
    pub(super) fn failures(&self) -> Vec<Failure> {
        let mut by_class: BTreeMap<&str, (Class, Vec<Told<'_>>)> = BTreeMap::new();
        for (path, (class, error)) in &self.0 {
            by_class.entry(class.as_str()).or_insert((*class, Vec::new())).1.push((path, error));
        }
        by_class.into_values().map(|(class, paths)| failure(class, &paths)).collect()
    }
}

/// The class of an error of the file system.
pub(super) fn class(error: &io::Error) -> Class {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Class::Authorization,
        io::ErrorKind::TimedOut => Class::Timeout,
        _ => Class::Upstream,
    }
}

fn failure(class: Class, paths: &[Told<'_>]) -> Failure {
    let mut named: Vec<String> =
        paths.iter().take(NAMED).map(|(path, error)| format!("{:?}: {error}", path.shown())).collect();
    if paths.len() > NAMED {
        named.push(format!("and {} more", paths.len() - NAMED));
    }
    let failure = Failure::text(class, format!("cannot read {}", named.join(", ")));
    if class == Class::Authorization {
        failure.action("let the program read it, or add it to ignore_patterns")
    } else {
        failure
    }
}
