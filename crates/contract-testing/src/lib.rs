//! What tests of the contract share: a store in memory, the conformance suite that every store runs, a clock moved by
//! hand, fixed randomness, and single turns of connectors.
//!
//! Architecture invariant: a development dependency of other crates only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a library of tests")]

pub mod conformance;
mod ground;
mod intercept;
mod memory;
mod outside;
mod recorder;
mod words;

pub use ground::{Ground, SpacesGround, prune};
pub use intercept::{Intercepted, Interceptor};
pub use memory::MemoryStore;
pub use outside::{Counter, HandClock, Unique};
pub use recorder::{Polled, Recorder, deliver, poll};
pub use words::{Words, committed, event, json, of_type, seconds, turn, turn_id};
