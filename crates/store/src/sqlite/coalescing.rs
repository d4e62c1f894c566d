//! Pending events, as the contract wants them: rules, pages, promotion, and what people end.

use std::cmp::Reverse;
use std::time::Duration;

use async_trait::async_trait;
use inboxclaw_contract::coalesce::{
    CoalesceRule, PendingChoice, PendingCount, PendingEnd, PendingEnded, PendingPage, PendingQuery, Promoted,
};
use inboxclaw_contract::{Coalescing, OwnerId, Pending, StoreError};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::pending;
use super::shared::Shared;
use super::store::SqliteStore;
use super::tx::Tx;

/// How many rows one step of ending looks at.
const LOOKED_AT: i64 = 512;

const FIND_SOURCE: &str = "SELECT id FROM owners WHERE kind = 'source' AND name = ?1 AND forgotten = 0";
const SOURCE_NAME: &str = "SELECT name FROM owners WHERE id = ?1";

/// Reads no column behind `entity`.
const ALL: &str = "SELECT id, source, last_seen_at, type, entity FROM pending";
const AFTER: &str = "
    SELECT id, source, octet_length(meta) + octet_length(data) + bytes, type, entity FROM pending
    WHERE id > ?1 ORDER BY id LIMIT +?2";

#[async_trait]
impl Coalescing for SqliteStore {
    async fn set_coalescing(&self, source: OwnerId, rules: Vec<CoalesceRule>) -> Result<(), StoreError> {
        let set = move |tx: &mut Tx<'_>| {
            tx.owner(source)?;
            if rules.is_empty() {
                tx.writer.coalescing.remove(&source);
            } else {
                tx.writer.coalescing.insert(source, rules.clone().into());
            }
            Ok(())
        };
        self.write(0, set).await
    }

    async fn pending(&self, query: &PendingQuery) -> Result<PendingPage, StoreError> {
        let query = query.clone();
        self.shared.long(move |connection, _| page(connection, &query)).await
    }

    async fn pending_counts(&self) -> Result<Vec<PendingCount>, StoreError> {
        let counts = self.shared.long(|connection, _| pending::all_counts(connection)).await?;
        let counts =
            counts.into_iter().map(|(source, count)| PendingCount { source, count: count.unsigned_abs() });
        let mut counts: Vec<_> = counts.collect();
        counts.sort_unstable_by_key(|count| count.source);
        Ok(counts)
    }

    async fn promote(&self, limit: usize) -> Result<Promoted, StoreError> {
        self.write(0, move |tx| Ok(pending::promote_due(tx, limit)?)).await
    }

    async fn end_pending(
        &self,
        choice: &PendingChoice,
        end: PendingEnd,
        after: i64,
    ) -> Result<PendingEnded, StoreError> {
        let choice = choice.clone();
        self.write(0, move |tx| Ok(end_some(tx, &choice, end, after)?)).await
    }

    async fn pending_before(&self, before: Option<Timestamp>) -> Result<Timestamp, StoreError> {
        self.shared.pending_before(before.map(|before| before.as_microsecond()), self.writer.is_some()).await
    }
}

impl Shared {
    async fn pending_before(&self, before: Option<i64>, writing: bool) -> Result<Timestamp, StoreError> {
        if !writing {
            return Err(StoreError::Refused(
                "the store was opened for reading only, it cannot be waited for".into(),
            ));
        }
        let mut news = self.watch.due().ok_or_else(|| self.gone())?;
        let mut due = *news.borrow_and_update();
        if due.is_none() {
            // Nothing was collected since the store was opened, or nobody has looked.
            due = self.small(|connection, _| {
                connection.prepare_cached(pending::NEXT)?.query_row([], |row| row.get(0))
            })?;
        }
        loop {
            if let Some(due) = due.filter(|due| before.is_none_or(|before| *due < before)) {
                return Ok(Timestamp::from_microsecond(due).unwrap_or(Timestamp::MAX));
            }
            news.changed().await.map_err(|_| self.gone())?;
            due = *news.borrow_and_update();
        }
    }
}

/// What a choice means, with the number of its source.
struct Chosen<'a> {
    source: Option<OwnerId>,
    choice: &'a PendingChoice,
}

impl<'a> Chosen<'a> {
    /// `None` when there is no such source, and so nothing.
    fn new(connection: &Connection, choice: &'a PendingChoice) -> rusqlite::Result<Option<Self>> {
        let Some(name) = &choice.source else { return Ok(Some(Self { source: None, choice })) };
        let mut find = connection.prepare_cached(FIND_SOURCE)?;
        let source = find.query_row([name], |row| row.get(0).map(OwnerId)).optional()?;
        Ok(source.map(|source| Self { source: Some(source), choice }))
    }

    fn means(&self, source: OwnerId, event_type: &str, entity: &str) -> bool {
        self.source.is_none_or(|wanted| wanted == source)
            && self.choice.patterns.as_ref().is_none_or(|patterns| patterns.matches(event_type))
            && self.choice.entity.as_ref().is_none_or(|wanted| wanted == entity)
    }
}

/// A page, those first that changed last. There is no index for that order, which would cost every event that is collected.
fn page(connection: &Connection, query: &PendingQuery) -> rusqlite::Result<PendingPage> {
    let Some(chosen) = Chosen::new(connection, &query.choice)? else { return Ok(PendingPage::default()) };
    let mut found: Vec<Reverse<(i64, i64)>> = Vec::new();
    let mut all = connection.prepare_cached(ALL)?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        let (event_type, entity) = (row.get_ref(3)?.as_str()?, row.get_ref(4)?.as_str()?);
        if chosen.means(OwnerId(row.get(1)?), event_type, entity) {
            found.push(Reverse((row.get(2)?, row.get(0)?)));
        }
    }
    found.sort_unstable();
    let mut page = PendingPage { events: Vec::new(), total: found.len() as u64 };
    let mut bytes = 0_usize;
    for Reverse((_, id)) in found.into_iter().skip(query.offset).take(query.limit) {
        let event = described(connection, id)?;
        bytes = bytes.saturating_add(event.data.len() + event.meta.len());
        if bytes > query.bytes && !page.events.is_empty() {
            break;
        }
        page.events.push(event);
    }
    Ok(page)
}

fn described(connection: &Connection, id: i64) -> rusqlite::Result<Pending> {
    let row = pending::whole(connection, id)?;
    let name = connection.prepare_cached(SOURCE_NAME)?.query_row([row.source.0], |row| row.get(0));
    Ok(Pending {
        id: row.id,
        source: row.source,
        source_name: name.optional()?.unwrap_or_default(),
        event_type: row.event_type,
        entity_id: row.entity,
        first_id: row.first_id,
        data: row.data,
        meta: row.meta,
        count: row.count,
        first_seen_at: row.first_seen_at,
        last_seen_at: row.last_seen_at,
        flush_at: row.flush_at,
        strategy: row.strategy,
        window: Duration::from_micros(row.window_micros),
    })
}

/// A row as ending looks at it: its number, source and bytes.
type Seen = (i64, OwnerId, i64);

fn end_some(
    tx: &mut Tx<'_>,
    choice: &PendingChoice,
    end: PendingEnd,
    after: i64,
) -> rusqlite::Result<PendingEnded> {
    let Some(chosen) = Chosen::new(tx.connection, choice)? else { return Ok(PendingEnded::default()) };
    let (mut looked, mut last, mut wanted) = (0, after, Vec::<Seen>::new());
    let mut some = tx.connection.prepare_cached(AFTER)?;
    let mut rows = some.query((after, LOOKED_AT))?;
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let (id, source, size) = (row.get(0)?, OwnerId(row.get(1)?), row.get::<_, i64>(2)?);
        if chosen.means(source, row.get_ref(3)?.as_str()?, row.get_ref(4)?.as_str()?) {
            bytes += size;
            if bytes > pending::STEP_BYTES && !wanted.is_empty() {
                looked = LOOKED_AT;
                break;
            }
            wanted.push((id, source, size));
        }
        (looked, last) = (looked + 1, id);
    }
    drop(rows);
    drop(some);
    for (id, source, _) in &wanted {
        match end {
            PendingEnd::Flush => pending::promote(tx, *id)?,
            PendingEnd::Drop => pending::remove(tx, *id, *source)?,
        }
    }
    let next = (looked >= LOOKED_AT).then_some(last);
    Ok(PendingEnded { events: wanted.len() as u64, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::plans::check(&[FIND_SOURCE, SOURCE_NAME, AFTER]);
    }
}
