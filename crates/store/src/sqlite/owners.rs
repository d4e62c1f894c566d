//! Owners and their run facts: who there is, how it runs, who has claimed it. None of it is state.

use std::time::Duration;

use inboxclaw_contract::limits::{INTERNAL_SOURCE, check_name};
use inboxclaw_contract::store::OwnerInfo;
use inboxclaw_contract::turn::{FactsPatch, RunFacts};
use inboxclaw_contract::{Owner, OwnerId, OwnerKind, StoreError, Version};
use jiff::SignedDuration;
use rusqlite::{Connection, OptionalExtension, Row};

use super::counts::unsigned;
use super::error::Fault;
use super::tx::Tx;
use super::values::Micros;

const FIND: &str = "SELECT id, connector, forgotten FROM owners WHERE kind = ?1 AND name = ?2";
/// Numbers are not used again, not even that of an owner who gave way to a renamed one.
const ADD: &str = "
    INSERT INTO owners (id, kind, name, connector, space)
    SELECT 1 + max(
        coalesce((SELECT max(id) FROM owners), 0), coalesce((SELECT value FROM meta WHERE name = 'owner'), 0)
    ), ?1, ?2, ?3, 0";
const ADD_SPACE: &str = "INSERT INTO spaces (owner) VALUES (?1)";
const SET_SPACE: &str = "UPDATE owners SET space = ?2 WHERE id = ?1";
const SET_CONNECTOR: &str = "UPDATE owners SET connector = ?2, forgotten = 0 WHERE id = ?1";
const ALL: &str = "
    SELECT id, kind, name, connector, version, cursor, entries, bytes FROM owners WHERE forgotten = 0
    ORDER BY kind, name";

const FACTS: &str =
    "SELECT failures, next_at, paused, announced, seen_at FROM owners WHERE id = ?1 AND forgotten = 0";
const SET_FACTS: &str =
    "UPDATE owners SET failures = ?2, next_at = ?3, paused = ?4, announced = ?5, seen_at = ?6 WHERE id = ?1";

const CLAIM: &str = "
    UPDATE owners SET claim_holder = ?2, claim_until = ?3
    WHERE id = ?1 AND (claim_holder IS NULL OR claim_holder = ?2 OR claim_until <= ?4)";

/// Registers an owner, or brings the connector type of a known one up to date. A forgotten one comes back under its
/// number, so that what it once reported stays known.
pub(super) fn register(tx: &mut Tx<'_>, owner: &Owner, connector: &str) -> Result<OwnerId, Fault> {
    let internal = owner.kind == OwnerKind::Source && owner.name == INTERNAL_SOURCE;
    if !internal {
        check_name(owner.kind, &owner.name).map_err(|error| StoreError::Refused(error.to_string()))?;
    }
    let known: Option<(i64, String, bool)> = tx
        .connection
        .prepare_cached(FIND)?
        .query_row((owner.kind.as_str(), &owner.name), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let id = match known {
        Some((id, found, forgotten)) => {
            if forgotten || found != connector {
                tx.connection.prepare_cached(SET_CONNECTOR)?.execute((id, connector))?;
            }
            id
        }
        None => {
            let id =
                tx.connection.prepare_cached(ADD)?.insert((owner.kind.as_str(), &owner.name, connector))?;
            let space = tx.connection.prepare_cached(ADD_SPACE)?.insert([id])?;
            tx.connection.prepare_cached(SET_SPACE)?.execute((id, space))?;
            id
        }
    };
    Ok(OwnerId(id))
}

/// Every owner, by kind and name.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<OwnerInfo>> {
    let mut all = connection.prepare_cached(ALL)?;
    all.query_map([], |row| {
        let kind: String = row.get(1)?;
        let kind = if kind == OwnerKind::Source.as_str() { OwnerKind::Source } else { OwnerKind::Sink };
        Ok(OwnerInfo {
            id: OwnerId(row.get(0)?),
            kind,
            name: row.get(2)?,
            connector: row.get(3)?,
            version: Version(row.get(4)?),
            cursor: row.get(5)?,
            entries: unsigned(row.get(6)?),
            bytes: unsigned(row.get(7)?),
        })
    })?
    .collect()
}

/// The run facts of an owner; `None` when there is no such owner.
pub(super) fn facts(connection: &Connection, owner: OwnerId) -> rusqlite::Result<Option<RunFacts>> {
    connection.prepare_cached(FACTS)?.query_row([owner.0], facts_row).optional()
}

/// Changes run facts, and says whether that took a write. What is so already is not worth an fsync.
pub(super) fn patch_facts(tx: &Tx<'_>, owner: OwnerId, patch: &FactsPatch) -> Result<bool, Fault> {
    let before = facts(tx.connection, owner)?.ok_or(StoreError::NoOwner(owner))?;
    let after = patched(&before, patch, tx.clock.trusted);
    let moved = after != before;
    if moved {
        let (next_at, seen_at) = (after.next_at.map(Micros), after.seen_at.map(Micros));
        let row = (owner.0, after.failures, next_at, after.paused, after.announced, seen_at);
        tx.connection.prepare_cached(SET_FACTS)?.execute(row)?;
    }
    Ok(moved)
}

/// Claims an owner, unless somebody else has.
pub(super) fn claim(tx: &mut Tx<'_>, owner: OwnerId, holder: &str, lasts: Duration) -> Result<bool, Fault> {
    tx.owner(owner)?;
    let until = Micros(after(tx.clock.trusted, lasts));
    Ok(tx.connection.prepare_cached(CLAIM)?.execute((owner.0, holder, until, tx.clock.trusted))? > 0)
}

fn patched(before: &RunFacts, patch: &FactsPatch, now: Micros) -> RunFacts {
    RunFacts {
        failures: patch.failures.unwrap_or(before.failures),
        next_at: match patch.next_in {
            None => before.next_at,
            Some(Duration::ZERO) => None,
            Some(wait) => Some(after(now, wait)),
        },
        paused: patch.paused.unwrap_or(before.paused),
        announced: patch.announced.clone().or_else(|| before.announced.clone()),
        seen_at: if patch.seen { Some(now.0) } else { before.seen_at },
    }
}

/// That long after `now`, to the microsecond; the end of time when it would be beyond.
fn after(now: Micros, wait: Duration) -> jiff::Timestamp {
    let later = SignedDuration::try_from(wait).ok().and_then(|wait| now.0.checked_add(wait).ok());
    let later = later.unwrap_or(jiff::Timestamp::MAX);
    jiff::Timestamp::from_microsecond(later.as_microsecond()).unwrap_or(later)
}

fn facts_row(row: &Row<'_>) -> rusqlite::Result<RunFacts> {
    let (next_at, seen_at): (Option<Micros>, Option<Micros>) = (row.get(1)?, row.get(4)?);
    Ok(RunFacts {
        failures: row.get(0)?,
        next_at: next_at.map(|at| at.0),
        paused: row.get(2)?,
        announced: row.get(3)?,
        seen_at: seen_at.map(|at| at.0),
    })
}
