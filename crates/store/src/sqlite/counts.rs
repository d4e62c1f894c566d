//! How much a space holds: counted with every write, so that nobody ever counts rows. All rows count, also those that
//! have expired and are not swept yet, with the bytes of their keys and values.

use std::ops::{Add, AddAssign, Sub};

use inboxclaw_contract::{OwnerId, StoreError};
use rusqlite::OptionalExtension;

use super::error::Fault;
use super::tx::Tx;

/// Counts of a space stand in its owner's row while it is in place, else in its own.
const OWNER_OF: &str = "SELECT owner FROM spaces WHERE id = ?1";
const COUNT_OWNER: &str = "UPDATE owners SET entries = ?2, bytes = ?3 WHERE id = ?1";
const COUNT_SPACE: &str = "UPDATE spaces SET entries = entries + ?2, bytes = bytes + ?3 WHERE id = ?1";

/// Entries and the bytes of their keys and values; or by how much these change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) entries: i64,
    pub(super) bytes: i64,
}

impl Counts {
    /// One row.
    pub(super) fn row(key: &str, value: &str) -> Self {
        Self { entries: 1, bytes: i64::try_from(key.len() + value.len()).unwrap_or(i64::MAX) }
    }
}

/// A count as the contract has it.
pub(super) fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// A count as a column has it.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { entries: self.entries + other.entries, bytes: self.bytes + other.bytes }
    }
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { entries: self.entries - other.entries, bytes: self.bytes - other.bytes }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Tx<'_> {
    /// Changes the counts of `space` by `change`, wherever they stand. For everything but turns, which write the
    /// counts together with their owner's head.
    pub(super) fn count(&mut self, space: i64, change: Counts) -> Result<(), Fault> {
        if change == Counts::default() {
            return Ok(());
        }
        let connection = self.connection;
        let owner = connection.prepare_cached(OWNER_OF)?.query_row([space], |row| row.get(0).map(OwnerId));
        if let Some(id) = owner.optional()? {
            match self.owner(id) {
                Ok(owner) if owner.space == space => {
                    owner.counts += change;
                    let row = (id.0, owner.counts.entries, owner.counts.bytes);
                    connection.prepare_cached(COUNT_OWNER)?.execute(row)?;
                    return Ok(());
                }
                // Of a forgotten owner no space is in place.
                Ok(_) | Err(Fault::Answer(StoreError::NoOwner(_))) => {}
                Err(fault) => return Err(fault),
            }
        }
        connection.prepare_cached(COUNT_SPACE)?.execute((space, change.entries, change.bytes))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::plans::check(&[OWNER_OF, COUNT_OWNER, COUNT_SPACE]);
    }
}
