//! What the tests of connectors share: the outside of a connector.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use inboxclaw_connectors::google::limiter::InTurn;
use inboxclaw_contract::{Outside, Shared};
use inboxclaw_contract_testing::{Counter, HandClock};
pub use inboxclaw_contract_testing::{Polled, Recorder, deliver, poll};

/// The outside of a connector called `test`. A request that Google refuses ends its turn there: what becomes of the turn is
/// what the tests of sources are about.
pub fn outside(base_dir: impl Into<PathBuf>) -> Outside {
    let shared = Arc::new(Shared::default());
    shared.get_or_make(InTurn::KEY, || Ok::<_, Infallible>(InTurn::NEVER)).unwrap();
    let clock = HandClock::at("2026-11-22T12:00:00Z".parse().unwrap());
    let random = Arc::new(Counter::default());
    let (base_dir, own_files) = (base_dir.into(), Vec::new());
    Outside {
        name: "test".to_owned(),
        base_dir,
        own_files,
        own_server: None,
        hidden_variables: Vec::new(),
        start: None,
        clock,
        random,
        shared,
    }
}
