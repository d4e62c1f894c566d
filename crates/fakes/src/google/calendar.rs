//! The model of Google Calendar: calendars, events, series with their exceptions, listings and increments.
//!
//! Written from the public documentation of version 3 of the API:
//! <https://developers.google.com/workspace/calendar/api/v3/reference>,
//! <https://developers.google.com/workspace/calendar/api/guides/sync>,
//! <https://developers.google.com/workspace/calendar/api/guides/recurringevents>,
//! <https://developers.google.com/workspace/calendar/api/guides/errors>.
//!
//! `plan` holds the types of scripts, `script` what they can do, `rule` recurrence, `item` what is kept of an event,
//! `resource` how it is shown, `listing` the requests and `token` their tokens. Left out: writing through the API,
//! access rules, searching and sorting (`q`, `orderBy`, `updatedMin`, extended properties: 501), recurrence other than
//! daily and weekly, and the zone that a request asks the answer to be in.

mod item;
mod listing;
mod plan;
mod resource;
mod rule;
mod script;
#[cfg(test)]
mod tests;
mod token;

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

pub use plan::{Cancelled, Change, Edit, EventType, ExtendedProperties, Plan, Slot, Switches, What};
pub use rule::Rule;

use self::item::Item;

/// The address of the account, which is the id of its first calendar too.
pub const OWNER: &str = "me@example.com";

/// The calendars of one account. The first one answers to `primary` too.
#[derive(Debug, Clone)]
pub struct Calendars {
    /// What scripts changed, in the order of time; only ever appended to.
    pub history: Vec<Change>,
    /// What the service is allowed to do, and tests want it to do.
    pub switches: Switches,
    calendars: Vec<Calendar>,
    /// The number of the last change, which its etag holds too.
    stamp: u64,
    made: u64,
}

/// One calendar.
#[derive(Debug, Clone)]
struct Calendar {
    id: String,
    summary: String,
    /// The name of its zone, such as `Europe/Berlin`.
    zone: String,
    hidden: bool,
    denied: Option<u16>,
    /// How often its tokens expired.
    epoch: u32,
    items: BTreeMap<String, Item>,
}

impl Default for Calendars {
    fn default() -> Self {
        let mut calendars = Self {
            history: Vec::new(),
            switches: Switches::default(),
            calendars: Vec::new(),
            stamp: 0,
            made: 0,
        };
        calendars.add_calendar(OWNER, OWNER);
        calendars
    }
}

impl Calendars {
    /// A first calendar with so many events, one an hour from tomorrow on.
    #[must_use]
    pub fn bulk(now: Timestamp, events: usize) -> Self {
        let mut calendars = Self::default();
        for number in 1..=events {
            let start = now + SignedDuration::from_hours(24 + i64::try_from(number).unwrap_or_default());
            let plan = Plan::new(&format!("Event {number}"), Slot::timed(start, 30, "UTC"));
            calendars.create(now, "primary", plan);
        }
        calendars
    }

    /// Adds a calendar with an id and a title.
    pub fn add_calendar(&mut self, id: &str, summary: &str) {
        self.calendars.push(Calendar {
            id: id.to_owned(),
            summary: summary.to_owned(),
            zone: "UTC".to_owned(),
            hidden: false,
            denied: None,
            epoch: 0,
            items: BTreeMap::new(),
        });
    }

    /// Sets the zone of a calendar by its name (`Europe/Berlin`); before that it is UTC. Listings tell it as `timeZone`
    /// and write the times of events in its offset, which changes no event
    /// (<https://developers.google.com/workspace/calendar/api/v3/reference/events/list>, parameter `timeZone`). Whole
    /// days begin and end at its midnights.
    pub fn set_zone(&mut self, calendar: &str, zone: &str) {
        self.with(calendar, |calendar| zone.clone_into(&mut calendar.zone));
    }

    /// Hides a calendar from the list; it can be read all the same.
    pub fn hide(&mut self, calendar: &str) {
        self.with(calendar, |calendar| calendar.hidden = true);
    }

    /// Refuses every request for a calendar with a status: 403 or 404.
    pub fn deny(&mut self, calendar: &str, status: u16) {
        self.with(calendar, |calendar| calendar.denied = Some(status));
    }

    /// Takes back [`deny`](Self::deny).
    pub fn allow(&mut self, calendar: &str) {
        self.with(calendar, |calendar| calendar.denied = None);
    }

    /// Makes every sync token given out so far for a calendar answer 410.
    pub fn expire_tokens(&mut self, calendar: &str) {
        self.with(calendar, |calendar| calendar.epoch += 1);
    }

    /// Forgets the cancelled events of a calendar, as the service does after some time, and its sync tokens with them.
    pub fn forget_cancelled(&mut self, calendar: &str) {
        self.with(calendar, |calendar| {
            calendar.items.retain(|_, item| !item.state.cancelled);
            calendar.epoch += 1;
        });
    }

    /// The ids of the calendars, the hidden ones too.
    #[must_use]
    pub fn calendars(&self) -> Vec<String> {
        self.calendars.iter().map(|calendar| calendar.id.clone()).collect()
    }

    fn with(&mut self, calendar: &str, change: impl FnOnce(&mut Calendar)) {
        if let Some(at) = self.position(calendar) {
            change(&mut self.calendars[at]);
        }
    }

    fn position(&self, calendar: &str) -> Option<usize> {
        match calendar {
            "primary" => (!self.calendars.is_empty()).then_some(0),
            id => self.calendars.iter().position(|calendar| calendar.id == id),
        }
    }

    fn find(&self, calendar: &str) -> Option<&Calendar> {
        self.position(calendar).map(|at| &self.calendars[at])
    }
}

impl Calendar {
    /// Its zone; one of an unknown name counts as UTC.
    fn time_zone(&self) -> TimeZone {
        TimeZone::get(&self.zone).unwrap_or(TimeZone::UTC)
    }
}
