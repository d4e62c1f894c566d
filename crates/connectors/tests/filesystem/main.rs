//! The filesystem source against real folders: what people do with files in, events out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod basics;
mod folder;
mod large;
mod links;
mod model;
mod moves;
mod own_files;
mod rewinds;
mod settings;
mod starts;
#[path = "../support/mod.rs"]
mod support;
mod turns;
mod unusual_paths;
mod watching;
