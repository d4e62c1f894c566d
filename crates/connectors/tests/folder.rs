//! The folder sink: lines by day, each once, whatever happened before.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::fs;
use std::path::Path;

use inboxclaw_connectors::SINKS;
use inboxclaw_contract::{Class, Event, Json, OwnerId, Push, Receipt, Seq, Sink};
use serde_json::json;
use support::{Recorder, deliver, outside};

fn build(base: &Path, path: &str) -> Box<dyn Sink> {
    build_as(base, path, "inboxclaw")
}

fn build_as(base: &Path, path: &str, format: &str) -> Box<dyn Sink> {
    let kind = SINKS.iter().find(|kind| kind.name == "folder").unwrap();
    match (kind.build)(json!({ "path": path, "format": format }), &outside(base)).unwrap().push {
        Push::Sink(sink) => sink,
        Push::Sender(_) => panic!("a folder remembers how long its files are"),
    }
}

fn event(seq: i64, at: &str) -> Event {
    Event {
        seq: Seq(seq),
        source: OwnerId(4),
        source_name: "s".to_owned(),
        event_id: format!("e{seq}"),
        event_type: "a.b".to_owned(),
        entity_id: None,
        created_at: at.parse().unwrap(),
        occurred_at: None,
        data: Json::new("{\"x\":\"\u{e9}\"}").unwrap(),
        meta: Json::empty_object(),
    }
}

fn today(seqs: &[i64]) -> Vec<Event> {
    seqs.iter().map(|seq| event(*seq, "2026-11-22T06:00:00Z")).collect()
}

/// The ids in a file, all of whose lines must be whole.
fn ids(base: &Path) -> Vec<i64> {
    let text = fs::read_to_string(base.join("out/2026-11-22.jsonl")).unwrap();
    assert!(text.ends_with('\n'));
    let id = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_i64().unwrap();
    text.lines().filter(|line| !line.is_empty()).map(id).collect()
}

#[tokio::test]
async fn events_go_to_the_file_of_their_day_in_utc() {
    let base = tempfile::tempdir().unwrap();
    let sink = build(base.path(), "deep/out");
    let batch = [
        event(1, "2026-11-22T23:59:59.5Z"),
        event(2, "2026-11-23T01:30:00+02:00"),
        event(3, "2026-11-23T00:00:00Z"),
    ];
    let receipts = deliver(&*sink, &batch, &Recorder::new(), true).await.unwrap();
    assert_eq!(receipts, [Receipt::Done, Receipt::Done, Receipt::Done]);
    let read = |day: &str| fs::read_to_string(base.path().join("deep/out").join(day)).unwrap();
    let line = |id: i64, at: &str| {
        format!(
            "{{\"id\": {id}, \"event_id\": \"e{id}\", \"event_type\": \"a.b\", \"entity_id\": null, \"created_at\": \
             \"{at}\", \"data\": {{\"x\": \"\u{e9}\"}}, \"source\": {{\"id\": 4, \"name\": \"s\"}}, \"meta\": {{}}}}\n"
        )
    };
    let first = line(1, "2026-11-22T23:59:59.500000") + &line(2, "2026-11-22T23:30:00");
    assert_eq!(read("2026-11-22.jsonl"), first);
    assert_eq!(read("2026-11-23.jsonl"), line(3, "2026-11-23T00:00:00"));
}

#[tokio::test]
async fn a_batch_repeated_after_a_crash_is_written_once() {
    let base = tempfile::tempdir().unwrap();
    let sink = build(base.path(), "out");
    let memory = Recorder::new();
    deliver(&*sink, &today(&[1, 2]), &memory, true).await.unwrap();
    deliver(&*sink, &today(&[3, 4, 5]), &memory, false).await.unwrap();
    deliver(&*sink, &today(&[3]), &memory, false).await.unwrap();
    deliver(&*sink, &today(&[3, 4, 5, 6]), &memory, true).await.unwrap();
    deliver(&*sink, &today(&[7]), &memory, true).await.unwrap();
    assert_eq!(ids(base.path()), [1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn a_line_that_broke_off_is_removed() {
    let base = tempfile::tempdir().unwrap();
    let sink = build(base.path(), "out");
    let memory = Recorder::new();
    deliver(&*sink, &today(&[1]), &memory, true).await.unwrap();
    let file = base.path().join("out/2026-11-22.jsonl");
    let whole = fs::read(&file).unwrap();
    deliver(&*sink, &today(&[2]), &memory, false).await.unwrap();
    let second = fs::read(&file).unwrap().split_off(whole.len());
    for cut in 1..second.len() {
        let torn = [&whole, &second[..cut]].concat();
        fs::write(&file, torn).unwrap();
        deliver(&*sink, &today(&[2]), &memory, false).await.unwrap();
        assert_eq!(ids(base.path()), [1, 2], "{cut}");
    }
}

#[tokio::test]
async fn what_people_do_to_a_file_loses_no_event() {
    let base = tempfile::tempdir().unwrap();
    let sink = build(base.path(), "out");
    let memory = Recorder::new();
    deliver(&*sink, &today(&[1, 2]), &memory, true).await.unwrap();
    let file = base.path().join("out/2026-11-22.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    // An editor that takes the last line end away.
    fs::write(&file, text.trim_end()).unwrap();
    deliver(&*sink, &today(&[3]), &memory, true).await.unwrap();
    assert_eq!(ids(base.path()), [1, 2, 3]);
    // Somebody who deletes lines, or the file.
    fs::write(&file, text.lines().next().unwrap().to_owned() + "\n").unwrap();
    deliver(&*sink, &today(&[4]), &memory, true).await.unwrap();
    assert_eq!(ids(base.path()), [1, 4]);
    fs::remove_file(&file).unwrap();
    deliver(&*sink, &today(&[5]), &memory, true).await.unwrap();
    assert_eq!(ids(base.path()), [5]);
}

#[tokio::test]
async fn lost_state_repeats_nothing_that_is_in_the_file() {
    let base = tempfile::tempdir().unwrap();
    let sink = build(base.path(), "out");
    deliver(&*sink, &today(&[1, 2]), &Recorder::new(), true).await.unwrap();
    deliver(&*sink, &today(&[1, 2, 3]), &Recorder::new(), true).await.unwrap();
    assert_eq!(ids(base.path()), [1, 2, 3]);
}

#[tokio::test]
async fn a_folder_that_cannot_be_is_a_setting_that_cannot_work() {
    let base = tempfile::tempdir().unwrap();
    fs::write(base.path().join("taken"), "").unwrap();
    for path in ["taken", "taken/below"] {
        let sink = build(base.path(), path);
        let failure = deliver(&*sink, &today(&[1]), &Recorder::new(), true).await.unwrap_err();
        assert_eq!(failure.class, Class::Configuration, "{failure}");
        assert!(failure.to_string().starts_with("cannot append to "), "{failure}");
    }
}

#[tokio::test]
async fn cloud_events_are_written_once_too() {
    let base = tempfile::tempdir().unwrap();
    let memory = Recorder::new();
    deliver(&*build(base.path(), "out"), &today(&[1]), &memory, true).await.unwrap();
    let sink = build_as(base.path(), "out", "cloudevents");
    let deep = Json::new(format!("{{\"x\":{}{}}}", "[".repeat(127), "]".repeat(127))).unwrap();
    let deep = Event { data: deep, ..event(2, "2026-11-22T06:00:00Z") };
    let third = today(&[3]).remove(0);
    deliver(&*sink, std::slice::from_ref(&deep), &memory, false).await.unwrap();
    deliver(&*sink, std::slice::from_ref(&deep), &memory, false).await.unwrap();
    deliver(&*sink, std::slice::from_ref(&third), &memory, false).await.unwrap();
    // Lost state: the file is read from its beginning.
    deliver(&*sink, &[deep, third], &Recorder::new(), true).await.unwrap();
    let text = fs::read_to_string(base.path().join("out/2026-11-22.jsonl")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].starts_with("{\"id\": 1, "));
    assert!(
        lines[2]
            .starts_with("{\"specversion\": \"1.0\", \"id\": \"e3\", \"source\": \"/inboxclaw/sources/s\", ")
    );
}
