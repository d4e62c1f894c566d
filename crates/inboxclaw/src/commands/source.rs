//! `source` and `sink`: testing, pausing and resuming.

mod no_state;
mod sink_test;
mod test_run;

use std::path::Path;

use axum::http::Method;
use inboxclaw_config::Config;
use inboxclaw_contract::OwnerKind;
use inboxclaw_server::states::Paused;

use super::failed::Failed;
use super::state_client::{ApiRequest, StateClient};
use super::{client, configuration, output, response};
use crate::cli::{ConfigFile, Named, OwnerArg, Sink, SinkCommand, Source, SourceCommand, exit};

pub(super) fn source(args: &Source, json: bool) -> Result<u8, Failed> {
    let config = load(args.config.as_deref())?;
    match &args.command {
        SourceCommand::Test(named) => test_run::run(config, &of_kind(named, OwnerKind::Source)?, json),
        SourceCommand::Pause(named) => turn(&config, named, OwnerKind::Source, "pause", json),
        SourceCommand::Resume(named) => turn(&config, named, OwnerKind::Source, "resume", json),
    }
}

pub(super) fn sink(args: &Sink, json: bool) -> Result<u8, Failed> {
    let config = load(args.config.as_deref())?;
    match &args.command {
        SinkCommand::Test(test) => sink_test::run(config, test, &of_kind(&test.sink, OwnerKind::Sink)?, json),
        SinkCommand::Pause(named) => turn(&config, named, OwnerKind::Sink, "pause", json),
        SinkCommand::Resume(named) => turn(&config, named, OwnerKind::Sink, "resume", json),
    }
}

fn load(config: Option<&Path>) -> Result<Config, Failed> {
    configuration::load(&configuration::of_client(&ConfigFile { config: config.map(Path::to_owned) })?)
}

/// The name as one of this kind.
fn of_kind(named: &Named, kind: OwnerKind) -> Result<OwnerArg, Failed> {
    match named.name.kind {
        Some(other) if other != kind => {
            Err(Failed::new(exit::USAGE, format!("{:?} is a {other}, not a {kind}", named.name.name)))
        }
        _ => Ok(OwnerArg { kind: Some(kind), name: named.name.name.clone() }),
    }
}

/// Pauses or resumes.
fn turn(config: &Config, named: &Named, kind: OwnerKind, how: &str, json: bool) -> Result<u8, Failed> {
    let who = of_kind(named, kind)?;
    client::block_on(async {
        let (states, owner) = StateClient::change(config, &who).await?;
        let answer = response::whole(&states, ApiRequest::of(Method::POST, &owner, &[how])).await?;
        if json {
            output::result(answer.text()?.trim_end())?;
            return Ok(exit::OK);
        }
        let word = if answer.read::<Paused>()?.paused { "paused" } else { "not paused any more" };
        output::remark(&format!("{owner} is {word}"));
        Ok(exit::OK)
    })
}
