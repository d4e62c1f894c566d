//! How far something long is, on a terminal.

use std::io::{self, IsTerminal as _, Write as _};

/// Shown on standard error, if that is a terminal.
pub(super) struct Progress {
    word: &'static str,
    shown: Option<u64>,
    terminal: bool,
}

impl Progress {
    /// Shown behind `word`.
    pub(super) fn new(word: &'static str) -> Self {
        Self { word, shown: None, terminal: io::stderr().is_terminal() }
    }

    pub(super) fn show(&mut self, done: u64, of: u64) {
        let percent = (done * 100).checked_div(of).unwrap_or(100);
        if self.terminal && self.shown.replace(percent) != Some(percent) {
            let _ = write!(io::stderr(), "\r{} {percent} %", self.word);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() && self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
