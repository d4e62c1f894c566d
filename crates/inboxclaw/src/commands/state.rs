//! `state`: looking into the states of sources and sinks, and changing them. Who asks what; the work is done behind
//! the [`StateClient`], by the routes of the server.
//!
//! `look` reads, `change` and `edit` write single things, `carry` moves whole states, `past` goes back in time, `watch`
//! follows.

mod change;
mod edit;
mod history;
mod job;
mod read;
mod transfer;
mod watch;

use self::job::Job;
use super::failed::Failed;
use super::{client, configuration};
use crate::cli::{ConfigFile, State, StateCommand};

pub(super) fn run(args: &State, json: bool) -> Result<u8, Failed> {
    let origin = configuration::of_client(&ConfigFile { config: args.config.clone() })?;
    let config = configuration::load(&origin)?;
    let job = Job { config: &config, json };
    client::block_on(async {
        match &args.command {
            StateCommand::Owners => read::owners(&job).await,
            StateCommand::List(args) => read::list(&job, args).await,
            StateCommand::Get(args) => read::get(&job, args).await,
            StateCommand::Set(args) => change::set(&job, args).await,
            StateCommand::Edit(args) => edit::run(&job, args).await,
            StateCommand::Delete(args) => change::delete(&job, args).await,
            StateCommand::Cursor(args) => change::cursor(&job, args).await,
            StateCommand::Export(args) => transfer::export(&job, args).await,
            StateCommand::Import(args) => transfer::import(&job, args).await,
            StateCommand::Copy(args) => transfer::copy(&job, args).await,
            StateCommand::Move(args) => transfer::rename(&job, args).await,
            StateCommand::History(args) => history::history(&job, args).await,
            StateCommand::Undo(args) => history::undo(&job, args).await,
            StateCommand::Rewind(args) => history::rewind(&job, args).await,
            StateCommand::Watch(args) => watch::run(&job, args).await,
            StateCommand::Forget(args) => change::forget(&job, args).await,
        }
    })
}
