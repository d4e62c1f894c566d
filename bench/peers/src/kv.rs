//! denokv_sqlite, the store behind Deno KV: one ordered table of binary keys in SQLite, written by one thread.
//!
//! WAL and `synchronous=FULL` as ours. A batch there is a wait: after a write has come it waits for more until
//! `batch_timeout` has passed. So a set alone is fastest without, which is what the cases of one task use; for 64 at a
//! time every timeout that may be best is tried first, and the best one used. Reads have a thread of their own.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, Utc};
use denokv_proto::{
    AtomicWrite, AtomicWriteOutcome, Check, Consistency, KvValue, Mutation, MutationKind, ReadRange,
    SnapshotReadOptions, Versionstamp,
};
use denokv_sqlite::{Connection, Sqlite, SqliteConfig, SqliteNotifier};
use rand::SeedableRng;
use tokio::runtime::Runtime;

use crate::Peer;
use crate::data::{self, Case, Numbers};

/// What may be the best batch.
const TIMEOUTS: [Option<Duration>; 6] = [
    None,
    Some(Duration::from_micros(200)),
    Some(Duration::from_millis(1)),
    Some(Duration::from_millis(2)),
    Some(Duration::from_millis(5)),
    Some(Duration::from_millis(10)),
];

const TRIES: usize = 3;

pub(crate) struct Denokv {
    runtime: Runtime,
    path: PathBuf,
    open: Option<(Sqlite, Option<Duration>)>,
    /// The best timeout for 64 sets at a time, once it is known, and how it was found.
    best: Option<Option<Duration>>,
    tried: String,
    keys_each: u64,
    numbers: Numbers,
    seq: u64,
    cursor: Option<Versionstamp>,
}

impl Denokv {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        Ok(Self {
            runtime,
            path: path.to_owned(),
            open: None,
            best: None,
            tried: String::new(),
            keys_each: 0,
            numbers: Numbers::new(3),
            seq: 0,
            cursor: None,
        })
    }

    /// The database, open with this setting.
    fn with(&mut self, timeout: Option<Duration>) -> anyhow::Result<Sqlite> {
        if let Some((sqlite, open)) = &self.open
            && *open == timeout
        {
            return Ok(sqlite.clone());
        }
        self.close();
        let sqlite = start(&self.path, timeout)?;
        self.open = Some((sqlite.clone(), timeout));
        Ok(sqlite)
    }

    fn close(&mut self) {
        if let Some((sqlite, _)) = self.open.take() {
            sqlite.close();
        }
    }

    fn get(&mut self, count: u64) -> anyhow::Result<Duration> {
        let sqlite = self.with(None)?;
        let key = entry(0, &data::key(self.keys_each / 2));
        self.runtime.block_on(self.runtime.spawn(async move {
            let started = Instant::now();
            for _ in 0..count {
                let range = ReadRange {
                    start: key.clone(),
                    end: key.iter().copied().chain([0]).collect(),
                    limit: NonZeroU32::MIN,
                    reverse: false,
                };
                ensure!(read(&sqlite, range).await?.len() == 1, "the hot key is there");
            }
            Ok(started.elapsed())
        }))?
    }

    fn set(&mut self, count: u64) -> anyhow::Result<Duration> {
        let sqlite = self.with(None)?;
        let puts: Vec<_> = (0..count)
            .map(|n| {
                let (key, value) = self.numbers.put(self.keys_each);
                (entry(n % data::OWNERS, &key), value)
            })
            .collect();
        self.runtime.block_on(self.runtime.spawn(async move {
            let started = Instant::now();
            for (key, value) in puts {
                write(&sqlite, Vec::new(), vec![put(key, value)]).await?;
            }
            Ok(started.elapsed())
        }))?
    }

    /// 64 tasks with the best setting.
    fn set64(&mut self, count: u64) -> anyhow::Result<Duration> {
        let best = match self.best {
            Some(best) => best,
            None => self.find_best(count)?,
        };
        self.set64_with(best, count)
    }

    /// Tries every timeout some times in turn; of each the fastest round counts.
    fn find_best(&mut self, count: u64) -> anyhow::Result<Option<Duration>> {
        let mut rates = [0.0_f64; TIMEOUTS.len()];
        for _ in 0..TRIES {
            for (timeout, rate) in TIMEOUTS.into_iter().zip(&mut rates) {
                let few = if timeout.is_none() { count / 4 } else { count };
                let took = self.set64_with(timeout, few)?;
                *rate = rate.max(few as f64 / took.as_secs_f64());
            }
        }
        let found = TIMEOUTS.into_iter().zip(rates);
        let (best, _) =
            found.clone().max_by(|one, other| one.1.total_cmp(&other.1)).context("at least one")?;
        self.tried = found.map(|(timeout, rate)| format!("; {timeout:?} {rate:.0} sets/s")).collect();
        self.best = Some(best);
        Ok(best)
    }

    fn set64_with(&mut self, timeout: Option<Duration>, count: u64) -> anyhow::Result<Duration> {
        let sqlite = self.with(timeout)?;
        let each = count / data::OWNERS;
        let mut work = Vec::new();
        for owner in 0..data::OWNERS {
            let puts: Vec<_> = (0..each).map(|_| self.numbers.put(self.keys_each)).collect();
            let sqlite = sqlite.clone();
            work.push(async move {
                for (key, value) in puts {
                    write(&sqlite, Vec::new(), vec![put(entry(owner, &key), value)]).await?;
                }
                anyhow::Ok(())
            });
        }
        let started = Instant::now();
        let tasks: Vec<_> = work.into_iter().map(|work| self.runtime.spawn(work)).collect();
        self.runtime.block_on(async {
            for task in tasks {
                task.await??;
            }
            anyhow::Ok(())
        })?;
        Ok(started.elapsed())
    }

    /// A turn is one atomic write: events, what they were reported as, keys and the cursor, if the cursor is still
    /// the one that was read. It cannot leave out known events: at most 10 keys can be checked in a write.
    fn turn(&mut self, count: u64) -> anyhow::Result<Duration> {
        let sqlite = self.with(None)?;
        let started = Instant::now();
        for _ in 0..count {
            let mut mutations = Vec::new();
            for _ in 0..data::TURN_EVENTS {
                self.seq += 1;
                mutations.push(put(format!("event {:016x}", self.seq).into(), data::event(self.seq)));
                mutations.push(put(format!("identity 0 event-{}", self.seq).into(), String::new()));
            }
            for _ in 0..data::TURN_KEYS {
                let (key, value) = self.numbers.put(self.keys_each);
                mutations.push(put(entry(0, &key), value));
            }
            let cursor = b"cursor 0".to_vec();
            mutations.push(put(cursor.clone(), format!("cursor-{}", self.seq)));
            let check = Check { key: cursor, versionstamp: self.cursor };
            let sqlite = sqlite.clone();
            let write = async move { write(&sqlite, vec![check], mutations).await };
            self.cursor = Some(self.runtime.block_on(self.runtime.spawn(write))??);
        }
        Ok(started.elapsed())
    }

    fn list(&mut self, count: u64) -> anyhow::Result<Duration> {
        let sqlite = self.with(None)?;
        let groups = self.keys_each / data::GROUP;
        let prefixes: Vec<_> =
            (0..count).map(|n| entry(n % data::OWNERS, &data::prefix(self.numbers.below(groups)))).collect();
        let limit = NonZeroU32::new(100).context("not zero")?;
        self.runtime.block_on(self.runtime.spawn(async move {
            let started = Instant::now();
            for start in prefixes {
                let end = start.iter().copied().chain([0xff]).collect();
                let found = read(&sqlite, ReadRange { start, end, limit, reverse: false }).await?;
                ensure!(found.len() == 100, "a list of 100");
            }
            Ok(started.elapsed())
        }))?
    }

    /// It removes what has expired when it starts, all at once; while it runs, once a minute. So what is measured is
    /// a start, until the first write is done.
    fn sweep(&mut self, count: u64) -> anyhow::Result<Duration> {
        self.close();
        let sqlite = self.with(None)?;
        let expired = Utc::now();
        let steps = (0..count).step_by(data::LOAD_STEP as usize);
        for step in steps {
            let numbers = step..(step + data::LOAD_STEP).min(count);
            let one = |n| Mutation {
                expire_at: Some(expired),
                ..put(entry(data::OWNERS, &data::seen_key(n)), data::value(n, 0))
            };
            self.runtime.block_on(write(&sqlite, Vec::new(), numbers.map(one).collect()))?;
        }
        drop(sqlite);
        self.close();
        let started = Instant::now();
        let sqlite = self.with(None)?;
        self.runtime.block_on(write(&sqlite, Vec::new(), vec![put(b"started".to_vec(), String::new())]))?;
        let took = started.elapsed();
        let start = entry(data::OWNERS, "");
        let end = entry(data::OWNERS + 1, "");
        let left = read(&sqlite, ReadRange { start, end, limit: NonZeroU32::MIN, reverse: false });
        ensure!(self.runtime.block_on(left)?.is_empty(), "all that had expired");
        Ok(took)
    }
}

impl Peer for Denokv {
    fn load(&mut self, keys_each: u64) -> anyhow::Result<()> {
        self.keys_each = keys_each;
        let sqlite = self.with(None)?;
        for owner in 0..data::OWNERS {
            for step in (0..keys_each).step_by(data::LOAD_STEP as usize) {
                let numbers = step..(step + data::LOAD_STEP).min(keys_each);
                let puts = numbers.map(|n| put(entry(owner, &data::key(n)), data::value(n, 0)));
                self.runtime.block_on(write(&sqlite, Vec::new(), puts.collect()))?;
            }
        }
        Ok(())
    }

    fn run(&mut self, case: Case, count: u64) -> anyhow::Result<Duration> {
        match case {
            Case::Get => self.get(count),
            Case::Set => self.set(count),
            Case::Set64 => self.set64(count),
            Case::Turn => self.turn(count),
            Case::List100 => self.list(count),
            Case::Sweep => self.sweep(count),
        }
    }

    fn note(&self) -> String {
        format!("for 64 at a time batch_timeout {:?}, else none{}", self.best.flatten(), self.tried)
    }
}

fn start(path: &Path, batch_timeout: Option<Duration>) -> anyhow::Result<Sqlite> {
    let connect = || {
        let connection = Connection::open(path).and_then(|connection| {
            connection.pragma_update(None, "synchronous", "full")?;
            connection.pragma_update(None, "cache_size", -4096)?;
            Ok(connection)
        });
        let connection = connection.map_err(denokv_sqlite::SqliteBackendError::from);
        let connection = connection.map_err(deno_error::JsErrorBox::from_err)?;
        let random: Box<dyn rand::RngCore + Send> = Box::new(rand::rngs::StdRng::from_entropy());
        Ok((connection, random))
    };
    Ok(Sqlite::new(connect, SqliteNotifier::default(), SqliteConfig { num_workers: 2, batch_timeout })?)
}

/// The key of an entry: its owner's number and its own.
fn entry(owner: u64, key: &str) -> Vec<u8> {
    [&b"state "[..], &(owner as u32).to_be_bytes(), key.as_bytes()].concat()
}

fn put(key: Vec<u8>, value: String) -> Mutation {
    let kind = MutationKind::Set(KvValue::Bytes(value.into_bytes()));
    Mutation { key, kind, expire_at: None::<DateTime<Utc>> }
}

async fn read(sqlite: &Sqlite, range: ReadRange) -> anyhow::Result<Vec<denokv_proto::KvEntry>> {
    let options = SnapshotReadOptions { consistency: Consistency::Strong };
    let mut found = sqlite.snapshot_read(vec![range], options).await?;
    Ok(found.pop().context("an answer for the range")?.entries)
}

async fn write(
    sqlite: &Sqlite,
    checks: Vec<Check>,
    mutations: Vec<Mutation>,
) -> anyhow::Result<Versionstamp> {
    match sqlite.atomic_write(AtomicWrite { checks, mutations, enqueues: Vec::new() }).await? {
        AtomicWriteOutcome::Committed(done) => Ok(done.versionstamp),
        AtomicWriteOutcome::CheckFailed { .. } => bail!("nobody else writes"),
    }
}
