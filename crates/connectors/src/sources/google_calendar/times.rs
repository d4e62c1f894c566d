//! When an event starts and ends. A date is midnight in the zone of the calendar, a time without an offset one in the
//! zone that it names, or else in that of the calendar. Left out: rules of recurrence beyond their own end.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan as _};
use serde_json::Value;

/// When an event takes place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct EventTimes {
    /// When it starts, if it says so.
    pub(super) start: Option<Timestamp>,
    /// When it ends; `None` where it says nothing, or never does.
    pub(super) end: Option<Timestamp>,
}

impl EventTimes {
    /// The times of an event resource in a calendar of this zone.
    pub(super) fn of(item: &Value, zone: &TimeZone) -> Self {
        let start = moment(&item["start"], zone).or_else(|| moment(&item["originalStartTime"], zone));
        let end = moment(&item["end"], zone).or(start);
        if is_series(item) {
            Self { start, end: series_end(item, (start, end), zone) }
        } else {
            Self { start, end }
        }
    }

    /// Whether it says anything about its time.
    pub(super) fn are_known(&self) -> bool {
        self.start.is_some() || self.end.is_some()
    }

    /// Whether it is over. The end itself is no longer part of an event.
    pub(super) fn are_over(&self, now: Timestamp) -> bool {
        self.end.is_some_and(|end| end <= now)
    }
}

/// Whether it stands for all of its instances.
pub(super) fn is_series(item: &Value) -> bool {
    item["recurrence"].is_array() && !is_instance(item)
}

/// Whether it is one of a series.
pub(super) fn is_instance(item: &Value) -> bool {
    !item["recurringEventId"].is_null() || !item["originalStartTime"].is_null()
}

/// To the whole second before it, which is what requests can say.
pub(super) fn whole(at: Timestamp) -> Timestamp {
    // Every second within the range of the type is one of its values.
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// The zone of this name of the IANA database. The system's database counts; where it has none, the one
/// that is built in. A name that neither knows counts as UTC.
pub(super) fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

/// Whether two times of an event are the same instant or day in the same zone, however they are written: the service
/// writes the offset of whoever looks, so that another zone of the calendar rewrites every time in it.
pub(super) fn is_same(before: &Value, after: &Value) -> bool {
    if before == after {
        return true;
    }
    let instant = |value: &Value| moment(value, &TimeZone::UTC).filter(|_| value["dateTime"].is_string());
    let is_same_instant = instant(before).is_some() && instant(before) == instant(after);
    is_same_instant && before["timeZone"] == after["timeZone"]
}

fn moment(value: &Value, zone: &TimeZone) -> Option<Timestamp> {
    if let Some(text) = value["dateTime"].as_str() {
        return text.parse().ok().or_else(|| {
            let own = value["timeZone"].as_str().and_then(|name| TimeZone::get(name).ok());
            local(text.parse().ok()?, own.as_ref().unwrap_or(zone))
        });
    }
    let day: Date = value["date"].as_str()?.parse().ok()?;
    local(day.into(), zone)
}

/// The instant of a time of the day; of one that a change of clocks leaves out, the one that comes in its place.
fn local(at: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    at.to_zoned(zone.clone()).ok().map(|at| at.timestamp())
}

/// The end of a series' last instance; `None` where one of its rules has no end.
fn series_end(
    item: &Value,
    (start, end): (Option<Timestamp>, Option<Timestamp>),
    zone: &TimeZone,
) -> Option<Timestamp> {
    let (start, end) = (start?, end?);
    let lines = item["recurrence"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let rules = lines.filter_map(|line| line.strip_prefix("RRULE:"));
    let lasts: Option<Vec<Timestamp>> = rules.map(|rule| last_start(rule, start, zone)).collect();
    let last = lasts?.into_iter().max()?;
    last.checked_add(end.duration_since(start)).ok()
}

/// When the last instance of a rule starts, without looking at `BYDAY` and the like.
fn last_start(rule: &str, start: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let part = |name: &str| {
        let mut parts = rule.split(';').filter_map(|part| part.split_once('='));
        parts.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    if let Some(until) = part("UNTIL") {
        return until_instant(until, zone);
    }
    let count: i64 = part("COUNT")?.parse().ok()?;
    let interval: i64 = part("INTERVAL").map_or(Some(1), |text| text.parse().ok())?;
    let steps = (count - 1).max(0).checked_mul(interval)?;
    let start = start.to_zoned(zone.clone()).datetime();
    local(start.checked_add(step(part("FREQ")?, steps)?).ok()?, zone)
}

/// So many steps of a frequency. Adding months keeps to the last day of a shorter month.
fn step(frequency: &str, steps: i64) -> Option<Span> {
    let none = 0.days();
    match frequency {
        "DAILY" => none.try_days(steps).ok(),
        "WEEKLY" => none.try_weeks(steps).ok(),
        "MONTHLY" => none.try_months(steps).ok(),
        "YEARLY" => none.try_years(steps).ok(),
        _ => None,
    }
}

/// `YYYYMMDD`, `YYYYMMDDTHHMMSS` or `YYYYMMDDTHHMMSSZ`.
fn until_instant(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    match text.strip_suffix('Z') {
        Some(utc) => local(utc.parse().ok()?, &TimeZone::UTC),
        None => local(text.parse().ok()?, zone),
    }
}
