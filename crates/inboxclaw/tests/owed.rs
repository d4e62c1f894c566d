//! What sinks are owed when the configuration changes, on the real binary.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
#![allow(dead_code, reason = "the program serves several tests")]

#[path = "e2e/program.rs"]
mod program;

use std::fs;
use std::sync::Arc;

use inboxclaw_contract::{Housekeeping, Json, NewEvent, Owner, State};
use inboxclaw_contract_testing::{HandClock, turn};
use inboxclaw_store::{Durability, Options, SqliteStore};
use jiff::Timestamp;
use program::{Place, text};
use serde_json::Value;

/// Waits until so many events of the source are in the log.
fn logged(place: &Place, count: usize) {
    place.until("the events are stored", |place| {
        let (_, body) = place.get("/api/events?limit=500&source=files")?;
        let answer: Value = serde_json::from_str(&body).ok()?;
        let of_files = |event: &&Value| event["source_name"] == "files";
        Some(answer["events"].as_array()?.iter().filter(of_files).count() >= count)
    });
}

fn healthy(place: &Place) {
    place.until("the source is healthy", |place| {
        let (_, body) = place.get("/healthcheck")?;
        let report: Value = serde_json::from_str(&body).ok()?;
        Some(report["sources"][0]["status"] == "healthy")
    });
}

/// Names of files, each as often as it is there.
fn names(place: &Place, file: &str) -> Vec<String> {
    let text = fs::read_to_string(place.file(file)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_sink_that_is_removed_from_the_file_and_put_back_gets_what_it_was_owed() {
    let mut place = Place::new();
    let config = fs::read_to_string(place.file("config.yaml")).unwrap();
    let (ok, out) = (place.file("ok"), place.file("out"));
    let (ok, out) = (ok.display(), out.display());
    let command = format!(
        "  run:\n    type: command\n    retry_interval: 0.2s\n    command: 'test -e {ok} && echo #root.data.path >> {out}'\n"
    );
    let without = config.replace("  inbox:\n    type: http_pull\n", "");
    assert_ne!(config, without);
    let start = |place: &mut Place, config: &str| {
        fs::write(place.file("config.yaml"), config).unwrap();
        place.start();
        healthy(place);
    };
    start(&mut place, &format!("{config}{command}"));
    fs::write(place.watched("one"), "1").unwrap();
    logged(&place, 1);
    place.stop();
    start(&mut place, &without);
    fs::write(place.watched("two"), "2").unwrap();
    logged(&place, 2);
    place.stop();
    fs::write(place.file("ok"), "").unwrap();
    start(&mut place, &format!("{config}{command}"));
    let mut pulled = Vec::new();
    place.take_until(&mut pulled, |events| events.len() >= 2);
    assert_eq!(pulled.iter().map(|event| text(event, "path")).collect::<Vec<_>>(), ["one", "two"]);
    place.until("the command ran", |place| Some(names(place, "out").len() >= 2));
    // Which is first is open: one waits for its next attempt, and they are about two files.
    let mut ran = names(&place, "out");
    ran.sort_unstable();
    assert_eq!(ran, ["one", "two"]);
}

#[test]
fn a_command_that_is_added_to_a_log_of_many_events_runs_for_none_of_them() {
    let mut place = Place::new();
    fill(&place, 100_000);
    let mut config = fs::read_to_string(place.file("config.yaml")).unwrap();
    let out = place.file("out");
    let command = format!(
        "  run:\n    type: command\n    command: echo \"$INBOXCLAW_EVENT_TYPE\" >> {}\n",
        out.display()
    );
    config.push_str(&command);
    fs::write(place.file("config.yaml"), config).unwrap();
    place.start();
    healthy(&place);
    fs::write(place.watched("new"), "1").unwrap();
    place.until("the command ran", |place| Some(!names(place, "out").is_empty()));
    place.stop();
    let old = names(&place, "out").into_iter().filter(|name| name == "t.old").count();
    assert_eq!(old, 0);
}

/// A database with so many events.
fn fill(place: &Place, count: usize) {
    let clock = HandClock::at(Timestamp::now());
    let options = Options { durability: Durability::Normal, ..Options::new(clock) };
    let store = Arc::new(SqliteStore::open(&place.file("inbox.db"), options).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let source = store.register(&Owner::source("old"), "test").await.unwrap();
        for part in 0..count / 10_000 {
            let version = store.snapshot(source).await.unwrap().version;
            let mut turn = turn(source, version);
            turn.events = (0..10_000)
                .map(|n| NewEvent::new(format!("{part}-{n}"), "t.old", Json::empty_object()))
                .collect();
            store.commit(turn).await.unwrap();
        }
    });
}
