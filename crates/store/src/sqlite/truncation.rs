//! What a reader has missed, told from its positions: retention leaves a mark on each event type, a restore a gap in
//! the numbers.

use inboxclaw_contract::Seq;
use inboxclaw_contract::selection::Lane;
use inboxclaw_contract::store::{Truncation, TruncationCause};
use rusqlite::Connection;

use super::scan::{EventType, Marks};

const GAPS: &str = "SELECT before, last FROM gaps";
const OLDEST: &str = "SELECT min(seq) FROM events";

/// The truncation that reaches furthest, given the wanted types, each with what is wanted of it, and every position
/// that the reader holds.
pub(super) fn of<'a>(
    connection: &Connection,
    marks: Marks,
    wanted: impl Iterator<Item = (&'a EventType, Lane)>,
    positions: impl Iterator<Item = Seq>,
) -> rusqlite::Result<Option<Truncation>> {
    let gaps = Gaps::read(connection)?;
    let removed = wanted.filter_map(|(event_type, lane)| event_type.missed(lane));
    let removed = removed.map(|up_to| (up_to, TruncationCause::Retention));
    let mut furthest = removed.max_by_key(|(up_to, _)| *up_to);
    for Seq(position) in positions {
        let missed = if position > marks.head {
            // It is of another log: the reader knows nothing of this one.
            let oldest: Option<i64> = connection.prepare_cached(OLDEST)?.query_row([], |row| row.get(0))?;
            Some(oldest.map_or(marks.head, |oldest| oldest - 1))
        } else {
            gaps.around(position)
        };
        let missed = missed.map(|up_to| (up_to, TruncationCause::Restore));
        furthest = furthest.into_iter().chain(missed).max_by_key(|(up_to, _)| *up_to);
    }
    Ok(furthest.map(|(up_to, cause)| Truncation { up_to: Seq(up_to), cause }))
}

/// Where no position of this log lies: the numbers between these two were skipped; the last one is where the log ended
/// after the restore.
struct Gaps(Vec<(i64, i64)>);

impl Gaps {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut all = connection.prepare_cached(GAPS)?;
        let gaps = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Self(gaps.collect::<rusqlite::Result<_>>()?))
    }

    /// The end of what a reader at `position` cannot have seen in this log.
    fn around(&self, position: i64) -> Option<i64> {
        let around = |(before, last): &&(i64, i64)| *before < position && position < *last;
        self.0.iter().find(around).map(|(_, last)| *last)
    }
}

impl EventType {
    /// The last place of this type that retention has removed, if the reader wanted it.
    fn missed(&self, lane: Lane) -> Option<i64> {
        let stored_after = lane.created_after.map_or(i64::MIN, |time| time.as_microsecond());
        (self.pruned > lane.after.0 && self.pruned_at > stored_after).then_some(self.pruned)
    }
}
