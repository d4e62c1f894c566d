//! What happens to calendars.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::texts::{ADDRESSES, ANSWERS, DAYS, MEETINGS, PLACES, SERIES, TEXTS, ZONES};
use super::{Kind, Life, Service};
use crate::google::calendar::{Calendars, Edit, OWNER, Plan, Rule, Slot};

pub(super) const KINDS: &[Kind<Calendars>] = &[
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

/// Something in a calendar: the calendar, the id, and the title.
struct Found {
    calendar: String,
    id: String,
    summary: String,
    slot: Slot,
}

fn meet(life: &mut Life, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let calendar = life.calendar(calendars)?;
    let slot = life.slot(now);
    let plan = life.plan(MEETINGS.as_slice(), slot);
    let summary = plan.summary.clone();
    calendars.create(now, &calendar, plan);
    Some(format!("calendar: new: {summary}"))
}

fn whole_day(life: &mut Life, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let calendar = life.calendar(calendars)?;
    let first = (now + days(life.random.i64(2..60))).to_zoned(TimeZone::UTC).date();
    let plan = Plan::new(life.word(&DAYS), Slot::day(first, life.random.i64(1..4)));
    let summary = plan.summary.clone();
    calendars.create(now, &calendar, plan);
    Some(format!("calendar: new, whole days: {summary}"))
}

fn series(life: &mut Life, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let calendar = life.calendar(calendars)?;
    let slot = life.slot(now);
    let plan = life.plan(SERIES.as_slice(), slot);
    let rule = life.rule(now);
    let summary = plan.summary.clone();
    calendars.create_series(now, &calendar, plan, rule);
    Some(format!("calendar: new series: {summary}"))
}

fn reword(life: &mut Life, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = life.event(calendars, false)?;
    let (edit, text) = life.edit(&found);
    calendars.change(now, &found.calendar, &found.id, &edit).then_some(text)
}

fn shift(life: &mut Life, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = life.event(calendars, false)?;
    let slot = found.slot.later(days(life.random.i64(1..5)));
    let done = calendars.shift(now, &found.calendar, &found.id, slot);
    done.then(|| format!("calendar: moved: {}", found.summary))
}

fn cancel(life: &mut Life, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = life.event(calendars, false)?;
    let done = calendars.cancel(now, &found.calendar, &found.id);
    done.then(|| format!("calendar: cancelled: {}", found.summary))
}

fn restore(life: &mut Life, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = life.event(calendars, true)?;
    let done = calendars.restore(now, &found.calendar, &found.id);
    done.then(|| format!("calendar: on again: {}", found.summary))
}

fn respond(life: &mut Life, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = life.event(calendars, false)?;
    let attendee = life.attendee(calendars, &found)?;
    let answer = life.word(&ANSWERS);
    let done = calendars.respond(now, &found.calendar, &found.id, &attendee, answer);
    done.then(|| format!("calendar: {attendee} has {answer}: {}", found.summary))
}

fn invite(life: &mut Life, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = life.event(calendars, false)?;
    let attendee = life.word(&ADDRESSES);
    let done = calendars.invite(now, &found.calendar, &found.id, attendee);
    done.then(|| format!("calendar: {attendee} is invited: {}", found.summary))
}

fn uninvite(life: &mut Life, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = life.event(calendars, false)?;
    let attendee = life.attendee(calendars, &found)?;
    let done = calendars.uninvite(now, &found.calendar, &found.id, &attendee);
    done.then(|| format!("calendar: {attendee} is no longer invited: {}", found.summary))
}

fn remind(life: &mut Life, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = life.event(calendars, false)?;
    let minutes = life.random.u32(1..12) * 5;
    let done = calendars.touch_reminders(now, &found.calendar, &found.id, minutes);
    done.then(|| format!("calendar: I am reminded {minutes} minutes before: {}", found.summary))
}

fn shift_instance(life: &mut Life, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = life.instance(calendars, now, false)?;
    let slot = found.slot.later(SignedDuration::from_hours(life.random.i64(1..5)));
    let done = slot != found.slot && calendars.shift(now, &found.calendar, &found.id, slot);
    done.then(|| format!("calendar: moved once: {}", found.summary))
}

fn cancel_instance(life: &mut Life, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = life.instance(calendars, now, false)?;
    let done = calendars.cancel(now, &found.calendar, &found.id);
    done.then(|| format!("calendar: cancelled once: {}", found.summary))
}

fn restore_instance(life: &mut Life, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = life.instance(calendars, now, true)?;
    let done = calendars.restore(now, &found.calendar, &found.id);
    done.then(|| format!("calendar: on again after all: {}", found.summary))
}

fn reword_instance(life: &mut Life, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = life.instance(calendars, now, false)?;
    let (edit, text) = life.edit(&found);
    calendars.change(now, &found.calendar, &found.id, &edit).then(|| format!("{text} (once)"))
}

fn repeat(life: &mut Life, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = life.series(calendars)?;
    let rule = life.rule(now);
    let done = calendars.set_rule(now, &found.calendar, &found.id, rule);
    done.then(|| format!("calendar: the series goes otherwise now: {}", found.summary))
}

fn cancel_series(life: &mut Life, calendars: &mut Calendars, now: Timestamp) -> Option<String> {
    let found = life.series(calendars)?;
    let done = calendars.cancel(now, &found.calendar, &found.id);
    done.then(|| format!("calendar: the series is cancelled: {}", found.summary))
}

impl Life {
    fn calendar(&mut self, calendars: &Calendars) -> Option<String> {
        self.one_of(calendars.calendars())
    }

    /// A slot of the next two months.
    fn slot(&mut self, now: Timestamp) -> Slot {
        let quarters = self.random.i64(8..4 * 24 * 60);
        let start = Timestamp::from_second(now.as_second() / 900 * 900 + quarters * 900).unwrap_or(now);
        let minutes = self.random.i64(1..9) * 15;
        Slot::timed(start, minutes, self.word(&ZONES))
    }

    fn plan(&mut self, titles: &[&str], slot: Slot) -> Plan {
        let count = self.random.usize(0..5);
        let mut attendees = self.random.choose_multiple(ADDRESSES, count);
        attendees.sort_unstable();
        Plan {
            summary: self.word(titles).to_owned(),
            description: self.random.bool().then(|| self.word(&TEXTS).to_owned()),
            location: self.random.bool().then(|| self.word(&PLACES).to_owned()),
            attendees: attendees.into_iter().chain([OWNER]).map(str::to_owned).collect(),
            ..Plan::new("", slot)
        }
    }

    fn rule(&mut self, now: Timestamp) -> Rule {
        let rule = if self.random.bool() { Rule::daily() } else { Rule::weekly() };
        let rule = rule.every(self.random.u32(1..3));
        match self.random.u8(0..4) {
            0 => rule,
            1 => rule.until(now + days(self.random.i64(65..120))),
            _ => rule.count(self.random.u32(3..15)),
        }
    }

    fn edit(&mut self, found: &Found) -> (Edit, String) {
        let mut edit = Edit::default();
        let text = match self.random.u8(0..3) {
            0 => {
                let title = format!("{} ({})", self.word(&MEETINGS), self.random.u32(1..1000));
                let text = format!("calendar: {} is called {title} now", found.summary);
                edit.summary = Some(title);
                text
            }
            1 => {
                let place = format!("{}, door {}", self.word(&PLACES), self.random.u32(1..1000));
                let text = format!("calendar: {} is at {place} now", found.summary);
                edit.location = Some(place);
                text
            }
            _ => {
                edit.description = Some(format!("{} ({})", self.word(&TEXTS), self.random.u32(1..1000)));
                format!("calendar: another description: {}", found.summary)
            }
        };
        (edit, text)
    }

    fn attendee(&mut self, calendars: &Calendars, found: &Found) -> Option<String> {
        let event = calendars.event(&found.calendar, &found.id)?;
        let attendees = event["attendees"].as_array()?.iter();
        let addresses =
            attendees.filter_map(|attendee| attendee["email"].as_str().map(str::to_owned)).collect();
        self.one_of(addresses)
    }

    /// An event that is no series, and is off or on.
    fn event(&mut self, calendars: &Calendars, off: bool) -> Option<Found> {
        self.found(calendars, |life, calendar, id| {
            !calendars.is_series(calendar, id)
                && calendars.is_cancelled(calendar, id) == off
                && life.free(Service::Calendar, id)
        })
    }

    /// A series of which no instance was touched.
    fn series(&mut self, calendars: &Calendars) -> Option<Found> {
        self.found(calendars, |life, calendar, id| life.whole(calendars, calendar, id) && !life.within(id))
    }

    /// An instance of the next two months that is off or on, of a series that was not touched as a whole.
    fn instance(&mut self, calendars: &Calendars, now: Timestamp, off: bool) -> Option<Found> {
        let Found { calendar, id, .. } =
            self.found(calendars, |life, calendar, id| life.whole(calendars, calendar, id))?;
        let (from, to) = (now + SignedDuration::from_hours(1), now + days(60));
        let mut ids = calendars.instances(&calendar, &id, from, to);
        ids.retain(|id| self.free(Service::Calendar, id) && calendars.is_cancelled(&calendar, id) == off);
        let id = self.one_of(ids)?;
        look(calendars, &calendar, id)
    }

    /// One of the events and series that are wanted.
    fn found(&mut self, calendars: &Calendars, wanted: impl Fn(&Self, &str, &str) -> bool) -> Option<Found> {
        let mut all = Vec::new();
        for calendar in calendars.calendars() {
            let ids = calendars.ids(&calendar).into_iter().filter(|id| wanted(self, &calendar, id));
            all.extend(ids.map(|id| (calendar.clone(), id)));
        }
        let (calendar, id) = self.one_of(all)?;
        look(calendars, &calendar, id)
    }

    /// Whether this is a series that is on and was not touched as a whole.
    fn whole(&self, calendars: &Calendars, calendar: &str, id: &str) -> bool {
        calendars.is_series(calendar, id)
            && !calendars.is_cancelled(calendar, id)
            && self.free(Service::Calendar, id)
    }

    /// Whether an instance of a series was touched.
    fn within(&self, series: &str) -> bool {
        let instance = format!("{series}_");
        self.busy.iter().any(|busy| busy.service == Service::Calendar && busy.id.starts_with(&instance))
    }
}

fn look(calendars: &Calendars, calendar: &str, id: String) -> Option<Found> {
    let event = calendars.event(calendar, &id)?;
    let summary = event["summary"].as_str().unwrap_or_default().to_owned();
    let slot = calendars.slot(calendar, &id)?;
    Some(Found { calendar: calendar.to_owned(), id, summary, slot })
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}
