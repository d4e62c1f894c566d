//! The program: commands, logging and the real outside. The only crate that names all the others.
//!
//! Left out: what connectors, the store, the runtime and the server do; this crate only joins them.

pub mod cli;
pub mod commands;
pub mod logging;
pub mod outside;
