//! The rows of pending events: found by entity, changed, promoted into the log, removed.

use std::collections::HashMap;

use inboxclaw_contract::coalesce::{
    Aggregation, CoalesceRule, PROMOTED, Promoted, Strategy, is_due, promoted_meta,
};
use inboxclaw_contract::{Json, NewEvent, OwnerId};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use super::append::{self, Logged};
use super::tx::Tx;
use super::values::{Micros, Text};

/// One step of promotion writes about so many bytes.
pub(super) const STEP_BYTES: i64 = 16 << 20;

const COUNTS: &str = "SELECT source, count(*) FROM pending GROUP BY source";

const FIND: &str = "
    SELECT id, type, begun_at, flush_at, count, aggregation, bytes FROM pending
    WHERE source = ?1 AND entity = ?2";

const DATA: &str = "SELECT data FROM pending WHERE id = ?1";
const META: &str = "SELECT meta FROM pending WHERE id = ?1";

const ADD: &str = "
    INSERT INTO pending (
        source, begun_at, flush_at, first_seen_at, last_seen_at, count, strategy, window_micros, aggregation, bytes, type,
        entity, first_id, meta, data
    ) VALUES (?1, ?2, ?3, ?4, ?4, 1, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

const JOIN: &str = "
    UPDATE pending SET flush_at = ?2, last_seen_at = ?3, count = ?4, strategy = ?5, window_micros = ?6, bytes = ?7,
        meta = coalesce(?8, meta), data = coalesce(?9, data)
    WHERE id = ?1";

const ADD_ITEM: &str = "INSERT INTO pending_items (pending, item, data) VALUES (?1, ?2, ?3)";
const ITEMS: &str = "SELECT data FROM pending_items WHERE pending = +?1 ORDER BY item";

pub(super) const ROW: &str = "
    SELECT id, source, first_seen_at, last_seen_at, flush_at, count, strategy, window_micros, aggregation, type, entity,
        first_id, meta, data
    FROM pending WHERE id = ?1";

const REMOVE: &str = "DELETE FROM pending WHERE id = ?1";
const REMOVE_ITEMS: &str = "DELETE FROM pending_items WHERE pending = ?1";

const DUE: &str = "
    SELECT id, octet_length(meta) + octet_length(data) + bytes FROM pending
    WHERE flush_at <= ?1 ORDER BY flush_at, id LIMIT +?2";
const AHEAD: &str = "
    SELECT id, octet_length(meta) + octet_length(data) + bytes FROM pending
    WHERE begun_at > ?1 ORDER BY begun_at, id LIMIT +?2";
pub(super) const NEXT: &str = "SELECT min(flush_at) FROM pending";

const OF_SOURCE: &str = "SELECT id FROM pending WHERE source = ?1 LIMIT +?2";

/// What is known of a pending event without reading what it holds.
pub(super) struct Place {
    id: i64,
    event_type: String,
    begun_at: Micros,
    flush_at: Micros,
    count: i64,
    aggregation: i64,
    /// The bytes of the items of a list.
    bytes: i64,
}

/// What another event changes of a pending one.
pub(super) struct Joined<'a> {
    /// The new meta and data; `None` for as it is.
    pub(super) meta: Option<Json>,
    pub(super) data: Option<Json>,
    /// Another item of the list.
    pub(super) item: Option<&'a Json>,
}

/// A whole pending event.
pub(super) struct Whole {
    pub(super) id: i64,
    pub(super) source: OwnerId,
    pub(super) first_seen_at: Timestamp,
    pub(super) last_seen_at: Timestamp,
    pub(super) flush_at: Timestamp,
    pub(super) count: u64,
    pub(super) strategy: Strategy,
    pub(super) window_micros: u64,
    pub(super) event_type: String,
    pub(super) entity: String,
    pub(super) first_id: String,
    pub(super) meta: Json,
    pub(super) data: Json,
}

impl Place {
    /// The pending event of an entity.
    pub(super) fn find(tx: &mut Tx<'_>, source: OwnerId, entity: &str) -> rusqlite::Result<Option<Self>> {
        if count(tx, source)? == 0 {
            return Ok(None);
        }
        let place = |row: &Row<'_>| {
            Ok(Self {
                id: row.get(0)?,
                event_type: row.get(1)?,
                begun_at: row.get(2)?,
                flush_at: row.get(3)?,
                count: row.get(4)?,
                aggregation: row.get(5)?,
                bytes: row.get(6)?,
            })
        };
        tx.connection.prepare_cached(FIND)?.query_row((source.0, entity), place).optional()
    }

    /// Whether an event that this rule takes now becomes part of it, or begins anew.
    pub(super) fn takes(&self, event: &NewEvent, rule: &CoalesceRule, now: Micros) -> bool {
        self.event_type == event.event_type
            && self.aggregation == aggregation_number(rule.aggregation)
            && !is_due(self.begun_at.0, self.flush_at.0, now.0)
    }

    pub(super) fn data(&self, tx: &Tx<'_>) -> rusqlite::Result<Json> {
        tx.connection.prepare_cached(DATA)?.query_row([self.id], |row| Ok(row.get::<_, Text>(0)?.0))
    }

    pub(super) fn meta(&self, tx: &Tx<'_>) -> rusqlite::Result<Json> {
        tx.connection.prepare_cached(META)?.query_row([self.id], |row| Ok(row.get::<_, Text>(0)?.0))
    }

    /// Makes another event part of it.
    pub(super) fn join(
        &mut self,
        tx: &mut Tx<'_>,
        rule: &CoalesceRule,
        joined: &Joined<'_>,
    ) -> rusqlite::Result<()> {
        self.count += 1;
        if let Some(item) = joined.item {
            self.bytes += item_bytes(item);
            tx.connection.prepare_cached(ADD_ITEM)?.execute((self.id, self.count, item.as_str()))?;
        }
        self.flush_at = Micros(rule.flush_at(self.begun_at.0, tx.clock.trusted.0));
        tx.connection.prepare_cached(JOIN)?.execute((
            self.id,
            self.flush_at,
            tx.clock.stamp,
            self.count,
            strategy_number(rule.strategy),
            window_micros(rule),
            self.bytes,
            joined.meta.as_ref().map(Json::as_str),
            joined.data.as_ref().map(Json::as_str),
        ))?;
        self.collected(tx);
        Ok(())
    }

    /// Begins a pending event with this one.
    pub(super) fn begin(
        tx: &mut Tx<'_>,
        source: OwnerId,
        entity: &str,
        rule: &CoalesceRule,
        event: &NewEvent,
    ) -> rusqlite::Result<Self> {
        let is_list = rule.aggregation == Aggregation::List;
        let begun_at = tx.clock.trusted;
        let flush_at = Micros(rule.flush_at(begun_at.0, begun_at.0));
        let aggregation = aggregation_number(rule.aggregation);
        let bytes = if is_list { item_bytes(&event.data) } else { 0 };
        *counts(tx)?.entry(source).or_default() += 1;
        let id = tx.connection.prepare_cached(ADD)?.insert((
            source.0,
            begun_at,
            flush_at,
            tx.clock.stamp,
            strategy_number(rule.strategy),
            window_micros(rule),
            aggregation,
            bytes,
            &event.event_type,
            entity,
            &event.event_id,
            event.meta.as_str(),
            if is_list { "" } else { event.data.as_str() },
        ))?;
        if is_list {
            tx.connection.prepare_cached(ADD_ITEM)?.execute((id, 1, event.data.as_str()))?;
        }
        let event_type = event.event_type.clone();
        let place = Self { id, event_type, begun_at, flush_at, count: 1, aggregation, bytes };
        place.collected(tx);
        Ok(place)
    }

    /// How many events it holds.
    pub(super) fn count(&self) -> u64 {
        self.count.unsigned_abs()
    }

    /// The bytes of the items of a list, with their commas.
    pub(super) fn bytes(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }

    /// Promotes it.
    pub(super) fn promote(&self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        promote(tx, self.id)
    }

    fn collected(&self, tx: &mut Tx<'_>) {
        let due = self.flush_at.get();
        tx.cache.collected = Some(tx.cache.collected.map_or(due, |earlier| earlier.min(due)));
    }
}

/// How many pending events a source has.
pub(super) fn count(tx: &mut Tx<'_>, source: OwnerId) -> rusqlite::Result<i64> {
    Ok(counts(tx)?.get(&source).copied().unwrap_or_default())
}

/// How many pending events each source has. To be asked before rows are added or removed, and then changed with them.
fn counts<'a>(tx: &'a mut Tx<'_>) -> rusqlite::Result<&'a mut HashMap<OwnerId, i64>> {
    let cache = &mut *tx.cache;
    match &mut cache.pending {
        Some(counts) => Ok(counts),
        none => {
            // Who waits must also hear of those that were there before.
            let next = tx.connection.prepare_cached(NEXT)?.query_row([], |row| row.get(0))?;
            cache.next_due = Some(next);
            Ok(none.insert(all_counts(tx.connection)?))
        }
    }
}

/// The same, read.
pub(super) fn all_counts(connection: &Connection) -> rusqlite::Result<HashMap<OwnerId, i64>> {
    let mut all = connection.prepare_cached(COUNTS)?;
    let all = all.query_map([], |row| Ok((OwnerId(row.get(0)?), row.get(1)?)))?;
    all.collect()
}

/// Promotes those whose windows have ended.
pub(super) fn promote_due(tx: &mut Tx<'_>, limit: usize) -> rusqlite::Result<Promoted> {
    let now = tx.clock.trusted;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX).max(1);
    let mut due = sizes(tx, DUE, now, limit)?;
    let ahead = sizes(tx, AHEAD, now, limit)?;
    let more_ahead = ahead.len() as i64 == limit;
    for ahead in ahead {
        if !due.contains(&ahead) {
            due.push(ahead);
        }
    }
    let (mut events, mut bytes) = (0, 0);
    for (id, size) in &due {
        if events == limit || events > 0 && bytes + size > STEP_BYTES {
            break;
        }
        promote(tx, *id)?;
        (events, bytes) = (events + 1, bytes + size);
    }
    let next: Option<Micros> = tx.connection.prepare_cached(NEXT)?.query_row([], |row| row.get(0))?;
    tx.cache.next_due = Some(next.map(Micros::get));
    tx.cache.collected = None;
    let more = next.is_some_and(|next| next <= now) || due.len() as i64 > events || more_ahead;
    Ok(Promoted { events: events.unsigned_abs(), more, next: next.map(|next| next.0) })
}

fn sizes(tx: &Tx<'_>, sql: &str, now: Micros, limit: i64) -> rusqlite::Result<Vec<(i64, i64)>> {
    let mut find = tx.connection.prepare_cached(sql)?;
    find.query_map((now, limit), |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Puts a pending event into the log.
///
/// That cannot fail for one row alone: what is collected keeps the limits of an event at every moment, so that a row which
/// does not fit never holds up the others.
pub(super) fn promote(tx: &mut Tx<'_>, id: i64) -> rusqlite::Result<()> {
    let event = whole(tx.connection, id)?;
    let mut event_id = format!("{PROMOTED}{}", event.first_id);
    // A source may have reported an event of that very id.
    while !append::note_reported(tx, event.source, &event_id)? {
        event_id.insert_str(0, PROMOTED);
    }
    let meta = promoted_meta(&event.meta, event.count, event.first_seen_at, event.last_seen_at);
    let logged = Logged {
        source: event.source,
        event_type: &event.event_type,
        occurred_at: Some(Micros(event.last_seen_at)),
        event_id: &event_id,
        entity: Some(&event.entity),
        meta: meta.as_str(),
        data: event.data.as_str(),
    };
    append::append(tx, &logged)?;
    remove(tx, id, event.source)
}

/// Removes a pending event.
pub(super) fn remove(tx: &mut Tx<'_>, id: i64, source: OwnerId) -> rusqlite::Result<()> {
    let connection = tx.connection;
    let count = counts(tx)?.entry(source).or_default();
    connection.prepare_cached(REMOVE_ITEMS)?.execute([id])?;
    *count -= i64::try_from(connection.prepare_cached(REMOVE)?.execute([id])?).unwrap_or_default();
    Ok(())
}

/// Removes some of what a source has pending; `true` when nothing is left.
pub(super) fn forget(tx: &mut Tx<'_>, source: OwnerId, limit: i64) -> rusqlite::Result<bool> {
    let mut find = tx.connection.prepare_cached(OF_SOURCE)?;
    let found = find.query_map((source.0, limit), |row| row.get(0))?;
    let found: Vec<i64> = found.collect::<rusqlite::Result<_>>()?;
    for id in &found {
        remove(tx, *id, source)?;
    }
    Ok((found.len() as i64) < limit)
}

/// Reads a pending event.
pub(super) fn whole(connection: &Connection, id: i64) -> rusqlite::Result<Whole> {
    let mut find = connection.prepare_cached(ROW)?;
    let (mut event, aggregation) = find.query_row([id], |row| {
        let aggregation: i64 = row.get(8)?;
        let event = Whole {
            id: row.get(0)?,
            source: OwnerId(row.get(1)?),
            first_seen_at: row.get::<_, Micros>(2)?.0,
            last_seen_at: row.get::<_, Micros>(3)?.0,
            flush_at: row.get::<_, Micros>(4)?.0,
            count: row.get::<_, i64>(5)?.unsigned_abs(),
            strategy: strategy_of(row.get(6)?),
            window_micros: row.get::<_, i64>(7)?.unsigned_abs(),
            event_type: row.get(9)?,
            entity: row.get(10)?,
            first_id: row.get(11)?,
            meta: row.get::<_, Text>(12)?.0,
            data: row.get::<_, Text>(13)?.0,
        };
        Ok((event, aggregation))
    })?;
    if aggregation == aggregation_number(Aggregation::List) {
        let mut items = connection.prepare_cached(ITEMS)?;
        let items = items.query_map([id], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
        event.data = Json::list_of(items.iter().map(String::as_str));
    }
    Ok(event)
}

/// The bytes of an item with its comma.
fn item_bytes(item: &Json) -> i64 {
    i64::try_from(item.len() + ",".len()).unwrap_or(i64::MAX)
}

fn strategy_number(strategy: Strategy) -> i64 {
    match strategy {
        Strategy::Debounce => 0,
        Strategy::Batch => 1,
    }
}

fn strategy_of(number: i64) -> Strategy {
    if number == 0 { Strategy::Debounce } else { Strategy::Batch }
}

fn aggregation_number(aggregation: Aggregation) -> i64 {
    match aggregation {
        Aggregation::Latest => 0,
        Aggregation::Merge => 1,
        Aggregation::List => 2,
    }
}

fn window_micros(rule: &CoalesceRule) -> i64 {
    i64::try_from(rule.window.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::plans::check(&[
            FIND,
            DATA,
            META,
            ADD,
            JOIN,
            ADD_ITEM,
            ITEMS,
            ROW,
            REMOVE,
            REMOVE_ITEMS,
            DUE,
            AHEAD,
            OF_SOURCE,
        ]);
    }
}
