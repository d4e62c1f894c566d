//! The real program, which must lie next to this package's: `cargo build --release -p inboxclaw -p inboxclaw-bench`.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::memory;

/// How often the daemon is asked how far it is.
const LOOK: Duration = Duration::from_millis(100);

/// The program while it runs; ended when dropped.
pub(crate) struct Daemon {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Daemon {
    /// Starts it in a folder on any free port, with these sources and sinks (YAML).
    pub(crate) fn start(folder: &Path, owners: &str) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let config = format!("server: {{ port: {port} }}\ndatabase: {{ db_path: ./inbox.db }}\n{owners}");
        fs::write(folder.join("config.yaml"), config)?;
        let program = std::env::current_exe()?.with_file_name("inboxclaw");
        let child = Command::new(&program)
            .args(["listen", "--config"])
            .arg(folder.join("config.yaml"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log"))?)
            .spawn()
            .with_context(|| format!("cannot start {}: build it with the same profile", program.display()))?;
        Ok(Self { child, port, folder: folder.to_owned() })
    }

    /// Waits until it is so.
    pub(crate) fn until(&mut self, done: impl Fn(&Self) -> anyhow::Result<bool>) -> anyhow::Result<()> {
        // Until it listens there is no answer.
        while !done(self).unwrap_or(false) {
            std::thread::sleep(LOOK);
            if let Some(status) = self.child.try_wait()? {
                bail!("the daemon ended, {status}: {}", fs::read_to_string(self.folder.join("log"))?);
            }
        }
        Ok(())
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask("GET", path, "")
    }

    pub(crate) fn post(&self, path: &str) -> anyhow::Result<()> {
        self.ask("POST", path, "{}").map(drop)
    }

    /// One request on a connection of its own.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> anyhow::Result<Value> {
        let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", self.port))?);
        let (port, length) = (self.port, body.len());
        write!(
            stream.get_mut(),
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        answer(&mut stream)
    }

    /// The most that was resident since it started, or since [`forget_peak`](Self::forget_peak).
    pub(crate) fn peak_mib(&self) -> Option<f64> {
        memory::peak_mib(&self.child.id().to_string())
    }

    pub(crate) fn forget_peak(&self) {
        memory::forget_peak(&self.child.id().to_string());
    }

    /// The database and its write-ahead log.
    pub(crate) fn disk_bytes(&self) -> u64 {
        let files = ["inbox.db", "inbox.db-wal"].iter();
        files.map(|name| fs::metadata(self.folder.join(name)).map_or(0, |meta| meta.len())).sum()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads an answer of HTTP/1.1 whose length is told.
pub(crate) fn answer(stream: &mut BufReader<TcpStream>) -> anyhow::Result<Value> {
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse()?,
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? })
}
