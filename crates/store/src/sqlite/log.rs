//! The log of events, as the contract wants it read.

use std::collections::HashMap;

use async_trait::async_trait;
use inboxclaw_contract::store::{
    DeliveryPage, DeliveryQuery, DeliveryRow, EventRow, Find, Found, Page, ReadLimit, Truncation,
};
use inboxclaw_contract::{Event, Lane as Wanted, Log, OwnerId, Selection, Seq, StoreError};
use inboxclaw_settings::Patterns;
use rusqlite::{Connection, OptionalExtension, Row};

use super::scan::{self, Lane, Marks, Merge};
use super::shared::Shared;
use super::store::SqliteStore;
use super::truncation;
use super::values::{Micros, Text, origin_of, state_number, state_of};

const EVENT: &str = "
    SELECT e.seq, e.source, e.created_at, e.occurred_at, e.event_id, e.entity, e.meta, e.data, t.name, o.name
    FROM events e JOIN event_types t ON t.id = e.type JOIN owners o ON o.id = e.source WHERE e.seq = +?1";

/// As `EVENT`, without the two names.
const BODY: &str = "
    SELECT seq, source, created_at, occurred_at, event_id, entity, meta, data FROM events WHERE seq = ?1";

/// What `BODY` is about, without reading it.
const ROW: &str = "SELECT entity, octet_length(data) + octet_length(meta) FROM events WHERE seq = ?1";

const SOURCE_NAME: &str = "SELECT name FROM owners WHERE id = ?1";

/// What a sink owes out of order. The lengths do not read the texts.
const DELIVERIES: &str = "
    SELECT d.seq, d.state, d.due, d.attempts, d.error, e.source, e.entity, e.created_at,
        octet_length(e.data) + octet_length(e.meta), t.name, d.tried_at, d.origin
    FROM deliveries d CROSS JOIN events e ON e.seq = d.seq CROSS JOIN event_types t ON t.id = e.type
    WHERE d.sink = +?1 AND d.seq > ?2 AND (?3 IS NULL OR d.state = ?3) ORDER BY d.seq LIMIT +?4";

const FIND_TYPE: &str = "SELECT id FROM event_types WHERE name = ?1";
const FIND_SOURCE: &str = "SELECT id FROM owners WHERE kind = 'source' AND name = ?1";

const NEWEST: &str = "SELECT seq FROM events WHERE seq > ?3 ORDER BY seq DESC LIMIT +?1 OFFSET +?2";
const NEWEST_OF_TYPE: &str = "
    SELECT seq FROM events INDEXED BY events_by_type
    WHERE type = +?4 AND seq > ?3 AND (?5 IS NULL OR source = ?5) ORDER BY seq DESC LIMIT +?1 OFFSET +?2";
const NEWEST_OF_SOURCE: &str = "
    SELECT seq FROM events INDEXED BY events_by_type WHERE source = +?4 AND seq > ?3
    ORDER BY seq DESC LIMIT +?1 OFFSET +?2";

/// The index of types is small beside the events themselves.
const COUNT: &str = "SELECT count(*) FROM events INDEXED BY events_by_type WHERE seq > ?1";
const COUNT_OF_TYPE: &str = "
    SELECT count(*) FROM events INDEXED BY events_by_type
    WHERE type = ?2 AND seq > ?1 AND (?3 IS NULL OR source = ?3)";
const COUNT_OF_SOURCE: &str =
    "SELECT count(*) FROM events INDEXED BY events_by_type WHERE source = ?2 AND seq > ?1";

const KIND: &str = "SELECT type, source FROM events WHERE seq = ?1";

#[async_trait]
impl Log for SqliteStore {
    async fn read(&self, selection: &Selection, limit: ReadLimit) -> Result<Page, StoreError> {
        let selection = selection.clone();
        self.shared.long(move |connection, now| read(connection, &selection, limit, now)).await
    }

    async fn rows(&self, selection: &Selection, limit: ReadLimit) -> Result<Page<EventRow>, StoreError> {
        let selection = selection.clone();
        self.shared.long(move |connection, now| rows(connection, &selection, limit, now)).await
    }

    async fn deliveries(&self, sink: OwnerId, query: DeliveryQuery) -> Result<DeliveryPage, StoreError> {
        self.shared.long(move |connection, _| deliveries(connection, sink, query)).await
    }

    async fn event(&self, seq: Seq) -> Result<Option<Event>, StoreError> {
        // May have 16 MiB.
        self.shared.long(move |connection, _| event(connection, seq.0)).await
    }

    async fn events(&self, seqs: &[Seq], bytes: usize) -> Result<Vec<Event>, StoreError> {
        let seqs = seqs.to_vec();
        self.shared.long(move |connection, _| events(connection, seqs.iter().map(|seq| seq.0), bytes)).await
    }

    async fn find(&self, find: &Find) -> Result<Found, StoreError> {
        let wanted = find.clone();
        self.shared.long(move |connection, _| find_events(connection, &wanted)).await
    }

    async fn grown(&self, after: Seq) -> Result<Seq, StoreError> {
        self.shared.grown(after, self.writer.is_some()).await
    }

    async fn head(&self) -> Result<Seq, StoreError> {
        self.shared.small(|connection, _| Marks::read(connection).map(|marks| Seq(marks.head)))
    }
}

impl Shared {
    async fn grown(&self, after: Seq, writing: bool) -> Result<Seq, StoreError> {
        if !writing {
            return Err(StoreError::Refused(
                "the store was opened for reading only, it cannot be waited for".into(),
            ));
        }
        let mut news = self.watch.log().ok_or_else(|| self.gone())?;
        let mut head = *news.borrow_and_update();
        if head == Seq(0) {
            // Nothing was stored since the store was opened.
            head = self.small(|connection, _| Marks::read(connection).map(|marks| Seq(marks.head)))?;
        }
        while head <= after {
            news.changed().await.map_err(|_| self.gone())?;
            head = *news.borrow_and_update();
        }
        Ok(head)
    }
}

fn read(
    connection: &Connection,
    selection: &Selection,
    limit: ReadLimit,
    now: Micros,
) -> rusqlite::Result<Page> {
    let mut names = HashMap::new();
    let mut body = connection.prepare_cached(BODY)?;
    page(connection, selection, limit, now, |seq, type_name| {
        let mut event = body.query_row([seq], plain_event)?;
        type_name.clone_into(&mut event.event_type);
        event.source_name = source_name(connection, &mut names, event.source)?;
        let bytes = event.data.len() + event.meta.len();
        Ok((event, bytes))
    })
}

fn rows(
    connection: &Connection,
    selection: &Selection,
    limit: ReadLimit,
    now: Micros,
) -> rusqlite::Result<Page<EventRow>> {
    let mut find = connection.prepare_cached(ROW)?;
    page(connection, selection, limit, now, |seq, type_name| {
        let (entity_id, bytes) = find.query_row([seq], |row| Ok((row.get(0)?, length(row, 1)?)))?;
        Ok((EventRow { seq: Seq(seq), event_type: type_name.to_owned(), entity_id, bytes }, bytes))
    })
}

/// The first places of a selection; `get` gives what is asked of each, and its bytes.
fn page<T>(
    connection: &Connection,
    selection: &Selection,
    limit: ReadLimit,
    now: Micros,
    mut get: impl FnMut(i64, &str) -> rusqlite::Result<(T, usize)>,
) -> rusqlite::Result<Page<T>> {
    let marks = Marks::read(connection)?;
    let wanted: Vec<_> = scan::types(connection)?
        .into_iter()
        .filter_map(|event_type| {
            let lane = selection.lane(&event_type.name, now.0)?;
            Some((event_type, lane))
        })
        .collect();
    let lanes = wanted.iter().map(|(event_type, lane)| (event_type, *lane));
    // A type that a reader stands in may be unknown since a restore.
    let positions = selection.positions.iter().filter(|(name, _)| selection.lane(name, now.0).is_some());
    let positions = positions.map(|(_, place)| *place).chain([selection.after]);
    let truncation = truncation::of(connection, marks, lanes, positions)?;
    let mut merge = Merge::new(connection, Lane::of(connection, wanted, marks)?)?;
    let mut page = Page { head: Seq(marks.head), truncation, ..Page::default() };
    let mut bytes = 0;
    while page.events.len() < limit.events.max(1)
        && let Some((seq, type_name)) = merge.peek()
    {
        let (event, size) = get(seq, type_name)?;
        bytes += size;
        if bytes > limit.bytes && !page.events.is_empty() {
            break;
        }
        page.events.push(event);
        merge.pop()?;
    }
    page.complete = merge.peek().is_none();
    if limit.count {
        page.remaining = merge.count()?;
    }
    Ok(page)
}

fn source_name(
    connection: &Connection,
    known: &mut HashMap<OwnerId, String>,
    source: OwnerId,
) -> rusqlite::Result<String> {
    if let Some(name) = known.get(&source) {
        return Ok(name.clone());
    }
    let name: String = connection.prepare_cached(SOURCE_NAME)?.query_row([source.0], |row| row.get(0))?;
    known.insert(source, name.clone());
    Ok(name)
}

fn deliveries(
    connection: &Connection,
    sink: OwnerId,
    query: DeliveryQuery,
) -> rusqlite::Result<DeliveryPage> {
    // One more tells whether the page is complete.
    let limit = number_of(query.rows.saturating_add(1));
    let mut find = connection.prepare_cached(DELIVERIES)?;
    let mut found = find.query((sink.0, query.after.0, query.state.map(state_number), limit))?;
    let mut page = DeliveryPage { deliveries: Vec::new(), complete: true };
    let mut bytes = 0;
    while let Some(row) = found.next()? {
        let delivery = delivery(row)?;
        bytes += delivery.size();
        let is_first = page.deliveries.is_empty();
        if page.deliveries.len() >= query.rows || bytes > query.bytes && !is_first {
            page.complete = false;
            break;
        }
        page.deliveries.push(delivery);
    }
    Ok(page)
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<DeliveryRow> {
    let (due, created_at): (Micros, Micros) = (row.get(2)?, row.get(7)?);
    Ok(DeliveryRow {
        seq: Seq(row.get(0)?),
        source: OwnerId(row.get(5)?),
        event_type: row.get(9)?,
        entity_id: row.get(6)?,
        created_at: created_at.0,
        bytes: length(row, 8)?,
        state: state_of(row.get(1)?),
        due: due.0,
        attempts: row.get(3)?,
        error: row.get(4)?,
        tried_at: row.get::<_, Option<Micros>>(10)?.map(|at| at.0),
        origin: origin_of(row.get(11)?),
    })
}

/// A column that holds a number of bytes.
fn length(row: &Row<'_>, column: usize) -> rusqlite::Result<usize> {
    row.get::<_, u32>(column).map(|length| usize::try_from(length).unwrap_or(usize::MAX))
}

/// The events of these seqs as far as so many bytes, but one if there is one.
fn events(
    connection: &Connection,
    seqs: impl Iterator<Item = i64>,
    most_bytes: usize,
) -> rusqlite::Result<Vec<Event>> {
    let mut events = Vec::new();
    let mut bytes = 0;
    for seq in seqs {
        let Some(event) = event(connection, seq)? else { continue };
        bytes += event.data.len() + event.meta.len();
        if bytes > most_bytes && !events.is_empty() {
            break;
        }
        events.push(event);
    }
    Ok(events)
}

fn event(connection: &Connection, seq: i64) -> rusqlite::Result<Option<Event>> {
    let mut find = connection.prepare_cached(EVENT)?;
    find.query_row([seq], |row| {
        let event = plain_event(row)?;
        Ok(Event { event_type: row.get(8)?, source_name: row.get(9)?, ..event })
    })
    .optional()
}

/// An event without the names of its type and source.
fn plain_event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let (created_at, occurred_at): (Micros, Option<Micros>) = (row.get(2)?, row.get(3)?);
    let (meta, data): (Text, Text) = (row.get(6)?, row.get(7)?);
    Ok(Event {
        seq: Seq(row.get(0)?),
        source: OwnerId(row.get(1)?),
        source_name: String::new(),
        event_id: row.get(4)?,
        event_type: String::new(),
        entity_id: row.get(5)?,
        created_at: created_at.0,
        occurred_at: occurred_at.map(|at| at.0),
        data: data.0,
        meta: meta.0,
    })
}

fn find_events(connection: &Connection, find: &Find) -> rusqlite::Result<Found> {
    // A name that nobody knows matches nothing.
    let (event_type, source) = (
        number(connection, FIND_TYPE, find.event_type.as_deref())?,
        number(connection, FIND_SOURCE, find.source.as_deref())?,
    );
    let truncation = missed(connection, find)?;
    let (Some(event_type), Some(source)) = (event_type, source) else {
        return Ok(Found { truncation, ..Found::default() });
    };
    let (seqs, total) = match (&find.seqs, &find.patterns) {
        (Some(seqs), _) => among(connection, seqs, event_type, source, find)?,
        (None, None) => newest(connection, event_type, source, find)?,
        (None, Some(patterns)) => matching(connection, patterns, source, find)?,
    };
    let events = events(connection, seqs.iter().copied(), find.bytes)?;
    let is_read = |seq: &&i64| events.last().is_some_and(|last| last.seq.0 <= **seq);
    let rest = seqs.iter().skip_while(is_read).copied().map(Seq).collect();
    Ok(Found { events, rest, total, truncation })
}

/// The newest of all types that match, each looked at by itself, and how many there are in all.
fn matching(
    connection: &Connection,
    patterns: &Patterns,
    source: Option<i64>,
    find: &Find,
) -> rusqlite::Result<(Vec<i64>, u64)> {
    let upto = find.offset.saturating_add(find.limit);
    let of_type = Find { offset: 0, limit: upto, ..find.clone() };
    let (mut seqs, mut total) = (Vec::new(), 0);
    let types = scan::types(connection)?;
    for event_type in types.iter().filter(|event_type| patterns.matches(&event_type.name)) {
        let (found, count) = newest(connection, Some(event_type.id), source, &of_type)?;
        seqs.extend(found);
        total += count;
        seqs.sort_unstable_by(|one, other| other.cmp(one));
        seqs.truncate(upto);
    }
    Ok((seqs.split_off(find.offset.min(seqs.len())), total))
}

/// What a reader has missed who stands where the search begins.
fn missed(connection: &Connection, find: &Find) -> rusqlite::Result<Option<Truncation>> {
    let Some(after) = find.after else { return Ok(None) };
    let types = scan::types(connection)?;
    let is_wanted = |name: &str| find.event_type.as_deref().is_none_or(|wanted| wanted == name);
    let lane = Wanted { after, created_after: None };
    let wanted = types.iter().filter(|event_type| is_wanted(&event_type.name)).map(|it| (it, lane));
    truncation::of(connection, Marks::read(connection)?, wanted, [after].into_iter())
}

/// The number behind a name, or that none is asked for; the outer `None` when nobody has that name.
fn number(connection: &Connection, sql: &str, name: Option<&str>) -> rusqlite::Result<Option<Option<i64>>> {
    let Some(name) = name else { return Ok(Some(None)) };
    let found: Option<i64> =
        connection.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()?;
    Ok(found.map(Some))
}

/// The page of those seqs that match, and how many do.
fn among(
    connection: &Connection,
    seqs: &[Seq],
    event_type: Option<i64>,
    source: Option<i64>,
    find: &Find,
) -> rusqlite::Result<(Vec<i64>, u64)> {
    let mut wanted: Vec<i64> = seqs.iter().map(|seq| seq.0).collect();
    wanted.retain(|seq| *seq > after(find));
    wanted.sort_unstable_by(|a, b| b.cmp(a));
    wanted.dedup();
    let mut kind = connection.prepare_cached(KIND)?;
    let mut matching = Vec::new();
    for seq in wanted {
        let found: Option<(i64, i64)> =
            kind.query_row([seq], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let matches = |(of_type, of_source)| {
            event_type.is_none_or(|wanted| wanted == of_type)
                && source.is_none_or(|wanted| wanted == of_source)
        };
        if found.is_some_and(matches) {
            matching.push(seq);
        }
    }
    let total = matching.len() as u64;
    Ok((matching.into_iter().skip(find.offset).take(find.limit).collect(), total))
}

/// The page of the newest that match, and how many do.
fn newest(
    connection: &Connection,
    event_type: Option<i64>,
    source: Option<i64>,
    find: &Find,
) -> rusqlite::Result<(Vec<i64>, u64)> {
    let (limit, offset, after) = (number_of(find.limit), number_of(find.offset), after(find));
    let seq = |row: &Row<'_>| row.get(0);
    let number = |row: &Row<'_>| row.get::<_, i64>(0).map(i64::unsigned_abs);
    let all = |sql| connection.prepare_cached(sql);
    Ok(match (event_type, source) {
        (Some(of_type), source) => (
            all(NEWEST_OF_TYPE)?
                .query_map((limit, offset, after, of_type, source), seq)?
                .collect::<Result<_, _>>()?,
            all(COUNT_OF_TYPE)?.query_row((after, of_type, source), number)?,
        ),
        (None, Some(source)) => (
            all(NEWEST_OF_SOURCE)?
                .query_map((limit, offset, after, source), seq)?
                .collect::<Result<_, _>>()?,
            all(COUNT_OF_SOURCE)?.query_row((after, source), number)?,
        ),
        (None, None) => (
            all(NEWEST)?.query_map((limit, offset, after), seq)?.collect::<Result<_, _>>()?,
            all(COUNT)?.query_row([after], number)?,
        ),
    })
}

/// The place after which a search begins.
fn after(find: &Find) -> i64 {
    find.after.map_or(i64::MIN, |after| after.0)
}

/// A number of rows as SQLite takes it.
fn number_of(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::plans::check(&[
            EVENT,
            BODY,
            ROW,
            SOURCE_NAME,
            DELIVERIES,
            NEWEST_OF_TYPE,
            COUNT_OF_TYPE,
            KIND,
        ]);
    }
}
