//! From the commit of an event to whoever is to hear of it, one event at a time: a webhook receiver, the start of a
//! command, a stream, the answer of a long poll.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::receiver::{self, Answer};
use super::support::{LONG, middle_and_slow};
use crate::daemon::Daemon;
use crate::report::Row;

/// How many events are timed for each round asked for.
const EACH: usize = 40;

pub(super) async fn run(folder: &Path, rounds: usize) -> anyhow::Result<Vec<Row>> {
    let (port, mut hook) = receiver::listen(|_| Answer::Ok).await?;
    let starts = folder.join("starts");
    let owners = format!(
        "sources: {{ m: {{ type: mock, interval: 1h }} }}\nsink:\n  hook: {{ type: webhook, url: 'http://127.0.0.1:{port}/' }}\n  \
         run: {{ type: command, command: 'date +%s%6N >> {}' }}\n  live: {{ type: sse }}\n  inbox: {{ type: http_pull }}\n",
        starts.display()
    );
    let mut daemon = Daemon::start(folder, &owners)?;
    daemon.until(|daemon| {
        daemon.ask("PUT", "/api/sources/m/state/wake", &Timestamp::now().as_nanosecond().to_string())?;
        Ok(daemon.get("/api/events?limit=1")?["total"].as_u64() > Some(0))
    })?;
    sleep(Duration::from_secs(2)).await;
    let mut live = stream(daemon.port()).await?;
    let mut polls = poll(daemon.port());
    sleep(Duration::from_secs(1)).await;
    while hook.try_recv().is_ok() {}
    while live.try_recv().is_ok() {}
    while polls.try_recv().is_ok() {}
    let mut found: [Vec<f64>; 4] = Default::default();
    for round in 0..rounds * EACH {
        let begun = lines(&starts);
        let value = format!("\"{round} {}\"", Timestamp::now());
        tokio::task::block_in_place(|| daemon.ask("PUT", "/api/sources/m/state/wake", &value))?;
        let hooked = timeout(LONG, hook.recv()).await?.context("no webhook")?;
        let stored = hooked.stored_at()?;
        let streamed = timeout(LONG, live.recv()).await?.context("no stream")?;
        let polled = timeout(LONG, polls.recv()).await?.context("no long poll")?;
        let started = start_after(&starts, begun).await?;
        for (list, at) in found.iter_mut().zip([hooked.at, started, streamed, polled]) {
            list.push(at.duration_since(stored).as_secs_f64() * 1e3);
        }
        sleep(Duration::from_millis(30)).await;
    }
    let names = ["to_webhook", "to_command_start", "to_stream", "to_long_poll"];
    let rows = names.into_iter().zip(found).map(|(name, millis)| {
        let (middle, slow) = middle_and_slow(millis);
        let mut row = Row::new("delivery", name.to_owned(), "ms (median)", middle);
        row.also.insert("p99_ms", slow);
        row
    });
    Ok(rows.collect())
}

fn lines(file: &Path) -> usize {
    std::fs::read_to_string(file).map_or(0, |text| text.lines().count())
}

/// When the command started that comes after so many.
async fn start_after(file: &Path, begun: usize) -> anyhow::Result<Timestamp> {
    let micros = timeout(LONG, async {
        loop {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            if let Some(line) = text.lines().nth(begun) {
                return line.trim().parse::<i64>();
            }
            sleep(Duration::from_millis(2)).await;
        }
    });
    Ok(Timestamp::from_microsecond(micros.await.context("no command")??)?)
}

/// The times at which a stream gets events.
async fn stream(port: u16) -> anyhow::Result<mpsc::UnboundedReceiver<Timestamp>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(format!("GET /live/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").as_bytes()).await?;
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    while !line.contains("connected") {
        line.clear();
        timeout(LONG, lines.read_line(&mut line)).await.context("no greeting")??;
    }
    let (heard, times) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut line = String::new();
        while lines.read_line(&mut line).await.is_ok_and(|length| length > 0) {
            if line.starts_with("event: message") && heard.send(Timestamp::now()).is_err() {
                return;
            }
            line.clear();
        }
    });
    Ok(times)
}

/// The times at which long polls are answered with events; each batch is confirmed, then asked again.
fn poll(port: u16) -> mpsc::UnboundedReceiver<Timestamp> {
    let (heard, times) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let Ok(text) = ask(port, "GET", "/inbox/extract?wait=30s").await else { continue };
            let at = Timestamp::now();
            let Ok(batch) = serde_json::from_str::<serde_json::Value>(&text) else { continue };
            let Some(id) = batch["batch_id"].as_u64() else { continue };
            let confirmed = ask(port, "POST", &format!("/inbox/mark-processed?batch_id={id}")).await;
            if confirmed.is_err() || heard.send(at).is_err() {
                return;
            }
        }
    });
    times
}

/// The body of an answer.
async fn ask(port: u16, method: &str, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text.split_once("\r\n\r\n").context("an answer")?.1.to_owned())
}
