//! The real binary in a folder of its own: started, stopped, killed, and asked over HTTP as a stranger would.
//! The configuration watches the folder `watched`; pull sink `inbox`, SSE sink `live`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take before the test fails. Never a measure of speed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A place with a configuration, a watched folder and perhaps a running program.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    port: u16,
    program: Option<Child>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::with("  files:\n    type: filesystem\n    path: ./watched\n    poll_interval: 1s\n")
    }

    /// A place with other sources: the lines below `sources:`.
    pub(crate) fn with(sources: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("watched")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "server: {{ port: {port} }}\ndatabase: {{ db_path: ./inbox.db }}\nsources:\n{sources}sink:\n  inbox:\n    \
             type: http_pull\n  live:\n    type: sse\n"
        );
        fs::write(folder.path().join("config.yaml"), config).unwrap();
        Self { folder, port, program: None }
    }

    pub(crate) fn watched(&self, name: &str) -> PathBuf {
        self.folder.path().join("watched").join(name)
    }

    /// A file beside the configuration.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the program and returns once it answers.
    pub(crate) fn start(&mut self) {
        self.start_within("unlimited");
    }

    /// Starts the program with a limit of file sizes, in blocks of `ulimit -f`: a disk that will be full.
    pub(crate) fn start_within(&mut self, blocks: &str) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.file("log")).unwrap();
        let program = Command::new("/bin/sh")
            .args(["-c", &format!("ulimit -f {blocks}; exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_inboxclaw"))
            .args(["listen", "--config"])
            .arg(self.file("config.yaml"))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.program = Some(program);
        self.until("the program answers", |place| {
            place.get("/healthcheck/live").map(|(status, _)| status == 200)
        });
    }

    /// As power loss would end it, as far as a process can tell.
    pub(crate) fn kill(&mut self) {
        let mut program = self.program.take().unwrap();
        program.kill().unwrap();
        program.wait().unwrap();
    }

    /// Asks the program to end, and returns its exit code and how long it took.
    pub(crate) fn stop(&mut self) -> (Option<i32>, Duration) {
        let mut program = self.program.take().unwrap();
        let asked = Instant::now();
        let id = program.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let status = program.wait().unwrap();
        (status.code(), asked.elapsed())
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        self.request("GET", path)
    }

    /// One HTTP/1.1 request; `None` when the program does not answer.
    pub(crate) fn request(&self, method: &str, path: &str) -> Option<(u16, String)> {
        self.send(method, path, "")
    }

    /// One HTTP/1.1 request with a body; `None` when the program does not answer.
    pub(crate) fn send(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        let mut answer = BufReader::new(stream);
        let mut line = String::new();
        answer.read_line(&mut line).ok()?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        let mut length = None;
        loop {
            line.clear();
            answer.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().ok();
            }
        }
        // 204 has neither a length nor a body.
        let mut body = vec![0; if status == 204 { 0 } else { length? }];
        answer.read_exact(&mut body).ok()?;
        Some((status, String::from_utf8(body).ok()?))
    }

    /// Takes up to `size` unconfirmed events from the pull sink: the batch's number and the events.
    pub(crate) fn extract(&self, size: usize) -> Option<(Option<u64>, Vec<Value>)> {
        let (status, body) = self.get(&format!("/inbox/extract?batch_size={size}"))?;
        assert_eq!(status, 200, "{body}");
        let mut answer: Value = serde_json::from_str(&body).unwrap();
        let Value::Array(events) = answer["events"].take() else { panic!("events: {body}") };
        Some((answer["batch_id"].as_u64(), events))
    }

    /// Confirms a batch; `None` when the program did not answer, so that nobody knows.
    pub(crate) fn confirm(&self, batch: u64) -> Option<u64> {
        let (status, body) = self.request("POST", &format!("/inbox/mark-processed?batch_id={batch}"))?;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<Value>(&body).unwrap()["marked_count"].as_u64()
    }

    /// Takes and confirms until `enough` says so.
    pub(crate) fn take_until(&self, events: &mut Vec<Value>, enough: impl Fn(&[Value]) -> bool) {
        self.until("the events arrive", |place| {
            if let (Some(batch), new) = place.extract(1000)? {
                place.confirm(batch)?;
                events.extend(new);
            }
            Some(enough(events))
        });
    }

    /// Opens the SSE stream, from the event after `last` if given, and returns once it is connected.
    pub(crate) fn live(&self, last: Option<i64>) -> Live {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let resume = last.map(|last| format!("Last-Event-ID: {last}\r\n")).unwrap_or_default();
        let head = format!("GET /live/ HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{resume}\r\n", self.port);
        stream.write_all(head.as_bytes()).unwrap();
        let mut live = Live { lines: BufReader::new(stream) };
        while live.line() != "data: connected" {}
        live
    }

    /// Tries until `done` answers `Some(true)`.
    pub(crate) fn until(&self, what: &str, mut done: impl FnMut(&Self) -> Option<bool>) {
        let started = Instant::now();
        while done(self) != Some(true) {
            assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}; log:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(mut program) = self.program.take() {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

/// An open SSE stream.
pub(crate) struct Live {
    lines: BufReader<TcpStream>,
}

impl Live {
    /// The next event.
    pub(crate) fn event(&mut self) -> Value {
        loop {
            if let Some(data) = self.line().strip_prefix("data: {") {
                return serde_json::from_str(&format!("{{{data}")).unwrap();
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.lines.read_line(&mut line).unwrap() > 0, "the stream ended");
        line.trim_end().to_owned()
    }
}

/// The text of one field of an event's data, or of the event itself.
pub(crate) fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event["data"][field].as_str().or_else(|| event[field].as_str()).unwrap_or_default()
}
