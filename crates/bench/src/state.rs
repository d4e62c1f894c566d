//! `state`: reads and durable writes of entries, beside plain rusqlite, denokv and redb, with few keys and with many.

mod goals;
mod ours;
mod peers;
mod plain;

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::runtime::Runtime;

use crate::data::{Case, GROUP, OWNERS, keys_each};
use crate::log::subfolder;
use crate::measure::{Contender, interleave};
use crate::report::Row;

use ours::Ours;
use peers::Child;
use plain::Plain;

/// The fewest keys with which each owner has a whole prefix to list.
const FEWEST: u64 = OWNERS * GROUP;

/// Every case at each number of keys, which the owners share evenly.
pub(crate) fn run(
    runtime: &Runtime,
    folder: &Path,
    rounds: usize,
    all_keys: &[u64],
) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let program = peers::build()?;
    for &keys in all_keys {
        ensure!(keys >= FEWEST, "{keys} keys are too few, {FEWEST} are needed");
        let folder = subfolder(folder, &format!("keys{keys}"))?;
        let bench = Bench::new(runtime, &folder, &program, keys)?;
        for case in Case::ALL {
            rows.push(bench.row(case, rounds)?);
        }
        bench.end()?;
        fs::remove_dir_all(&folder)?;
    }
    goals::judge(&mut rows);
    Ok(rows)
}

/// All contenders, each with its database of so many keys.
struct Bench<'r> {
    keys: u64,
    ours: RefCell<Ours<'r>>,
    plain: RefCell<Plain>,
    child: RefCell<Child>,
}

impl<'r> Bench<'r> {
    fn new(runtime: &'r Runtime, folder: &Path, program: &Path, keys: u64) -> anyhow::Result<Self> {
        let started = Instant::now();
        ours::load(runtime, &subfolder(folder, "ours")?, keys_each(keys))?;
        report_load(keys, "ours", started.elapsed(), &folder.join("ours"))?;
        let started = Instant::now();
        let copy = subfolder(folder, "plain")?.join("ours.db");
        fs::copy(folder.join("ours/ours.db"), &copy)?;
        fs::File::open(&copy)?.sync_all()?;
        report_load(keys, "rusqlite (a copy)", started.elapsed(), &folder.join("plain"))?;
        let mut child = Child::start(program, &subfolder(folder, "peers")?)?;
        for (peer, file) in [("denokv", "peers/denokv.db"), ("redb", "peers/redb.db")] {
            report_load(keys, peer, child.load(peer, keys)?, &folder.join(file))?;
        }
        Ok(Self {
            keys,
            ours: RefCell::new(Ours::open(runtime, &folder.join("ours"), keys_each(keys))?),
            plain: RefCell::new(Plain::open(&copy, keys_each(keys))?),
            child: RefCell::new(child),
        })
    }

    fn row(&self, case: Case, rounds: usize) -> anyhow::Result<Row> {
        let count = count(case);
        let child = |peer, count| move || self.child.borrow_mut().run(peer, case, count);
        // Each is a sync of its own; fewer of them give the same rate.
        let singly = if case == Case::Set64 { count / 4 } else { count };
        let mut contenders: Vec<Contender<'_>> = vec![
            ("ours", Box::new(move || self.ours.borrow_mut().run(case, count))),
            ("rusqlite", Box::new(move || self.plain.borrow_mut().run(case, singly))),
            ("denokv", Box::new(child("denokv", count))),
            ("redb", Box::new(child("redb", singly))),
        ];
        if case == Case::Set64 {
            let batches = move || self.plain.borrow_mut().set64_batched(count);
            contenders.push(("rusqlite_batch64", Box::new(batches)));
        }
        let (ours, peers) = interleave(rounds_of(case, rounds), &mut contenders)?;
        let mut row = Row::new("state", case.name().to_owned(), unit(case), ours);
        if case == Case::Set64 {
            row.also.insert("sets_a_transaction", self.ours.borrow().sets_a_transaction());
        }
        Ok(Row { keys: Some(self.keys), peers, ..row })
    }

    fn end(self) -> anyhow::Result<()> {
        for (peer, note) in self.child.into_inner().end()? {
            println!("{:>9} keys: {peer}: {note}", self.keys);
        }
        Ok(())
    }
}

/// Operations in a round.
const fn count(case: Case) -> u64 {
    match case {
        Case::Get => 20_000,
        Case::Set => 500,
        Case::Set64 => OWNERS * 48,
        Case::Turn => 40,
        Case::List100 => 1_000,
        Case::Sweep => 100_000,
    }
}

/// A round of the sweep has everything to fill in first, untimed: fewer of them will do.
fn rounds_of(case: Case, rounds: usize) -> usize {
    if case == Case::Sweep { rounds.min(3) } else { rounds }
}

const fn unit(case: Case) -> &'static str {
    match case {
        Case::Get => "reads/s",
        Case::Set | Case::Set64 => "sets/s",
        Case::Turn => "turns/s",
        Case::List100 => "lists/s",
        Case::Sweep => "entries/s",
    }
}

/// Prints how long it took to make a database, and how large it is.
fn report_load(keys: u64, who: &str, took: Duration, path: &Path) -> anyhow::Result<()> {
    let mib = size(path)? >> 20;
    println!("{keys:>9} keys: {who} loaded in {:.1} s, {mib} MiB", took.as_secs_f64());
    Ok(())
}

fn size(path: &Path) -> anyhow::Result<u64> {
    let facts = fs::metadata(path)?;
    if facts.is_file() {
        return Ok(facts.len());
    }
    let mut sum = 0;
    for file in fs::read_dir(path)? {
        sum += file?.metadata()?.len();
    }
    Ok(sum)
}
