//! The program: configuration, command line, HTTP server. The only crate that names all the others.
//!
//! Left out: what connectors, the store and the runtime do; this crate only joins them.

pub(crate) mod api;
pub mod cli;
pub(crate) mod clock;
pub mod commands;
pub mod config;
pub(crate) mod guard;
pub mod logging;
pub(crate) mod metrics;
pub(crate) mod openapi;
pub mod outside;
pub(crate) mod proof;
pub mod pull;
pub mod serve;
pub mod sse;
pub mod states;
