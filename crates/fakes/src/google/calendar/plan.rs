//! The types of scripts: what an event is to be, how it is to change, and what was done.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

/// When an event is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// From one moment to another, in a zone by its name (`Europe/Berlin`).
    Timed {
        /// The start.
        start: Timestamp,
        /// The end, which no longer belongs to it.
        end: Timestamp,
        /// The zone in which a series repeats.
        zone: String,
    },
    /// Whole days.
    Days {
        /// The first day.
        first: Date,
        /// The day after the last one.
        after: Date,
    },
}

impl Slot {
    /// Some minutes from a moment on.
    #[must_use]
    pub fn timed(start: Timestamp, minutes: i64, zone: &str) -> Self {
        let end = start + SignedDuration::from_mins(minutes);
        Self::Timed { start, end, zone: zone.to_owned() }
    }

    /// Whole days from a day on.
    #[must_use]
    pub fn day(first: Date, days: i64) -> Self {
        Self::Days { first, after: first.saturating_add(days.days()) }
    }

    /// The moment it starts; a day starts at midnight UTC.
    #[must_use]
    pub fn start(&self) -> Timestamp {
        match self {
            Self::Timed { start, .. } => *start,
            Self::Days { first, .. } => midnight(*first),
        }
    }

    /// The moment it ends.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        match self {
            Self::Timed { end, .. } => *end,
            Self::Days { after, .. } => midnight(*after),
        }
    }

    /// A moment on the scale of [`start`](Self::start) and [`end`](Self::end): for whole days, what the clocks of the
    /// calendar's zone show then, as if they showed UTC.
    pub(super) fn scaled(&self, at: Timestamp, zone: &TimeZone) -> Timestamp {
        match self {
            Self::Timed { .. } => at,
            Self::Days { .. } => {
                let shown = zone.to_datetime(at).to_zoned(TimeZone::UTC);
                shown.map_or(at, |shown| shown.timestamp())
            }
        }
    }

    /// As long, from another moment on; whole days stay whole days.
    #[must_use]
    pub fn later(&self, by: SignedDuration) -> Self {
        match self {
            Self::Timed { start, end, zone } => {
                Self::Timed { start: *start + by, end: *end + by, zone: zone.clone() }
            }
            Self::Days { first, after } => {
                let days = (by.as_hours() / 24).days();
                Self::Days { first: first.saturating_add(days), after: after.saturating_add(days) }
            }
        }
    }
}

pub(super) fn midnight(day: Date) -> Timestamp {
    day.to_zoned(TimeZone::UTC).map_or(Timestamp::MIN, |midnight| midnight.timestamp())
}

/// What an event is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The title.
    pub summary: String,
    /// More about it.
    pub description: Option<String>,
    /// Where.
    pub location: Option<String>,
    /// When.
    pub slot: Slot,
    /// The addresses of those invited; they have not answered yet.
    pub attendees: Vec<String>,
    /// The address of who organizes it; the owner of the account without it.
    pub organizer: Option<String>,
    /// What it is, for good.
    pub event_type: EventType,
    /// What programs noted on it.
    pub extended: ExtendedProperties,
}

/// What an event is, as its `eventType` says
/// (<https://developers.google.com/workspace/calendar/api/guides/event-types>).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EventType {
    /// `default`: a regular one.
    #[default]
    Default,
    /// `birthday`: a whole day of a contact, or of the owner.
    Birthday,
    /// `workingLocation`: where the owner works.
    WorkingLocation,
    /// `focusTime`: the owner is not to be disturbed.
    FocusTime,
    /// `outOfOffice`: the owner is away.
    OutOfOffice,
    /// `fromGmail`: made from a message, such as a booking.
    FromGmail,
}

impl EventType {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Default,
        Self::Birthday,
        Self::WorkingLocation,
        Self::FocusTime,
        Self::OutOfOffice,
        Self::FromGmail,
    ];

    /// Its name in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Birthday => "birthday",
            Self::WorkingLocation => "workingLocation",
            Self::FocusTime => "focusTime",
            Self::OutOfOffice => "outOfOffice",
            Self::FromGmail => "fromGmail",
        }
    }
}

/// Texts by names of programs' own choice, whatever the names
/// (<https://developers.google.com/workspace/calendar/api/guides/extended-properties>).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtendedProperties {
    /// Of this copy of the event.
    pub private: BTreeMap<String, String>,
    /// Of the copies of all attendees.
    pub shared: BTreeMap<String, String>,
}

impl Plan {
    /// An event with a title and nothing else.
    #[must_use]
    pub fn new(summary: &str, slot: Slot) -> Self {
        Self {
            summary: summary.to_owned(),
            description: None,
            location: None,
            slot,
            attendees: Vec::new(),
            organizer: None,
            event_type: EventType::default(),
            extended: ExtendedProperties::default(),
        }
    }
}

/// How the texts of an event are to change; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    /// The title.
    pub summary: Option<String>,
    /// More about it.
    pub description: Option<String>,
    /// Where.
    pub location: Option<String>,
    /// What programs noted on it, all of it anew.
    pub extended: Option<ExtendedProperties>,
}

/// Something a script did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// The id of the calendar, never `primary`.
    pub calendar: String,
    /// The id of the event, the series or the instance.
    pub id: String,
    /// Its etag after the change, quotes included. That of a series is the etag of its instances without exceptions.
    pub etag: String,
    /// What.
    pub what: What,
}

/// What a script did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// An event or a series is there now.
    Created,
    /// Other texts, or another rule of a series.
    Changed,
    /// Another time.
    Moved,
    /// It was cancelled.
    Cancelled,
    /// Its cancellation was taken back.
    Restored,
    /// Somebody answered an invitation.
    Responded {
        /// The address.
        attendee: String,
        /// `accepted`, `declined`, `tentative` or `needsAction`.
        status: String,
    },
    /// Somebody was invited.
    Invited {
        /// The address.
        attendee: String,
    },
    /// Somebody is no longer invited.
    Uninvited {
        /// The address.
        attendee: String,
    },
    /// Another reminder of the owner: a new etag, and `updated` stays.
    Reminders,
}

/// What the service is allowed to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switches {
    /// No page holds more items than this, whatever is asked for.
    pub page: Option<usize>,
    /// Every other page is empty and has a next one.
    pub empty_pages: bool,
    /// Each page begins with the last item of the one before, and holds its own last item twice.
    pub overlap: bool,
    /// What is shown of cancelled events.
    pub cancelled: Cancelled,
    /// An expired sync token answers `updatedMinTooLongAgo` instead of `fullSyncRequired`.
    pub too_long_ago: bool,
    /// How many days back an increment shows the instances of a series that changed.
    pub back_days: u32,
    /// How many days ahead a series is shown where a request sets no limit.
    pub ahead_days: u32,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            page: None,
            empty_pages: false,
            overlap: false,
            cancelled: Cancelled::Bare,
            too_long_ago: false,
            back_days: 31,
            ahead_days: 731,
        }
    }
}

/// What is shown of cancelled events: nothing but the id is guaranteed, and for instances what they are instances of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// What is guaranteed.
    Bare,
    /// Everything, as on the organizer's calendar.
    Detailed,
    /// What is guaranteed, and dates in the year 2000: reported, not documented.
    Placeholder,
}
