//! Problems that do not stop a pass, and the failures and notices that report them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io;

use inboxclaw_contract::{Class, Failure};

use super::filter::FollowLinks;
use super::links::Hidden;
use super::path::RelPath;

/// Most paths that a message names.
const NAMED: usize = 3;
/// Most characters of a path that a message shows.
const NAME_CHARS: usize = 160;

/// A path and what the system says about it.
type PathError<'a> = (&'a RelPath, &'a str);

/// Something about the watcher that a person has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WatchProblem {
    text: String,
    action: &'static str,
}

impl WatchProblem {
    /// A watch that could not be made, `is_full` when the system allows no more of them.
    pub(super) fn watcher(is_full: bool, error: &dyn Display) -> Self {
        let action = if is_full {
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

/// What is to be said of paths within the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathNotes<T>(BTreeMap<RelPath, T>);

/// The files and folders that cannot be read.
pub(super) type Unreadable = PathNotes<(Class, String)>;

/// What is there and not looked at.
pub(super) type Unfollowed = PathNotes<Hidden>;

/// What is reported besides events, as problems and notices.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings {
    pub(super) unreadable: Unreadable,
    pub(super) unfollowed: Unfollowed,
}

impl<T> Default for PathNotes<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> PathNotes<T> {
    /// Adds one.
    pub(super) fn put(&mut self, path: RelPath, note: T) {
        self.0.insert(path, note);
    }

    /// Replaces what was known below `scopes` by what was found there.
    pub(super) fn replace(&mut self, scopes: &BTreeSet<RelPath>, found: Self) {
        self.0.retain(|path, _| !scopes.iter().any(|scope| path.is_within(scope)));
        self.0.extend(found.0);
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The paths.
    pub(super) fn paths(&self) -> impl Iterator<Item = &RelPath> {
        self.0.keys()
    }
}

impl Unreadable {
    /// Adds one.
    pub(super) fn insert(&mut self, path: RelPath, error: &io::Error) {
        self.put(path, (class(error), error.to_string()));
    }

    /// One failure for each class, naming the first paths.
    pub(super) fn failures(&self) -> Vec<Failure> {
        let mut by_class: BTreeMap<&str, (Class, Vec<PathError<'_>>)> = BTreeMap::new();
        for (path, (class, error)) in &self.0 {
            by_class.entry(class.as_str()).or_insert((*class, Vec::new())).1.push((path, error));
        }
        by_class.into_values().map(|(class, paths)| failure(class, &paths)).collect()
    }
}

impl Unfollowed {
    /// What a person should know of it, if anything.
    pub(super) fn notices(&self, setting: FollowLinks) -> impl Iterator<Item = String> {
        let of =
            |kind: Hidden| self.0.iter().filter(move |(_, hidden)| **hidden == kind).map(|(path, _)| path);
        let links = counted("link", of(Hidden::Link)).map(|links| {
            let why = match setting {
                FollowLinks::Inside => {
                    "lead out of the folder and are not followed; `follow_links: all` follows those to files"
                }
                FollowLinks::All => "lead to nothing, or into /proc, /sys or /dev, and are not followed",
                FollowLinks::None => "are not followed",
            };
            format!("{links}: these {why} (follow_links: {})", setting.as_str())
        });
        let kernel = counted("path", of(Hidden::Kernel))
            .map(|paths| format!("{paths}: made up by the kernel, and not looked at"));
        links.into_iter().chain(kernel)
    }
}

/// `2 links ("a", "b")`.
fn counted<'a>(what: &str, paths: impl Iterator<Item = &'a RelPath> + Clone) -> Option<String> {
    let count = paths.clone().count();
    let plural = if count == 1 { "" } else { "s" };
    (count > 0).then(|| format!("{count} {what}{plural} ({})", named(paths.map(short), count)))
}

/// The first of some names, and how many more there are.
fn named(names: impl Iterator<Item = String>, count: usize) -> String {
    let mut named: Vec<String> = names.take(NAMED).collect();
    if count > NAMED {
        named.push(format!("and {} more", count - NAMED));
    }
    named.join(", ")
}

/// A path in quotes, without its middle when it is long, so that what is said about it is not what gets cut off.
fn short(path: &RelPath) -> String {
    let path = path.shown();
    let chars = path.chars().count();
    if chars <= NAME_CHARS {
        return format!("{path:?}");
    }
    let start: String = path.chars().take(NAME_CHARS / 2).collect();
    let end: String = path.chars().skip(chars - NAME_CHARS / 2).collect();
    format!("{:?}", format!("{start}…{end}"))
}

/// The class of an error of the file system.
pub(super) fn class(error: &io::Error) -> Class {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Class::Authorization,
        io::ErrorKind::TimedOut => Class::Timeout,
        _ => Class::Upstream,
    }
}

fn failure(class: Class, paths: &[PathError<'_>]) -> Failure {
    let names = paths.iter().map(|(path, error)| format!("{}: {error}", short(path)));
    let failure = Failure::text(class, format!("cannot read {}", named(names, paths.len())));
    if class == Class::Authorization {
        failure.action("let the program read it, or add it to ignore_patterns")
    } else {
        failure
    }
}
