//! The Google Drive source against a Drive that exists only here: what people do with files in, events out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod basics;
mod contents;
mod drives;
mod edge_cases;
mod faults;
mod lost_tokens;
mod proxy;
mod random_histories;
mod starts;
#[path = "../support/mod.rs"]
mod support;
mod upgrades;
mod wild;
mod world;
