//! `clock`: how the clock stands, and a person's word that it is right.

use std::path::PathBuf;

use inboxclaw_server::clock::ClockAnswer;

use super::failed::Failed;
use super::state_client::{ApiRequest, StateClient};
use super::{client, configuration, output, response};
use crate::cli::{ClockArgs, ClockCommand, ConfigFile, exit};

pub(super) fn run(args: &ClockArgs, json: bool) -> Result<u8, Failed> {
    let config =
        configuration::load(&configuration::of_client(&ConfigFile { config: args.config.clone() })?)?;
    let path: &PathBuf = &config.database.path;
    let accepts = matches!(args.command, ClockCommand::Accept);
    client::block_on(async {
        let none = || Failed::plain(format!("there is no database at {} yet", path.display()));
        let states = match args.command {
            ClockCommand::Show => StateClient::survey(&config).await?.ok_or_else(none)?,
            ClockCommand::Accept if !path.exists() => return Err(none()),
            ClockCommand::Accept => StateClient::hold(&config).await?,
        };
        let clock = match &states {
            StateClient::Local(here) => here.clock(accepts).await?,
            StateClient::Remote(_) => {
                response::whole(&states, ApiRequest::clock(accepts)).await?.read::<ClockAnswer>()?
            }
        };
        if json {
            output::pretty(&serde_json::to_value(&clock).unwrap_or_default())?;
        } else {
            output::line(&clock.told())?;
        }
        Ok(exit::OK)
    })
}
