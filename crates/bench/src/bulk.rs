//! `bulk`: import, rewind, copy, clear and its undo of a million entries, and what the turns of eight other owners
//! take meanwhile, beside what they take when nothing else goes on.

mod other_owners;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use inboxclaw_contract::{Expiry, Keeper, OwnerId, Random, Version};
use inboxclaw_edit::{Choice, Editor, Lines, Mode, Progress, Steps, To, Which};
use inboxclaw_store::{HistoryBounds, SqliteStore};
use tokio::runtime::Runtime;

use crate::data;
use crate::measure::{Done, per_second};
use crate::memory;
use crate::ours::{Ours, fill, next};
use crate::report::Row;

use other_owners::{Others, Waits};

/// Who has the million, who gets a copy, and then the others.
const MAIN: usize = 0;
const COPY: usize = 1;
const FIRST_OTHER: usize = 2;
const OTHERS: usize = 8;

/// How long the others run alone first.
const ALONE: Duration = Duration::from_secs(5);

/// Enough for all that is taken back here; by default a rewind of a million entries ends at 64 MiB.
const HISTORY_BYTES: u64 = 8 << 30;

/// What one operation came to.
type Outcome = anyhow::Result<(Instant, Instant, u64)>;

struct TurnNames;

impl Random for TurnNames {
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
        let random = Arc::new(TurnNames);
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
        let mut rows = vec![self.row("import", |editor, told| import(editor, told, main, entries)).await?];
        let imported = self.version(main).await?;
        let changed = |n| (data::key(n), data::value(n, 1));
        fill(&self.store.store, main, 0..entries, Expiry::Keep, changed).await?;
        rows.push(self.row("rewind", |editor, told| rewind(editor, told, main, imported)).await?);
        rows.push(self.row("copy", |editor, told| copy_all(editor, told, main, copy)).await?);
        rows.push(self.row("clear", |editor, told| clear(editor, told, main)).await?);
        rows.push(self.row("undo_clear", |editor, told| undo(editor, told, main, entries)).await?);
        Ok(rows)
    }

    async fn version(&self, owner: OwnerId) -> anyhow::Result<Version> {
        use inboxclaw_contract::State;
        Ok(self.store.store.snapshot(owner).await?.version)
    }

    /// Does an operation on a task of its own and tells what it took of time, of memory and of the others' patience.
    async fn row<F>(&self, case: &str, operation: impl FnOnce(Editor, Told) -> F) -> anyhow::Result<Row>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        memory::forget_peak("self");
        let told = Told::default();
        let (started, ended, count) = tokio::spawn(operation(self.editor.clone(), told.clone())).await??;
        let peak = memory::peak_mib("self");
        ensure!(count == self.entries, "{case} concerned {count} entries, not {}", self.entries);
        let waits = self.others.waits(started, ended).await?;
        let took = ended - started;
        let mut row = Row::new("bulk", case.to_owned(), "entries/s", per_second(Done { count, took }));
        row.keys = Some(self.entries);
        row.also = [
            ("seconds", took.as_secs_f64()),
            ("progress_told", told.times()),
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

/// Counts how often progress was told.
#[derive(Clone, Default)]
struct Told(Arc<AtomicU64>);

impl Told {
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn times(&self) -> f64 {
        self.0.load(Ordering::Relaxed) as f64
    }

    fn tell(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

async fn import(editor: Editor, told: Told, owner: OwnerId, entries: u64) -> Outcome {
    let progress: Progress<'_> = &|_, _| told.tell();
    let started = Instant::now();
    let brought = editor.import(owner, lines(entries), Mode::Merge, progress).await?;
    Ok((started, Instant::now(), brought.entries))
}

async fn rewind(editor: Editor, told: Told, owner: OwnerId, version: Version) -> Outcome {
    let progress: Progress<'_> = &|_, _| told.tell();
    let started = Instant::now();
    let rewound = editor.rewind(owner, To::Version(version), progress).await?;
    Ok((started, Instant::now(), rewound.entries))
}

async fn copy_all(editor: Editor, told: Told, from: OwnerId, to: OwnerId) -> Outcome {
    let progress: Progress<'_> = &|_, _| told.tell();
    let started = Instant::now();
    let brought = editor.copy(from, to, "", Mode::Merge, progress).await?;
    Ok((started, Instant::now(), brought.entries))
}

async fn clear(editor: Editor, told: Told, owner: OwnerId) -> Outcome {
    let progress: Progress<'_> = &|_, _| told.tell();
    let started = Instant::now();
    let deleted = editor.delete_chosen(owner, &Choice::default(), false, progress).await?;
    Ok((started, Instant::now(), deleted.entries))
}

/// A whole space comes back, whose entries nobody counts.
async fn undo(editor: Editor, told: Told, owner: OwnerId, entries: u64) -> Outcome {
    let progress: Progress<'_> = &|_, _| told.tell();
    let started = Instant::now();
    editor.undo(owner, Which::Person, false, progress).await?;
    let ended = Instant::now();
    let space = editor.store.space(owner).await?;
    ensure!(space.entries == entries, "the cleared entries are back");
    Ok((started, ended, entries))
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
