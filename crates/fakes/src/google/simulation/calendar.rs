//! The actions on calendars.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::round::{Action, Simulation};
use super::texts::{ADDRESSES, ANSWERS, DAYS, MEETINGS, PLACES, SERIES, TEXTS, ZONES};
use crate::google::api::Service;
use crate::google::calendar::{Calendars, Edit, OWNER, Plan, Rule, Slot};

pub(super) const ACTIONS: &[Action<Calendars>] = &[
    (20, meet),
    (4, whole_day),
    (4, series),
    (12, reword),
    (12, shift),
    (7, cancel),
    (3, restore),
    (10, respond),
    (6, invite),
    (3, uninvite),
    (4, remind),
    (8, shift_instance),
    (6, cancel_instance),
    (4, restore_instance),
    (4, reword_instance),
    (3, repeat),
    (1, cancel_series),
];

/// An event, a series or an instance that an action may change.
struct EventMatch {
    calendar: String,
    id: String,
    summary: String,
    slot: Slot,
}

fn meet(sim: &mut Simulation, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let calendar = sim.any_calendar(calendars)?;
    let slot = sim.any_slot(now);
    let plan = sim.any_plan(MEETINGS.as_slice(), slot);
    let summary = plan.summary.clone();
    calendars.create(now, &calendar, plan);
    Some(format!("calendar: new: {summary}"))
}

fn whole_day(sim: &mut Simulation, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let calendar = sim.any_calendar(calendars)?;
    let first = (now + days(sim.random.i64(2..60))).to_zoned(TimeZone::UTC).date();
    let plan = Plan::new(sim.text_of(&DAYS), Slot::day(first, sim.random.i64(1..4)));
    let summary = plan.summary.clone();
    calendars.create(now, &calendar, plan);
    Some(format!("calendar: new, whole days: {summary}"))
}

fn series(sim: &mut Simulation, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let calendar = sim.any_calendar(calendars)?;
    let slot = sim.any_slot(now);
    let plan = sim.any_plan(SERIES.as_slice(), slot);
    let rule = sim.any_rule(now);
    let summary = plan.summary.clone();
    calendars.create_series(now, &calendar, plan, rule);
    Some(format!("calendar: new series: {summary}"))
}

fn reword(sim: &mut Simulation, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = sim.any_event(calendars, false)?;
    let (edit, text) = sim.any_edit(&found);
    calendars.change(now, &found.calendar, &found.id, &edit).then_some(text)
}

fn shift(sim: &mut Simulation, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = sim.any_event(calendars, false)?;
    let slot = found.slot.later(days(sim.random.i64(1..5)));
    let done = calendars.shift(now, &found.calendar, &found.id, slot);
    done.then(|| format!("calendar: moved: {}", found.summary))
}

fn cancel(sim: &mut Simulation, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = sim.any_event(calendars, false)?;
    let done = calendars.cancel(now, &found.calendar, &found.id);
    done.then(|| format!("calendar: cancelled: {}", found.summary))
}

fn restore(sim: &mut Simulation, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = sim.any_event(calendars, true)?;
    let done = calendars.restore(now, &found.calendar, &found.id);
    done.then(|| format!("calendar: on again: {}", found.summary))
}

fn respond(sim: &mut Simulation, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = sim.any_event(calendars, false)?;
    let attendee = sim.any_attendee(calendars, &found)?;
    let answer = sim.text_of(&ANSWERS);
    let done = calendars.respond(now, &found.calendar, &found.id, &attendee, answer);
    done.then(|| format!("calendar: {attendee} has {answer}: {}", found.summary))
}

fn invite(sim: &mut Simulation, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = sim.any_event(calendars, false)?;
    let attendee = sim.text_of(&ADDRESSES);
    let done = calendars.invite(now, &found.calendar, &found.id, attendee);
    done.then(|| format!("calendar: {attendee} is invited: {}", found.summary))
}

fn uninvite(sim: &mut Simulation, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = sim.any_event(calendars, false)?;
    let attendee = sim.any_attendee(calendars, &found)?;
    let done = calendars.uninvite(now, &found.calendar, &found.id, &attendee);
    done.then(|| format!("calendar: {attendee} is no longer invited: {}", found.summary))
}

fn remind(sim: &mut Simulation, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = sim.any_event(calendars, false)?;
    let minutes = sim.random.u32(1..12) * 5;
    let done = calendars.touch_reminders(now, &found.calendar, &found.id, minutes);
    done.then(|| format!("calendar: I am reminded {minutes} minutes before: {}", found.summary))
}

fn shift_instance(sim: &mut Simulation, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = sim.any_instance(calendars, now, false)?;
    let slot = found.slot.later(SignedDuration::from_hours(sim.random.i64(1..5)));
    let done = slot != found.slot && calendars.shift(now, &found.calendar, &found.id, slot);
    done.then(|| format!("calendar: moved once: {}", found.summary))
}

fn cancel_instance(sim: &mut Simulation, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = sim.any_instance(calendars, now, false)?;
    let done = calendars.cancel(now, &found.calendar, &found.id);
    done.then(|| format!("calendar: cancelled once: {}", found.summary))
}

fn restore_instance(sim: &mut Simulation, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = sim.any_instance(calendars, now, true)?;
    let done = calendars.restore(now, &found.calendar, &found.id);
    done.then(|| format!("calendar: on again after all: {}", found.summary))
}

fn reword_instance(sim: &mut Simulation, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = sim.any_instance(calendars, now, false)?;
    let (edit, text) = sim.any_edit(&found);
    calendars.change(now, &found.calendar, &found.id, &edit).then(|| format!("{text} (once)"))
}

fn repeat(sim: &mut Simulation, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = sim.any_series(calendars)?;
    let rule = sim.any_rule(now);
    let done = calendars.set_rule(now, &found.calendar, &found.id, rule);
    done.then(|| format!("calendar: the series goes otherwise now: {}", found.summary))
}

fn cancel_series(sim: &mut Simulation, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = sim.any_series(calendars)?;
    let done = calendars.cancel(now, &found.calendar, &found.id);
    done.then(|| format!("calendar: the series is cancelled: {}", found.summary))
}

impl Simulation {
    fn any_calendar(&mut self, calendars: &Calendars) -> Option<String> {
        self.one_of(calendars.calendars())
    }

    /// A slot of the next two months.
    fn any_slot(&mut self, now: Timestamp) -> Slot {
        let quarters = self.random.i64(8..4 * 24 * 60);
        let start = Timestamp::from_second(now.as_second() / 900 * 900 + quarters * 900).unwrap_or(now);
        let minutes = self.random.i64(1..9) * 15;
        Slot::timed(start, minutes, self.text_of(&ZONES))
    }

    fn any_plan(&mut self, titles: &[&str], slot: Slot) -> Plan {
        let count = self.random.usize(0..5);
        let mut attendees = self.random.choose_multiple(ADDRESSES, count);
        attendees.sort_unstable();
        Plan {
            summary: self.text_of(titles).to_owned(),
            description: self.random.bool().then(|| self.text_of(&TEXTS).to_owned()),
            location: self.random.bool().then(|| self.text_of(&PLACES).to_owned()),
            attendees: attendees.into_iter().chain([OWNER]).map(str::to_owned).collect(),
            ..Plan::new("", slot)
        }
    }

    fn any_rule(&mut self, now: Timestamp) -> Rule {
        let rule = if self.random.bool() { Rule::daily() } else { Rule::weekly() };
        let rule = rule.every(self.random.u32(1..3));
        match self.random.u8(0..4) {
            0 => rule,
            1 => rule.until(now + days(self.random.i64(65..120))),
            _ => rule.count(self.random.u32(3..15)),
        }
    }

    fn any_edit(&mut self, found: &EventMatch) -> (Edit, String) {
        let mut edit = Edit::default();
        let text = match self.random.u8(0..3) {
            0 => {
                let title = format!("{} ({})", self.text_of(&MEETINGS), self.random.u32(1..1000));
                let text = format!("calendar: {} is called {title} now", found.summary);
                edit.summary = Some(title);
                text
            }
            1 => {
                let place = format!("{}, door {}", self.text_of(&PLACES), self.random.u32(1..1000));
                let text = format!("calendar: {} is at {place} now", found.summary);
                edit.location = Some(place);
                text
            }
            _ => {
                edit.description = Some(format!("{} ({})", self.text_of(&TEXTS), self.random.u32(1..1000)));
                format!("calendar: another description: {}", found.summary)
            }
        };
        (edit, text)
    }

    fn any_attendee(&mut self, calendars: &Calendars, found: &EventMatch) -> Option<String> {
        let event = calendars.event(&found.calendar, &found.id)?;
        let attendees = event["attendees"].as_array()?.iter();
        let addresses =
            attendees.filter_map(|attendee| attendee["email"].as_str().map(str::to_owned)).collect();
        self.one_of(addresses)
    }

    /// An event that is no series, cancelled or not.
    fn any_event(&mut self, calendars: &Calendars, cancelled: bool) -> Option<EventMatch> {
        self.any_item(calendars, |sim, calendar, id| {
            !calendars.is_series(calendar, id)
                && calendars.is_cancelled(calendar, id) == cancelled
                && sim.is_free(Service::Calendar, id)
        })
    }

    /// A series of which no instance was changed in this round.
    fn any_series(&mut self, calendars: &Calendars) -> Option<EventMatch> {
        self.any_item(calendars, |sim, calendar, id| {
            sim.is_free_series(calendars, calendar, id) && !sim.has_changed_instance(id)
        })
    }

    /// An instance of the next two months, cancelled or not, of a series that was not changed as a whole.
    fn any_instance(&mut self, calendars: &Calendars, now: Timestamp, cancelled: bool) -> Option<EventMatch> {
        let EventMatch { calendar, id, .. } =
            self.any_item(calendars, |sim, calendar, id| sim.is_free_series(calendars, calendar, id))?;
        let (from, to) = (now + SignedDuration::from_hours(1), now + days(60));
        let mut ids = calendars.instances(&calendar, &id, from, to);
        ids.retain(|id| {
            self.is_free(Service::Calendar, id) && calendars.is_cancelled(&calendar, id) == cancelled
        });
        let id = self.one_of(ids)?;
        find(calendars, &calendar, id)
    }

    /// One of the events and series that are wanted.
    fn any_item(
        &mut self,
        calendars: &Calendars,
        wanted: impl Fn(&Self, &str, &str) -> bool,
    ) -> Option<EventMatch> {
        let mut all = Vec::new();
        for calendar in calendars.calendars() {
            let ids = calendars.ids(&calendar).into_iter().filter(|id| wanted(self, &calendar, id));
            all.extend(ids.map(|id| (calendar.clone(), id)));
        }
        let (calendar, id) = self.one_of(all)?;
        find(calendars, &calendar, id)
    }

    /// Whether this is a series that is not cancelled and was not changed as a whole.
    fn is_free_series(&self, calendars: &Calendars, calendar: &str, id: &str) -> bool {
        calendars.is_series(calendar, id)
            && !calendars.is_cancelled(calendar, id)
            && self.is_free(Service::Calendar, id)
    }

    /// Whether an instance of a series was changed.
    fn has_changed_instance(&self, series: &str) -> bool {
        let instance = format!("{series}_");
        self.changed.iter().any(|(service, id)| *service == Service::Calendar && id.starts_with(&instance))
    }
}

fn find(calendars: &Calendars, calendar: &str, id: String) -> Option<EventMatch> {
    let event = calendars.event(calendar, &id)?;
    let summary = event["summary"].as_str().unwrap_or_default().to_owned();
    let slot = calendars.slot(calendar, &id)?;
    Some(EventMatch { calendar: calendar.to_owned(), id, summary, slot })
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}
