//! Retention, a step at a time.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use inboxclaw_contract::store::{Prune, Pruned, Room};
use inboxclaw_contract::turn::DeliveryState;
use inboxclaw_contract::{Event, Lane, OwnerId, Seq};
use jiff::{SignedDuration, Timestamp};

use super::{Inner, is_in};

/// How many events one step looks at.
const LOOKED_AT: usize = 4_096;

/// A sink that keeps events from retention, with what it wants of each type.
type Claims = BTreeMap<OwnerId, BTreeMap<String, Lane>>;

impl Inner {
    pub(super) fn prune(&mut self, prune: &Prune, now: Timestamp) -> Pruned {
        let before = |age: Duration| now.checked_sub(SignedDuration::try_from(age).ok()?).ok();
        let owed = before(prune.owed_max).unwrap_or(Timestamp::MIN);
        let claims = self.claims(owed, now);
        let after = (Bound::Excluded(self.pruned_to), Bound::Unbounded);
        let looked: Vec<Event> =
            self.events.range(after).take(LOOKED_AT).map(|(_, event)| event.clone()).collect();
        let (mut events, mut last) = (0, None);
        for event in &looked {
            if events == prune.limit.max(1) {
                break;
            }
            last = Some(event.seq);
            let Some(sinks) = self.owing(&claims, event) else { continue };
            let old = prune.keep.of(&event.event_type).and_then(before);
            let is_kept = old.is_none_or(|old| event.created_at >= old)
                || (!sinks.is_empty() && event.created_at >= owed);
            if !is_kept {
                sinks.into_iter().for_each(|sink| self.drop_owed(sink, event));
                self.remove(event);
                events += 1;
            }
        }
        let more = looked.last().map(|event| event.seq) != last || looked.len() == LOOKED_AT;
        self.pruned_to = last.filter(|_| more).unwrap_or_default();
        Pruned { events: events as u64, more }
    }

    /// Removes the oldest events while there are too many bytes, first those that nobody owes.
    pub(super) fn make_room(&mut self, max_bytes: u64, limit: usize, now: Timestamp) -> Room {
        let bytes = self.used();
        let claims = self.claims(Timestamp::MIN, now);
        let mut events = 0;
        for may_be_owed in [false, true] {
            let all: Vec<Event> = self.events.values().cloned().collect();
            for event in all {
                if self.used() <= max_bytes || events == limit.max(1) as u64 {
                    break;
                }
                let dead = || {
                    claims.keys().copied().filter(|sink| self.deliveries.contains_key(&(*sink, event.seq)))
                };
                let sinks = self.owing(&claims, &event).unwrap_or_else(|| dead().collect());
                if may_be_owed || sinks.is_empty() {
                    sinks.into_iter().for_each(|sink| self.drop_owed(sink, &event));
                    self.remove(&event);
                    events += 1;
                }
            }
        }
        Room { bytes, events, more: events > 0 }
    }

    fn used(&self) -> u64 {
        self.events.values().map(|event| (event.data.len() + event.meta.len()) as u64).sum()
    }

    /// The sinks that keep anything: those that are configured, or left not longer ago than they may owe.
    fn claims(&self, owed: Timestamp, now: Timestamp) -> Claims {
        let keeping = self.rows().filter(|(_, row)| row.left_at.is_none_or(|at| at >= owed));
        let claims = keeping.filter_map(|(sink, row)| {
            let (selection, _) = row.standing()?;
            let lanes = self.lanes(&selection, now);
            Some((sink, lanes.into_iter().map(|(name, lane)| (name.to_owned(), lane)).collect()))
        });
        claims.collect()
    }

    /// The sinks that owe an event; `None` when one keeps it for a person.
    fn owing(&self, claims: &Claims, event: &Event) -> Option<Vec<OwnerId>> {
        let mut owing = Vec::new();
        for (sink, lanes) in claims {
            let state = self.deliveries.get(&(*sink, event.seq)).map(|row| row.state);
            if state == Some(DeliveryState::Dead) {
                return None;
            }
            let lane = lanes.get(&event.event_type);
            if state.is_some() || lane.is_some_and(|lane| is_in(*lane, event.seq, event.created_at)) {
                owing.push(*sink);
            }
        }
        Some(owing)
    }

    fn remove(&mut self, event: &Event) {
        let seq: Seq = event.seq;
        self.events.remove(&seq);
        self.deliveries.retain(|(_, of), _| *of != seq);
        self.removed.push((seq, event.event_type.clone(), event.created_at));
    }
}
