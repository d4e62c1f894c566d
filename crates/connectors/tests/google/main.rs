//! What the sources of Google's services share, against a server on this machine: tokens, quotas, answers, and what is
//! kept in state. Left out: the sources.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod quotas;
mod retries;
mod server;
mod state;
mod tokens;
