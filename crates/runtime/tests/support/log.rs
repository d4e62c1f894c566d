//! The log of the store in memory.

use async_trait::async_trait;
use inboxclaw_contract::store::{
    self, DeliveryPage, DeliveryQuery, EventRow, Find, Found, Log, Page, ReadLimit, StoreError, Truncation,
    TruncationCause,
};
use inboxclaw_contract::turn::DeliveryState;
use inboxclaw_contract::{Event, OwnerId, Selection, Seq};

use super::memory::{Delivery, Memory};

#[async_trait]
impl Log for Memory {
    async fn read(&self, selection: &Selection, limit: ReadLimit) -> Result<Page, StoreError> {
        let now = self.now();
        self.read(|inner| {
            let wanted = |event: &&Event| {
                selection.lane(&event.event_type, now).is_some_and(|lane| {
                    event.seq > lane.after && lane.created_after.is_none_or(|limit| event.created_at > limit)
                })
            };
            let all: Vec<Event> = inner.events.iter().filter(wanted).cloned().collect();
            let complete = all.len() <= limit.events;
            let events = all.into_iter().take(limit.events).collect();
            let missed = inner.pruned > selection.after;
            let truncation =
                missed.then_some(Truncation { up_to: inner.pruned, cause: TruncationCause::Retention });
            Page { events, remaining: 0, complete, head: Seq(inner.head), truncation }
        })
    }

    async fn rows(&self, _: &Selection, _: ReadLimit) -> Result<Page<EventRow>, StoreError> {
        panic!("no loop reads rows")
    }

    async fn deliveries(&self, sink: OwnerId, query: DeliveryQuery) -> Result<DeliveryPage, StoreError> {
        let now = self.now();
        self.read(|inner| {
            let mine = inner.deliveries.iter().filter(|((owner, _), _)| *owner == sink);
            let is_due = |row: &Delivery| row.state == DeliveryState::Waiting && row.due <= now;
            let wanted = mine.filter(|(_, row)| !query.due || is_due(row));
            let mut deliveries: Vec<_> = wanted
                .map(|((_, seq), row)| {
                    let event = inner.events.iter().find(|event| event.seq == *seq).unwrap();
                    store::DeliveryRow {
                        seq: *seq,
                        source: event.source,
                        event_type: event.event_type.clone(),
                        entity_id: event.entity_id.clone(),
                        created_at: event.created_at,
                        bytes: event.data.len() + event.meta.len(),
                        state: row.state,
                        due: row.due,
                        attempts: row.attempts,
                        error: row.error.clone(),
                    }
                })
                .collect();
            let complete = deliveries.len() <= query.rows;
            deliveries.truncate(query.rows);
            DeliveryPage { deliveries, complete }
        })
    }

    async fn events(&self, seqs: &[Seq], most: usize) -> Result<Vec<Event>, StoreError> {
        self.read(|inner| {
            let found = seqs.iter().filter_map(|seq| inner.events.iter().find(|event| event.seq == *seq));
            let mut bytes = 0;
            let fits = |(number, event): &(usize, &Event)| {
                bytes += event.data.len() + event.meta.len();
                *number == 0 || bytes <= most
            };
            found.enumerate().take_while(fits).map(|(_, event)| event.clone()).collect()
        })
    }

    async fn event(&self, seq: Seq) -> Result<Option<Event>, StoreError> {
        self.read(|inner| inner.events.iter().find(|event| event.seq == seq).cloned())
    }

    async fn find(&self, _: &Find) -> Result<Found, StoreError> {
        panic!("no test searches")
    }

    async fn grown(&self, after: Seq) -> Result<Seq, StoreError> {
        self.once(|inner| Some(Seq(inner.head)).filter(|head| *head > after)).await
    }

    async fn head(&self) -> Result<Seq, StoreError> {
        self.read(|inner| Seq(inner.head))
    }
}
