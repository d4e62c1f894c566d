//! `status`: how the program and its database are doing, as far as it can be seen from here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use inboxclaw_config::Config;
use inboxclaw_contract::envelope::wire_time;
use inboxclaw_contract::sinks::{COUNTED, Lapse, SinkDebts};
use inboxclaw_contract::store::{Find, NEAR, OwnerInfo, share};
use inboxclaw_contract::{
    Clock as _, Coalescing as _, Housekeeping as _, Log as _, OwnerId, OwnerKind, Sinks as _, printable,
};
use inboxclaw_server::states::Configured;
use inboxclaw_store::SqliteStore;
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::client::{self, Client};
use super::failed::Failed;
use super::healthcheck::{text, unwell};
use super::{configuration, output, table};
use crate::cli::{ConfigFile, exit};
use crate::outside::SystemClock;

/// How long the program may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Most characters of a cursor that are shown.
const CURSOR: usize = 60;
/// The source and connector of the program's own events.
const INTERNAL: &str = inboxclaw_contract::limits::INTERNAL_SOURCE;

/// What the database holds.
struct Stats {
    owners: Vec<OwnerInfo>,
    /// Those that a person stopped.
    paused: HashSet<OwnerId>,
    /// Those that rest after a failure, and until when.
    resting: HashMap<OwnerId, Timestamp>,
    events: u64,
    /// Those that are collected and not in the log yet.
    pending: u64,
    /// What the sinks owe, and what left that without their consumers' yes.
    debts: Vec<SinkDebts>,
    lapses: Vec<Lapse>,
}

pub(super) fn run(args: &ConfigFile, json: bool) -> Result<u8, Failed> {
    let origin = configuration::of_client(args)?;
    let config = configuration::load(&origin)?;
    let client = Client::new(&config)?;
    let url = client.url(&["healthcheck"], &[]);
    let shown = url.to_string();
    let health = client::block_on(async { Ok(client.fetch(Method::GET, &url, TIMEOUT).await) })?;
    let (answer, health) = match health {
        Ok(answer) => match serde_json::from_str::<Json>(&answer.body) {
            Ok(health) if matches!(answer.status, 200 | 503) => (text(&health, "status").to_owned(), health),
            _ => (format!("Error {}", answer.status), Json::Null),
        },
        Err(error) => (format!("Unreachable ({})", error.0), Json::Null),
    };
    let stats = client::block_on(stats(&config));
    if json {
        output::pretty(&as_json(&config, &shown, &answer, &health, &stats))?;
    } else {
        tell(&config, &shown, &answer, &health, &stats)?;
    }
    Ok(exit::OK)
}

/// Reads the database, if there is one.
async fn stats(config: &Config) -> Result<Stats, Failed> {
    let path = &config.database.path;
    if !path.exists() {
        return Err(Failed::plain(format!("there is no database at {} yet", path.display())));
    }
    let failed = |error: &dyn std::fmt::Display| Failed::plain(error.to_string());
    let store = SqliteStore::read_only(path, Arc::new(SystemClock)).map_err(|error| failed(&error))?;
    let owners = store.owners().await.map_err(|error| failed(&error))?;
    let (mut paused, mut resting) = (HashSet::new(), HashMap::new());
    for owner in &owners {
        let facts = store.facts(owner.id).await.map_err(|error| failed(&error))?;
        if facts.paused {
            paused.insert(owner.id);
        }
        resting.extend(facts.next_at.map(|at| (owner.id, at)));
    }
    let found = store.find(&Find { limit: 1, ..Find::default() }).await.map_err(|error| failed(&error))?;
    let debts = store.debts().await.map_err(|error| failed(&error))?;
    let lapses = store.lapses().await.map_err(|error| failed(&error))?;
    let pending = store.pending_counts().await.map_err(|error| failed(&error))?;
    let pending = pending.iter().map(|of_source| of_source.count).sum();
    Ok(Stats { owners, paused, resting, events: found.total, pending, debts, lapses })
}

fn tell(
    config: &Config,
    url: &str,
    answer: &str,
    health: &Json,
    stats: &Result<Stats, Failed>,
) -> Result<(), Failed> {
    output::line("=== Inboxclaw Status ===")?;
    output::line("")?;
    output::line("[Healthcheck]")?;
    output::line(&format!("Endpoint {url}: {answer}"))?;
    unwell(health).iter().try_for_each(|line| output::line(line))?;
    let store = health.get("store").map_or("", |store| text(store, "message"));
    if !store.is_empty() {
        output::line(&format!("Store: {store}"))?;
    }
    output::line("")?;
    output::line("[Version Info]")?;
    output::line(&format!("Version: {}", env!("CARGO_PKG_VERSION")))?;
    output::line("")?;
    output::line("[Database Stats]")?;
    let stats = match stats {
        Ok(stats) => stats,
        Err(error) => {
            output::line(&error.message)?;
            return Ok(());
        }
    };
    output::line(&format!(
        "Sources: {} configured, {} in database",
        config.sources.len(),
        sources(stats).count()
    ))?;
    let sinks = stats.owners.iter().filter(|owner| owner.kind == OwnerKind::Sink).count();
    output::line(&format!("Sinks: {} configured, {sinks} in database", config.sinks.len()))?;
    output::line(&format!("Total events in DB: {}", stats.events))?;
    output::line(&format!("Pending (coalescing) events: {}", stats.pending))?;
    output::line("")?;
    output::line("[Sources Detail]")?;
    for owner in stats.owners.iter().filter(|owner| owner.kind == OwnerKind::Source) {
        source(config, stats, owner, health).iter().try_for_each(|line| output::line(line))?;
    }
    if sinks > 0 {
        output::line("\n[Sinks Detail]")?;
    }
    for owner in stats.owners.iter().filter(|owner| owner.kind == OwnerKind::Sink) {
        output::line(&sink(config, stats, owner, health))?;
    }
    let store = health.get("store").unwrap_or(&Json::Null);
    if !text(store, "message").is_empty() {
        output::line(&format!(" WARNING the store: {}", printable(text(store, "message"))))?;
        output::line(&format!("     what to do: {}", printable(text(store, "action"))))?;
    }
    for warning in filling(config, stats) {
        output::line(&format!(" WARNING {warning}"))?;
    }
    let new: Vec<&str> = pending(config, stats);
    if !new.is_empty() {
        output::line("")?;
        output::line("[Sources Pending Initialization]")?;
        for name in new {
            output::line(&format!(" {name}"))?;
        }
    }
    Ok(())
}

/// The line of a source in the database, and beneath it what is wrong and what can be done.
fn source(config: &Config, stats: &Stats, owner: &OwnerInfo, health: &Json) -> Vec<String> {
    if owner.name == INTERNAL {
        return vec![format!(" [Internal] {INTERNAL} ({})", owner.connector)];
    }
    let active = config.sources.iter().any(|source| source.name == owner.name);
    let cursor: String = owner.cursor.as_deref().unwrap_or("None").chars().take(CURSOR).collect();
    let state = if active { "Active" } else { "Inactive" };
    let (name, kind, entries) = (&owner.name, &owner.connector, owner.entries);
    let paused = if stats.paused.contains(&owner.id) { ", paused" } else { "" };
    let mut line = format!(" [{state}] {name} ({kind}): cursor={cursor}, entries={entries}{paused}");
    let mut more = Vec::new();
    let rows = health.get("sources").and_then(Json::as_array);
    if let Some(row) = rows.into_iter().flatten().find(|row| text(row, "name") == owner.name) {
        let code = text(row, "code");
        let code = if code.is_empty() { String::new() } else { format!(" ({code})") };
        line.push_str(&format!(", health={}{code}", text(row, "status")));
        if let Some(pending) = row.get("pending_failure").filter(|pending| pending.is_object()) {
            let count = |key: &str| pending.get(key).and_then(Json::as_u64).unwrap_or(0);
            let (failed, needed) = (count("consecutive_failures"), count("required_failures"));
            line.push_str(&format!(", pending={} {failed}/{needed}", text(pending, "code")));
        }
        for (word, key) in [("", "message"), ("what to do: ", "action")] {
            match text(row, key) {
                "" => {}
                said => more.push(format!("     {word}{said}")),
            }
        }
    }
    let now = SystemClock.now();
    if let Some(at) = stats.resting.get(&owner.id).filter(|at| **at > now) {
        more.push(format!("     next try: {} ({at})", table::distance(*at, now)));
    }
    more.insert(0, line);
    more
}

/// The line of a sink in the database, and beneath it what there is to know.
fn sink(config: &Config, stats: &Stats, owner: &OwnerInfo, health: &Json) -> String {
    let state = if config.sinks.iter().any(|sink| sink.name == owner.name) { "Active" } else { "Inactive" };
    let mut line = format!(" [{state}] {} ({})", owner.name, owner.connector);
    if let Some(debts) = stats.debts.iter().find(|debts| debts.sink == owner.id) {
        let (count, more) = Owed::of(debts).shown();
        line.push_str(&format!(": owes={count}{more}"));
        if let Some(oldest) = debts.types.iter().map(|debt| debt.oldest.1).min() {
            line.push_str(&format!(" since {}", wire_time(oldest)));
        }
    }
    let deliveries = stats.debts.iter().find(|debts| debts.sink == owner.id).map(|debts| debts.deliveries);
    let deliveries = deliveries.unwrap_or_default();
    for (word, count) in [
        ("waiting", deliveries.waiting),
        ("dead", deliveries.dead),
        ("expired", expired(stats, owner.id)),
        ("dropped", dropped(stats, owner.id)),
    ] {
        if count > 0 {
            line.push_str(&format!(", {word}={count}"));
        }
    }
    if stats.paused.contains(&owner.id) {
        line.push_str(", paused");
    }
    let rows = health.get("sinks").and_then(Json::as_array);
    if let Some(row) = rows.into_iter().flatten().find(|row| text(row, "name") == owner.name) {
        line.push_str(&format!(", health={}", text(row, "status")));
        for (word, key) in [("", "message"), ("what to do: ", "action")] {
            match text(row, key) {
                "" => {}
                said => line.push_str(&format!("\n     {word}{}", printable(said))),
            }
        }
    }
    line
}

/// How many events a sink owes.
struct Owed {
    count: u64,
    /// Whether there are more than were counted.
    more: bool,
}

impl Owed {
    fn of(debts: &SinkDebts) -> Self {
        let count = debts.types.iter().map(|debt| debt.count).sum();
        Self { count, more: debts.types.iter().any(|debt| debt.count >= COUNTED) }
    }

    fn shown(&self) -> (u64, &'static str) {
        (self.count, if self.more { " or more" } else { "" })
    }
}

/// How many events of a sink outlived their time to live unconfirmed.
fn expired(stats: &Stats, sink: OwnerId) -> u64 {
    stats.lapses.iter().filter(|lapse| lapse.sink == sink).map(|lapse| lapse.expired).sum()
}

/// How many events retention removed although a sink owed them.
fn dropped(stats: &Stats, sink: OwnerId) -> u64 {
    stats.lapses.iter().filter(|lapse| lapse.sink == sink).map(|lapse| lapse.dropped).sum()
}

/// A sentence for each state that comes near to a limit.
fn filling(config: &Config, stats: &Stats) -> Vec<String> {
    let mut near = Vec::new();
    for Configured { owner, policy, .. } in config.owners() {
        let is_it = |info: &&OwnerInfo| info.kind == owner.kind && info.name == owner.name;
        let Some(info) = stats.owners.iter().find(is_it) else { continue };
        for (used, limit, what, key) in [
            (info.entries, policy.max_entries, "entries", "max_entries"),
            (info.bytes, policy.max_bytes, "bytes", "max_bytes"),
        ] {
            if let Some(percent) = share(used, limit).filter(|percent| *percent >= NEAR) {
                let limit = limit.unwrap_or_default();
                near.push(format!("{owner}: {used} of {limit} {what} of state ({percent} % of state.{key})"));
            }
        }
    }
    near
}

fn sources(stats: &Stats) -> impl Iterator<Item = &OwnerInfo> {
    stats.owners.iter().filter(|owner| owner.kind == OwnerKind::Source && owner.name != INTERNAL)
}

/// Sources of the file that have never run.
fn pending<'a>(config: &'a Config, stats: &Stats) -> Vec<&'a str> {
    let known = |name: &str| sources(stats).any(|owner| owner.name == name);
    config.sources.iter().map(|source| source.name.as_str()).filter(|name| !known(name)).collect()
}

fn as_row(stats: &Stats, owner: &OwnerInfo) -> Json {
    let mut row = json!({ "kind": owner.kind, "name": owner.name, "type": owner.connector, "version": owner.version.0,
        "entries": owner.entries, "bytes": owner.bytes, "paused": stats.paused.contains(&owner.id) });
    if let Some(debts) = stats.debts.iter().find(|debts| debts.sink == owner.id) {
        let owed = Owed::of(debts);
        let oldest = debts.types.iter().map(|debt| debt.oldest.1).min();
        row["owed"] = json!({ "count": owed.count, "more": owed.more, "oldest": oldest.map(wire_time) });
    }
    if owner.kind == OwnerKind::Sink {
        row["expired"] = expired(stats, owner.id).into();
        row["dropped"] = dropped(stats, owner.id).into();
    }
    row
}

fn as_json(config: &Config, url: &str, answer: &str, health: &Json, stats: &Result<Stats, Failed>) -> Json {
    let database = match stats {
        Ok(stats) => {
            let owners = stats.owners.iter().map(|owner| as_row(stats, owner));
            let filling = filling(config, stats);
            json!({ "events": stats.events, "pending_events": stats.pending, "owners": owners.collect::<Vec<_>>(), "pending": pending(config, stats), "warnings": filling })
        }
        Err(error) => json!({ "error": error.message }),
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "endpoint": url,
        "status": answer,
        "health": health,
        "database_path": config.database.path,
        "database": database,
    })
}
