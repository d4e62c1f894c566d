//! The store in memory keeps the promises of a store without spaces.

use std::sync::Arc;

use inboxclaw_contract_testing::{Ground, HandClock, MemoryStore, conformance};

fn in_memory() -> Ground {
    let clock = HandClock::new();
    Ground::new(Arc::new(MemoryStore::new(clock.clone())), clock)
}

conformance!(
    memory,
    crate::in_memory,
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
);
