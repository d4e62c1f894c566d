//! What tests of the contract share: the conformance suite that every store runs, a clock moved by
//! hand and fixed randomness.
//!
//! Architecture invariant: a development dependency of other crates only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a library of tests")]

pub mod conformance;
mod ground;
mod outside;
mod words;

pub use ground::{Ground, SpacesGround, prune};
pub use outside::{Counter, HandClock};
pub use words::{Words, committed, event, json, of_type, seconds, turn};
