//! The plainest HTTP/1.1 there is, over one connection that stays open.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use anyhow::Context as _;
use inboxclaw_fakes::google::Fake;
use serde_json::Value;

/// Asks an account for one thing after the other.
pub(super) struct Reader {
    stream: BufReader<TcpStream>,
    token: String,
}

impl Reader {
    pub(super) fn new(fake: &Fake, token: String) -> anyhow::Result<Self> {
        let base = fake.base();
        let address = base.strip_prefix("http://").context("an address")?;
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), token })
    }

    pub(super) fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        let token = &self.token;
        write!(
            self.stream.get_mut(),
            "GET {path} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {token}\r\n\r\n"
        )?;
        answer(&mut self.stream)
    }
}

/// One request on a connection of its own to a port of this machine.
pub(super) fn once(port: u16, method: &str, path: &str) -> anyhow::Result<Value> {
    let body = if method == "GET" { "" } else { "{}" };
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    let mut stream = BufReader::new(stream);
    let length = body.len();
    write!(
        stream.get_mut(),
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    answer(&mut stream)
}

fn answer(stream: &mut BufReader<TcpStream>) -> anyhow::Result<Value> {
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
