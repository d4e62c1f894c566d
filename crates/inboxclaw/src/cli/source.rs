//! The commands `inboxclaw source …` and `inboxclaw sink …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::OwnerArg;

/// `source`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct Source {
    /// The configuration file. Default: config.yaml in the current folder.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: SourceCommand,
}

/// What to do with a source.
#[derive(Debug, Subcommand)]
pub enum SourceCommand {
    /// Poll and show what would come of it, without storing anything. Works beside the running program; exit 1 when the
    /// poll or a part of it fails.
    #[command(after_help = "Example:
  inboxclaw source test gmail          the events, and how the state would change
  inboxclaw source test gmail --json   the same for a script

The poll sees the state as it is now, and a source that has more to do is polled again, up to 1,000 changes. Events
that were reported before are shown as well; the running program would not store them again. What a source keeps in memory between polls begins empty.")]
    Test(Named),
    /// Stop polling until `resume`, also across restarts. State and events stay.
    #[command(after_help = "Example:
  inboxclaw source pause gmail")]
    Pause(Named),
    /// Poll again, at once.
    #[command(after_help = "Example:
  inboxclaw source resume gmail")]
    Resume(Named),
}

/// `sink`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct Sink {
    /// The configuration file. Default: config.yaml in the current folder.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: SinkCommand,
}

/// What to do with a sink.
#[derive(Debug, Subcommand)]
pub enum SinkCommand {
    /// Send one event and show what became of it, without storing anything. Works beside the running program; exit 1 when
    /// the event was not taken.
    #[command(after_help = "Example:
  inboxclaw sink test notes                     the newest event that the sink takes, or a made-up one
  inboxclaw sink test notes --event event.json  an envelope, as `inboxclaw pull` gives it

The consumer really gets the event, under a message id of its own. What the sink owes stays as it is.")]
    Test(TestSink),
    /// Stop delivering until `resume`, also across restarts. Events wait for it as long as database.owed_max.
    #[command(after_help = "Example:
  inboxclaw sink pause notes")]
    Pause(Named),
    /// Deliver again, at once, beginning with what has waited.
    #[command(after_help = "Example:
  inboxclaw sink resume notes")]
    Resume(Named),
}

/// `sink test`.
#[derive(Debug, Args)]
pub struct TestSink {
    /// Which sink.
    #[command(flatten)]
    pub sink: Named,
    /// Send the event in this file: an envelope, of which only `event_type` must be there.
    #[arg(long, value_name = "FILE")]
    pub event: Option<PathBuf>,
}

/// The source or sink meant.
#[derive(Debug, Args)]
pub struct Named {
    /// Its name in the configuration.
    #[arg(value_name = "NAME")]
    pub name: OwnerArg,
}
