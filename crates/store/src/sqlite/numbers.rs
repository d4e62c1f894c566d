//! Whether the numbers of events go on where the log ends, or jump.
//!
//! They jump when the log may be an older one than somebody has read: no number is ever seen with two contents. The
//! lock file tells what the log was when it was last written; where the two do not belong together, or there is no
//! note, the database was restored, moved or copied. A jump too many harms nobody: who stands at the end of the log
//! stays there, and only who stands in the gap is told.

use rusqlite::{Connection, OptionalExtension};

use super::scan::Marks;
use crate::note::Note;

/// The first number after a jump is a multiple of this.
const STEP: i64 = 1_000_000;

/// So many numbers at least are skipped: what was given after the last note, or is in none.
const LEAST: i64 = 100_000;

const LOG: &str = "SELECT value FROM meta WHERE name = 'log'";
/// A number that no other log has.
const NAME_LOG: &str = "INSERT INTO meta (name, value) VALUES ('log', random()) RETURNING value";
const ADD_GAP: &str = "INSERT INTO gaps (before, last) VALUES (?1, ?2)";
const SET_HEAD: &str = "INSERT OR REPLACE INTO meta (name, value) VALUES ('head', ?1)";

/// The log's name and its last number, after a jump if there has to be one. Called once for each time that the
/// database is opened to be written.
pub(super) fn go_on_or_jump(
    connection: &mut Connection,
    note: Option<&Note>,
    is_copied: bool,
) -> rusqlite::Result<(i64, i64)> {
    let transaction = connection.transaction()?;
    let (log, head) = (name(&transaction)?, Marks::read(&transaction)?.head);
    let highest = highest(log, head, note, is_copied);
    let log = match log {
        Some(log) => log,
        // The log of a note that knows no higher number is this one, from before logs had names.
        None => transaction.query_row(NAME_LOG, [], |row| row.get(0))?,
    };
    let Some(highest) = highest else {
        transaction.commit()?;
        return Ok((log, head));
    };
    let last = jump(highest);
    transaction.execute(ADD_GAP, (head, last))?;
    transaction.execute(SET_HEAD, [last])?;
    transaction.commit()?;
    tracing::warn!(
        "the database was restored, copied or moved: its log ends at {head}, and {highest} is the highest number known. \
         The next event gets {}; whoever has read beyond {head} is told that the log is another one",
        last + 1
    );
    Ok((log, last))
}

fn name(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection.query_row(LOG, [], |row| row.get(0)).optional()
}

/// The highest number known, when the numbers have to jump.
fn highest(log: Option<i64>, head: i64, note: Option<&Note>, is_copied: bool) -> Option<i64> {
    let Some(note) = note else {
        // A database without a name comes from a program that wrote no notes.
        return log.map(|_| head);
    };
    let jumps = is_copied
        || note.restored
        || note.head > head
        || log.is_some() && note.log.is_some() && log != note.log;
    jumps.then_some(head.max(note.head))
}

/// The last number that is skipped, when `highest` is the highest ever given.
fn jump(highest: i64) -> i64 {
    let least = highest.saturating_add(1 + LEAST);
    (least.saturating_add(STEP - 1) / STEP).saturating_mul(STEP) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_at_a_round_one_and_leave_room() {
        for (highest, last) in [
            (0, 999_999),
            (11, 999_999),
            (899_999, 999_999),
            (900_000, 1_999_999),
            (999_999, 1_999_999),
            (1_000_000, 1_999_999),
            (5_000_000_123, 5_000_999_999),
        ] {
            assert_eq!(jump(highest), last, "{highest}");
        }
    }

    #[test]
    fn numbers_jump_when_log_and_note_do_not_belong_together() {
        let note = |log, head| {
            let mut note = Note::default();
            (note.log, note.head) = (log, head);
            note
        };
        let check = |log, head, note: Option<Note>| highest(log, head, note.as_ref(), false);
        // The same log, as it was left, or with a note that is behind it.
        assert_eq!(check(Some(1), 7, Some(note(Some(1), 7))), None);
        assert_eq!(check(Some(1), 7, Some(note(Some(1), 6))), None);
        assert_eq!(check(Some(1), 7, Some(note(Some(1), 11))), Some(11), "an older copy");
        assert_eq!(check(Some(1), 7, Some(note(Some(2), 3))), Some(7), "another database");
        assert_eq!(check(Some(1), 7, None), Some(7), "without its lock file");
        // The first start of a program that writes notes, and one that was killed in between.
        assert_eq!(check(None, 7, None), None);
        assert_eq!(check(None, 0, Some(note(None, 0))), None);
        assert_eq!(check(None, 7, Some(note(Some(1), 11))), Some(11), "a copy from before");
        assert_eq!(check(None, 0, Some(note(Some(1), 11))), Some(11), "a new one in its place");
        let mut restored = note(Some(1), 7);
        restored.restored = true;
        assert_eq!(check(Some(1), 7, Some(restored)), Some(7), "by command, though no number is missing");
        assert_eq!(highest(Some(1), 7, Some(&note(Some(1), 7)), true), Some(7), "the folder was copied");
    }
}
