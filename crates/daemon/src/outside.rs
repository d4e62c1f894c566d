//! The real outside: the clock of this machine and the randomness of its operating system.

use std::sync::Arc;

use inboxclaw_contract::{Clock, Outside, Random, Shared};
use jiff::Timestamp;

/// The clock of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Randomness of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn next(&self) -> u128 {
        let mut bytes = [0; 16];
        if getrandom::fill(&mut bytes).is_err() {
            // Without randomness tokens and batch ids could be guessed; no operating system we run on refuses it.
            tracing::error!("the operating system gives no randomness");
            std::process::abort();
        }
        u128::from_le_bytes(bytes)
    }
}

/// What connectors are built with. The configuration fills in the name and the folder.
pub fn outside() -> Outside {
    Outside {
        name: String::new(),
        base_dir: std::path::PathBuf::new(),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        shared: Arc::new(Shared::default()),
    }
}

/// A new token that nobody can guess.
pub fn token() -> String {
    format!("{:032x}{:032x}", SystemRandom.next(), SystemRandom.next())
}
