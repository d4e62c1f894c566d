//! The transaction of an import. Whatever fails after its first write fails all of it.

use std::collections::HashMap;

use inboxclaw_contract::turn::{DeliveryChange, DeliveryState, EntryChange, FactsPatch, TurnId};
use inboxclaw_contract::{
    DeliveryOrigin, Intake, NewEvent, Outcome, Owner, OwnerId, Seq, StartAt, StoreError, Turn, Version,
};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use super::super::error::Fault;
use super::super::tx::Tx;
use super::super::values::Micros;
use super::super::{append, apply, owners, sinks};
use super::file::ForeignFile;
use super::plan::{
    ImportPlan, ImportProgress, ImportSurvey, Imported, ImportedSource, OwedRow, SinkSurvey, SourceSurvey,
};
use super::rows::{self, ForeignOwner};
use super::survey::{self, carries};

const MARK: &str = "SELECT value FROM meta WHERE name = 'forerunner'";
const SET_MARK: &str = "INSERT INTO meta (name, value) VALUES ('forerunner', ?1)";

const SET_HEAD: &str = "
    INSERT INTO meta (name, value) VALUES ('head', ?1) ON CONFLICT (name) DO UPDATE SET value = max(value, ?1)";

const HOLDS: &str = "
    SELECT (SELECT count(*) FROM (SELECT 1 FROM events LIMIT 1)),
        coalesce((SELECT value FROM meta WHERE name = 'head'), 0),
        (SELECT count(*) FROM owners WHERE version > 0)";

const ENTITY: &str = "SELECT entity FROM events WHERE seq = ?1";

/// Entries of one turn, and events between two reports of progress.
const CHUNK: usize = 1_000;

/// Who is named in the history of what comes over.
const AUTHOR: &str = "import of the Python program";

/// What a database holds that is not as good as new.
pub(super) fn holds(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let (events, head, used): (i64, i64, i64) =
        connection.query_row(HOLDS, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(if events > 0 || head > 0 {
        Some("events of its own".to_owned())
    } else if used > 0 {
        Some("what sources and sinks of its own remember".to_owned())
    } else {
        None
    })
}

/// Brings everything over, unless that was done before.
pub(super) fn adopt(
    tx: &mut Tx<'_>,
    file: &ForeignFile,
    plan: &ImportPlan,
    survey: &ImportSurvey,
    each: &mut ImportProgress,
) -> Result<Imported, Fault> {
    let mark: Option<i64> = tx.connection.query_row(MARK, [], |row| row.get(0)).optional()?;
    match mark {
        Some(mark) if mark == survey.mark => return Ok(Imported::Before),
        Some(_) => {
            return Err(refused("another database, or an earlier state of this one, was imported into it"));
        }
        None => {}
    }
    if let Some(found) = holds(tx.connection)? {
        return Err(refused(&format!("it holds {found}")));
    }
    bring(tx, file, plan, survey, each).map_err(|fault| match fault {
        // Something is written already: the transaction must go.
        Fault::Answer(error) => failed(error),
        fault => fault,
    })?;
    Ok(Imported::Now)
}

fn refused(reason: &str) -> Fault {
    Fault::Answer(StoreError::Refused(reason.to_owned()))
}

/// What fails the transaction, and is no failure of our own database.
fn failed(reason: impl std::fmt::Display) -> Fault {
    Fault::Sql(rusqlite::Error::ToSqlConversionFailure(reason.to_string().into()))
}

/// Of a read of the file.
fn unread(file: &ForeignFile) -> impl Fn(rusqlite::Error) -> Fault {
    let path = file.path().display().to_string();
    move |error| failed(format!("{path}: {error}"))
}

fn bring(
    tx: &mut Tx<'_>,
    file: &ForeignFile,
    plan: &ImportPlan,
    survey: &ImportSurvey,
    each: &mut ImportProgress,
) -> Result<(), Fault> {
    let (sources, _) = survey::named(file).map_err(unread(file))?;
    let mut owners: Vec<&ForeignOwner> = sources.values().collect();
    owners.sort_by_key(|source| source.id);
    let mut ids = HashMap::new();
    for source in owners {
        let planned = plan.sources.iter().find(|planned| planned.name == source.name);
        let connector = planned.map_or(&source.kind, |planned| &planned.connector);
        ids.insert(source.id, owners::register(tx, &Owner::source(&source.name), connector)?);
    }
    // Before the first event, so that a sink owes what is behind its place and nothing else.
    for sink in &survey.sinks {
        let Some(planned) = plan.sinks.iter().find(|planned| planned.name == sink.name) else { continue };
        let id = owners::register(tx, &Owner::sink(&sink.name), &planned.connector)?;
        sinks::set_intake(tx, id, &Intake { start: StartAt::All, ..planned.intake.clone() })?;
    }
    log(tx, file, &ids, survey, each)?;
    pending(tx, file, &ids)?;
    for source in sources.values() {
        let planned = plan.sources.iter().find(|planned| planned.name == source.name);
        let found = survey.sources.iter().find(|found| found.name == source.name);
        if let (Some(planned), Some(found), Some(id)) = (planned, found, ids.get(&source.id)) {
            let mut memory = Memory { turn: Turn::new(TurnId(1), *id, Version(0)), turns: 1 };
            memory.bring(tx, file, source.id, planned, found)?;
        }
    }
    for sink in &survey.sinks {
        owe(tx, sink)?;
    }
    tx.connection.execute(SET_MARK, [survey.mark])?;
    file.check().map_err(failed)
}

/// The events, each under its number.
fn log(
    tx: &mut Tx<'_>,
    file: &ForeignFile,
    sources: &HashMap<i64, OwnerId>,
    survey: &ImportSurvey,
    each: &mut ImportProgress,
) -> Result<(), Fault> {
    let (mut done, mut before) = (0, None);
    let now = tx.clock.stamp;
    let walked = rows::events::<Stopped>(file, |id, event| {
        let Ok(event) = event else { return Ok(()) };
        let Some(source) = sources.get(&event.source) else { return Ok(()) };
        let created_at = survey::created_at(event.created_at, before, now.0);
        before = Some(created_at);
        append::imported(tx, *source, &event.event, id, Micros(created_at)).map_err(Stopped::Ours)?;
        done += 1;
        if done % CHUNK as u64 == 0 {
            each(done, survey.events);
        }
        Ok(())
    });
    walked.map_err(|stopped| stopped.fault(file))?;
    // No number stands for two events, not even that of one that did not come over.
    tx.connection.execute(SET_HEAD, [survey.last_number])?;
    let end = tx.log()?;
    end.head = end.head.max(survey.last_number);
    Ok(())
}

/// What ends a walk over the file: a read of it, or a write of ours.
enum Stopped {
    Theirs(rusqlite::Error),
    Ours(rusqlite::Error),
    Fault(Fault),
}

impl From<rusqlite::Error> for Stopped {
    fn from(error: rusqlite::Error) -> Self {
        Self::Theirs(error)
    }
}

impl Stopped {
    fn fault(self, file: &ForeignFile) -> Fault {
        match self {
            Self::Theirs(error) => unread(file)(error),
            Self::Ours(error) => Fault::Sql(error),
            Self::Fault(fault) => fault,
        }
    }
}

/// What was still coalesced is published now, after everything else.
fn pending(tx: &mut Tx<'_>, file: &ForeignFile, sources: &HashMap<i64, OwnerId>) -> Result<(), Fault> {
    for (_, pending) in rows::pending(file).map_err(unread(file))? {
        let Ok(pending) = pending else { continue };
        let Some(source) = sources.get(&pending.source) else { continue };
        let mut turn = Turn::new(TurnId(0), *source, Version(0));
        turn.events = vec![pending.event];
        let stored = append::events(tx, &turn)?.stored;
        if stored == 0 {
            // The same window was published before, which the Python program tells apart by the time.
            let seconds = tx.clock.stamp.0.as_second();
            turn.events.iter_mut().for_each(|event: &mut NewEvent| event.event_id += &format!(":{seconds}"));
            append::events(tx, &turn)?;
        }
    }
    Ok(())
}

/// The memory of a source, brought over in turns of a bounded size.
struct Memory {
    turn: Turn,
    turns: u128,
}

impl Memory {
    fn bring(
        &mut self,
        tx: &mut Tx<'_>,
        file: &ForeignFile,
        foreign: i64,
        planned: &ImportedSource,
        found: &SourceSurvey,
    ) -> Result<(), Fault> {
        let now = tx.clock.trusted.0;
        self.begin();
        if let Some(announced) = &found.announced {
            let patch = FactsPatch { announced: Some(announced.clone()), ..FactsPatch::default() };
            self.turn.facts.push((self.turn.owner, patch));
        }
        if planned.cursor
            && let Ok(Some(cursor)) = rows::cursor(file, foreign).map_err(unread(file))?
        {
            self.turn.cursor = Some(Some(cursor));
        }
        let walked = rows::entries::<Stopped>(file, foreign, now, |key, entry| {
            if let (true, Ok(entry)) = (carries(planned, &key), entry) {
                self.turn.entries.insert(key, EntryChange::Restore(entry));
            }
            if self.turn.entries.len() >= CHUNK { self.commit(tx).map_err(Stopped::Fault) } else { Ok(()) }
        });
        walked.map_err(|stopped| stopped.fault(file))?;
        self.commit(tx)
    }

    fn begin(&mut self) {
        self.turn.author = Some(AUTHOR.to_owned());
    }

    /// Stores what was gathered, and begins the next turn.
    fn commit(&mut self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        let version = commit(tx, &self.turn)?;
        self.turns += 1;
        self.turn = Turn::new(TurnId(self.turns), self.turn.owner, version);
        self.begin();
        Ok(())
    }
}

/// Stores one turn. Nobody else writes, so that it never conflicts.
fn commit(tx: &mut Tx<'_>, turn: &Turn) -> Result<Version, Fault> {
    match apply::turn(tx, turn)? {
        Outcome::Committed(committed) => Ok(committed.version),
        Outcome::Conflict(conflict) => Err(failed(conflict)),
    }
}

/// Puts a sink in its place, with what it owes before that.
fn owe(tx: &mut Tx<'_>, sink: &SinkSurvey) -> Result<(), Fault> {
    // It is known already; its connector stays.
    let connector = "SELECT id FROM owners WHERE kind = 'sink' AND name = ?1";
    let id: i64 = tx.connection.query_row(connector, [&sink.name], |row| row.get(0))?;
    let mut turn = Turn::new(TurnId(1), OwnerId(id), Version(0));
    turn.cursor = sink.stand.cursor.clone().map(Some);
    turn.author = Some(AUTHOR.to_owned());
    let now = tx.clock.trusted.0;
    for row in &sink.stand.rows {
        turn.deliveries.push(delivery(tx.connection, row, now)?);
    }
    commit(tx, &turn).map(drop)
}

fn delivery(connection: &Connection, row: &OwedRow, now: Timestamp) -> rusqlite::Result<DeliveryChange> {
    let entity = connection.prepare_cached(ENTITY)?.query_row([row.seq], |row| row.get(0))?;
    Ok(DeliveryChange::Owe {
        seq: Seq(row.seq),
        entity,
        state: DeliveryState::Waiting,
        due: now,
        attempts: row.attempts,
        error: (row.attempts > 0).then(|| "it failed in the Python program".to_owned()),
        tried_at: row.tried_at.map(|at| at.min(now)),
        origin: DeliveryOrigin::Log,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::super::plans::check(&[MARK, SET_MARK, SET_HEAD, ENTITY]);
    }
}
