//! Events of Google Calendar: created, updated, answered, deleted.
//!
//! One turn handles one page of one calendar. `google_calendar/round_robin.rs` says whose turn it is and remembers
//! which calendar fails, `passes.rs` what a calendar needs next and how it ends, `api.rs` asks, `apply_page.rs`
//! takes the items of a page, which `size_limit.rs` cuts to size, `scan_snapshots.rs` goes through what is known. What
//! an item means is pure: `times.rs` reads instants, `classify.rs` decides, `compare.rs` finds what differs,
//! `payload.rs` and `attendees.rs` write the event. `state.rs` knows the keys.
//!
//! What state holds, for each calendar (`CAL` as it is configured, so `primary` stays `primary`); the cursor is unused:
//!
//! - `sync_token:CAL`: the sync token, moved only when the last page of a pass is handled. One that brings no changes
//!   is left alone for a day, so a poll without news writes nothing;
//! - `snap:CAL:EVENT`: the event resource as received, with which the next one is compared. A single event's goes away
//!   by itself `max_event_age_days` and a week after the event's end: so long, an event that ended and is moved to the
//!   future is `updated`; later it is `created`. Nothing else depends on the snapshot of an event that was over by the
//!   passing of time: changes of it are not reported, and neither is its deletion. A series never goes away by itself.
//!   Of an instance that was reported and cancelled the cancelled resource stays, which counts as unknown;
//! - `config_fingerprint:CAL`: the `max_into_future` that the snapshots were made with;
//! - `time_zone:CAL`: the calendar's zone, at whose midnights whole days begin and end; each answer names it;
//! - `lookahead_cursor:CAL`: up to where the future was listed; moved on at most once an hour;
//! - `pass:CAL`: a pass that needs several turns: what it does, the sync token it started from, its next page. With
//!   another sync token under it (edited, rewound) it is dropped and begins anew;
//! - `listed:CAL:…`: the ids that a reconciliation has seen, until it ends.
//!
//! `snapshot_state:CAL` and `config_max_into_future:CAL` of earlier programs are ignored. A state without
//! `config_fingerprint` may have forgotten snapshots: after the first changes the window is listed and what is missing
//! is remembered without events.
//!
//! When the service no longer accepts a sync token, the window is listed and compared with the snapshots, what was
//! created, changed or deleted meanwhile is reported, and `inboxclaw.source.gap` reports it. Snapshots without a sync
//! token are compared in the same way, without a gap. A snapshot that somebody made something else of counts as
//! unknown.
//!
//! Left out: what is past when it is first seen, intermediate states of an event that changed several times between
//! two polls, and clearing what is known of a calendar that is no longer configured: if it is configured again, it
//! goes on from there; a person who wants its entries gone deletes them by their prefixes.

mod api;
mod apply_page;
mod attendees;
mod classify;
mod compare;
mod context;
mod passes;
mod payload;
mod round_robin;
mod scan_snapshots;
mod size_limit;
mod state;
#[cfg(test)]
mod tests;
mod times;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use context::{Calendar, CalendarContext, Field, Stop};
use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::{Draft, Failure, Next, Outside, Settled, Source, SourceSettings, Warning};
use inboxclaw_settings::{Interval, coerce};
use jiff::SignedDuration;
use round_robin::{Round, RoundRobin};
use state::LEAST_WINDOW;

use crate::google::filter::{Filters, Rules};
use crate::google::{self, CALENDAR, Client, ClientSettings, default_poll_interval};
use crate::http::check_interval;

/// Reports events of Google Calendar that are created, changed, answered or deleted.
///
/// An event of a series is reported once for each of its instances between now and `max_into_future`. An event that
/// comes nearer than that by the passing of time is reported as created, so its `occurred_at` may be long ago. Changes
/// of events that are over are not reported. A calendar that cannot be read does not hold up the others. An event of
/// more than 1 MiB is reported without its largest fields, whose names are in its field `trimmed`.
///
/// The state of a calendar that is taken out of `calendar_ids` stays until a person deletes it.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file that `inboxclaw google auth` wrote, with the scope `calendar`.
    #[serde(deserialize_with = "coerce::lax")]
    token_file: String,

    /// Time between two polls, at least 1 second.
    #[serde(default = "default_poll_interval")]
    poll_interval: Interval,

    /// The calendars to watch, by their ids as `inboxclaw google list-calendars` shows them; `primary` is the
    /// account's own. An id holds no colon and has at most 255 bytes.
    #[serde(default = "default_calendar_ids", deserialize_with = "coerce::one_or_many")]
    #[schemars(schema_with = "coerce::one_or_many_schema")]
    calendar_ids: Vec<String>,

    /// How many days after its end an event is remembered (and a week longer, for times when the program is off):
    /// one that is moved to the future by then is reported as updated, later as created. `null`: for ever.
    #[serde(default = "default_max_event_age_days", deserialize_with = "coerce::lax")]
    #[schemars(range(min = 0))]
    max_event_age_days: Option<f64>,

    /// How far ahead events are reported, at least 1 second. With a larger value the stretch that is new is remembered
    /// without events, with a smaller one what lies beyond is forgotten without events.
    #[serde(default = "default_max_into_future")]
    max_into_future: Interval,

    /// An event with more attendees is reported with their number by answer instead of each of them.
    #[serde(default = "default_attendee_detail_limit", deserialize_with = "coerce::lax")]
    attendee_detail_limit: usize,

    /// Settings for single calendars, by their ids as in `calendar_ids`.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    calendar_overrides: BTreeMap<String, Override>,

    /// Events to leave out: a list of `NAME: {in: FIELD, contains: TEXT}` or `regex: PATTERN`, with the fields
    /// `summary`, `description`, `location`, `organizer`, `attendees` and `eventType`, such as
    /// `{in: eventType, regex: "^(birthday|workingLocation)$"}`. An event that matches any of them, or did before a
    /// change, is not reported.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    filters: Rules<Field>,

    /// No meaning any more: deleted events are always reported.
    #[serde(default, deserialize_with = "coerce::lax")]
    #[schemars(extend("deprecated" = true))]
    #[expect(dead_code, reason = "accepted in the configurations of earlier programs")]
    show_deleted: Option<bool>,

    /// No meaning any more: series are always reported by their instances.
    #[serde(default, deserialize_with = "coerce::lax")]
    #[schemars(extend("deprecated" = true))]
    #[expect(dead_code, reason = "accepted in the configurations of earlier programs")]
    single_events: Option<bool>,

    /// No meaning any more: every instance is reported.
    #[serde(default, deserialize_with = "coerce::lax")]
    #[schemars(extend("deprecated" = true))]
    #[expect(dead_code, reason = "accepted in the configurations of earlier programs")]
    collapse_recurring_events: Option<bool>,

    /// Quota units that the account may spend in a minute, at least 600. Without it Google's 600,
    /// one for each request. Older projects, and those
    /// that Google allows more, may say so here.
    #[serde(default, deserialize_with = "coerce::lax")]
    #[schemars(range(min = 600))]
    units_per_minute: Option<u32>,

    /// Scheme, host and optional path of a server that stands in for Google's.
    #[serde(default, deserialize_with = "coerce::lax")]
    #[schemars(extend("format" = "uri"))]
    api_root: Option<String>,

    /// Whether Google's servers, or those of `api_root`, may be in the local network under a name that looks public.
    #[serde(default, deserialize_with = "coerce::lax")]
    allow_private: bool,

    #[serde(skip)]
    start: Option<StartAt>,
}

/// What is different for one calendar.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// How far ahead events of this calendar are reported; without it as for all.
    #[serde(default)]
    max_into_future: Option<Interval>,

    /// No meaning any more: deleted events are always reported.
    #[serde(default, deserialize_with = "coerce::lax")]
    #[schemars(extend("deprecated" = true))]
    #[expect(dead_code, reason = "accepted in the configurations of earlier programs")]
    show_deleted: Option<bool>,

    /// No meaning any more: series are always reported by their instances.
    #[serde(default, deserialize_with = "coerce::lax")]
    #[schemars(extend("deprecated" = true))]
    #[expect(dead_code, reason = "accepted in the configurations of earlier programs")]
    single_events: Option<bool>,

    /// No meaning any more: every instance is reported.
    #[serde(default, deserialize_with = "coerce::lax")]
    #[schemars(extend("deprecated" = true))]
    #[expect(dead_code, reason = "accepted in the configurations of earlier programs")]
    collapse_recurring_events: Option<bool>,
}

/// Longest id of a calendar, in bytes: with an id of an event it has to fit into a key and into an event id.
const CALENDAR_BYTES: usize = 255;
/// Seconds of a day.
const DAY: f64 = 86_400.0;

fn default_calendar_ids() -> Vec<String> {
    vec!["primary".to_owned()]
}

#[expect(clippy::unnecessary_wraps, reason = "the default of an optional setting")]
fn default_max_event_age_days() -> Option<f64> {
    Some(2.0)
}

fn default_max_into_future() -> Interval {
    Interval::from_secs(365 * 24 * 60 * 60)
}

fn default_attendee_detail_limit() -> usize {
    3
}

impl SourceSettings for Settings {
    const KIND: &'static str = "google_calendar";

    fn interval(&self) -> Option<Duration> {
        Some(self.poll_interval.as_duration())
    }

    fn start(&mut self, start: StartAt) -> anyhow::Result<()> {
        self.start = Some(start);
        Ok(())
    }

    fn warnings(&self, outside: &Outside) -> Vec<Warning> {
        let mut warnings = google::warnings(outside, &CALENDAR, &self.client_settings(), &self.filters);
        let is_listed = |id: &str| self.calendar_ids.iter().any(|listed| listed.trim() == id.trim());
        let stray = self.calendar_overrides.keys().filter(|id| !is_listed(id));
        let message = "this calendar is not in calendar_ids";
        warnings.extend(stray.map(|id| Warning::new(format!("calendar_overrides.{id}"), message)));
        warnings
    }

    fn build(self, outside: &Outside) -> anyhow::Result<Box<dyn Source>> {
        check_interval(self.poll_interval)?;
        let calendars = self.calendars()?;
        let context = CalendarContext {
            client: Client::new(outside, &CALENDAR, &self.client_settings())?
                .allow_private(self.allow_private),
            filters: Filters::new(&self.filters)?,
            max_age: self.max_age()?,
            attendee_limit: self.attendee_detail_limit,
            start: self.start.unwrap_or(StartAt::Now),
        };
        let round_robin = RoundRobin::new(calendars.len());
        Ok(Box::new(GoogleCalendar { context, calendars, round_robin }))
    }
}

impl Settings {
    fn client_settings(&self) -> ClientSettings<'_> {
        let (token_file, api_root) = (&*self.token_file, self.api_root.as_deref());
        ClientSettings { token_file, api_root, units_per_minute: self.units_per_minute }
    }

    /// The calendars, each once.
    fn calendars(&self) -> anyhow::Result<Vec<Calendar>> {
        ensure!(!self.calendar_ids.is_empty(), "calendar_ids is empty, it must name at least one calendar");
        let mut known = HashSet::new();
        let ids = self.calendar_ids.iter().map(|id| id.trim()).filter(|id| known.insert(*id));
        ids.map(|id| self.calendar(id)).collect()
    }

    fn calendar(&self, id: &str) -> anyhow::Result<Calendar> {
        // With a colon `snap:a:` would also begin the keys of a calendar `a:b`. Ids are addresses, which have none.
        ensure!(
            !id.is_empty() && !id.contains(':') && !id.contains(char::is_control),
            "calendar_ids holds {id:?}, an id must not be empty or hold a colon or a control character"
        );
        let bytes = id.len();
        ensure!(
            bytes <= CALENDAR_BYTES,
            "calendar_ids holds an id of {bytes} bytes, the limit is {CALENDAR_BYTES}"
        );
        let own = self.calendar_overrides.iter().find(|(key, _)| key.trim() == id);
        let window = own.and_then(|(_, own)| own.max_into_future).unwrap_or(self.max_into_future);
        let length = SignedDuration::try_from(window.as_duration()).context("max_into_future is too long")?;
        ensure!(length >= LEAST_WINDOW, "max_into_future is {window}, it must be at least 1s");
        Ok(Calendar { id: id.to_owned(), window: length })
    }

    fn max_age(&self) -> anyhow::Result<Option<SignedDuration>> {
        let Some(days) = self.max_event_age_days else { return Ok(None) };
        ensure!(days >= 0.0, "max_event_age_days is {days:?}, it must not be negative");
        let age = SignedDuration::try_from_secs_f64(days * DAY).ok();
        Ok(Some(age.with_context(|| format!("max_event_age_days is {days:?}, which is too long"))?))
    }
}

struct GoogleCalendar {
    context: CalendarContext,
    calendars: Vec<Calendar>,
    round_robin: RoundRobin,
}

#[async_trait]
impl Source for GoogleCalendar {
    async fn poll(&self, draft: &mut Draft<'_>) -> Result<Next, Failure> {
        let mut round = self.round_robin.round();
        let next = self.turn(draft, &mut round).await?;
        for trouble in round.troubles() {
            draft.problem(trouble);
        }
        self.round_robin.propose(round);
        Ok(next)
    }

    fn settled(&self, settled: Settled) {
        self.round_robin.turn_ended(settled);
    }
}

impl GoogleCalendar {
    /// One step of the first calendar of the queue that works.
    async fn turn(&self, draft: &mut Draft<'_>, round: &mut Round) -> Result<Next, Failure> {
        let deadline = self.context.client.deadline();
        while let Some(first) = round.first()
            && let Some(calendar) = self.calendars.get(first.calendar)
        {
            match passes::step(&self.context, calendar, first.is_new, draft).await {
                Ok(step) => return Ok(round.worked(step)),
                Err(Stop::Turn(failure)) => return Err(failure),
                Err(Stop::Calendar(failing)) => {
                    let is_slow = failing.is_slow() || deadline.is_over();
                    round.failed(failing);
                    if is_slow {
                        break;
                    }
                }
            }
        }
        round.next()
    }
}
