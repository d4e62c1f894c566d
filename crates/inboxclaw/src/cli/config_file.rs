//! The option that names the configuration.

use std::path::PathBuf;

use clap::Args;

/// Where the configuration is.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigFile {
    /// The configuration file. Default: config.yaml in the current folder.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}
