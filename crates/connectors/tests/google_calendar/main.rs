//! The calendar source against an account that exists only here: what happens in calendars in, events out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod calendars;
mod model;
mod payloads;
mod recovery;
mod service;
mod starts;
mod states;
#[path = "../support/mod.rs"]
mod support;
mod trouble;
mod unusual_answers;
mod windows;
mod world;
mod zones;
