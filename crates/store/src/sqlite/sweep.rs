//! Removes what nobody needs any more, in steps that turns hardly feel: `history` beyond its bounds, what has expired
//! in `spaces` and the spaces that nobody names, entries whose `ages` rules or turns no longer want. Changes no version
//! and writes no history.

mod ages;
mod history;
mod spaces;

use inboxclaw_contract::store::Swept;

pub(super) use self::spaces::swept_until;

use super::counts::{Counts, unsigned};
use super::error::Fault;
use super::tx::Tx;

/// How many entries one step removes at most, how many bytes of them, and how many it looks at for their age.
const STEP: i64 = 500;
const STEP_BYTES: i64 = 4 << 20;
const LOOKED_AT: i64 = 2_000;

const DELETE: &str = "DELETE FROM entries WHERE space = ?1 AND key = ?2";

/// One step.
pub(super) fn step(tx: &mut Tx<'_>) -> Result<Swept, Fault> {
    // First, so that spaces which lose their last name here go in the same pass.
    let (history, more_history) = history::step(tx)?;
    let mut room = Room { entries: STEP, bytes: STEP_BYTES, rows: LOOKED_AT };
    let more_spaces = spaces::step(tx, &mut room)?;
    let more_aged = ages::step(tx, &mut room)?;
    Ok(Swept {
        entries: unsigned(STEP - room.entries),
        history,
        more: more_history || more_spaces || more_aged,
    })
}

/// Where the next step goes on. Kept in memory, whatever becomes of single transactions: what a failed one did not
/// remove is found by the next pass.
#[derive(Default)]
pub(super) struct Round {
    spaces: spaces::Pass,
    /// An owner whose replaced spaces are too large.
    surplus: Option<history::Surplus>,
    rules: ages::Rules,
}

/// What one step may still do.
struct Room {
    entries: i64,
    bytes: i64,
    rows: i64,
}

impl Room {
    fn is_used(&self) -> bool {
        self.entries <= 0 || self.bytes <= 0 || self.rows <= 0
    }
}

/// The entries of one space that a step removes.
struct Gone {
    space: i64,
    keys: Vec<String>,
    counts: Counts,
}

impl Gone {
    fn of(space: i64) -> Self {
        Self { space, keys: Vec::new(), counts: Counts::default() }
    }

    fn add(&mut self, room: &mut Room, key: String, bytes: i64) {
        self.keys.push(key);
        self.counts += Counts { entries: 1, bytes };
        room.entries -= 1;
        room.bytes -= bytes;
    }

    fn remove(mut self, tx: &mut Tx<'_>) -> Result<(), Fault> {
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
        super::super::plans::check(&[DELETE]);
    }
}
