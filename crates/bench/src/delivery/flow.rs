//! Memory of the program while very many events flow through four sinks, and how it answers meanwhile.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::time::sleep;

use super::receiver::{self, Answer};
use super::support::Filler;
use crate::daemon::Daemon;
use crate::report::{Goal, Row};

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(super) async fn run(folder: &Path, events: u64) -> anyhow::Result<Vec<Row>> {
    let (port, mut arrived) = receiver::listen(|_| Answer::Ok).await?;
    Filler::new(&folder.join("inbox.db")).await?.fill(events, 1_000).await?;
    let owners = format!(
        "sources: {{}}\nsink:\n  hook: {{ type: webhook, url: 'http://127.0.0.1:{port}/', start: all, concurrency: 8 }}\n  \
         run: {{ type: command, command: 'true', batch_command: 'cat > /dev/null', batch_threshold: 1, start: all, batch: {{ max: 1000 }} }}\n  \
         file: {{ type: file, path: ./events.jsonl, start: all }}\n  folder: {{ type: folder, path: ./days, start: all }}\n"
    );
    let (began, daemon) = (Instant::now(), Daemon::start(folder, &owners)?);
    let (mut peaks, mut hooked) = (Vec::new(), 0);
    loop {
        sleep(Duration::from_secs(5)).await;
        while arrived.try_recv().is_ok() {
            hooked += 1;
        }
        peaks.extend(daemon.peak_mib());
        daemon.forget_peak();
        let debts = daemon.get("/healthcheck")?;
        ensure!(debts["status"] == "healthy", "{debts}");
        let lines = std::fs::metadata(folder.join("events.jsonl")).map_or(0, |meta| meta.len());
        if hooked >= events && is_quiet(folder, lines).await {
            break;
        }
    }
    // The first seconds fill the caches of the database.
    let early = peaks.iter().skip(1).take(peaks.len() / 5).copied().fold(0.0, f64::max);
    let late = peaks.iter().skip(peaks.len() / 2).copied().fold(0.0, f64::max);
    let rate = events as f64 / began.elapsed().as_secs_f64();
    let mut row = Row::new("delivery", format!("flow_{events}"), "events/s", rate);
    row.also.extend([("early_mib", early), ("late_mib", late), ("seconds", began.elapsed().as_secs_f64())]);
    let found = late / early;
    row.goals.push(Goal { goal: "memory late over early: 1.2 at most".to_owned(), found, met: found <= 1.2 });
    Ok(vec![row])
}

/// Whether nothing is written any more.
async fn is_quiet(folder: &Path, before: u64) -> bool {
    sleep(Duration::from_secs(2)).await;
    std::fs::metadata(folder.join("events.jsonl")).is_ok_and(|meta| meta.len() == before && before > 0)
}
