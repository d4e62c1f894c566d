//! The last changes of each owner, as the writer remembers them to judge conflicts without a read.

use std::collections::VecDeque;

/// How many bytes of keys are remembered for each owner, about. Older changes are looked up in history.
const REMEMBERED: usize = 64 << 10;
/// What a remembered change costs besides its keys, about.
const CHANGE_BYTES: usize = 64;

/// The last changes of an owner, without gaps up to its version.
#[derive(Default)]
pub(super) struct Recent {
    changes: VecDeque<Change>,
    bytes: usize,
}

/// What one turn changed.
pub(super) struct Change {
    /// The version that it made.
    pub(super) version: i64,
    pub(super) cursor: bool,
    pub(super) keys: Vec<String>,
}

impl Recent {
    pub(super) fn push(&mut self, change: Change) {
        self.bytes += change.size();
        self.changes.push_back(change);
        while self.bytes > REMEMBERED
            && let Some(oldest) = self.changes.pop_front()
        {
            self.bytes -= oldest.size();
        }
    }

    /// Forgets everything: the latest change is not known key by key.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The changes after the version `base`; `None` when not all of them are remembered.
    pub(super) fn since(&self, base: i64) -> Option<impl Iterator<Item = &Change>> {
        let known = self.changes.front().is_some_and(|oldest| oldest.version <= base + 1);
        known.then(|| self.changes.iter().filter(move |change| change.version > base))
    }
}

impl Change {
    fn size(&self) -> usize {
        CHANGE_BYTES + self.keys.iter().map(|key| key.len() + size_of::<String>()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(version: i64, keys: usize) -> Change {
        Change { version, cursor: false, keys: vec!["k".repeat(1_000); keys] }
    }

    #[test]
    fn what_is_remembered_has_no_gaps_and_is_bounded() {
        let mut recent = Recent::default();
        assert!(recent.since(0).is_none());
        (1..=3).for_each(|version| recent.push(change(version, 1)));
        assert_eq!(recent.since(1).unwrap().map(|change| change.version).collect::<Vec<_>>(), [2, 3]);
        (4..=100).for_each(|version| recent.push(change(version, 1)));
        assert!(recent.since(1).is_none());
        assert!(recent.bytes <= REMEMBERED && recent.since(99).is_some());
        recent.push(change(101, 100));
        assert!(recent.since(100).is_none(), "a change too big to remember leaves nothing to be trusted");
        recent.push(change(102, 1));
        assert!(recent.since(100).is_none() && recent.since(101).is_some());
    }
}
