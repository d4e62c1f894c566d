//! The plainest HTTP/1.1 there is, over one connection that stays open.

use std::io::{BufReader, Write as _};
use std::net::TcpStream;

use anyhow::Context as _;
use inboxclaw_fakes::google::Fake;
use serde_json::Value;

use crate::daemon::answer;

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
