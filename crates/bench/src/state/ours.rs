//! Our store in the state benchmark: through the public traits, from tasks of a runtime, with history as it is by
//! default. A set is a turn of one key through a draft, as a connector does it. Of 64 tasks each has an owner of its
//! own, as sources have; 64 tasks on one owner would be one source that polls itself.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use inboxclaw_contract::turn::TurnId;
use inboxclaw_contract::{Expiry, Housekeeping, Json, OpenTurn, OwnerId, State};
use inboxclaw_store::SqliteStore;
use tokio::runtime::Runtime;

use crate::data::{self, Case, Numbers};
use crate::measure::Done;
use crate::ours::{EVENT_TYPE, Ours as Store, advance_clock, cause, commit_turn, committed, fill, next};

/// Those that share the keys, and one for what expires.
const ALL_OWNERS: usize = data::OWNERS as usize + 1;

/// How many seconds what is to be swept lives, and after how many it is swept: not at once, so that those who watch
/// learn of it.
const LIVES: u64 = 60;
const SWEPT_AFTER: u64 = 120;

/// The store, its owners, and where its tasks run.
pub(super) struct Ours<'r> {
    runtime: &'r Runtime,
    store: Arc<SqliteStore>,
    owners: Vec<OwnerId>,
    keys_each: u64,
    numbers: Numbers,
    /// Sets of 64 at a time so far, and the transactions that they came to.
    grouped: (u64, u64),
}

/// A key with a value, ready to be put.
type Put = (OwnerId, String, Json);

/// Makes a database of so many keys for each owner, in turns of some thousand.
pub(super) fn load(runtime: &Runtime, folder: &Path, keys_each: u64) -> anyhow::Result<()> {
    runtime.block_on(async {
        let Store { store, owners } = Store::new(folder, ALL_OWNERS).await?;
        for &owner in owners.iter().take(data::OWNERS as usize) {
            fill(&store, owner, 0..keys_each, Expiry::Never, |n| (data::key(n), data::value(n, 0))).await?;
        }
        Ok(())
    })
}

impl<'r> Ours<'r> {
    pub(super) fn open(runtime: &'r Runtime, folder: &Path, keys_each: u64) -> anyhow::Result<Self> {
        let Store { store, owners } = runtime.block_on(Store::new(folder, ALL_OWNERS))?;
        Ok(Self { runtime, store, owners, keys_each, numbers: Numbers::new(1), grouped: (0, 0) })
    }

    /// A round of a case.
    pub(super) fn run(&mut self, case: Case, count: u64) -> anyhow::Result<Done> {
        let took = match case {
            Case::Get => self.get(count),
            Case::Set => self.set(count),
            Case::Set64 => self.set64(count),
            Case::Turn => self.turns(count),
            Case::List100 => self.list(count),
            Case::Sweep => self.sweep(count),
        };
        Ok(Done { count, took: took? })
    }

    /// Runs the work on a worker of the runtime, where a source's loop runs.
    fn on_a_task(
        &self,
        work: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) -> anyhow::Result<Duration> {
        let timed = async {
            let started = Instant::now();
            work.await?;
            Ok(started.elapsed())
        };
        self.runtime.block_on(self.runtime.spawn(timed))?
    }

    fn get(&self, count: u64) -> anyhow::Result<Duration> {
        let (store, owner) = (self.store.clone(), self.owner(0));
        let keys = [data::key(self.keys_each / 2)];
        self.on_a_task(async move {
            for _ in 0..count {
                let found = store.entries(owner, &keys).await?;
                ensure!(matches!(found.as_slice(), [Some(_)]), "the hot key is there");
            }
            Ok(())
        })
    }

    fn set(&mut self, count: u64) -> anyhow::Result<Duration> {
        let puts = (0..count).map(|n| self.put(n)).collect::<anyhow::Result<Vec<_>>>()?;
        self.on_a_task(set_all(self.store.clone(), puts))
    }

    fn set64(&mut self, count: u64) -> anyhow::Result<Duration> {
        let mut shares: Vec<Vec<Put>> = vec![Vec::new(); data::OWNERS as usize];
        for n in 0..count {
            let put = self.put(n)?;
            shares[(n % data::OWNERS) as usize].push(put);
        }
        let commits = self.store.commits();
        let started = Instant::now();
        let tasks = shares.into_iter().map(|puts| self.runtime.spawn(set_all(self.store.clone(), puts)));
        let tasks: Vec<_> = tasks.collect();
        self.runtime.block_on(async {
            for task in tasks {
                task.await??;
            }
            anyhow::Ok(())
        })?;
        let took = started.elapsed();
        self.grouped.0 += count;
        self.grouped.1 += self.store.commits() - commits;
        Ok(took)
    }

    /// How many sets of 64 at a time shared a transaction, on average.
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub(super) fn sets_a_transaction(&self) -> f64 {
        self.grouped.0 as f64 / self.grouped.1 as f64
    }

    fn turns(&mut self, count: u64) -> anyhow::Result<Duration> {
        let puts = (0..count * data::TURN_KEYS).map(|_| self.put(0)).collect::<anyhow::Result<Vec<_>>>()?;
        let (store, owner) = (self.store.clone(), self.owner(0));
        self.on_a_task(async move {
            let mut puts = puts.into_iter().map(|(_, key, value)| (key, value));
            for _ in 0..count {
                let puts = puts.by_ref().take(data::TURN_KEYS as usize);
                commit_turn(&store, owner, EVENT_TYPE, data::TURN_EVENTS as usize, puts).await?;
            }
            Ok(())
        })
    }

    fn list(&mut self, count: u64) -> anyhow::Result<Duration> {
        let groups = self.keys_each / data::GROUP;
        let prefixes: Vec<_> =
            (0..count).map(|n| (self.owner(n), data::prefix(self.numbers.below(groups)))).collect();
        let store = self.store.clone();
        self.on_a_task(async move {
            for (owner, prefix) in prefixes {
                let found = store.list(owner, &prefix, None, 100).await?;
                ensure!(found.len() == 100, "a list of 100");
            }
            Ok(())
        })
    }

    /// In steps, between which turns of others go on.
    fn sweep(&self, count: u64) -> anyhow::Result<Duration> {
        let (store, owner) = (self.store.clone(), self.owners[data::OWNERS as usize]);
        let seen = |n| (data::seen_key(n), data::value(n, 0));
        let lives = Expiry::For(Duration::from_secs(LIVES));
        self.runtime.block_on(fill(&store, owner, 0..count, lives, seen))?;
        advance_clock(SWEPT_AFTER);
        self.on_a_task(async move {
            let mut removed = 0;
            loop {
                let swept = store.sweep().await?;
                removed += swept.entries;
                if !swept.more {
                    break;
                }
            }
            ensure!(removed == count, "all that had expired, not {removed}");
            Ok(())
        })
    }

    fn put(&mut self, n: u64) -> anyhow::Result<Put> {
        let (key, value) = self.numbers.put(self.keys_each);
        Ok((self.owner(n), key, Json::new(value)?))
    }

    fn owner(&self, n: u64) -> OwnerId {
        self.owners[(n % data::OWNERS) as usize]
    }
}

async fn set_all(store: Arc<SqliteStore>, puts: Vec<Put>) -> anyhow::Result<()> {
    for (owner, key, value) in puts {
        let mut draft = OpenTurn::open(&*store, owner, TurnId(next(1).into())).await?;
        draft.put(&key, &value, Expiry::Keep).map_err(cause)?;
        committed(&draft.commit().await?)?;
    }
    Ok(())
}
