//! What sinks take and owe, as the contract wants it: here is what they take. `debts`: what they owe; `lapses`: what
//! left that without their consumers' yes; `dead`: the end of dead letters. That retention keeps what they owe is in `prune.rs`.

pub(super) mod claims;
mod dead;
mod debts;
pub(super) mod lapses;

use std::time::Duration;

use async_trait::async_trait;
use claims::parsed;
use inboxclaw_contract::sinks::{Expired, Intake, Lapse, SinkDebts};
use inboxclaw_contract::store::ExpiredDead;
use inboxclaw_contract::{OwnerId, Selection, Seq, Sinks, StartAt, StoreError};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::error::Fault;
use super::scan::{self, Floors, Marks};
use super::store::SqliteStore;
use super::tx::Tx;
use super::values::Micros;

const KNOWN: &str = "
    SELECT s.selection, o.cursor FROM sinks s JOIN owners o ON o.id = s.owner WHERE s.owner = +?1";
const SET: &str = "
    INSERT INTO sinks (owner, selection) VALUES (?1, ?2)
    ON CONFLICT (owner) DO UPDATE SET selection = excluded.selection";

const ALL: &str = "SELECT owner, left_at FROM sinks";
const SET_LEFT: &str = "UPDATE sinks SET left_at = ?2 WHERE owner = ?1";
const REMOVE: &str = "DELETE FROM sinks WHERE owner = ?1";

const REMOVE_LAPSES: &str = "DELETE FROM lapses WHERE sink = ?1";

/// The first event that is newer than a time, where times do not grow with seq.
const FIRST_NEWER: &str = "
    SELECT seq FROM events WHERE seq > 0 AND seq <= ?1 AND created_at > ?2 ORDER BY seq LIMIT 1";

#[async_trait]
impl Sinks for SqliteStore {
    async fn set_intake(&self, sink: OwnerId, intake: &Intake) -> Result<Selection, StoreError> {
        let intake = intake.clone();
        self.write(0, move |tx| set_intake(tx, sink, &intake)).await
    }

    async fn set_configured(&self, sinks: &[OwnerId]) -> Result<(), StoreError> {
        let sinks = sinks.to_vec();
        self.write(0, move |tx| Ok(set_configured(tx, &sinks)?)).await
    }

    async fn debts(&self) -> Result<Vec<SinkDebts>, StoreError> {
        self.shared.long(debts::all).await
    }

    async fn expire(&self) -> Result<Vec<Expired>, StoreError> {
        let found = self.shared.long(lapses::expiring).await?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        self.write(0, move |tx| Ok(lapses::expire(tx, &found)?)).await
    }

    async fn expire_dead(&self, dead_max: Duration, limit: usize) -> Result<ExpiredDead, StoreError> {
        self.write(0, move |tx| Ok(dead::expire(tx, dead_max, limit)?)).await
    }

    async fn lapses(&self) -> Result<Vec<Lapse>, StoreError> {
        self.shared.long(|connection, _| lapses::all(connection)).await
    }

    async fn set_told(&self, lapse: &Lapse) -> Result<(), StoreError> {
        let lapse = lapse.clone();
        self.write(0, move |tx| Ok(lapses::set_told(tx, &lapse)?)).await
    }

    async fn release(&self, sink: OwnerId) -> Result<(), StoreError> {
        self.write(0, move |tx| Ok(remove(tx.connection, sink)?)).await
    }
}

/// Ends what a sink owes.
fn remove(connection: &Connection, sink: OwnerId) -> rusqlite::Result<()> {
    connection.prepare_cached(REMOVE)?.execute([sink.0]).map(drop)
}

/// Ends everything about a sink.
pub(super) fn forget(connection: &Connection, sink: OwnerId) -> rusqlite::Result<()> {
    remove(connection, sink)?;
    connection.prepare_cached(REMOVE_LAPSES)?.execute([sink.0]).map(drop)
}

pub(super) fn set_intake(tx: &mut Tx<'_>, sink: OwnerId, intake: &Intake) -> Result<Selection, Fault> {
    tx.owner(sink)?;
    let head = Seq(tx.log()?.head);
    let known: Option<(String, Option<String>)> = tx
        .connection
        .prepare_cached(KNOWN)?
        .query_row([sink.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let before = known.as_ref().map(|(selection, cursor)| (parsed(selection), cursor.as_deref()));
    let selection = match &before {
        Some((before, cursor)) => {
            let types = scan::types(tx.connection)?;
            intake.follow(before, *cursor, types.iter().map(|it| it.name.as_str()), head)
        }
        None => intake.begin(begin(tx.connection, intake.start, head)?),
    };
    if before.is_none_or(|(before, _)| before != selection) {
        let text =
            serde_json::to_string(&selection).map_err(|error| StoreError::Refused(error.to_string()))?;
        tx.connection.prepare_cached(SET)?.execute((sink.0, text))?;
    }
    Ok(selection)
}

/// The place after which a new sink begins.
fn begin(connection: &Connection, start: StartAt, head: Seq) -> rusqlite::Result<Seq> {
    match start {
        StartAt::Now => Ok(head),
        StartAt::All => Ok(Seq(0)),
        StartAt::Since(time) => since(connection, time, head),
    }
}

/// The place after which everything was stored at `time` or later.
fn since(connection: &Connection, time: Timestamp, head: Seq) -> rusqlite::Result<Seq> {
    let Some(before) = time.as_microsecond().checked_sub(1) else { return Ok(Seq(0)) };
    let marks = Marks::read(connection)?;
    let mut first = connection.prepare_cached(FIRST_NEWER)?;
    let found: Option<i64> = first.query_row((marks.stepped_back, before), |row| row.get(0)).optional()?;
    let place = match found {
        Some(first) => first - 1,
        None => Floors::new(connection, marks).below(before)?,
    };
    Ok(Seq(place.min(head.0)))
}

fn set_configured(tx: &Tx<'_>, sinks: &[OwnerId]) -> rusqlite::Result<()> {
    let mut all = tx.connection.prepare_cached(ALL)?;
    let rows = all.query_map([], |row| Ok((OwnerId(row.get(0)?), row.get(1)?)))?;
    let rows: Vec<(OwnerId, Option<Micros>)> = rows.collect::<rusqlite::Result<_>>()?;
    for (sink, left_at) in rows {
        let is_configured = sinks.contains(&sink);
        if is_configured == left_at.is_some() {
            let left_at = (!is_configured).then_some(tx.clock.trusted);
            tx.connection.prepare_cached(SET_LEFT)?.execute((sink.0, left_at))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::plans::check(&[KNOWN, SET, SET_LEFT, REMOVE, REMOVE_LAPSES, FIRST_NEWER]);
    }
}
