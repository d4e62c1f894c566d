//! Where the configuration of a command is, and what is built in for those who have none.

use std::path::{Path, PathBuf};

use inboxclaw_config::{self as config, Config, Environment, Origin, Problem};

use super::failed::Failed;
use crate::cli::ConfigFile;
use crate::outside::outside;

/// The database of the built-in configuration, as of any that does not say otherwise.
const DATABASE: &str = "data/data2.db";

/// The configuration of `listen`: the file given, or the one in the current folder.
pub(super) fn of_listen(args: &ConfigFile) -> Result<Origin, Failed> {
    match file(args) {
        Some(file) => Ok(Origin::read(&file)?),
        None => Err(Failed::plain(format!(
            "there is no {} here: `inboxclaw init` writes one, --config names another, and \
             `inboxclaw listen --watch FOLDER` watches a folder without any configuration",
            config::FILE
        ))),
    }
}

/// The configuration of a command that asks a running program: as for `listen`, or the one of `listen --watch` when
/// only its database is here.
pub(super) fn of_client(args: &ConfigFile) -> Result<Origin, Failed> {
    match file(args) {
        None if Path::new(DATABASE).exists() => watching(Path::new("."), None),
        _ => of_listen(args),
    }
}

/// The built-in configuration that watches `folder`, and runs a command for each event if there is one.
pub(super) fn watching(folder: &Path, run: Option<&str>) -> Result<Origin, Failed> {
    let here = std::env::current_dir()
        .map_err(|error| Failed::plain(format!("there is no current folder: {error}")))?;
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let Some(path) = folder.to_str() else {
        return Err(Failed::plain(format!("the folder {} has a name that is not UTF-8", folder.display())));
    };
    // A JSON string is a YAML string, whatever it holds.
    let run = run.map_or_else(String::new, |command| {
        format!("  run:\n    type: command\n    command: {}\n", serde_json::Value::from(command))
    });
    let text = format!(
        "sources:\n  files:\n    type: filesystem\n    path: {}\n\
         sink:\n  inbox:\n    type: http_pull\n  sse: {{}}\n{run}",
        serde_json::Value::from(path)
    );
    Ok(Origin { file: PathBuf::from("(built-in configuration)"), base_dir: here, text, built_in: true })
}

/// Loads a configuration for a command, in which nobody needs to be told what is doubtful.
pub(super) fn load(origin: &Origin) -> Result<Config, Failed> {
    Ok(config::load(origin, Environment::of_process(), &outside())?)
}

/// The line for a finding.
pub(super) fn told(origin: &Origin, problem: &Problem) -> String {
    problem.line(&origin.file.display().to_string())
}

fn file(args: &ConfigFile) -> Option<PathBuf> {
    let here = || Some(PathBuf::from(config::FILE)).filter(|file| file.exists());
    args.config.clone().or_else(of_environment).or_else(here)
}

/// The file that the environment names.
pub(super) fn of_environment() -> Option<PathBuf> {
    std::env::var_os("INBOXCLAW_CONFIG").filter(|file| !file.is_empty()).map(PathBuf::from)
}
