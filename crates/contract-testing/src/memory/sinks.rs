//! What sinks take, what they owe, and what lapsed.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use inboxclaw_contract::sinks::{
    COUNTED, DROPPED, Debt, DeliveryCounts, Expired, Intake, Lapse, SinkDebts, Untold,
};
use inboxclaw_contract::store::ExpiredDead;
use inboxclaw_contract::turn::DeliveryState;
use inboxclaw_contract::{Event, OwnerId, Selection, Seq, Sinks, StartAt, StoreError};
use jiff::{SignedDuration, Timestamp};

use super::{Inner, MemoryStore, OwedDelivery, Row, is_in};

#[async_trait]
impl Sinks for MemoryStore {
    async fn set_intake(&self, sink: OwnerId, intake: &Intake) -> Result<Selection, StoreError> {
        self.write(|inner, _| {
            let row = inner.row(sink)?;
            let selection = match &row.intake {
                Some(before) => {
                    let types = inner.types.iter().map(String::as_str);
                    intake.follow(before, row.cursor.as_deref(), types, inner.head)
                }
                None => intake.begin(inner.begin(intake.start)),
            };
            inner.row_mut(sink)?.intake = Some(selection.clone());
            Ok(selection)
        })
    }

    async fn set_configured(&self, sinks: &[OwnerId]) -> Result<(), StoreError> {
        self.write(|inner, now| {
            for (id, row) in (1..).map(OwnerId).zip(&mut inner.owners) {
                let since = row.left_at.unwrap_or(now.trusted);
                row.left_at = (row.intake.is_some() && !sinks.contains(&id)).then_some(since);
            }
        });
        Ok(())
    }

    async fn debts(&self) -> Result<Vec<SinkDebts>, StoreError> {
        Ok(self.read(|inner, now| {
            let owing = inner.rows().filter_map(|(sink, row)| {
                let (selection, problem) = row.standing()?;
                let types = inner.debts(sink, &selection, now.trusted);
                let deliveries = inner.delivery_counts(sink);
                Some(SinkDebts { sink, left_at: row.left_at, problem, types, deliveries })
            });
            owing.collect()
        }))
    }

    async fn expire(&self) -> Result<Vec<Expired>, StoreError> {
        Ok(self.write(|inner, now| {
            let sinks: Vec<OwnerId> = inner.rows().map(|(id, _)| id).collect();
            sinks.into_iter().flat_map(|sink| inner.expire(sink, now.trusted)).collect()
        }))
    }

    async fn expire_dead(&self, dead_max: Duration, limit: usize) -> Result<ExpiredDead, StoreError> {
        Ok(self.write(|inner, now| {
            let age = SignedDuration::try_from(dead_max).ok();
            let before = age.and_then(|age| now.trusted.checked_sub(age).ok());
            let is_old = |row: &OwedDelivery| {
                row.state == DeliveryState::Dead && before.is_some_and(|before| row.due < before)
            };
            let old = inner.deliveries.iter().filter(|(_, row)| is_old(row)).map(|(key, _)| *key);
            let mut old: Vec<_> = old.collect();
            let more = old.len() > limit.max(1);
            old.truncate(limit.max(1));
            for (sink, seq) in &old {
                inner.deliveries.remove(&(*sink, *seq));
                if let Some(event) = inner.events.get(seq).cloned() {
                    inner.drop_owed(*sink, &event);
                }
            }
            ExpiredDead { letters: old.len() as u64, more }
        }))
    }

    async fn lapses(&self) -> Result<Vec<Lapse>, StoreError> {
        Ok(self.read(|inner, _| inner.lapses.values().cloned().collect()))
    }

    async fn set_told(&self, lapse: &Lapse) -> Result<(), StoreError> {
        self.write(|inner, _| {
            let Some(stored) = inner.lapses.get_mut(&(lapse.sink, lapse.event_type.clone())) else { return };
            let told = lapse.untold.map_or(0, |untold| untold.count);
            let left =
                stored.untold.map(|untold| Untold { count: untold.count.saturating_sub(told), ..untold });
            stored.untold = left.filter(|untold| untold.count > 0);
        });
        Ok(())
    }

    async fn release(&self, sink: OwnerId) -> Result<(), StoreError> {
        self.write(|inner, _| {
            let row = inner.row_mut(sink)?;
            (row.intake, row.left_at) = (None, None);
            Ok(())
        })
    }
}

impl Row {
    /// What the sink wants from where it stands, and why its cursor cannot be read: then it wants everything.
    pub(super) fn standing(&self) -> Option<(Selection, Option<String>)> {
        let began = self.intake.as_ref()?;
        Some(match began.standing_at(self.cursor.as_deref()) {
            Ok(standing) => (standing, None),
            Err(problem) => {
                (Selection { after: Seq(0), positions: BTreeMap::new(), ..began.clone() }, Some(problem))
            }
        })
    }
}

impl Inner {
    /// The place after which a new sink begins.
    fn begin(&self, start: StartAt) -> Seq {
        match start {
            StartAt::Now => self.head,
            StartAt::All => Seq(0),
            StartAt::Since(time) => {
                let first = self.events.values().find(|event| event.created_at >= time);
                first.map_or(self.head, |event| Seq(event.seq.0 - 1))
            }
        }
    }

    /// Whether a sink still hands this event out, out of order.
    pub(super) fn waits(&self, sink: OwnerId, seq: Seq) -> bool {
        self.deliveries.get(&(sink, seq)).is_some_and(|row| row.state == DeliveryState::Waiting)
    }

    fn delivery_counts(&self, sink: OwnerId) -> DeliveryCounts {
        let mut counts = DeliveryCounts::default();
        for (_, row) in self.deliveries.iter().filter(|((of, _), _)| *of == sink) {
            match row.state {
                DeliveryState::Waiting => counts.waiting += 1,
                DeliveryState::Dead => {
                    counts.dead += 1;
                    counts.dead_since = Some(counts.dead_since.map_or(row.due, |since| since.min(row.due)));
                }
            }
        }
        counts
    }

    fn debts(&self, sink: OwnerId, selection: &Selection, now: Timestamp) -> Vec<Debt> {
        let lanes = self.lanes(selection, now);
        let is_owed = |event: &&Event| {
            let lane = lanes.get(event.event_type.as_str());
            lane.is_some_and(|lane| is_in(*lane, event.seq, event.created_at)) || self.waits(sink, event.seq)
        };
        let mut debts = BTreeMap::<&str, Debt>::new();
        for event in self.events.values().filter(is_owed) {
            let place = (event.seq, event.created_at);
            let debt = debts.entry(&event.event_type).or_insert_with(|| {
                let event_type = event.event_type.clone();
                Debt { event_type, count: 0, oldest: place, newest: place }
            });
            (debt.count, debt.newest) = ((debt.count + 1).min(COUNTED), place);
        }
        debts.into_values().collect()
    }

    /// Counts what outlived its time to live at a sink since the last call, and ends deliveries of it that nobody
    /// holds a lease on.
    fn expire(&mut self, sink: OwnerId, now: Timestamp) -> Vec<Expired> {
        let Some((selection, _)) = self.row(sink).ok().and_then(Row::standing) else { return Vec::new() };
        let lanes = self.lanes(&selection, now);
        let outlived = self.events.values().filter_map(|event| {
            let lane = lanes.get(event.event_type.as_str())?;
            let is_free = self.waits(sink, event.seq) && self.deliveries[&(sink, event.seq)].due <= now;
            let goes = event.created_at <= lane.created_after? && (event.seq > lane.after || is_free);
            goes.then(|| (event.seq, event.event_type.clone(), is_free))
        });
        let outlived: Vec<_> = outlived.collect();
        let mut counts = BTreeMap::<String, u64>::new();
        for (seq, event_type, is_free) in outlived {
            if is_free {
                self.deliveries.remove(&(sink, seq));
            }
            if self.row_mut(sink).is_ok_and(|row| row.expired.insert(seq)) {
                *counts.entry(event_type).or_default() += 1;
            }
        }
        for (event_type, count) in &counts {
            self.lapse(sink, event_type).expired += count;
        }
        counts.into_iter().map(|(event_type, count)| Expired { sink, event_type, count }).collect()
    }

    /// Notes an event that retention removes although a sink owed it.
    pub(super) fn drop_owed(&mut self, sink: OwnerId, event: &Event) {
        if event.event_type == DROPPED {
            return;
        }
        let place = (event.seq, event.created_at);
        let lapse = self.lapse(sink, &event.event_type);
        lapse.dropped += 1;
        let untold = lapse.untold.get_or_insert(Untold { count: 0, first: place, last: place });
        let (first, last) = (untold.first, untold.last);
        untold.count += 1;
        untold.first = (first.0.min(place.0), first.1.min(place.1));
        untold.last = (last.0.max(place.0), last.1.max(place.1));
    }

    fn lapse(&mut self, sink: OwnerId, event_type: &str) -> &mut Lapse {
        self.lapses.entry((sink, event_type.to_owned())).or_insert_with(|| {
            let event_type = event_type.to_owned();
            Lapse { sink, event_type, expired: 0, dropped: 0, untold: None }
        })
    }
}
