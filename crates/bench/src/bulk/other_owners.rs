//! Owners that commit a turn every few milliseconds while a bulk operation runs, and how long each turn took.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use inboxclaw_contract::{Json, OwnerId};
use inboxclaw_store::SqliteStore;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::data::{self, Numbers};
use crate::ours::{EVENT_TYPE, commit_turn};

/// From one turn of an owner to its next.
const PACE: Duration = Duration::from_millis(5);
const EVENTS: usize = 2;
/// How many keys each of them has.
const KEYS: u64 = 1_000;
/// How long to wait for turns that an operation may have held up.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The running owners.
pub(super) struct Others {
    tasks: JoinSet<anyhow::Result<()>>,
    log: Arc<Log>,
}

/// Turns so far: by owner, when they began and what they took.
struct Log {
    turns: Mutex<Vec<(usize, Instant, Duration)>>,
    end: AtomicBool,
}

/// What turns took, in milliseconds.
pub(super) struct Waits {
    pub(super) turns: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

impl Others {
    pub(super) fn start(store: &Arc<SqliteStore>, owners: &[OwnerId]) -> Self {
        let log = Arc::new(Log { turns: Mutex::default(), end: AtomicBool::new(false) });
        let mut tasks = JoinSet::new();
        for (n, &owner) in owners.iter().enumerate() {
            tasks.spawn(commit_turns(store.clone(), owner, n, log.clone()));
        }
        Self { tasks, log }
    }

    /// What those turns took that began between the two instants.
    pub(super) async fn waits(&self, from: Instant, to: Instant) -> anyhow::Result<Waits> {
        let all_are_past = || {
            let turns = self.log.turns.lock().unwrap_or_else(PoisonError::into_inner);
            (0..self.tasks.len()).all(|n| turns.iter().rev().any(|(owner, at, _)| *owner == n && *at > to))
        };
        // A turn that was held up is known only when it is done.
        while !all_are_past() {
            ensure!(to.elapsed() < TIMEOUT, "the other owners do not commit");
            tokio::time::sleep(PACE).await;
        }
        let turns = self.log.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let during = turns.iter().filter(|(_, at, _)| (from..=to).contains(at));
        let mut took: Vec<f64> = during.map(|(_, _, took)| took.as_secs_f64() * 1_000.0).collect();
        took.sort_by(f64::total_cmp);
        Waits::of(&took).context("no turn of another owner began meanwhile")
    }

    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        self.log.end.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}

impl Waits {
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn of(sorted: &[f64]) -> Option<Self> {
        let part = |hundredths: usize| sorted.get(sorted.len() * hundredths / 100).copied();
        Some(Self { turns: sorted.len() as f64, p50: part(50)?, p99: part(99)?, max: *sorted.last()? })
    }
}

/// Commits turns of two events, 10 keys and a cursor until the end.
async fn commit_turns(
    store: Arc<SqliteStore>,
    owner: OwnerId,
    n: usize,
    log: Arc<Log>,
) -> anyhow::Result<()> {
    let mut numbers = Numbers::new(n as u64);
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !log.end.load(Ordering::Relaxed) {
        pace.tick().await;
        let started = Instant::now();
        let puts =
            (0..data::TURN_KEYS).map(|_| numbers.put(KEYS)).map(|(key, value)| Ok((key, Json::new(value)?)));
        let puts = puts.collect::<anyhow::Result<Vec<_>>>()?;
        commit_turn(&store, owner, EVENT_TYPE, EVENTS, puts).await?;
        let took = started.elapsed();
        log.turns.lock().unwrap_or_else(PoisonError::into_inner).push((n, started, took));
    }
    Ok(())
}
