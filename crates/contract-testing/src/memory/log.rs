//! Reads of the log.

use std::collections::BTreeMap;

use std::ops::Bound;

use async_trait::async_trait;
use inboxclaw_contract::store::{
    DeliveryPage, DeliveryQuery, DeliveryRow, EventRow, Find, Found, Page, ReadLimit,
};
use inboxclaw_contract::{Event, Lane, Log, OwnerId, Selection, Seq, StoreError};
use jiff::Timestamp;

use super::{Inner, MemoryStore, OwedDelivery, is_in, within};

#[async_trait]
impl Log for MemoryStore {
    async fn read(&self, selection: &Selection, limit: ReadLimit) -> Result<Page, StoreError> {
        Ok(self.read(|inner, now| inner.page(selection, limit, now.trusted, Event::clone)))
    }

    async fn rows(&self, selection: &Selection, limit: ReadLimit) -> Result<Page<EventRow>, StoreError> {
        Ok(self.read(|inner, now| inner.page(selection, limit, now.trusted, event_row)))
    }

    async fn deliveries(&self, sink: OwnerId, query: DeliveryQuery) -> Result<DeliveryPage, StoreError> {
        Ok(self.read(|inner, _| {
            let after = (Bound::Excluded((sink, query.after)), Bound::Included((sink, Seq(i64::MAX))));
            let mine = inner.deliveries.range(after);
            let wanted = mine.filter(|(_, row)| query.state.is_none_or(|state| row.state == state));
            let rows = wanted.filter_map(|((_, seq), row)| Some(delivery(inner.events.get(seq)?, row)));
            // One more tells whether the page is complete.
            let all: Vec<_> = rows.take(query.rows.saturating_add(1)).collect();
            let count = all.len();
            let deliveries = within(all.into_iter().take(query.rows), query.bytes, DeliveryRow::size);
            DeliveryPage { complete: deliveries.len() == count, deliveries }
        }))
    }

    async fn event(&self, seq: Seq) -> Result<Option<Event>, StoreError> {
        Ok(self.read(|inner, _| inner.events.get(&seq).cloned()))
    }

    async fn events(&self, seqs: &[Seq], bytes: usize) -> Result<Vec<Event>, StoreError> {
        Ok(self.read(|inner, _| {
            let found = seqs.iter().filter_map(|seq| inner.events.get(seq));
            within(found, bytes, |event| body(event)).into_iter().cloned().collect()
        }))
    }

    async fn find(&self, find: &Find) -> Result<Found, StoreError> {
        Ok(self.read(|inner, _| inner.find(find)))
    }

    async fn grown(&self, after: Seq) -> Result<Seq, StoreError> {
        self.once(|inner| Ok(Some(inner.head).filter(|head| *head > after))).await
    }

    async fn head(&self) -> Result<Seq, StoreError> {
        Ok(self.read(|inner, _| inner.head))
    }
}

impl Inner {
    /// What a selection wants of each event type that it takes.
    pub(super) fn lanes<'a>(&'a self, selection: &Selection, now: Timestamp) -> BTreeMap<&'a str, Lane> {
        let lane = |name: &'a String| Some((name.as_str(), selection.lane(name, now)?));
        self.types.iter().filter_map(lane).collect()
    }

    fn page<T>(
        &self,
        selection: &Selection,
        limit: ReadLimit,
        now: Timestamp,
        make: impl Fn(&Event) -> T,
    ) -> Page<T> {
        let lanes = self.lanes(selection, now);
        let lane = |event_type: &str| lanes.get(event_type).copied();
        let is_wanted = |event: &&Event| {
            lane(&event.event_type).is_some_and(|lane| is_in(lane, event.seq, event.created_at))
        };
        let all: Vec<&Event> = self.events.values().filter(is_wanted).collect();
        let count = all.len();
        let given = within(all.into_iter().take(limit.events), limit.bytes, |event| body(event));
        let remaining = count - given.len();
        let positions = [selection.after].into_iter().chain(selection.positions.values().copied());
        Page {
            events: given.into_iter().map(make).collect(),
            remaining: if limit.count { remaining as u64 } else { 0 },
            complete: remaining == 0,
            head: self.head,
            truncation: self.missed(lane, positions),
        }
    }

    fn find(&self, find: &Find) -> Found {
        let is_type = |name: &str| {
            find.event_type.as_ref().is_none_or(|wanted| wanted == name)
                && find.patterns.as_ref().is_none_or(|patterns| patterns.matches(name))
        };
        let is_wanted = |event: &&Event| {
            is_type(&event.event_type)
                && find.seqs.as_ref().is_none_or(|seqs| seqs.contains(&event.seq))
                && find.source.as_ref().is_none_or(|source| *source == event.source_name)
                && find.after.is_none_or(|after| event.seq > after)
        };
        let all: Vec<&Event> = self.events.values().rev().filter(is_wanted).collect();
        let page: Vec<&Event> = all.iter().copied().skip(find.offset).take(find.limit).collect();
        let events = within(page.iter().copied(), find.bytes, |event| body(event));
        let rest = page[events.len()..].iter().map(|event| event.seq).collect();
        let missed = |after| {
            let lane = Lane { after, created_after: None };
            self.missed(|name| is_type(name).then_some(lane), [after])
        };
        Found {
            events: events.into_iter().cloned().collect(),
            rest,
            total: all.len() as u64,
            truncation: find.after.and_then(missed),
        }
    }
}

/// The bytes of an event's data and meta.
fn body(event: &Event) -> usize {
    event.data.len() + event.meta.len()
}

fn event_row(event: &Event) -> EventRow {
    let (event_type, entity_id) = (event.event_type.clone(), event.entity_id.clone());
    EventRow { seq: event.seq, event_type, entity_id, bytes: body(event) }
}

fn delivery(event: &Event, row: &OwedDelivery) -> DeliveryRow {
    DeliveryRow {
        seq: event.seq,
        source: event.source,
        event_type: event.event_type.clone(),
        entity_id: event.entity_id.clone(),
        created_at: event.created_at,
        bytes: body(event),
        state: row.state,
        due: row.due,
        attempts: row.attempts,
        error: row.error.clone(),
        tried_at: row.tried_at,
        origin: row.origin,
    }
}
