//! `healthcheck`: the health of the running program, for people and for what watches it.

use std::time::Duration;

use axum::http::Method;
use inboxclaw_contract::printable;
use serde_json::Value as Json;

use super::client::{self, Client};
use super::failed::Failed;
use super::{configuration, output};
use crate::cli::{Healthcheck, exit};

pub(super) fn run(args: &Healthcheck, json: bool) -> Result<u8, Failed> {
    let unknown = |failed: Failed| failed.with_code(exit::USAGE);
    let origin = configuration::of_client(&args.config).map_err(unknown)?;
    let config = configuration::load(&origin).map_err(unknown)?;
    let timeout = Duration::try_from_secs_f64(args.timeout)
        .map_err(|_| Failed::new(exit::USAGE, format!("--timeout {} is no length of time", args.timeout)))?;
    let client = Client::new(&config).map_err(unknown)?;
    let url = client.url(&["healthcheck"], &[]);
    let shown = url.to_string();
    let answer = client::block_on(async { Ok(client.fetch(Method::GET, &url, timeout).await) })?;
    let answer =
        answer.map_err(|error| Failed::new(exit::USAGE, format!("{shown} does not answer: {}", error.0)))?;
    let Ok(health) = serde_json::from_str::<Json>(&answer.body) else {
        return Err(Failed::new(exit::USAGE, format!("{shown} answered {}, and no JSON", answer.status)));
    };
    if !matches!(answer.status, 200 | 503) {
        return Err(Failed::new(
            exit::USAGE,
            format!("{shown} answered {}: {}", answer.status, printable(&answer.body)),
        ));
    }
    if json {
        output::pretty(&output::sorted(&health))?;
    } else {
        tell(&health)?;
    }
    Ok(match (answer.status, text(&health, "status")) {
        (503, _) | (_, "unhealthy") => exit::FAILED,
        (_, "healthy") => exit::OK,
        _ => exit::USAGE,
    })
}

fn tell(health: &Json) -> Result<(), Failed> {
    output::line("=== Inboxclaw Source Health ===")?;
    for row in health.get("sources").and_then(Json::as_array).into_iter().flatten() {
        output::line(&source(row))?;
        let pending = row.get("pending_failure").filter(|pending| pending.is_object());
        let action =
            row.get("action").or(pending.and_then(|pending| pending.get("action"))).and_then(Json::as_str);
        if let Some(action) = action {
            output::line(&format!("   Action: {action}"))?;
        }
    }
    for line in unwell(health).into_iter().chain(doubted(health)) {
        output::line(&line)?;
    }
    output::line(&format!("Overall: {}", text(health, "status")))?;
    Ok(())
}

/// A line for everything that is not well and no source: the store, and sinks.
pub(super) fn unwell(health: &Json) -> Vec<String> {
    let store = health.get("store").into_iter().map(|row| ("the store".to_owned(), row));
    let sinks = health.get("sinks").and_then(Json::as_array).into_iter().flatten();
    let sinks = sinks.map(|row| (format!("sink {} ({})", text(row, "name"), text(row, "type")), row));
    let unwell =
        store.chain(sinks).filter(|(_, row)| !matches!(text(row, "status"), "healthy" | "starting" | ""));
    unwell
        .map(|(who, row)| format!(" ERROR {who}: {}: {}", text(row, "code"), text(row, "message")))
        .collect()
}

/// What is to know of a store that works: a clock in doubt.
fn doubted(health: &Json) -> Option<String> {
    let store = health.get("store").filter(|row| text(row, "status") == "healthy")?;
    let (code, message, action) = (text(store, "code"), text(store, "message"), text(store, "action"));
    (!message.is_empty()).then(|| format!(" WARNING the store: {code}: {message}\n   Action: {action}"))
}

/// The line of a source.
fn source(row: &Json) -> String {
    let (name, kind) = (text(row, "name"), text(row, "type"));
    if let Some(pending) = row.get("pending_failure").filter(|pending| pending.is_object()) {
        let count = |key: &str| pending.get(key).and_then(Json::as_u64).unwrap_or(0);
        let (code, message) = (text(pending, "code"), text(pending, "message"));
        let (failed, needed) = (count("consecutive_failures"), count("required_failures"));
        return format!(" WARNING {name} ({kind}): {code}: {message} ({failed}/{needed} failed checks)");
    }
    match text(row, "status") {
        "healthy" => format!(" OK {name} ({kind})"),
        "starting" => format!(" STARTING {name} ({kind})"),
        _ => format!(" ERROR {name} ({kind}): {}: {}", text(row, "code"), text(row, "message")),
    }
}

/// The text under `key`, or nothing.
pub(super) fn text<'a>(json: &'a Json, key: &str) -> &'a str {
    json.get(key).and_then(Json::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_store_without_room_and_a_failing_sink_say_why() {
        let health = json!({
            "store": {"status": "unhealthy", "code": "full", "message": "no room"},
            "sinks": [{"name": "a", "type": "sse", "status": "healthy"},
                {"name": "b", "type": "http_pull", "status": "unhealthy", "code": "timeout", "message": "m"}],
        });
        assert_eq!(
            unwell(&health),
            [" ERROR the store: full: no room", " ERROR sink b (http_pull): timeout: m"]
        );
        assert_eq!(unwell(&json!({})), Vec::<String>::new());
        let doubt =
            json!({"store": {"status": "healthy", "code": "clock", "message": "400 d ahead", "action": "a"}});
        let told = " WARNING the store: clock: 400 d ahead\n   Action: a";
        assert_eq!((unwell(&doubt), doubted(&doubt)), (vec![], Some(told.to_owned())));
        assert_eq!(doubted(&json!({"store": {"status": "healthy", "message": null}})), None);
    }

    #[test]
    fn a_line_for_each_state() {
        for (row, line) in [
            (
                json!({"name": "a", "type": "feed", "status": "healthy", "pending_failure": null}),
                " OK a (feed)",
            ),
            (json!({"name": "a", "type": "feed", "status": "starting"}), " STARTING a (feed)"),
            (
                json!({"name": "a", "type": "feed", "status": "unhealthy", "code": "stale", "message": "m"}),
                " ERROR a (feed): stale: m",
            ),
            (
                json!({"name": "a", "type": "feed", "status": "healthy", "pending_failure":
                    {"code": "timeout", "message": "m", "consecutive_failures": 1, "required_failures": 2}}),
                " WARNING a (feed): timeout: m (1/2 failed checks)",
            ),
        ] {
            assert_eq!(source(&row), line);
        }
    }
}
