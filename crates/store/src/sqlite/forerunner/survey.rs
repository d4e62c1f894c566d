//! Looks at everything in the file of the Python program and says what would come over. Nothing is written, here or there.

use std::collections::HashMap;

use inboxclaw_contract::OwnerKind;
use inboxclaw_contract::limits::{INTERNAL_SOURCE, check_name};
use jiff::Timestamp;
use rusqlite::types::ValueRef;
use sha2::{Digest, Sha256};

use super::super::error::OpenError;
use super::cells;
use super::file::{ForeignFile, broken};
use super::owed::{self, Place};
use super::plan::{ImportPlan, ImportSurvey, ImportedSource, Refusal, SourceSurvey};
use super::rows::{self, ForeignOwner};

/// The key under which the Python program kept the health that it last told of a source.
pub(super) const HEALTH: &str = "_health:last_notified_status";

/// So many refusals are told one by one.
const TOLD: usize = 100;

/// Tables, and the columns that hold when something happened.
const TIMES: [(&str, &[&str]); 6] = [
    ("events", &["created_at"]),
    ("pending_events", &["last_seen_at"]),
    ("source_kv", &["updated_at"]),
    ("http_webhook_deliveries", &["last_try"]),
    ("command_sink_deliveries", &["last_try"]),
    ("http_pull_batches", &["created_at"]),
];

/// What changes whenever something does that an import would bring: how many rows a table has, and what is counted up or
/// switched in them.
const COUNTS: [(&str, &[&str]); 9] = [
    ("sources", &["length(cursor)"]),
    ("sinks", &["id"]),
    ("source_kv", &["length(value)", "id"]),
    ("events", &["id"]),
    ("pending_events", &["id", "count"]),
    ("http_webhook_deliveries", &["tries", "delivered"]),
    ("http_pull_batches", &["id"]),
    ("http_pull_batch_events", &["id", "processed"]),
    ("command_sink_deliveries", &["tries", "processed"]),
];

pub(super) fn survey(
    file: &ForeignFile,
    plan: &ImportPlan,
    now: Timestamp,
) -> Result<ImportSurvey, OpenError> {
    looked(file, plan, now).map_err(|error| broken(file.path(), error))
}

fn looked(file: &ForeignFile, plan: &ImportPlan, now: Timestamp) -> rusqlite::Result<ImportSurvey> {
    let mut survey = ImportSurvey { mark: mark(file)?, ..ImportSurvey::default() };
    let sources = sources(file, &mut survey)?;
    let (log, types) = log(file, &sources, &mut survey, now)?;
    let pending = pending(file, &sources, &mut survey)?;
    survey.active_at = last_active(file)?.map(|active_at| active_at.min(now));
    for source in sources.values() {
        match plan.sources.iter().find(|planned| planned.name == source.name) {
            Some(planned) => {
                let found = memory(file, source, planned, &mut survey, now)?;
                survey.sources.push(found);
            }
            None if source.name == INTERNAL_SOURCE => {}
            None => survey.unnamed.push(format!("source:{}", source.name)),
        }
    }
    survey.sources.sort_by(|one, other| one.name.cmp(&other.name));
    let active_at = survey.active_at.unwrap_or(now);
    for sink in rows::owners(file, "sinks")? {
        match plan.sinks.iter().find(|planned| planned.name == sink.name) {
            Some(planned) => {
                let marks = rows::marks(file, planned.table, sink.id)?;
                let mut found = owed::owed(planned, &marks, &log, &types, active_at);
                let is_taken = |name: &&String| planned.intake.patterns.matches(name);
                found.owed += pending.iter().filter(is_taken).count() as u64;
                survey.sinks.push(found);
            }
            None => survey.unnamed.push(format!("sink:{} ({})", sink.name, sink.kind)),
        }
    }
    survey.unnamed.sort();
    Ok(survey)
}

/// The sources of the file whose names can be kept, by number.
pub(super) fn named(file: &ForeignFile) -> rusqlite::Result<(HashMap<i64, ForeignOwner>, Vec<Refusal>)> {
    let (mut named, mut refused) = (HashMap::new(), Vec::new());
    for source in rows::owners(file, "sources")? {
        match check_name(OwnerKind::Source, &source.name) {
            Err(error) if source.name != INTERNAL_SOURCE => {
                refused.push(Refusal { what: format!("source {:?}", source.name), why: error.to_string() });
            }
            _ => drop(named.insert(source.id, source)),
        }
    }
    Ok((named, refused))
}

fn sources(file: &ForeignFile, survey: &mut ImportSurvey) -> rusqlite::Result<HashMap<i64, ForeignOwner>> {
    let (named, refused) = named(file)?;
    refused.into_iter().for_each(|Refusal { what, why }| survey.refuse(what, why));
    Ok(named)
}

/// The source of a row, if its rows can come over.
pub(super) fn known(sources: &HashMap<i64, ForeignOwner>, id: i64) -> Result<&ForeignOwner, String> {
    sources.get(&id).ok_or_else(|| "its source is missing or refused".to_owned())
}

/// The events that come over, and the names of their types.
fn log(
    file: &ForeignFile,
    sources: &HashMap<i64, ForeignOwner>,
    survey: &mut ImportSurvey,
    now: Timestamp,
) -> rusqlite::Result<(Vec<Place>, Vec<String>)> {
    let (mut log, mut types): (Vec<Place>, Vec<String>) = (Vec::new(), Vec::new());
    let mut numbers: HashMap<String, usize> = HashMap::new();
    rows::events::<rusqlite::Error>(file, |id, event| {
        survey.last_number = id;
        let event = event.and_then(|event| known(sources, event.source).map(|_| event));
        let event = match event {
            Ok(event) => event,
            Err(why) => {
                survey.refuse(format!("event {id}"), why);
                return Ok(());
            }
        };
        let name = event.event.event_type;
        let event_type = *numbers.entry(name).or_insert_with_key(|name| {
            types.push(name.clone());
            types.len() - 1
        });
        let created_at = created_at(event.created_at, log.last().map(|place: &Place| place.created_at), now);
        log.push(Place { seq: id, event_type, created_at });
        Ok(())
    })?;
    survey.events = log.len() as u64;
    survey.last_event = log.last().map_or(0, |place| place.seq);
    Ok((log, types))
}

/// The types of the events that are still coalesced and come over.
fn pending(
    file: &ForeignFile,
    sources: &HashMap<i64, ForeignOwner>,
    survey: &mut ImportSurvey,
) -> rusqlite::Result<Vec<String>> {
    let mut types = Vec::new();
    for (id, pending) in rows::pending(file)? {
        let known = pending.and_then(|pending| known(sources, pending.source).map(|_| pending));
        match known {
            Ok(pending) => types.push(pending.event.event_type),
            Err(why) => survey.refuse(format!("pending event {id}"), why),
        }
    }
    survey.pending = types.len() as u64;
    Ok(types)
}

/// When an event was stored: as its row says, not in the future, and where the row says nothing with the one before.
pub(super) fn created_at(found: Option<Timestamp>, before: Option<Timestamp>, now: Timestamp) -> Timestamp {
    found.or(before).unwrap_or(now).min(now)
}

/// What comes over of a source's memory.
fn memory(
    file: &ForeignFile,
    source: &ForeignOwner,
    planned: &ImportedSource,
    survey: &mut ImportSurvey,
    now: Timestamp,
) -> rusqlite::Result<SourceSurvey> {
    let mut found = SourceSurvey { name: source.name.clone(), ..SourceSurvey::default() };
    if planned.cursor {
        match rows::cursor(file, source.id)? {
            Ok(cursor) => found.cursor = cursor.is_some(),
            Err(why) => survey.refuse(format!("the cursor of {}", source.name), why),
        }
    }
    rows::entries::<rusqlite::Error>(file, source.id, now, |key, entry| {
        match entry {
            _ if key == HEALTH => {
                found.announced = entry.ok().and_then(|entry| entry.value.parse().ok());
            }
            _ if !carries(planned, &key) => found.left += 1,
            Ok(_) => found.entries += 1,
            Err(why) => survey.refuse(format!("the key {key:?} of {}", source.name), why),
        }
        Ok(())
    })?;
    Ok(found)
}

/// Whether a key means the same here.
pub(super) fn carries(planned: &ImportedSource, key: &str) -> bool {
    planned.prefixes.iter().any(|prefix| key.starts_with(prefix))
}

/// When the Python program last stored something.
fn last_active(file: &ForeignFile) -> rusqlite::Result<Option<Timestamp>> {
    let mut last = None;
    for (table, columns) in TIMES.iter().filter(|(table, _)| file.has(table)) {
        for column in *columns {
            let sql = format!("SELECT max({}) FROM {table}", file.column(table, column));
            last = last.max(file.connection.query_row(&sql, [], |row| Ok(cells::time(row.get_ref(0)?)))?);
        }
    }
    Ok(last)
}

/// A number for what the file holds, so that a second import of the same is told from one of a file that went on.
fn mark(file: &ForeignFile) -> rusqlite::Result<i64> {
    let mut digest = Sha256::new();
    for (table, columns) in COUNTS.iter().filter(|(table, _)| file.has(table)) {
        let sums: Vec<String> = columns.iter().map(|column| format!(", total({column})")).collect();
        let sql = format!("SELECT count(*){} FROM {table}", sums.concat());
        digest.update(table.as_bytes());
        file.connection.query_row(&sql, [], |row| {
            for at in 0..=columns.len() {
                match row.get_ref(at)? {
                    ValueRef::Integer(count) => digest.update(count.to_be_bytes()),
                    ValueRef::Real(sum) => digest.update(sum.to_be_bytes()),
                    _ => {}
                }
            }
            Ok(())
        })?;
    }
    let digest = digest.finalize();
    let first = digest.first_chunk::<8>().copied().unwrap_or_default();
    Ok(i64::from_be_bytes(first) & i64::MAX)
}

impl ImportSurvey {
    fn refuse(&mut self, what: String, why: String) {
        self.refused += 1;
        if self.refusals.len() < TOLD {
            self.refusals.push(Refusal { what, why });
        }
    }
}
