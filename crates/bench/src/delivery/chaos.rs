//! A receiver that answers 200, 500, 429, hangs, cuts the connection or is slow, at random, while the program is killed ten
//! times: every event is taken at least once, those of an entity in order, and what comes twice has the same id.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::time::timeout;

use super::receiver::{self, Answer, Arrived};
use super::support::{Filler, LONG};
use crate::daemon::Daemon;
use crate::report::Row;

const EVENTS: u64 = 10_000;
const ENTITIES: u64 = 50;
const KILLS: u64 = 10;

/// What arrived, and what it says.
#[derive(Default)]
struct Seen {
    /// The ids of the messages of an event.
    ids: BTreeMap<u64, BTreeSet<String>>,
    taken: BTreeSet<u64>,
    /// The last event of an entity that was taken for the first time.
    last: BTreeMap<u64, u64>,
    repeats: u64,
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(super) async fn run(folder: &Path) -> anyhow::Result<Vec<Row>> {
    let chance = AtomicU64::new(1);
    let (port, mut arrived) = receiver::listen(move |_| misbehave(&chance)).await?;
    Filler::new(&folder.join("inbox.db")).await?.fill(EVENTS, ENTITIES).await?;
    let owners = format!(
        "sources: {{}}\nsink: {{ hook: {{ type: webhook, url: 'http://127.0.0.1:{port}/', start: all, concurrency: 32, \
         order: entity, timeout: 1s, retry: {{ max_attempts: 100, interval: 1s }} }} }}\n"
    );
    let (began, mut seen) = (Instant::now(), Seen::default());
    for life in 0..=KILLS {
        let daemon = Daemon::start(folder, &owners)?;
        let enough = EVENTS * (life + 1) / (KILLS + 1);
        while (seen.taken.len() as u64) < if life == KILLS { EVENTS } else { enough } {
            let one = timeout(LONG, arrived.recv()).await.context("nothing came for long")?;
            seen.note(&one.context("the receiver ended")?)?;
        }
        drop(daemon);
    }
    // What was on its way at the end.
    while let Ok(one) = arrived.try_recv() {
        seen.note(&one)?;
    }
    ensure!(seen.ids.values().all(|ids| ids.len() == 1), "an event came under two ids");
    let mut row =
        Row::new("delivery", "chaos".to_owned(), "events/s", EVENTS as f64 / began.elapsed().as_secs_f64());
    row.also.extend([("kills", KILLS as f64), ("taken_again", seen.repeats as f64)]);
    row.also.insert("seconds", began.elapsed().as_secs_f64());
    Ok(vec![row])
}

/// One of seven in ten is taken at once.
fn misbehave(chance: &AtomicU64) -> Answer {
    let dice = chance.fetch_add(0x9E37_79B9_7F4A_7C15, Relaxed);
    let dice = (dice ^ (dice >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40;
    match dice % 100 {
        0..70 => Answer::Ok,
        70..82 => Answer::Status(500, None),
        82..84 => Answer::Status(429, Some(1)),
        84..86 => Answer::Hang,
        86..90 => Answer::Cut,
        _ => Answer::Slow(Duration::from_millis(50)),
    }
}

impl Seen {
    fn note(&mut self, arrived: &Arrived) -> anyhow::Result<()> {
        let event: serde_json::Value = serde_json::from_str(&arrived.body)?;
        let n = event["data"]["n"].as_u64().context("an event of ours")?;
        self.ids.entry(n).or_default().insert(arrived.id.clone());
        if !arrived.taken {
            return Ok(());
        }
        if !self.taken.insert(n) {
            self.repeats += 1;
            return Ok(());
        }
        let last = self.last.insert(n % ENTITIES, n);
        ensure!(last.is_none_or(|last| last < n), "event {n} of an entity came after {last:?}");
        Ok(())
    }
}
