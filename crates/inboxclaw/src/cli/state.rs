//! The commands `inboxclaw state …`: one struct each, with the help that teaches it.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use inboxclaw_settings::Interval;
use inboxclaw_settings::moment;

use super::OwnerArg;

const AFTER: &str =
    "OWNER is the name of a source or sink, or source:NAME and sink:NAME where a name is both.

Examples:
  inboxclaw state owners                       who has state, and how much
  inboxclaw state list gmail --prefix seen:    the entries under a prefix
  inboxclaw state set gmail page 7             put a JSON value
  inboxclaw state undo gmail                   take the last change by a person back
  inboxclaw state rewind gmail --to 1h         the state as it was an hour ago

All of it works while the program runs, and goes through it then: sources see a change at once.";

/// `state`.
#[derive(Debug, Args)]
#[command(after_help = AFTER, arg_required_else_help = true)]
pub struct State {
    /// The configuration file. Default: config.yaml in the current folder.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: StateCommand,
}

/// What to do with states.
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// List every source and sink with the size of its state. Marks those that are no longer configured (orphaned).
    #[command(after_help = "Example:
  inboxclaw state owners
The column LIMIT shows how much of state.max_entries or state.max_bytes is used, whichever is nearer.")]
    Owners,
    /// List entries in the order of their keys.
    #[command(after_help = "Examples:
  inboxclaw state list gmail --prefix seen: --limit 20
  inboxclaw state list gmail --all --keys | wc -l
A prefix is literal: no wildcards, upper and lower case differ.")]
    List(List),
    /// Print the value under a key, byte for byte: what `set` takes.
    #[command(after_help = "Examples:
  inboxclaw state get gmail page
  inboxclaw state get gmail page --json              with revision, times and expiry
  inboxclaw state get gmail page | inboxclaw state set other page -")]
    Get(Get),
    /// Put a JSON value under a key.
    #[command(after_help = "Examples:
  inboxclaw state set gmail page 7
  inboxclaw state set gmail label '\"inbox\"'             a text has its quotes inside those of the shell
  inboxclaw state set gmail seen:42 true --ttl 30d
  inboxclaw state set gmail page 8 --if-revision 12    only if nobody changed it meanwhile
  inboxclaw state set gmail token - --secret < token.json
A key that begins with a dash comes after `--`.")]
    Set(Set),
    /// Edit a value in $VISUAL or $EDITOR. Refused when it changes meanwhile; the edited text is kept then.
    #[command(after_help = "Example:
  EDITOR=nano inboxclaw state edit gmail page
A key that is absent begins with an empty text. A text that is left as it was changes nothing.")]
    Edit(Edit),
    /// Delete keys, everything under a prefix, or everything.
    #[command(after_help = "Examples:
  inboxclaw state delete gmail page label
  inboxclaw state delete gmail --prefix seen: --older-than 30d --dry-run
  inboxclaw state delete gmail --all
The cursor stays. `state undo` brings all of it back but secrets.")]
    Delete(Delete),
    /// Print, set or clear the cursor.
    #[command(after_help = "Examples:
  inboxclaw state cursor gmail
  inboxclaw state cursor gmail 18a3f
  inboxclaw state cursor gmail --clear                the source begins anew")]
    Cursor(Cursor),
    /// Write the whole state as JSON Lines to standard output: a head with the cursor, then a line for each entry.
    #[command(after_help = "Example:
  inboxclaw state export gmail > gmail.jsonl
Secrets are left out unless --secrets is given.")]
    Export(Export),
    /// Read an export of this or another owner from standard input: all of it or nothing.
    #[command(after_help = "Examples:
  inboxclaw state import gmail < gmail.jsonl             over what is there
  inboxclaw state import gmail --replace < gmail.jsonl   in place of what is there, with the cursor; secrets stay")]
    Import(Import),
    /// Copy entries of an owner to another one, without secrets.
    #[command(after_help = "Example:
  inboxclaw state copy gmail gmail2 --replace        all entries and the cursor, in place of what gmail2 has")]
    Copy(Copy),
    /// Give an owner another name, with all that it has: state, history and events.
    #[command(after_help = "Example:
  inboxclaw state move gmail work-mail
Rename it in the configuration first: neither name may be in use by a running program, and the new one may have
no state yet.")]
    Move(Move),
    /// Show what changed the state, newest first.
    #[command(after_help = "Example:
  inboxclaw state history gmail --limit 10 --values   with what was there before
The column VERSION is what `undo` and `rewind` take.")]
    History(History),
    /// Take back the newest change by a person; again, and it goes one further back.
    #[command(after_help = "Examples:
  inboxclaw state undo gmail
  inboxclaw state undo gmail --turn                   the newest change, whoever made it
  inboxclaw state undo gmail 41                       the one that made version 41
Keys that were changed since are named and nothing happens, unless --force is given. Secrets stay as they are.")]
    Undo(Undo),
    /// Restore the state as it was, as a new turn that can be undone.
    #[command(after_help = "Examples:
  inboxclaw state rewind gmail --to 1h                as an hour ago
  inboxclaw state rewind gmail --to 41                as version 41 was
  inboxclaw state rewind gmail --to 2026-11-22T06:00:00Z
A source reads upstream again from there; events that are known already are not stored twice.")]
    Rewind(Rewind),
    /// Print changes as they happen, one line each, until stopped. Needs the running program.
    #[command(after_help = "Example:
  inboxclaw state watch gmail --prefix seen:")]
    Watch(Watch),
    /// Remove everything of an owner that is no longer configured, also what a sink still owes. Its events stay.
    #[command(after_help = "Example:
  inboxclaw state forget gmail-old
This cannot be undone: `state export` first.")]
    Forget(Forget),
}

/// `state list`.
#[derive(Debug, Args)]
pub struct List {
    /// Whose state.
    pub owner: OwnerArg,
    /// Only keys that begin with this.
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    pub prefix: String,
    /// Only keys after this one.
    #[arg(long, value_name = "KEY")]
    pub after: Option<String>,
    /// Most entries.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: u64,
    /// All entries.
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
    /// Only the keys.
    #[arg(long)]
    pub keys: bool,
    /// Show the values of secrets.
    #[arg(long)]
    pub secrets: bool,
}

/// `state get`.
#[derive(Debug, Args)]
pub struct Get {
    /// Whose state.
    pub owner: OwnerArg,
    /// The key.
    pub key: String,
    /// Show it even if it is a secret.
    #[arg(long)]
    pub secrets: bool,
}

/// `state set`.
#[derive(Debug, Args)]
pub struct Set {
    /// Whose state.
    pub owner: OwnerArg,
    /// The key.
    pub key: String,
    /// The value as JSON; `-` reads standard input.
    #[arg(value_name = "JSON", allow_hyphen_values = true)]
    pub value: String,
    /// When it expires: after a time such as 30d, at a time such as 2026-12-24T18:00:00Z, `none`, or `keep` what the
    /// key has.
    #[arg(long, value_name = "TIME", default_value = "keep", value_parser = ttl)]
    pub ttl: String,
    /// Mask it wherever people look, and leave it out of history. A secret stays one without this as well.
    #[arg(long)]
    pub secret: bool,
    /// Only if the key has this revision.
    #[arg(long, value_name = "REVISION", conflicts_with = "if_absent")]
    pub if_revision: Option<i64>,
    /// Only if the key is absent.
    #[arg(long)]
    pub if_absent: bool,
}

/// `state edit`.
#[derive(Debug, Args)]
pub struct Edit {
    /// Whose state.
    pub owner: OwnerArg,
    /// The key.
    pub key: String,
    /// Edit it even if it is a secret.
    #[arg(long)]
    pub secrets: bool,
}

/// `state delete`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["keys", "prefix", "all"]))]
pub struct Delete {
    /// Whose state.
    pub owner: OwnerArg,
    /// The keys.
    #[arg(value_name = "KEY")]
    pub keys: Vec<String>,
    /// Every key that begins with this.
    #[arg(long, value_name = "PREFIX", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub prefix: Option<String>,
    /// Every key.
    #[arg(long)]
    pub all: bool,
    /// Only entries that are older than this, such as 30d.
    #[arg(long, value_name = "AGE", conflicts_with = "keys")]
    pub older_than: Option<Interval>,
    /// From when the age counts.
    #[arg(long, value_name = "WHICH", default_value = "updated", requires = "older_than")]
    pub by: By,
    /// Only say what would go.
    #[arg(long, conflicts_with = "keys")]
    pub dry_run: bool,
}

/// From when the age of an entry counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// From when the key was first put.
    Created,
    /// From when its value last changed.
    Updated,
}

/// `state cursor`.
#[derive(Debug, Args)]
pub struct Cursor {
    /// Whose state.
    pub owner: OwnerArg,
    /// The new cursor; without it, the present one is printed.
    #[arg(allow_hyphen_values = true)]
    pub value: Option<String>,
    /// Remove the cursor.
    #[arg(long, conflicts_with = "value")]
    pub clear: bool,
}

/// `state export`.
#[derive(Debug, Args)]
pub struct Export {
    /// Whose state.
    pub owner: OwnerArg,
    /// With the values of secrets.
    #[arg(long)]
    pub secrets: bool,
}

/// `state import`.
#[derive(Debug, Args)]
pub struct Import {
    /// Who gets it.
    pub owner: OwnerArg,
    /// In place of what is there, with the cursor.
    #[arg(long)]
    pub replace: bool,
}

/// `state copy`.
#[derive(Debug, Args)]
pub struct Copy {
    /// Whose state.
    pub from: OwnerArg,
    /// Who gets it.
    pub to: OwnerArg,
    /// Only keys that begin with this.
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    pub prefix: String,
    /// In place of what is there, with the cursor.
    #[arg(long)]
    pub replace: bool,
}

/// `state move`.
#[derive(Debug, Args)]
pub struct Move {
    /// Who gets another name.
    pub owner: OwnerArg,
    /// The new name.
    #[arg(value_name = "NEW")]
    pub to: String,
}

/// `state history`.
#[derive(Debug, Args)]
pub struct History {
    /// Whose state.
    pub owner: OwnerArg,
    /// Most changes.
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: u64,
    /// Only changes before this version.
    #[arg(long, value_name = "VERSION")]
    pub before: Option<i64>,
    /// With the values that were there before.
    #[arg(long)]
    pub values: bool,
}

/// `state undo`.
#[derive(Debug, Args)]
pub struct Undo {
    /// Whose state.
    pub owner: OwnerArg,
    /// The version whose change is taken back.
    pub version: Option<i64>,
    /// The newest change of any kind, also of the source itself.
    #[arg(long, conflicts_with = "version")]
    pub turn: bool,
    /// Also where something was changed since.
    #[arg(long)]
    pub force: bool,
}

/// `state rewind`.
#[derive(Debug, Args)]
pub struct Rewind {
    /// Whose state.
    pub owner: OwnerArg,
    /// A version, a time, a date (its midnight in UTC), or how long ago.
    #[arg(long, value_name = "VERSION|TIME|AGO", value_parser = to)]
    pub to: To,
}

/// Where a rewind leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// A version.
    Version(i64),
    /// A time or a length of time, as it was written.
    Time(String),
}

/// `state watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// Whose state.
    pub owner: OwnerArg,
    /// Only keys that begin with this.
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    pub prefix: String,
}

/// `state forget`.
#[derive(Debug, Args)]
pub struct Forget {
    /// Whose state.
    pub owner: OwnerArg,
}

fn ttl(text: &str) -> Result<String, String> {
    let is_time = |text: &str| moment::parse(text).is_some();
    match text.parse::<Interval>() {
        _ if matches!(text, "keep" | "none") || is_time(text) => Ok(text.to_owned()),
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{error}; or a time such as 2026-12-24T18:00:00Z, a date, none, keep")),
    }
}

fn to(text: &str) -> Result<To, String> {
    if let Ok(version) = text.parse() {
        return Ok(To::Version(version));
    }
    match text.parse::<Interval>() {
        _ if moment::parse(text).is_some() => Ok(To::Time(text.to_owned())),
        Ok(_) => Ok(To::Time(text.to_owned())),
        Err(error) => Err(format!("{error}; or a version, a date, or a time such as 2026-11-22T06:00:00Z")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_from_versions() {
        assert_eq!(to("41"), Ok(To::Version(41)));
        for time in ["1h", "90 minutes", "2026-11-22", "2026-11-22T06:00:00Z", "2026-11-22T06:00:00+02:00"] {
            assert_eq!(to(time), Ok(To::Time(time.to_owned())));
            assert_eq!(ttl(time), Ok(time.to_owned()));
        }
        for word in ["yesterday", "", "2026-11-32", "2026-11-22T06:00:00"] {
            assert!(to(word).is_err() && ttl(word).is_err(), "{word}");
        }
        assert!(ttl("none").is_ok() && ttl("keep").is_ok() && to("none").is_err());
    }
}
