//! The HTTP server on a real port over a real store, asked as strangers would ask it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

#[path = "server/bulk.rs"]
mod bulk;
#[path = "server/clock.rs"]
mod clock;
#[path = "server/deliveries.rs"]
mod deliveries;
#[path = "server/described.rs"]
mod described;
#[path = "server/entries.rs"]
mod entries;
#[path = "server/guard.rs"]
mod guard;
#[path = "server/leases.rs"]
mod leases;
#[path = "server/meddler.rs"]
mod meddler;
#[path = "server/model.rs"]
mod model;
#[path = "server/openapi.rs"]
mod openapi;
#[path = "server/owners.rs"]
mod owners;
#[path = "server/past.rs"]
mod past;
#[path = "server/pending.rs"]
mod pending;
#[path = "server/pull.rs"]
mod pull;
#[path = "server/quiet.rs"]
mod quiet;
#[path = "server/races.rs"]
mod races;
#[path = "server/replays.rs"]
mod replays;
#[path = "server/routes.rs"]
mod routes;
#[path = "server/sse.rs"]
mod sse;
#[path = "server/support.rs"]
mod support;
#[path = "server/waits.rs"]
mod waits;
#[path = "server/watch.rs"]
mod watch;
