//! What tests of the contract share: a store in memory, the conformance suite that every store runs, a clock moved by
//! hand, fixed randomness, and single turns of connectors.
//!
//! Architecture invariant: a development dependency of other crates only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a library of tests")]

pub mod conformance;
mod ground;
mod memory;
mod outside;
mod words;

pub use ground::{Ground, SpacesGround, prune};
pub use memory::MemoryStore;
pub use outside::{Counter, HandClock};
pub use words::{Words, committed, event, json, of_type, seconds, turn};
