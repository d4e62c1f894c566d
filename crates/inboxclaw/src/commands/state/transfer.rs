//! Moving whole states: `export`, `import`, `copy` and `move`.

use std::io::{self, IsTerminal as _, Read as _};

use axum::body::{Body, Bytes};
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use inboxclaw_server::states::ImportedEntries;
use serde_json::json;
use tokio::sync::mpsc::channel;

use super::super::failed::Failed;
use super::super::state_client::{ApiRequest, Seen, StateClient};
use super::super::{output, response};
use super::job::{Job, about, counted};
use crate::cli::{Copy, Export, Import, Move, exit};

/// Bytes that are read from standard input at a time.
const PIECE: usize = 64 << 10;
/// Pieces that may wait.
const WAITING: usize = 4;

/// What an import says of itself.
fn imported(summary: &ImportedEntries) -> String {
    message(summary, "read", summary.entries, "secret without a value")
}

/// What a copy says of itself: what was left out was read but not copied.
fn copied(summary: &ImportedEntries) -> String {
    let left_out = summary.expired.saturating_add(summary.secrets);
    message(summary, "copied", summary.entries.saturating_sub(left_out), "secret")
}

fn message(summary: &ImportedEntries, done: &str, entries: u64, secret: &str) -> String {
    let mut message = format!("{done} {}", counted(entries, "entry", "entries"));
    for (count, why) in [(summary.expired, "expired"), (summary.secrets, secret)] {
        if count > 0 {
            message.push_str(&format!(", {count} left out ({why})"));
        }
    }
    format!("{message}; the state has version {} now", summary.version)
}

pub(super) async fn export(job: &Job<'_>, args: &Export) -> Result<u8, Failed> {
    let seen = StateClient::look(job.config, &args.owner).await?;
    let Some(states) = seen.states else {
        return Err(Failed::plain(format!("{} has no state yet", seen.owner)));
    };
    let request = ApiRequest::of(Method::GET, &seen.owner, &["export"]).long().flag("secrets", args.secrets);
    let mut pieces = response::stream(&states, request).await?.into_data_stream();
    let mut out = output::Lines::new();
    while let Some(piece) = pieces.next().await {
        out.write(&piece.map_err(|error| response::broken(&error))?)?;
    }
    out.end()?;
    Ok(exit::OK)
}

pub(super) async fn import(job: &Job<'_>, args: &Import) -> Result<u8, Failed> {
    if io::stdin().is_terminal() {
        let message = "an import reads standard input: inboxclaw state import OWNER < FILE";
        return Err(Failed::new(exit::USAGE, message));
    }
    let (states, owner) = StateClient::change(job.config, &args.owner).await?;
    let request = ApiRequest::of(Method::POST, &owner, &["import"])
        .long()
        .with("mode", mode(args.replace))
        .header(CONTENT_TYPE, "application/x-ndjson")
        .body(standard_input());
    job.long(&states, &owner, request, |result| {
        Ok(format!("{owner}: {}", imported(&response::result(result)?)))
    })
    .await
}

pub(super) async fn copy(job: &Job<'_>, args: &Copy) -> Result<u8, Failed> {
    let Seen { owner: from, states } = StateClient::look(job.config, &args.from).await?;
    if StateClient::look(job.config, &args.to).await?.owner == from {
        return Err(Failed::new(exit::USAGE, format!("{from} cannot be copied to itself")));
    }
    if states.is_none() {
        return Err(Failed::plain(format!("{from} has no state yet")));
    }
    let (states, to) = StateClient::change(job.config, &args.to).await?;
    let body = json!({
        "from": format!("{}:{}", from.kind, from.name),
        "prefix": args.prefix,
        "mode": mode(args.replace),
    });
    let request = ApiRequest::of(Method::POST, &to, &["copy"]).long().body(body.to_string());
    job.long(&states, &to, request, |result| Ok(format!("{to}: {}", copied(&response::result(result)?))))
        .await
}

pub(super) async fn rename(job: &Job<'_>, args: &Move) -> Result<u8, Failed> {
    let (states, owner) = StateClient::change(job.config, &args.owner).await?;
    let body = json!({ "to": args.to }).to_string();
    let answer = response::any(&states, ApiRequest::of(Method::POST, &owner, &["rename"]).body(body)).await?;
    if !answer.status.is_success() {
        return Err(about(&owner, &answer));
    }
    job.done(answer.text()?, || Ok(format!("{owner} is {} {} now", owner.kind, args.to)))
}

fn mode(replace: bool) -> &'static str {
    if replace { "replace" } else { "merge" }
}

/// Standard input, read by a thread of its own: it may stand still for as long as it likes.
fn standard_input() -> Body {
    let (sender, receiver) = channel::<io::Result<Bytes>>(WAITING);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        let mut piece = vec![0; PIECE];
        loop {
            let read = match input.read(&mut piece) {
                Ok(0) => return,
                Ok(read) => Ok(Bytes::copy_from_slice(&piece[..read])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let ended = read.is_err();
            if sender.blocking_send(read).is_err() || ended {
                return;
            }
        }
    });
    Body::from_stream(unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_was_read_but_not_copied() {
        let summary = ImportedEntries { entries: 4, expired: 1, secrets: 2, version: 7 };
        assert_eq!(
            imported(&summary),
            "read 4 entries, 1 left out (expired), 2 left out (secret without a value); the state has version 7 now"
        );
        assert_eq!(
            copied(&summary),
            "copied 1 entry, 1 left out (expired), 2 left out (secret); the state has version 7 now"
        );
    }
}
