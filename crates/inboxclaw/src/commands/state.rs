//! `state`: looking into the states of sources and sinks, and changing them. Who asks what; the work is done behind
//! the [`Door`], by the routes of the server.
//!
//! `look` reads, `change` and `edit` write single things, `carry` moves whole states, `past` goes back in time, `watch`
//! follows.

mod carry;
mod change;
mod edit;
mod look;
mod past;
mod watch;

use axum::http::Method;
use inboxclaw_config::Config;
use inboxclaw_contract::Owner;

use super::answer::{self, Answer, Ended};
use super::door::{Ask, Door};
use super::{Failed, client, output, place};
use crate::cli::{ConfigFile, State, StateCommand, exit};

/// What every command has.
struct Job<'a> {
    config: &'a Config,
    json: bool,
}

pub(super) fn run(args: &State, json: bool) -> Result<u8, Failed> {
    let origin = place::of_client(&ConfigFile { config: args.config.clone() })?;
    let config = place::load(&origin)?;
    let job = Job { config: &config, json };
    client::block_on(async {
        match &args.command {
            StateCommand::Owners => look::owners(&job).await,
            StateCommand::List(args) => look::list(&job, args).await,
            StateCommand::Get(args) => look::get(&job, args).await,
            StateCommand::Set(args) => change::set(&job, args).await,
            StateCommand::Edit(args) => edit::run(&job, args).await,
            StateCommand::Delete(args) => change::delete(&job, args).await,
            StateCommand::Cursor(args) => change::cursor(&job, args).await,
            StateCommand::Export(args) => carry::export(&job, args).await,
            StateCommand::Import(args) => carry::import(&job, args).await,
            StateCommand::Copy(args) => carry::copy(&job, args).await,
            StateCommand::Move(args) => carry::rename(&job, args).await,
            StateCommand::History(args) => past::history(&job, args).await,
            StateCommand::Undo(args) => past::undo(&job, args).await,
            StateCommand::Rewind(args) => past::rewind(&job, args).await,
            StateCommand::Watch(args) => watch::run(&job, args).await,
            StateCommand::Forget(args) => change::forget(&job, args).await,
        }
    })
}

impl Job<'_> {
    /// The result of a change: the answer for machines, a sentence for people.
    fn done(&self, json: &str, told: impl FnOnce() -> Result<String, Failed>) -> Result<u8, Failed> {
        if self.json {
            output::result(json.trim_end())?;
        } else {
            output::remark(&told()?);
        }
        Ok(exit::OK)
    }

    /// Asks for a change that may take long, and tells of its end.
    async fn long(
        &self,
        door: &Door,
        owner: &Owner,
        ask: Ask,
        told: impl FnOnce(&str) -> Result<String, Failed>,
    ) -> Result<u8, Failed> {
        match answer::long(door, ask).await? {
            Ended::Well(result) => self.done(&result, || told(&result)),
            Ended::Refused(said) => Err(named(owner, Failed::plain(answer::detail(&said)))),
        }
    }
}

/// One key of an owner.
fn of_key(method: Method, owner: &Owner, key: &str) -> Ask {
    Ask::of(method, owner, &["state", key])
}

/// The failure that an answer about an owner tells of.
fn about(owner: &Owner, answer: &Answer) -> Failed {
    named(owner, answer.failure())
}

/// A failure about an owner, which the sentence does not always name.
fn named(owner: &Owner, Failed { code, message }: Failed) -> Failed {
    let is_named = message.starts_with(&format!("{}:{}", owner.kind, owner.name));
    Failed::new(code, if is_named { message } else { format!("{owner}: {message}") })
}

/// A count with its noun.
fn counted(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}
