//! A folder of its own for each test, and the binary in it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

/// A folder with a home that is empty.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A program that runs until the test is over.
pub(crate) struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    pub(crate) address: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A place with this `config.yaml`.
    pub(crate) fn with(config: &str) -> Self {
        let place = Self::new();
        place.write("config.yaml", config);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The names of everything here, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_inboxclaw"));
        command.args(args).current_dir(self.folder.path()).env_clear().env("HOME", "/nonexistent");
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Self::ran(self.command(args).output().unwrap())
    }

    /// Runs a command with this on its standard input.
    pub(crate) fn run_with(&self, args: &[&str], input: &str) -> Ran {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that refuses early does not read to the end.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        Self::ran(child.wait_with_output().unwrap())
    }

    /// What a command that has ended did.
    pub(crate) fn ran(output: Output) -> Ran {
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts `listen` and returns when it has its port.
    pub(crate) fn listen(&self, args: &[&str]) -> Running {
        let mut command = self.command(&[&["listen"], args].concat());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut running = Running { child, stderr, address: String::new() };
        let mut seen = String::new();
        while running.address.is_empty() {
            let from = seen.len();
            assert!(running.stderr.read_line(&mut seen).unwrap() > 0, "listen ended: {seen}");
            if let Some((_, address)) = seen[from..].split_once("Starting server on ") {
                address.trim().clone_into(&mut running.address);
            }
        }
        running
    }

    /// Starts `listen` with standard error to a file, stops it once it is healthy; returns code and log.
    pub(crate) fn listen_and_stop(&self, args: &[&str]) -> (i32, String) {
        let mut child = self.command(&[&["listen"], args].concat());
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut child = child.stdout(Stdio::null()).stderr(log.reopen().unwrap()).spawn().unwrap();
        self.await_health();
        let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let code = child.wait().unwrap().code().unwrap_or(-1);
        (code, std::fs::read_to_string(log.path()).unwrap())
    }

    /// Asks until the program says that it is healthy.
    pub(crate) fn await_health(&self) {
        for _ in 0..500 {
            if self.run(&["healthcheck"]).code == 0 {
                return;
            }
        }
        panic!("never healthy: {:?}", self.run(&["healthcheck"]));
    }

    /// Runs a command until it prints something.
    pub(crate) fn await_output(&self, args: &[&str]) -> String {
        for _ in 0..2000 {
            let ran = self.run(args);
            assert_eq!(ran.code, 0, "{ran:?}");
            if !ran.out.is_empty() && !ran.out.starts_with("No published") {
                return ran.out;
            }
        }
        panic!("{args:?} never printed anything");
    }
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal and waits for the end; returns the exit code and the rest of the log.
    pub(crate) fn stop(mut self, signal: &str) -> (i32, String) {
        let sent = Command::new("kill").args([signal, &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
        let mut log = String::new();
        while self.stderr.read_line(&mut log).unwrap() > 0 {}
        (self.child.wait().unwrap().code().unwrap_or(-1), log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when the program has ended already, as it should.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everything in a folder that belongs to the database `name`.
pub(crate) fn beside(folder: &Path, name: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|entry| entry.starts_with(name)).collect()
}
