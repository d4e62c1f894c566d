//! The binary `inboxclaw`: permissions and limits first, then the command line. Everything else is in the library.

use std::process::ExitCode;

use clap::Parser as _;
use inboxclaw::cli::Cli;
use inboxclaw::{commands, outside};
use rustix::fs::Mode;

fn main() -> ExitCode {
    // Before any file can be made: the database, its backups and the run file are for their owner only.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    outside::raise_file_limit();
    ExitCode::from(Cli::try_parse().map_or_else(commands::misused, commands::run))
}
