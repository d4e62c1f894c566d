//! `replay`: events of the log that a sink is sent once more.

use axum::http::{Method, header};
use inboxclaw_server::states::{ReplayJob, StartReplay};

use super::deliveries::{load, look, sink};
use super::failed::Failed;
use super::state_client::{ApiRequest, StateClient};
use super::{client, output, response};
use crate::cli::{ReplayArgs, exit};

pub(super) fn run(args: &ReplayArgs, json: bool) -> Result<u8, Failed> {
    let config = load(args.config.as_deref())?;
    client::block_on(async {
        let name = match (&args.sink, &args.since) {
            (Some(name), Some(_)) => name,
            (Some(name), None) if args.end => name,
            (name, _) => {
                let states = look(&config, name.as_deref()).await?;
                return show(states.as_ref(), name.as_deref(), json).await;
            }
        };
        let (states, owner) = StateClient::change(&config, &sink(name)).await?;
        let request = match &args.since {
            Some(since) => start(args, &owner.name, since)?,
            None => ApiRequest::path(Method::DELETE, &["replays", &owner.name]),
        };
        let answer = response::whole(&states, request.long()).await?;
        if json {
            output::result(answer.text()?.trim_end())?;
            return Ok(exit::OK);
        }
        let job: ReplayJob = answer.read()?;
        if args.dry_run {
            output::line(&format!("{} would be sent to {name:?}", events(job.events)))?;
        } else {
            output::line(&told(&job))?;
        }
        Ok(exit::OK)
    })
}

fn start(args: &ReplayArgs, sink: &str, since: &str) -> Result<ApiRequest, Failed> {
    let wanted = StartReplay {
        sink: sink.to_owned(),
        since: since.to_owned(),
        until: args.until.clone(),
        event_type: args.event_type.clone(),
        dry_run: args.dry_run,
    };
    let body = serde_json::to_string(&wanted).map_err(|error| Failed::plain(error.to_string()))?;
    let request = ApiRequest::path(Method::POST, &["replays"]);
    Ok(request.header(header::CONTENT_TYPE, "application/json").body(body))
}

async fn show(states: Option<&StateClient>, name: Option<&str>, json: bool) -> Result<u8, Failed> {
    let mut jobs: Vec<ReplayJob> = Vec::new();
    if let Some(states) = states {
        let request = ApiRequest::path(Method::GET, &["replays"]);
        let request = if let Some(name) = name { request.with("sink", name) } else { request };
        jobs = response::whole(states, request).await?.read()?;
    }
    if json {
        output::pretty(&jobs)?;
        return Ok(exit::OK);
    }
    if jobs.is_empty() {
        output::remark("no replays");
    }
    jobs.iter().try_for_each(|job| output::line(&told(job)))?;
    Ok(exit::OK)
}

fn told(job: &ReplayJob) -> String {
    let state = if job.ended { "ended" } else { "running" };
    let (sink, replay, sent) = (&job.sink, job.replay, job.sent);
    format!("{sink}: replay {replay} {state}, {sent} of {} sent", events(job.events))
}

fn events(count: u64) -> String {
    format!("{count} {}", if count == 1 { "event" } else { "events" })
}
