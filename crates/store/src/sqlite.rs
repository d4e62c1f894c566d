//! The store on SQLite: one thread writes, a few connections read.
//!
//! - `store`: the whole, as `options` want it; `shared`: what reads and the writer have in common.
//! - `open`, `migrate` and `numbers`: from a path to a usable database; `values`, `rows` and `error`: columns, entries
//!   and failures.
//! - `writer`: groups what waits into one transaction; `tx`: what that transaction knows without reading, with `recent`
//!   changes; `writer_state`: what the writer keeps beyond a transaction.
//! - `apply`, `conflict`, `plan`, `swap`, `history`, `append`: one turn. `owners`, `sweep`, `prune`: housekeeping.
//! - `coalesce` and `pending`: what becomes of events that have a rule by which they are joined, and the rows of those that
//!   are collected.
//! - `counts`, `event_counts`, `stats`: what a space holds, how many events a type has, and how many there were lately.
//! - `spaces`: looking into spaces and building them, renaming and forgetting owners; `building_spaces`: what turns and
//!   sweeps do to those that are being built.
//! - `backup`, `restore`, `compact`: the whole database, copied, put back, without what is free.
//! - `forerunner`: the import of the database of the Python program.
//! - `state`, `log`, `housekeeping`, `sinks`, `coalescing`: the five traits. `reading`, `pool`, `rest`: where reads run. `scan`, `truncation`,
//!   `watch`, `clock`: what reads need.
//!
//! Files know each other one way: what two of them need lies in one below both.
//!
//! A `+` before a parameter in SQL hides it from the planner, which would otherwise plan a cached statement anew for
//! each new value: in joins, before ORDER BY, and in LIMIT. That costs ten times what the statement does.

mod append;
mod apply;
mod backup;
mod building_spaces;
mod check;
mod clock;
mod coalesce;
mod coalescing;
mod compact;
mod conflict;
mod counts;
mod error;
mod event_counts;
mod forerunner;
mod history;
mod housekeeping;
mod log;
mod migrate;
mod numbers;
mod open;
mod options;
mod owners;
mod pending;
mod plan;
#[cfg(test)]
mod plans;
mod pool;
mod prune;
mod reading;
mod recent;
mod rest;
mod restore;
mod room;
mod rows;
mod scan;
mod shared;
mod sinks;
mod spaces;
mod state;
mod stats;
mod store;
mod swap;
mod sweep;
mod truncation;
mod tx;
mod values;
mod watch;
mod writer;
mod writer_state;

pub use backup::{Copied, EachStep};
pub use compact::Compacted;
pub use error::OpenError;
pub use forerunner::{
    DeliveryTable, Forerunner, ImportPlan, ImportProgress, ImportSurvey, Imported, ImportedSink,
    ImportedSource, Refusal, SinkSurvey, SourceSurvey,
};
pub use open::Prepared;
pub use options::{Durability, HistoryBounds, Options};
pub use restore::Restored;
pub use stats::{EventCounts, EventSize, EventStats};
pub use store::SqliteStore;
