//! The command `inboxclaw clock …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `clock`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct ClockArgs {
    /// The configuration file. Default: config.yaml in the current folder.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: ClockCommand,
}

/// What to do about the clock.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ClockCommand {
    /// Say how the clock stands.
    Show,
    /// Say that the clock is right although it is far ahead of the last time that is known. What has become old by it is
    /// removed from then on.
    #[command(
        after_help = "A clock that is more than a day ahead is in doubt until the system says that it is \
synchronised, two servers agree with it, or an hour has passed. Nothing is removed because of it until then."
    )]
    Accept,
}
