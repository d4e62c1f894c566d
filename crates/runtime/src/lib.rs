//! The loops: they poll sources, hand events to push sinks, watch over health and keep house. Everything that
//! waits, retries or logs about a turn is in here, and nothing of any service or database.
//!
//! Architecture invariant: uses the contract only; stores and connectors come in through the program.

mod announce;
mod bodies;
mod claims;
mod debts;
mod deliveries;
mod delivery;
mod handle;
mod health;
mod housekeeping;
mod options;
mod pending;
pub mod pull;
pub mod replay;
mod rules;
mod runner;
mod runtime;
mod schedule;
mod signal;
mod sources;
mod stats;
mod turn;

pub use bodies::{AT_ONCE, Bodies};
pub use deliveries::{DeliveryAction, DeliveryFilter};
pub use handle::Handle;
pub use health::{OwnerReport, PendingFailure, Report, Status, StoreReport};
pub use options::{Claims, Doors, Options};
pub use runtime::{Runtime, RuntimeError};
pub use signal::EditPermit;
pub use stats::{LATENCY_BUCKETS, LatencyStats, OwnerStats};
