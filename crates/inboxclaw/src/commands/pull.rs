//! `pull`, `pull-mark-processed`, `pull-ack` and `pull-extend`: batches of a pull sink of the running program.

use std::time::Duration;

use axum::http::Method;
use inboxclaw_config::{Config, Target};
use inboxclaw_contract::printable;
use inboxclaw_server::pull::{self, Paths};
use inboxclaw_settings::Interval;
use reqwest::Url;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::client::{self, Answer, Client, TIMEOUT};
use super::failed::Failed;
use super::{configuration, output};

use crate::cli::{ConfigFile, Pull, PullAck, PullExtend, PullMarkProcessed, exit};

pub(super) fn pull(args: &Pull, json: bool) -> Result<u8, Failed> {
    let origin = configuration::of_client(&args.config)?;
    let config = configuration::load(&origin)?;
    let (name, settings) = sink(&config, args.name.as_deref())?;
    let mut query = Vec::new();
    query.extend(args.event_type.clone().map(|event_type| ("event_type", event_type)));
    query.extend(args.batch_size.map(|size| ("batch_size", size.to_string())));
    query.extend(args.lease.map(|lease| ("lease", lease.to_string())));
    query.extend(args.wait.map(|wait| ("wait", wait.to_string())));
    let client = Client::new(&config)?;
    let url = client.url(&client::segments(name, &settings.path.extract), &query);
    // A lease keeps events from others, which a GET does not.
    let method = if args.lease.is_some() { Method::POST } else { Method::GET };
    let waits = args.wait.map_or(Duration::ZERO, Interval::as_duration);
    let answer = request(&client, method, url, waits)?;
    let batch = read(&answer.body)?;
    // As it came: parsing and writing could change numbers.
    let text = answer.body.trim_end();
    if json {
        output::result(text)?;
    } else if !batch.events.is_empty() {
        output::line(text)?;
    }
    Ok(exit::OK)
}

pub(super) fn mark_processed(args: &PullMarkProcessed, json: bool) -> Result<u8, Failed> {
    let origin = configuration::of_client(&args.config)?;
    let config = configuration::load(&origin)?;
    let (name, settings) = sink(&config, args.name.as_deref())?;
    let client = Client::new(&config)?;
    let query = [("batch_id", args.batch_id.to_string())];
    let url = client.url(&client::segments(name, &settings.path.mark_processed), &query);
    let answer = request(&client, Method::POST, url, Duration::ZERO)?;
    if json {
        output::result(answer.body.trim_end())?;
    } else {
        output::line(&format!("Successfully marked batch {} as processed.", args.batch_id))?;
    }
    Ok(exit::OK)
}

pub(super) fn ack(args: &PullAck, json: bool) -> Result<u8, Failed> {
    let query = [("batch_id", args.batch_id.to_string()), ("seq", args.seq.to_string())];
    let (batch, seq) = (args.batch_id, args.seq);
    change(
        &args.config,
        args.name.as_deref(),
        |path| &path.ack,
        &query,
        json,
        |count| format!("confirmed {count} events of batch {batch} up to {seq}"),
    )
}

pub(super) fn extend(args: &PullExtend, json: bool) -> Result<u8, Failed> {
    let query = [("batch_id", args.batch_id.to_string()), ("lease", args.lease.to_string())];
    let (batch, lease) = (args.batch_id, args.lease);
    change(
        &args.config,
        args.name.as_deref(),
        |path| &path.extend,
        &query,
        json,
        |count| format!("{count} events of batch {batch} are leased for {lease} from now on"),
    )
}

/// Asks for a change of a batch and says of how many of its events.
fn change(
    config: &ConfigFile,
    name: Option<&str>,
    path: impl Fn(&Paths) -> &String,
    query: &[(&str, String)],
    json: bool,
    told: impl Fn(u64) -> String,
) -> Result<u8, Failed> {
    let config = configuration::load(&configuration::of_client(config)?)?;
    let (name, settings) = sink(&config, name)?;
    let client = Client::new(&config)?;
    let url = client.url(&client::segments(name, path(&settings.path)), query);
    let answer = request(&client, Method::POST, url, Duration::ZERO)?;
    if json {
        output::result(answer.body.trim_end())?;
        return Ok(exit::OK);
    }
    let changed: Changed = serde_json::from_str(&answer.body)
        .map_err(|error| Failed::plain(format!("the server answered something else: {error}")))?;
    output::line(&told(changed.count))?;
    Ok(exit::OK)
}

/// The answer to a change of a batch.
#[derive(Deserialize)]
struct Changed {
    #[serde(alias = "marked_count", alias = "extended_count")]
    count: u64,
}

/// What of an answer is looked at. Data of events is up to their sources, and no number in it is too large for us.
#[derive(Deserialize)]
struct Batch {
    events: Vec<IgnoredAny>,
}

fn read(body: &str) -> Result<Batch, Failed> {
    serde_json::from_str(body)
        .map_err(|error| Failed::plain(format!("the server answered something else than a batch: {error}")))
}

/// The sink meant: the one named, or the only one.
fn sink<'a>(config: &'a Config, wanted: Option<&str>) -> Result<(&'a str, &'a pull::Settings), Failed> {
    let sinks: Vec<(&str, &pull::Settings)> = config
        .sinks
        .iter()
        .filter_map(|sink| {
            if let Target::Pull(settings) = &sink.target {
                Some((sink.name.as_str(), settings))
            } else {
                None
            }
        })
        .collect();
    let names = || sinks.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    match (wanted, &sinks[..]) {
        (_, []) => Err(Failed::plain(format!("{} has no http_pull sink", config.file.display()))),
        (Some(wanted), _) => sinks.iter().find(|(name, _)| *name == wanted).copied().ok_or_else(|| {
            Failed::plain(format!("there is no http_pull sink {wanted:?}; there are: {}", names()))
        }),
        (None, [only]) => Ok(*only),
        (None, _) => Err(Failed::plain(format!(
            "there are several http_pull sinks, name one with --name: {}",
            names()
        ))),
    }
}

/// `waits` is how long the answer may take besides.
fn request(client: &Client, method: Method, url: Url, waits: Duration) -> Result<Answer, Failed> {
    let shown = url.to_string();
    let answer = client::block_on(async { Ok(client.fetch(method, &url, TIMEOUT + waits).await) })?;
    let hint = "; is `inboxclaw listen` running?";
    let answer = answer.map_err(|error| Failed::plain(format!("{shown}: {}{hint}", error.0)))?;
    if answer.status != 200 {
        return Err(Failed::plain(format!(
            "{shown} answered {}: {}",
            answer.status,
            printable(answer.body.trim_end())
        )));
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_events_may_be_whatever_json_allows() {
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        for data in ["1e400", "123456789012345678901234567890", "\"\\ud800\"", deep.as_str()] {
            let body = format!(r#"{{"batch_id": 1, "events": [{{"data": {data}}}], "remaining_events": 0}}"#);
            assert_eq!(read(&body).ok().map(|batch| batch.events.len()), Some(1), "{data:.40}");
        }
        assert!(read(r#"{"batch_id": null, "events": []}"#).ok().unwrap().events.is_empty());
        for other in ["", "{}", "<html>", r#"{"events": [1}"#] {
            assert!(read(other).is_err(), "{other}");
        }
    }
}
