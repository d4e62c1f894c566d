//! The command line, as a person meets it: the real binary in a folder of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod answers;
mod beside;
mod circumstances;
mod deliveries;
mod files;
mod forerunner_forms;
mod google;
mod hostile;
mod import_forerunner;
mod imports;
mod impostor;
mod past;
mod receiver;
mod refusals;
mod rest;
mod running;
mod sink_test;
mod state;
mod support;
