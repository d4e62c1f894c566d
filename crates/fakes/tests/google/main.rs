//! The stand-in for Google as its users meet it: over a socket.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod answers;
mod asking;
mod checking;
mod faults;
mod tokens;
mod walk;
