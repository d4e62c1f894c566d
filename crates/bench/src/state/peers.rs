//! The peers that cannot be linked with ours: a program of their own, built and run here, that takes turns with us.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::data::Case;
use crate::measure::Done;

/// The running program.
pub(super) struct Child {
    process: Process,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// What each peer said last of its settings.
    notes: Vec<(&'static str, String)>,
}

#[derive(serde::Deserialize)]
struct Answer {
    seconds: f64,
    note: String,
}

/// Builds the program, and says where it is.
pub(super) fn build() -> anyhow::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench/peers");
    let target = folder.join("target");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--locked", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status()
        .context("cannot run cargo")?;
    ensure!(built.success(), "the peers cannot be built: {built}");
    Ok(target.join("release/inboxclaw-bench-peers"))
}

impl Child {
    pub(super) fn start(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        let started = Command::new(program).arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = started.with_context(|| format!("cannot run {}", program.display()))?;
        let commands = process.stdin.take().context("the peers have no input")?;
        let answers = BufReader::new(process.stdout.take().context("the peers have no output")?);
        Ok(Self { process, commands, answers, notes: Vec::new() })
    }

    /// Has a peer make its database.
    pub(super) fn load(&mut self, peer: &'static str, keys: u64) -> anyhow::Result<Duration> {
        self.ask(peer, &format!("load {peer} {keys}"))
    }

    /// Has a peer do a round.
    pub(super) fn run(&mut self, peer: &'static str, case: Case, count: u64) -> anyhow::Result<Done> {
        let took = self.ask(peer, &format!("run {peer} {} {count}", case.name()))?;
        Ok(Done { count, took })
    }

    /// Ends the program; returns what each peer said of its settings.
    pub(super) fn end(self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let Self { mut process, commands, notes, .. } = self;
        drop(commands);
        let ended = process.wait()?;
        ensure!(ended.success(), "the peers ended with {ended}");
        Ok(notes)
    }

    fn ask(&mut self, peer: &'static str, command: &str) -> anyhow::Result<Duration> {
        writeln!(self.commands, "{command}")?;
        self.commands.flush()?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let answer: Answer =
            serde_json::from_str(&line).with_context(|| format!("the peers did not answer {command:?}"))?;
        self.notes.retain(|(known, _)| *known != peer);
        self.notes.push((peer, answer.note));
        Ok(Duration::from_secs_f64(answer.seconds))
    }
}
