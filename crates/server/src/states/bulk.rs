//! Many entries at once: deletion by prefix and age, import, export, and copies from another owner.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use futures_util::stream::unfold;
use inboxclaw_contract::turn::Age;
use inboxclaw_contract::{OwnerKind, StoreError, limits};
use inboxclaw_edit::{EditError, EntryFilter, Mode};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::channel::{self, Pieces};
use super::context::{KnownOwner, States};
use super::problem::Problem;
use super::progress;
use super::request::{Call, LINES, order, wrong};
use super::types::{DeletedEntries, ImportedEntries};
use crate::reply::{self, Reply};

const MODES: [(&str, Mode); 2] = [("merge", Mode::Merge), ("replace", Mode::Replace)];
const AGES: [(&str, Age); 2] = [("created", Age::Created), ("updated", Age::Updated)];

/// Where entries are to be copied from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CopyFrom {
    /// `source:NAME` or `sink:NAME`; a name alone where only one of them has it.
    pub(crate) from: String,
    /// Only keys under this literal prefix.
    #[serde(default)]
    pub(crate) prefix: String,
    /// How they come to those that are there.
    #[serde(default)]
    pub(crate) mode: CopyMode,
}

/// How entries come to those that are there.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CopyMode {
    /// Over those of the same key; others and the cursor stay.
    #[default]
    Merge,
    /// In place of all, with the cursor. Secrets stay.
    Replace,
}

pub(super) async fn delete(Call { states, whose, ask, author }: Call) -> Result<Reply, Problem> {
    let Some(prefix) = ask.text("prefix") else {
        return Err(wrong("prefix is missing; prefix= without a value means all entries"));
    };
    limits::check_prefix(prefix)?;
    let by = ask.word("by", AGES)?;
    let older_than: Option<Duration> = ask.interval("older_than")?;
    if by.is_some() && older_than.is_none() {
        return Err(wrong("by says from when an age counts: give older_than, too"));
    }
    let older_than = older_than.map(|age| (age, by.unwrap_or_default()));
    let choice = EntryFilter { prefix: prefix.to_owned(), older_than };
    let dry_run = ask.flag("dry_run")?;
    let editor = states.editor(&author);
    progress::answer(ask.accepts_lines(), move |progress| async move {
        let tell = |done, of| progress.set(done, of);
        let deleted = editor.delete_matching(whose.id, &choice, dry_run, &tell).await?;
        if !dry_run {
            states.wake(&whose.owner);
        }
        Ok(DeletedEntries::of(deleted, dry_run))
    })
    .await
}

pub(super) async fn import(Call { states, whose, ask, author }: Call) -> Result<Reply, Problem> {
    let mode = ask.word("mode", MODES)?.unwrap_or_default();
    let streamed = ask.accepts_lines();
    let (lines, rest) = ask.into_lines(states.bounds.idle_timeout);
    let editor = states.editor(&author);
    progress::answer(streamed, move |progress| async move {
        let tell = |done, of| progress.set(done, of);
        let brought = match editor.import(whose.id, lines, mode, &tell).await {
            Ok(brought) => brought,
            Err(error) => {
                rest.drain().await;
                return Err(error.into());
            }
        };
        states.wake(&whose.owner);
        Ok(ImportedEntries::from(brought))
    })
    .await
}

pub(super) async fn copy(Call { states, whose, ask, author }: Call) -> Result<Reply, Problem> {
    let streamed = ask.accepts_lines();
    let CopyFrom { from, prefix, mode } = ask.into_body(order(&states)).await?;
    limits::check_prefix(&prefix)?;
    let from = named(&states, &from).await?;
    if from.id == whose.id {
        return Err(wrong(format!("{} cannot be copied to itself", whose.owner)));
    }
    let mode = match mode {
        CopyMode::Merge => Mode::Merge,
        CopyMode::Replace => Mode::Replace,
    };
    let editor = states.editor(&author);
    progress::answer(streamed, move |progress| async move {
        let tell = |done, of| progress.set(done, of);
        let brought = editor.copy(from.id, whose.id, &prefix, mode, &tell).await?;
        states.wake(&whose.owner);
        Ok(ImportedEntries::from(brought))
    })
    .await
}

/// The owner that a text names.
async fn named(states: &States, text: &str) -> Result<KnownOwner, Problem> {
    for kind in [OwnerKind::Source, OwnerKind::Sink] {
        let name = text.strip_prefix(kind.as_str()).and_then(|rest| rest.strip_prefix(':'));
        if let Some(name) = name {
            return states.find(kind, name.to_owned(), true).await;
        }
    }
    let source = states.find(OwnerKind::Source, text.to_owned(), true).await;
    match (source, states.find(OwnerKind::Sink, text.to_owned(), true).await) {
        (Ok(_), Ok(_)) => Err(wrong(format!("{text:?} is both: say source:{text} or sink:{text}"))),
        (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
        (Err(_), Err(_)) => {
            Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no source or sink {text:?}")))
        }
    }
}

pub(super) async fn export(Call { states, whose, ask, author }: Call) -> Result<Reply, Problem> {
    let secrets = ask.flag("secrets")?;
    let permit = states.bounds.exports.clone().try_acquire_owned();
    let busy = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many exports are under way");
    let permit = permit.map_err(busy)?;
    let (mut give, pieces) = channel::channel();
    let (editor, here) = (states.editor(&author), Handle::current());
    // On a thread of its own: it waits for a client that takes the pieces slowly.
    let work = tokio::task::spawn_blocking(move || {
        let write = Box::new(move |piece: &[u8]| give.give(piece));
        here.block_on(editor.export(whose.id, &whose.owner.name, &whose.connector, secrets, write))
    });
    let mut exported = Exported { pieces, work: Some(work), _permit: permit };
    // What fails before the first piece still gets a status of its own.
    let first = exported.next().await.transpose()?;
    let body = Body::from_stream(unfold((first, exported), |(first, mut exported)| async move {
        let piece = match first {
            Some(first) => Ok(first),
            // The answer breaks off, so that nobody takes a part for the whole.
            None => exported.next().await?.map_err(|_| io::Error::other("the export failed")),
        };
        Some((piece, (None, exported)))
    }));
    Ok(reply::of(StatusCode::OK, LINES, body))
}

/// An export under way.
struct Exported {
    pieces: Pieces,
    work: Option<JoinHandle<Result<u64, EditError>>>,
    _permit: OwnedSemaphorePermit,
}

impl Exported {
    async fn next(&mut self) -> Option<Result<Bytes, Problem>> {
        if let Some(piece) = self.pieces.take().await {
            return Some(Ok(piece));
        }
        match self.work.take()?.await {
            Ok(ended) => ended.err().map(|error| Err(error.into())),
            Err(error) => Some(Err(StoreError::Read(error.to_string()).into())),
        }
    }
}
