//! The store: where events, states and run facts are kept. SQLite today; everything that is promised about it
//! stands in the traits of `inboxclaw_contract::store`, and nothing of SQLite shows there.
//!
//! Left out on purpose: waiting, retrying and logging of failed turns (`inboxclaw-runtime`), and what connectors
//! do with their state.

pub mod lock;
mod note;
mod path;
pub mod run_file;
pub mod sqlite;

pub use path::resolved;
pub use run_file::RunFile;
pub use sqlite::{
    Compacted, Copied, DeliveryTable, Durability, EventCounts, EventSize, EventStats, Forerunner,
    HistoryBounds, ImportPlan, ImportProgress, ImportSurvey, Imported, ImportedSink, ImportedSource,
    OpenError, Options, Prepared, Refusal, Restored, SinkSurvey, SourceSurvey, SqliteStore,
};
