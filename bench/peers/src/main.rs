//! Peers of the state benchmark, in a program of their own that takes turns with the benchmark.
//!
//! Usage: `inboxclaw-bench-peers FOLDER`. It reads commands from standard input, a line each, and answers each with
//! a line of JSON: `load PEER KEYS` makes a database of so many keys, `run PEER CASE COUNT` does the work of a round.
//! The answer is `{"seconds": …, "note": …}`; the note, where there is one, says how the peer is set.

#[path = "../../../crates/bench/src/data.rs"]
mod data;
mod kv;
mod tree;

use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};

use data::Case;

/// A peer that can do every case.
trait Peer {
    /// Puts `keys_each` keys into the space of each owner, fast.
    fn load(&mut self, keys_each: u64) -> anyhow::Result<()>;

    /// Does a round of a case with `count` operations, and says how long they took.
    fn run(&mut self, case: Case, count: u64) -> anyhow::Result<Duration>;

    /// How it is set.
    fn note(&self) -> String;
}

/// A peer, its name, and how many keys each owner has in it.
type Peers = Vec<(&'static str, Box<dyn Peer>)>;

fn main() -> anyhow::Result<()> {
    let folder = std::env::args_os().nth(1).context("usage: inboxclaw-bench-peers FOLDER")?;
    let folder = Path::new(&folder);
    let mut peers: Peers = vec![
        ("denokv", Box::new(kv::Denokv::open(&folder.join("denokv.db"))?)),
        ("redb", Box::new(tree::Redb::open(&folder.join("redb.db"))?)),
    ];
    for line in std::io::stdin().lock().lines() {
        let (took, note) = obey(&mut peers, &line?)?;
        let answer = serde_json::json!({ "seconds": took.as_secs_f64(), "note": note });
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn obey(peers: &mut Peers, line: &str) -> anyhow::Result<(Duration, String)> {
    let words: Vec<&str> = line.split(' ').collect();
    let (&[word, name, ..], Some(last)) = (words.as_slice(), words.last()) else {
        bail!("no command: {line}")
    };
    let peer = peers.iter_mut().find(|(known, _)| *known == name);
    let (_, peer) = peer.with_context(|| format!("no peer {name}"))?;
    let number: u64 = last.parse()?;
    let took = match (word, words.get(2)) {
        ("load", _) => {
            let started = std::time::Instant::now();
            peer.load(data::keys_each(number))?;
            started.elapsed()
        }
        ("run", Some(case)) => {
            let case = Case::ALL.into_iter().find(|known| known.name() == *case);
            peer.run(case.context("no such case")?, number)?
        }
        _ => bail!("no command: {line}"),
    };
    Ok((took, peer.note()))
}
