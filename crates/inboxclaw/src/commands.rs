//! What the commands do, one file each. Here: who does what.

mod check;
mod client;
mod clock;
mod configuration;
mod database;
mod deliveries;
mod events;
mod failed;
mod google;
mod healthcheck;
mod init;
mod listen;
mod output;
mod pending_events;
mod pull;
mod replay;
mod response;
mod schema;
mod source;
mod state;
mod state_client;
mod stats;
mod status;
mod store;
mod subscribe;
mod table;

use clap::error::{ContextKind, ContextValue, ErrorKind};
pub use schema::pages;

use self::failed::Failed;
use crate::cli::{Cli, Command, State, StateCommand, exit, of_forerunner};
use crate::logging;
use crate::outside::SystemRandom;

/// Does what the command line asks for; returns the exit code. Errors are told on standard error.
pub fn run(mut cli: Cli) -> u8 {
    let before = cli.config.take();
    if let Some(config) = cli.config_mut() {
        // The one behind the command is the nearer one.
        *config = config.take().or(before);
    }
    let default = if matches!(cli.command, Command::Listen(_)) { "info" } else { "warn" };
    if let Err(message) = logging::start(cli.log_level.as_deref(), default) {
        output::complain(&message);
        return exit::USAGE;
    }
    let json = cli.json;
    let no_random = |error| Failed::plain(format!("the operating system gives no randomness: {error}"));
    match SystemRandom::check().map_err(no_random).and_then(|()| dispatch(cli.command, json)) {
        Ok(code) => code,
        Err(failed) => {
            tell(&failed, json);
            failed.code
        }
    }
}

/// Says what is wrong with a command line, or gives the help that was asked for; returns the exit code.
pub fn misused(error: clap::Error) -> u8 {
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(ContextValue::String(command)) = error.get(ContextKind::InvalidSubcommand)
        && let Some(message) = of_forerunner(command)
    {
        output::complain(&message);
        return exit::USAGE;
    }
    // Nobody can be told that this failed.
    let _ = error.print();
    u8::try_from(error.exit_code()).unwrap_or(exit::USAGE)
}

fn dispatch(command: Command, json: bool) -> Result<u8, Failed> {
    match command {
        Command::Listen(args) => listen::run(&args),
        Command::Init(args) => init::run(&args, json),
        Command::Check(args) => check::run(&args, json),
        Command::Schema(args) => schema::run(&args),
        Command::Events(args) => events::run(&args, json),
        Command::PendingEvents(args) => pending_events::run(&args, json),
        Command::Status(args) => status::run(&args, json),
        Command::Stats(args) => stats::run(&args, json),
        Command::Healthcheck(args) => healthcheck::run(&args, json),
        Command::Pull(args) => pull::pull(&args, json),
        Command::PullMarkProcessed(args) => pull::mark_processed(&args, json),
        Command::PullAck(args) => pull::ack(&args, json),
        Command::PullExtend(args) => pull::extend(&args, json),
        Command::Subscribe(args) => subscribe::run(&args),
        Command::State(args) => state::run(&args, json),
        Command::Forget(args) => {
            let command = StateCommand::Forget(args.forget);
            state::run(&State { config: args.config.config, command }, json)
        }
        Command::Store(args) => store::run(&args, json),
        Command::Source(args) => source::source(&args, json),
        Command::Sink(args) => source::sink(&args, json),
        Command::Deliveries(args) => deliveries::run(&args, json),
        Command::Replay(args) => replay::run(&args, json),
        Command::Clock(args) => clock::run(&args, json),
        Command::Google(args) => google::run(&args, json),
    }
}

/// Tells of a failure on standard error; to who reads JSON, in JSON. Nothing for an empty message.
fn tell(Failed { code, message }: &Failed, json: bool) {
    if json && !message.is_empty() {
        output::complain(&serde_json::json!({ "error": message, "exit_code": code }).to_string());
    } else {
        output::complain(message);
    }
}
