//! Reads of states.

use std::ops::Bound;

use async_trait::async_trait;
use inboxclaw_contract::store::{Before, HistoryLimit, PastTurn};
use inboxclaw_contract::{Entry, Outcome, OwnerId, Snapshot, State, StoreError, Turn, Version};
use jiff::Timestamp;

use super::{MemoryStore, Row, is_live, within};

#[async_trait]
impl State for MemoryStore {
    async fn snapshot(&self, owner: OwnerId) -> Result<Snapshot, StoreError> {
        self.read(|inner, now| {
            let row = inner.row(owner)?;
            Ok(Snapshot { version: row.version, cursor: row.cursor.clone(), now: now.trusted })
        })
    }

    async fn entries(&self, owner: OwnerId, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        self.read(|inner, now| {
            let row = inner.row(owner)?;
            Ok(keys.iter().map(|key| row.live(key, now.trusted).cloned()).collect())
        })
    }

    async fn list(
        &self,
        owner: OwnerId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.read(|inner, now| {
            Ok(inner.row(owner)?.list(prefix, after, now.trusted).take(limit).cloned().collect())
        })
    }

    async fn commit(&self, turn: Turn) -> Result<Outcome, StoreError> {
        if turn.is_empty() {
            return self.read(|inner, _| Ok(inner.row(turn.owner)?.nothing_stored()));
        }
        let outcome = self.write(|inner, now| inner.commit(turn, now));
        // Nothing else changes a version or the end of the log.
        self.changes.send_replace(());
        outcome
    }

    async fn history(
        &self,
        owner: OwnerId,
        before: Option<Version>,
        limit: HistoryLimit,
    ) -> Result<Vec<PastTurn>, StoreError> {
        self.read(|inner, _| {
            let turns = inner.row(owner)?.history.iter().rev();
            let older = turns.filter(|past| before.is_none_or(|before| past.version < before));
            Ok(within(older.take(limit.turns), limit.bytes, |past| replaced(past))
                .into_iter()
                .cloned()
                .collect())
        })
    }

    async fn changed(&self, owner: OwnerId, after: Version) -> Result<Version, StoreError> {
        self.once(|inner| Ok(Some(inner.row(owner)?.version).filter(|version| *version > after))).await
    }
}

impl Row {
    /// The live entries under a prefix, after a key.
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a Entry> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let listed = self.entries.range::<str, _>((from, Bound::Unbounded));
        let listed = listed.take_while(move |(key, _)| key.starts_with(prefix));
        listed.map(|(_, entry)| entry).filter(move |entry| is_live(entry, now))
    }
}

/// The bytes that a turn replaced.
fn replaced(past: &PastTurn) -> usize {
    let of_entry = |(key, before): &(String, Before)| match before {
        Before::Entry(entry) => key.len() + entry.value.len(),
        Before::Absent | Before::Secret => key.len(),
    };
    let cursor: usize = past.cursor.iter().flatten().map(String::len).sum();
    cursor + past.entries.iter().map(of_entry).sum::<usize>()
}
