//! A pending event: what joins it, and what it is by then.

use inboxclaw_contract::coalesce::{
    Aggregation, CoalesceRule, PendingChoice, is_due, joined_meta, list_is_full, list_takes,
};
use inboxclaw_contract::{Json, NewEvent, Pending};
use jiff::Timestamp;

use super::time::Now;

/// A pending event with what people do not see of it.
pub(super) struct Collected {
    pub(super) pending: Pending,
    pub(super) begun_at: Timestamp,
    pub(super) aggregation: Aggregation,
    /// What it holds; only a list has more than one.
    pub(super) items: Vec<Json>,
}

impl Collected {
    /// Makes another event part of it; `false` when it is to be promoted first.
    pub(super) fn join(&mut self, rule: &CoalesceRule, event: &NewEvent, now: Now) -> bool {
        let is_same = self.pending.event_type == event.event_type && self.aggregation == rule.aggregation;
        if !is_same || self.is_due(now) {
            return false;
        }
        let meta = if event.meta == Json::empty_object() {
            Some(self.pending.meta.clone())
        } else {
            joined_meta(&self.pending.meta, &event.meta)
        };
        let Some(meta) = meta else { return false };
        match self.aggregation {
            Aggregation::Latest => self.items = vec![event.data.clone()],
            Aggregation::Merge => match self.items[0].merged(&event.data) {
                Ok(merged) => self.items = vec![merged],
                Err(_) => return false,
            },
            Aggregation::List if list_takes(self.bytes(), &event.data) => self.items.push(event.data.clone()),
            Aggregation::List => return false,
        }
        let pending = &mut self.pending;
        (pending.meta, pending.count, pending.last_seen_at) = (meta, pending.count + 1, now.stamp);
        (pending.strategy, pending.window) = (rule.strategy, rule.window);
        pending.flush_at = rule.flush_at(self.begun_at, now.trusted);
        true
    }

    pub(super) fn is_due(&self, now: Now) -> bool {
        is_due(self.begun_at, self.pending.flush_at, now.trusted)
    }

    pub(super) fn is_full(&self) -> bool {
        self.aggregation == Aggregation::List && list_is_full(self.pending.count, self.bytes())
    }

    /// The bytes of a list's items with their commas.
    pub(super) fn bytes(&self) -> usize {
        self.items.iter().map(|item| item.len() + 1).sum()
    }

    /// As it would be promoted now.
    pub(super) fn as_it_stands(&self) -> Pending {
        let data = match self.aggregation {
            Aggregation::List => Json::list_of(self.items.iter().map(Json::as_str)),
            Aggregation::Latest | Aggregation::Merge => self.items[0].clone(),
        };
        Pending { data, ..self.pending.clone() }
    }

    pub(super) fn is_chosen(&self, choice: &PendingChoice) -> bool {
        let pending = &self.pending;
        choice.source.as_ref().is_none_or(|source| *source == pending.source_name)
            && choice.patterns.as_ref().is_none_or(|patterns| patterns.matches(&pending.event_type))
            && choice.entity.as_ref().is_none_or(|entity| *entity == pending.entity_id)
    }
}
