//! Turns and events in few words.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use inboxclaw_contract::turn::{Committed, EntryChange, Swap, TurnId};
use inboxclaw_contract::{
    Entry, Expiry, Json, NewEvent, Outcome, OwnerId, Selection, Seq, SpaceId, Turn, Version,
};
use inboxclaw_settings::Patterns;

/// What a turn stored; panics when it conflicted.
pub fn committed(outcome: Outcome) -> Committed {
    match outcome {
        Outcome::Committed(committed) => committed,
        Outcome::Conflict(conflict) => panic!("conflict: {conflict}"),
    }
}

/// The id of another turn, also beside those of a killed process.
pub fn turn_id() -> TurnId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    TurnId(u128::from(std::process::id()) << 64 | u128::from(NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// An empty turn with an id of its own.
pub fn turn(owner: OwnerId, base: Version) -> Turn {
    Turn::new(turn_id(), owner, base)
}

/// A JSON text.
pub fn json(text: &str) -> Json {
    Json::new(text).unwrap()
}

/// An event without data.
pub fn event(id: &str, event_type: &str) -> NewEvent {
    NewEvent::new(id, event_type, json("{}"))
}

/// The events of a pattern after a place.
pub fn of_type(pattern: &str, after: i64) -> Selection {
    Selection { patterns: Patterns::new([pattern]), ..Selection::all(Seq(after)) }
}

/// Turns in few words.
pub trait Words {
    /// Puts a value.
    #[must_use]
    fn put(self, key: &str, value: &str) -> Self;
    /// Puts a value with an expiry.
    #[must_use]
    fn put_for(self, key: &str, value: &str, expiry: Expiry) -> Self;
    /// Puts a secret.
    #[must_use]
    fn secret(self, key: &str, value: &str) -> Self;
    /// Changes an expiry.
    #[must_use]
    fn touch(self, key: &str, expiry: Expiry) -> Self;
    /// Deletes a key.
    #[must_use]
    fn delete(self, key: &str) -> Self;
    /// Deletes all keys under a prefix.
    #[must_use]
    fn delete_prefix(self, prefix: &str) -> Self;
    /// Sets the cursor.
    #[must_use]
    fn cursor(self, cursor: &str) -> Self;
    /// Reports an event without data.
    #[must_use]
    fn emit(self, id: &str, event_type: &str) -> Self;
    /// Wants a key to have this revision, or to be absent.
    #[must_use]
    fn check(self, key: &str, revision: Option<i64>) -> Self;
    /// Says what was read.
    #[must_use]
    fn reads(self, keys: &[&str], prefixes: &[&str], cursor: bool) -> Self;
    /// Puts an entry back.
    #[must_use]
    fn restore(self, entry: Entry) -> Self;
    /// Puts a space in place.
    #[must_use]
    fn swap(self, space: SpaceId, keep_secrets: bool) -> Self;
    /// Says who edits.
    #[must_use]
    fn author(self, author: &str) -> Self;
}

impl Words for Turn {
    fn put(self, key: &str, value: &str) -> Self {
        self.put_for(key, value, Expiry::Keep)
    }

    fn put_for(mut self, key: &str, value: &str, expiry: Expiry) -> Self {
        self.entries.insert(key.into(), EntryChange::Put { value: json(value), expiry, secret: false });
        self
    }

    fn secret(mut self, key: &str, value: &str) -> Self {
        let put = EntryChange::Put { value: json(value), expiry: Expiry::Keep, secret: true };
        self.entries.insert(key.into(), put);
        self
    }

    fn touch(mut self, key: &str, expiry: Expiry) -> Self {
        self.entries.insert(key.into(), EntryChange::Touch { expiry });
        self
    }

    fn delete(mut self, key: &str) -> Self {
        self.entries.insert(key.into(), EntryChange::Delete);
        self
    }

    fn delete_prefix(mut self, prefix: &str) -> Self {
        self.deleted_prefixes.push(prefix.into());
        self
    }

    fn cursor(mut self, cursor: &str) -> Self {
        self.cursor = Some(Some(cursor.into()));
        self
    }

    fn emit(mut self, id: &str, event_type: &str) -> Self {
        self.events.push(event(id, event_type));
        self
    }

    fn check(mut self, key: &str, revision: Option<i64>) -> Self {
        self.checks.push((key.into(), revision.map(Version)));
        self
    }

    fn reads(mut self, keys: &[&str], prefixes: &[&str], cursor: bool) -> Self {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<BTreeSet<_>>();
        self.reads.keys = owned(keys);
        self.reads.prefixes = owned(prefixes);
        self.reads.cursor = cursor;
        self
    }

    fn restore(mut self, entry: Entry) -> Self {
        self.entries.insert(entry.key.clone(), EntryChange::Restore(entry));
        self
    }

    fn swap(mut self, space: SpaceId, keep_secrets: bool) -> Self {
        self.swap = Some(Swap { space, keep_secrets });
        self
    }

    fn author(mut self, author: &str) -> Self {
        self.author = Some(author.into());
        self
    }
}

/// So many seconds from now.
pub fn seconds(seconds: u64) -> Expiry {
    Expiry::For(Duration::from_secs(seconds))
}
