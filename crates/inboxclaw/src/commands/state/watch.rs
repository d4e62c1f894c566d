//! `watch`: changes of a state as they happen, from the running program.

use axum::http::Method;
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::failed::Failed;
use super::super::state_client::{ApiRequest, StateClient};
use super::super::subscribe::{Lines, Message};
use super::super::{output, response, table};
use super::job::Job;
use crate::cli::{Watch, exit};

/// Most characters of a value that are looked at.
const VALUE: usize = 400;

/// What changed.
#[derive(Deserialize)]
struct Change<'a> {
    version: Option<i64>,
    at: Option<String>,
    author: Option<String>,
    key: Option<String>,
    op: Option<String>,
    cursor: Option<String>,
    expires_at: Option<String>,
    #[serde(borrow)]
    entry: Option<Entry<'a>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
    #[serde(default)]
    secret: bool,
}

pub(super) async fn run(job: &Job<'_>, args: &Watch) -> Result<u8, Failed> {
    let Some((states, owner)) = StateClient::running(job.config, &args.owner).await? else {
        let message = "state watch needs the running program: start `inboxclaw listen`";
        return Err(Failed::plain(message));
    };
    let request = ApiRequest::of(Method::GET, &owner, &["watch"]).with("prefix", &args.prefix);
    let body = response::stream(&states, request).await?;
    output::remark(&format!("watching the {owner}; Ctrl-C ends it"));
    let mut pieces = body.into_data_stream();
    let follow = async {
        let mut lines = Lines::default();
        while let Some(Ok(piece)) = pieces.next().await {
            for message in lines.feed(&piece) {
                tell(job.json, &message)?;
            }
        }
        Err(Failed::plain("the stream ended: changes from now on are not told"))
    };
    tokio::select! {
        ended = follow => ended,
        _ = tokio::signal::ctrl_c() => Ok(exit::OK),
    }
}

fn tell(json: bool, message: &Message) -> Result<(), Failed> {
    // A stream also says now and then that it is still there.
    if message.event.is_empty() || message.data.is_empty() {
        return Ok(());
    }
    if json {
        let event = serde_json::Value::from(message.event.as_str());
        output::result(&format!("{{\"event\":{event},\"data\":{}}}", message.data))?;
        return Ok(());
    }
    let change: Change<'_> = response::read(message.data.as_bytes())?;
    output::line(&line(&message.event, &change))?;
    Ok(())
}

/// A change in one line of the terminal.
fn line(event: &str, change: &Change<'_>) -> String {
    let key = || format!("{:?}", change.key.as_deref().unwrap_or_default());
    let what = match event {
        "change" => {
            let op = change.op.as_deref().unwrap_or("put");
            let value = change.entry.as_ref().map(Entry::shown).unwrap_or_default();
            format!("{op} {} {value}", key())
        }
        "expire" => format!("expire {} ({})", key(), change.expires_at.as_deref().unwrap_or("?")),
        "cursor" => match &change.cursor {
            Some(cursor) => format!("cursor {}", table::start(&format!("{cursor:?}"), VALUE)),
            None => "cursor cleared".to_owned(),
        },
        "reset" => "reset: everything may have changed".to_owned(),
        other => other.to_owned(),
    };
    let mut head = String::new();
    for part in [change.at.clone(), change.version.map(|version| format!("version {version}"))] {
        head.extend(part.map(|part| format!("{part}  ")));
    }
    let author = change.author.as_ref().map_or_else(String::new, |author| format!(" [{author}]"));
    table::start(&format!("{head}{}{author}", what.trim_end()), table::width())
}

impl Entry<'_> {
    fn shown(&self) -> String {
        match (self.value, self.secret) {
            (Some(value), _) => table::start(value.get(), VALUE),
            (None, true) => "(secret)".to_owned(),
            (None, false) => "null".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_is_one_line() {
        for (event, data, told) in [
            (
                "change",
                r#"{"version":7,"at":"2026-11-22T06:00:00Z","author":"cli:me","key":"k","op":"put","entry":{"value":[1, 2]}}"#,
                "2026-11-22T06:00:00Z  version 7  put \"k\" [1, 2] [cli:me]",
            ),
            (
                "change",
                r#"{"version":8,"at":"?","author":null,"key":"k","op":"delete"}"#,
                "?  version 8  delete \"k\"",
            ),
            (
                "change",
                r#"{"version":8,"at":"?","key":"k","op":"put","entry":{"value":null,"secret":true}}"#,
                "?  version 8  put \"k\" (secret)",
            ),
            ("expire", r#"{"key":"k","expires_at":"?"}"#, "expire \"k\" (?)"),
            ("cursor", r#"{"version":9,"cursor":"a\u001bb"}"#, "version 9  cursor \"a\\u{1b}b\""),
            ("cursor", r#"{"version":9,"cursor":null}"#, "version 9  cursor cleared"),
            ("reset", r#"{"version":9}"#, "version 9  reset: everything may have changed"),
        ] {
            let change: Change<'_> = serde_json::from_str(data).unwrap();
            assert_eq!(line(event, &change), told);
        }
    }
}
