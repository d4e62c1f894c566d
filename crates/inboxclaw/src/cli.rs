//! The command line: what can be asked for, and the help that teaches it. Left out: doing it (`commands`).

mod clock;
mod config_file;
mod deliveries;
mod google;
mod owner;
mod pending_events;
mod source;
mod state;
mod store;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
pub use clock::{ClockArgs, ClockCommand};
pub use config_file::ConfigFile;
pub use deliveries::{
    ChangeDeliveries, Deliveries, DeliveriesCommand, DeliveryFilter, DeliveryStateArg, ListDeliveries,
    ReplayArgs, ShowDelivery,
};
pub use google::{Auth, Google, GoogleCommand, ListCalendars};
use inboxclaw_settings::Interval;
pub use owner::OwnerArg;
pub use pending_events::{EndPending, PendingCommand, PendingEvents, WhichPending};
pub use source::{Named, Sink, SinkCommand, Source, SourceCommand, TestSink};
pub use state::{
    By, Copy, Cursor, Delete, Edit, Export, Forget, Get, History, Import, List, Move, Rewind, Set, State,
    StateCommand, To, Undo, Watch,
};
pub use store::{Backup, ImportForerunner, Restore, Store, StoreCommand};

/// The codes that a process ends with.
pub mod exit {
    /// It worked; for `listen`, it was asked to stop.
    pub const OK: u8 = 0;
    /// The configuration, the database or the answer of the server is not what is needed.
    pub const FAILED: u8 = 1;
    /// The command line is wrong; for `healthcheck`, nobody answers or it is too early to say.
    pub const USAGE: u8 = 2;
    /// The port is taken.
    pub const TAKEN: u8 = 3;
    /// The store failed while running: restart, and look at the disk if it happens again.
    pub const BROKEN: u8 = 4;
}

const ABOUT: &str = "The event inbox for people and their assistants.

Sources notice what changed, a durable store records it, sinks hand it on. `inboxclaw listen` is the program; \
the other commands prepare it, look at it, or take events from it.";

const AFTER: &str = "To begin:
  inboxclaw listen --watch ~/Documents   watch a folder, without any configuration
  inboxclaw pull                         take the next events, in another terminal

With a configuration:
  inboxclaw init                         write config.yaml here
  inboxclaw check                        say what is wrong with it, line by line
  inboxclaw listen                       run it
  inboxclaw source test NAME             poll a source without storing anything
  inboxclaw sink test NAME               send one event to a sink without storing anything
  inboxclaw state owners                 what the sources and sinks remember

Exit codes:
  0  it worked; listen was asked to stop (SIGINT, SIGTERM; SIGHUP in a terminal)
  1  the configuration, the database or the server's answer is not what is needed; a condition does not hold
  2  the command line is wrong; healthcheck: nobody answers, or it is still starting
  3  listen: the port is taken
  4  listen: the store failed";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "inboxclaw", version, about = ABOUT, after_help = AFTER, subcommand_required = true)]
#[command(arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// What to log, to standard error: off, error, warn, info, debug, trace, or a filter such as
    /// `inboxclaw_store=debug`.
    /// Else INBOXCLAW_LOG or RUST_LOG says it.
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Answer in JSON on standard output.
    #[arg(short = 'j', long, global = true)]
    pub json: bool,
    /// The configuration file, also behind the command. Else INBOXCLAW_CONFIG names it, else it is config.yaml in the
    /// current folder.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Where the command takes its configuration from, if it takes any.
    pub(crate) fn config_mut(&mut self) -> Option<&mut Option<PathBuf>> {
        match &mut self.command {
            Command::Listen(args) => Some(&mut args.config.config),
            Command::Check(args) | Command::Status(args) | Command::Stats(args) => Some(&mut args.config),
            Command::Events(args) => Some(&mut args.config.config),
            Command::Healthcheck(args) => Some(&mut args.config.config),
            Command::Pull(args) => Some(&mut args.config.config),
            Command::PullMarkProcessed(args) => Some(&mut args.config.config),
            Command::PullAck(args) => Some(&mut args.config.config),
            Command::PullExtend(args) => Some(&mut args.config.config),
            Command::Subscribe(args) => Some(&mut args.config.config),
            Command::PendingEvents(args) => Some(&mut args.config),
            Command::State(args) => Some(&mut args.config),
            Command::Source(args) => Some(&mut args.config),
            Command::Sink(args) => Some(&mut args.config),
            Command::Deliveries(args) => Some(&mut args.config),
            Command::Replay(args) => Some(&mut args.config),
            _ => None,
        }
    }
}

/// What became of commands of the forerunner, in a sentence each.
const FORERUNNER: [(&str, &str); 11] = [
    ("config", "edit the file, then `inboxclaw check` says what is wrong with it"),
    ("diary", "the diary is not available in this version yet"),
    (
        "install",
        "a unit of systemd starts `inboxclaw listen --config FILE`; `inboxclaw init` writes a configuration",
    ),
    ("llm", "language models are not available in this version yet"),
    ("logs", "`inboxclaw listen` logs to standard error: under systemd `journalctl -u UNIT` shows it"),
    ("nordigen", "bank accounts are not available in this version yet"),
    ("restart", "stop the program and start it again, under systemd by `systemctl restart UNIT`"),
    ("start", "`inboxclaw listen` runs the program; under systemd `systemctl start UNIT`"),
    ("stop", "SIGTERM or Ctrl-C ends `inboxclaw listen`; under systemd `systemctl stop UNIT`"),
    ("update", "put the new binary in the place of the old one and start the program again"),
    ("webhook-deliveries", "`inboxclaw deliveries list` says what sinks could not deliver, and why"),
];

/// What to say to somebody who asks for a command that only the forerunner had.
pub(crate) fn of_forerunner(command: &str) -> Option<String> {
    let (_, instead) = FORERUNNER.iter().find(|(name, _)| *name == command)?;
    Some(format!("there is no command {command:?}: {instead}"))
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run: poll the sources, keep the events, serve the sinks.
    Listen(Listen),
    /// Write a configuration file that works at once, with a folder to watch beside it.
    Init(Init),
    /// Say everything that is wrong with a configuration file, as `file:line:column: where: what`.
    Check(ConfigFile),
    /// Print the JSON schema of configuration files, for editors.
    Schema(Schema),
    /// Print the last events in the database, newest first. Works whether or not the program runs.
    Events(Events),
    /// Print the events that rules of `coalesce` have collected and that are not stored yet; store them now, or drop
    /// them. Works whether or not the program runs.
    PendingEvents(PendingEvents),
    /// Say how the program and its database are doing.
    Status(ConfigFile),
    /// Count the events of the last 1, 7 and 30 days by source and by type, and say how large they are. Works whether or
    /// not the program runs.
    Stats(ConfigFile),
    /// Ask the running program whether every source is well. Exit 0 if so, 1 if not, 2 if nobody can say.
    Healthcheck(Healthcheck),
    /// Take the next batch of events from an http_pull sink of the running program. Prints nothing when there is none,
    /// the empty batch with --json.
    Pull(Pull),
    /// Confirm a batch, so that its events are not given out again.
    PullMarkProcessed(PullMarkProcessed),
    /// Confirm a batch up to one of its events; the rest of it can still be confirmed.
    PullAck(PullAck),
    /// Move the end of a batch's lease, or give the batch back.
    PullExtend(PullExtend),
    /// Print events as they come, one line of JSON each, from an sse sink of the running program. A stream that ends is
    /// taken up again after its last event. Exit 1 when it never began, or cannot be had again.
    Subscribe(Subscribe),
    /// Look at the state of a source or sink, edit it, undo, rewind, export and import it. Works whether or not the
    /// program runs.
    State(State),
    /// Remove everything of a source or sink that is no longer configured: its state, and what it still owes. Its events
    /// stay. The same as `state forget`.
    #[command(after_help = "Example:
  inboxclaw forget sink:notes")]
    Forget(ForgetOwner),
    /// Back up and restore the database, or bring over that of the Python program.
    Store(Store),
    /// Test, pause and resume sources.
    Source(Source),
    /// Test, pause and resume sinks.
    Sink(Sink),
    /// List what sinks could not deliver yet, or will not; try it again or drop it. Works whether or not the program runs.
    Deliveries(Deliveries),
    /// Send events of the log to a sink once more, or show how far that is. Works whether or not the program runs.
    Replay(ReplayArgs),
    /// Show how the clock stands, or say that it is right when it is in doubt. Works whether or not the program runs.
    Clock(ClockArgs),
    /// Get access to an account of Google for the sources that read it, and look what is in there.
    Google(Google),
}

/// `listen`.
#[derive(Debug, Args)]
pub struct Listen {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Watch this folder, without any configuration file: events go to the http_pull sink `inbox` and the sse sink
    /// `sse`, the database is ./data/data2.db. The folder is made if it is missing. Refused where a config.yaml is.
    #[arg(long, value_name = "FOLDER", conflicts_with = "config")]
    pub watch: Option<PathBuf>,
    /// With --watch: run this command for each event, as the sink `run` of type command would. The event is one line of
    /// JSON on its standard input and in INBOXCLAW_EVENT_… variables; `#root.data.path` is a part of it.
    #[arg(long, value_name = "COMMAND", requires = "watch")]
    pub run: Option<String>,
    /// Listen on this port instead of the configured one; 0 takes any free one.
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
}

/// `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// The file to write, or the folder to write config.yaml into.
    #[arg(value_name = "PATH", default_value = "config.yaml")]
    pub path: PathBuf,
}

/// `forget`.
#[derive(Debug, Args)]
pub struct ForgetOwner {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Whom.
    #[command(flatten)]
    pub forget: Forget,
}

/// `schema`.
#[derive(Debug, Args)]
pub struct Schema {
    /// Write the reference pages into this folder instead.
    #[arg(long, value_name = "FOLDER")]
    pub markdown: Option<PathBuf>,
}

/// `events`.
#[derive(Debug, Args)]
pub struct Events {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// How many; a negative number means all.
    #[arg(short = 'n', default_value_t = 10, allow_negative_numbers = true, value_name = "COUNT")]
    pub count: i64,
    /// Only those of this source.
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// Only those whose type matches: `user.*`, or one exact type.
    #[arg(long, value_name = "TYPE")]
    pub event_type: Option<String>,
}

/// `healthcheck`.
#[derive(Debug, Args)]
pub struct Healthcheck {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Seconds to wait for the answer.
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: f64,
}

/// `pull`.
#[derive(Debug, Args)]
pub struct Pull {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// The sink; may be left out when there is one http_pull sink.
    #[arg(long, value_name = "SINK")]
    pub name: Option<String>,
    /// Only events whose type matches: `user.*`, or one exact type.
    #[arg(long, value_name = "TYPE")]
    pub event_type: Option<String>,
    /// Most events.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub batch_size: Option<u64>,
    /// Keep the events from other consumers for that long: `5m`. What is not confirmed by then comes again.
    #[arg(long, value_name = "TIME")]
    pub lease: Option<Interval>,
    /// Wait for events while there are none: `30s`, at most 50 seconds.
    #[arg(long, value_name = "TIME")]
    pub wait: Option<Interval>,
}

/// `pull-mark-processed`.
#[derive(Debug, Args)]
pub struct PullMarkProcessed {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// The sink; may be left out when there is one http_pull sink.
    #[arg(long, value_name = "SINK")]
    pub name: Option<String>,
    /// The `batch_id` that `pull` printed.
    #[arg(long, value_name = "ID")]
    pub batch_id: i64,
}

/// `pull-ack`.
#[derive(Debug, Args)]
pub struct PullAck {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// The sink; may be left out when there is one http_pull sink.
    #[arg(long, value_name = "SINK")]
    pub name: Option<String>,
    /// The `batch_id` that `pull` printed.
    #[arg(long, value_name = "ID")]
    pub batch_id: i64,
    /// The `id` of the last event that is confirmed.
    #[arg(long, value_name = "ID")]
    pub seq: i64,
}

/// `pull-extend`.
#[derive(Debug, Args)]
pub struct PullExtend {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// The sink; may be left out when there is one http_pull sink.
    #[arg(long, value_name = "SINK")]
    pub name: Option<String>,
    /// The `batch_id` that `pull --lease` printed.
    #[arg(long, value_name = "ID")]
    pub batch_id: i64,
    /// For how long from now on: `5m`; 0 gives the events back at once.
    #[arg(long, value_name = "TIME")]
    pub lease: Interval,
}

/// `subscribe`.
#[derive(Debug, Args)]
pub struct Subscribe {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// The sink. Default: the first sse sink.
    #[arg(long, value_name = "SINK")]
    pub sink: Option<String>,
    /// For how many seconds a stream that ended is looked for again, as after a restart; 0 gives up at once.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub retry_for: u64,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if seconds > 0.0 && std::time::Duration::try_from_secs_f64(seconds).is_ok() => {
            Ok(seconds)
        }
        _ => Err("it must be a number of seconds above 0".to_owned()),
    }
}
