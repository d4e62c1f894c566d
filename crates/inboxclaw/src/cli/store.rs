//! The commands `inboxclaw store …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::config_file::ConfigFile;

/// `store`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct Store {
    /// What to do.
    #[command(subcommand)]
    pub command: StoreCommand,
}

/// What to do with the database.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Copy the database to a file, as of one instant. Works whether or not the program runs.
    #[command(after_help = "Example:
  inboxclaw store backup /media/usb/inbox.db

A copy with `cp` is not whole while the program runs: the last changes are in a file beside the database. The copy holds \
what the program remembers, tokens included: only its owner can read it.")]
    Backup(Backup),
    /// Put a backup in the place of the database. The program must be stopped; the database that was there is kept
    /// aside.
    #[command(after_help = "Example:
  inboxclaw store restore /media/usb/inbox.db

Numbers of events jump to the next million: no number ever stands for two events. Readers that had more than the backup \
holds are told (`truncated`), and sources find again what they had found since.")]
    Restore(Restore),
    /// Give the room of removed events and entries back to the file system. The program must be stopped.
    #[command(after_help = "Example:
  inboxclaw store compact

A running program uses that room again, so this is worth it only after much was removed for good, as after \
database.retention was lowered. It needs room for about twice of what is left, beside the database.")]
    Compact(ConfigFile),
    /// Bring over what the database of the Python program holds: its events, the memory of the sources, and what each
    /// sink still owes. The program must be stopped, and its database new; FILE is never changed.
    #[command(after_help = "Example:
  inboxclaw store import-forerunner old/data2.db --dry-run   what would come over
  inboxclaw store import-forerunner old/data2.db

Stop the Python program first. Events keep their numbers and times, and what was reported is not reported again. All of it \
is one transaction: after a crash nothing was brought, and the command is simply given again. The page \"Coming from the \
Python program\" has the steps.")]
    ImportForerunner(ImportForerunner),
}

/// `store import-forerunner`.
#[derive(Debug, Args)]
pub struct ImportForerunner {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// The database of the Python program.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Only say what would come over. Works whether or not the program runs.
    #[arg(long)]
    pub dry_run: bool,
    /// Let sinks owe also what had outlived the time to live that the Python program had where none is configured, one
    /// hour.
    #[arg(long)]
    pub expired: bool,
}

/// `store restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// The backup. It stays as it is.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `store backup`.
#[derive(Debug, Args)]
pub struct Backup {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// The file to make.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Replace a file that is there.
    #[arg(long)]
    pub force: bool,
}
