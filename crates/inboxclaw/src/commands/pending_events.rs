//! `pending-events`: shows the events that are collected and not in the log yet, stores them now, or drops them.

use std::sync::Arc;

use inboxclaw_config::Config;
use inboxclaw_contract::coalesce::{PendingChoice, PendingEnd, PendingQuery, Strategy};
use inboxclaw_contract::envelope::wire_time;
use inboxclaw_contract::{Coalescing as _, Json, Pending};
use inboxclaw_server::pending::{EndedAnswer, Seconds};
use inboxclaw_settings::Patterns;
use inboxclaw_store::SqliteStore;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::failed::Failed;
use super::state_client::{ApiRequest, StateClient};
use super::{client, configuration, events, output, response};
use crate::cli::{ConfigFile, EndPending, PendingCommand, PendingEvents, WhichPending, exit};
use crate::outside::SystemClock;

/// Most bytes of data and meta that are shown at once.
const BYTES: usize = 64 << 20;

/// A pending event as `--json` shows it.
#[derive(Serialize)]
struct Row<'a> {
    id: i64,
    source: &'a str,
    event_type: &'a str,
    entity_id: &'a str,
    data: &'a Json,
    meta: &'a Json,
    count: u64,
    first_seen_at: String,
    last_seen_at: String,
    flush_at: String,
    strategy: Strategy,
    window_seconds: Seconds,
}

pub(super) fn run(args: &PendingEvents, json: bool) -> Result<u8, Failed> {
    let config =
        configuration::load(&configuration::of_client(&ConfigFile { config: args.config.clone() })?)?;
    match args.command {
        None => show(&config, args, json),
        Some(PendingCommand::Flush(how)) => end(&config, &args.which, how, PendingEnd::Flush, json),
        Some(PendingCommand::Drop(how)) => end(&config, &args.which, how, PendingEnd::Drop, json),
    }
}

fn show(config: &Config, args: &PendingEvents, json: bool) -> Result<u8, Failed> {
    let path = &config.database.path;
    let mut found = Vec::new();
    if path.exists() {
        let store = SqliteStore::read_only(path, Arc::new(SystemClock));
        let store = store.map_err(|error| Failed::plain(error.to_string()))?;
        let limit = usize::try_from(args.count).unwrap_or(usize::MAX);
        let query = PendingQuery { choice: choice(&args.which), limit, offset: 0, bytes: BYTES };
        let page = client::block_on(async {
            if let Some(source) = &args.which.source {
                events::known(config, &store, source).await?;
            }
            store.pending(&query).await.map_err(|error| Failed::plain(error.to_string()))
        })?;
        let wanted = page.total.min(limit as u64);
        found = page.events;
        if (found.len() as u64) < wanted {
            let shown = found.len();
            output::remark(&format!("only {shown} of {wanted}: more than 64 MiB are not shown at once"));
        }
    } else {
        output::remark(&format!("there is no database at {} yet", path.display()));
    }
    if json {
        output::pretty(&found.iter().map(Row::of).collect::<Vec<_>>())?;
    } else if found.is_empty() {
        output::line("No pending events found.")?;
    } else {
        output::line(&format!("=== Latest {} Pending Events ===", found.len()))?;
        found.iter().try_for_each(|pending| output::line(&text(pending)))?;
    }
    Ok(exit::OK)
}

/// Flushes or drops: through the running program, or by holding the database for a moment.
fn end(
    config: &Config,
    which: &WhichPending,
    how: EndPending,
    end: PendingEnd,
    json: bool,
) -> Result<u8, Failed> {
    let choice = choice(which);
    if choice == PendingChoice::default() && !how.all {
        let message = "say which pending events: --source, --event-type, --entity, or --all";
        return Err(Failed::new(exit::USAGE, message));
    }
    let path = &config.database.path;
    if !path.exists() {
        return Err(Failed::plain(format!("there is no database at {} yet", path.display())));
    }
    let word = match end {
        PendingEnd::Flush => "flush",
        PendingEnd::Drop => "drop",
    };
    let ended = client::block_on(async {
        let states = StateClient::hold(config).await?;
        match &states {
            StateClient::Local(here) => here.end_pending(&choice, end).await,
            StateClient::Remote(_) => {
                let request = ApiRequest::end_pending(word);
                let asked = [
                    ("source_name", &which.source),
                    ("event_type", &which.event_type),
                    ("entity_id", &which.entity),
                ];
                let request = asked.into_iter().fold(request, |request, (name, value)| match value {
                    Some(value) => request.with(name, value),
                    None => request,
                });
                response::whole(&states, request.flag("all", how.all).long()).await?.read::<EndedAnswer>()
            }
        }
    })?;
    if json {
        output::pretty(&ended)?;
    } else {
        let done = if end == PendingEnd::Flush { "stored" } else { "dropped" };
        output::line(&format!("{} pending events {done}", ended.events))?;
    }
    Ok(exit::OK)
}

fn choice(which: &WhichPending) -> PendingChoice {
    PendingChoice {
        source: which.source.clone(),
        patterns: which.event_type.as_deref().and_then(Patterns::selector),
        entity: which.entity.clone(),
    }
}

impl<'a> Row<'a> {
    fn of(pending: &'a Pending) -> Self {
        Self {
            id: pending.id,
            source: &pending.source_name,
            event_type: &pending.event_type,
            entity_id: &pending.entity_id,
            data: &pending.data,
            meta: &pending.meta,
            count: pending.count,
            first_seen_at: wire_time(pending.first_seen_at),
            last_seen_at: wire_time(pending.last_seen_at),
            flush_at: wire_time(pending.flush_at),
            strategy: pending.strategy,
            window_seconds: Seconds(pending.window),
        }
    }
}

fn text(pending: &Pending) -> String {
    let time = |at: Timestamp, form: &str| at.to_zoned(TimeZone::UTC).strftime(form).to_string();
    let Pending { source_name, event_type, entity_id, count, .. } = pending;
    format!(
        "[{}] {source_name} | {event_type} | {entity_id} (Count: {count}, Flush at: {})",
        time(pending.last_seen_at, "%Y-%m-%d %H:%M:%S"),
        time(pending.flush_at, "%H:%M:%S")
    )
}
