//! The program while it runs, and the commands that ask it.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Place, beside};

const CONFIG: &str = "server: {port: 0}\nsources: {mock: {interval: 0.05}}\n\
    sink: {inbox: {type: http_pull, path: {extract: take}}, sse: {}}\n";

#[test]
fn events_go_through_every_command() {
    let place = Place::with(CONFIG);
    let running = place.listen(&[]);
    place.await_health();

    let batch: Value = serde_json::from_str(&place.await_output(&["pull", "--batch-size", "1"])).unwrap();
    assert_eq!(batch["events"][0]["event_type"], "mock.random_number");
    let again: Value = serde_json::from_str(&place.run(&["pull", "--batch-size", "1"]).out).unwrap();
    assert_eq!(again["events"][0]["id"], batch["events"][0]["id"], "not confirmed, so it comes again");
    let id = batch["batch_id"].to_string();
    let marked = place.run(&["pull-mark-processed", "--batch-id", &id]);
    assert_eq!((marked.code, marked.out), (0, format!("Successfully marked batch {id} as processed.\n")));
    let repeated = place.run(&["pull-mark-processed", "--batch-id", &id, "--json"]);
    assert_eq!(repeated.out, "{\"status\":\"success\",\"marked_count\":0}\n");
    let unknown = place.run(&["pull-mark-processed", "--batch-id", "1"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.err.contains("answered 404"), "{}", unknown.err);
    assert_eq!(place.run(&["pull", "--event-type", "other.*"]).out, "", "nothing to say, nothing said");

    let listed: Value = serde_json::from_str(&place.run(&["events", "-j", "-n", "1"]).out).unwrap();
    let keys: Vec<&String> = listed[0].as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["id", "event_id", "source", "event_type", "entity_id", "created_at", "occurred_at", "data", "meta"]
    );
    let text =
        place.run(&["events", "-n", "1", "--source", "mock", "--event-type", "mock.random_number"]).out;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "=== Latest 1 Published Events ===");
    assert!(lines[1].ends_with(" | mock | mock.random_number | mock-mock"), "{text}");
    assert_eq!(place.run(&["events", "--source", "other"]).out, "No published events found.\n");

    let status = place.run(&["status"]).out;
    assert!(status.contains("/healthcheck: healthy\n"), "{status}");
    assert!(status.contains("Sources: 1 configured, 1 in database\n"), "{status}");
    assert!(status.contains("Sinks: 2 configured, 2 in database\n"), "{status}");
    assert!(status.contains(" [Active] mock (mock): cursor="), "{status}");
    assert!(status.contains(" [Active] inbox (http_pull): owes="), "{status}");
    let clock = place.run(&["clock", "show"]).out;
    assert!(clock.starts_with("the clock shows 20") && !clock.contains("doubt"), "{clock}");
    let accepted: Value = serde_json::from_str(&place.run(&["clock", "accept", "--json"]).out).unwrap();
    assert_eq!((&accepted["doubted"], &accepted["followed_in"]), (&false.into(), &Value::Null));
    let health = place.run(&["healthcheck"]).out;
    assert_eq!(health, "=== Inboxclaw Source Health ===\n OK mock (mock)\nOverall: healthy\n");
    drop(running);
    // Without the program, by holding the database for a moment.
    let alone = place.run(&["clock", "accept"]);
    assert_eq!((alone.code, alone.out.starts_with("the clock shows 20")), (0, true), "{}", alone.err);
}

#[test]
fn a_subscriber_gets_events_as_lines() {
    let place = Place::with(CONFIG);
    let _running = place.listen(&[]);
    let mut child =
        place.command(&["subscribe"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..2 {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["source"]["name"], "mock");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A stream that ends is taken up again after its last event, and nothing of it is lost or told twice.
#[test]
fn a_subscriber_outlives_a_restart_and_gives_up_in_the_end() {
    let place = Place::with(CONFIG);
    let running = place.listen(&[]);
    let log = std::fs::File::create(place.path("said")).unwrap();
    let mut child =
        place.command(&["subscribe", "--retry-for", "6"]).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut next = || {
        let mut line = String::new();
        assert!(out.read_line(&mut line).unwrap() > 0, "it ended: {}", place.read("said"));
        serde_json::from_str::<Value>(&line).unwrap()["id"].as_i64().unwrap()
    };
    let mut last = next();
    for _ in 0..3 {
        let id = next();
        assert_eq!(id, last + 1);
        last = id;
    }
    assert_eq!(running.stop("-TERM").0, 0);
    let running = place.listen(&[]);
    let head = serde_json::from_str::<Value>(&place.run(&["events", "-j", "-n", "1"]).out).unwrap();
    while last < head[0]["id"].as_i64().unwrap() + 3 {
        let id = next();
        assert_eq!(id, last + 1, "{}", place.read("said"));
        last = id;
    }
    assert_eq!(running.stop("-KILL").0, -1);
    while out.read_line(&mut String::new()).unwrap() > 0 {}
    let code = child.wait().unwrap().code();
    assert_eq!(code, Some(1), "{}", place.read("said"));
    assert!(place.read("said").contains("given up"), "{}", place.read("said"));
}

#[test]
fn pending_events_are_shown_flushed_and_dropped() {
    let rule = "coalesce: [{match: mock.*, strategy: debounce, window: 1h}]";
    let place = Place::with(&CONFIG.replace("interval: 0.05", &format!("interval: 0.05, {rule}")));
    let none = place.run(&["pending-events", "--json"]);
    assert_eq!((none.code, none.out.as_str()), (0, "[]\n"));
    assert_eq!(place.run(&["pending-events"]).out, "No pending events found.\n");
    let running = place.listen(&[]);
    place.await_health();
    let count = |args: &[&str]| {
        let listed: Value = serde_json::from_str(&place.run(args).out).unwrap();
        listed[0]["count"].as_u64().unwrap_or(0)
    };
    while count(&["pending-events", "-j"]) < 2 {}
    let listed: Value = serde_json::from_str(&place.run(&["pending-events", "-j"]).out).unwrap();
    let keys: Vec<&String> = listed[0].as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "id",
            "source",
            "event_type",
            "entity_id",
            "data",
            "meta",
            "count",
            "first_seen_at",
            "last_seen_at",
            "flush_at",
            "strategy",
            "window_seconds"
        ]
    );
    assert_eq!((&listed[0]["source"], &listed[0]["window_seconds"]), (&"mock".into(), &3600.into()));
    let text = place.run(&["pending-events", "--source", "mock", "-n", "5"]).out;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "=== Latest 1 Pending Events ===");
    assert!(lines[1].contains(" mock | mock.random_number | mock-mock (Count: "), "{text}");
    let status = place.run(&["status"]).out;
    assert!(status.contains("Pending (coalescing) events: 1\n"), "{status}");

    // By the running program, and only what is named.
    let vague = place.run(&["pending-events", "flush"]);
    assert_eq!((vague.code, vague.out.as_str()), (2, ""), "{}", vague.err);
    assert_eq!(place.run(&["pending-events", "flush", "--entity", "other"]).out, "0 pending events stored\n");
    let flushed = place.run(&["pending-events", "flush", "--event-type", "mock.*", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&flushed.out).unwrap()["events"], 1, "{}", flushed.err);
    let event: Value = serde_json::from_str(&place.run(&["events", "-j", "-n", "1"]).out).unwrap();
    assert!(event[0]["event_id"].as_str().unwrap().starts_with("coalesced:"), "{event}");
    assert!(event[0]["meta"]["coalesced_count"].as_u64() >= Some(2), "{event}");
    while count(&["pending-events", "-j"]) < 1 {}
    assert_eq!(running.stop("-TERM").0, 0);
    // Without it, by holding the database for a moment.
    let dropped = place.run(&["pending-events", "drop", "--all"]);
    assert_eq!((dropped.code, dropped.out.as_str()), (0, "1 pending events dropped\n"), "{}", dropped.err);
    let compacted = place.run(&["store", "compact", "--json"]);
    let sizes: Value = serde_json::from_str(&compacted.out).unwrap();
    assert!(sizes["after"].as_u64() <= sizes["before"].as_u64(), "{sizes}");
}

#[test]
fn both_signals_end_it_in_good_order() {
    for signal in ["-INT", "-TERM"] {
        let place = Place::with(CONFIG);
        let running = place.listen(&[]);
        place.await_output(&["pull"]);
        let data = place.path("data");
        for name in beside(&data, "data2.db") {
            let mode = std::fs::metadata(data.join(&name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{name} can be read by others");
        }
        assert!(place.has("data/data2.db.run"));
        let (code, log) = running.stop(signal);
        assert_eq!(code, 0, "{log}");
        assert!(log.contains("stopping") && log.trim_end().ends_with("stopped"), "{log}");
        assert!(!place.has("data/data2.db.run"));
        assert!(
            place.run(&["events", "-n", "1"]).out.starts_with("=== Latest"),
            "readable when nothing runs"
        );
    }
}

#[test]
fn a_token_is_asked_for_and_the_commands_have_it() {
    let place =
        Place::with(&format!("{}\n", CONFIG.replace("{port: 0}", "{port: 0, token: \"$INBOX_TOKEN\"}")));
    place.write(".env", "INBOX_TOKEN=abc\n");
    let running = place.listen(&[]);
    place.await_health();
    place.await_output(&["pull"]);
    // Another configuration with another token and the same address: its database is held by nobody, who is told none.
    let port = running.address.rsplit(':').next().unwrap();
    let config =
        CONFIG.replace("{port: 0}", &format!("{{port: {port}, token: wrong}}\ndatabase: {{db_path: x.db}}"));
    place.write("other.yaml", &config);
    let ran = place.run(&["pull", "--config", "other.yaml"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("no program runs with"), "{}", ran.err);
}

#[test]
fn watching_a_folder_needs_no_configuration() {
    let place = Place::new();
    let running = place.listen(&["--watch", "notes", "--port", "0"]);
    assert!(place.has("notes"), "made when missing");
    place.await_health();
    place.write("notes/a.txt", "hello");
    let batch: Value = serde_json::from_str(&place.await_output(&["pull"])).unwrap();
    assert_eq!(batch["events"][0]["event_type"], "fs.file_created");
    assert_eq!(batch["events"][0]["entity_id"], "a.txt");
    assert_eq!(running.stop("-TERM").0, 0);
    assert_eq!(place.names(), ["data", "notes"]);
}

#[test]
fn watching_a_folder_runs_a_command_for_each_file_that_is_saved() {
    let place = Place::new();
    let run = r##"printf '%s %s\n' "$INBOXCLAW_EVENT_TYPE" "#root.data.path" >> ran.txt"##;
    let _running = place.listen(&["--watch", "notes", "--port", "0", "--run", run]);
    place.await_health();
    place.write("notes/it's.txt", "hello");
    place.await_output(&["pull"]);
    for _ in 0..100 {
        if place.has("ran.txt") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(std::fs::read_to_string(place.path("ran.txt")).unwrap(), "fs.file_created it's.txt\n");
    let refused = place.run(&["listen", "--run", "true"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
}

#[test]
fn watching_the_folder_of_the_database_does_not_report_the_database() {
    let place = Place::new();
    // Under a name that is not the one of the database's folder.
    std::os::unix::fs::symlink(".", place.path("way [1]")).unwrap();
    let _running = place.listen(&["--watch", "way [1]", "--port", "0"]);
    place.await_health();
    place.write("a.txt", "hello");
    place.await_output(&["pull"]);
    // The commit of the first event changed the database; a report of that would be here by the next one.
    place.write("a.txt", "hello again");
    place.await_output(&["pull"]);
    let all: Value =
        serde_json::from_str(&place.run(&["events", "-j", "-n", "-1", "--source", "files"]).out).unwrap();
    let entities: Vec<&Value> = all.as_array().unwrap().iter().map(|event| &event["entity_id"]).collect();
    // A file may be seen before and after its text arrives: two events, and both are right.
    assert!(!entities.is_empty() && entities.iter().all(|entity| *entity == "a.txt"), "{all}");
}
