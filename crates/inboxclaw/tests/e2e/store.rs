//! The database under the real program: damage, copies, restores.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::process::{Command, Output, Stdio};

use rusqlite::Connection;
use serde_json::Value;

use super::program::Place;
use super::wait_for_baseline;

/// A source that keeps some kilobytes of each file in its event, from what is there at the first start.
const BODIES: &str = "  files:\n    type: filesystem\n    path: ./watched\n    poll_interval: 1h\n    bootstrap: all\n    \
    include_content_preview: true\n    content_preview_length: 16000\n    max_diff_bytes: 0\n";

fn total(place: &Place) -> Option<u64> {
    let (_, body) = place.get("/api/events?limit=1")?;
    serde_json::from_str::<Value>(&body).ok()?["total"].as_u64()
}

/// It was a bare 500 for the one who asked; log and health said nothing.
#[test]
fn damage_is_named_in_the_answer_the_log_and_health() {
    let mut place = Place::with(BODIES);
    for n in 0..200 {
        fs::write(place.watched(&format!("{n}.txt")), format!("{n:08}").repeat(1_000)).unwrap();
    }
    place.start();
    place.until("all files are events", |place| Some(total(place)? >= 200));
    place.stop();
    let file = OpenOptions::new().write(true).open(place.file("inbox.db")).unwrap();
    let middle = file.metadata().unwrap().len() / 2;
    file.write_all_at(&[0xFE; 20_000], middle).unwrap();
    drop(file);
    place.start();
    let (mut damaged, mut whole) = (Vec::new(), 0);
    for offset in 0..200 {
        let (status, body) = place.get(&format!("/api/events?limit=1&offset={offset}")).unwrap();
        if status == 200 {
            whole += 1;
        } else {
            damaged.push((status, body));
        }
    }
    assert!(whole > 100 && !damaged.is_empty(), "{whole} whole, {damaged:?}");
    for (status, body) in damaged {
        assert_eq!(status, 500, "{body}");
        assert!(body.starts_with(r#"{"detail":"the database is damaged: "#), "{body}");
        assert!(body.contains("inboxclaw store restore FILE"), "{body}");
    }
    let (status, health) = place.get("/healthcheck").unwrap();
    let health: Value = serde_json::from_str(&health).unwrap();
    assert_eq!((status, &health["store"]["code"]), (503, &Value::from("damaged")), "{health}");
    assert!(place.log().contains("the database is damaged"), "{}", place.log());
    assert_eq!(place.stop().0, Some(4), "who ends it hears of it as well");
}

/// Copies taken while the program writes are whole, each of one instant, and the program starts on them.
#[test]
fn a_backup_beside_the_running_program_is_whole() {
    let mut place = Place::new();
    place.start();
    wait_for_baseline(&place);
    let backup = |place: &Place, file: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_inboxclaw"));
        command.args(["store", "backup", "--json", "--config"]).arg(place.file("config.yaml"));
        command.arg(place.file(file)).args(more).env_clear().stdin(Stdio::null()).output().unwrap()
    };
    let mut last = 0;
    for round in 0..5 {
        for n in 0..40 {
            fs::write(place.watched(&format!("{round}-{n}")), "text").unwrap();
        }
        let done = backup(&place, &format!("copy-{round}.db"), &[]);
        assert!(done.status.success(), "{done:?}");
        let told: Value = serde_json::from_slice(&done.stdout).unwrap();
        let copy = place.file(&format!("copy-{round}.db"));
        let facts = fs::metadata(&copy).unwrap();
        assert_eq!((facts.permissions().mode() & 0o777, told["bytes"].as_u64()), (0o600, Some(facts.len())));
        let found: (String, i64) = Connection::open(&copy)
            .unwrap()
            .query_row(
                "SELECT (SELECT * FROM pragma_integrity_check), coalesce(max(seq), 0) FROM events",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        assert_eq!(found, ("ok".to_owned(), told["last_event"].as_i64().unwrap()));
        assert!(found.1 >= last);
        last = found.1;
    }
    place.until("all files are events", |place| Some(total(place)? >= 200));
    let refused = backup(&place, "copy-0.db", &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--force replaces it"), "{refused:?}");
    for own in ["inbox.db", "inbox.db-wal", "inbox.db.lock"] {
        assert_eq!(backup(&place, own, &["--force"]).status.code(), Some(1), "{own}");
    }
    assert!(backup(&place, "copy-0.db", &["--force"]).status.success());
    // Without the program, and put in place of what was lost.
    place.stop();
    assert!(backup(&place, "stopped.db", &[]).status.success());
    let left =
        fs::read_dir(place.file("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let odd: Vec<_> =
        left.filter(|name| name.contains("partial") || name.starts_with("stopped.db-")).collect();
    assert!(odd.is_empty(), "{odd:?}");
    fs::copy(place.file("copy-0.db"), place.file("inbox.db")).unwrap();
    place.start();
    assert!(total(&place).unwrap() >= 200);
}

/// A stream that had more than is left is told, and what is found again has numbers that nobody has seen.
#[test]
fn readers_are_told_of_a_copy_that_was_put_back_by_hand() {
    readers_are_told(|place| {
        fs::copy(place.file("kept.db"), place.file("inbox.db")).unwrap();
    });
}

#[test]
fn readers_are_told_of_a_restore_by_command() {
    readers_are_told(|place| {
        let done = restore(place);
        assert!(done.status.success(), "{done:?}");
        let told: Value = serde_json::from_slice(&done.stdout).unwrap();
        assert_eq!((&told["last_event"], &told["next_event"]), (&Value::from(7), &Value::from(1_000_000)));
        // What was there is whole, and so is the backup.
        for file in [told["kept"].as_str().unwrap(), place.file("kept.db").to_str().unwrap()] {
            let check: String = Connection::open(file)
                .unwrap()
                .query_row("PRAGMA integrity_check", [], |row| row.get(0))
                .unwrap();
            assert_eq!(check, "ok", "{file}");
        }
    });
}

#[test]
fn nothing_is_restored_while_the_program_runs_or_from_what_is_no_backup() {
    let mut place = Place::new();
    place.start();
    fs::write(place.file("kept.db"), "no database at all, and long enough to be looked at as one".repeat(9))
        .unwrap();
    let running = restore(&place);
    assert!(String::from_utf8_lossy(&running.stderr).contains("in use by another inboxclaw"), "{running:?}");
    place.stop();
    let before = fs::read(place.file("inbox.db")).unwrap();
    let refused = restore(&place);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    fs::write(place.file("kept.db"), &before[..before.len() / 2]).unwrap();
    assert_eq!(restore(&place).status.code(), Some(1), "a part of one");
    assert_eq!(fs::read(place.file("inbox.db")).unwrap(), before);
    assert!(!place.file("inbox.db.restoring").exists());
    // Over what is left of a database.
    fs::write(place.file("kept.db"), &before).unwrap();
    fs::write(place.file("inbox.db"), "").unwrap();
    let done = restore(&place);
    assert!(done.status.success(), "{done:?}");
    place.start();
}

fn restore(place: &Place) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inboxclaw"));
    command.args(["store", "restore", "--json", "--config"]).arg(place.file("config.yaml"));
    command.arg(place.file("kept.db")).env_clear().stdin(Stdio::null()).output().unwrap()
}

fn readers_are_told(put_back: impl Fn(&Place)) {
    let mut place = Place::new();
    place.start();
    let fill = |place: &Place, names: std::ops::Range<i32>, count| {
        for n in names {
            fs::write(place.watched(&format!("{n}.txt")), "text").unwrap();
        }
        place.until("the files are events", |place| Some(total(place)? >= count));
    };
    wait_for_baseline(&place);
    fill(&place, 0..7, 7);
    let (batch, _) = place.extract(3).unwrap();
    place.confirm(batch.unwrap());
    place.stop();
    fs::copy(place.file("inbox.db"), place.file("kept.db")).unwrap();
    place.start();
    fill(&place, 7..11, 11);
    let seen = last(&place);
    let (batch, _) = place.extract(100).unwrap();
    place.stop();
    put_back(&place);
    place.start();
    place.until("the files are found again", |place| Some(total(place)? >= 11));
    assert!(last(&place) >= 1_000_000, "{}", last(&place));
    // The batch of the log before is unknown, and what was not confirmed in the one that is back comes again.
    let confirmed = place.request("POST", &format!("/inbox/mark-processed?batch_id={}", batch.unwrap()));
    assert_eq!(confirmed.unwrap().0, 404);
    let (_, again) = place.extract(100).unwrap();
    let numbers: Vec<i64> = again.iter().map(|event| event["id"].as_i64().unwrap()).collect();
    assert!(numbers.iter().all(|id| *id <= 7 || *id >= 1_000_000) && numbers.len() >= 8, "{numbers:?}");
    let (_, listed) = place.get(&format!("/api/events?after={seen}")).unwrap();
    assert!(listed.contains(r#""truncated":{"oldest":1000000}"#), "{listed}");
    let mut stream = place.live(Some(seen));
    assert_eq!(stream.event()["oldest"], 1_000_000, "told before anything else");
    assert!(stream.event()["id"].as_i64().unwrap() >= 1_000_000);
}

/// The number of the last event.
fn last(place: &Place) -> i64 {
    let (_, body) = place.get("/api/events?limit=1").unwrap();
    serde_json::from_str::<Value>(&body).unwrap()["events"][0]["id"].as_i64().unwrap()
}
