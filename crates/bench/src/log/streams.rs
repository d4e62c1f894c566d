//! One event to many streams of the real program: how long until the first and the last one have it.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::daemon::Daemon;
use crate::measure::median;
use crate::report::{Goal, Row};

/// Long after any event should have arrived.
const LONG: Duration = Duration::from_secs(30);
const MANY: usize = 512;

/// One stream as the peer, then as many as a server takes by default.
pub(super) async fn run(folder: &Path, rounds: usize) -> anyhow::Result<Vec<Row>> {
    let mut daemon = Daemon::start(
        folder,
        "sink: { sse: { type: sse } }\nsources: { m: { type: mock, interval: 1h } }\n",
    )?;
    // The first poll makes no event, and an edit before it is part of it.
    daemon.until(|daemon| {
        daemon.ask("PUT", "/api/sources/m/state/wake", &Timestamp::now().as_nanosecond().to_string())?;
        Ok(daemon.get("/api/events?limit=1")?["total"].as_u64() > Some(0))
    })?;
    let one = measure(&daemon, rounds, 1).await?;
    daemon.forget_peak();
    let all = measure(&daemon, rounds, MANY).await?;
    let mut row = Row::new("log", format!("event_to_{MANY}_streams"), "events/s", 1e3 / all.last);
    row.peers.insert("one_stream", 1e3 / one.last);
    row.also.extend([("first_ms", all.first), ("last_ms", all.last), ("one_stream_ms", one.last)]);
    row.also.extend(daemon.peak_mib().map(|mib| ("peak_mib", mib)));
    let goal = "ms until the last stream has an event: 100 at most".to_owned();
    row.goals.push(Goal { goal, found: all.last, met: all.last <= 100.0 });
    Ok(vec![row])
}

/// Milliseconds from the commit of an event, medians of some rounds.
struct Took {
    first: f64,
    last: f64,
}

async fn measure(daemon: &Daemon, rounds: usize, streams: usize) -> anyhow::Result<Took> {
    let (heard, mut arrivals) = mpsc::unbounded_channel();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..streams {
        let lines = open(daemon.port()).await?;
        tasks.spawn(listen(lines, heard.clone()));
    }
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        // An edit of its state has the source polled, and a poll of this one is an event.
        let value = format!("\"{streams} {round}\"");
        tokio::task::block_in_place(|| daemon.ask("PUT", "/api/sources/m/state/wake", &value))?;
        let mut arrived = Vec::with_capacity(streams);
        while arrived.len() < streams {
            let one = timeout(LONG, arrivals.recv()).await.context("not every stream has the event")?;
            arrived.push(one.context("the streams have ended")?);
        }
        let stored = tokio::task::block_in_place(|| newest(daemon))?;
        let times = arrived.iter().map(|at: &Timestamp| at.duration_since(stored).as_secs_f64() * 1e3);
        let times: Vec<f64> = times.collect();
        first.extend(times.iter().copied().reduce(f64::min));
        last.extend(times.iter().copied().reduce(f64::max));
        // A second event of the same edit would count for the next round.
        while let Ok(Some(_)) = timeout(Duration::from_millis(200), arrivals.recv()).await {}
    }
    // The first round warms everything up.
    Ok(Took { first: median(first.split_off(1)), last: median(last.split_off(1)) })
}

/// When the newest event was stored.
fn newest(daemon: &Daemon) -> anyhow::Result<Timestamp> {
    let page = daemon.get("/api/events?limit=1")?;
    let at: DateTime = page["events"][0]["created_at"].as_str().context("an event")?.parse()?;
    Ok(at.to_zoned(TimeZone::UTC)?.timestamp())
}

/// Opens a stream, and reads its greeting.
async fn open(port: u16) -> anyhow::Result<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(format!("GET /sse/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").as_bytes()).await?;
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    while !line.contains("connected") {
        line.clear();
        timeout(LONG, lines.read_line(&mut line)).await.context("no greeting")??;
    }
    Ok(lines)
}

/// Tells of each event when it arrives, until the stream ends.
async fn listen(mut lines: BufReader<TcpStream>, heard: mpsc::UnboundedSender<Timestamp>) {
    let mut line = String::new();
    while lines.read_line(&mut line).await.is_ok_and(|length| length > 0) {
        if line.starts_with("event: message") && heard.send(Timestamp::now()).is_err() {
            return;
        }
        line.clear();
    }
}
