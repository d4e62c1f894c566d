//! The stand-ins, started by hand, to try the sources without an account: `fake-google` serves an account of Google in
//! which something happens every few seconds. Left out: keeping an account beyond one run.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::{Args, Parser, Subcommand};
use fastrand::Rng;
use inboxclaw_fakes::google::simulation::Simulation;
use inboxclaw_fakes::google::{Fake, Options};
use jiff::SignedDuration;

/// The first line of a configuration that may be written over.
const HEADER: &str = "# Written by inboxclaw-fakes, which writes it anew at each start.";
/// Changes of each service before the first reader comes.
const HISTORY: i64 = 30;

/// Stand-ins for services, to try Inboxclaw without an account.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve an account of Google with mail, files and calendars, in which something happens every few seconds. Each
    /// start makes a new account and writes a configuration for it.
    FakeGoogle(FakeGoogle),
}

#[derive(Debug, Args)]
struct FakeGoogle {
    /// Where to write config.yaml and token.json, and where the database goes. Made if it is missing.
    #[arg(long, value_name = "DIR", default_value = "fake-google")]
    folder: PathBuf,
    /// The port to serve on; 0 takes any free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// Time between two changes, such as 5s or 1m.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = interval)]
    every: Duration,
    /// How many of a hundred requests fail.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    faults: u8,
    /// The same number gives the same changes.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Command::FakeGoogle(wanted) = Cli::parse().command;
    let Err(failure) = fake_google(&wanted).await else { return ExitCode::SUCCESS };
    // With the causes in one line; where nobody reads it, the exit code says enough.
    let _ = writeln!(io::stderr(), "{failure:#}");
    ExitCode::FAILURE
}

async fn fake_google(wanted: &FakeGoogle) -> anyhow::Result<()> {
    let fake = Fake::start(Options { port: wanted.port, ..Options::default() }).await;
    let fake = fake.with_context(|| format!("cannot serve on port {}", wanted.port))?;
    let seed = wanted.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let mut activity = Activity { simulation: Simulation::new(seed), random: Rng::with_seed(seed) };
    activity.make_history(&fake);
    if wanted.faults > 0 {
        fake.faults().random(seed, f64::from(wanted.faults) / 100.0);
    }
    let config = write_files(&wanted.folder, &fake)?;
    say(&introduction(&fake, &config, seed))?;
    let mut ticks = tokio::time::interval(wanted.every);
    ticks.tick().await;
    let mut violations = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => say(&activity.step(&fake))?,
            stopped = tokio::signal::ctrl_c() => return stopped.context("cannot wait for the end"),
        }
        // Whoever only tries the sources has nothing to check against.
        for violation in fake.violations().iter().skip(violations).filter(|_| fake.is_checking()) {
            violations += 1;
            say(&format!("not as Google describes it: {violation}"))?;
        }
    }
}

/// Random changes, and the choice of the service that changes.
struct Activity {
    simulation: Simulation,
    random: Rng,
}

impl Activity {
    /// Changes every service, once a minute up to now.
    fn make_history(&mut self, fake: &Fake) {
        let now = fake.clock().now();
        for minutes in (1..=HISTORY).rev() {
            let then = now - SignedDuration::from_mins(minutes);
            self.simulation.step_gmail(&mut fake.gmail(), then);
            self.simulation.step_drive(&mut fake.drive(), then);
            self.simulation.step_calendar(&mut fake.calendar(), then);
            self.simulation.end_round();
        }
    }

    /// Changes one service, and says what changed.
    fn step(&mut self, fake: &Fake) -> String {
        let now = fake.clock().now();
        self.simulation.end_round();
        match self.random.u8(0..8) {
            0..3 => self.simulation.step_gmail(&mut fake.gmail(), now),
            3..6 => self.simulation.step_drive(&mut fake.drive(), now),
            _ => self.simulation.step_calendar(&mut fake.calendar(), now),
        }
    }
}

/// Writes token.json and config.yaml; the path of the latter.
fn write_files(folder: &Path, fake: &Fake) -> anyhow::Result<PathBuf> {
    let named = |path: &Path| format!("cannot write {}", path.display());
    fs::create_dir_all(folder).with_context(|| named(folder))?;
    let path = folder.join("config.yaml");
    let known = fs::read_to_string(&path).unwrap_or_default();
    let foreign = fs::exists(&path).unwrap_or(false) && !known.starts_with(HEADER);
    ensure!(!foreign, "{} was not written by this program; name another --folder", path.display());
    let folder = folder.canonicalize().with_context(|| named(folder))?;
    let token = folder.join("token.json");
    fake.token_file(&token).with_context(|| named(&token))?;
    // What an earlier account's sources remember means nothing here.
    let database = folder.join(format!("account-{}.db", fake.clock().now().as_millisecond()));
    let config = config(&fake.base(), &token, &database);
    fs::write(&path, config).with_context(|| named(&path))?;
    Ok(path)
}

/// The configuration that reads the account.
fn config(base: &str, token: &Path, database: &Path) -> String {
    let quoted = |path: &Path| serde_json::Value::from(path.display().to_string()).to_string();
    let source = |name: &str, kind: &str| {
        let token = quoted(token);
        format!(
            "  {name}:\n    type: {kind}\n    token_file: {token}\n    api_root: {base}\n    poll_interval: 5s\n"
        )
    };
    let sources = [("mail", "gmail"), ("files", "google_drive"), ("calendar", "google_calendar")];
    let sources: String = sources.iter().map(|(name, kind)| source(name, kind)).collect();
    let database = quoted(database);
    format!(
        "{HEADER}\ndatabase:\n  db_path: {database}\nsources:\n{sources}sink:\n  inbox:\n    type: http_pull\n"
    )
}

fn introduction(fake: &Fake, config: &Path, seed: u64) -> String {
    let (base, config) = (fake.base(), config.display());
    format!(
        "An account of Google at {base}, seed {seed}. Stop it with Ctrl-C.\n\
         Read it from another terminal:\n\n  \
         cargo run -- listen --config {config}\n  \
         cargo run -- pull --config {config}\n"
    )
}

fn interval(text: &str) -> Result<Duration, String> {
    let span: SignedDuration = text.parse().map_err(|_| format!("no time such as 5s or 1m: {text}"))?;
    let time = Duration::try_from(span).unwrap_or_default();
    if time.is_zero() { Err(format!("{text} is not longer than nothing")) } else { Ok(time) }
}

fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_the_account_and_quotes_its_paths() {
        let text = config("http://127.0.0.1:9", Path::new("/a b/\"t\".json"), Path::new("/a b/x.db"));
        let expected = "database:\n  db_path: \"/a b/x.db\"\nsources:\n  mail:\n    type: gmail\n    \
                        token_file: \"/a b/\\\"t\\\".json\"\n    api_root: http://127.0.0.1:9\n    \
                        poll_interval: 5s\n  files:\n    type: google_drive\n";
        assert!(text.starts_with(&format!("{HEADER}\n{expected}")), "{text}");
        assert!(text.ends_with("sink:\n  inbox:\n    type: http_pull\n"), "{text}");
    }

    #[test]
    fn times_between_changes_are_longer_than_nothing() {
        assert_eq!(interval("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(interval("1m 30s"), Ok(Duration::from_secs(90)));
        for wrong in ["0s", "-5s", "soon"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }
}
