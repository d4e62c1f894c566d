//! `edit`: a value in the person's own editor. Nothing is held meanwhile: a change by somebody else is found when the
//! text comes back.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::{Method, StatusCode};
use inboxclaw_contract::Json;

use super::super::failed::Failed;
use super::super::state_client::StateClient;
use super::super::{output, response};
use super::job::{Job, about, of_key};
use crate::cli::{Edit, exit};
use crate::outside::token;

/// The editor where nobody names one.
const EDITOR: &str = "vi";

/// What is edited.
#[derive(Debug, Default)]
struct Before {
    text: String,
    /// `None` when the key is absent.
    revision: Option<String>,
}

pub(super) async fn run(job: &Job<'_>, args: &Edit) -> Result<u8, Failed> {
    let before = before(job, args).await?;
    let file = write(&before.text)?;
    let value = match edited(&file, &before.text) {
        Ok(Some(value)) => value,
        Ok(None) => {
            remove(&file);
            output::remark("nothing was changed");
            return Ok(exit::OK);
        }
        Err(failed) if holds(&file, &before.text) => {
            remove(&file);
            return Err(failed);
        }
        Err(failed) => return Err(kept(failed, &file)),
    };
    let put = put(job, args, &before, value).await.map_err(|failed| kept(failed, &file))?;
    remove(&file);
    Ok(put)
}

/// The value as it is now.
async fn before(job: &Job<'_>, args: &Edit) -> Result<Before, Failed> {
    let seen = StateClient::look(job.config, &args.owner).await?;
    let Some(states) = seen.states else { return Ok(Before::default()) };
    let found =
        response::any(&states, of_key(Method::GET, &seen.owner, &args.key).flag("secrets", args.secrets))
            .await?;
    match found.status {
        StatusCode::OK => Ok(Before { text: found.text()?.to_owned(), revision: found.revision }),
        StatusCode::NOT_FOUND => Ok(Before::default()),
        StatusCode::FORBIDDEN => {
            let message = format!("{}: {:?} is a secret; --secrets edits it", seen.owner, args.key);
            Err(Failed::plain(message))
        }
        _ => Err(about(&seen.owner, &found)),
    }
}

async fn put(job: &Job<'_>, args: &Edit, before: &Before, value: Json) -> Result<u8, Failed> {
    let (states, owner) = StateClient::change(job.config, &args.owner).await?;
    let request = of_key(Method::PUT, &owner, &args.key).with("ttl", "keep");
    let request = match &before.revision {
        Some(revision) => request.header(IF_MATCH, format!("\"{revision}\"")),
        None => request.header(IF_NONE_MATCH, "*"),
    };
    let put = response::any(&states, request.body(value.into_string())).await?;
    match put.status {
        status if status.is_success() => {
            job.done(put.text()?, || Ok(format!("{owner}: {:?} is set", args.key)))
        }
        StatusCode::PRECONDITION_FAILED => Err(Failed::plain(format!(
            "{}: somebody changed it meanwhile, and nothing was stored",
            about(&owner, &put).message
        ))),
        _ => Err(about(&owner, &put)),
    }
}

/// Lets the person edit the file until it holds a value; `None` when the text is as before.
fn edited(file: &Path, before: &str) -> Result<Option<Json>, Failed> {
    loop {
        open(file)?;
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failed::plain(format!("cannot read {}: {error}", file.display())))?;
        if text.trim() == before.trim() {
            return Ok(None);
        }
        match Json::new(text) {
            Ok(value) => return Ok(Some(value)),
            Err(error) => {
                let message = format!("the text is no JSON value: {error}");
                if !again(&message) {
                    return Err(Failed::plain(message));
                }
            }
        }
    }
}

/// Whether the file is still as it was given to the editor: nothing is lost with it.
fn holds(file: &Path, before: &str) -> bool {
    std::fs::read_to_string(file).is_ok_and(|text| text.trim() == before.trim())
}

/// Runs the editor on the file and waits for its end.
fn open(file: &Path) -> Result<(), Failed> {
    let named = ["VISUAL", "EDITOR"].into_iter().find_map(|name| std::env::var(name).ok());
    let editor = named.filter(|editor| !editor.trim().is_empty()).unwrap_or_else(|| EDITOR.to_owned());
    // By way of a shell, because `code --wait` is an editor too.
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(format!("{editor} \"$@\"")).arg(&editor).arg(file);
    let ended =
        command.status().map_err(|error| Failed::plain(format!("cannot start {editor:?}: {error}")))?;
    if ended.success() {
        return Ok(());
    }
    Err(Failed::plain(format!("the editor {editor:?} ended with {ended}; nothing was stored")))
}

/// Whether the person wants to repair the text. Where nobody can be asked, no.
fn again(message: &str) -> bool {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return false;
    }
    // Nobody can be told that this failed.
    let _ = write!(io::stderr(), "{message}. Edit it again? [Y/n] ");
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer).unwrap_or(0);
    read > 0 && matches!(answer.trim().to_ascii_lowercase().as_str(), "" | "y" | "yes")
}

/// A file that only this user can read: the value may be private.
fn write(text: &str) -> Result<PathBuf, Failed> {
    let mut name = token();
    name.truncate(16);
    let file = std::env::temp_dir().join(format!("inboxclaw-{name}.json"));
    let written =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file).and_then(|mut out| {
            out.write_all(text.as_bytes())?;
            if text.is_empty() { Ok(()) } else { out.write_all(b"\n") }
        });
    written.map_err(|error| Failed::plain(format!("cannot write {}: {error}", file.display())))?;
    Ok(file)
}

fn remove(file: &Path) {
    if let Err(error) = std::fs::remove_file(file) {
        output::remark(&format!("cannot remove {}: {error}", file.display()));
    }
}

/// A failure after which the person's text is still there.
fn kept(failed: Failed, file: &Path) -> Failed {
    Failed::new(failed.code, format!("{}; your text is in {}", failed.message, file.display()))
}
