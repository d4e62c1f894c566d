//! A web server that takes what is posted to it, and says what it was.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver as Channel};
use std::time::Duration;

/// How long anything may take before the test fails. Never a measure of speed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Listens until the test is over and answers everything with 200.
pub(crate) struct Receiver {
    pub(crate) address: String,
    requests: Channel<Posted>,
}

/// A request.
#[derive(Debug)]
pub(crate) struct Posted {
    /// As in `POST /hook HTTP/1.1`.
    pub(crate) line: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Receiver {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let sender = sender.clone();
                std::thread::spawn(move || {
                    let mut stream = BufReader::new(stream.unwrap());
                    // A connection is used for several requests, until the other side or the test ends it.
                    while let Some(posted) = read(&mut stream) {
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                        if sender.send(posted).is_err() || stream.get_mut().write_all(answer).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, requests }
    }

    /// The next request.
    pub(crate) fn next(&self) -> Posted {
        self.requests.recv_timeout(PATIENCE).expect("nothing was posted")
    }

    /// What has come already.
    pub(crate) fn waiting(&self) -> Vec<Posted> {
        self.requests.try_iter().collect()
    }
}

impl Posted {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let first = found.next();
        assert!(found.next().is_none(), "{name} twice: {self:?}");
        first
    }
}

fn read(stream: &mut BufReader<TcpStream>) -> Option<Posted> {
    let line = |stream: &mut BufReader<TcpStream>| {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|length| *length > 0)?;
        Some(line.trim_end().to_owned())
    };
    let mut posted = Posted { line: line(stream)?, headers: Vec::new(), body: String::new() };
    loop {
        let header = line(stream)?;
        let Some((name, value)) = header.split_once(": ") else { break };
        posted.headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length = posted.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    posted.body = String::from_utf8(body).unwrap();
    Some(posted)
}
