//! `subscribe`: events of a stream of the running program, one line each.

use inboxclaw_contract::printable;
use reqwest::{Method, Response};

use super::client::{self, Client};
use super::{Failed, output, place};
use crate::cli::{Subscribe, exit};
use crate::config::{Config, Target};
use crate::sse;

pub(super) fn run(args: &Subscribe) -> Result<u8, Failed> {
    let origin = place::of_client(&args.config)?;
    let config = place::load(&origin)?;
    let (name, settings) = sink(&config, args.sink.as_deref())?;
    let client = Client::new(&config)?;
    let url = client.url(&client::segments(name, &settings.path), &[]);
    output::remark(&format!("Connecting to {url}..."));
    client::block_on(async {
        tokio::select! {
            ended = follow(&client, url) => ended,
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
            if let Target::Sse(settings) = &sink.target { Some((sink.name.as_str(), settings)) } else { None }
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

/// Prints until the stream ends. That it ended is no failure: whoever follows starts again. That it never began is
/// one.
async fn follow(client: &Client, url: reqwest::Url) -> Result<u8, Failed> {
    let response = match client.send(Method::GET, url).await {
        Ok(response) if response.status() == 200 => response,
        Ok(response) => {
            output::remark(&format!("Stream error: the server answered {}", response.status().as_u16()));
            return Ok(exit::FAILED);
        }
        Err(error) => {
            output::remark(&format!("Stream error: {}", error.0));
            return Ok(exit::FAILED);
        }
    };
    print(response).await?;
    Ok(exit::OK)
}

async fn print(mut response: Response) -> Result<(), Failed> {
    let mut lines = Lines::default();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                for message in lines.feed(&chunk) {
                    tell(&message)?;
                }
            }
            Ok(None) => {
                output::remark("Stream error: the server ended the stream");
                return Ok(());
            }
            Err(_) => {
                output::remark("Stream error: the connection broke");
                return Ok(());
            }
        }
    }
}

fn tell(message: &Message) -> Result<(), Failed> {
    match message.event.as_str() {
        "message" | "" => output::line(&message.data)?,
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
        let stream = "event: info\r\ndata: connected\r\n\r\n: ping\r\n\r\nid: 5\r\nevent: message\r\ndata: {\"a\": \"ž\"}\r\n\r\n";
        let message = |event: &str, data: &str| Message { event: event.to_owned(), data: data.to_owned() };
        let expected = [message("info", "connected"), message("message", "{\"a\": \"ž\"}")];
        for size in 1..stream.len() {
            let mut lines = Lines::default();
            let messages: Vec<Message> =
                stream.as_bytes().chunks(size).flat_map(|chunk| lines.feed(chunk)).collect();
            assert_eq!(messages, expected, "in pieces of {size}");
        }
    }
}
