//! `clock`: how the clock stands, and a person's word that it is right.

use std::path::PathBuf;

use inboxclaw_server::clock::ClockAnswer;

use super::door::{Ask, Door};
use super::{Failed, answer, client, output, place};
use crate::cli::{ClockArgs, ClockCommand, ConfigFile, exit};

pub(super) fn run(args: &ClockArgs, json: bool) -> Result<u8, Failed> {
    let config = place::load(&place::of_client(&ConfigFile { config: args.config.clone() })?)?;
    let path: &PathBuf = &config.database.path;
    let accepts = matches!(args.command, ClockCommand::Accept);
    client::block_on(async {
        let none = || Failed::plain(format!("there is no database at {} yet", path.display()));
        let door = match args.command {
            ClockCommand::Show => Door::survey(&config).await?.ok_or_else(none)?,
            ClockCommand::Accept if !path.exists() => return Err(none()),
            ClockCommand::Accept => Door::hold(&config).await?,
        };
        let clock = match &door {
            Door::Here(here) => here.clock(accepts).await?,
            Door::There(_) => answer::whole(&door, Ask::clock(accepts)).await?.read::<ClockAnswer>()?,
        };
        if json {
            output::pretty(&serde_json::to_value(&clock).unwrap_or_default())?;
        } else {
            output::line(&clock.told())?;
        }
        Ok(exit::OK)
    })
}
