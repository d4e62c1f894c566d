//! A receiver of webhooks: HTTP/1.1 with connections that stay, as fast as this machine allows.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A request that arrived.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) at: Timestamp,
    /// The `webhook-id`.
    pub(super) id: String,
    pub(super) body: String,
    /// Whether it was answered with 200.
    pub(super) taken: bool,
}

impl Arrived {
    /// When the event in it was stored.
    pub(super) fn stored_at(&self) -> anyhow::Result<Timestamp> {
        let event: serde_json::Value = serde_json::from_str(&self.body)?;
        let at: DateTime = event["created_at"].as_str().context("an event")?.parse()?;
        Ok(at.to_zoned(TimeZone::UTC)?.timestamp())
    }
}

/// What to do with a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    Ok,
    /// Another status, and perhaps a wait that it names, in seconds.
    Status(u16, Option<u32>),
    /// So long, then 200.
    Slow(Duration),
    /// No answer.
    Hang,
    /// The connection is cut.
    Cut,
}

type Rule = Arc<dyn Fn(&str) -> Answer + Send + Sync>;

/// Listens on any free port and answers as `rule` says for each body. Returns the port and what arrives.
pub(super) async fn listen(
    rule: impl Fn(&str) -> Answer + Send + Sync + 'static,
) -> anyhow::Result<(u16, mpsc::UnboundedReceiver<Arrived>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let (heard, arrived) = mpsc::unbounded_channel();
    let rule: Rule = Arc::new(rule);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (heard, rule) = (heard.clone(), rule.clone());
            tokio::spawn(async move {
                // A connection that breaks off is one that the program gave up.
                let _ = serve(stream, &heard, &rule).await;
            });
        }
    });
    Ok((port, arrived))
}

async fn serve(stream: TcpStream, heard: &mpsc::UnboundedSender<Arrived>, rule: &Rule) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        let (mut length, mut id) = (0, String::new());
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse()?
                }
                Some((name, value)) if name.eq_ignore_ascii_case("webhook-id") => id = value.to_owned(),
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let (at, body) = (Timestamp::now(), String::from_utf8(body)?);
        let answer = rule(&body);
        let taken = matches!(answer, Answer::Ok | Answer::Slow(_));
        heard.send(Arrived { at, id, body, taken }).ok().context("nobody listens")?;
        match answer {
            Answer::Ok => respond(&mut stream, 200, None).await?,
            Answer::Status(status, wait) => respond(&mut stream, status, wait).await?,
            Answer::Slow(wait) => {
                tokio::time::sleep(wait).await;
                respond(&mut stream, 200, None).await?;
            }
            Answer::Hang => std::future::pending().await,
            Answer::Cut => return Ok(()),
        }
    }
}

async fn respond(stream: &mut BufReader<TcpStream>, status: u16, wait: Option<u32>) -> anyhow::Result<()> {
    let wait = wait.map(|wait| format!("Retry-After: {wait}\r\n")).unwrap_or_default();
    let head = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n{wait}\r\n");
    Ok(stream.get_mut().write_all(head.as_bytes()).await?)
}
