//! Plain rusqlite: prepared statements by hand on a database that our store has made, so that tables, indexes and
//! durability are the same. No history, no versions, no queue: a set is one upsert, a turn is its rows.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use inboxclaw_contract::OwnerId;
use rusqlite::{Connection, Transaction};

use crate::data::{self, Case, Numbers};
use crate::measure::Done;
use crate::ours::next;
use crate::plain::{self, event};

const GET: &str = "
    SELECT key, revision, created_at, updated_at, expires_at, secret, value FROM entries
    WHERE space = ?1 AND key = ?2 AND (expires_at IS NULL OR expires_at > ?3)";

const LIST: &str = "
    SELECT key, revision, created_at, updated_at, expires_at, secret, value FROM entries
    WHERE space = ?1 AND key >= ?2 AND key < ?3 AND (expires_at IS NULL OR expires_at > ?4) ORDER BY key LIMIT ?5";

const SET: &str = "
    INSERT INTO entries (space, key, revision, created_at, updated_at, expires_at, secret, value)
    VALUES (?1, ?2, ?3, ?4, ?4, ?5, 0, ?6)
    ON CONFLICT (space, key) DO UPDATE SET revision = excluded.revision, updated_at = excluded.updated_at,
        expires_at = excluded.expires_at, secret = excluded.secret, value = excluded.value";

const SET_CURSOR: &str = "UPDATE owners SET version = version + 1, cursor = ?2 WHERE id = ?1";

const SWEEP: &str = "DELETE FROM entries WHERE space = ?1 AND expires_at <= ?2";

/// A connection, and what it knows of the database.
pub(super) struct Plain {
    connection: Connection,
    /// Owners and their spaces, in the order in which they were registered.
    owners: Vec<(OwnerId, i64)>,
    keys_each: u64,
    numbers: Numbers,
    seq: i64,
}

impl Plain {
    pub(super) fn open(path: &Path, keys_each: u64) -> anyhow::Result<Self> {
        let connection = plain::open(path)?;
        connection.pragma_update(None, "cache_size", -65536)?;
        let mut find = connection.prepare("SELECT id, space FROM owners ORDER BY id")?;
        let owners = find.query_map([], |row| Ok((OwnerId(row.get(0)?), row.get(1)?)))?;
        let owners = owners.collect::<Result<_, _>>()?;
        drop(find);
        Ok(Self { connection, owners, keys_each, numbers: Numbers::new(2), seq: 0 })
    }

    /// A round of a case, an operation after the other.
    pub(super) fn run(&mut self, case: Case, count: u64) -> anyhow::Result<Done> {
        let took = match case {
            Case::Get => self.get(count),
            Case::Set | Case::Set64 => self.set(count, 1),
            Case::Turn => self.turns(count),
            Case::List100 => self.list(count),
            Case::Sweep => self.sweep(count),
        };
        Ok(Done { count, took: took? })
    }

    /// Sets, 64 to a transaction.
    pub(super) fn set64_batched(&mut self, count: u64) -> anyhow::Result<Done> {
        Ok(Done { count, took: self.set(count, 64)? })
    }

    fn get(&mut self, count: u64) -> anyhow::Result<Duration> {
        let key = data::key(self.keys_each / 2);
        let (_, space) = self.owner(0);
        let mut find = self.connection.prepare_cached(GET)?;
        let started = Instant::now();
        for _ in 0..count {
            let found = find.query_row((space, &key, now()), entry)?;
            ensure!(found.0 == key, "the hot key is there");
        }
        Ok(started.elapsed())
    }

    fn set(&mut self, count: u64, batch: usize) -> anyhow::Result<Duration> {
        let puts: Vec<_> = (0..count).map(|n| (self.owner(n).1, self.numbers.put(self.keys_each))).collect();
        let started = Instant::now();
        for batch in puts.chunks(batch) {
            let transaction = self.connection.transaction()?;
            let now = now();
            for (space, (key, value)) in batch {
                put(&transaction, (*space, key, value), now, None)?;
            }
            transaction.commit()?;
        }
        Ok(started.elapsed())
    }

    fn turns(&mut self, count: u64) -> anyhow::Result<Duration> {
        let started = Instant::now();
        for _ in 0..count {
            let (owner, space) = self.owner(0);
            let transaction = self.connection.transaction()?;
            let now = now();
            let first = next(usize::try_from(data::TURN_EVENTS)?);
            for id in first..first + data::TURN_EVENTS {
                self.seq += 1;
                event(&transaction, self.seq, owner, now, id)?;
            }
            for _ in 0..data::TURN_KEYS {
                let (key, value) = self.numbers.put(self.keys_each);
                put(&transaction, (space, &key, &value), now, None)?;
            }
            transaction.prepare_cached(SET_CURSOR)?.execute((owner.0, format!("cursor-{first}")))?;
            transaction.commit()?;
        }
        Ok(started.elapsed())
    }

    fn list(&mut self, count: u64) -> anyhow::Result<Duration> {
        let groups = self.keys_each / data::GROUP;
        let prefixes: Vec<_> =
            (0..count).map(|n| (self.owner(n).1, data::prefix(self.numbers.below(groups)))).collect();
        let mut find = self.connection.prepare_cached(LIST)?;
        let started = Instant::now();
        for (space, prefix) in &prefixes {
            // The prefix ends with a slash, after which comes a zero.
            let end = format!("{}0", prefix.trim_end_matches('/'));
            let found = find.query_map((space, prefix, end, now(), 100), entry)?;
            ensure!(found.collect::<Result<Vec<_>, _>>()?.len() == 100, "a list of 100");
        }
        Ok(started.elapsed())
    }

    /// One transaction, which would hold up every other write for that long.
    fn sweep(&mut self, count: u64) -> anyhow::Result<Duration> {
        let (_, space) = self.owners[data::OWNERS as usize];
        let fill = self.connection.transaction()?;
        let expired = now();
        for n in 0..count {
            put(&fill, (space, &data::seen_key(n), &data::value(n, 0)), expired, Some(expired))?;
        }
        fill.commit()?;
        let started = Instant::now();
        let removed = self.connection.prepare_cached(SWEEP)?.execute((space, now()))?;
        ensure!(u64::try_from(removed)? == count, "all that had expired");
        Ok(started.elapsed())
    }

    /// Those that share the keys, in turn.
    fn owner(&self, n: u64) -> (OwnerId, i64) {
        self.owners[(n % data::OWNERS) as usize]
    }
}

fn put(
    transaction: &Transaction<'_>,
    (space, key, value): (i64, &str, &str),
    now: i64,
    expires_at: Option<i64>,
) -> rusqlite::Result<()> {
    transaction.prepare_cached(SET)?.execute((space, key, now, now, expires_at, value))?;
    Ok(())
}

type Read = (String, [i64; 3], Option<i64>, bool, String);

fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<Read> {
    Ok((row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?], row.get(4)?, row.get(5)?, row.get(6)?))
}

fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}
