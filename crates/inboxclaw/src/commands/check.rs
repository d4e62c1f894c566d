//! `check`: everything that is wrong with a configuration file, or doubtful.

use inboxclaw_config::{self as config, Config, ConfigError, Environment, Origin, Problem};
use inboxclaw_contract::printable;
use inboxclaw_store::SqliteStore;
use serde_json::json;

use super::failed::Failed;
use super::{configuration, database, output};
use crate::cli::{ConfigFile, exit};
use crate::outside::outside;

pub(super) fn run(args: &ConfigFile, json: bool) -> Result<u8, Failed> {
    let origin = match configuration::of_listen(args) {
        Err(failed) if json => return unread(args, failed.message),
        origin => origin?,
    };
    let mut notes = Vec::new();
    let (problems, warnings) = match config::load(&origin, Environment::of_process(), &outside()) {
        Ok(config) => {
            notes.extend(config.server.token.is_none().then(|| open_to_all(&config)));
            (database(&config).into_iter().collect(), config.warnings)
        }
        Err(ConfigError { problems, warnings, .. }) => (problems, warnings),
    };
    if json {
        let file = origin.file.display().to_string();
        let answer = json!({ "file": file, "valid": problems.is_empty(), "problems": problems, "warnings": warnings, "notes": notes });
        output::pretty(&answer)?;
    } else {
        tell(&origin, &problems, &warnings)?;
        notes.iter().for_each(|note| output::remark(&format!("note: {note}")));
    }
    Ok(if problems.is_empty() { exit::OK } else { exit::FAILED })
}

/// Why `listen` would refuse the database, as far as looking tells.
fn database(config: &Config) -> Option<Problem> {
    let refused = SqliteStore::examine(&config.database.path).err()?;
    let message = database::refused(&refused, false).message;
    Some(Problem { place: None, path: "database.db_path".to_owned(), message })
}

/// What it means that there is no token.
fn open_to_all(config: &Config) -> String {
    format!(
        "server.token is not set: every user of this machine can read and confirm events at {}:{}",
        config.server.host, config.server.port
    )
}

/// Whoever reads JSON gets it about a file that cannot be read as well.
fn unread(args: &ConfigFile, message: String) -> Result<u8, Failed> {
    let file = args.config.clone().unwrap_or_else(|| config::FILE.into()).display().to_string();
    let prefix = format!("{file}: ");
    let message = message.strip_prefix(printable(&prefix).as_ref()).unwrap_or(&message).to_owned();
    let problem = Problem { place: None, path: String::new(), message };
    output::pretty(&json!({ "file": file, "valid": false, "problems": [problem], "warnings": [] }))?;
    Ok(exit::FAILED)
}

fn tell(origin: &Origin, problems: &[Problem], warnings: &[Problem]) -> Result<(), Failed> {
    for warning in warnings {
        output::remark(&format!("warning: {}", configuration::told(origin, warning)));
    }
    for problem in problems {
        output::line(&configuration::told(origin, problem))?;
    }
    if problems.is_empty() {
        output::line(&format!("{} is valid", origin.file.display()))?;
    }
    Ok(())
}
