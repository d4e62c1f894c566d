//! Delivery by the real program: throughput of a webhook beside a plain loop of the same HTTP client, the time from the
//! commit of an event to each kind of consumer, what one sink that hangs costs ninety-nine others, a receiver that
//! misbehaves while the program is killed, and memory while very many events flow.

mod chaos;
mod consumers;
mod crowd;
mod flow;
mod receiver;
mod support;
mod throughput;

use std::path::Path;

use crate::report::Row;

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// One webhook sink with one call at a time, and with 32.
    Throughput,
    /// From commit to webhook, command, stream and long poll.
    Latency,
    /// A hundred sinks of which one hangs.
    Crowd,
    /// A receiver that answers at random, and ten kills.
    Chaos,
    /// Memory while events flow through four sinks.
    Flow,
}

/// Runs the parts, all of them if none is named.
pub(crate) async fn run(
    folder: &Path,
    rounds: usize,
    parts: &[Part],
    events: u64,
) -> anyhow::Result<Vec<Row>> {
    let all = [Part::Throughput, Part::Latency, Part::Crowd, Part::Chaos, Part::Flow];
    let parts = if parts.is_empty() { &all[..] } else { parts };
    let mut rows = Vec::new();
    for part in parts {
        let folder = folder.join(format!("{part:?}"));
        std::fs::create_dir_all(&folder)?;
        rows.extend(match part {
            Part::Throughput => throughput::run(&folder, rounds, events.min(20_000)).await?,
            Part::Latency => consumers::run(&folder, rounds).await?,
            Part::Crowd => crowd::run(&folder, rounds).await?,
            Part::Chaos => chaos::run(&folder).await?,
            Part::Flow => flow::run(&folder, events).await?,
        });
    }
    Ok(rows)
}
