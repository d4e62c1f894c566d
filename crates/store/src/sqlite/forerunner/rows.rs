//! The rows of the Python program's tables, as what they are here.

use std::collections::HashMap;

use inboxclaw_contract::limits::{CURSOR_BYTES, check_new_key, check_size};
use inboxclaw_contract::{Entry, Json, NewEvent, Version};
use jiff::Timestamp;
use rusqlite::Row;

use super::cells;
use super::file::ForeignFile;
use super::plan::DeliveryTable;

/// A row, or the number and the reason of one that cannot come over.
pub(super) type Checked<T> = Result<T, String>;

/// A source or sink of the file.
#[derive(Debug, Clone)]
pub(super) struct ForeignOwner {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) kind: String,
}

/// An event of the file.
pub(super) struct ForeignEvent {
    /// The number of its source.
    pub(super) source: i64,
    pub(super) created_at: Option<Timestamp>,
    pub(super) event: NewEvent,
}

/// Sources or sinks, by number.
pub(super) fn owners(file: &ForeignFile, table: &str) -> rusqlite::Result<Vec<ForeignOwner>> {
    if !file.has(table) {
        return Ok(Vec::new());
    }
    let mut all = file.connection.prepare(&format!("SELECT id, name, type FROM {table} ORDER BY id"))?;
    let row = |row: &Row<'_>| {
        let text = |at| cells::text(row.get_ref(at)?).map(Option::unwrap_or_default).map_err(unreadable);
        Ok(ForeignOwner { id: row.get(0)?, name: text(1)?, kind: text(2)? })
    };
    all.query_map([], row)?.collect()
}

/// Why a row that everything hangs on cannot be read.
fn unreadable(reason: String) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(reason.into())
}

/// The cursor of a source.
pub(super) fn cursor(file: &ForeignFile, source: i64) -> rusqlite::Result<Checked<Option<String>>> {
    let sql = format!("SELECT {} FROM sources WHERE id = ?1", file.column("sources", "cursor"));
    file.connection.query_row(&sql, [source], |row| {
        let cursor = cells::text(row.get_ref(0)?).map(|text| text.filter(|text| !text.is_empty()));
        Ok(cursor.and_then(|cursor| {
            let size = cursor.as_ref().map_or(0, String::len);
            check_size("the cursor", size, CURSOR_BYTES).map_err(|error| error.to_string())?;
            Ok(cursor)
        }))
    })
}

/// Walks over the entries of a source, in the order of their keys.
pub(super) fn entries<E: From<rusqlite::Error>>(
    file: &ForeignFile,
    source: i64,
    now: Timestamp,
    mut each: impl FnMut(String, Checked<Entry>) -> Result<(), E>,
) -> Result<(), E> {
    if !file.has("source_kv") {
        return Ok(());
    }
    let (created, updated) = (file.column("source_kv", "created_at"), file.column("source_kv", "updated_at"));
    let sql = format!(
        "SELECT \"key\", value, {created}, {updated} FROM source_kv WHERE source_id = ?1 ORDER BY \"key\""
    );
    let mut all = file.connection.prepare(&sql)?;
    let mut rows = all.query([source])?;
    while let Some(row) = rows.next()? {
        let key = String::from_utf8_lossy(row.get_ref(0)?.as_bytes().unwrap_or_default()).into_owned();
        let entry = entry(row, now);
        each(key, entry)?;
    }
    Ok(())
}

fn entry(row: &Row<'_>, now: Timestamp) -> Checked<Entry> {
    let cell = |at| row.get_ref(at).map_err(|error| error.to_string());
    let key = cells::text(cell(0)?)?.unwrap_or_default();
    check_new_key(&key).map_err(|error| error.to_string())?;
    let value = cells::json(cell(1)?)?.unwrap_or_else(Json::null);
    let updated_at = cells::time(cell(3)?).unwrap_or(now).min(now);
    let created_at = cells::time(cell(2)?).unwrap_or(updated_at).min(updated_at);
    Ok(Entry { key, value, revision: Version(0), created_at, updated_at, expires_at: None, secret: false })
}

/// Walks over the events, in the order of their numbers. `each` gets the number and the event, or why it cannot come over.
pub(super) fn events<E: From<rusqlite::Error>>(
    file: &ForeignFile,
    mut each: impl FnMut(i64, Checked<ForeignEvent>) -> Result<(), E>,
) -> Result<(), E> {
    let column = |name| file.column("events", name);
    let sql = format!(
        "SELECT id, source_id, event_id, event_type, {}, {}, {}, {}, {} FROM events WHERE id > 0 ORDER BY id",
        column("entity_id"),
        column("created_at"),
        column("occurred_at"),
        column("data"),
        column("meta")
    );
    let mut all = file.connection.prepare(&sql)?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        each(row.get(0)?, event(row))?;
    }
    Ok(())
}

fn event(row: &Row<'_>) -> Checked<ForeignEvent> {
    let cell = |at| row.get_ref(at).map_err(|error| error.to_string());
    let text = |at| cells::text(cell(at)?).map(Option::unwrap_or_default);
    let event = NewEvent {
        event_id: text(2)?,
        event_type: text(3)?,
        entity_id: cells::text(cell(4)?)?,
        occurred_at: cells::time(cell(6)?),
        data: cells::object(cell(7)?).map_err(|why| format!("its data: {why}"))?,
        meta: cells::object(cell(8)?).map_err(|why| format!("its meta: {why}"))?,
    };
    event.check().map_err(|error| error.to_string())?;
    Ok(ForeignEvent {
        source: row.get(1).map_err(|error| error.to_string())?,
        created_at: cells::time(cell(5)?),
        event,
    })
}

/// An event that was still coalesced.
pub(super) struct PendingEvent {
    pub(super) source: i64,
    pub(super) event: NewEvent,
}

/// The events that were still coalesced, the oldest first, each as the Python program would have published it.
pub(super) fn pending(file: &ForeignFile) -> rusqlite::Result<Vec<(i64, Checked<PendingEvent>)>> {
    if !file.has("pending_events") {
        return Ok(Vec::new());
    }
    let column = |name| file.column("pending_events", name);
    let sql = format!(
        "SELECT id, source_id, event_type, entity_id, data, {}, {}, first_seen_at, last_seen_at
         FROM pending_events ORDER BY first_seen_at, id",
        column("meta"),
        column("count")
    );
    let mut all = file.connection.prepare(&sql)?;
    all.query_map([], |row| Ok((row.get(0)?, promoted(row))))?.collect()
}

fn promoted(row: &Row<'_>) -> Checked<PendingEvent> {
    let cell = |at| row.get_ref(at).map_err(|error| error.to_string());
    let text = |at| cells::text(cell(at)?).map(Option::unwrap_or_default);
    let (event_type, entity) = (text(2)?, text(3)?);
    let (first, last) = (cells::time(cell(7)?), cells::time(cell(8)?));
    let count = cell(6)?.as_i64_or_null().ok().flatten().unwrap_or(1);
    let meta = cells::object(cell(5)?).map_err(|why| format!("its meta: {why}"))?;
    let event = NewEvent {
        event_id: format!("coalesced:{event_type}:{entity}:{}", first.map_or(0, jiff::Timestamp::as_second)),
        event_type,
        entity_id: Some(entity),
        occurred_at: last,
        data: cells::object(cell(4)?).map_err(|why| format!("its data: {why}"))?,
        meta: if count > 1 { coalesced(&meta, count, first, last)? } else { meta },
    };
    event.check().map_err(|error| error.to_string())?;
    Ok(PendingEvent { source: row.get(1).map_err(|error| error.to_string())?, event })
}

/// The meta of an event that stands for several.
fn coalesced(meta: &Json, count: i64, first: Option<Timestamp>, last: Option<Timestamp>) -> Checked<Json> {
    let time = |time: Option<Timestamp>| time.map(inboxclaw_contract::envelope::wire_time);
    let mut all: serde_json::Map<String, serde_json::Value> =
        meta.parse().map_err(|error| error.to_string())?;
    all.insert("coalesced_count".into(), count.into());
    all.insert("first_seen_at".into(), time(first).into());
    all.insert("last_seen_at".into(), time(last).into());
    all.insert("coalesced".into(), true.into());
    Json::from_value(&all).map_err(|error| error.to_string())
}

/// What the Python program noted about the deliveries of one event to one sink.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mark {
    /// The consumer has it.
    pub(super) done: bool,
    pub(super) tries: u32,
    pub(super) tried_at: Option<Timestamp>,
}

/// What was noted for a sink, by the number of the event.
pub(super) fn marks(
    file: &ForeignFile,
    table: DeliveryTable,
    sink: i64,
) -> rusqlite::Result<HashMap<i64, Mark>> {
    let sql = match table {
        DeliveryTable::Webhook if file.has("http_webhook_deliveries") => {
            "SELECT event_id, delivered, tries, created_at FROM http_webhook_deliveries WHERE sink_id = ?1"
        }
        DeliveryTable::Command if file.has("command_sink_deliveries") => {
            "SELECT event_id, processed, tries, created_at FROM command_sink_deliveries WHERE sink_id = ?1"
        }
        DeliveryTable::Pull if file.has("http_pull_batch_events") && file.has("http_pull_batches") => {
            "SELECT m.event_id, 1, 0, NULL FROM http_pull_batch_events m
             JOIN http_pull_batches b ON b.id = m.batch_id WHERE b.sink_id = ?1 AND m.processed"
        }
        _ => return Ok(HashMap::new()),
    };
    let mut all = file.connection.prepare(sql)?;
    let row = |row: &Row<'_>| {
        let number = |at| row.get::<_, Option<i64>>(at).map(Option::unwrap_or_default);
        let tries = u32::try_from(number(2)?).unwrap_or(0);
        let mark = Mark { done: number(1)? != 0, tries, tried_at: cells::time(row.get_ref(3)?) };
        Ok((row.get(0)?, mark))
    };
    all.query_map([sink], row)?.collect()
}
