//! What the steps of a calendar share: the settings of the source, the result of a step, and why one fails. Everything
//! else here builds on it.

use std::borrow::Cow;
use std::time::Duration;

use inboxclaw_contract::settings::StartAt;
use inboxclaw_contract::{Class, Expiry, Failure};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::attendees;
use super::classify::Bounds;
use super::state::Pass;
use super::times::{EventTimes, is_series};
use crate::google::filter::Filters;
use crate::google::part_failure::PartFailure;
use crate::google::{Client, Refusal};

/// How much longer than `max_event_age_days` a snapshot stays, for times when the program is off.
const GRACE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What a filter can look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Field {
    /// The title.
    Summary,
    /// The description, which may be HTML.
    Description,
    /// Where it takes place.
    Location,
    /// The organizer's address and name, with a blank between them.
    Organizer,
    /// The addresses of all attendees, with blanks between them.
    Attendees,
    /// The type: `default`, `birthday`, `focusTime`, `fromGmail`, `outOfOffice` or `workingLocation`.
    #[serde(rename = "eventType", alias = "event_type")]
    EventType,
}

/// What the calendars of a source share.
pub(super) struct CalendarContext {
    /// Who asks.
    pub(super) client: Client,
    /// What is left out.
    pub(super) filters: Filters<Field>,
    /// How long after its end an event is remembered; `None`: for ever.
    pub(super) max_age: Option<SignedDuration>,
    /// Most attendees shown one by one.
    pub(super) attendee_limit: usize,
    /// Where a calendar without any state begins.
    pub(super) start: StartAt,
}

/// A calendar that is watched.
#[derive(Debug)]
pub(super) struct Calendar {
    /// Its id as configured.
    pub(super) id: String,
    /// How far ahead its events are reported.
    pub(super) window: SignedDuration,
}

/// What a step leads to.
#[derive(Debug)]
pub(super) enum Step {
    /// The calendar needs another one.
    More,
    /// Not before the next round.
    Done,
    /// The pass begins anew in the next round, because of this.
    Anew(FailingCalendar),
}

/// Why a step did not work. Nothing is in the draft.
#[derive(Debug)]
pub(super) enum Stop {
    /// The calendar fails, others may work.
    Calendar(FailingCalendar),
    /// No calendar would work.
    Turn(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Turn(failure)
    }
}

/// Why a calendar does not work.
#[derive(Debug, Clone)]
pub(super) struct FailingCalendar {
    pub(super) trouble: PartFailure,
    /// Whether it may pass by itself.
    pub(super) is_transient: bool,
    /// Whether it outlived a round: then a step that works is not yet the end of it.
    pub(super) lasts: bool,
    /// Whether a step worked since, so that it may be over.
    pub(super) quiet: bool,
}

impl FailingCalendar {
    /// Tells a failure of the calendar from one of the account, with which no calendar would work.
    pub(super) fn of(calendar: &str, refusal: Refusal) -> Stop {
        let Refusal { status, failure, .. } = &refusal;
        let is_ours = match failure.class {
            Class::Authentication | Class::RateLimited | Class::Gone | Class::Internal => true,
            // Without an answer it is the token file or its scopes.
            Class::Configuration | Class::Authorization | Class::Expired => status.is_none(),
            Class::Connectivity | Class::Timeout | Class::Upstream | Class::Unavailable => false,
        };
        if is_ours {
            return Stop::Turn(refusal.failure);
        }
        let (is_missing, is_transient) = (refusal.is_missing(), refusal.is_transient());
        let mut failure = refusal.failure;
        if is_missing {
            failure.class = Class::Configuration;
            failure = failure.action(
                "correct `calendar_ids` (`inboxclaw google list-calendars` shows what there is), or have the calendar \
                 shared with the account",
            );
        }
        Stop::Calendar(Self { is_transient, ..Self::transient(calendar, failure) })
    }

    /// A failure of a calendar that may pass by itself.
    pub(super) fn transient(calendar: &str, failure: Failure) -> Self {
        let trouble = PartFailure::new(&format!("the calendar {calendar}"), failure);
        Self { trouble, is_transient: true, lasts: false, quiet: false }
    }

    /// Whether it took most of a turn's time.
    pub(super) fn is_slow(&self) -> bool {
        self.trouble.class == Class::Timeout
    }
}

impl CalendarContext {
    /// What is reported in a pass. Changes are seen from the present, a listing by the stretch that it covers.
    pub(super) fn bounds(&self, now: Timestamp, pass: &Pass, zone: &TimeZone) -> Bounds {
        // An age beyond the beginning of time is as good as none.
        let oldest = self.max_age.and_then(|age| now.checked_sub(age).ok());
        Bounds { zone: zone.clone(), now, oldest, horizon: pass.until }
    }

    /// Whether a filter drops an item.
    pub(super) fn drops(&self, item: &Value) -> bool {
        self.filters.matches(|field| [Cow::Owned(text(item, field))])
    }

    /// How long a snapshot stays in a calendar of this zone.
    pub(super) fn expiry(&self, item: &Value, zone: &TimeZone) -> Expiry {
        let end = EventTimes::of(item, zone).end.filter(|_| !is_series(item));
        let until =
            end.zip(self.max_age).and_then(|(end, age)| end.checked_add(age).ok()?.checked_add(GRACE).ok());
        until.map_or(Expiry::Never, Expiry::Until)
    }
}

/// What a filter looks at.
fn text(item: &Value, field: Field) -> String {
    let plain = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let joined = |texts: Vec<&str>| texts.join(" ");
    match field {
        Field::Summary => plain(&item["summary"]),
        Field::Description => plain(&item["description"]),
        Field::Location => plain(&item["location"]),
        // Events of former times say nothing.
        Field::EventType => item["eventType"].as_str().unwrap_or("default").to_owned(),
        Field::Organizer => {
            let organizer = &item["organizer"];
            joined(
                [&organizer["email"], &organizer["displayName"]]
                    .into_iter()
                    .filter_map(Value::as_str)
                    .collect(),
            )
        }
        Field::Attendees => {
            joined(attendees::of(item).iter().filter_map(|attendee| attendee["email"].as_str()).collect())
        }
    }
}
