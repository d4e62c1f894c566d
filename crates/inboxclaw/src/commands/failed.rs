//! How a command ends without success: the exit code, and what is told.

use inboxclaw_config::ConfigError;
use inboxclaw_contract::printable;

use crate::cli::exit;

/// A command that ends without success.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) code: u8,
    /// Printable lines.
    pub(super) message: String,
}

impl Failed {
    /// A failure told on one line, whatever is quoted in it.
    pub(super) fn new(code: u8, message: impl AsRef<str>) -> Self {
        Self { code, message: printable(message.as_ref()).into_owned() }
    }

    /// The same failure with another exit code.
    pub(super) fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// The usual failure.
    pub(super) fn plain(message: impl AsRef<str>) -> Self {
        Self::new(exit::FAILED, message)
    }
}

impl From<ConfigError> for Failed {
    fn from(error: ConfigError) -> Self {
        // A line for each finding.
        Self { code: exit::FAILED, message: error.to_string() }
    }
}

/// Standard output is gone, as when its reader has seen enough: nothing more to do, and nothing to complain about.
impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::new(exit::OK, ""),
            _ => Self::plain(format!("cannot write to standard output: {error}")),
        }
    }
}
