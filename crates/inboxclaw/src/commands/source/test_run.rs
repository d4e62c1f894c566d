//! `source test`: polls over the state as it is, and what would come of them. Nothing is stored.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use inboxclaw_config::{Config, nearest};
use inboxclaw_contract::envelope::{Style, write_envelope};
use inboxclaw_contract::settings::BuiltSource;
use inboxclaw_contract::turn::{EntryChange, TurnId};
use inboxclaw_contract::{
    Class, Draft, Event, Expiry, Failure, Housekeeping as _, NewEvent, Next, OpenTurn, OwnerId, OwnerKind,
    Random as _, Seq, Settled, Source, State, Turn, printable,
};
use jiff::Timestamp;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::super::failed::Failed;
use super::super::state_client::read;
use super::super::table::{self, Side, Table};
use super::super::{client, output};
use super::no_state::{Empty, NOBODY};
use crate::cli::{OwnerArg, exit};
use crate::outside::SystemRandom;

/// Most characters of data and values that are looked at for a table.
const VALUE: usize = 400;
/// So many changes and events are enough to see what a source does.
const ENOUGH: usize = 1_000;

/// What the polls would do.
struct Would {
    now: Timestamp,
    turn: Turn,
    problems: Vec<Failure>,
    /// What the last poll says that is no failure.
    notices: Vec<String>,
    next: Next,
}

pub(super) fn run(config: Config, who: &OwnerArg, json: bool) -> Result<u8, Failed> {
    let store = read(&config)?;
    let names: Vec<String> = config.sources.iter().map(|source| source.name.clone()).collect();
    let found = config.sources.into_iter().find(|source| source.name == who.name);
    let Some(source) = found else {
        let near = nearest(&who.name, names.iter().map(String::as_str));
        let hint = near.map_or_else(
            || format!("; there are: {}", names.join(", ")),
            |near| format!(", did you mean {near:?}?"),
        );
        return Err(Failed::plain(format!("{} has no source {:?}{hint}", config.file.display(), who.name)));
    };
    let polled = client::block_on(async {
        let is_it = |owner: &inboxclaw_contract::store::OwnerInfo| {
            owner.kind == OwnerKind::Source && owner.name == source.name
        };
        let owners = match &store {
            Some(store) => store.owners().await.map_err(|error| Failed::plain(error.to_string()))?,
            None => Vec::new(),
        };
        let (state, owner): (&dyn State, _) = match (&store, owners.into_iter().find(is_it)) {
            (Some(store), Some(owner)) => (store, owner.id),
            _ => (&Empty, NOBODY),
        };
        Ok(polls(&source.built, state, owner).await)
    })?;
    match polled {
        Ok(would) if json => {
            output::result(&as_json(&source.name, &would))?;
            Ok(code(&would))
        }
        Ok(would) => {
            tell(&source.name, &would)?;
            Ok(code(&would))
        }
        Err(failure) => {
            if json {
                output::result(&json!({ "failure": as_failure(&failure) }).to_string())?;
            }
            Err(Failed::plain(format!("the poll failed: {}", told(&failure))))
        }
    }
}

/// Polls as long as there is more, and takes what was written from the draft. Each poll sees what those before it
/// would have stored.
async fn polls(built: &BuiltSource, state: &dyn State, owner: OwnerId) -> Result<Would, Failure> {
    let limit = inboxclaw_runtime::Options::default().turn_timeout;
    let deadline = Instant::now() + limit;
    let mut draft =
        OpenTurn::open(state, owner, TurnId(SystemRandom.next())).await.map_err(Failure::internal)?;
    let mut problems: Vec<Failure> = Vec::new();
    let (polled, notices) = loop {
        let polled = match poll(built.source.as_ref(), &mut draft, deadline).await {
            None => {
                let message = format!("polling took longer than {} s and was dropped", limit.as_secs());
                Err(Failure::text(Class::Timeout, message))
            }
            Some(polled) => polled,
        };
        for problem in draft.take_problems() {
            // What does not work is told with every poll.
            if !problems.iter().any(|known| known.to_string() == problem.to_string()) {
                problems.push(problem);
            }
        }
        let notices = draft.take_notices();
        let turn = draft.turn_mut();
        let is_enough = turn.events.len() + turn.entries.len() >= ENOUGH || Instant::now() >= deadline;
        // A source without an interval may answer somebody outside when its turn is settled.
        if is_enough || built.interval.is_none() || !matches!(polled, Ok(Next::More)) {
            break (polled, notices);
        }
        built.source.settled(Settled::Committed);
    };
    let now = draft.now();
    let would = polled.map(|next| Would { now, problems, notices, turn: draft.turn_mut().clone(), next });
    drop(draft);
    built.source.settled(Settled::Dropped);
    would
}

/// Polls once; `None` when it takes too long.
async fn poll(
    source: &dyn Source,
    draft: &mut Draft<'_>,
    deadline: Instant,
) -> Option<Result<Next, Failure>> {
    let polled = AssertUnwindSafe(timeout_at(deadline, source.poll(draft))).catch_unwind().await;
    match polled {
        Ok(polled) => polled.ok(),
        Err(_) => Some(Err(Failure::text(Class::Internal, "the source panicked"))),
    }
}

/// A part that failed fails the test, as it makes the running source unhealthy.
fn code(would: &Would) -> u8 {
    if would.problems.is_empty() { exit::OK } else { exit::FAILED }
}

fn tell(name: &str, would: &Would) -> Result<(), Failed> {
    let turn = &would.turn;
    if turn.events.is_empty() {
        output::remark(&format!("source {name} has no new events now"));
    } else {
        let columns = ["EVENT", "ENTITY", "ID", "DATA"].map(|name| (name, Side::Left));
        let rows: Vec<[String; 4]> = turn.events.iter().map(cells).collect();
        Table::new(columns).rows(&rows)?;
    }
    let changes = changes(would);
    if changes.is_empty() {
        output::remark("the state would stay as it is");
    } else {
        if !turn.events.is_empty() {
            output::line("")?;
        }
        let columns = ["STATE", "KEY", "VALUE"].map(|name| (name, Side::Left));
        Table::new(columns).rows(&changes)?;
    }
    for problem in &would.problems {
        output::remark(&format!("problem: {}", told(problem)));
    }
    for notice in &would.notices {
        output::remark(&format!("note: {}", printable(&notice.to_string())));
    }
    if would.next == Next::More {
        output::remark("there is more: the running program would go on polling at once");
    }
    output::remark("nothing was stored");
    Ok(())
}

fn cells(event: &NewEvent) -> [String; 4] {
    [
        event.event_type.clone(),
        table::start(event.entity_id.as_deref().unwrap_or("-"), 60),
        table::start(&event.event_id, 60),
        table::start(event.data.as_str(), VALUE),
    ]
}

/// The state change, a row for each part of it.
fn changes(would: &Would) -> Vec<[String; 3]> {
    let turn = &would.turn;
    let mut rows = Vec::new();
    let mut row = |what: &str, key: &str, value: String| {
        rows.push([what.to_owned(), key.to_owned(), value]);
    };
    for prefix in &turn.deleted_prefixes {
        row("delete all", prefix, "every key that begins so".to_owned());
    }
    for (key, change) in &turn.entries {
        match change {
            EntryChange::Put { secret: true, .. } => row("put", key, "(secret)".to_owned()),
            EntryChange::Put { value, expiry, .. } => {
                let expires = expires(*expiry, would.now).map_or_else(String::new, |at| format!("{at}: "));
                row("put", key, format!("{expires}{}", table::start(value.as_str(), VALUE)));
            }
            EntryChange::Touch { expiry } => {
                row("touch", key, expires(*expiry, would.now).unwrap_or_else(|| "never expires".to_owned()));
            }
            EntryChange::Restore(entry) => row("put", key, table::start(entry.value.as_str(), VALUE)),
            EntryChange::Delete => row("delete", key, String::new()),
        }
    }
    for sweep in &turn.sweeps {
        row("sweep", &sweep.prefix, format!("what is from before {}", sweep.before));
    }
    match &turn.cursor {
        Some(Some(cursor)) => row("cursor", "", table::start(cursor, VALUE)),
        Some(None) => row("cursor", "", "cleared".to_owned()),
        None => {}
    }
    rows
}

/// When something is to expire; `None` for never, or as before.
fn expires(expiry: Expiry, now: Timestamp) -> Option<String> {
    expiry.resolve(now, None).map(|at| format!("expires {}", table::distance(at, now)))
}

fn as_json(name: &str, would: &Would) -> String {
    let turn = &would.turn;
    let mut events = String::new();
    for event in &turn.events {
        events.push_str(if events.is_empty() { "" } else { "," });
        write_envelope(&stored(name, event, would), Style::Compact, &mut events);
    }
    let raw = |value: &inboxclaw_contract::Json| RawValue::from_string(value.as_str().to_owned()).ok();
    let (mut put, mut deleted, mut touched) = (Vec::new(), Vec::new(), Vec::new());
    for (key, change) in &turn.entries {
        let until = |expiry: Expiry| expiry.resolve(would.now, None).map(|at| at.to_string());
        match change {
            EntryChange::Put { value, expiry, secret } => {
                let value = if *secret { None } else { raw(value) };
                let keep = *expiry == Expiry::Keep;
                put.push(Put { key, value, expires_at: until(*expiry), keep_expiry: keep, secret: *secret });
            }
            EntryChange::Restore(entry) => {
                let expires_at = entry.expires_at.map(|at| at.to_string());
                put.push(Put {
                    key,
                    value: raw(&entry.value),
                    expires_at,
                    keep_expiry: false,
                    secret: false,
                });
            }
            EntryChange::Touch { expiry } => {
                touched.push(json!({ "key": key, "expires_at": until(*expiry) }))
            }
            EntryChange::Delete => deleted.push(key),
        }
    }
    let put = serde_json::to_string(&put).unwrap_or_else(|_| "[]".to_owned());
    let sweeps: Vec<Value> = turn
        .sweeps
        .iter()
        .map(|sweep| json!({ "prefix": sweep.prefix, "by": sweep.by, "before": sweep.before.to_string() }))
        .collect();
    let cursor = turn.cursor.as_ref().map(|cursor| json!({ "cursor": cursor }));
    let problems: Vec<Value> = would.problems.iter().map(as_failure).collect();
    format!(
        "{{\"events\":[{events}],\"state\":{{\"put\":{put},\"deleted\":{},\"touched\":{},\"deleted_prefixes\":{},\
         \"swept\":{},\"cursor\":{}}},\"problems\":{},\"notices\":{},\"more\":{}}}",
        json!(deleted),
        json!(touched),
        json!(turn.deleted_prefixes),
        Value::from(sweeps),
        cursor.map_or(Value::Null, |cursor| cursor),
        Value::from(problems),
        Value::from(would.notices.as_slice()),
        would.next == Next::More,
    )
}

/// A key that would be put.
#[derive(serde::Serialize)]
struct Put<'a> {
    key: &'a str,
    value: Option<Box<RawValue>>,
    expires_at: Option<String>,
    keep_expiry: bool,
    secret: bool,
}

/// The event as it would leave the program, but for the numbers that storing it would give.
fn stored(name: &str, event: &NewEvent, would: &Would) -> Event {
    Event {
        seq: Seq(0),
        source: would.turn.owner,
        source_name: name.to_owned(),
        event_id: event.event_id.clone(),
        event_type: event.event_type.clone(),
        entity_id: event.entity_id.clone(),
        created_at: would.now,
        occurred_at: event.occurred_at,
        data: event.data.clone(),
        meta: event.meta.clone(),
    }
}

/// A failure in words, with what a person can do.
fn told(failure: &Failure) -> String {
    let action = failure.action.as_ref().map_or_else(String::new, |action| format!("; {action}"));
    printable(&format!("{}: {failure}{action}", failure.class)).into_owned()
}

fn as_failure(failure: &Failure) -> Value {
    json!({ "class": failure.class, "message": failure.to_string(), "action": failure.action })
}
