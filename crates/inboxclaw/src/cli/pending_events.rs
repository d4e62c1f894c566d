//! The command `inboxclaw pending-events …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `pending-events`.
#[derive(Debug, Args)]
pub struct PendingEvents {
    /// The configuration file. Default: config.yaml in the current folder.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// How many to show; a negative number means all.
    #[arg(short = 'n', default_value_t = 10, allow_negative_numbers = true, value_name = "COUNT")]
    pub count: i64,
    /// Which.
    #[command(flatten)]
    pub which: WhichPending,
    /// What to do; without it they are shown.
    #[command(subcommand)]
    pub command: Option<PendingCommand>,
}

/// Which pending events are meant.
#[derive(Debug, Args)]
pub struct WhichPending {
    /// Only those of this source.
    #[arg(long, value_name = "NAME", global = true)]
    pub source: Option<String>,
    /// Only those whose type matches: `user.*`, or one exact type.
    #[arg(long, value_name = "TYPE", global = true)]
    pub event_type: Option<String>,
    /// Only those of this entity.
    #[arg(long, value_name = "ID", global = true)]
    pub entity: Option<String>,
}

/// What to do with pending events.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum PendingCommand {
    /// Store them now, without waiting for the end of their windows. Works whether or not the program runs.
    #[command(after_help = "Example:
  inboxclaw pending-events flush --source mail
  inboxclaw pending-events flush --all")]
    Flush(EndPending),
    /// Drop them. What they consist of counts as reported and does not come again.
    #[command(after_help = "Example:
  inboxclaw pending-events drop --event-type 'drive.*' --entity report.txt")]
    Drop(EndPending),
}

/// Ending pending events.
#[derive(Debug, Clone, Copy, Args)]
pub struct EndPending {
    /// All of them; needed where nothing else says which.
    #[arg(long)]
    pub all: bool,
}
