//! The routes of the state API: which path asks for what, who answers, and what it means. Paths are matched as they were
//! sent, segment by segment, so that a key may hold a slash (`%2F`).

use axum::http::Method;
use schemars::{Schema, SchemaGenerator, json_schema};

use super::bulk::{self, CopyFrom};
use super::context::States;
use super::deliveries::{self, ChangedDeliveries, DeliveryWithEvent, OwedDelivery};
use super::entries::{self, CURSOR_BODY, VALUE_BODY};
use super::history;
use super::owners::{self, OwnerList, Paused, RenameTo, Renamed};
use super::replays::{self, ReplayJob, StartReplay};
use super::request::LINES;
use super::types::{
    DeletedEntries, HistoryPage, ImportedEntries, PutEntry, RewindTo, RewoundState, SetCursor, StateCursor,
    StateEntry, StatePage, UndoWhat, UndoneChange,
};
use super::watch::{self, WatchChange, WatchCursor, WatchExpiry, WatchReset};
use crate::openapi::{Operation, SchemaOf, anything, flag, integer, of, one_of, stream, text, up_to};
use crate::route::{Route, route};

const OWNER: &str = "/api/{kind}/{name}";
const STATE: &str = "/api/{kind}/{name}/state";
const ENTRY: &str = "/api/{kind}/{name}/state/{key}";
const CURSOR: &str = "/api/{kind}/{name}/cursor";

/// Every route.
pub(crate) fn routes() -> Vec<Route<States>> {
    let list =
        Operation::new("state", "listOwners", "Lists sources and sinks with how much state they have.")
            .gives::<OwnerList>(200, "All that are configured or have a state.");
    let all = [route(Method::GET, "/api/owners", owners::owners, list)];
    all.into_iter()
        .chain(of_entries())
        .chain(of_cursor())
        .chain(of_bulk())
        .chain(of_history())
        .chain(of_owner())
        .chain(of_deliveries())
        .chain(of_replays())
        .collect()
}

fn new(id: &'static str, summary: &'static str) -> Operation {
    Operation::new("state", id, summary)
        .refuses(400, "The path, the query, the condition or the body cannot be read.")
        .refuses(404, "There is no such owner, or no such entry.")
        .refuses(422, "A parameter cannot work, or a limit is exceeded, which the answer names.")
}

fn of_entries() -> Vec<Route<States>> {
    vec![
        route(
            Method::GET,
            STATE,
            entries::list,
            new("listEntries", "Lists entries in the order of their keys' bytes.")
                .query("prefix", text(), "Only keys that begin with this, literally and case-sensitively.")
                .query("after", text(), "Only keys after this one: `next` of the page before.")
                .query("limit", up_to(1_000, 100), "Most entries; a page also ends at 8 MiB of values.")
                .query("keys", flag(), "1 leaves the values out.")
                .query("secrets", flag(), SECRETS)
                .gives::<StatePage>(200, "A page of entries."),
        ),
        route(Method::GET, ENTRY, entries::get, get_entry()),
        route(Method::PUT, ENTRY, entries::put, put_entry()).body_bytes(VALUE_BODY),
        route(
            Method::DELETE,
            ENTRY,
            entries::delete,
            new("deleteEntry", "Deletes a key.")
                .header("If-Match", "The ETag that the entry must have; `*` if it must only be there.")
                .answer(204, "It is gone.", &[])
                .answer(412, "The condition does not hold.", &[("application/json", unmet)]),
        ),
    ]
}

const ETAG: &str = "The entry's revision, in quotes.";

fn get_entry() -> Operation {
    new("getEntry", "Gives a value, byte for byte as it was put.")
        .query("entry", flag(), "1 gives the whole entry instead of the value.")
        .query("secrets", flag(), SECRETS)
        .header("If-None-Match", "ETags that the client has.")
        .answer(200, "The value, or the entry.", &[("application/json", value_or_entry)])
        .with("ETag", ETAG)
        .with("Last-Modified", "When the value last changed.")
        .answer(304, "The client has this revision.", &[])
        .with("ETag", ETAG)
        .refuses(
            403,
            "The value is a secret and was asked for without secrets=1; or the request may not ask.",
        )
}

fn put_entry() -> Operation {
    new("putEntry", "Puts a value.")
        .query(
            "ttl",
            text(),
            "When it expires: `5m`, a time (RFC 3339), `none`, or `keep` (as before; the default).",
        )
        .query("secret", flag(), "1 makes it a secret, 0 ends that; by default it stays what it was.")
        .header("If-Match", "The ETag that the entry must have; `*` if it must only be there.")
        .header("If-None-Match", "`*` if the key must be absent.")
        .body("application/json", "The value: any JSON up to 16 MiB.", anything)
        .gives::<PutEntry>(200, "The value is there; the key was there before.")
        .with("ETag", ETAG)
        .gives::<PutEntry>(201, "The value is there; the key is new.")
        .with("ETag", ETAG)
        .answer(412, "The condition does not hold.", &[("application/json", unmet)])
        .refuses(408, "The body did not come, or broke off.")
}

fn of_cursor() -> Vec<Route<States>> {
    vec![
        route(
            Method::GET,
            CURSOR,
            entries::cursor,
            new("getCursor", "Gives the cursor.").gives::<StateCursor>(200, "The cursor."),
        ),
        route(
            Method::PUT,
            CURSOR,
            entries::set_cursor,
            new("putCursor", "Sets the cursor.")
                .takes::<SetCursor>("The new cursor.")
                .gives::<StateCursor>(200, "The cursor as it is now.")
                .refuses(408, "The body did not come, or broke off."),
        )
        .body_bytes(CURSOR_BODY),
        route(
            Method::DELETE,
            CURSOR,
            entries::clear_cursor,
            new("deleteCursor", "Clears the cursor: the source begins again where it would begin at first.")
                .gives::<StateCursor>(200, "There is none now."),
        ),
    ]
}

fn of_bulk() -> Vec<Route<States>> {
    const AGAIN: &str = "The state changed again and again meanwhile.";
    let mode = || one_of(&["merge", "replace"]);
    vec![
        route(
            Method::DELETE,
            STATE,
            bulk::delete,
            (new("deleteEntries", "Deletes entries by prefix and age, as one change.")
                .required("prefix", text(), "Which keys, literally; an empty one means all.")
                .query("older_than", text(), "Only entries of this age: `30d`.")
                .query(
                    "by",
                    one_of(&["created", "updated"]),
                    "From when the age counts; by default `updated`.",
                )
                .query("dry_run", flag(), "1 only counts them.")
                .answer(200, "What was removed.", &long(of::<DeletedEntries>)))
            .refuses(409, AGAIN),
        )
        .long(),
        route(
            Method::POST,
            "/api/{kind}/{name}/import",
            bulk::import,
            (new("importState", "Reads an export of this or another owner: all of it or nothing.")
                .query(
                    "mode",
                    mode(),
                    "`merge` (the default): over what is there; `replace`: in place of it.",
                )
                .body(LINES, "JSON Lines as an export writes them, of any size.", stream)
                .answer(200, "What was brought.", &long(of::<ImportedEntries>)))
            .refuses(409, AGAIN),
        )
        .long()
        .body_bytes(u64::MAX),
        route(
            Method::GET,
            "/api/{kind}/{name}/export",
            bulk::export,
            (new("exportState", "Writes the state as JSON Lines, as of one instant.")
                .query("secrets", flag(), SECRETS)
                .answer(200, "A head with the cursor, then a line for each entry.", &[(LINES, stream)]))
            .refuses(409, AGAIN),
        )
        .long(),
        route(
            Method::POST,
            "/api/{kind}/{name}/copy",
            bulk::copy,
            (new("copyState", "Copies entries of another owner, without secrets.")
                .takes::<CopyFrom>("Where from.")
                .answer(200, "What was brought.", &long(of::<ImportedEntries>)))
            .refuses(409, AGAIN),
        )
        .long(),
    ]
}

fn of_history() -> Vec<Route<States>> {
    vec![
        route(
            Method::GET,
            "/api/{kind}/{name}/history",
            history::history,
            new("listHistory", "Lists the turns that changed the state, newest first.")
                .query("before", integer(), "Only turns before this version: `next` of the page before.")
                .query("limit", up_to(1_000, 50), "Most turns.")
                .query("values", flag(), "1 shows the values that were replaced. Secrets are not kept.")
                .gives::<HistoryPage>(200, "A page of turns."),
        ),
        route(
            Method::POST,
            "/api/{kind}/{name}/undo",
            history::undo,
            new("undo", "Takes a change back, key by key.")
                .takes::<UndoWhat>("Which; by default the newest by a person that is still in effect.")
                .answer(200, "What was taken back.", &long(of::<UndoneChange>))
                .answer(
                    409,
                    "There is none, or what it did was changed since: then `keys` names what.",
                    CHANGED,
                ),
        )
        .long(),
        route(
            Method::POST,
            "/api/{kind}/{name}/rewind",
            history::rewind,
            new("rewind", "Restores the state as it was, as a new change.")
                .takes::<RewindTo>("Where to.")
                .answer(200, "What was done.", &long(of::<RewoundState>))
                .refuses(409, "History does not go back so far, or what it keeps is not enough."),
        )
        .long(),
    ]
}

fn of_owner() -> Vec<Route<States>> {
    vec![
        route(Method::POST, "/api/{kind}/{name}/rename", owners::rename, new("renameOwner", "Gives an owner another name, with all that it has.")
            .takes::<RenameTo>("The new name.")
            .gives::<Renamed>(200, "It has that name.")
            .refuses(
                409,
                "The running program has an owner of the old or the new name, or the new one has a state.",
            )),
        route(Method::DELETE, OWNER, owners::forget, new("forgetOwner", "Forgets an owner with its state, history and run facts. Its events stay.")
                .answer(204, "It is gone.", &[])
                .refuses(409, "The running program has it.")).long(),
        route(Method::POST, "/api/{kind}/{name}/pause", owners::pause, new("pause", "Makes an owner stand still until it is resumed.")
            .gives::<Paused>(200, "It does, once it has ended what it is at.")),
        route(Method::POST, "/api/{kind}/{name}/resume", owners::resume, new("resume", "Lets a paused owner go on, and makes any look at once.")
            .gives::<Paused>(200, "It goes on.")),
        route(Method::GET, "/api/{kind}/{name}/watch", watch::answer, watch_operation()).endless(),
    ]
}

/// A filter of deliveries, for a list and for what is done to all of them.
fn filtered(operation: Operation) -> Operation {
    operation
        .query("sink", text(), "Only of this sink.")
        .query("event_type", text(), "Only this type, or those that match: `user.*`.")
        .query("older_than", text(), "Only events that were stored longer ago than this: `1d`.")
        .query("younger_than", text(), "Only events that were stored after that: `1h`.")
        .refuses(404, "There is no such sink.")
        .refuses(422, "A parameter cannot work.")
}

fn of_deliveries() -> Vec<Route<States>> {
    const DELIVERY: &str = "/api/deliveries/{sink}/{id}";
    let new = |id, summary| Operation::new("deliveries", id, summary);
    let one = |id, summary| new(id, summary).refuses(404, "The sink does not owe that event out of order.");
    let all = |id, summary| {
        filtered(new(id, summary))
            .query("state", one_of(&["waiting", "dead"]), "Only those in this state; `dead` unless given.")
            .query("all", flag(), "1 says that no filter is meant: all dead letters.")
            .gives::<ChangedDeliveries>(200, "How many it was done to.")
    };
    let list =
        filtered(new("listDeliveries", "Lists what sinks owe out of order, by sink and place in the log."))
            .query("state", one_of(&["waiting", "dead"]), "Only those in this state.")
            .query("limit", up_to(1_000, 100), "Most deliveries.")
            .query("after", text(), "Goes on behind this one: `SINK/ID`, or with `sink` the id alone.")
            .gives::<Vec<OwedDelivery>>(200, "The deliveries.");
    vec![
        route(Method::GET, "/api/deliveries", deliveries::list, list),
        route(
            Method::POST,
            "/api/deliveries/retry",
            deliveries::retry_all,
            all("retryDeliveries", "Has many deliveries tried again at once."),
        )
        .long(),
        route(
            Method::POST,
            "/api/deliveries/drop",
            deliveries::drop_all,
            all("dropDeliveries", "Ends many deliveries: their events are no longer owed."),
        )
        .long(),
        route(
            Method::GET,
            DELIVERY,
            deliveries::show,
            one("getDelivery", "Gives a delivery with its event.")
                .gives::<DeliveryWithEvent>(200, "The delivery."),
        ),
        route(
            Method::POST,
            "/api/deliveries/{sink}/{id}/retry",
            deliveries::retry,
            one(
                "retryDelivery",
                "Has a delivery tried again at once; of a pull sink, ends the lease of its consumer.",
            )
            .gives::<ChangedDeliveries>(200, "It is due."),
        ),
        route(
            Method::POST,
            "/api/deliveries/{sink}/{id}/drop",
            deliveries::drop,
            one(
                "dropDelivery",
                "Ends a delivery: its event is no longer owed. For a pull sink it is confirmed.",
            )
            .gives::<ChangedDeliveries>(200, "It is gone."),
        ),
    ]
}

fn of_replays() -> Vec<Route<States>> {
    let new = |id, summary| {
        Operation::new("deliveries", id, summary).refuses(404, "There is no such sink, or no replay of it.")
    };
    vec![
        route(
            Method::GET,
            "/api/replays",
            replays::list,
            new("listReplays", "Lists the replay of each sink: the one that runs, or the last one.")
                .query("sink", text(), "Only of this sink.")
                .gives::<Vec<ReplayJob>>(200, "The replays."),
        ),
        route(
            Method::POST,
            "/api/replays",
            replays::start,
            new("startReplay", "Sends events of the log once more, behind all others.")
                .takes::<StartReplay>("Which events, and to whom.")
                .gives::<ReplayJob>(200, "What it would be, when asked with `dry_run`.")
                .gives::<ReplayJob>(201, "It is started.")
                .refuses(400, "The body cannot be read.")
                .refuses(409, "One runs already, or the configuration does not name the sink.")
                .refuses(422, "A time cannot be read, or the sink's consumers ask for events."),
        )
        .long(),
        route(
            Method::DELETE,
            "/api/replays/{sink}",
            replays::end,
            new(
                "endReplay",
                "Ends the replay of a sink. What of it waits for another attempt is owed all the same.",
            )
            .gives::<ReplayJob>(200, "It is ended.")
            .refuses(409, "What lies in the sink's state is no replay."),
        ),
    ]
}

fn watch_operation() -> Operation {
    new("watchState", "Tells what changes, as server-sent events: `change`, `cursor`, `expire`, `reset`.")
        .query("prefix", text(), "Only keys that begin with this; the cursor is told in any case.")
        .query("secrets", flag(), SECRETS)
        .query("last_event_id", integer(), "As the header, for those who cannot set it.")
        .header(
            "Last-Event-ID",
            "The last id that the client had: the watch goes on there if history still can.",
        )
        .answer(
            200,
            "Messages whose id is a version, until the client or the program ends.",
            &[(EVENTS, messages)],
        )
}

const SECRETS: &str = "1 shows the values of secrets, which are masked otherwise.";
const EVENTS: &str = "text/event-stream";
const CHANGED: &[(&str, SchemaOf)] = &[("application/json", changed)];

/// The forms of an answer to a long change.
fn long(result: SchemaOf) -> [(&'static str, SchemaOf); 2] {
    [("application/json", result), (LINES, lines)]
}

/// One line of a streamed answer.
fn lines(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "description": "Each line, when asked for with Accept: how far it has come, and at the end the result or \
            the error with its status.",
        "oneOf": [
            { "type": "object", "required": ["progress"], "properties": { "progress": {
                "type": "object",
                "required": ["done", "of"],
                "properties": { "done": { "type": "integer" }, "of": { "type": ["integer", "null"] } },
            } } },
            { "type": "object", "required": ["result"], "properties": { "result": { "type": "object" } } },
            { "type": "object", "required": ["error"], "properties": { "error": {
                "type": "object",
                "required": ["status", "detail"],
                "properties": { "status": { "type": "integer" }, "detail": { "type": "string" } },
            } } },
        ],
    })
}

fn value_or_entry(generator: &mut SchemaGenerator) -> Schema {
    let entry = generator.subschema_for::<StateEntry>();
    json_schema!({ "anyOf": [entry, true] })
}

fn messages(generator: &mut SchemaGenerator) -> Schema {
    let data = [
        of::<WatchChange>(generator),
        of::<WatchCursor>(generator),
        of::<WatchExpiry>(generator),
        of::<WatchReset>(generator),
    ];
    json_schema!({ "type": "string", "description": "The data of each message is one of these.", "x-data": data })
}

fn unmet(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "detail": { "type": "string" },
            "revision": { "type": ["integer", "null"], "description": "What is there; null when the key is absent." },
        },
        "required": ["detail", "revision"],
    })
}

fn changed(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "detail": { "type": "string" },
            "version": { "type": "integer", "description": "The change that was to be taken back." },
            "keys": { "type": "array", "items": { "type": "string" }, "description": "The first hundred." },
            "of": { "type": "integer", "description": "How many keys there are in all." },
            "cursor": { "type": "boolean", "description": "Whether the cursor was changed." },
        },
        "required": ["detail"],
    })
}
