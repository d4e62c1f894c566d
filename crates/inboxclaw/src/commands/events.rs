//! `events`: the last events in the database, which is only read.

use std::sync::Arc;

use inboxclaw_config::Config;
use inboxclaw_contract::envelope::wire_time;
use inboxclaw_contract::store::Find;
use inboxclaw_contract::{Event, Housekeeping as _, Json, Log as _, Owner, OwnerKind};
use inboxclaw_settings::Patterns;
use inboxclaw_store::SqliteStore;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::failed::Failed;
use super::{client, configuration, output, state_client};
use crate::cli::{Events, OwnerArg, exit};
use crate::outside::SystemClock;

/// Most bytes of data and meta that are shown at once.
const BYTES: usize = 64 << 20;

/// An event as `--json` shows it.
#[derive(Serialize)]
struct Row<'a> {
    id: i64,
    event_id: &'a str,
    source: &'a str,
    event_type: &'a str,
    entity_id: Option<&'a str>,
    created_at: String,
    occurred_at: Option<String>,
    data: &'a Json,
    meta: &'a Json,
}

pub(super) fn run(args: &Events, json: bool) -> Result<u8, Failed> {
    let origin = configuration::of_client(&args.config)?;
    let config = configuration::load(&origin)?;
    let path = &config.database.path;
    let mut events = Vec::new();
    if path.exists() {
        let store = SqliteStore::read_only(path, Arc::new(SystemClock));
        let store = store.map_err(|error| Failed::plain(error.to_string()))?;
        let limit = usize::try_from(args.count).unwrap_or(i64::MAX as usize);
        let find = Find {
            patterns: args.event_type.as_deref().and_then(Patterns::selector),
            source: args.source.clone(),
            limit,
            bytes: BYTES,
            ..Find::default()
        };
        let found = client::block_on(async {
            if let Some(source) = &args.source {
                known(&config, &store, source).await?;
            }
            store.find(&find).await.map_err(|error| Failed::plain(error.to_string()))
        })?;
        let wanted = found.total.min(limit as u64);
        events = found.events;
        if (events.len() as u64) < wanted {
            output::remark(&format!(
                "only {} of {wanted}: more than 64 MiB are not shown at once",
                events.len()
            ));
        }
    } else {
        output::remark(&format!("there is no database at {} yet", path.display()));
    }
    if json {
        output::pretty(&events.iter().map(Row::of).collect::<Vec<_>>())?;
    } else if events.is_empty() {
        output::line("No published events found.")?;
    } else {
        output::line(&format!("=== Latest {} Published Events ===", events.len()))?;
        for event in &events {
            output::line(&text(event))?;
        }
    }
    Ok(exit::OK)
}

/// Says so when nobody has ever heard of that source: then no events mean nothing.
pub(super) async fn known(config: &Config, store: &SqliteStore, source: &str) -> Result<(), Failed> {
    let owners = store.owners().await.map_err(|error| Failed::plain(error.to_string()))?;
    let stored = owners.into_iter().map(|owner| Owner { kind: owner.kind, name: owner.name });
    let known: Vec<Owner> = state_client::configured(config).into_iter().chain(stored).collect();
    let who = OwnerArg { kind: Some(OwnerKind::Source), name: source.to_owned() };
    if let Err(unknown) = state_client::find(&dedup(known), &who) {
        output::remark(&unknown.message);
    }
    Ok(())
}

fn dedup(mut owners: Vec<Owner>) -> Vec<Owner> {
    owners.sort();
    owners.dedup();
    owners
}

impl<'a> Row<'a> {
    fn of(event: &'a Event) -> Self {
        Self {
            id: event.seq.0,
            event_id: &event.event_id,
            source: &event.source_name,
            event_type: &event.event_type,
            entity_id: event.entity_id.as_deref(),
            created_at: wire_time(event.created_at),
            occurred_at: event.occurred_at.map(wire_time),
            data: &event.data,
            meta: &event.meta,
        }
    }
}

fn text(event: &Event) -> String {
    let time = event.created_at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string();
    let entity = event.entity_id.as_deref().unwrap_or("N/A");
    format!("[{time}] {} | {} | {} | {entity}", event.event_id, event.source_name, event.event_type)
}
