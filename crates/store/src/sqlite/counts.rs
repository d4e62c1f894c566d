//! How much a space holds: counted with every write, so that nobody ever counts rows. All rows count, also those that
//! have expired and are not swept yet, with the bytes of their keys and values.

use std::ops::{Add, AddAssign, Sub};

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
