//! What the routes besides the state API mean, for the served description.

use schemars::{Schema, SchemaGenerator, json_schema};

use crate::clock::ClockAnswer;
use crate::log::{EventPage, LoggedEvent, NamedOwner};
use crate::openapi::{Operation, anything, integer, of, stream, text, up_to};
use crate::routes::Target;

pub(super) fn describe(target: &Target) -> Operation {
    match target {
        Target::Alive => new("health", "alive", "Says that the program answers.").answer(
            200,
            "It does.",
            &[("application/json", status)],
        ),
        Target::Proof => new("health", "live", "Says that the program answers. Needs no token.")
            .header("inboxclaw-challenge", "By which commands on this machine have the program prove itself.")
            .answer(200, "It does.", &[("application/json", status)]),
        Target::Health => new("health", "health", "Says how every source and sink is.")
            .answer(200, "Nothing is unhealthy.", &[("application/json", status)])
            .answer(503, "Something is unhealthy.", &[("application/json", status)]),
        Target::Metrics => new("health", "metrics", "Counts what the program did since it started.").answer(
            200,
            "OpenMetrics text.",
            &[("application/openmetrics-text", stream)],
        ),
        Target::Description => new("health", "describe", "Describes this API.").answer(
            200,
            "This document.",
            &[("application/json", anything)],
        ),
        Target::Event(_) | Target::Events | Target::RecentEvents | Target::PendingEvents => events(target),
        Target::Sources => new("events", "listSources", "Lists the sources that the store knows.")
            .gives::<Vec<NamedOwner<'_>>>(200, "Their numbers, names and types."),
        Target::Sinks => {
            new("events", "listSinks", "Lists the sinks that the store knows.")
                .gives::<Vec<NamedOwner<'_>>>(200, "Their numbers, names and types.")
        }
        Target::Clock => new("health", "getClock", "Says how the clock stands.")
            .gives::<ClockAnswer>(200, "The wall clock, and the time by which ages are judged."),
        Target::AcceptClock => {
            new("health", "acceptClock", "Says that a clock in doubt is right: what is old by it may go.")
                .gives::<ClockAnswer>(200, "How it stands now.")
        }
        Target::Extract(_) | Target::Lease(_) | Target::Confirm(..) => pull(target),
        Target::Stream(_) => new("stream", "subscribe", "Sends events as they come (server-sent events).")
            .query("event_type", text(), "Only events whose type matches: `user.*`, or one exact type.")
            .query("last_event_id", integer(), "As the header, for those who cannot set it.")
            .header("Last-Event-ID", "The last event that the client has.")
            .answer(200, "Messages until the client or the program ends.", &[("text/event-stream", stream)])
            .refuses(422, "A parameter cannot work."),
    }
}

/// What takes a batch, on either way.
fn batch_of(operation: Operation) -> Operation {
    let about = "A batch; empty, with a null batch_id, when there is none.";
    operation
        .query("event_type", text(), "Only events whose type matches: `user.*`, or one exact type.")
        .query("batch_size", integer(), "Most events.")
        .answer(200, about, &[("application/json", batch)])
}

fn pull(target: &Target) -> Operation {
    match target {
        Target::Extract(_) => batch_of(new("pull", "extract", "Takes the next batch of events."))
            .refuses(405, "It asks for a lease: that is a POST.")
            .refuses(422, "A parameter cannot work."),
        Target::Lease(_) => {
            let lease = "Takes the next batch of events and keeps them from others for a while.";
            batch_of(new("pull", "lease", lease).required("lease", text(), "For how long: `5m`."))
                .refuses(422, "A parameter cannot work.")
        }
        _ => new("pull", "markProcessed", "Confirms a batch, so that its events never come again.")
            .required("batch_id", integer(), "Which.")
            .answer(200, "It is confirmed.", &[("application/json", confirmed)])
            .refuses(404, "There is no such batch, or it is too old.")
            .refuses(422, "A parameter cannot work."),
    }
}

fn events(target: &Target) -> Operation {
    let offset = || json_schema!({ "type": "integer", "minimum": 0, "default": 0 });
    match target {
        Target::Event(_) => new("events", "getEvent", "Gives one event.")
            .gives::<LoggedEvent<'_>>(200, "The event.")
            .refuses(404, "There is none of that number, or no more."),
        Target::Events => new("events", "listEvents", "Lists events, newest first.")
            .query("limit", up_to(500, 50), "Most events; a page also ends at 64 MiB.")
            .query("offset", offset(), "How many to skip.")
            .query("event_type", text(), "Only this type.")
            .query("source_name", text(), "Only of this source.")
            .query("ids", text(), "Only these numbers, with commas between.")
            .query(
                "after",
                json_schema!({ "type": "integer", "minimum": 0 }),
                "Only later ones; the answer says `truncated` when some of them are gone.",
            )
            .gives::<EventPage<'_>>(200, "A page of events."),
        Target::RecentEvents => new("events", "listRecentEvents", "Lists the last events, newest first.")
            .query("limit", up_to(200, 20), "Most events.")
            .gives::<EventPage<'_>>(200, "The events."),
        _ => new("events", "listPendingEvents", "Lists events that wait to be merged: none ever does.")
            .query("limit", up_to(500, 50), "Most events.")
            .query("offset", offset(), "How many to skip.")
            .answer(200, "No events.", &[("application/json", of::<EventPage<'_>>)]),
    }
    .refuses(422, "A parameter cannot work.")
}

fn new(tag: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new(tag, id, summary)
}

fn status(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": { "status": { "type": "string", "enum": ["ok", "healthy", "unhealthy", "starting"] } },
        "required": ["status"],
    })
}

fn confirmed(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": { "status": { "const": "success" }, "marked_count": { "type": "integer" } },
        "required": ["status", "marked_count"],
    })
}

fn batch(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "batch_id": { "type": ["integer", "null"], "description": "What to confirm." },
            "events": { "type": "array", "items": envelope() },
            "remaining_events": {
                "type": "integer",
                "description": "How many more there are; above 0 only if the next request gives something.",
            },
            "truncated": {
                "type": "object",
                "description": "Only when events are gone that this sink should have given.",
                "properties": {
                    "oldest": { "type": "integer", "description": "From this number on, nothing is missing." },
                },
                "required": ["oldest"],
            },
        },
        "required": ["batch_id", "events", "remaining_events"],
    })
}

/// An event as it leaves the program; see the contract's `envelope`.
fn envelope() -> Schema {
    let text_or_null = ["string", "null"];
    json_schema!({
        "type": "object",
        "properties": {
            "id": { "type": "integer", "description": "Its place in the log." },
            "event_id": { "type": "string", "description": "Unique in its source." },
            "event_type": { "type": "string" },
            "entity_id": { "type": text_or_null, "description": "What it is about." },
            "created_at": { "type": "string", "description": "When it was stored, in UTC without saying so." },
            "data": { "description": "What the source says of it." },
            "source": { "type": "object", "required": ["id", "name"] },
            "meta": { "type": "object" },
        },
        "required": ["id", "event_id", "event_type", "entity_id", "created_at", "data", "source", "meta"],
    })
}
