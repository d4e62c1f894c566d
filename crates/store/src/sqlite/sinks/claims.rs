//! The claims of sinks on the log: what each of them still wants, and so keeps from retention.

use inboxclaw_contract::{OwnerId, Selection, Seq};
use rusqlite::Connection;

use super::super::values::Micros;

const CLAIMS: &str = "
    SELECT s.owner, s.selection, s.left_at, o.cursor FROM sinks s JOIN owners o ON o.id = s.owner
    WHERE o.forgotten = 0 ORDER BY s.owner";

/// A sink that keeps events from retention, and what it still wants.
pub(in super::super) struct RetentionClaim {
    pub(in super::super) sink: OwnerId,
    pub(in super::super) selection: Selection,
    pub(in super::super) left_at: Option<Micros>,
    /// Why its cursor cannot be read.
    pub(in super::super) problem: Option<String>,
}

/// Every sink that owes something, or may.
pub(in super::super) fn claims(connection: &Connection) -> rusqlite::Result<Vec<RetentionClaim>> {
    let mut all = connection.prepare_cached(CLAIMS)?;
    let rows = all.query_map([], |row| {
        let (selection, cursor): (String, Option<String>) = (row.get(1)?, row.get(3)?);
        let began = parsed(&selection);
        let (selection, problem) = match began.standing_at(cursor.as_deref()) {
            Ok(standing) => (standing, None),
            // What it has nobody knows, so that it keeps everything.
            Err(problem) => (Selection { after: Seq(0), positions: <_>::default(), ..began }, Some(problem)),
        };
        Ok(RetentionClaim { sink: OwnerId(row.get(0)?), selection, left_at: row.get(2)?, problem })
    })?;
    rows.collect()
}

/// A stored selection. One that cannot be read is of another program; it then keeps everything.
pub(super) fn parsed(selection: &str) -> Selection {
    serde_json::from_str(selection).unwrap_or_default()
}
