//! The log: lines on standard error that are [`printable()`], whatever is told in them. What may be logged is up to whoever
//! logs: names and causes, never values.

use std::io::{self, IsTerminal, Write, stderr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use inboxclaw_contract::printable;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::debug_fn;

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
        .fmt_fields(fields())
        .with_writer(Mutex::new(Collapsed::new(stderr())))
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

/// For so long lines that are the same are counted and not written.
const COLLAPSE_FOR: Duration = Duration::from_secs(60);

/// Writes a line that comes again and again once, and then how often it came. What is written is one line each time,
/// which begins with its time.
struct Collapsed<W> {
    out: W,
    /// The last line that was written, without its time, and when.
    last: Option<(Vec<u8>, Instant)>,
    again: u64,
}

impl<W: Write> Collapsed<W> {
    fn new(out: W) -> Self {
        Self { out, last: None, again: 0 }
    }

    fn tell_count(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.again) {
            0 => Ok(()),
            1 => self.out.write_all(b"    (the line above came once more)\n"),
            again => self.out.write_all(format!("    (the line above came {again} times more)\n").as_bytes()),
        }
    }
}

impl<W: Write> Write for Collapsed<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let time = line.iter().position(|byte| *byte == b' ').unwrap_or(0);
        let told = &line[time..];
        let is_same = |(last, at): &(Vec<u8>, Instant)| last == told && at.elapsed() < COLLAPSE_FOR;
        if self.last.as_ref().is_some_and(is_same) {
            self.again += 1;
            return Ok(line.len());
        }
        self.tell_count()?;
        self.last = Some((told.to_owned(), Instant::now()));
        self.out.write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Message and fields, each on one line: a title of a feed or the name of a file forges no other.
fn fields() -> impl for<'writer> FormatFields<'writer> + Send + Sync + 'static {
    let field = debug_fn(|writer, field, value| {
        let text = format!("{value:?}");
        match field.name() {
            "message" => write!(writer, "{}", printable(&text)),
            name => write!(writer, "{name}={}", printable(&text)),
        }
    });
    field.delimited(" ")
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

    #[test]
    fn a_line_that_comes_again_and_again_is_counted() {
        let mut log = Collapsed::new(Vec::new());
        for n in 0..100 {
            log.write_all(format!("2026-11-29T00:00:{n:02}Z  WARN a request failed\n").as_bytes()).unwrap();
        }
        log.write_all(b"2026-11-29T00:02:00Z  INFO stopped\n").unwrap();
        log.write_all(b"2026-11-29T00:02:01Z  INFO stopped\n").unwrap();
        log.write_all(b"2026-11-29T00:02:02Z  INFO other\n").unwrap();
        let wanted = "2026-11-29T00:00:00Z  WARN a request failed\n    (the line above came 99 times more)\n\
            2026-11-29T00:02:00Z  INFO stopped\n    (the line above came once more)\n2026-11-29T00:02:02Z  INFO other\n";
        assert_eq!(String::from_utf8(log.out).unwrap(), wanted);
    }

    /// What is logged goes to a terminal or a journal: one event is one line, and colours are ours alone.
    #[test]
    fn a_log_line_is_one_line_whatever_is_logged() {
        #[derive(Clone, Default)]
        struct Log(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
        impl std::io::Write for Log {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        for ansi in [false, true] {
            let log = Log::default();
            let writer = log.clone();
            let subscriber = tracing_subscriber::fmt()
                .fmt_fields(fields())
                .with_writer(move || writer.clone())
                .with_ansi(ansi)
                .finish();
            tracing::subscriber::with_default(subscriber, || {
                let title = "a\u{1b}[2J\r\n2026-11-29T00:00:00Z  INFO forged\u{202e}\u{9b}";
                tracing::warn!(error = %title, source = title, n = 7, "the feed {title} is odd");
            });
            let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
            let shown = "a\\u001b[2J\\r\\n2026-11-29T00:00:00Z  INFO forged\\u202e\\u009b";
            assert_eq!(text.matches('\n').count(), 1, "{text}");
            assert!(
                text.contains(&format!("the feed {shown} is odd error={shown} source=\"a\\u{{1b}}[2J")),
                "{text}"
            );
            assert!(text.ends_with(" n=7\n") && !text.contains(['\r', '\u{202e}', '\u{9b}']), "{text}");
            assert_eq!(text.contains('\u{1b}'), ansi, "the colour of the level");
        }
    }
}
