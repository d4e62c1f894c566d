//! `check`: everything that is wrong with a configuration file, or doubtful.

use inboxclaw_contract::printable;
use serde_json::json;

use super::{Failed, output, place};
use crate::cli::{ConfigFile, exit};
use crate::config::{self, ConfigError, Environment, Origin, Problem};
use crate::outside::outside;

pub(super) fn run(args: &ConfigFile, json: bool) -> Result<u8, Failed> {
    let origin = match place::of_listen(args) {
        Err(failed) if json => return unread(args, failed.message),
        origin => origin?,
    };
    let (problems, warnings) = match config::load(&origin, Environment::of_process(), &outside()) {
        Ok(config) => (Vec::new(), config.warnings),
        Err(ConfigError { problems, warnings, .. }) => (problems, warnings),
    };
    if json {
        let file = origin.file.display().to_string();
        let answer =
            json!({ "file": file, "valid": problems.is_empty(), "problems": problems, "warnings": warnings });
        output::pretty(&answer)?;
    } else {
        tell(&origin, &problems, &warnings)?;
    }
    Ok(if problems.is_empty() { exit::OK } else { exit::FAILED })
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
        output::remark(&format!("warning: {}", place::told(origin, warning)));
    }
    for problem in problems {
        output::line(&place::told(origin, problem))?;
    }
    if problems.is_empty() {
        output::line(&format!("{} is valid", origin.file.display()))?;
    }
    Ok(())
}
