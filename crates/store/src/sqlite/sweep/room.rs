//! How much one step of a sweep may still do, and how it removes entries.

use super::super::counts::Counts;
use super::super::error::Fault;
use super::super::tx::Tx;

const DELETE: &str = "DELETE FROM entries WHERE space = ?1 AND key = ?2";

/// What one step may still do.
pub(super) struct Room {
    pub(super) entries: i64,
    pub(super) bytes: i64,
    pub(super) rows: i64,
}

impl Room {
    pub(super) fn is_used(&self) -> bool {
        self.entries <= 0 || self.bytes <= 0 || self.rows <= 0
    }
}

/// The entries of one space that a step removes.
pub(super) struct Gone {
    space: i64,
    pub(super) keys: Vec<String>,
    counts: Counts,
}

impl Gone {
    pub(super) fn of(space: i64) -> Self {
        Self { space, keys: Vec::new(), counts: Counts::default() }
    }

    pub(super) fn add(&mut self, room: &mut Room, key: String, bytes: i64) {
        self.keys.push(key);
        self.counts += Counts { entries: 1, bytes };
        room.entries -= 1;
        room.bytes -= bytes;
    }

    pub(super) fn remove(mut self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        // Neighbours share pages.
        self.keys.sort_unstable();
        let mut delete = tx.connection.prepare_cached(DELETE)?;
        for key in &self.keys {
            delete.execute((self.space, key))?;
        }
        tx.count(self.space, Counts::default() - self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::super::plans::check(&[DELETE]);
    }
}
