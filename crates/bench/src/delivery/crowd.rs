//! A hundred webhook sinks, and the same with one whose receiver hangs: how long until the others have an event.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::time::{sleep, timeout};

use super::receiver::{self, Answer};
use super::support::{LONG, middle_and_slow};
use crate::daemon::Daemon;
use crate::report::Row;

const SINKS: usize = 100;
/// How many events are timed for each round asked for.
const EACH: usize = 10;

pub(super) async fn run(folder: &Path, rounds: usize) -> anyhow::Result<Vec<Row>> {
    let mut row = Row::new("delivery", format!("{SINKS}_sinks_one_hangs"), "ms (median)", 0.0);
    for hangs in [false, true] {
        let folder = folder.join(format!("hangs-{hangs}"));
        std::fs::create_dir_all(&folder)?;
        let (middle, slow) = measure(&folder, rounds * EACH, hangs).await?;
        if hangs {
            row.ours = middle;
            row.also.insert("p99_ms", slow);
        } else {
            row.also.extend([("none_hangs_ms", middle), ("none_hangs_p99_ms", slow)]);
        }
    }
    Ok(vec![row])
}

/// Milliseconds from the commit of an event to its arrival at each sink but the one that may hang.
async fn measure(folder: &Path, events: usize, hangs: bool) -> anyhow::Result<(f64, f64)> {
    let (port, mut arrived) = receiver::listen(|_| Answer::Ok).await?;
    let (deaf, _unheard) = receiver::listen(move |_| if hangs { Answer::Hang } else { Answer::Ok }).await?;
    let mut owners = "sources: { m: { type: mock, interval: 1h } }\nsink:\n".to_owned();
    for n in 0..SINKS {
        let port = if n == 0 { deaf } else { port };
        owners.push_str(&format!("  hook{n}: {{ type: webhook, url: 'http://127.0.0.1:{port}/{n}' }}\n"));
    }
    let mut daemon = Daemon::start(folder, &owners)?;
    daemon.until(|daemon| {
        daemon.ask("PUT", "/api/sources/m/state/wake", &Timestamp::now().as_nanosecond().to_string())?;
        Ok(daemon.get("/api/events?limit=1")?["total"].as_u64() > Some(0))
    })?;
    sleep(Duration::from_secs(3)).await;
    while arrived.try_recv().is_ok() {}
    let mut millis = Vec::new();
    for round in 0..events {
        let value = format!("\"{round} {}\"", Timestamp::now());
        tokio::task::block_in_place(|| daemon.ask("PUT", "/api/sources/m/state/wake", &value))?;
        let mut bodies: BTreeMap<String, usize> = BTreeMap::new();
        while bodies.values().sum::<usize>() < SINKS - 1 {
            let one = timeout(LONG, arrived.recv()).await?.context("the receiver ended")?;
            millis.push(one.at.duration_since(one.stored_at()?).as_secs_f64() * 1e3);
            *bodies.entry(one.body).or_default() += 1;
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(middle_and_slow(millis))
}
