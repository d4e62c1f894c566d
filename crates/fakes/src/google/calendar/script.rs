//! The changes that scripts make to calendars.

use jiff::Timestamp;
use serde_json::Value;

use super::item::{EventState, EventView, Item};
use super::plan::{Cancelled, Change, Edit, Plan, Slot, What};
use super::resource;
use super::rule::{Origin, Rule};
use super::{Calendars, OWNER};

impl Calendars {
    /// Puts an event into a calendar and gives its id; nothing happens in a calendar that is not there.
    pub fn create(&mut self, now: Timestamp, calendar: &str, plan: Plan) -> String {
        self.insert(now, calendar, plan, None)
    }

    /// Puts a series into a calendar, the plan being its first instance, and gives the id of the series.
    pub fn create_series(&mut self, now: Timestamp, calendar: &str, plan: Plan, rule: Rule) -> String {
        self.insert(now, calendar, plan, Some(rule))
    }

    /// Changes the texts of an event, a series or an instance. Like all methods that take an id: whether there was
    /// such a thing and it changed.
    pub fn change(&mut self, now: Timestamp, calendar: &str, id: &str, edit: &Edit) -> bool {
        self.edit(now, calendar, id, What::Changed, |state| {
            state.summary = edit.summary.clone().unwrap_or_else(|| state.summary.clone());
            state.description = edit.description.clone().or_else(|| state.description.clone());
            state.location = edit.location.clone().or_else(|| state.location.clone());
            state.extended = edit.extended.clone().unwrap_or_else(|| state.extended.clone());
            true
        })
    }

    /// Moves an event or an instance, or the first instance of a series and all others with it.
    pub fn shift(&mut self, now: Timestamp, calendar: &str, id: &str, slot: Slot) -> bool {
        match self.rule(calendar, id) {
            Some(rule) => self.repeat(now, calendar, id, What::Moved, rule, Some(slot)),
            None => self.edit(now, calendar, id, What::Moved, |state| {
                state.slot = slot.clone();
                true
            }),
        }
    }

    /// Ends an event, or an instance, that runs now: its start stays, its end is this moment.
    pub fn finish(&mut self, now: Timestamp, calendar: &str, id: &str) -> bool {
        if self.is_series(calendar, id) {
            return false;
        }
        self.edit(now, calendar, id, What::Moved, |state| match &mut state.slot {
            Slot::Timed { start, end, .. } if *start < now && now < *end => {
                *end = now;
                true
            }
            _ => false,
        })
    }

    /// Lets a series repeat otherwise.
    pub fn set_rule(&mut self, now: Timestamp, calendar: &str, id: &str, rule: Rule) -> bool {
        self.rule(calendar, id).is_some() && self.repeat(now, calendar, id, What::Changed, rule, None)
    }

    /// Cancels an event, a series with all its instances, or an instance.
    pub fn cancel(&mut self, now: Timestamp, calendar: &str, id: &str) -> bool {
        self.edit(now, calendar, id, What::Cancelled, |state| {
            state.cancelled = true;
            true
        })
    }

    /// Takes back [`cancel`](Self::cancel).
    pub fn restore(&mut self, now: Timestamp, calendar: &str, id: &str) -> bool {
        self.edit(now, calendar, id, What::Restored, |state| {
            state.cancelled = false;
            true
        })
    }

    /// Lets somebody who is invited answer: `accepted`, `declined`, `tentative` or `needsAction`.
    pub fn respond(
        &mut self,
        now: Timestamp,
        calendar: &str,
        id: &str,
        attendee: &str,
        status: &str,
    ) -> bool {
        let what = What::Responded { attendee: attendee.to_owned(), status: status.to_owned() };
        self.edit(now, calendar, id, what, |state| {
            let found =
                state.attendees.iter_mut().find(|(address, answer)| address == attendee && answer != status);
            found.map(|(_, answer)| status.clone_into(answer)).is_some()
        })
    }

    /// Invites somebody.
    pub fn invite(&mut self, now: Timestamp, calendar: &str, id: &str, attendee: &str) -> bool {
        self.edit(now, calendar, id, What::Invited { attendee: attendee.to_owned() }, |state| {
            let known = state.attendees.iter().any(|(address, _)| address == attendee);
            if !known {
                state.attendees.push((attendee.to_owned(), "needsAction".to_owned()));
            }
            !known
        })
    }

    /// Takes somebody off the list.
    pub fn uninvite(&mut self, now: Timestamp, calendar: &str, id: &str, attendee: &str) -> bool {
        self.edit(now, calendar, id, What::Uninvited { attendee: attendee.to_owned() }, |state| {
            let before = state.attendees.len();
            state.attendees.retain(|(address, _)| address != attendee);
            state.attendees.len() != before
        })
    }

    /// Sets a reminder of the owner's own: a new etag, while `updated` stays.
    pub fn touch_reminders(&mut self, now: Timestamp, calendar: &str, id: &str, minutes: u32) -> bool {
        self.edit(now, calendar, id, What::Reminders, |state| {
            let changed = state.reminder != Some(minutes);
            state.reminder = Some(minutes);
            changed
        })
    }

    /// The ids of the events and series of a calendar, the cancelled ones too.
    #[must_use]
    pub fn ids(&self, calendar: &str) -> Vec<String> {
        self.find(calendar).map(|calendar| calendar.items.keys().cloned().collect()).unwrap_or_default()
    }

    /// The ids of the instances of a series that are between two moments, the cancelled ones too.
    #[must_use]
    pub fn instances(&self, calendar: &str, series: &str, from: Timestamp, to: Timestamp) -> Vec<String> {
        let Some(calendar) = self.find(calendar) else { return Vec::new() };
        let (item, zone) = (calendar.items.get(series), calendar.time_zone());
        let Some(item) = item.filter(|item| item.rule.is_some()) else { return Vec::new() };
        let mut shown = item.expanded(from, to, &zone);
        shown.retain(|shown| shown.state.within(Some(from), Some(to), &zone));
        shown.sort_by_key(|shown| shown.origin);
        shown.into_iter().map(|shown| shown.id).collect()
    }

    /// Whether an id is that of a series.
    #[must_use]
    pub fn is_series(&self, calendar: &str, id: &str) -> bool {
        self.rule(calendar, id).is_some()
    }

    /// Whether an event, a series or an instance is cancelled.
    #[must_use]
    pub fn is_cancelled(&self, calendar: &str, id: &str) -> bool {
        self.look_up(calendar, id).is_some_and(|shown| shown.state.cancelled)
    }

    /// When an event, the first instance of a series, or an instance is.
    #[must_use]
    pub fn slot(&self, calendar: &str, id: &str) -> Option<Slot> {
        self.look_up(calendar, id).map(|shown| shown.state.slot.clone())
    }

    /// An event, a series or an instance as it is now, with everything, also when it is cancelled.
    #[must_use]
    pub fn event(&self, calendar: &str, id: &str) -> Option<Value> {
        self.resource(calendar, id, Cancelled::Detailed, None)
    }

    pub(super) fn resource(
        &self,
        calendar: &str,
        id: &str,
        cancelled: Cancelled,
        most_attendees: Option<usize>,
    ) -> Option<Value> {
        let of = self.find(calendar)?;
        let shown = self.look_up(calendar, id)?;
        Some(resource::event(&shown, of, cancelled, most_attendees))
    }

    fn look_up(&self, calendar: &str, id: &str) -> Option<EventView<'_>> {
        let (id, origin) = split(id);
        let item = self.find(calendar)?.items.get(id)?;
        match origin {
            None => Some(item.whole()),
            Some(origin) => item.has(origin).then(|| item.instance(origin)),
        }
    }

    fn rule(&self, calendar: &str, id: &str) -> Option<Rule> {
        self.find(calendar)?.items.get(id)?.rule.clone()
    }

    fn insert(&mut self, now: Timestamp, calendar: &str, plan: Plan, rule: Option<Rule>) -> String {
        self.made += 1;
        let mut random = fastrand::Rng::with_seed(self.made);
        let id: String = (0..26).map(|_| random.digit(32)).collect();
        let Some(at) = self.position(calendar) else { return id };
        let stamp = self.stamp(now);
        let organizer = plan.organizer.clone().unwrap_or_else(|| OWNER.to_owned());
        let (event_type, state) = (plan.event_type, EventState::new(plan, now, stamp));
        let item = Item {
            id: id.clone(),
            organizer,
            event_type,
            created: now,
            state,
            rule,
            exceptions: Default::default(),
        };
        self.calendars[at].items.insert(id.clone(), item);
        self.record(now, at, &id, What::Created);
        id
    }

    fn repeat(
        &mut self,
        now: Timestamp,
        calendar: &str,
        id: &str,
        what: What,
        rule: Rule,
        slot: Option<Slot>,
    ) -> bool {
        let days = (self.switches.back_days, self.switches.ahead_days);
        // The change of the series itself first, for its new number.
        if !self.edit(now, calendar, id, what, |_| true) {
            return false;
        }
        self.with(calendar, |calendar| {
            let zone = calendar.time_zone();
            if let Some(item) = calendar.items.get_mut(id) {
                let slot = slot.unwrap_or_else(|| item.state.slot.clone());
                item.repeat(rule, slot, now, days, &zone);
            }
        });
        true
    }

    /// Makes every change but the first. A change of a series changes its exceptions too.
    fn edit(
        &mut self,
        now: Timestamp,
        calendar: &str,
        id: &str,
        what: What,
        edit: impl Fn(&mut EventState) -> bool,
    ) -> bool {
        let Some(at) = self.position(calendar) else { return false };
        let (whole, origin) = split(id);
        let Some(item) = self.calendars[at].items.get(whole) else { return false };
        let mut state = match origin {
            None => item.state.clone(),
            Some(origin) if item.has(origin) && !item.state.cancelled => {
                item.instance(origin).state.into_owned()
            }
            Some(_) => return false,
        };
        if state.cancelled != (what == What::Restored) || state.gone || !edit(&mut state) {
            return false;
        }
        let stamp = self.stamp(now);
        mark_changed(&mut state, &what, now, stamp);
        let Some(item) = self.calendars[at].items.get_mut(whole) else { return false };
        match origin {
            Some(origin) => drop(item.exceptions.insert(origin, state)),
            None => {
                item.state = state;
                let together = !matches!(what, What::Cancelled | What::Restored);
                for state in item.exceptions.values_mut().filter(|state| !state.cancelled) {
                    if together {
                        edit(state);
                    }
                    mark_changed(state, &what, now, stamp);
                }
            }
        }
        self.record(now, at, id, what);
        true
    }

    /// The number of the change that is about to happen. Etags of the service are twice its time in microseconds.
    fn stamp(&mut self, now: Timestamp) -> u64 {
        let time = u64::try_from(now.as_microsecond()).unwrap_or_default() * 2;
        self.stamp = time.max(self.stamp + 2);
        self.stamp
    }

    fn record(&mut self, at: Timestamp, calendar: usize, id: &str, what: What) {
        let calendar = self.calendars[calendar].id.clone();
        let etag = resource::etag(self.stamp);
        self.history.push(Change { at, calendar, id: id.to_owned(), etag, what });
    }
}

/// Gives an event the time and the numbers of a change.
fn mark_changed(state: &mut EventState, what: &What, now: Timestamp, stamp: u64) {
    state.stamp = stamp;
    if *what != What::Reminders {
        state.updated = now;
    }
    if matches!(what, What::Changed | What::Moved | What::Cancelled | What::Restored) {
        state.sequence += 1;
    }
}

/// The id of an instance names its series and its place.
fn split(id: &str) -> (&str, Option<Origin>) {
    match id.split_once('_') {
        Some((series, place)) => match Origin::parse(place) {
            Some(origin) => (series, Some(origin)),
            None => (id, None),
        },
        None => (id, None),
    }
}
