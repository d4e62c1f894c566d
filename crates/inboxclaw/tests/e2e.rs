//! The main job on the real binary, as its users meet it: files in, events out, also across stops and kills.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

#[path = "e2e/program.rs"]
mod program;
#[path = "e2e/store.rs"]
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use program::{Place, text};
use serde_json::Value;

/// 200 files, one changed, one deleted, one renamed: each is reported once, alike on pull and SSE.
#[test]
fn each_change_is_reported_once_on_pull_and_sse() {
    let mut place = Place::new();
    place.start();
    wait_for_baseline(&place);
    let mut live = place.live(None);
    let mut pulled = Vec::new();
    for n in 0..200 {
        fs::write(place.watched(&format!("note-{n}.txt")), format!("note {n}")).unwrap();
    }
    // Files that are caught half-written are reported again when they are whole, so wait for what must come.
    place.take_until(&mut pulled, |events| kinds(events, "fs.file_created").len() == 200);
    let noise = pulled.len();
    fs::write(place.watched("note-7.txt"), "another text").unwrap();
    fs::remove_file(place.watched("note-8.txt")).unwrap();
    fs::rename(place.watched("note-9.txt"), place.watched("renamed.txt")).unwrap();
    place.take_until(&mut pulled, |events| events.len() >= noise + 3);
    assert_eq!(place.extract(10).unwrap(), (None, vec![]), "nothing comes twice");

    let last: BTreeMap<_, _> =
        pulled[noise..].iter().map(|e| (text(e, "event_type"), text(e, "path"))).collect();
    let wanted = [
        ("fs.file_updated", "note-7.txt"),
        ("fs.file_deleted", "note-8.txt"),
        ("fs.file_moved", "renamed.txt"),
    ];
    assert_eq!(last, wanted.into());
    assert_no_repeats(&pulled);
    let streamed: Vec<Value> = pulled.iter().map(|_| live.event()).collect();
    assert_eq!(streamed, pulled, "SSE and pull tell the same, in the same order");
}

/// What changes while the program is stopped is reported after the start, and only that.
#[test]
fn changes_made_while_stopped_are_reported_after_the_start() {
    let mut place = Place::new();
    for n in 0..50 {
        fs::write(place.watched(&format!("old-{n}")), "before").unwrap();
    }
    place.start();
    wait_for_baseline(&place);
    let (code, took) = place.stop();
    assert_eq!(code, Some(0), "{}", place.log());
    assert!(took < Duration::from_secs(5), "stopped within 5 s: {took:?}");
    for n in 0..10 {
        fs::write(place.watched(&format!("new-{n}")), format!("fresh {n}")).unwrap();
    }
    for n in 0..5 {
        fs::write(place.watched(&format!("old-{n}")), "changed").unwrap();
    }
    for n in 10..15 {
        fs::remove_file(place.watched(&format!("old-{n}"))).unwrap();
    }
    place.start();
    let mut pulled = Vec::new();
    place.take_until(&mut pulled, |events| events.len() >= 20);
    place.stop();
    place.start();
    wait_for_scan(&place);
    assert_eq!(place.extract(10).unwrap(), (None, vec![]), "a start without changes reports nothing");
    let counts =
        ["fs.file_created", "fs.file_updated", "fs.file_deleted"].map(|kind| kinds(&pulled, kind).len());
    assert_eq!((counts, pulled.len()), ([10, 5, 5], 20));
    assert_no_repeats(&pulled);
}

/// Twenty kills under a stream of writes: the last version of every file is reported, no version twice, and what
/// the consumer confirmed never comes back.
#[test]
fn twenty_kills_lose_nothing_and_repeat_nothing() {
    let mut place = Place::new();
    place.start();
    wait_for_baseline(&place);
    let stop = Arc::new(AtomicBool::new(false));
    let writer = thread::spawn({
        let (folder, stop) = (place.watched(""), stop.clone());
        move || write_until(folder, &stop)
    });
    let (mut taken, mut confirmed) = (Vec::new(), BTreeSet::new());
    for round in 0..20_u64 {
        // A different moment of the source's work each time. Never in the middle of a request: this thread makes both.
        for _ in 0..round % 5 {
            take(&place, &mut taken, &mut confirmed);
        }
        thread::sleep(Duration::from_millis(30 + 23 * round));
        place.kill();
        place.start();
    }
    stop.store(true, Ordering::Relaxed);
    let sizes = writer.join().unwrap();
    place.until("the last version of every file is reported", |place| {
        take(place, &mut taken, &mut confirmed);
        Some(last_sizes(&taken) == sizes)
    });
    assert_eq!(place.extract(10).unwrap(), (None, vec![]));
    let log = read_log(&place);
    assert_eq!(log.iter().collect::<BTreeSet<_>>().len(), log.len(), "no version twice");
    assert_eq!(log.into_iter().collect::<BTreeSet<_>>(), confirmed, "the consumer got all of it");
}

/// Beyond the limit of file sizes a write fails, as on a full disk. It used to end the program by a signal.
#[test]
fn a_full_disk_stops_writing_and_not_the_program() {
    let mut place = Place::new();
    place.start_within("1200");
    wait_for_scan(&place);
    for n in 0..200 {
        fs::write(place.watched(&format!("note-{n}.txt")), "x".repeat(8192)).unwrap();
    }
    place.until("the store is full", |place| {
        let (status, body) = place.get("/healthcheck")?;
        Some(status == 503 && body.contains("\"full\""))
    });
    assert_eq!(place.get("/api/events").unwrap().0, 200, "reads go on");
    assert_eq!(place.stop().0, Some(0));
    place.start();
    let mut pulled = Vec::new();
    place.take_until(&mut pulled, |events| kinds(events, "fs.file_created").len() == 200);
    assert_no_repeats(&pulled);
}

/// Creates files and writes them over, each version one byte longer; returns the final sizes.
fn write_until(folder: PathBuf, stop: &AtomicBool) -> BTreeMap<String, u64> {
    let mut sizes = BTreeMap::new();
    for step in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let name = format!("file-{}", step * 7 % 300);
        let size: &mut u64 = sizes.entry(name.clone()).or_default();
        *size += 1;
        // Moved into place, so that every version is whole.
        let beside = folder.join("writing.tmp");
        fs::write(&beside, "x".repeat(usize::try_from(*size).unwrap())).unwrap();
        fs::rename(&beside, folder.join(&name)).unwrap();
        thread::sleep(Duration::from_millis(4));
    }
    sizes
}

/// One extract and its confirmation; what was confirmed must never come back.
fn take(place: &Place, taken: &mut Vec<Value>, confirmed: &mut BTreeSet<String>) {
    let Some((Some(batch), events)) = place.extract(100) else { return };
    for event in &events {
        assert!(!confirmed.contains(text(event, "event_id")), "confirmed, and came back: {event}");
    }
    if place.confirm(batch).is_some() {
        confirmed.extend(events.iter().map(|event| text(event, "event_id").to_owned()));
        taken.extend(events);
    }
}

fn last_sizes(events: &[Value]) -> BTreeMap<String, u64> {
    let sizes =
        events.iter().map(|e| (text(e, "path").to_owned(), e["data"]["size_bytes"].as_u64().unwrap()));
    sizes.collect()
}

/// The event ids of the whole log.
fn read_log(place: &Place) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let (_, body) = place.get(&format!("/api/events?limit=500&offset={}", ids.len())).unwrap();
        let answer: Value = serde_json::from_str(&body).unwrap();
        let events = answer["events"].as_array().unwrap();
        ids.extend(
            events
                .iter()
                .filter(|event| event["source_name"] == "files")
                .map(|event| text(event, "event_id").to_owned()),
        );
        if events.is_empty() {
            return ids;
        }
    }
}

fn kinds<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| text(event, "event_type") == kind).collect()
}

fn assert_no_repeats(events: &[Value]) {
    let ids: BTreeSet<_> = events.iter().map(|event| text(event, "event_id")).collect();
    assert_eq!(ids.len(), events.len(), "each event once");
}

/// Waits until the source has reported its first success, so that what comes is news.
fn wait_for_baseline(place: &Place) {
    wait_for_scan(place);
}

fn wait_for_scan(place: &Place) {
    place.until("the source is healthy", |place| {
        let (_, body) = place.get("/healthcheck")?;
        Some(serde_json::from_str::<Value>(&body).ok()?["status"] == "healthy")
    });
}
