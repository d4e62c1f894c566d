//! The log: plain lines on standard error. What may be logged is up to whoever logs: names and causes, never values.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

/// The words that are a filter by themselves.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// What is logged when a variable holds no filter.
const FALLBACK: &str = "info";

/// Starts logging. The first filter given counts: `level`, INBOXCLAW_LOG, RUST_LOG, `default`. A variable that
/// holds no filter is told and `info` taken instead.
///
/// # Errors
/// When `level` is no filter; the text names it.
pub fn start(level: Option<&str>, default: &str) -> Result<(), String> {
    let variable =
        |name: &'static str| Some((name, std::env::var(name).ok().filter(|text| !text.is_empty())?));
    let given = ["INBOXCLAW_LOG", "RUST_LOG"].into_iter().find_map(variable);
    let mut doubt = None;
    let filter = match (level, given) {
        (Some(level), _) => filter("--log-level", level)?,
        (None, Some((name, text))) => filter(name, &text).or_else(|error| {
            doubt = Some(error);
            filter("the fallback", FALLBACK)
        })?,
        (None, None) => filter("the default", default)?,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        // They would be told on standard error, which is what just failed, and that panics.
        .log_internal_errors(false)
        .with_ansi(stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    // Fails only when a log is started already, as in tests; that one is as good.
    let _ = subscriber.try_init();
    if let Some(doubt) = doubt {
        tracing::warn!("{doubt}; {FALLBACK} is taken instead");
    }
    Ok(())
}

/// A lone word that is no level would be a filter for a part of the program of that name, which nobody has: silence.
fn filter(from: &str, text: &str) -> Result<EnvFilter, String> {
    if !text.contains(['=', ',']) && !LEVELS.contains(&text.trim().to_ascii_lowercase().as_str()) {
        return Err(format!("{from} {text:?} is no log level; there are: {}", LEVELS.join(", ")));
    }
    EnvFilter::try_new(text).map_err(|error| format!("{from} {text:?} is no log filter: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused_and_does_not_silence_the_log() {
        for good in ["off", "info", "DEBUG", "inboxclaw_store=debug", "warn,inboxclaw=trace"] {
            assert!(filter("--log-level", good).is_ok(), "{good}");
        }
        for bad in ["verbose", "", "5x", "inboxclaw_store=loud"] {
            let error = filter("--log-level", bad).map(|_| ()).unwrap_err();
            assert!(error.starts_with(&format!("--log-level {bad:?} is no log ")), "{error}");
        }
    }
}
