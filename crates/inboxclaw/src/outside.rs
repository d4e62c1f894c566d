//! The real outside: the clock of this machine, the randomness of its operating system and how many files it grants.

mod clock;

use std::sync::Arc;
use std::time::Duration;

pub use clock::{HeardClock, SystemClock};
use inboxclaw_contract::{Outside, Random, Shared};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How long to wait for randomness that is refused.
const RANDOM_PAUSE: Duration = Duration::from_millis(100);

/// Randomness of the operating system. It is refused where a program may not ask for it at all, which [`check`] finds at
/// the start; no system that we run on refuses it later.
///
/// [`check`]: SystemRandom::check
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn next(&self) -> u128 {
        let mut bytes = [0; 16];
        while let Err(error) = getrandom::fill(&mut bytes) {
            // Tokens and batch ids must not be guessable: better late than weak.
            tracing::error!(%error, "the operating system gives no randomness");
            std::thread::sleep(RANDOM_PAUSE);
        }
        u128::from_le_bytes(bytes)
    }
}

impl SystemRandom {
    /// Whether the operating system gives randomness to this program.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn check() -> Result<(), getrandom::Error> {
        getrandom::fill(&mut [0; 16])
    }
}

/// What connectors are built with. The configuration fills in the name, the folder and the program's own files.
pub fn outside() -> Outside {
    Outside {
        name: String::new(),
        base_dir: std::path::PathBuf::new(),
        own_files: Vec::new(),
        own_server: None,
        hidden_variables: Vec::new(),
        start: None,
        clock: Arc::new(HeardClock::default()),
        random: Arc::new(SystemRandom),
        shared: Arc::new(Shared::default()),
    }
}

/// Lets this process open as many files as it may: every connection is one, and the usual limit is low.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where the system does not grant it, the server keeps within what there is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// How many files this process may have open; `None` is no limit.
pub fn file_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// A new token that nobody can guess.
pub fn token() -> String {
    format!("{:032x}{:032x}", SystemRandom.next(), SystemRandom.next())
}

/// The name of the user of this process, for history.
#[must_use]
pub fn user() -> String {
    let named = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let named = named.filter(|name| !name.is_empty() && !name.contains(char::is_control));
    named.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

#[cfg(test)]
mod tests {
    use inboxclaw_server::Bounds;

    use super::*;

    #[test]
    fn the_limit_of_files_is_raised_and_connections_keep_within_it() {
        let all = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum: all }).unwrap();
        assert_eq!(file_limit(), Some(256));
        raise_file_limit();
        assert_eq!(file_limit(), all);
        for (files, connections, streams) in
            [(None, 1024, 512), (Some(1 << 20), 1024, 512), (Some(256), 128, 64), (Some(0), 1, 1)]
        {
            let bounds = Bounds::default().within(files);
            assert_eq!((bounds.connections, bounds.streams), (connections, streams), "{files:?}");
        }
    }
}
