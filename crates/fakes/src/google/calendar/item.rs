//! What is stored of an event or a series, and the views of it that a listing can show.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::plan::{EventType, ExtendedProperties, Plan, Slot};
use super::rule::{Origin, Rule};

/// An event, or a series with its exceptions.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) organizer: String,
    pub(super) event_type: EventType,
    pub(super) created: Timestamp,
    pub(super) state: EventState,
    pub(super) rule: Option<Rule>,
    pub(super) exceptions: BTreeMap<Origin, EventState>,
}

/// The mutable part of an event, a series or an exception.
#[derive(Debug, Clone)]
pub(super) struct EventState {
    pub(super) summary: String,
    pub(super) description: Option<String>,
    pub(super) location: Option<String>,
    pub(super) slot: Slot,
    /// Address and answer.
    pub(super) attendees: Vec<(String, String)>,
    /// Minutes ahead of a reminder of its own.
    pub(super) reminder: Option<u32>,
    pub(super) extended: ExtendedProperties,
    pub(super) cancelled: bool,
    /// An instance that is cancelled only because its series repeats otherwise now.
    pub(super) gone: bool,
    pub(super) updated: Timestamp,
    pub(super) stamp: u64,
    pub(super) sequence: u32,
}

/// An event, a series or an instance as a listing can show it.
#[derive(Debug, Clone)]
pub(super) struct EventView<'a> {
    pub(super) item: &'a Item,
    pub(super) id: String,
    /// For instances.
    pub(super) origin: Option<Origin>,
    pub(super) state: Cow<'a, EventState>,
}

impl EventState {
    pub(super) fn new(plan: Plan, now: Timestamp, stamp: u64) -> Self {
        let waiting = |attendee| (attendee, "needsAction".to_owned());
        Self {
            summary: plan.summary,
            description: plan.description,
            location: plan.location,
            slot: plan.slot,
            attendees: plan.attendees.into_iter().map(waiting).collect(),
            reminder: None,
            extended: plan.extended,
            cancelled: false,
            gone: false,
            updated: now,
            stamp,
            sequence: 0,
        }
    }

    /// Whether it ends after one moment and starts before another, on a calendar of this zone.
    pub(super) fn within(&self, from: Option<Timestamp>, to: Option<Timestamp>, zone: &TimeZone) -> bool {
        let scaled = |at| self.slot.scaled(at, zone);
        from.is_none_or(|from| self.slot.end() > scaled(from))
            && to.is_none_or(|to| self.slot.start() < scaled(to))
    }
}

impl Item {
    /// The event itself, or the series as one.
    pub(super) fn whole(&self) -> EventView<'_> {
        EventView { item: self, id: self.id.clone(), origin: None, state: Cow::Borrowed(&self.state) }
    }

    /// The exceptions.
    pub(super) fn exceptions(&self) -> impl Iterator<Item = EventView<'_>> {
        self.exceptions.keys().map(|origin| self.instance(*origin))
    }

    /// The event itself; of a series, every exception and the other instances between two moments, on a calendar of
    /// this zone.
    pub(super) fn expanded(&self, from: Timestamp, to: Timestamp, zone: &TimeZone) -> Vec<EventView<'_>> {
        let Some(rule) = &self.rule else { return vec![self.whole()] };
        let slot = &self.state.slot;
        let origins = rule.origins(slot, slot.scaled(from, zone), slot.scaled(to, zone));
        let regular = origins.into_iter().filter(|origin| !self.exceptions.contains_key(origin));
        regular.map(|origin| self.instance(origin)).chain(self.exceptions()).collect()
    }

    /// The instance at a place, whether or not the rule puts one there.
    pub(super) fn instance(&self, origin: Origin) -> EventView<'_> {
        let state = match self.exceptions.get(&origin) {
            // The cancellation of a series cancels its exceptions in the same change.
            Some(state) if self.state.cancelled && !state.cancelled => Cow::Owned(EventState {
                cancelled: true,
                stamp: self.state.stamp.max(state.stamp),
                ..state.clone()
            }),
            Some(state) => Cow::Borrowed(state),
            None => Cow::Owned(EventState { slot: self.state.slot.at(origin), ..self.state.clone() }),
        };
        EventView { item: self, id: format!("{}_{origin}", self.id), origin: Some(origin), state }
    }

    /// Whether there is or was such an instance.
    pub(super) fn has(&self, origin: Origin) -> bool {
        self.exceptions.contains_key(&origin)
            || self.rule.as_ref().is_some_and(|rule| rule.holds(&self.state.slot, origin))
    }

    /// Repeats otherwise from now on: instances that no longer stand where the series puts them are cancelled.
    pub(super) fn repeat(
        &mut self,
        rule: Rule,
        slot: Slot,
        now: Timestamp,
        days: (u32, u32),
        zone: &TimeZone,
    ) {
        let hours = |days: u32| SignedDuration::from_hours(24 * i64::from(days));
        let (from, to) = (now - hours(days.0), now + hours(days.1));
        let before = self.expanded(from, to, zone);
        let before: Vec<Origin> = before.iter().filter_map(|shown| shown.origin).collect();
        let lost: Vec<Origin> = before.into_iter().filter(|origin| !rule.holds(&slot, *origin)).collect();
        for origin in lost {
            let state = self.instance(origin).state.into_owned();
            if !state.cancelled {
                let gone = EventState {
                    cancelled: true,
                    gone: true,
                    updated: now,
                    stamp: self.state.stamp,
                    ..state
                };
                self.exceptions.insert(origin, gone);
            }
        }
        self.exceptions.retain(|origin, state| !(state.gone && rule.holds(&slot, *origin)));
        self.state.slot = slot;
        self.rule = Some(rule);
    }
}
