//! The inbox of paths to look at: the watcher fills it, and each poll empties it.

use std::collections::BTreeSet;
use std::sync::Mutex;

use tokio::sync::Notify;

use super::path::RelPath;
use crate::lock::lock;

/// Most paths in the inbox. Beyond, everything is looked at instead.
const MOST_PATHS: usize = 20_000;

/// Which paths to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scopes {
    /// Everything.
    pub(super) all: bool,
    /// These files, and everything below these folders.
    pub(super) paths: BTreeSet<RelPath>,
}

impl Scopes {
    /// Everything.
    pub(super) fn everything() -> Self {
        Self { all: true, paths: BTreeSet::new() }
    }

    /// Whether there is nothing to look at.
    pub(super) fn is_empty(&self) -> bool {
        !self.all && self.paths.is_empty()
    }

    /// Adds what another one holds.
    pub(super) fn merge(&mut self, other: Self) {
        self.all |= other.all;
        self.paths.extend(other.paths);
        if self.all || self.paths.len() > MOST_PATHS {
            *self = Self::everything();
        }
    }
}

/// The paths to look at, and a signal that there are some.
#[derive(Default)]
pub(super) struct Inbox {
    news: Mutex<Scopes>,
    arrived: Notify,
}

impl Inbox {
    /// Adds something to look at and wakes whoever waits.
    pub(super) fn put(&self, scopes: Scopes) {
        if !scopes.is_empty() {
            lock(&self.news).merge(scopes);
            self.arrived.notify_one();
        }
    }

    /// Takes everything out.
    pub(super) fn take(&self) -> Scopes {
        std::mem::take(&mut lock(&self.news))
    }

    /// Whether it is empty.
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.news).is_empty()
    }

    /// Returns once it is not empty. May be dropped at any await.
    pub(super) async fn wait(&self) {
        while lock(&self.news).is_empty() {
            self.arrived.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_paths_are_everything() {
        let paths = (0..=MOST_PATHS).map(|at| RelPath::root().join(at.to_string().as_ref()));
        let mut scopes = Scopes::default();
        scopes.merge(Scopes { all: false, paths: paths.collect() });
        assert_eq!(scopes, Scopes::everything());
    }
}
