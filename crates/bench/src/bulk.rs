//! `bulk`: import, rewind, copy, clear and its undo of a million entries, and how long the turns of eight other owners
//! take meanwhile, beside how long they take alone.

mod other_owners;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use inboxclaw_contract::{Expiry, Housekeeping, OwnerId, Random, State, Version};
use inboxclaw_edit::{Editor, EntryFilter, Lines, Mode, Progress, Steps, To, Which};
use inboxclaw_store::{HistoryBounds, SqliteStore};
use tokio::runtime::Runtime;

use crate::data;
use crate::measure::{Done, per_second};
use crate::memory;
use crate::ours::{Ours, fill, next};
use crate::report::Row;

use other_owners::{Others, Waits};

/// The owner of the entries, the owner of a copy, and then the others.
const MAIN: usize = 0;
const COPY: usize = 1;
const FIRST_OTHER: usize = 2;
const OTHERS: usize = 8;

/// How long the others run alone first.
const ALONE: Duration = Duration::from_secs(5);

/// Enough for all that is taken back here; by default a rewind of a million entries ends at 64 MiB.
const HISTORY_BYTES: u64 = 8 << 30;

/// A change too big for one turn.
#[derive(Clone, Copy)]
enum Operation {
    Import(OwnerId),
    Rewind(OwnerId, Version),
    Copy(OwnerId, OwnerId),
    Clear(OwnerId),
    UndoClear(OwnerId),
}

struct TurnIds;

impl Random for TurnIds {
    fn next(&self) -> u128 {
        next(1).into()
    }
}

/// Every operation once, in an order in which each finds what it needs.
pub(crate) fn run(runtime: &Runtime, folder: &Path, entries: u64) -> anyhow::Result<Vec<Row>> {
    runtime.block_on(async {
        let history = HistoryBounds { bytes: HISTORY_BYTES, ..HistoryBounds::default() };
        let store = Ours::with_history(folder, FIRST_OTHER + OTHERS, history).await?;
        let others = Others::start(&store.store, &store.owners[FIRST_OTHER..]);
        tokio::time::sleep(ALONE).await;
        let alone = others.waits(Instant::now() - ALONE, Instant::now()).await?;
        let housekeeping = tokio::spawn(sweep(store.store.clone()));
        let random = Arc::new(TurnIds);
        let editor = Editor {
            store: store.store.clone(),
            random,
            author: "bench".to_owned(),
            steps: Steps::default(),
        };
        let bulk = Bulk { store, others, alone, editor, entries };
        let rows = bulk.rows().await;
        housekeeping.abort();
        bulk.others.end().await?;
        rows
    })
}

/// Housekeeping, as a program in use does it.
async fn sweep(store: Arc<SqliteStore>) -> anyhow::Result<()> {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    loop {
        seconds.tick().await;
        while store.sweep().await?.more {}
    }
}

struct Bulk {
    store: Ours,
    others: Others,
    alone: Waits,
    editor: Editor,
    entries: u64,
}

impl Bulk {
    async fn rows(&self) -> anyhow::Result<Vec<Row>> {
        let (main, copy, entries) = (self.store.owners[MAIN], self.store.owners[COPY], self.entries);
        let mut rows = vec![self.row("import", Operation::Import(main)).await?];
        let imported = self.store.store.snapshot(main).await?.version;
        let changed = |n| (data::key(n), data::value(n, 1));
        fill(&self.store.store, main, 0..entries, Expiry::Keep, changed).await?;
        rows.push(self.row("rewind", Operation::Rewind(main, imported)).await?);
        rows.push(self.row("copy", Operation::Copy(main, copy)).await?);
        rows.push(self.row("clear", Operation::Clear(main)).await?);
        rows.push(self.row("undo_clear", Operation::UndoClear(main)).await?);
        // An undo of a clear puts the whole space back, and counts no entries.
        let space = self.editor.store.space(main).await?;
        ensure!(space.entries == entries, "the cleared entries are back");
        Ok(rows)
    }

    /// Does an operation on a task of its own. The row says how long it took, how much memory it held, and how long the
    /// turns of the others took meanwhile.
    async fn row(&self, case: &str, operation: Operation) -> anyhow::Result<Row> {
        memory::forget_peak("self");
        let reports = Arc::new(AtomicU64::new(0));
        let (editor, counter, entries) = (self.editor.clone(), reports.clone(), self.entries);
        let done = tokio::spawn(async move {
            let started = Instant::now();
            let progress: Progress<'_> = &|_, _| {
                counter.fetch_add(1, Ordering::Relaxed);
            };
            let count = operation.run(&editor, entries, progress).await?;
            anyhow::Ok((count, started, Instant::now()))
        });
        let (count, started, ended) = done.await??;
        let peak = memory::peak_mib("self");
        ensure!(count == self.entries, "{case} concerned {count} entries, not {}", self.entries);
        let waits = self.others.waits(started, ended).await?;
        let took = ended - started;
        let mut row = Row::new("bulk", case.to_owned(), "entries/s", per_second(Done { count, took }));
        row.keys = Some(self.entries);
        row.also = [
            ("seconds", took.as_secs_f64()),
            ("progress_reports", reports.load(Ordering::Relaxed) as f64),
            ("others_turns", waits.turns),
            ("others_p50_ms", waits.p50),
            ("others_p99_ms", waits.p99),
            ("others_max_ms", waits.max),
            ("alone_p50_ms", self.alone.p50),
            ("alone_p99_ms", self.alone.p99),
        ]
        .into();
        row.also.extend(peak.map(|peak| ("peak_mib", peak)));
        Ok(row)
    }
}

impl Operation {
    /// Returns how many entries the operation changed.
    async fn run(self, editor: &Editor, entries: u64, progress: Progress<'_>) -> anyhow::Result<u64> {
        Ok(match self {
            Self::Import(owner) => editor.import(owner, lines(entries), Mode::Merge, progress).await?.entries,
            Self::Rewind(owner, version) => {
                editor.rewind(owner, To::Version(version), progress).await?.entries
            }
            Self::Copy(from, to) => editor.copy(from, to, "", Mode::Merge, progress).await?.entries,
            Self::Clear(owner) => {
                editor.delete_matching(owner, &EntryFilter::default(), false, progress).await?.entries
            }
            Self::UndoClear(owner) => {
                editor.undo(owner, Which::Person, false, progress).await?;
                entries
            }
        })
    }
}

/// What an export of so many entries looks like, in pieces of some hundred lines.
fn lines(entries: u64) -> Lines {
    let line = |n| {
        let (key, value, time) = (data::key(n), data::value(n, 0), "2026-03-01T08:15:30.123456Z");
        format!(
            r#"{{"key":"{key}","value":{value},"revision":{n},"created_at":"{time}","updated_at":"{time}"}}"#
        ) + "\n"
    };
    let pieces = (0..entries).step_by(500).map(move |from| {
        let piece: String = (from..(from + 500).min(entries)).map(line).collect();
        Ok(Bytes::from(piece))
    });
    stream::iter(pieces).boxed()
}
