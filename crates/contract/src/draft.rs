//! A draft: what a turn wants to store, while it is being written. Reads see the owner's state with the draft's
//! own changes on top. A connector only borrows it: it can neither commit half a turn nor name another owner.
//!
//! ```compile_fail
//! use inboxclaw_contract::{Draft, OwnerId};
//! # async fn poll(draft: &mut Draft<'_>) {
//! draft.get::<u64>(OwnerId(2), "key").await; // no method takes an owner
//! # }
//! ```
//!
//! ```compile_fail
//! # use inboxclaw_contract::Draft;
//! # async fn poll(draft: &mut Draft<'_>) {
//! draft.commit().await; // a borrowed draft cannot be committed
//! # }
//! ```

use std::collections::BTreeMap;
use std::ops::Bound;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::event::NewEvent;
use crate::failure::Failure;
use crate::json::Json;
use crate::limits::{self, CURSOR_BYTES, TURN_BYTES, TURN_CHANGES};
use crate::owner::OwnerId;
use crate::state::{Entry, Expiry, Snapshot, Version};
use crate::store::{State, StoreError};
use crate::turn::{EntryChange, Outcome, Turn, TurnId};

/// The pending changes of a turn. Dropped without [`commit`](Self::commit), nothing of it is stored.
pub struct Draft<'a> {
    state: &'a dyn State,
    snapshot: Snapshot,
    turn: Turn,
    size: usize,
    problems: Vec<Failure>,
}

impl<'a> Draft<'a> {
    /// Opens a draft of `owner` on its state as it is now.
    ///
    /// # Errors
    /// Those of [`State::snapshot`].
    pub async fn open(state: &'a dyn State, owner: OwnerId, turn_id: TurnId) -> Result<Self, StoreError> {
        let snapshot = state.snapshot(owner).await?;
        let turn = Turn::new(turn_id, owner, snapshot.version);
        Ok(Self { state, snapshot, turn, size: 0, problems: Vec::new() })
    }

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
        let size = cursor.as_ref().map_or(0, String::len);
        limits::check_size("the cursor", size, CURSOR_BYTES).map_err(Failure::internal)?;
        self.grow(size)?;
        self.turn.cursor = Some(cursor);
        Ok(())
    }

    /// The value under `key` as a type of the connector's own.
    ///
    /// # Errors
    /// When the value does not fit the type, or the store cannot be read.
    pub async fn get<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>, Failure> {
        let entry = self.entry(key).await?;
        entry.map(|entry| entry.parse()).transpose().map_err(Failure::internal)
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
        parsed.collect::<Result<_, _>>().map_err(Failure::internal)
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
        let stored = self.state.entries(self.turn.owner, keys).await.map_err(Failure::internal)?;
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
        let mut from = after.map(str::to_owned);
        let end = loop {
            let page = self.state.list(self.turn.owner, prefix, from.as_deref(), limit).await;
            let page = page.map_err(Failure::internal)?;
            let exhausted = page.len() < limit;
            from = page.last().map(|entry| entry.key.clone()).or(from);
            for stored in page {
                let key = stored.key.clone();
                if let Some(entry) = self.overlay(&key, Some(stored)) {
                    found.insert(key, entry);
                }
            }
            if exhausted {
                break None;
            }
            if found.len() >= limit {
                break from;
            }
        };
        self.add_pending(prefix, after, end.as_deref(), &mut found);
        Ok(found.into_values().take(limit).collect())
    }

    /// Puts a value under `key`. A put of the value that is there changes neither version nor history.
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

    /// Changes when `key` expires and nothing else. Nothing happens when the key is absent.
    ///
    /// # Errors
    /// When the key is beyond its limit, or the turn grows beyond its own.
    pub fn touch(&mut self, key: &str, expiry: Expiry) -> Result<(), Failure> {
        match self.turn.entries.get_mut(key) {
            Some(EntryChange::Delete) => Ok(()),
            Some(EntryChange::Put { expiry: pending, .. } | EntryChange::Touch { expiry: pending }) => {
                *pending = expiry;
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
    /// When the prefix is beyond the limit of a key.
    pub fn delete_prefix(&mut self, prefix: &str) -> Result<(), Failure> {
        limits::check_prefix(prefix).map_err(Failure::internal)?;
        self.turn.entries.retain(|key, _| !key.starts_with(prefix));
        self.turn.deleted_prefixes.push(prefix.to_owned());
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

    /// The parts reported so far.
    pub fn take_problems(&mut self) -> Vec<Failure> {
        std::mem::take(&mut self.problems)
    }

    /// How many more changes fit into this turn.
    pub fn room(&self) -> usize {
        TURN_CHANGES - self.changes()
    }

    /// The turn as written so far, for those who open drafts: the runtime and the routes of the server add
    /// run facts, deliveries and the author here. A connector has no use for it.
    #[doc(hidden)]
    pub fn turn_mut(&mut self) -> &mut Turn {
        &mut self.turn
    }

    /// Stores everything, or nothing.
    ///
    /// # Errors
    /// Those of [`State::commit`].
    pub async fn commit(self) -> Result<Outcome, StoreError> {
        self.state.commit(self.turn).await
    }

    fn changes(&self) -> usize {
        self.turn.events.len() + self.turn.entries.len()
    }

    fn change(&mut self, key: &str, mut change: EntryChange) -> Result<(), Failure> {
        limits::check_key(key).map_err(Failure::internal)?;
        if let EntryChange::Put { expiry: expiry @ Expiry::Keep, .. } = &mut change {
            *expiry = self.pending_expiry(key);
        }
        let value = if let EntryChange::Put { value, .. } = &change { value.len() } else { 0 };
        if !self.turn.entries.contains_key(key) {
            self.grow(key.len() + value)?;
        } else {
            self.size += value;
        }
        self.turn.entries.insert(key.to_owned(), change);
        Ok(())
    }

    /// What `Keep` means for a key that this draft has already changed.
    fn pending_expiry(&self, key: &str) -> Expiry {
        match self.turn.entries.get(key) {
            None => Expiry::Keep,
            Some(EntryChange::Put { expiry, .. } | EntryChange::Touch { expiry }) => *expiry,
            Some(EntryChange::Delete) => Expiry::Never,
        }
    }

    /// Makes room for one more change of `size` bytes.
    fn grow(&mut self, size: usize) -> Result<(), Failure> {
        let found = self.changes() + 1;
        if found > TURN_CHANGES {
            return Err(Failure::internal(limits::LimitError::TooMany { found, limit: TURN_CHANGES }));
        }
        limits::check_size("the turn", self.size + size, TURN_BYTES).map_err(Failure::internal)?;
        self.size += size;
        Ok(())
    }

    fn is_prefix_deleted(&self, key: &str) -> bool {
        self.turn.deleted_prefixes.iter().any(|prefix| key.starts_with(prefix.as_str()))
    }

    /// What a reader of this draft sees under `key`, given what is stored.
    fn overlay(&self, key: &str, stored: Option<Entry>) -> Option<Entry> {
        let stored = stored.filter(|_| !self.is_prefix_deleted(key));
        let entry = match self.turn.entries.get(key) {
            None => stored,
            Some(EntryChange::Delete) => None,
            Some(EntryChange::Touch { expiry }) => {
                stored.map(|entry| Entry { expires_at: self.expires_at(*expiry, entry.expires_at), ..entry })
            }
            Some(EntryChange::Put { value, expiry, secret }) => {
                let kept = stored.as_ref().and_then(|entry| entry.expires_at);
                Some(Entry {
                    key: key.to_owned(),
                    value: value.clone(),
                    revision: Version(self.snapshot.version.0 + 1),
                    created_at: stored.as_ref().map_or(self.now(), |entry| entry.created_at),
                    updated_at: self.now(),
                    expires_at: self.expires_at(*expiry, kept),
                    secret: *secret,
                })
            }
        };
        entry.filter(|entry| entry.expires_at.is_none_or(|at| at > self.now()))
    }

    /// Adds the draft's own puts that fall into a listed stretch of keys.
    fn add_pending(
        &self,
        prefix: &str,
        after: Option<&str>,
        end: Option<&str>,
        found: &mut BTreeMap<String, Entry>,
    ) {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let pending = self.turn.entries.range::<str, _>((start, Bound::Unbounded));
        let listed = pending
            .map(|(key, _)| key)
            .take_while(|key| key.starts_with(prefix) && end.is_none_or(|end| key.as_str() <= end));
        for key in listed {
            if !found.contains_key(key)
                && let Some(entry) = self.overlay(key, None)
            {
                found.insert(key.clone(), entry);
            }
        }
    }

    fn expires_at(&self, expiry: Expiry, kept: Option<Timestamp>) -> Option<Timestamp> {
        expiry.resolve(self.now(), kept)
    }
}
