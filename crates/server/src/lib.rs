//! Everything over HTTP: the router and its guard, pull and SSE, the log, states, health and metrics.
//!
//! Left out: what a turn or an edit is (`runtime`, `edit`), and which sources and sinks there are (`config`).

pub(crate) mod api;
pub mod clock;
pub mod guard;
pub(crate) mod metrics;
pub(crate) mod openapi;
pub mod proof;
pub mod pull;
pub mod serve;
pub mod sse;
pub mod states;
