//! The log: plain lines on standard error. What may be logged is up to whoever logs: names and causes, never values.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

/// Starts logging. The first filter given counts: `level`, INBOXCLAW_LOG, RUST_LOG, `default`.
///
/// # Errors
/// When the filter cannot be read; the text names it.
pub fn start(level: Option<&str>, default: &str) -> Result<(), String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let (from, filter) = match level {
        Some(level) => ("--log-level", level.to_owned()),
        None => ["INBOXCLAW_LOG", "RUST_LOG"]
            .into_iter()
            .find_map(|name| Some((name, variable(name)?)))
            .unwrap_or(("the default", default.to_owned())),
    };
    let filter = EnvFilter::try_new(&filter)
        .map_err(|error| format!("{from} {filter:?} is no log filter: {error}"))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    // Fails only when a log is started already, as in tests; that one is as good.
    let _ = subscriber.try_init();
    Ok(())
}
