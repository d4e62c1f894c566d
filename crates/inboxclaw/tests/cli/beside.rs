//! `inboxclaw state`, `source` and `sink` beside the running program, and beside each other.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::Value;

use crate::support::Place;

const CONFIG: &str = "server: {port: 0}\nsources: {mock: {interval: 0.05}, quiet: {type: mock, interval: 1h}}\n\
    sink: {inbox: {type: http_pull}, sse: {}}\n";

fn state(place: &Place, args: &[&str]) -> String {
    let ran = place.run(&[&["state"], args].concat());
    assert_eq!(ran.code, 0, "{args:?}: {ran:?}");
    ran.out
}

/// A command whose output is read while it runs.
struct Following {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Following {
    fn of(place: &Place, args: &[&str]) -> Self {
        let mut child = place.command(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.out.read_line(&mut line).unwrap() > 0, "it ended");
        line
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn commands_go_through_the_running_program() {
    let place = Place::with(CONFIG);
    let running = place.listen(&[]);
    let odd = "../%_\\ é?#";
    let mut watch = Following::of(&place, &["state", "watch", "quiet", "--json"]);
    assert!(watch.line().starts_with("{\"event\":\"reset\""));
    let mut text = Following::of(&place, &["state", "watch", "quiet", "--prefix", "a"]);
    assert!(text.line().contains("reset"));
    state(&place, &["set", "quiet", odd, "{\"n\":  1e999}"]);
    assert_eq!(state(&place, &["get", "quiet", odd]), "{\"n\":  1e999}\n");
    let line = watch.line();
    assert!(line.starts_with("{\"event\":\"change\"") && line.contains("{\"n\":  1e999}"), "{line}");
    state(&place, &["set", "quiet", "a", "7"]);
    let line = text.line();
    assert!(line.contains("put \"a\" 7") && line.contains("cli:"), "{line}");
    let history: Value = serde_json::from_str(&state(&place, &["history", "quiet", "--json"])).unwrap();
    assert!(history["turns"][0]["author"].as_str().unwrap().starts_with("cli:uid "), "{history}");

    let export = state(&place, &["export", "quiet"]);
    assert_eq!(place.run_with(&["state", "import", "mock"], &export).code, 0);
    assert_eq!(state(&place, &["get", "mock", odd]), "{\"n\":  1e999}\n");
    state(&place, &["copy", "quiet", "sse", "--replace"]);
    state(&place, &["cursor", "quiet", "c"]);
    state(&place, &["undo", "quiet"]);
    state(&place, &["rewind", "quiet", "--to", "1"]);
    assert_eq!(state(&place, &["list", "quiet", "--keys"]), format!("{odd}\n"));
    state(&place, &["delete", "quiet", "--all"]);
    for key in ["..", "."] {
        let refused = place.run(&["state", "set", "quiet", key, "1"]);
        assert!(refused.code == 1 && refused.err.contains("cannot be used"), "{refused:?}");
        assert_eq!(place.run(&["state", "delete", "quiet", key]).code, 1, "there is none");
    }
    for key in ["...", "../a", "a/b"] {
        state(&place, &["set", "quiet", key, "1"]);
        assert_eq!(state(&place, &["get", "quiet", key]), "1\n", "{key}");
        state(&place, &["delete", "quiet", key]);
        assert_eq!(place.run(&["state", "delete", "quiet", key]).code, 1);
    }
    let bad = place.run_with(&["state", "import", "quiet"], "{\"key\":\"z\",\"value\":1}\n{\n");
    assert!(bad.code == 1 && bad.err.starts_with("source quiet: line 2: "), "{bad:?}");
    let refused = place.run(&["state", "set", "quiet", "a", "1", "--if-revision", "1"]);
    assert!(refused.code == 1 && refused.err.contains("nothing was changed"), "{refused:?}");
    for args in [&["move", "quiet", "other"][..], &["forget", "quiet"]] {
        let refused = place.run(&[&["state"], args].concat());
        assert_eq!(refused.code, 1, "{args:?}: {refused:?}");
    }
    assert_eq!(running.stop("-TERM").0, 0);
    let alone = place.run(&["state", "watch", "quiet"]);
    assert!(alone.code == 1 && alone.err.contains("start `inboxclaw listen`"), "{alone:?}");
}

#[test]
fn a_paused_source_stands_still_until_it_is_resumed() {
    let place = Place::with(CONFIG);
    // Before the program runs for the first time.
    let paused = place.run(&["source", "pause", "mock"]);
    assert_eq!((paused.code, paused.err.as_str()), (0, "source mock is paused\n"));
    let running = place.listen(&[]);
    let owners = state(&place, &["owners"]);
    let line = owners.lines().find(|line| line.contains(" mock ")).unwrap();
    assert!(line.contains("paused"), "{owners}");
    assert!(place.run(&["events"]).out.starts_with("No published"));
    let status = place.run(&["status"]).out;
    assert!(status.contains("mock (mock)") && status.contains(", paused"), "{status}");
    let resumed = place.run(&["source", "resume", "source:mock", "--json"]);
    assert_eq!((resumed.code, resumed.out.as_str()), (0, "{\"paused\":false}\n"));
    place.await_output(&["pull"]);
    assert_eq!(place.run(&["sink", "pause", "inbox"]).err, "sink inbox is paused\n");
    assert_eq!(place.run(&["sink", "resume", "inbox"]).err, "sink inbox is not paused any more\n");
    for args in [["source", "pause", "inbox"], ["sink", "pause", "mock"]] {
        let ran = place.run(&args);
        assert!(ran.code == 1 && ran.err.contains("there is no "), "{ran:?}");
    }
    drop(running);
}

#[test]
fn limits_hold_and_are_told_before_they_are_hit() {
    let limited = "late: {type: mock, interval: 0.05, stopped: true, state: {max_entries: 5}}";
    let place = Place::with(&CONFIG.replace("sources: {", &format!("sources: {{{limited}, ")));
    for key in ["1", "2", "3", "4"] {
        state(&place, &["set", "late", key, "1"]);
    }
    let running = place.listen(&[]);
    let status = place.run(&["status"]).out;
    assert!(
        status.contains(" WARNING source late: 4 of 5 entries of state (80 % of state.max_entries)"),
        "{status}"
    );
    let owners = state(&place, &["owners"]);
    let line = owners.lines().find(|line| line.contains(" late ")).unwrap();
    assert!(
        line.contains(" 80 %") && line.ends_with("paused"),
        "an edit before its first start starts nothing: {line}"
    );
    assert_eq!(running.stop("-TERM").0, 0);
    state(&place, &["set", "late", "5", "1"]);
    let full = place.run(&["state", "set", "late", "6", "1"]);
    assert!(full.code == 1 && full.err.contains("the limit is 5"), "{full:?}");
    let json: Value = serde_json::from_str(&place.run(&["status", "--json"]).out).unwrap();
    assert_eq!(json["database"]["warnings"].as_array().unwrap().len(), 1);
    let row =
        json["database"]["owners"].as_array().unwrap().iter().find(|row| row["name"] == "late").unwrap();
    assert_eq!((&row["entries"], &row["paused"]), (&Value::from(5), &Value::from(true)));
}

#[test]
fn commands_wait_for_each_other() {
    let place = Place::with(CONFIG);
    let mut all = Vec::new();
    for n in 0..6 {
        let key = format!("k{n}");
        let mut command = place.command(&["state", "set", "quiet", &key, "1"]);
        all.push(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }
    for mut child in all {
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    assert_eq!(state(&place, &["list", "quiet", "--keys"]), "k0\nk1\nk2\nk3\nk4\nk5\n");
}

#[test]
fn a_start_waits_for_a_command() {
    let place = Place::with(CONFIG);
    let mut import = place.command(&["state", "import", "quiet"]);
    let mut import = import.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let is_held = || {
        let lock = File::open(place.path("data/data2.db.lock"));
        lock.is_ok_and(|lock| lock.try_lock().is_err())
    };
    while !is_held() {
        assert!(import.try_wait().unwrap().is_none(), "it ended");
    }
    let mut listen = place.command(&["listen"]);
    let mut listen = listen.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(listen.stderr.take().unwrap()).lines();
    drop(import.stdin.take());
    assert_eq!(import.wait().unwrap().code(), Some(0));
    let started = said.find(|line| line.as_ref().is_ok_and(|line| line.contains("Starting server on ")));
    let (killed, _) = (listen.kill(), listen.wait());
    assert!(started.is_some() && killed.is_ok(), "it did not start");
}

#[test]
fn whoever_holds_the_database_and_does_not_answer_is_named() {
    let place = Place::with(CONFIG);
    state(&place, &["set", "quiet", "a", "1"]);
    let lock = File::open(place.path("data/data2.db.lock")).unwrap();
    lock.lock().unwrap();
    // As a program that was killed left it.
    place.write("data/data2.db.run", "{\"pid\":1,\"address\":\"127.0.0.1:1\",\"token\":\"t\"}");
    let held = place.run(&["state", "set", "quiet", "a", "2"]);
    assert_eq!(held.code, 1);
    let pid = format!("(process {})", std::process::id());
    assert!(held.err.contains("is in use by another inboxclaw") && held.err.contains(&pid), "{}", held.err);
    assert_eq!(state(&place, &["get", "quiet", "a"]), "1\n", "reading waits for nobody");
    drop(lock);
    state(&place, &["set", "quiet", "a", "2"]);
}

#[test]
fn a_source_is_tested_without_leaving_a_trace() {
    let place = Place::with(
        "server: {port: 0}\nsources: {files: {type: filesystem, path: ./notes}, bad: {type: filesystem, path: ./none},\
         quiet: {type: mock}}\nsink: {inbox: {type: http_pull}}\n",
    );
    std::fs::create_dir(place.path("notes")).unwrap();
    place.write("notes/a.txt", "hello");
    let test = |args: &[&str]| place.run(&[&["source", "test"], args].concat());
    let first = test(&["files"]);
    assert_eq!(first.code, 0, "{first:?}");
    assert!(first.err.contains("nothing was stored") && first.out.contains("put"), "{first:?}");
    assert_eq!(place.names(), ["config.yaml", "notes"]);
    let quiet = test(&["quiet"]);
    assert_eq!((quiet.code, quiet.out.as_str()), (0, ""));
    assert!(quiet.err.contains("no new events now") && quiet.err.contains("stay as it is"), "{}", quiet.err);
    let bad = test(&["bad", "--json"]);
    assert_eq!(bad.code, 1);
    let error: Value = serde_json::from_str(&bad.err).unwrap();
    assert!(error["error"].as_str().unwrap().starts_with("the poll failed: "), "{}", bad.err);
    assert_eq!(error["exit_code"], 1);
    let said: Value = serde_json::from_str(&bad.out).unwrap();
    assert!(said["failure"]["class"].is_string(), "{said}");
    let near = test(&["file"]);
    assert_eq!(
        (near.code, near.err.trim()),
        (1, "config.yaml has no source \"file\", did you mean \"files\"?")
    );

    let running = place.listen(&[]);
    state_is_there(&place);
    assert_eq!(running.stop("-TERM").0, 0);
    place.write("notes/b.txt", "new");
    let before = state(&place, &["export", "files"]);
    let would: Value = serde_json::from_str(&test(&["files", "--json"]).out).unwrap();
    let types: Vec<&str> = would["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["event_type"].as_str().unwrap())
        .collect();
    assert!(types.contains(&"fs.file_created"), "{would}");
    assert!(!would["state"]["put"].as_array().unwrap().is_empty(), "{would}");
    let table = test(&["files"]).out;
    assert!(table.starts_with("EVENT") && table.contains("fs.file_created  b.txt"), "{table}");
    let after = state(&place, &["export", "files"]);
    assert_eq!(before.lines().skip(1).collect::<Vec<_>>(), after.lines().skip(1).collect::<Vec<_>>());
}

/// Waits until the source has taken its first look.
fn state_is_there(place: &Place) {
    for _ in 0..500 {
        if !state(place, &["list", "files", "--keys"]).is_empty() {
            return;
        }
    }
    panic!("the source never had any state");
}
