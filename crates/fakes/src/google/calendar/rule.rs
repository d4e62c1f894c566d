//! Recurrence: every so many days or weeks, for ever, for some times, or until a moment. Left out: the rest of RFC 5545.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use super::plan::{Slot, midnight};

/// How a series repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    weekly: bool,
    interval: u32,
    count: Option<u32>,
    until: Option<Timestamp>,
}

/// Where an instance stands in its series: the start that the rule gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// A moment.
    At(Timestamp),
    /// A day, for series of whole days.
    On(Date),
}

impl Rule {
    /// Every day.
    #[must_use]
    pub fn daily() -> Self {
        Self { weekly: false, interval: 1, count: None, until: None }
    }

    /// Every week, on the day of the first instance.
    #[must_use]
    pub fn weekly() -> Self {
        Self { weekly: true, ..Self::daily() }
    }

    /// Only every so many days or weeks; 0 counts as 1.
    #[must_use]
    pub fn every(self, interval: u32) -> Self {
        Self { interval: interval.max(1), ..self }
    }

    /// So many times.
    #[must_use]
    pub fn count(self, count: u32) -> Self {
        Self { count: Some(count), ..self }
    }

    /// Up to a moment, at which an instance may still start.
    #[must_use]
    pub fn until(self, until: Timestamp) -> Self {
        Self { until: Some(until), ..self }
    }

    /// The line of `recurrence`.
    pub(super) fn line(&self, slot: &Slot) -> String {
        let until = self.until.map(|until| match slot {
            Slot::Timed { .. } => until.strftime("%Y%m%dT%H%M%SZ").to_string(),
            Slot::Days { .. } => until.strftime("%Y%m%d").to_string(),
        });
        let mut line = format!("RRULE:FREQ={}", if self.weekly { "WEEKLY" } else { "DAILY" });
        if self.interval != 1 {
            line += &format!(";INTERVAL={}", self.interval);
        }
        if let Some(count) = self.count {
            line += &format!(";COUNT={count}");
        }
        until.map_or(line.clone(), |until| format!("{line};UNTIL={until}"))
    }

    /// The instances of a series whose first one is at `slot`, that end after `from` and start before `to`.
    pub(super) fn origins(&self, slot: &Slot, from: Timestamp, to: Timestamp) -> Vec<Origin> {
        let step = i64::from(self.interval) * if self.weekly { 7 } else { 1 };
        let ahead = from.duration_since(slot.end()).as_secs() / (step * 86_400);
        // One step earlier: a day of a change of clocks is shorter than others.
        let mut number = (ahead - 1).max(0);
        let local = slot.local();
        let mut origins = Vec::new();
        while self.count.is_none_or(|count| number < i64::from(count)) {
            let Some(origin) = nth(slot, &local, number * step) else { break };
            let at = slot.at(origin);
            if at.start() >= to || self.until.is_some_and(|until| at.start() > until) {
                break;
            }
            if at.end() > from {
                origins.push(origin);
            }
            number += 1;
        }
        origins
    }

    /// Whether an instance stands where the rule puts one.
    pub(super) fn holds(&self, slot: &Slot, origin: Origin) -> bool {
        let start = slot.at(origin).start();
        let before = start - 1.second();
        let after = start + 1.second();
        self.origins(slot, before, after).contains(&origin)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(moment) => write!(formatter, "{}", moment.strftime("%Y%m%dT%H%M%SZ")),
            Self::On(day) => write!(formatter, "{}", day.strftime("%Y%m%d")),
        }
    }
}

impl Origin {
    /// What the end of an instance's id says.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() == 8 {
            return Date::strptime("%Y%m%d", text).ok().map(Self::On);
        }
        let moment = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
        moment.to_zoned(TimeZone::UTC).ok().map(|moment| Self::At(moment.timestamp()))
    }
}

impl Slot {
    /// The slot of the instance that stands at `origin`.
    pub(super) fn at(&self, origin: Origin) -> Self {
        let start = match origin {
            Origin::At(moment) => moment,
            Origin::On(day) => midnight(day),
        };
        self.later(start.duration_since(self.start()))
    }

    /// Its start in its zone; an unknown zone counts as UTC.
    pub(super) fn local(&self) -> Zoned {
        let zone = match self {
            Self::Timed { zone, .. } => TimeZone::get(zone).unwrap_or(TimeZone::UTC),
            Self::Days { .. } => TimeZone::UTC,
        };
        self.start().to_zoned(zone)
    }
}

/// The start so many days later, at the same time of the day.
fn nth(slot: &Slot, local: &Zoned, days: i64) -> Option<Origin> {
    let span = jiff::Span::new().try_days(days).ok()?;
    match slot {
        Slot::Timed { .. } => local.checked_add(span).ok().map(|start| Origin::At(start.timestamp())),
        Slot::Days { first, .. } => first.checked_add(span).ok().map(Origin::On),
    }
}
