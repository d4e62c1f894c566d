//! What the commands do, one file each. Here: who does what, and how a command ends without success.

mod answer;
mod check;
mod client;
mod clock;
mod door;
mod events;
mod google;
mod healthcheck;
mod init;
mod listen;
mod output;
mod place;
mod pull;
mod schema;
mod source;
mod state;
mod status;
mod store;
mod subscribe;
mod table;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use inboxclaw_config::ConfigError;
use inboxclaw_contract::printable;
pub use schema::pages;

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
            failed.tell(json);
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
        Command::Status(args) => status::run(&args, json),
        Command::Healthcheck(args) => healthcheck::run(&args, json),
        Command::Pull(args) => pull::pull(&args, json),
        Command::PullMarkProcessed(args) => pull::mark_processed(&args, json),
        Command::Subscribe(args) => subscribe::run(&args),
        Command::State(args) => state::run(&args, json),
        Command::Forget(args) => {
            let command = StateCommand::Forget(args.forget);
            state::run(&State { config: args.config.config, command }, json)
        }
        Command::Store(args) => store::run(&args, json),
        Command::Source(args) => source::source(&args, json),
        Command::Sink(args) => source::sink(&args, json),
        Command::Clock(args) => clock::run(&args, json),
        Command::Google(args) => google::run(&args, json),
    }
}

/// A command that ends without success.
#[derive(Debug)]
struct Failed {
    code: u8,
    /// Printable lines.
    message: String,
}

impl Failed {
    /// A failure told on one line, whatever is quoted in it.
    fn new(code: u8, message: impl AsRef<str>) -> Self {
        Self { code, message: printable(message.as_ref()).into_owned() }
    }

    /// The same failure with another exit code.
    fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// Tells it on standard error; to who reads JSON, in JSON. Nothing for an empty message.
    fn tell(&self, json: bool) {
        if json && !self.message.is_empty() {
            output::complain(
                &serde_json::json!({ "error": self.message, "exit_code": self.code }).to_string(),
            );
        } else {
            output::complain(&self.message);
        }
    }

    /// The usual failure.
    fn plain(message: impl AsRef<str>) -> Self {
        Self::new(exit::FAILED, message)
    }
}

impl From<ConfigError> for Failed {
    fn from(error: ConfigError) -> Self {
        // A line for each finding.
        Self { code: exit::FAILED, message: error.to_string() }
    }
}

/// Standard output is gone, as when its reader has seen enough: nothing more to do, and nothing to complain about.
impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::new(exit::OK, ""),
            _ => Self::plain(format!("cannot write to standard output: {error}")),
        }
    }
}
