//! Coming over from the Python program, as a person does it: its database beside the configuration, one command, and the
//! program goes on.

use rusqlite::Connection;
use serde_json::Value;

use crate::support::Place;

const SCHEMA: &str = include_str!("../../../store/tests/forerunner/schema.sql");
const ROWS: &str = include_str!("../../../store/tests/forerunner/rows.sql");

const CONFIG: &str = "server: {port: 0}\ndatabase: {db_path: ours.db}\n\
    sources: {mail: {type: mock, interval: 1h}, cal: {type: mock, interval: 1h}}\n\
    sink: {inbox: {type: http_pull, match: '!inboxclaw.*'}, late: {type: http_pull, match: '!inboxclaw.*'}, sse: {}}\n";

/// A folder with a database of the Python program in it.
fn place(sql: &str) -> Place {
    let place = Place::with(CONFIG);
    let theirs = Connection::open(place.path("data2.db")).unwrap();
    theirs.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    theirs.execute_batch(SCHEMA).unwrap();
    theirs.execute_batch(sql).unwrap();
    place
}

/// A batch that `pull` printed: its id, and the numbers of its events.
fn batch(out: &str) -> (String, Vec<i64>) {
    let batch: Value = serde_json::from_str(out).unwrap();
    let events = batch["events"].as_array().unwrap().iter();
    (batch["batch_id"].to_string(), events.map(|event| event["id"].as_i64().unwrap()).collect())
}

#[test]
fn who_comes_over_gets_what_is_owed_once() {
    let place = place(ROWS);
    let before = std::fs::read(place.path("data2.db")).unwrap();
    let ran = place.run(&["store", "import-forerunner", "data2.db"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("brought over from data2.db into ") && ran.out.contains("6 events"), "{ran:?}");
    assert!(ran.out.contains("inbox     5          2         0        1"), "{ran:?}");
    assert!(ran.out.contains("event 7: its data: ") && !ran.out.contains("\\n"), "{ran:?}");
    assert_eq!(std::fs::read(place.path("data2.db")).unwrap(), before, "the file was touched");
    let running = place.listen(&[]);
    let pulled = place.run(&["pull", "--name", "inbox"]);
    let (id, events) = batch(&pulled.out);
    assert_eq!(events, [5, 8, 9, 12, 13], "{pulled:?}");
    let again = place.run(&["pull", "--name", "inbox"]);
    assert_eq!(batch(&again.out).1, events, "not confirmed yet");
    let confirmed = place.run(&["pull-mark-processed", "--name", "inbox", "--batch-id", &id]);
    assert_eq!(confirmed.code, 0, "{confirmed:?}");
    assert_eq!(place.run(&["pull", "--name", "inbox"]).out, "");
    assert_eq!(place.run(&["pull", "--name", "late"]).out, "", "a sink that is new begins now");
    assert_eq!(running.stop("-TERM").0, 0);
    let again = place.run(&["store", "import-forerunner", "data2.db"]);
    assert!(again.code == 0 && again.out.contains("nothing to do"), "{again:?}");
    let running = place.listen(&[]);
    assert_eq!(place.run(&["pull", "--name", "inbox"]).out, "", "across a restart");
    drop(running);
}

#[test]
fn a_dry_run_says_the_same_and_stores_nothing() {
    let place = place(ROWS);
    let args = ["store", "import-forerunner", "data2.db", "--json"];
    let dry = place.run(&[&args[..], &["--dry-run"]].concat());
    assert_eq!(dry.code, 0, "{dry:?}");
    assert_eq!(place.names(), ["config.yaml", "data2.db"]);
    let mut dry: Value = serde_json::from_str(&dry.out).unwrap();
    let wet: Value = serde_json::from_str(&place.run(&args).out).unwrap();
    assert_eq!((dry["imported"].as_str(), wet["imported"].as_str()), (Some("dry_run"), Some("now")));
    dry["imported"] = "now".into();
    assert_eq!(dry, wet);
    let all = [&args[..], &["--dry-run", "--expired"]].concat();
    let all: Value = serde_json::from_str(&place.run(&all).out).unwrap();
    assert_eq!((&all["sinks"][0]["owes"], &all["sinks"][0]["expired"]), (&6.into(), &0.into()));
}

#[test]
fn what_cannot_be_imported_into_is_left_alone() {
    let place = place(ROWS);
    let import = || place.run(&["store", "import-forerunner", "data2.db"]);
    place.write("config.yaml", &CONFIG.replace("ours.db", "data2.db"));
    let same = import();
    assert!(same.code == 1 && same.err.contains("set `database.db_path` to a new file"), "{same:?}");
    let listen = place.run(&["listen"]);
    assert!(listen.code == 1 && listen.err.contains("`inboxclaw store import-forerunner "), "{listen:?}");
    place.write("config.yaml", CONFIG);
    let running = place.listen(&[]);
    let locked = import();
    assert!(locked.code == 1 && locked.err.contains("stop it first"), "{locked:?}");
    place.run(&["state", "set", "source:mail", "a", "1"]);
    assert_eq!(running.stop("-TERM").0, 0);
    let used = import();
    assert!(used.code == 1 && used.err.contains("ours.db has been in use"), "{used:?}");
    let none = place.run(&["store", "import-forerunner", "none.db"]);
    assert!(none.code == 1 && none.err.contains("none.db"), "{none:?}");
}

/// All of it is one transaction.
#[test]
fn a_killed_import_is_simply_given_again() {
    const EVENTS: i64 = 5_000;
    let place = place(&format!(
        "INSERT INTO sources VALUES (1, 'mail', 'gmail', '1'); INSERT INTO sinks VALUES (1, 'inbox', 'http_pull');
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {EVENTS})
         INSERT INTO events SELECT i, 'e' || i, 1, 'gmail.x', NULL, '2026-11-22 06:00:00.000000', NULL,
            '{{\"text\": \"' || hex(zeroblob(400)) || '\"}}', '{{}}' FROM n;"
    ));
    let args = ["store", "import-forerunner", "data2.db"];
    let mut child = place.command(&args).stdout(std::process::Stdio::null()).spawn().unwrap();
    // Its tables are made, and the events come next.
    let written = || std::fs::metadata(place.path("ours.db-wal")).map_or(0, |log| log.len());
    while written() < 32 << 10 && child.try_wait().unwrap().is_none() {}
    child.kill().unwrap();
    child.wait().unwrap();
    let again = place.run(&args);
    assert_eq!(again.code, 0, "{again:?}");
    let ours = Connection::open(place.path("ours.db")).unwrap();
    let count = |sql: &str| ours.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM events"), EVENTS);
    assert_eq!(count("SELECT count(*) FROM identities"), EVENTS);
    assert_eq!(count("SELECT count(*) FROM deliveries"), 0, "it was simply behind");
}
