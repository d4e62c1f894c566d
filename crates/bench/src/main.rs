//! Benchmarks: our store beside a peer that does the same work with the same durability, in one run.
//!
//! The machines that this runs on are noisy, so ours and the peer take turns in short rounds and the median of the
//! rounds counts. No test asserts a time; people read the ratio.
#![allow(clippy::print_stdout, reason = "the table is what this program is for")]

mod bulk;
mod daemon;
mod data;
mod delivery;
mod google;
mod log;
mod measure;
mod memory;
mod ours;
mod plain;
mod report;
mod state;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// Benchmarks of the store, each beside its peers.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    bench: Bench,
    /// Also write the figures to this file, as a JSON array.
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where to make the databases: on the disk that counts. The system's folder for temporary files otherwise.
    #[arg(long, global = true, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Rounds per case; the median counts.
    #[arg(long, global = true, default_value_t = 7)]
    rounds: usize,
}

#[derive(Subcommand)]
enum Bench {
    /// Durable turns of events, and extracts with a long history behind them.
    Log {
        /// Confirmed events behind the extracts.
        #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000, 1_000_000])]
        history: Vec<u64>,
        /// Events owed behind the extracts.
        #[arg(long, value_delimiter = ',', default_values_t = [1_000, 100_000, 2_000_000])]
        owed: Vec<u64>,
    },
    /// Reads and durable writes of entries, beside plain rusqlite, denokv and redb.
    State {
        /// How many keys there are.
        #[arg(long, value_delimiter = ',', default_values_t = [10_000, 10_000_000])]
        keys: Vec<u64>,
    },
    /// Changes too big for one turn, and the turns of other owners meanwhile.
    Bulk {
        /// How many entries are imported, copied, taken back and cleared.
        #[arg(long, default_value_t = 1_000_000)]
        entries: u64,
    },
    /// Delivery by the daemon that lies beside this program, on real sockets and processes.
    Delivery {
        /// What to measure; everything otherwise.
        #[arg(long, value_enum, value_delimiter = ',')]
        part: Vec<delivery::Part>,
        /// How many events flow.
        #[arg(long, default_value_t = 1_000_000)]
        events: u64,
    },
    /// First syncs of the Google sources with the daemon that lies beside this program, from a stand-in.
    Google {
        /// How many messages arrived since the mailbox was last looked at; 0 leaves Gmail out.
        #[arg(long, default_value_t = 50_000)]
        messages: usize,
        /// How many files Drive holds; 0 leaves Drive out.
        #[arg(long, default_value_t = 100_000)]
        files: usize,
        /// How long each answer takes, in milliseconds.
        #[arg(long, default_value_t = 20)]
        latency: u64,
    },
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let folder = match &arguments.folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let rows = match &arguments.bench {
        Bench::Log { history, owed } => log::run(&runtime, folder.path(), arguments.rounds, (history, owed))?,
        Bench::State { keys } => state::run(&runtime, folder.path(), arguments.rounds, keys)?,
        Bench::Bulk { entries } => bulk::run(&runtime, folder.path(), *entries)?,
        Bench::Delivery { part, events } => {
            runtime.block_on(delivery::run(folder.path(), arguments.rounds, part, *events))?
        }
        Bench::Google { messages, files, latency } => {
            return google::run(folder.path(), *messages, *files, Duration::from_millis(*latency));
        }
    };
    print!("{}", report::table(&rows));
    if let Some(file) = &arguments.json {
        std::fs::write(file, report::json(&rows)?)?;
    }
    Ok(())
}
