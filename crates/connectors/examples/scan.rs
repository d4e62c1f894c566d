//! Measures the filesystem source on a folder: its baseline, and a second look in which nothing changed.
//!
//! `cargo run --release -p inboxclaw-connectors --example scan -- DIR`. The state is held in memory by the helper of the
//! tests, so the figures leave out what a store costs.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program that measures time and says so"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::error::Error;
use std::fs;
use std::time::Instant;

use inboxclaw_connectors::SOURCES;
use inboxclaw_contract::{Next, Source};
use serde_json::json;
use support::{Recorder, outside, poll};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("name a folder")?;
    let folder = fs::canonicalize(folder)?;
    let kind = SOURCES.iter().find(|kind| kind.name == "filesystem").ok_or("no such source")?;
    let settings = json!({ "path": folder, "watch_mode": "hybrid" });
    let source = (kind.build)(settings, &outside("/"))?.source;
    let memory = Recorder::new();
    measure("baseline", &*source, &memory).await?;
    measure("unchanged", &*source, &memory).await?;
    println!("entries: {}, events: {}", memory.values().len(), memory.events().len());
    Ok(())
}

/// Polls until the source waits.
async fn measure(what: &str, source: &dyn Source, memory: &Recorder) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let (mut turns, mut longest) = (0, 0);
    loop {
        let turn = Instant::now();
        let polled = poll(source, memory).await.map_err(|failure| failure.to_string())?;
        turns += 1;
        longest = longest.max(turn.elapsed().as_millis());
        for problem in &polled.problems {
            println!("problem: {problem}");
        }
        if polled.next == Next::Wait {
            break;
        }
    }
    let total = start.elapsed().as_millis();
    println!(
        "{what}: {total} ms in {turns} turns, the longest {longest} ms, most memory {} kB",
        most_memory()?
    );
    Ok(())
}

/// The peak of resident memory, as Linux counts it.
fn most_memory() -> Result<String, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    Ok(line.trim().trim_end_matches("kB").trim().to_owned())
}
