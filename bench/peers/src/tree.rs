//! redb, a B-tree store in Rust: a table of (owner, key) and what else a turn and an expiry need.
//!
//! Every commit is durable (`Durability::Immediate`, in one phase, which is the fastest durable one) and reads start a
//! transaction of their own, because they are to see what is stored now. It takes one writer at a time and has no
//! batches: 64 sets at a time are 64 commits, done here by one thread, which spares it the waiting for each other.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use redb::{Database, Durability, ReadableDatabase, TableDefinition, WriteTransaction};

use crate::Peer;
use crate::data::{self, Case, Numbers};

const ENTRIES: TableDefinition<'_, (u32, &str), &str> = TableDefinition::new("entries");
const EXPIRY: TableDefinition<'_, (i64, u32, &str), ()> = TableDefinition::new("expiry");
const CURSORS: TableDefinition<'_, u32, &str> = TableDefinition::new("cursors");
const EVENTS: TableDefinition<'_, u64, &str> = TableDefinition::new("events");
const EVENTS_BY_TYPE: TableDefinition<'_, (u32, u64), ()> = TableDefinition::new("events_by_type");
const IDENTITIES: TableDefinition<'_, (u32, &str), ()> = TableDefinition::new("identities");

const LOAD_STEP: u64 = 250_000;
const SWEEPER: u32 = 64;

pub(crate) struct Redb {
    database: Database,
    keys_each: u64,
    numbers: Numbers,
    seq: u64,
}

impl Redb {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let database = Database::create(path)?;
        let write = database.begin_write()?;
        write.open_table(ENTRIES)?;
        write.open_table(EXPIRY)?;
        write.open_table(CURSORS)?;
        write.open_table(EVENTS)?;
        write.open_table(EVENTS_BY_TYPE)?;
        write.open_table(IDENTITIES)?;
        write.commit()?;
        Ok(Self { database, keys_each: 0, numbers: Numbers::new(4), seq: 0 })
    }

    fn write(&self) -> anyhow::Result<WriteTransaction> {
        let mut write = self.database.begin_write()?;
        write.set_durability(Durability::Immediate)?;
        Ok(write)
    }

    fn get(&self, count: u64) -> anyhow::Result<Duration> {
        let key = data::key(self.keys_each / 2);
        let started = Instant::now();
        for _ in 0..count {
            let read = self.database.begin_read()?;
            let value = read.open_table(ENTRIES)?.get((0, key.as_str()))?;
            ensure!(value.is_some_and(|value| value.value().to_owned().len() > 100), "the hot key is there");
        }
        Ok(started.elapsed())
    }

    fn set(&mut self, count: u64) -> anyhow::Result<Duration> {
        let puts: Vec<_> =
            (0..count).map(|n| ((n % data::OWNERS) as u32, self.numbers.put(self.keys_each))).collect();
        let started = Instant::now();
        for (owner, (key, value)) in &puts {
            let write = self.write()?;
            write.open_table(ENTRIES)?.insert((*owner, key.as_str()), value.as_str())?;
            write.commit()?;
        }
        Ok(started.elapsed())
    }

    fn turn(&mut self, count: u64) -> anyhow::Result<Duration> {
        let started = Instant::now();
        for _ in 0..count {
            let write = self.write()?;
            self.one_turn(&write)?;
            write.commit()?;
        }
        Ok(started.elapsed())
    }

    fn one_turn(&mut self, write: &WriteTransaction) -> anyhow::Result<()> {
        let mut events = write.open_table(EVENTS)?;
        let mut by_type = write.open_table(EVENTS_BY_TYPE)?;
        let mut identities = write.open_table(IDENTITIES)?;
        let mut entries = write.open_table(ENTRIES)?;
        for _ in 0..data::TURN_EVENTS {
            self.seq += 1;
            if identities.insert((0, format!("event-{}", self.seq).as_str()), ())?.is_none() {
                events.insert(self.seq, data::event(self.seq).as_str())?;
                by_type.insert((1, self.seq), ())?;
            }
        }
        for _ in 0..data::TURN_KEYS {
            let (key, value) = self.numbers.put(self.keys_each);
            entries.insert((0, key.as_str()), value.as_str())?;
        }
        write.open_table(CURSORS)?.insert(0, format!("cursor-{}", self.seq).as_str())?;
        Ok(())
    }

    fn list(&mut self, count: u64) -> anyhow::Result<Duration> {
        let groups = self.keys_each / data::GROUP;
        let prefixes: Vec<_> = (0..count)
            .map(|n| ((n % data::OWNERS) as u32, data::prefix(self.numbers.below(groups))))
            .collect();
        let started = Instant::now();
        for (owner, prefix) in &prefixes {
            let entries = self.database.begin_read()?.open_table(ENTRIES)?;
            let mut found = Vec::new();
            for entry in entries.range((*owner, prefix.as_str())..)? {
                let (key, value) = entry?;
                if key.value().0 != *owner || !key.value().1.starts_with(prefix) || found.len() == 100 {
                    break;
                }
                found.push((key.value().1.to_owned(), value.value().to_owned()));
            }
            ensure!(found.len() == 100, "a list of 100");
        }
        Ok(started.elapsed())
    }

    /// One transaction, which would hold up every other write for that long.
    fn sweep(&mut self, count: u64) -> anyhow::Result<Duration> {
        let fill = self.write()?;
        {
            let (mut entries, mut expiry) = (fill.open_table(ENTRIES)?, fill.open_table(EXPIRY)?);
            for n in 0..count {
                let key = data::seen_key(n);
                entries.insert((SWEEPER, key.as_str()), data::value(n, 0).as_str())?;
                expiry.insert((1_000, SWEEPER, key.as_str()), ())?;
            }
        }
        fill.commit()?;
        let started = Instant::now();
        let write = self.write()?;
        let mut removed = 0;
        {
            let (mut entries, mut expiry) = (write.open_table(ENTRIES)?, write.open_table(EXPIRY)?);
            for gone in expiry.extract_from_if(..(2_000, 0, ""), |_, ()| true)? {
                let gone = gone?;
                let (_, owner, key) = gone.0.value();
                entries.remove((owner, key))?;
                removed += 1;
            }
        }
        write.commit()?;
        ensure!(removed == count, "all that had expired");
        Ok(started.elapsed())
    }
}

impl Peer for Redb {
    fn load(&mut self, keys_each: u64) -> anyhow::Result<()> {
        self.keys_each = keys_each;
        let mut numbers = (0..data::OWNERS as u32).flat_map(|owner| (0..keys_each).map(move |n| (owner, n)));
        loop {
            let write = self.write()?;
            let mut done = 0;
            {
                let mut entries = write.open_table(ENTRIES)?;
                for (owner, n) in numbers.by_ref().take(LOAD_STEP as usize) {
                    entries.insert((owner, data::key(n).as_str()), data::value(n, 0).as_str())?;
                    done += 1;
                }
            }
            write.commit()?;
            if done < LOAD_STEP {
                return Ok(());
            }
        }
    }

    fn run(&mut self, case: Case, count: u64) -> anyhow::Result<Duration> {
        match case {
            Case::Get => self.get(count),
            Case::Set | Case::Set64 => self.set(count),
            Case::Turn => self.turn(count),
            Case::List100 => self.list(count),
            Case::Sweep => self.sweep(count),
        }
    }

    fn note(&self) -> String {
        "Durability::Immediate, one phase, a commit for each set".to_owned()
    }
}
