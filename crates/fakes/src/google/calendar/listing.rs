//! The requests: the list of calendars, and listings and increments of events.
//!
//! A listing remembers nothing here. Pages go by the order of ids, each page token names the last id shown, and the sync
//! token of the last page names the last change before the first page: what changes in between may be shown twice, by
//! this listing and by the next, and is never missed.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::item::EventView;
use super::plan::EventType;
use super::token::Token;
use super::{Calendar, Calendars, resource};
use crate::google::api::{Request, Response};

/// Not known here.
const UNKNOWN: [&str; 6] =
    ["iCalUID", "orderBy", "privateExtendedProperty", "q", "sharedExtendedProperty", "updatedMin"];
/// Never together with a sync token: <https://developers.google.com/workspace/calendar/api/v3/reference/events/list>.
const NOT_SYNCED: [&str; 8] = [
    "iCalUID",
    "orderBy",
    "privateExtendedProperty",
    "q",
    "sharedExtendedProperty",
    "timeMin",
    "timeMax",
    "updatedMin",
];
/// Say how an answer is written, not what it is about.
const FORM: [&str; 8] =
    ["alt", "fields", "key", "maxResults", "oauth_token", "pageToken", "prettyPrint", "quotaUser"];

/// A request for events, understood.
struct Query {
    single: bool,
    /// The types wanted; all of them without any.
    types: Vec<String>,
    deleted: bool,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    size: usize,
    most_attendees: Option<usize>,
    /// The number after which changes are wanted.
    since: Option<u64>,
    /// The parameters of every later increment.
    same: String,
    whole: String,
    epoch: u32,
    /// The last change before the first page.
    stamp: u64,
    /// Page after the first: the last id shown, and the number of pages before.
    page: Option<(String, u32)>,
}

impl Query {
    fn holds(&self, event_type: EventType) -> bool {
        self.types.is_empty() || self.types.iter().any(|wanted| wanted == event_type.name())
    }
}

impl Calendars {
    /// Answers a request. The path begins after `/calendar/v3`.
    pub fn answer(&mut self, request: &Request, now: Timestamp) -> Response {
        let answered = match request.segments().as_slice() {
            ["users", "me", "calendarList"] => self.list_calendars(request),
            ["calendars", calendar, "events"] => self.list(calendar, request, now),
            ["calendars", calendar, "events", event] => self.get(calendar, event, request),
            _ => Err(not_found()),
        };
        answered.map_or_else(|refusal| refusal, Response::json)
    }

    fn list_calendars(&self, request: &Request) -> Result<Value, Response> {
        let start = match request.param("pageToken").map(Token::parse) {
            None => 0,
            Some(Some(Token::List(start))) => start,
            Some(_) => return Err(invalid("Invalid page token value.")),
        };
        if request.param("syncToken").is_some() {
            return Err(unknown("syncToken"));
        }
        let size = self.size(request, 100, 250)?;
        let calendars: Vec<&Calendar> =
            self.calendars.iter().filter(|calendar| !calendar.hidden || request.is("showHidden")).collect();
        let entries = calendars.iter().skip(start).take(size);
        let items: Vec<Value> = entries.map(|calendar| self.entry(calendar)).collect();
        let next = start + items.len();
        let mut list = json!({ "kind": "calendar#calendarList", "etag": resource::etag(self.stamp) });
        if next < calendars.len() {
            list["nextPageToken"] = json!(Token::List(next).text());
        } else {
            list["nextSyncToken"] = json!(Token::List(self.calendars.len()).text());
        }
        list["items"] = Value::Array(items);
        Ok(list)
    }

    fn entry(&self, calendar: &Calendar) -> Value {
        let mut entry = json!({
            "kind": "calendar#calendarListEntry",
            "etag": resource::etag(self.stamp),
            "id": calendar.id,
            "summary": calendar.summary,
            "timeZone": calendar.zone,
            "colorId": "14",
            "selected": true,
            "accessRole": "owner",
            "defaultReminders": [{ "method": "popup", "minutes": 10 }],
        });
        if calendar.hidden {
            entry["hidden"] = json!(true);
        }
        if self.calendars.first().is_some_and(|first| first.id == calendar.id) {
            entry["primary"] = json!(true);
        }
        entry
    }

    fn get(&self, calendar: &str, event: &str, request: &Request) -> Result<Value, Response> {
        let calendar = self.readable(calendar)?;
        let most_attendees = request.param("maxAttendees").and_then(|most| most.parse().ok());
        self.resource(&calendar.id, event, self.switches.cancelled, most_attendees).ok_or_else(not_found)
    }

    fn list(&self, calendar: &str, request: &Request, now: Timestamp) -> Result<Value, Response> {
        let calendar = self.readable(calendar)?;
        let query = self.query(calendar, request)?;
        let mut shown = self.shown(calendar, &query, now);
        shown.sort_by(|one, other| one.id.cmp(&other.id));
        let (after, pages) = query.page.clone().unwrap_or_default();
        let first = shown.partition_point(|shown| shown.id <= after);
        let empty = self.switches.empty_pages && pages % 2 == 1;
        let last = if empty { first } else { shown.len().min(first + query.size) };
        let overlap = self.switches.overlap && !empty;
        let repeated = if overlap { &shown[first.saturating_sub(1)..first] } else { &[] };
        let doubled = if overlap && first < last { &shown[last - 1..last] } else { &[] };
        let items = repeated.iter().chain(&shown[first..last]).chain(doubled);
        let more = last < shown.len();
        let after = if first < last { shown[last - 1].id.clone() } else { after };
        let items: Vec<Value> = items
            .map(|shown| resource::event(shown, calendar, self.switches.cancelled, query.most_attendees))
            .collect();
        let mut events = self.head(calendar, now);
        let (id, epoch, stamp) = (calendar.id.clone(), query.epoch, query.stamp);
        if more {
            let page =
                Token::Page { calendar: id, epoch, stamp, query: query.whole, after, pages: pages + 1 };
            events["nextPageToken"] = json!(page.text());
        } else {
            events["nextSyncToken"] =
                json!(Token::Sync { calendar: id, epoch, stamp, same: query.same }.text());
        }
        events["items"] = Value::Array(items);
        Ok(events)
    }

    /// All that a query asks for, in no order.
    fn shown<'a>(&self, calendar: &'a Calendar, query: &Query, now: Timestamp) -> Vec<EventView<'a>> {
        let hours = |days: u32| SignedDuration::from_hours(24 * i64::from(days));
        let back = match query.since {
            Some(_) => now - hours(self.switches.back_days),
            None => query.from.unwrap_or(Timestamp::UNIX_EPOCH),
        };
        let ahead = query.to.unwrap_or(now + hours(self.switches.ahead_days));
        let zone = calendar.time_zone();
        let wanted = |shown: &EventView<'_>| {
            // Exceptions that are cancelled are part of a series shown as one, whatever `showDeleted` says.
            let part = !query.single && shown.origin.is_some() && !shown.item.state.cancelled;
            let visible = !shown.state.cancelled || query.deleted || query.since.is_some() || part;
            query.holds(shown.item.event_type)
                && visible
                && query.since.is_none_or(|since| shown.state.stamp > since)
                && (shown.state.within(query.from, query.to, &zone) || endless(shown, query, &zone))
        };
        let all = calendar.items.values().flat_map(|item| match query.single {
            true => item.expanded(back, ahead, &zone),
            false => std::iter::once(item.whole()).chain(item.exceptions()).collect(),
        });
        all.filter(wanted).collect()
    }

    fn query(&self, calendar: &Calendar, request: &Request) -> Result<Query, Response> {
        if request.param("syncToken").is_some() {
            if let Some(name) = NOT_SYNCED.iter().find(|name| request.param(name).is_some()) {
                return Err(bad(&format!("The parameter {name} cannot be used together with syncToken.")));
            }
            if request.param("showDeleted") == Some("false") {
                return Err(bad("It is not allowed to set showDeleted to false together with syncToken."));
            }
        }
        if let Some(name) = UNKNOWN.iter().find(|name| request.param(name).is_some()) {
            return Err(unknown(name));
        }
        let (from, to) = (bound(request, "timeMin")?, bound(request, "timeMax")?);
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            return Err(Response::error(400, "timeRangeEmpty", "The specified time range is empty."));
        }
        let same = parameters(request, |name| {
            FORM.contains(&name) || name == "syncToken" || NOT_SYNCED.contains(&name)
        });
        let whole = parameters(request, |name| FORM.contains(&name));
        let mut query = Query {
            single: request.is("singleEvents"),
            types: types(request)?,
            deleted: request.is("showDeleted"),
            from,
            to,
            size: self.size(request, 250, 2500)?,
            most_attendees: request.param("maxAttendees").and_then(|most| most.parse().ok()),
            since: None,
            same,
            whole,
            epoch: calendar.epoch,
            stamp: self.stamp,
            page: None,
        };
        self.resume(calendar, request, &mut query)?;
        Ok(query)
    }

    /// Takes over what the tokens of a request say.
    fn resume(&self, calendar: &Calendar, request: &Request, query: &mut Query) -> Result<(), Response> {
        match request.param("syncToken").map(Token::parse) {
            None => {}
            Some(Some(Token::Sync { calendar: of, epoch, stamp, same })) if of == calendar.id => {
                if epoch != calendar.epoch {
                    return Err(self.gone());
                }
                if same != query.same {
                    return Err(bad("The parameters are not those of the request that gave the sync token."));
                }
                query.since = Some(stamp);
            }
            Some(_) => return Err(invalid("Invalid sync token value.")),
        }
        match request.param("pageToken").map(Token::parse) {
            None => {}
            Some(Some(Token::Page { calendar: of, epoch, stamp, query: whole, after, pages }))
                if of == calendar.id && whole == query.whole =>
            {
                (query.epoch, query.stamp) = (epoch, stamp);
                query.page = Some((after, pages));
            }
            Some(_) => return Err(invalid("Invalid page token value.")),
        }
        Ok(())
    }

    fn gone(&self) -> Response {
        let (reason, message) = match self.switches.too_long_ago {
            false => ("fullSyncRequired", "Sync token is no longer valid, a full sync is required."),
            true => {
                ("updatedMinTooLongAgo", "The requested minimum modification time lies too far in the past.")
            }
        };
        Response::error(410, reason, message)
    }

    fn readable(&self, calendar: &str) -> Result<&Calendar, Response> {
        let calendar = self.find(calendar).ok_or_else(not_found)?;
        match calendar.denied {
            None => Ok(calendar),
            Some(404) => Err(not_found()),
            Some(status) => Err(Response::error(status, "forbidden", "Forbidden")),
        }
    }

    fn head(&self, calendar: &Calendar, now: Timestamp) -> Value {
        json!({
            "kind": "calendar#events",
            "etag": resource::etag(self.stamp),
            "summary": calendar.summary,
            "description": "",
            "updated": resource::time(now),
            "timeZone": calendar.zone,
            "accessRole": "owner",
            "defaultReminders": [{ "method": "popup", "minutes": 10 }],
        })
    }

    fn size(&self, request: &Request, default: usize, most: usize) -> Result<usize, Response> {
        match request.number("maxResults", default) {
            0 => Err(invalid("Invalid value for maxResults: 0")),
            asked => Ok(asked.min(most).min(self.switches.page.unwrap_or(most)).max(1)),
        }
    }
}

/// A series shown as one is there as long as its rule goes on. No rule here takes two years from one instance to the next.
fn endless(shown: &EventView<'_>, query: &Query, zone: &TimeZone) -> bool {
    let (Some(rule), None) = (&shown.item.rule, shown.origin) else { return false };
    let from = query.from.unwrap_or(Timestamp::UNIX_EPOCH);
    let to = query.to.unwrap_or(from + SignedDuration::from_hours(24 * 366 * 2));
    let slot = &shown.state.slot;
    !rule.origins(slot, slot.scaled(from, zone), slot.scaled(to, zone)).is_empty()
}

fn bound(request: &Request, name: &str) -> Result<Option<Timestamp>, Response> {
    let moment = request.param(name).map(str::parse).transpose();
    moment.map_err(|_| Response::error(400, "badRequest", "Bad Request"))
}

/// The values of `eventTypes`, which may be given several times.
fn types(request: &Request) -> Result<Vec<String>, Response> {
    let types: Vec<String> = request.all("eventTypes").map(str::to_owned).collect();
    match types.iter().find(|name| !EventType::ALL.iter().any(|known| known.name() == *name)) {
        Some(name) => Err(bad(&format!("Invalid value for eventTypes: {name}"))),
        None => Ok(types),
    }
}

fn parameters(request: &Request, leave_out: impl Fn(&str) -> bool) -> String {
    let kept = request.query.iter().filter(|(name, _)| !leave_out(name));
    let mut kept: Vec<String> = kept.map(|(name, value)| format!("{name}={value}")).collect();
    kept.sort();
    kept.join("&")
}

fn not_found() -> Response {
    Response::error(404, "notFound", "Not Found")
}

fn invalid(message: &str) -> Response {
    Response::error(400, "invalid", message)
}

fn bad(message: &str) -> Response {
    Response::error(400, "badRequest", message)
}

fn unknown(name: &str) -> Response {
    Response::error(501, "notImplemented", &format!("This stand-in does not know the parameter {name}."))
}
