//! The commands `inboxclaw google …`, and which paths their options take.

use std::path::{Path, PathBuf};

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, Subcommand};
use inboxclaw_connectors::google::oauth::Scopes;

/// `google`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct Google {
    /// What to do.
    #[command(subcommand)]
    pub command: GoogleCommand,
}

/// What to do with an account of Google.
#[derive(Debug, Subcommand)]
pub enum GoogleCommand {
    /// Ask a person for access to an account, in a browser, and store it in a token file, which the sources gmail,
    /// google_drive and google_calendar read. docs/google.md says how to get the credentials file.
    #[command(after_help = "Example:
  inboxclaw google auth --credentials-file client_secret.json --scopes gmail,calendar --token data/me.json

Words for scopes, all for reading only:
  gmail            messages, labels and history: the source gmail
  drive            files with their contents: the source google_drive
  docs             the same as drive
  drive_metadata   names and dates of files, not what is in them: the source google_drive needs drive
  calendar         events and the list of calendars: the source google_calendar, and list-calendars
  contacts         contacts; no source here reads them
  health_activity, health_sleep, health_metrics; health for the three: no source here reads them
  all              gmail, drive, calendar, contacts, health

An address that begins with https:// stands for itself. Ask for what your sources need and no more: one token file may
serve several of them, and each account has a file of its own.

The answer comes back to http://127.0.0.1:8765/, where this command waits for ten minutes. (When that port is taken, it
takes a free one if the client is a desktop app.) Is the browser on another machine? The last page will not load there:
copy its address and paste it here.

Exit codes: 0 stored, though perhaps with less than was asked for, which is said; 1 no access, nothing stored;
2 the command line is wrong.")]
    Auth(Auth),
    /// Print the names and ids of the calendars that an account sees. The ids are what `calendar_ids` of the source
    /// google_calendar takes.
    #[command(after_help = "Example:
  inboxclaw google list-calendars --token-file data/me.json
  inboxclaw google list-calendars --token-file data/me.json --json   with owner, time zone and role

The token needs the scope calendar. Calendars that are hidden in Google Calendar are not listed.")]
    ListCalendars(ListCalendars),
}

/// `google auth`.
#[derive(Debug, Args)]
pub struct Auth {
    /// The file of your OAuth client, as downloaded from the Google Cloud console.
    #[arg(long, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(existing))]
    pub credentials_file: PathBuf,
    /// What to ask for: words (see below) or addresses, with commas between.
    #[arg(long, value_name = "LIST")]
    pub scopes: Scopes,
    /// The token file to write, readable for you only. An old one is replaced; folders are made as needed.
    #[arg(long, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(writable))]
    pub token: PathBuf,
    /// Read the address of the last page from standard input also when that is no terminal.
    #[arg(long)]
    pub paste: bool,
    /// Only show the address to open. Otherwise a browser is opened where there is a terminal and a desktop.
    #[arg(long)]
    pub no_browser: bool,
    /// Let the server that gives tokens be in the local network under a name that looks public.
    #[arg(long)]
    pub allow_private: bool,
}

/// `google list-calendars`.
#[derive(Debug, Args)]
pub struct ListCalendars {
    /// The token file of the account.
    #[arg(long, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(existing))]
    pub token_file: PathBuf,
    /// Ask this server instead of Google: a proxy, or a stand-in for tests.
    #[arg(long, value_name = "URL")]
    pub api_root: Option<String>,
    /// Let Google's servers, or this one, be in the local network under a name that looks public.
    #[arg(long)]
    pub allow_private: bool,
}

/// A path of a file that is there.
fn existing(path: PathBuf) -> Result<PathBuf, String> {
    let path = expanded(path)?;
    match std::fs::metadata(&path) {
        Ok(about) if about.is_dir() => Err("that is a folder".to_owned()),
        Ok(_) => Ok(path),
        Err(error) => Err(error.to_string()),
    }
}

/// A path where a file can be.
fn writable(path: PathBuf) -> Result<PathBuf, String> {
    let path = expanded(path)?;
    let means_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/") || path.is_dir();
    if means_folder { Err("that is a folder".to_owned()) } else { Ok(path) }
}

/// The absolute path, with `~` at its start replaced: shells leave it after `--token=`.
fn expanded(path: PathBuf) -> Result<PathBuf, String> {
    let path = match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) if !home.is_empty() => Path::new(&home).join(rest),
        (Ok(_), _) => return Err("there is no HOME that ~ could stand for".to_owned()),
        (Err(_), _) => path,
    };
    std::path::absolute(path).map_err(|error| error.to_string())
}
