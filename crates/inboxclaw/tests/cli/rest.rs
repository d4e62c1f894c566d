//! A reader of a database at rest, and a program that starts meanwhile: two real processes.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use serde_json::{Value, json};

use super::support::Place;

/// Keys; more than a pipe and what is on its way hold.
const KEYS: usize = 20_000;
/// Few enough for one turn, which writes over what is there.
const PART: usize = 5_000;

fn lines(keys: std::ops::Range<usize>, value: &str) -> String {
    keys.map(|n| format!("{}\n", json!({ "key": format!("k{n:06}"), "value": value.repeat(30) }))).collect()
}

/// An export into something that does not read on had rows of two times, and ended with 0.
#[test]
fn an_export_is_of_one_instant_though_the_program_starts_meanwhile() {
    let place = Place::with(
        "server: {port: 0}\nsources: {m: {type: mock, stopped: true}}\nsink: {inbox: {type: http_pull}}\n",
    );
    let filled = place.run_with(&["state", "import", "m"], &lines(0..KEYS, "old"));
    assert_eq!(filled.code, 0, "{filled:?}");
    let before = place.names();
    let mut command = place.command(&["state", "export", "m"]);
    let mut export = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut taken = BufReader::with_capacity(512, export.stdout.take().unwrap());
    let mut text = String::new();
    assert!(taken.read_line(&mut text).unwrap() > 0);
    assert_eq!(place.names(), before, "reading makes no file");
    let program = place.listen(&[]);
    for from in (0..KEYS).step_by(PART) {
        let changed = place.run_with(&["state", "import", "m"], &lines(from..from + PART, "new"));
        assert_eq!(changed.code, 0, "{changed:?}");
    }
    taken.read_to_string(&mut text).unwrap();
    let ended = export.wait_with_output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let old = rows.iter().filter(|row| row["value"].as_str().is_some_and(|value| value.starts_with("old")));
    assert_eq!((rows.len() - 1, old.count()), (KEYS, KEYS));
    let after = place.run(&["state", "get", "m", "k000000"]);
    assert!(after.out.contains("newnew"), "{after:?}");
    drop(program);
}

/// Commands that look once see what the program has done since.
#[test]
fn a_reader_sees_a_program_that_came_and_went() {
    let place = Place::with(
        "server: {port: 0}\nsources: {m: {type: mock, stopped: true}}\nsink: {inbox: {type: http_pull}}\n",
    );
    for value in ["1", "2"] {
        assert_eq!(place.run(&["state", "set", "m", "k", value]).code, 0);
        assert_eq!(place.run(&["state", "get", "m", "k"]).out.trim(), value);
        let (code, log) = place.listen(&[]).stop("-TERM");
        assert_eq!(code, 0, "{log}");
        assert_eq!(place.run(&["state", "get", "m", "k"]).out.trim(), value);
    }
}
