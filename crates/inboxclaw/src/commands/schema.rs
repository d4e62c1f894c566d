//! `schema`: the JSON schema of configuration files, and the reference pages.

use std::collections::BTreeMap;
use std::path::Path;

use clap::CommandFactory as _;
use inboxclaw_config as config;

use super::failed::Failed;
use super::output;
use crate::cli::{Cli, Schema, exit};

/// Every reference page, by file name: those of the configuration, and one of the commands.
pub fn pages() -> BTreeMap<String, String> {
    let mut pages = config::pages();
    pages.insert("commands.md".to_owned(), commands());
    pages
}

pub(super) fn run(args: &Schema) -> Result<u8, Failed> {
    match &args.markdown {
        Some(folder) => write(folder)?,
        None => output::pretty(&config::schema())?,
    }
    Ok(exit::OK)
}

fn write(folder: &Path) -> Result<(), Failed> {
    let failed = |path: &Path, error| Failed::plain(format!("cannot write {}: {error}", path.display()));
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for (name, text) in pages() {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

/// The help of every command, as the command line prints it.
fn commands() -> String {
    // The same on every terminal.
    let mut cli = Cli::command().term_width(100);
    cli.build();
    let mut text = format!(
        "<!-- Generated from the command line by `inboxclaw schema --markdown`. Do not edit. -->\n\n\
         # Commands\n\n```text\n{}\n```\n",
        lines(&mut cli)
    );
    for command in cli.get_subcommands_mut().filter(|command| command.get_name() != "help") {
        section(&mut text, command, "");
    }
    text
}

/// The help of a command and of those under it.
fn section(text: &mut String, command: &mut clap::Command, above: &str) {
    let name = format!("{above}{}", command.get_name());
    let help = lines(command);
    text.push_str(&format!("\n## `{name}`\n\n```text\n{help}\n```\n"));
    for command in command.get_subcommands_mut().filter(|command| command.get_name() != "help") {
        section(text, command, &format!("{name} "));
    }
}

fn lines(command: &mut clap::Command) -> String {
    let help = command.render_long_help().to_string();
    help.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}
