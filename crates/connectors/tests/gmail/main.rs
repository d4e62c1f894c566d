//! The Gmail source against a mailbox that keeps its history as Google's does: what happens to mail in, events out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod events;
mod faults;
mod hidden_messages;
mod model;
mod pages;
mod recovery;
mod settings;
mod starts;
#[path = "../support/mod.rs"]
mod support;
mod world;
