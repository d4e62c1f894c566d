//! The file sink: one file of lines, each event once, whatever happened before; rotation loses nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::fs;
use std::path::Path;

use inboxclaw_connectors::SINKS;
use inboxclaw_contract::{Class, Event, Json, OwnerId, Push, Receipt, Seq, Sink};
use serde_json::{Value, json};
use support::{Recorder, deliver, outside};

fn build(base: &Path, settings: &Value) -> Result<Box<dyn Sink>, String> {
    let kind = SINKS.iter().find(|kind| kind.name == "file").unwrap();
    match (kind.build)(settings.clone(), &outside(base)).map_err(|error| error.to_string())?.push {
        Push::Sink(sink) => Ok(sink),
        Push::Sender(_) => panic!("a file remembers how long it is"),
    }
}

fn sink(base: &Path) -> Box<dyn Sink> {
    build(base, &json!({ "path": "deep/out.jsonl" })).unwrap()
}

fn event(seq: i64) -> Event {
    Event {
        seq: Seq(seq),
        source: OwnerId(4),
        source_name: "s".to_owned(),
        event_id: format!("e{seq}"),
        event_type: "a.b".to_owned(),
        entity_id: None,
        created_at: "2026-11-22T06:00:00Z".parse().unwrap(),
        occurred_at: None,
        data: Json::new("{\"x\":\"\u{e9}\"}").unwrap(),
        meta: Json::empty_object(),
    }
}

fn events(seqs: impl IntoIterator<Item = i64>) -> Vec<Event> {
    seqs.into_iter().map(event).collect()
}

fn line(seq: i64) -> String {
    format!(
        "{{\"id\": {seq}, \"event_id\": \"e{seq}\", \"event_type\": \"a.b\", \"entity_id\": null, \"created_at\": \
         \"2026-11-22T06:00:00\", \"data\": {{\"x\": \"\u{e9}\"}}, \"source\": {{\"id\": 4, \"name\": \"s\"}}, \"meta\": {{}}}}\n"
    )
}

/// The ids in a file, all of whose lines must be whole.
fn ids(path: &Path) -> Vec<i64> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_i64().unwrap();
    text.lines().filter(|line| !line.is_empty()).map(id).collect()
}

/// The ids in all files of a folder, the oldest file first.
fn all_ids(folder: &Path) -> Vec<i64> {
    let number = |name: &str| name.rsplit('.').next().and_then(|end| end.parse::<u32>().ok()).unwrap_or(0);
    let mut names: Vec<_> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_by_key(|name| std::cmp::Reverse(number(name)));
    names.iter().flat_map(|name| ids(&folder.join(name))).collect()
}

#[tokio::test]
async fn events_are_lines_of_one_file() {
    let base = tempfile::tempdir().unwrap();
    let receipts = deliver(&*sink(base.path()), &events([1, 2]), &Recorder::new(), true).await.unwrap();
    assert_eq!(receipts, [Receipt::Done, Receipt::Done]);
    let text = fs::read_to_string(base.path().join("deep/out.jsonl")).unwrap();
    assert_eq!(text, line(1) + &line(2));
}

#[tokio::test]
async fn a_delivery_that_broke_off_at_any_byte_is_written_once() {
    let (first, lost) = (line(1), line(2) + &line(3));
    for cut in 0..=lost.len() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("deep/out.jsonl");
        let memory = Recorder::new();
        deliver(&*sink(base.path()), &events([1]), &memory, true).await.unwrap();
        fs::write(&path, [first.as_bytes(), &lost.as_bytes()[..cut]].concat()).unwrap();
        // A start anew, with more events than before.
        deliver(&*sink(base.path()), &events([2, 3, 4]), &memory, true).await.unwrap();
        assert_eq!(ids(&path), [1, 2, 3, 4], "{cut}");
        deliver(&*sink(base.path()), &events([5]), &memory, true).await.unwrap();
        assert_eq!(ids(&path), [1, 2, 3, 4, 5], "{cut}");
    }
}

#[tokio::test]
async fn commits_that_are_lost_repeat_nothing() {
    let base = tempfile::tempdir().unwrap();
    let (sink, memory) = (sink(base.path()), Recorder::new());
    for (seqs, commit) in
        [(1..=2, true), (3..=5, false), (3..=3, false), (3..=6, false), (3..=6, true), (7..=7, true)]
    {
        deliver(&*sink, &events(seqs), &memory, commit).await.unwrap();
    }
    assert_eq!(ids(&base.path().join("deep/out.jsonl")), [1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn an_event_that_is_asked_for_again_is_written_again() {
    let base = tempfile::tempdir().unwrap();
    let (sink, memory) = (sink(base.path()), Recorder::new());
    deliver(&*sink, &events([1, 2]), &memory, true).await.unwrap();
    deliver(&*sink, &events([1]), &memory, true).await.unwrap();
    assert_eq!(ids(&base.path().join("deep/out.jsonl")), [1, 2, 1]);
}

#[tokio::test]
async fn what_others_write_stays_and_hides_no_event() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("out.jsonl");
    // Another database counted from 1 as well; and a note of somebody.
    let theirs = format!("{}a note\n", line(1).replace("e1", "other"));
    fs::write(&path, &theirs).unwrap();
    let sink = build(base.path(), &json!({ "path": path })).unwrap();
    deliver(&*sink, &events([1]), &Recorder::new(), true).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), theirs + &line(1));
}

#[tokio::test]
async fn a_file_that_another_program_rotates_or_shortens_is_begun_anew() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("deep/out.jsonl");
    let (sink, memory) = (sink(base.path()), Recorder::new());
    deliver(&*sink, &events([1, 2]), &memory, true).await.unwrap();
    fs::rename(&path, base.path().join("moved")).unwrap();
    deliver(&*sink, &events([3, 4, 5]), &memory, false).await.unwrap();
    deliver(&*sink, &events([3, 4, 5]), &memory, true).await.unwrap();
    assert_eq!((ids(&base.path().join("moved")), ids(&path)), (vec![1, 2], vec![3, 4, 5]));
    // As `copytruncate` of logrotate does.
    fs::write(&path, "").unwrap();
    deliver(&*sink, &events([6]), &memory, true).await.unwrap();
    assert_eq!(ids(&path), [6]);
}

#[tokio::test]
async fn files_are_rotated_by_size_and_as_many_kept_as_said() {
    let base = tempfile::tempdir().unwrap();
    let folder = base.path().join("deep");
    let size = line(1).len() + 1;
    let settings = json!({ "path": "deep/out.jsonl", "rotate": { "size": size, "keep": 2 } });
    let (sink, memory) = (build(base.path(), &settings).unwrap(), Recorder::new());
    for seq in 1..=9 {
        deliver(&*sink, &events([seq]), &memory, true).await.unwrap();
    }
    let file = |name: &str| ids(&folder.join(name));
    assert_eq!(
        (file("out.jsonl"), file("out.jsonl.1"), file("out.jsonl.2")),
        (vec![9], vec![7, 8], vec![5, 6])
    );
    assert_eq!(folder.read_dir().unwrap().count(), 3);
}

#[tokio::test]
async fn without_a_number_no_file_is_removed_and_none_is_written_over() {
    let base = tempfile::tempdir().unwrap();
    let folder = base.path().join("deep");
    let settings = json!({ "path": "deep/out.jsonl", "rotate": { "size": 1 }, "fsync": "never" });
    let (sink, memory) = (build(base.path(), &settings).unwrap(), Recorder::new());
    for seq in 1..=4 {
        deliver(&*sink, &events([seq]), &memory, true).await.unwrap();
    }
    assert_eq!(all_ids(&folder), [1, 2, 3, 4]);
    // A rotation that was cut off left a gap.
    fs::rename(folder.join("out.jsonl.1"), folder.join("out.jsonl.4")).unwrap();
    deliver(&*sink, &events([5]), &memory, true).await.unwrap();
    assert_eq!(ids(&folder.join("out.jsonl.1")), [4]);
    assert_eq!(folder.read_dir().unwrap().count(), 5);
}

#[tokio::test]
async fn a_crash_around_a_rotation_loses_and_repeats_nothing() {
    // Which of the deliveries lose their commit, as bits.
    for lost in 0..64_u32 {
        let base = tempfile::tempdir().unwrap();
        let settings = json!({ "path": "deep/out.jsonl", "rotate": { "size": line(1).len() * 2 } });
        let memory = Recorder::new();
        let mut next = 1;
        for round in 0..9 {
            let sink = build(base.path(), &settings).unwrap();
            let commit = lost >> round & 1 == 0;
            deliver(&*sink, &events(next..next + 2), &memory, commit).await.unwrap();
            if commit {
                next += 2;
            }
        }
        assert_eq!(all_ids(&base.path().join("deep")), (1..next).collect::<Vec<_>>(), "{lost:b}");
        assert!(base.path().join("deep").read_dir().unwrap().count() > 1);
    }
}

#[test]
fn settings_that_cannot_be() {
    for (settings, message) in [
        (json!({ "path": "" }), "path names no file"),
        (json!({ "path": "x/" }), "path names no file"),
        (json!({ "path": "x", "rotate": { "size": 0 } }), "rotate.size is 0, it must be larger"),
        (json!({ "path": "x", "rotate": { "size": "1m", "keep": 0 } }), "rotate.keep is 0, the least is 1"),
    ] {
        assert_eq!(build(Path::new("/"), &settings).err().unwrap(), message);
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_is_a_setting_that_cannot_work() {
    let base = tempfile::tempdir().unwrap();
    fs::write(base.path().join("taken"), "").unwrap();
    fs::create_dir(base.path().join("folder")).unwrap();
    for path in ["taken/below", "folder"] {
        let sink = build(base.path(), &json!({ "path": path })).unwrap();
        let failure = deliver(&*sink, &events([1]), &Recorder::new(), true).await.unwrap_err();
        assert_eq!(failure.class, Class::Configuration, "{failure}");
        assert!(failure.to_string().starts_with("cannot append to "), "{failure}");
    }
}
