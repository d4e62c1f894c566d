//! The promises of ARCHITECTURE.md, all of them, on SQLite.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use inboxclaw_contract_testing::{HandClock, SpacesGround, conformance};
use inboxclaw_store::{Options, SqliteStore};

/// A store in a folder of its own.
fn on_sqlite() -> SpacesGround {
    let (dir, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
    let store = SqliteStore::open(&dir.path().join("a.db"), Options::new(clock.clone())).unwrap();
    SpacesGround::new(Arc::new(store), clock).keeping(dir)
}

conformance!(
    sqlite,
    crate::on_sqlite,
    turns,
    state,
    history,
    counts,
    log,
    sweeps,
    clock,
    sinks,
    coalescing,
    housekeeping,
    owners,
    spaces,
    swaps,
    building_spaces,
);
