//! What the store in memory says of sinks: where they begin and what they owe, as a real one; what lapsed, as told.

use std::collections::BTreeSet;

use async_trait::async_trait;
use inboxclaw_contract::sinks::{Debt, Expired, Intake, Lapse, SinkDebts};
use inboxclaw_contract::store::StoreError;
use inboxclaw_contract::turn::DeliveryState;
use inboxclaw_contract::{Event, OwnerId, Selection, Seq, Sinks, StartAt};
use jiff::Timestamp;

use super::memory::{Inner, Memory};

#[async_trait]
impl Sinks for Memory {
    async fn set_intake(&self, sink: OwnerId, intake: &Intake) -> Result<Selection, StoreError> {
        Ok(self.with(|inner| {
            let head = Seq(inner.head);
            let types: BTreeSet<String> = inner.events.iter().map(|event| event.event_type.clone()).collect();
            let begin = match intake.start {
                StartAt::Now => head,
                StartAt::All => Seq(0),
                StartAt::Since(time) => first_since(&inner.events, time).unwrap_or(head),
            };
            let row = inner.row(sink);
            let selection = match &row.intake {
                Some(before) => {
                    intake.follow(before, row.cursor.as_deref(), types.iter().map(String::as_str), head)
                }
                None => intake.begin(begin),
            };
            row.intake = Some(selection.clone());
            selection
        }))
    }

    async fn set_configured(&self, sinks: &[OwnerId]) -> Result<(), StoreError> {
        let now = self.now();
        self.with(|inner| {
            for (id, row) in (0..).map(OwnerId).zip(&mut inner.owners) {
                let since = row.left_at.unwrap_or(now);
                row.left_at = (row.intake.is_some() && !sinks.contains(&id)).then_some(since);
            }
        });
        Ok(())
    }

    async fn debts(&self) -> Result<Vec<SinkDebts>, StoreError> {
        let now = self.now();
        self.read(|inner| {
            let rows = (0..).map(OwnerId).zip(&inner.owners);
            let owing = rows.filter_map(|(id, row)| {
                let (selection, problem) = match row.intake.as_ref()?.standing_at(row.cursor.as_deref()) {
                    Ok(standing) => (standing, None),
                    Err(problem) => (row.intake.clone()?.from_place(Seq(0)), Some(problem)),
                };
                let types = debts(inner, id, &selection, now);
                Some(SinkDebts { sink: id, left_at: row.left_at, problem, types })
            });
            owing.collect()
        })
    }

    async fn expire(&self) -> Result<Vec<Expired>, StoreError> {
        Ok(self.with(|inner| std::mem::take(&mut inner.expired)))
    }

    async fn lapses(&self) -> Result<Vec<Lapse>, StoreError> {
        self.read(|inner| inner.lapses.clone())
    }

    async fn set_told(&self, lapse: &Lapse) -> Result<(), StoreError> {
        let told = lapse.clone();
        self.write(|inner| {
            inner.lapses.iter_mut().filter(|lapse| **lapse == told).for_each(|lapse| lapse.untold = None);
        })
        .await
    }

    async fn release(&self, sink: OwnerId) -> Result<(), StoreError> {
        self.write(|inner| inner.row(sink).intake = None).await
    }
}

fn first_since(events: &[Event], time: Timestamp) -> Option<Seq> {
    events.iter().find(|event| event.created_at >= time).map(|event| Seq(event.seq.0 - 1))
}

fn debts(inner: &Inner, sink: OwnerId, selection: &Selection, now: Timestamp) -> Vec<Debt> {
    let is_owed = |event: &&Event| {
        let waits = inner.deliveries.get(&(sink, event.seq));
        waits.is_some_and(|row| row.state == DeliveryState::Waiting)
            || selection.lane(&event.event_type, now).is_some_and(|lane| {
                event.seq > lane.after && lane.created_after.is_none_or(|limit| event.created_at > limit)
            })
    };
    let mut debts: Vec<Debt> = Vec::new();
    for event in inner.events.iter().filter(is_owed) {
        let place = (event.seq, event.created_at);
        match debts.iter_mut().find(|debt| debt.event_type == event.event_type) {
            Some(debt) => (debt.count, debt.newest) = (debt.count + 1, place),
            None => {
                let event_type = event.event_type.clone();
                debts.push(Debt { event_type, count: 1, oldest: place, newest: place });
            }
        }
    }
    debts
}
