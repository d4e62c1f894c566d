//! A client of the plainest kind: one request, one connection, nothing hidden. Left out: chunked answers, which only a
//! cut one is.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use inboxclaw_fakes::google::{Fake, Options};
use serde_json::Value;

/// A request for the mailbox's profile, which every state of the account answers.
pub(crate) const PROFILE: &str = "/gmail/v1/users/me/profile";

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The body.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The reason of the first error.
    pub(crate) fn reason(&self) -> String {
        self.json()["error"]["errors"][0]["reason"].as_str().unwrap().to_owned()
    }
}

/// A fake and the tokens of a grant.
pub(crate) struct Account {
    pub(crate) fake: Fake,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Account {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        let scopes = options.scopes.clone();
        let fake = Fake::spawn(options).unwrap();
        let grant = fake.tokens().grant(fake.clock().now(), &scopes);
        Self { fake, access: grant.access, refresh: grant.refresh }
    }

    /// GET with the access token.
    pub(crate) fn get(&self, target: &str) -> Reply {
        self.try_get(target, "").unwrap()
    }

    /// GET with the access token and more header lines, each ended by CRLF. Fails when the answer does not end well.
    pub(crate) fn try_get(&self, target: &str, headers: &str) -> io::Result<Reply> {
        send(
            &self.fake,
            &format!("GET {target} HTTP/1.1\r\nauthorization: Bearer {}\r\n{headers}", self.access),
            "",
        )
    }

    /// The first lines of a GET with the access token.
    pub(crate) fn head(&self, target: &str) -> String {
        format!("GET {target} HTTP/1.1\r\nauthorization: Bearer {}\r\n", self.access)
    }

    /// A form for the token endpoint, with the client's id and secret.
    pub(crate) fn token(&self, form: &str) -> Reply {
        use inboxclaw_fakes::google::oauth::{CLIENT_ID, CLIENT_SECRET};
        self.form(&format!("client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}&{form}"))
    }

    /// A form for the token endpoint as it is.
    pub(crate) fn form(&self, form: &str) -> Reply {
        let head = "POST /token HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded\r\n";
        send(&self.fake, head, form).unwrap()
    }
}

/// Everything that the server sends for a request.
pub(crate) fn exchanged(fake: &Fake, head: &str, body: &str) -> io::Result<Vec<u8>> {
    let authority = fake.token_uri().split('/').nth(2).unwrap().to_owned();
    let mut stream = TcpStream::connect(&authority)?;
    let length = body.len();
    write!(stream, "{head}host: {authority}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn send(fake: &Fake, head: &str, body: &str) -> io::Result<Reply> {
    let mut bytes = exchanged(fake, head, body)?;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let reply = Reply { status, head, body: bytes.split_off(end + 4) };
    let length = reply.header("content-length").and_then(|length| length.parse().ok());
    if length == Some(reply.body.len()) { Ok(reply) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
