//! How many events there were lately, by type and by source, and how large they are. Read from the index alone, but for
//! the sizes, which are those of the last events of each type.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension as _};

use super::counts::unsigned;
use super::event_counts;
use super::scan::{self, Floors, Marks};
use super::values::Micros;

/// So many of the last events of a type say how large its events are.
const SAMPLE: i64 = 1_000;

/// The windows, in days.
const DAYS: [i64; 3] = [1, 7, 30];

/// Counts of one type, by source. What is before the place is older than the longest window.
const RECENT: &str = "
    SELECT source, sum(created_at > ?3), sum(created_at > ?4), count(*)
    FROM events INDEXED BY events_by_type WHERE type = +?1 AND seq > ?2 AND created_at > ?5 GROUP BY source";

/// The lengths do not read the texts.
const SIZES: &str = "
    SELECT count(*), avg(octet_length(data)) FROM events WHERE seq IN (
        SELECT seq FROM events INDEXED BY events_by_type WHERE type = +?1 ORDER BY seq DESC LIMIT +?2)";

const SOURCE_NAME: &str = "SELECT name FROM owners WHERE id = ?1";

/// What the log holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventStats {
    /// Counts by source, in the order of names; only sources with events in the longest window.
    pub sources: Vec<EventCounts>,
    /// Counts by type, in the order of names; only types with events in the longest window.
    pub types: Vec<EventCounts>,
    /// Sizes by type, in the order of names.
    pub sizes: Vec<EventSize>,
}

/// How many events there were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// Of what.
    pub name: String,
    /// In the last 1, 7 and 30 days.
    pub recent: [u64; 3],
}

/// How large the events of a type are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSize {
    /// The type.
    pub name: String,
    /// How many the log holds.
    pub events: u64,
    /// The average size of the data of the last ones, in bytes.
    pub average: u64,
    /// Of how many.
    pub sample: u64,
}

/// What the log holds at `now`.
pub(super) fn all(connection: &Connection, now: Micros) -> rusqlite::Result<EventStats> {
    let [day, week, month] = DAYS.map(|days| {
        let then = now.0.checked_sub(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MIN);
        then.as_microsecond()
    });
    let mut floors = Floors::new(connection, Marks::read(connection)?);
    // Once the clock was set back, what is before that place may be newer than what is behind it: each event is looked at.
    let floor = if floors.stepped_back() == 0 { floors.below(month)? } else { 0 };
    let mut stats = EventStats::default();
    let mut sources: BTreeMap<i64, [u64; 3]> = BTreeMap::new();
    for event_type in scan::types(connection)? {
        let mut of_type = [0; 3];
        let mut recent = connection.prepare_cached(RECENT)?;
        let mut rows = recent.query((event_type.id, floor, day, week, month))?;
        while let Some(row) = rows.next()? {
            let of_source = sources.entry(row.get(0)?).or_default();
            for at in 0..3 {
                let count = unsigned(row.get(at + 1)?);
                of_type[at] += count;
                of_source[at] += count;
            }
        }
        let mut sizes = connection.prepare_cached(SIZES)?;
        let (sample, average): (i64, Option<f64>) =
            sizes.query_row((event_type.id, SAMPLE), |row| Ok((row.get(0)?, row.get(1)?)))?;
        if let Some(average) = average {
            let events = event_counts::after(connection, event_type.id, 0)?;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 16 MiB")]
            let average = average.round() as u64;
            stats.sizes.push(EventSize {
                name: event_type.name.clone(),
                events,
                average,
                sample: unsigned(sample),
            });
        }
        if of_type[2] > 0 {
            stats.types.push(EventCounts { name: event_type.name, recent: of_type });
        }
    }
    for (source, recent) in sources {
        let name =
            connection.prepare_cached(SOURCE_NAME)?.query_row([source], |row| row.get(0)).optional()?;
        stats.sources.push(EventCounts { name: name.unwrap_or_else(|| format!("ID:{source}")), recent });
    }
    stats.sources.sort_by(|one, other| one.name.cmp(&other.name));
    stats.types.sort_by(|one, other| one.name.cmp(&other.name));
    stats.sizes.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(stats)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_planned_once_and_scan_nothing() {
        super::super::plans::check(&[RECENT, SOURCE_NAME]);
    }
}
