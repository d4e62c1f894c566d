//! What a draft's reads see: the stored entries with the draft's own changes on top, as they will be once its turn is
//! stored and its sweeps are done.

use std::collections::BTreeMap;
use std::ops::Bound;

use jiff::Timestamp;

use super::Draft;
use crate::failure::Failure;
use crate::json::Json;
use crate::state::{Entry, Expiry, Version};
use crate::turn::EntryChange;

impl Draft<'_> {
    /// What `Keep` means for a key that this draft has already changed.
    pub(super) fn pending_expiry(&self, key: &str) -> Expiry {
        if self.is_pending_over(key) {
            return Expiry::Never;
        }
        match self.turn.entries.get(key) {
            None => Expiry::Keep,
            Some(EntryChange::Put { expiry, .. } | EntryChange::Touch { expiry }) => *expiry,
            Some(EntryChange::Restore(entry)) => entry.expires_at.map_or(Expiry::Never, Expiry::Until),
            Some(EntryChange::Delete) => Expiry::Never,
        }
    }

    /// Whether this draft gave the key an expiry that is over: then it is absent, and nothing revives it.
    pub(super) fn is_pending_over(&self, key: &str) -> bool {
        let expiry = match self.turn.entries.get(key) {
            Some(EntryChange::Put { expiry, .. } | EntryChange::Touch { expiry }) => *expiry,
            Some(EntryChange::Restore(Entry { expires_at: Some(at), .. })) => Expiry::Until(*at),
            _ => return false,
        };
        self.expires_at(expiry, None).is_some_and(|at| at <= self.now())
    }

    pub(super) fn is_prefix_deleted(&self, key: &str) -> bool {
        self.turn.deleted_prefixes.iter().any(|prefix| key.starts_with(prefix.as_str()))
    }

    /// What is under a key once this turn is stored, and its sweeps are done.
    pub(super) fn overlay(&self, key: &str, stored: Option<Entry>) -> Option<Entry> {
        let swept = |entry: &Entry| {
            self.turn.sweeps.iter().any(|sweep| sweep.takes(key, entry.created_at, entry.updated_at))
        };
        let stored = stored.filter(|entry| !self.is_prefix_deleted(key) && !swept(entry));
        let entry = match self.turn.entries.get(key) {
            None => stored,
            Some(EntryChange::Delete) => None,
            Some(EntryChange::Touch { expiry }) => {
                stored.map(|entry| Entry { expires_at: self.expires_at(*expiry, entry.expires_at), ..entry })
            }
            Some(EntryChange::Restore(entry)) => Some(entry.clone()),
            Some(EntryChange::Put { value, expiry, secret }) => {
                Some(self.put_over(key, stored, value, *expiry, *secret))
            }
        };
        entry.filter(|entry| entry.expires_at.is_none_or(|at| at > self.now()))
    }

    /// The entry that a put makes of the stored one: revision and times of an equal value stay.
    fn put_over(
        &self,
        key: &str,
        stored: Option<Entry>,
        value: &Json,
        expiry: Expiry,
        secret: bool,
    ) -> Entry {
        let expires_at = self.expires_at(expiry, stored.as_ref().and_then(|entry| entry.expires_at));
        match stored {
            Some(stored) if stored.value == *value && stored.secret == secret => {
                Entry { expires_at, ..stored }
            }
            stored => Entry {
                key: key.to_owned(),
                value: value.clone(),
                revision: Version(self.snapshot.version.0 + 1),
                created_at: stored.map_or(self.now(), |entry| entry.created_at),
                updated_at: self.now(),
                expires_at,
                secret,
            },
        }
    }

    /// Adds stored entries of a listed stretch of keys until enough are seen; those that this draft hides are `None`.
    /// Answers the key up to which the list is complete; `None` for the end.
    pub(super) async fn add_stored(
        &mut self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        found: &mut BTreeMap<String, Option<Entry>>,
    ) -> Result<Option<String>, Failure> {
        let mut from = after.map(str::to_owned);
        let mut seen = 0;
        loop {
            let page = self.state.list(self.turn.owner, prefix, from.as_deref(), limit).await;
            let page = self.read(page)?;
            let exhausted = page.len() < limit;
            from = page.last().map(|entry| entry.key.clone()).or(from);
            for stored in page {
                let key = stored.key.clone();
                let entry = self.overlay(&key, Some(stored));
                seen += usize::from(entry.is_some());
                found.insert(key, entry);
            }
            if exhausted {
                return Ok(None);
            }
            if seen >= limit {
                return Ok(from);
            }
        }
    }

    /// Adds the draft's own puts that fall into a listed stretch of keys.
    pub(super) fn add_pending(
        &self,
        prefix: &str,
        after: Option<&str>,
        end: Option<&str>,
        found: &mut BTreeMap<String, Option<Entry>>,
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
            if !found.contains_key(key) {
                found.insert(key.clone(), self.overlay(key, None));
            }
        }
    }

    fn expires_at(&self, expiry: Expiry, kept: Option<Timestamp>) -> Option<Timestamp> {
        expiry.resolve(self.now(), kept)
    }
}
