//! A draft: what a turn wants to store, while it is being written. Reads see the owner's state with the draft's
//! own changes on top. A connector only borrows it: it can neither commit half a turn nor name another owner.
//! That is proved in `tests/compile_fail`.

pub mod open_turn;
mod overlay;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::event::NewEvent;
use crate::failure::Failure;
use crate::json::Json;
use crate::limits::{self, CURSOR_BYTES, TURN_BYTES, TURN_CHANGES};
use crate::state::{Entry, Evolving, Expiry, Snapshot, TypeError, Version};
use crate::store::{State, StoreError};
use crate::turn::{Age, EntryChange, Sweep, Turn};

/// The pending changes of a turn, as a connector borrows them. Whoever opened the turn stores them, or drops them.
pub struct Draft<'a> {
    state: &'a dyn State,
    snapshot: Snapshot,
    turn: Turn,
    size: usize,
    problems: Vec<Failure>,
    notices: Vec<String>,
    store_error: Option<StoreError>,
}

impl Draft<'_> {
    /// The store's clock when the draft was opened, the only time that a turn needs.
    pub fn now(&self) -> Timestamp {
        self.snapshot.now
    }

    /// The owner's cursor.
    pub fn cursor(&mut self) -> Option<&str> {
        self.turn.reads.cursor = true;
        self.turn.cursor.as_ref().unwrap_or(&self.snapshot.cursor).as_deref()
    }

    /// Sets the cursor, the cheap place for a single sync token; `None` clears it.
    ///
    /// # Errors
    /// When it is longer than [`CURSOR_BYTES`].
    pub fn set_cursor(&mut self, cursor: Option<String>) -> Result<(), Failure> {
        let size = |cursor: &Option<String>| cursor.as_ref().map_or(0, String::len);
        let (before, after) = (self.turn.cursor.as_ref().map_or(0, size), size(&cursor));
        limits::check_size("the cursor", after, CURSOR_BYTES).map_err(Failure::internal)?;
        self.resize(before, after)?;
        self.turn.cursor = Some(cursor);
        Ok(())
    }

    /// The value under `key` as a type of the connector's own.
    ///
    /// # Errors
    /// When the value does not fit the type, naming the key and why, or the store cannot be read. Where the shape of
    /// a value has changed, [`get_evolving`](Self::get_evolving) reads the earlier ones as well.
    pub async fn get<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>, Failure> {
        let entry = self.entry(key).await?;
        entry.map(|entry| entry.parse()).transpose().map_err(misfit)
    }

    /// The value under `key` as a type that also reads its earlier shapes.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_evolving<T: Evolving>(&mut self, key: &str) -> Result<Option<T>, Failure> {
        let entry = self.entry(key).await?;
        entry.map(|entry| entry.parse_evolving()).transpose().map_err(misfit)
    }

    /// The values under `keys`, in the order asked, in one read.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_many<T: DeserializeOwned>(
        &mut self,
        keys: &[String],
    ) -> Result<Vec<Option<T>>, Failure> {
        let entries = self.entries(keys).await?;
        let parsed = entries.into_iter().map(|entry| entry.map(|entry| entry.parse()).transpose());
        parsed.collect::<Result<_, _>>().map_err(misfit)
    }

    /// The entry under `key` with revision, times and expiry.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn entry(&mut self, key: &str) -> Result<Option<Entry>, Failure> {
        Ok(self.entries(&[key.to_owned()]).await?.pop().flatten())
    }

    /// The entries under `keys`, in the order asked, in one read.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn entries(&mut self, keys: &[String]) -> Result<Vec<Option<Entry>>, Failure> {
        let stored = self.state.entries(self.turn.owner, keys).await;
        let stored = self.read(stored)?;
        self.turn.reads.keys.extend(keys.iter().cloned());
        let seen = keys.iter().zip(stored).map(|(key, stored)| self.overlay(key, stored));
        Ok(seen.collect())
    }

    /// Up to `limit` entries under a literal prefix, in key order, after the key `after`. Resume with the last
    /// key; fewer than `limit` means that there are no more.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list(
        &mut self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, Failure> {
        self.turn.reads.prefixes.insert(prefix.to_owned());
        let mut found = BTreeMap::new();
        // What a deleted prefix hides as a whole need not be read.
        let end = if self.is_prefix_deleted(prefix) {
            None
        } else {
            self.add_stored(prefix, after, limit, &mut found).await?
        };
        self.add_pending(prefix, after, end.as_deref(), &mut found);
        Ok(found.into_values().flatten().take(limit).collect())
    }

    /// Up to `limit` keys under a literal prefix, as [`list`](Self::list) would give them, without reading values.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn keys(
        &mut self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, Failure> {
        let pending = &self.turn;
        if pending.entries.is_empty() && pending.deleted_prefixes.is_empty() && pending.sweeps.is_empty() {
            self.turn.reads.prefixes.insert(prefix.to_owned());
            let keys = self.state.keys(self.turn.owner, prefix, after, limit).await;
            return self.read(keys);
        }
        let entries = self.list(prefix, after, limit).await?;
        Ok(entries.into_iter().map(|entry| entry.key).collect())
    }

    /// Puts a value under `key`. A put of the value that is there changes neither version nor history, and not
    /// [`updated_at`](Entry::updated_at) either: to remember that something is still there, give an expiry.
    ///
    /// # Errors
    /// When key or value is beyond its limit, or the turn grows beyond its own.
    pub fn put<T: Serialize + ?Sized>(
        &mut self,
        key: &str,
        value: &T,
        expiry: Expiry,
    ) -> Result<(), Failure> {
        let value = Json::from_value(value).map_err(Failure::internal)?;
        self.change(key, EntryChange::Put { value, expiry, secret: false })
    }

    /// Puts a secret under `key`: masked wherever people look, and left out of history and rewind.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn put_secret<T: Serialize + ?Sized>(
        &mut self,
        key: &str,
        value: &T,
        expiry: Expiry,
    ) -> Result<(), Failure> {
        let value = Json::from_value(value).map_err(Failure::internal)?;
        self.change(key, EntryChange::Put { value, expiry, secret: true })
    }

    /// Changes when `key` expires and nothing else. Nothing happens when the key is absent, and by [`Expiry::Keep`].
    ///
    /// # Errors
    /// When the key is beyond its limit, or the turn grows beyond its own.
    pub fn touch(&mut self, key: &str, expiry: Expiry) -> Result<(), Failure> {
        limits::check_key(key).map_err(Failure::internal)?;
        if expiry == Expiry::Keep || self.is_pending_over(key) {
            return Ok(());
        }
        match self.turn.entries.get_mut(key) {
            Some(EntryChange::Delete) => Ok(()),
            Some(EntryChange::Put { expiry: pending, .. } | EntryChange::Touch { expiry: pending }) => {
                *pending = expiry;
                Ok(())
            }
            Some(EntryChange::Restore(entry)) => {
                entry.expires_at = expiry.resolve(self.snapshot.now, entry.expires_at);
                Ok(())
            }
            None => self.change(key, EntryChange::Touch { expiry }),
        }
    }

    /// Deletes `key`. No error when it is absent.
    ///
    /// # Errors
    /// As [`touch`](Self::touch).
    pub fn delete(&mut self, key: &str) -> Result<(), Failure> {
        self.change(key, EntryChange::Delete)
    }

    /// Deletes every entry under a literal prefix; the empty prefix deletes all.
    ///
    /// # Errors
    /// When the prefix is beyond the limit of a key, or the turn grows beyond its own.
    pub fn delete_prefix(&mut self, prefix: &str) -> Result<(), Failure> {
        limits::check_prefix(prefix).map_err(Failure::internal)?;
        let mut freed = 0;
        self.turn.entries.retain(|key, change| {
            let stays = !key.starts_with(prefix);
            freed += if stays { 0 } else { key.len() + value_len(change) };
            stays
        });
        self.size = self.size.saturating_sub(freed);
        if !self.is_prefix_deleted(prefix) {
            self.grow(prefix.len())?;
            self.turn.deleted_prefixes.push(prefix.to_owned());
        }
        Ok(())
    }

    /// Deletes every entry. The cursor stays.
    ///
    /// # Errors
    /// When the turn grows beyond its limit.
    pub fn clear(&mut self) -> Result<(), Failure> {
        self.delete_prefix("")
    }

    /// Removes the entries under a literal prefix that are older than that, by when they were created or last
    /// updated; what this draft puts itself is new. This draft no longer sees them; the store removes them in steps after the turn, like expired ones:
    /// without a new version and without history. What counts are an entry's times after this turn, wherever in it
    /// this is called: a new value makes an entry young by [`Age::Updated`], but not by [`Age::Created`], and an equal
    /// value does not. For an exact instant, give the entries an expiry instead.
    ///
    /// # Errors
    /// When the prefix is beyond the limit of a key, or the turn grows beyond its own.
    pub fn sweep(&mut self, prefix: &str, by: Age, older_than: Duration) -> Result<(), Failure> {
        limits::check_prefix(prefix).map_err(Failure::internal)?;
        let age = jiff::SignedDuration::try_from(older_than).ok();
        // What would be older than time itself does not exist.
        if let Some(before) = age.and_then(|age| self.now().checked_sub(age).ok()) {
            self.grow(prefix.len())?;
            self.turn.sweeps.push(Sweep { prefix: prefix.to_owned(), by, before });
        }
        Ok(())
    }

    /// Makes the turn conflict unless `key` has this revision at commit; `None` wants it absent.
    pub fn check(&mut self, key: &str, revision: Option<Version>) {
        self.turn.checks.push((key.to_owned(), revision));
    }

    /// Emits an event. One that the source reported before is not stored again.
    ///
    /// # Errors
    /// When a text is beyond its limit, data or meta is no object, or the turn grows beyond its limit.
    pub fn emit(&mut self, event: NewEvent) -> Result<(), Failure> {
        event.check().map_err(Failure::internal)?;
        self.grow(event.size())?;
        self.turn.events.push(event);
        Ok(())
    }

    /// Reports a part that failed while the rest of the turn commits, such as one calendar of five.
    pub fn problem(&mut self, failure: Failure) {
        self.problems.push(failure);
    }

    /// Says something that a person should know and that is no failure, such as what a setting leaves out: lower
    /// case, no full stop, never a secret. Health shows it until the next committed turn, which has to say it again.
    pub fn notice(&mut self, text: impl Into<String>) {
        self.notices.push(text.into());
    }

    /// How many more changes fit into this turn.
    pub fn room(&self) -> usize {
        TURN_CHANGES.saturating_sub(self.changes())
    }

    /// What a read of the store gave; its error is kept for [`OpenTurn::store_error`](crate::OpenTurn::store_error).
    fn read<T>(&mut self, found: Result<T, StoreError>) -> Result<T, Failure> {
        found.map_err(|error| {
            self.store_error = Some(error.clone());
            Failure::internal(error)
        })
    }

    fn changes(&self) -> usize {
        let turn = &self.turn;
        turn.events.len() + turn.entries.len() + turn.deleted_prefixes.len() + turn.sweeps.len()
    }

    fn change(&mut self, key: &str, mut change: EntryChange) -> Result<(), Failure> {
        match &change {
            EntryChange::Put { .. } => limits::check_new_key(key),
            _ => limits::check_key(key),
        }
        .map_err(Failure::internal)?;
        if let EntryChange::Put { expiry: expiry @ Expiry::Keep, .. } = &mut change {
            *expiry = self.pending_expiry(key);
        }
        match self.turn.entries.get(key) {
            Some(before) => self.resize(value_len(before), value_len(&change))?,
            None => self.grow(key.len() + value_len(&change))?,
        }
        self.turn.entries.insert(key.to_owned(), change);
        Ok(())
    }

    /// Makes room for one more change of `size` bytes.
    fn grow(&mut self, size: usize) -> Result<(), Failure> {
        let found = self.changes() + 1;
        if found > TURN_CHANGES {
            return Err(Failure::internal(limits::LimitError::TooMany { found, limit: TURN_CHANGES }));
        }
        self.resize(0, size)
    }

    /// Something of `before` bytes has `after` bytes now.
    fn resize(&mut self, before: usize, after: usize) -> Result<(), Failure> {
        // What others put into the turn directly was never counted.
        let size = self.size.saturating_sub(before) + after;
        limits::check_size("the turn", size, TURN_BYTES).map_err(Failure::internal)?;
        self.size = size;
        Ok(())
    }
}

/// Bytes of the value that a change brings.
fn value_len(change: &EntryChange) -> usize {
    match change {
        EntryChange::Put { value, .. } => value.len(),
        EntryChange::Restore(entry) => entry.value.len(),
        EntryChange::Touch { .. } | EntryChange::Delete => 0,
    }
}

/// A stored value that does not fit is a defect of ours, or of whoever edited it.
fn misfit(error: TypeError) -> Failure {
    Failure::internal(error)
        .action("if somebody edited the entry, set it again or delete it with `inboxclaw state`")
}
