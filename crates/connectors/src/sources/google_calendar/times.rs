//! When an event starts and ends. A date is midnight UTC, a time without an offset is UTC. Left out: rules of
//! recurrence beyond their own end.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan as _};
use serde_json::Value;

use crate::google::stamp;

/// When an event takes place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Times {
    /// When it starts, if it says so.
    pub(super) start: Option<Timestamp>,
    /// When it ends; `None` where it says nothing, or never does.
    pub(super) end: Option<Timestamp>,
}

impl Times {
    /// The times of an event resource.
    pub(super) fn of(item: &Value) -> Self {
        let start = moment(&item["start"]).or_else(|| moment(&item["originalStartTime"]));
        let end = moment(&item["end"]).or(start);
        if is_series(item) { Self { start, end: series_end(item, start, end) } } else { Self { start, end } }
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

fn moment(value: &Value) -> Option<Timestamp> {
    let text = value["dateTime"].as_str().or_else(|| value["date"].as_str())?;
    stamp::read(text)
}

/// The end of a series' last instance; `None` where one of its rules has no end.
fn series_end(item: &Value, start: Option<Timestamp>, end: Option<Timestamp>) -> Option<Timestamp> {
    let (start, end) = (start?, end?);
    let lines = item["recurrence"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let rules = lines.filter_map(|line| line.strip_prefix("RRULE:"));
    let lasts: Option<Vec<Timestamp>> = rules.map(|rule| last_start(rule, start)).collect();
    let last = lasts?.into_iter().max()?;
    last.checked_add(end.duration_since(start)).ok()
}

/// When the last instance of a rule starts, without looking at `BYDAY` and the like.
fn last_start(rule: &str, start: Timestamp) -> Option<Timestamp> {
    let part = |name: &str| {
        let mut parts = rule.split(';').filter_map(|part| part.split_once('='));
        parts.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    if let Some(until) = part("UNTIL") {
        return until_instant(until);
    }
    let count: i64 = part("COUNT")?.parse().ok()?;
    let interval: i64 = part("INTERVAL").map_or(Some(1), |text| text.parse().ok())?;
    let steps = (count - 1).max(0).checked_mul(interval)?;
    let start = start.to_zoned(TimeZone::UTC).datetime();
    stamp::utc(start.checked_add(step(part("FREQ")?, steps)?).ok()?)
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
fn until_instant(text: &str) -> Option<Timestamp> {
    stamp::utc(text.trim_end_matches('Z').parse().ok()?)
}
