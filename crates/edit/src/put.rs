//! Changes of one key or of the cursor. They win in the end, however often the state changes meanwhile: each
//! conflict means that somebody else got on.

use inboxclaw_contract::turn::EntryChange;
use inboxclaw_contract::{Entry, Expiry, Json, OwnerId, Version};
use jiff::Timestamp;

use crate::editor::Editor;
use crate::error::EditError;

/// What must be so for a change of a key to happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing: whatever is there is replaced.
    #[default]
    Any,
    /// The key is absent.
    Absent,
    /// The key is there, at any revision.
    Present,
    /// The key has this revision.
    Revision(Version),
}

/// A value that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put {
    /// The entry's revision now.
    pub revision: Version,
    /// The key was absent before.
    pub created: bool,
}

impl Editor {
    /// Puts a value, whatever happens meanwhile: it is repeated until it wins or the condition fails. `secret`: `None`
    /// leaves it a secret or none, as it was.
    ///
    /// # Errors
    /// [`EditError::Condition`], [`EditError::Refused`] for an expiry that has passed already, a limit, or the store's.
    pub async fn put(
        &self,
        owner: OwnerId,
        key: &str,
        value: Json,
        expiry: Expiry,
        secret: Option<bool>,
        condition: Condition,
    ) -> Result<Put, EditError> {
        loop {
            let snapshot = self.store.snapshot(owner).await?;
            check_expiry(expiry, snapshot.now)?;
            let base = snapshot.version;
            let found = self.found(owner, key, condition).await?;
            let secret = secret.unwrap_or_else(|| found.as_ref().is_some_and(|found| found.secret));
            let same = found.as_ref().filter(|found| found.value == value && found.secret == secret);
            let mut turn = self.turn(owner, base);
            // An entry that expires meanwhile moves no version: only the check sees it.
            turn.checks.push((key.to_owned(), found.as_ref().map(|found| found.revision)));
            turn.entries.insert(key.to_owned(), EntryChange::Put { value: value.clone(), expiry, secret });
            if let Some(committed) = self.commit(turn).await? {
                // Value and expiry may have been there already: then the entry has the revision that it had.
                let is_as_before = match same {
                    Some(same) => self.revision(owner, key).await? == Some(same.revision),
                    None => false,
                };
                let before = same.filter(|_| is_as_before);
                let revision = before.map_or(committed.version, |same| same.revision);
                return Ok(Put { revision, created: found.is_none() });
            }
        }
    }

    /// Deletes a key, and says whether it was there.
    ///
    /// # Errors
    /// [`EditError::Condition`], or the store's.
    pub async fn delete(&self, owner: OwnerId, key: &str, condition: Condition) -> Result<bool, EditError> {
        loop {
            let base = self.store.snapshot(owner).await?.version;
            let Some(found) = self.found(owner, key, condition).await? else { return Ok(false) };
            let mut turn = self.turn(owner, base);
            turn.checks.push((key.to_owned(), Some(found.revision)));
            turn.entries.insert(key.to_owned(), EntryChange::Delete);
            if self.commit(turn).await?.is_some() {
                return Ok(true);
            }
        }
    }

    /// Sets or clears the cursor; returns the version.
    ///
    /// # Errors
    /// A limit, or the store's.
    pub async fn set_cursor(&self, owner: OwnerId, cursor: Option<String>) -> Result<Version, EditError> {
        loop {
            let mut turn = self.turn(owner, self.store.snapshot(owner).await?.version);
            turn.cursor = Some(cursor.clone());
            if let Some(committed) = self.commit(turn).await? {
                return Ok(committed.version);
            }
        }
    }

    async fn revision(&self, owner: OwnerId, key: &str) -> Result<Option<Version>, EditError> {
        let found = self.store.entries(owner, &[key.to_owned()]).await?.pop().flatten();
        Ok(found.map(|found| found.revision))
    }

    /// The entry under a key, if the condition holds for it.
    async fn found(
        &self,
        owner: OwnerId,
        key: &str,
        condition: Condition,
    ) -> Result<Option<Entry>, EditError> {
        let found = self.store.entries(owner, &[key.to_owned()]).await?.pop().flatten();
        let revision = found.as_ref().map(|found| found.revision);
        let holds = match condition {
            Condition::Any => true,
            Condition::Absent => revision.is_none(),
            Condition::Present => revision.is_some(),
            Condition::Revision(wanted) => revision == Some(wanted),
        };
        if holds { Ok(found) } else { Err(EditError::Condition { key: key.to_owned(), found: revision }) }
    }
}

/// A person who gives a time that has passed means another one: the value would be gone at once.
fn check_expiry(expiry: Expiry, now: Timestamp) -> Result<(), EditError> {
    // The store knows microseconds.
    match expiry.resolve(now, None) {
        Some(at) if at.as_microsecond() <= now.as_microsecond() => Err(EditError::Refused(format!(
            "ttl must be in the future, not {at}: it is {now}; what removes an entry is a deletion"
        ))),
        _ => Ok(()),
    }
}
