//! `deliveries`: what sinks owe out of order, and what people do with it.

use std::path::Path;

use axum::http::Method;
use inboxclaw_config::Config;
use inboxclaw_contract::{Clock as _, OwnerKind};
use inboxclaw_server::states::{ChangedDeliveries, DeliveryWord, OriginWord, OwedDelivery};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::failed::Failed;
use super::state_client::{ApiRequest, StateClient};
use super::table::{self, Side, Table};
use super::{client, configuration, output, response};
use crate::cli::{
    ChangeDeliveries, ConfigFile, Deliveries, DeliveriesCommand, DeliveryFilter, ListDeliveries, OwnerArg,
    ShowDelivery, exit,
};
use crate::outside::SystemClock;

/// Most deliveries of one answer.
const PAGE: u64 = 1_000;
/// Most characters of an error that are looked at for a table.
const ERROR: usize = 400;

pub(super) fn run(args: &Deliveries, json: bool) -> Result<u8, Failed> {
    let config = load(args.config.as_deref())?;
    client::block_on(async {
        match &args.command {
            DeliveriesCommand::List(args) => list(&config, args, json).await,
            DeliveriesCommand::Show(args) => show(&config, args, json).await,
            DeliveriesCommand::Retry(args) => change(&config, args, "retry", json).await,
            DeliveriesCommand::Drop(args) => change(&config, args, "drop", json).await,
        }
    })
}

pub(super) fn load(config: Option<&Path>) -> Result<Config, Failed> {
    configuration::load(&configuration::of_client(&ConfigFile { config: config.map(Path::to_owned) })?)
}

/// The sink of that name.
pub(super) fn sink(name: &str) -> OwnerArg {
    OwnerArg { kind: Some(OwnerKind::Sink), name: name.to_owned() }
}

/// The client for a look at one sink or all; `None` where there is nothing to see yet.
pub(super) async fn look(config: &Config, name: Option<&str>) -> Result<Option<StateClient>, Failed> {
    match name {
        Some(name) => Ok(StateClient::look(config, &sink(name)).await?.states),
        None => StateClient::survey(config).await,
    }
}

/// The client for a change of one sink or all.
async fn change_client(config: &Config, name: Option<&str>) -> Result<StateClient, Failed> {
    match name {
        Some(name) => Ok(StateClient::change(config, &sink(name)).await?.0),
        None if !config.database.path.exists() => {
            Err(Failed::plain(format!("there is no database at {} yet", config.database.path.display())))
        }
        None => StateClient::hold(config).await,
    }
}

fn filtered(request: ApiRequest, filter: &DeliveryFilter) -> ApiRequest {
    let DeliveryFilter { sink, state, event_type, older_than, younger_than } = filter;
    let parameters = [
        ("sink", sink.clone()),
        ("state", state.map(|state| state.as_str().to_owned())),
        ("event_type", event_type.clone()),
        ("older_than", older_than.as_ref().map(ToString::to_string)),
        ("younger_than", younger_than.as_ref().map(ToString::to_string)),
    ];
    parameters.into_iter().fold(request, |request, (name, value)| match value {
        Some(value) => request.with(name, value),
        None => request,
    })
}

async fn list(config: &Config, args: &ListDeliveries, json: bool) -> Result<u8, Failed> {
    let mut rows: Vec<OwedDelivery> = Vec::new();
    if let Some(states) = look(config, args.filter.sink.as_deref()).await? {
        let mut left = args.limit;
        loop {
            let most = left.min(PAGE);
            let mut request = filtered(ApiRequest::path(Method::GET, &["deliveries"]), &args.filter);
            request = request.with("limit", most.to_string());
            if let Some(last) = rows.last() {
                request = request.with("after", format!("{}/{}", last.sink, last.id));
            }
            let found: Vec<OwedDelivery> = response::whole(&states, request).await?.read()?;
            let count = found.len() as u64;
            rows.extend(found);
            left -= count.min(left);
            if count < most || left == 0 {
                break;
            }
        }
    }
    if json {
        output::pretty(&rows)?;
        return Ok(exit::OK);
    }
    if rows.is_empty() {
        output::remark("no deliveries");
        return Ok(exit::OK);
    }
    let now = SystemClock.now();
    let cells: Vec<[String; 7]> = rows.iter().map(|row| cells(row, now)).collect();
    let (left, right) = (|name| (name, Side::Left), |name| (name, Side::Right));
    let columns = [
        left("SINK"),
        right("ID"),
        left("TYPE"),
        left("STATE"),
        left("DUE"),
        right("ATTEMPTS"),
        left("ERROR"),
    ];
    Table::new(columns).rows(&cells)?;
    if rows.len() as u64 >= args.limit {
        output::remark(&format!("these are the first {}; --limit shows more", args.limit));
    }
    Ok(exit::OK)
}

fn cells(row: &OwedDelivery, now: Timestamp) -> [String; 7] {
    [
        row.sink.clone(),
        row.id.to_string(),
        row.event_type.clone(),
        state(row).to_owned(),
        table::distance(row.due.0, now),
        row.attempts.to_string(),
        table::start(row.error.as_deref().unwrap_or_default(), ERROR),
    ]
}

const fn state(row: &OwedDelivery) -> &'static str {
    match row.state {
        DeliveryWord::Waiting => "waiting",
        DeliveryWord::Dead => "dead",
    }
}

async fn show(config: &Config, args: &ShowDelivery, json: bool) -> Result<u8, Failed> {
    #[derive(Deserialize)]
    struct Shown<'a> {
        #[serde(borrow)]
        event: &'a RawValue,
    }
    let id = args.id.to_string();
    let nothing = || Failed::plain(format!("the sink {:?} has no delivery of the event {id}", args.sink));
    let states = look(config, Some(&args.sink)).await?.ok_or_else(nothing)?;
    let request = ApiRequest::path(Method::GET, &["deliveries", &args.sink, &id]);
    let answer = response::whole(&states, request).await?;
    if json {
        output::result(answer.text()?.trim_end())?;
        return Ok(exit::OK);
    }
    let row: OwedDelivery = answer.read()?;
    let now = SystemClock.now();
    let due = format!("{} ({})", row.due.0, table::distance(row.due.0, now));
    output::line(&format!("sink: {}", row.sink))?;
    output::line(&match row.state {
        DeliveryWord::Waiting => format!("state: waiting, due {due}"),
        DeliveryWord::Dead => format!("state: dead since {due}"),
    })?;
    output::line(&format!("attempts: {}", row.attempts))?;
    if let Some(tried_at) = row.tried_at {
        output::line(&format!("first attempt: {} ({})", tried_at.0, table::distance(tried_at.0, now)))?;
    }
    if let Some(error) = &row.error {
        output::line(&format!("error: {error}"))?;
    }
    match (row.origin, row.replay) {
        (OriginWord::Retry, _) => output::line("origin: a dead letter that a person retried")?,
        (OriginWord::Replay, Some(replay)) => output::line(&format!("origin: replay {replay}"))?,
        _ => {}
    }
    output::line("event:")?;
    output::pretty(&answer.read::<Shown<'_>>()?.event)?;
    Ok(exit::OK)
}

async fn change(config: &Config, args: &ChangeDeliveries, action: &str, json: bool) -> Result<u8, Failed> {
    let DeliveryFilter { sink, state, event_type, older_than, younger_than } = &args.filter;
    let narrows =
        [sink.is_some(), state.is_some(), event_type.is_some(), older_than.is_some(), younger_than.is_some()];
    if !args.all && !narrows.contains(&true) {
        let message = format!(
            "say which deliveries: `inboxclaw deliveries {action} --sink SINK [ID]...`, --type, --state, --older-than, \
             --younger-than, or --all for all dead letters"
        );
        return Err(Failed::new(exit::USAGE, message));
    }
    let states = change_client(config, sink.as_deref()).await?;
    let mut changed = ChangedDeliveries::default();
    if args.ids.is_empty() {
        let request = ApiRequest::path(Method::POST, &["deliveries", action]).flag("all", args.all).long();
        changed = response::whole(&states, filtered(request, &args.filter)).await?.read()?;
    } else {
        let sink = sink.as_deref().unwrap_or_default();
        for id in &args.ids {
            let request = ApiRequest::path(Method::POST, &["deliveries", sink, &id.to_string(), action]);
            changed.add(response::whole(&states, request).await?.read()?);
        }
    }
    if json {
        output::pretty(&changed)?;
        return Ok(exit::OK);
    }
    let deliveries = if changed.count == 1 { "delivery" } else { "deliveries" };
    let done = if action == "retry" { "to be tried again at once" } else { "dropped" };
    let sinks: Vec<String> = changed.sinks.iter().map(|(sink, count)| format!("{sink} {count}")).collect();
    let sinks = if sinks.is_empty() { String::new() } else { format!(" ({})", sinks.join(", ")) };
    output::line(&format!("{} {deliveries} {done}{sinks}", changed.count))?;
    Ok(exit::OK)
}
