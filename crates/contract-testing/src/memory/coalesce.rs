//! Pending events: collected as part of a commit, promoted, ended.

use std::sync::Arc;

use async_trait::async_trait;
use inboxclaw_contract::coalesce::{
    Aggregation, CoalesceRule, PROMOTED, PendingChoice, PendingCount, PendingEnd, PendingEnded, PendingPage,
    PendingQuery, Promoted, fits_list, has_room, promoted_meta,
};
use inboxclaw_contract::{Coalescing, Json, NewEvent, OwnerId, Pending, StoreError};
use jiff::Timestamp;

use super::collected::Collected;
use super::time::Now;
use super::{Inner, MemoryStore};

/// What became of the events of a turn.
#[derive(Default)]
pub(super) struct Added {
    pub(super) stored: u64,
    pub(super) pending: u64,
    pub(super) known: u64,
}

#[async_trait]
impl Coalescing for MemoryStore {
    async fn set_coalescing(&self, source: OwnerId, rules: Vec<CoalesceRule>) -> Result<(), StoreError> {
        self.write(|inner, _| {
            inner.row_mut(source)?.rules = rules.into();
            Ok(())
        })
    }

    async fn pending(&self, query: &PendingQuery) -> Result<PendingPage, StoreError> {
        Ok(self.read(|inner, _| {
            let chosen = inner.pending.values().filter(|collected| collected.is_chosen(&query.choice));
            let mut all: Vec<Pending> = chosen.map(Collected::as_it_stands).collect();
            all.sort_by_key(|pending| std::cmp::Reverse((pending.last_seen_at, pending.id)));
            let total = all.len() as u64;
            let page = all.into_iter().skip(query.offset).take(query.limit);
            let bytes = |pending: &Pending| pending.data.len() + pending.meta.len();
            PendingPage { events: super::within(page, query.bytes, bytes), total }
        }))
    }

    async fn pending_counts(&self) -> Result<Vec<PendingCount>, StoreError> {
        Ok(self.read(|inner, _| {
            let count = |source| inner.pending.keys().filter(|(of, _)| *of == source).count() as u64;
            let counts = inner.rows().map(|(source, _)| PendingCount { source, count: count(source) });
            counts.filter(|count| count.count > 0).collect()
        }))
    }

    async fn promote(&self, limit: usize) -> Result<Promoted, StoreError> {
        let promoted = self.write(|inner, now| inner.promote_due(limit.max(1), now))?;
        self.changes.send_replace(());
        Ok(promoted)
    }

    async fn end_pending(
        &self,
        choice: &PendingChoice,
        end: PendingEnd,
        _after: i64,
    ) -> Result<PendingEnded, StoreError> {
        let ended = self.write(|inner, now| {
            let chosen = inner.pending.iter().filter(|(_, collected)| collected.is_chosen(choice));
            let mut chosen: Vec<_> =
                chosen.map(|(key, collected)| (collected.pending.id, key.clone())).collect();
            chosen.sort();
            for (_, key) in &chosen {
                match end {
                    PendingEnd::Flush => inner.promote(key, now)?,
                    PendingEnd::Drop => drop(inner.pending.remove(key)),
                }
            }
            Ok(PendingEnded { events: chosen.len() as u64, next: None })
        })?;
        self.changes.send_replace(());
        Ok(ended)
    }

    async fn pending_before(&self, before: Option<Timestamp>) -> Result<Timestamp, StoreError> {
        let is_before = |due: &Timestamp| before.is_none_or(|before| *due < before);
        self.once(|inner| Ok(inner.next_due().filter(is_before))).await
    }
}

impl Inner {
    /// Notes, stores or collects the events of a turn.
    pub(super) fn take(
        &mut self,
        source: OwnerId,
        events: Vec<NewEvent>,
        now: Now,
    ) -> Result<Added, StoreError> {
        let mut added = Added::default();
        let rules = self.row(source)?.rules.clone();
        for event in events {
            if self.row_mut(source)?.reported.insert(event.event_id.clone()) {
                self.take_one(source, event, &rules, now, &mut added)?;
            } else {
                added.known += 1;
            }
        }
        Ok(added)
    }

    fn take_one(
        &mut self,
        source: OwnerId,
        event: NewEvent,
        rules: &Arc<[CoalesceRule]>,
        now: Now,
        added: &mut Added,
    ) -> Result<(), StoreError> {
        let rule = rules.iter().find(|rule| rule.patterns.matches(&event.event_type));
        let can_wait = |rule: &&CoalesceRule| {
            has_room(&event.meta) && (rule.aggregation != Aggregation::List || fits_list(&event))
        };
        let Some(key) = event.entity_id.clone().map(|entity| (source, entity)) else {
            added.stored += 1;
            return self.append(source, event, now.stamp);
        };
        let rule = rule.filter(can_wait);
        if let Some(collected) = self.pending.get_mut(&key)
            && !rule.is_some_and(|rule| collected.join(rule, &event, now))
        {
            self.promote(&key, now)?;
            added.stored += 1;
        }
        let Some(rule) = rule else {
            added.stored += 1;
            return self.append(source, event, now.stamp);
        };
        added.pending += 1;
        if !self.pending.contains_key(&key) {
            let collected = self.collect(source, &key.1, rule, event, now)?;
            self.pending.insert(key.clone(), collected);
        }
        if self.pending.get(&key).is_some_and(Collected::is_full) {
            self.promote(&key, now)?;
            added.stored += 1;
        }
        Ok(())
    }

    fn collect(
        &mut self,
        source: OwnerId,
        entity: &str,
        rule: &CoalesceRule,
        event: NewEvent,
        now: Now,
    ) -> Result<Collected, StoreError> {
        self.collected += 1;
        let pending = Pending {
            id: self.collected,
            source,
            source_name: self.row(source)?.owner.name.clone(),
            event_type: event.event_type,
            entity_id: entity.to_owned(),
            first_id: event.event_id,
            data: Json::null(),
            meta: event.meta,
            count: 1,
            first_seen_at: now.stamp,
            last_seen_at: now.stamp,
            flush_at: rule.flush_at(now.trusted, now.trusted),
            strategy: rule.strategy,
            window: rule.window,
        };
        let (begun_at, aggregation) = (now.trusted, rule.aggregation);
        Ok(Collected { pending, begun_at, aggregation, items: vec![event.data] })
    }

    fn promote_due(&mut self, limit: usize, now: Now) -> Result<Promoted, StoreError> {
        let due = self.pending.iter().filter(|(_, collected)| collected.is_due(now));
        let mut due: Vec<_> = due
            .map(|(key, collected)| (collected.pending.flush_at, collected.pending.id, key.clone()))
            .collect();
        due.sort();
        let more = due.len() > limit;
        due.truncate(limit);
        for (.., key) in &due {
            self.promote(key, now)?;
        }
        Ok(Promoted { events: due.len() as u64, more, next: self.next_due() })
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.pending.values().map(|collected| collected.pending.flush_at).min()
    }

    /// Puts a pending event into the log.
    fn promote(&mut self, key: &(OwnerId, String), now: Now) -> Result<(), StoreError> {
        let Some(collected) = self.pending.remove(key) else { return Ok(()) };
        let Pending {
            event_type, entity_id, first_id, data, meta, count, first_seen_at, last_seen_at, ..
        } = collected.as_it_stands();
        let mut event_id = format!("{PROMOTED}{first_id}");
        while !self.row_mut(key.0)?.reported.insert(event_id.clone()) {
            event_id.insert_str(0, PROMOTED);
        }
        let event = NewEvent {
            event_id,
            event_type,
            entity_id: Some(entity_id),
            occurred_at: Some(last_seen_at),
            data,
            meta: promoted_meta(&meta, count, first_seen_at, last_seen_at),
        };
        self.append(key.0, event, now.stamp)
    }
}
