//! A backlog through one webhook sink, beside a plain loop of the same HTTP client that posts the same bodies.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use anyhow::Context as _;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::receiver::{self, Answer, Arrived};
use super::support::{Filler, LONG};
use crate::daemon::Daemon;
use crate::measure::median;
use crate::report::{Goal, Row};

pub(super) async fn run(folder: &Path, rounds: usize, events: u64) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for concurrency in [1, 32] {
        let (mut ours, mut plain) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let (port, mut arrived) = receiver::listen(|_| Answer::Ok).await?;
            let folder = folder.join(format!("{concurrency}-{round}"));
            std::fs::create_dir_all(&folder)?;
            Filler::new(&folder.join("inbox.db")).await?.fill(events, 1_000).await?;
            let sink = format!(
                "sources: {{}}\nsink: {{ hook: {{ type: webhook, url: 'http://127.0.0.1:{port}/', start: all, \
                 concurrency: {concurrency} }} }}\n"
            );
            let daemon = Daemon::start(&folder, &sink)?;
            let (rate, bodies) = arrivals(&mut arrived, events).await?;
            ours.push(rate);
            drop(daemon);
            let loops = plain_loops(port, concurrency, bodies);
            let (rate, _) = tokio::try_join!(async { Ok(arrivals(&mut arrived, events).await?.0) }, loops)?;
            plain.push(rate);
        }
        let mut row = Row::new("delivery", format!("webhook_x{concurrency}"), "events/s", median(ours));
        let peer = median(plain);
        row.peers.insert("plain_loop", peer);
        let found = row.ours / peer;
        let goal = "of the plain loop: 0.7 at least".to_owned();
        row.goals.push(Goal { goal, found, met: found >= 0.7 });
        rows.push(row);
    }
    Ok(rows)
}

/// Takes so many requests; events per second from the first to the last, and their bodies.
#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
async fn arrivals(
    arrived: &mut mpsc::UnboundedReceiver<Arrived>,
    events: u64,
) -> anyhow::Result<(f64, Vec<String>)> {
    let mut bodies = Vec::new();
    let mut began = Instant::now();
    for n in 0..events {
        let one = timeout(LONG, arrived.recv()).await.context("no request for long")?;
        if n == 0 {
            began = Instant::now();
        }
        bodies.push(one.context("the receiver ended")?.body);
    }
    Ok((events as f64 / began.elapsed().as_secs_f64(), bodies))
}

/// Posts the bodies, one after the other in each of so many loops.
async fn plain_loops(port: u16, loops: usize, bodies: Vec<String>) -> anyhow::Result<()> {
    // Asked for by the client, and not used: nothing here is encrypted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (client, next, bodies) = (reqwest::Client::new(), Arc::new(AtomicUsize::new(0)), Arc::new(bodies));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..loops {
        let (client, next, bodies) = (client.clone(), next.clone(), bodies.clone());
        tasks.spawn(async move {
            while let Some(body) = bodies.get(next.fetch_add(1, Relaxed)) {
                let request = client
                    .post(format!("http://127.0.0.1:{port}/"))
                    .header("content-type", "application/json")
                    .body(body.clone());
                let answer = request.send().await?;
                anyhow::ensure!(answer.status() == 200, "{}", answer.status());
                answer.bytes().await?;
            }
            Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}
