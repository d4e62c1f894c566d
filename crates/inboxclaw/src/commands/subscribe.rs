//! `subscribe`: events of a stream of the running program, one line each. A stream that ends is followed again from the
//! last event, for a while.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Response};
use futures_util::StreamExt as _;
use inboxclaw_config::{Config, Target};
use inboxclaw_contract::printable;
use inboxclaw_server::sse;
use tokio::time::{Instant, sleep};

use super::client::{self, Client, TIMEOUT};
use super::failed::Failed;
use super::{configuration, output};
use crate::cli::{Subscribe, exit};

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// How far a subscriber has come.
#[derive(Default)]
struct Progress {
    /// Whether a stream ever began.
    began: bool,
    /// The id of the last message.
    last: Option<String>,
}

pub(super) fn run(args: &Subscribe) -> Result<u8, Failed> {
    let origin = configuration::of_client(&args.config)?;
    let config = configuration::load(&origin)?;
    let (name, settings) = sink(&config, args.sink.as_deref())?;
    let path = client::segments(name, &settings.path);
    client::block_on(async {
        tokio::select! {
            ended = follow(&config, &path, Duration::from_secs(args.retry_for)) => ended,
            _ = tokio::signal::ctrl_c() => Ok(exit::OK),
        }
    })
}

/// The sink meant: the one named, or the first one.
fn sink<'a>(config: &'a Config, wanted: Option<&str>) -> Result<(&'a str, &'a sse::Settings), Failed> {
    let sinks: Vec<(&str, &sse::Settings)> = config
        .sinks
        .iter()
        .filter_map(|sink| {
            if let Target::Sse(settings, _) = &sink.target {
                Some((sink.name.as_str(), settings))
            } else {
                None
            }
        })
        .collect();
    let names = sinks.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let Some(first) = sinks.first() else {
        return Err(Failed::plain(format!("{} has no sse sink", config.file.display())));
    };
    let Some(wanted) = wanted else {
        if sinks.len() > 1 {
            output::remark(&format!("there are several sse sinks ({names}), taking {}", first.0));
        }
        return Ok(*first);
    };
    let found = sinks.iter().find(|(name, _)| *name == wanted).copied();
    found.ok_or_else(|| Failed::plain(format!("there is no sse sink {wanted:?}; there are: {names}")))
}

/// Prints events for as long as the stream can be had. A stream that never began is a failure at once; one that began is
/// taken up again after its last event, also at another port, until it cannot be had for `retry_for`.
async fn follow(config: &Config, path: &[&str], retry_for: Duration) -> Result<u8, Failed> {
    let mut progress = Progress::default();
    let mut lost = Instant::now();
    let mut pause = Duration::from_millis(250);
    loop {
        let before = progress.last.clone();
        let was_followed = stream(config, path, &mut progress).await?;
        if !progress.began {
            return Ok(exit::FAILED);
        }
        if was_followed {
            (lost, pause) = (Instant::now(), Duration::from_millis(250));
        }
        if lost.elapsed() >= retry_for {
            let last = before.map_or_else(String::new, |last| format!("; the last event was {last}"));
            output::remark(&format!("Stream error: given up after {} s{last}", retry_for.as_secs()));
            return Ok(exit::FAILED);
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Follows one stream to its end; returns whether there was one.
async fn stream(config: &Config, path: &[&str], progress: &mut Progress) -> Result<bool, Failed> {
    // Anew each time: a program that was started again may be somewhere else, and has another token.
    let client = Client::new(config)?;
    let url = client.url(path, &[]);
    if !progress.began {
        output::remark(&format!("Connecting to {url}..."));
    }
    match connect(&client, &url, progress.last.as_deref()).await {
        Ok(response) if response.status() == 200 => {
            progress.began = true;
            print(response, progress).await?;
            Ok(true)
        }
        Ok(response) => {
            output::remark(&format!("Stream error: the server answered {}", response.status().as_u16()));
            Ok(false)
        }
        // Told once: what follows is the same again and again.
        Err(error) if !progress.began => {
            output::remark(&format!("Stream error: {}", error.0));
            Ok(false)
        }
        Err(_) => Ok(false),
    }
}

async fn connect(
    client: &Client,
    url: &reqwest::Url,
    last: Option<&str>,
) -> Result<Response<Body>, client::Unreachable> {
    let mut request = client::request(Method::GET, url)?;
    if let Some(last) = last.and_then(|last| HeaderValue::from_str(last).ok()) {
        request.headers_mut().insert(HeaderName::from_static("last-event-id"), last);
    }
    client.send(request, TIMEOUT).await
}

async fn print(response: Response<Body>, progress: &mut Progress) -> Result<(), Failed> {
    let mut lines = Lines::default();
    let mut pieces = response.into_body().into_data_stream();
    loop {
        match pieces.next().await {
            Some(Ok(piece)) => {
                for message in lines.feed(&piece) {
                    tell(&message)?;
                    // Only after it was printed: what was not comes again.
                    if message.id.is_some() {
                        progress.last = message.id;
                    }
                }
            }
            None => {
                output::remark("Stream error: the server ended the stream; connecting again");
                return Ok(());
            }
            Some(Err(_)) => {
                output::remark("Stream error: the connection broke; connecting again");
                return Ok(());
            }
        }
    }
}

fn tell(message: &Message) -> Result<(), Failed> {
    match message.event.as_str() {
        "message" | "" if !message.data.is_empty() => output::line(&message.data)?,
        "info" => output::remark(&format!("Info: {}", printable(&message.data))),
        "truncated" => output::remark(&format!("Truncated: {}", printable(&message.data))),
        _ => {}
    }
    Ok(())
}

/// One message of the stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) event: String,
    pub(super) data: String,
    /// Where the stream is after it, if it says so.
    pub(super) id: Option<String>,
}

/// Puts messages together from what arrives in pieces.
#[derive(Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
    open: Message,
}

impl Lines {
    /// Takes what arrived; returns what is complete.
    pub(super) fn feed(&mut self, chunk: &[u8]) -> Vec<Message> {
        self.rest.extend_from_slice(chunk);
        let mut done = Vec::new();
        let mut from = 0;
        while let Some(end) = self.rest[from..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&self.rest[from..from + end]);
            from += end + 1;
            let line = line.trim_end_matches('\r');
            if line.is_empty() {
                let message = std::mem::take(&mut self.open);
                if message != Message::default() {
                    done.push(message);
                }
            } else if let Some((field, value)) = line.split_once(':') {
                let value = value.strip_prefix(' ').unwrap_or(value);
                match field {
                    "event" => value.clone_into(&mut self.open.event),
                    "data" if self.open.data.is_empty() => value.clone_into(&mut self.open.data),
                    "data" => self.open.data.extend(["\n", value]),
                    "id" => self.open.id = Some(value.to_owned()),
                    _ => {}
                }
            }
        }
        self.rest.drain(..from);
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_put_together_however_they_are_cut() {
        let stream = "event: info\r\ndata: connected\r\n\r\n: ping\r\n\r\nid: 5\r\nevent: message\r\ndata: {\"a\": \"ž\"}\r\n\r\nid: 9\r\n\r\n";
        let message = |event: &str, data: &str, id: Option<&str>| Message {
            event: event.to_owned(),
            data: data.to_owned(),
            id: id.map(str::to_owned),
        };
        let expected = [
            message("info", "connected", None),
            message("message", "{\"a\": \"ž\"}", Some("5")),
            message("", "", Some("9")),
        ];
        for size in 1..stream.len() {
            let mut lines = Lines::default();
            let messages: Vec<Message> =
                stream.as_bytes().chunks(size).flat_map(|chunk| lines.feed(chunk)).collect();
            assert_eq!(messages, expected, "in pieces of {size}");
        }
    }
}
