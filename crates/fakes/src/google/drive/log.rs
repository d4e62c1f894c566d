//! A change log: one entry for each item that changed, at the place of its last change. What the entry shows is looked
//! up when it is read (<https://developers.google.com/workspace/drive/api/guides/about-changes>), so not kept here.

use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};

/// What an entry is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Item {
    /// A file.
    File(String),
    /// A shared drive.
    Drive(String),
}

/// The last change of an item.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) item: Item,
    pub(super) at: Timestamp,
    /// Whether the item was the user's own at some time, so that a log of My Drive tells of its loss.
    pub(super) mine: bool,
}

/// The log of the user or of one shared drive.
#[derive(Debug, Clone)]
pub(super) struct Log {
    entries: BTreeMap<u64, Entry>,
    last: HashMap<Item, u64>,
    /// The place of the next entry.
    pub(super) next: u64,
    /// Grows when tokens expire.
    pub(super) epoch: u64,
    /// The status that expired tokens answer.
    pub(super) refused: u16,
}

impl Default for Log {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), last: HashMap::new(), next: 1, epoch: 0, refused: 400 }
    }
}

impl Log {
    /// Adds an entry, which replaces the one that the item may have.
    pub(super) fn note(&mut self, item: Item, at: Timestamp, mine: bool) {
        let before = self.last.insert(item.clone(), self.next).and_then(|place| self.entries.remove(&place));
        let mine = mine || before.is_some_and(|entry| entry.mine);
        self.entries.insert(self.next, Entry { item, at, mine });
        self.next += 1;
    }

    /// The entries from a place on.
    pub(super) fn since(&self, place: u64) -> impl Iterator<Item = (u64, &Entry)> {
        self.entries.range(place..).map(|(place, entry)| (*place, entry))
    }
}
