//! `inboxclaw state`: looking and changing, while nothing else runs.

use serde_json::{Value, json};

use crate::support::{Place, beside};

/// One source that could run, one sink, and a name that is both.
const CONFIG: &str = "server: {port: 0}\nsources: {mail: {type: mock}, both: {type: mock}}\n\
    sink: {inbox: {type: http_pull}, both: {type: sse}}\n";

#[test]
fn reading_makes_no_file() {
    let place = Place::with(CONFIG);
    for args in [
        &["owners"][..],
        &["list", "mail"],
        &["list", "mail", "--json"],
        &["cursor", "mail"],
        &["history", "mail"],
        &["get", "mail", "a"],
        &["export", "mail"],
        &["watch", "mail"],
        &["set", "nobody", "a", "1"],
        &["set", "mail", "a", "no json"],
        &["forget", "mail"],
    ] {
        place.run(&[&["state"], args].concat());
        assert_eq!(place.names(), ["config.yaml"], "{args:?}");
    }
    place.run(&["state", "set", "mail", "a", "1"]);
    let files = beside(&place.path("data"), "");
    for args in [&["owners"][..], &["list", "mail"], &["get", "mail", "a"], &["export", "mail"]] {
        assert_eq!(place.run(&[&["state"], args].concat()).code, 0);
        assert_eq!(beside(&place.path("data"), ""), files, "{args:?}");
    }
}

#[test]
fn what_is_set_is_there_byte_for_byte() {
    let place = Place::with(CONFIG);
    let long = format!("\"{}\"", "x".repeat(5_000));
    let values = [
        "7",
        "-5",
        "-1e400",
        "null",
        "\"\"",
        "\"-\"",
        "123456789012345678901234567890",
        "1.000",
        "{\"b\": [1 , 2],\n \"a\":{}}",
        "\"\\u0000 \\ud83d\\ude00 é\"",
        "\"'$HOME`\"",
        &long,
    ];
    for (at, value) in values.into_iter().enumerate() {
        for key in ["k".to_owned(), format!("%_\\/{at} é?#"), "...".to_owned(), "../.".to_owned()] {
            let set = place.run(&["state", "set", "mail", &key, value]);
            assert_eq!((set.code, set.out.as_str()), (0, ""), "{set:?}");
            let got = place.run(&["state", "get", "mail", &key]);
            assert_eq!((got.code, got.out, got.err), (0, format!("{value}\n"), String::new()), "{key}");
        }
    }
    // What `get` prints is what `set` takes.
    let got = place.run(&["state", "get", "mail", "...", "--json"]);
    let entry: Value = serde_json::from_str(&got.out).unwrap();
    assert_eq!((&entry["key"], &entry["size"]), (&json!("..."), &json!(5_002)));
    assert!(got.out.contains(&long) && entry["expires_at"].is_null() && entry.get("secret").is_none());
    place.run(&["state", "set", "mail", "big", "{\"n\": 1e999}"]);
    let got = place.run(&["state", "get", "mail", "big"]).out;
    let set = place.run_with(&["state", "set", "mail", "copied", "-"], &got);
    assert_eq!(set.code, 0, "{set:?}");
    assert_eq!(place.run(&["state", "get", "mail", "copied"]).out, "{\"n\": 1e999}\n");
}

#[test]
fn a_value_that_is_no_json_is_explained() {
    let place = Place::with(CONFIG);
    let text = place.run(&["state", "set", "mail", "a", "hello"]);
    assert_eq!(text.code, 2);
    assert!(text.err.contains("the value is no JSON") && text.err.contains("'\"hello\"'"), "{}", text.err);
    let secret = place.run(&["state", "set", "mail", "a", "hunter2", "--secret"]);
    assert!(secret.code == 2 && !secret.err.contains("hunter2"), "{}", secret.err);
    let piped = place.run_with(&["state", "set", "mail", "a", "-"], "{\"a\":1,\"a\":2}");
    assert_eq!(piped.code, 1);
    assert!(piped.err.contains("standard input is no JSON value: duplicate key"), "{}", piped.err);
    for args in [
        &["state"][..],
        &["state", "set", "mail", "a"],
        &["state", "set", "mail", "a", "1", "--ttl", "soon"],
        &["state", "set", "mail", "a", "1", "--if-absent", "--if-revision", "1"],
        &["state", "rewind", "mail"],
        &["state", "rewind", "mail", "--to", "yesterday"],
        &["state", "delete", "mail"],
        &["state", "delete", "mail", "--prefix", ""],
        &["state", "delete", "mail", "a", "--all"],
        &["state", "delete", "mail", "a", "--dry-run"],
        &["state", "cursor", "mail", "a", "--clear"],
        &["state", "undo", "mail", "3", "--turn"],
        &["state", "copy", "mail", "source:mail"],
        &["source", "pause", "sink:both"],
    ] {
        let ran = place.run(args);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}: {ran:?}");
        assert!(!ran.err.is_empty());
    }
}

#[test]
fn owners_are_found_by_name_or_the_near_one_is_said() {
    let place = Place::with(CONFIG);
    for (who, said) in [
        ("mial", "there is no source or sink \"mial\", did you mean \"mail\"?"),
        ("both", "\"both\" is both a source and a sink: write source:both or sink:both"),
        ("sink:mail", "there is no sink \"mail\"; there are: both, inbox"),
    ] {
        for args in [&["list", who][..], &["set", who, "a", "1"], &["get", who, "a"], &["undo", who]] {
            let ran = place.run(&[&["state"], args].concat());
            assert_eq!((ran.code, ran.err.trim()), (1, said), "{args:?}");
        }
    }
    for who in ["source:both", "sink:both"] {
        assert_eq!(place.run(&["state", "set", who, "a", &format!("\"{who}\"")]).code, 0);
    }
    assert_eq!(place.run(&["state", "get", "sink:both", "a"]).out, "\"sink:both\"\n");
    assert_eq!(place.run(&["state", "get", "source:both", "a"]).out, "\"source:both\"\n");
}

#[test]
fn conditions_hold_or_nothing_changes() {
    let place = Place::with(CONFIG);
    let set = |rest: &[&str]| place.run(&[&["state", "set", "mail", "a"], rest].concat());
    assert_eq!(set(&["1", "--if-revision", "1"]).code, 1, "absent");
    let first = set(&["1", "--if-absent", "--json"]);
    let first: Value = serde_json::from_str(&first.out).unwrap();
    assert_eq!(first["key"], "a");
    let revision = first["revision"].to_string();
    let refused = set(&["2", "--if-absent"]);
    assert_eq!(refused.code, 1);
    let said = format!("source mail: the key \"a\" has revision {revision}: nothing was changed\n");
    assert_eq!(refused.err, said);
    assert_eq!(set(&["2", "--if-revision", "4711"]).code, 1);
    assert_eq!(place.run(&["state", "get", "mail", "a"]).out, "1\n");
    let changed = set(&["2", "--if-revision", &revision]);
    assert!(
        changed.code == 0 && changed.err.starts_with("source mail: \"a\" is set, revision "),
        "{changed:?}"
    );
}

#[test]
fn lists_are_tables_for_people_and_pages_for_machines() {
    let place = Place::with(CONFIG);
    for (key, value) in
        [("a:1", "[1,\n2]"), ("a:2", "\"\\u001b\u{9b}\u{202e}\""), ("a_3", "true"), ("b", "null")]
    {
        assert_eq!(place.run(&["state", "set", "mail", key, value]).code, 0);
    }
    place.run(&["state", "set", "mail", "a:token", "\"abc\"", "--secret", "--ttl", "2h"]);
    let list = |rest: &[&str]| place.run(&[&["state", "list", "mail"], rest].concat());
    let table = list(&["--prefix", "a:"]).out;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    assert!(lines[0].starts_with("KEY      SIZE  UPDATED"), "{table}");
    assert!(lines[1].ends_with("  [1,\\n2]") && lines[1].contains(" -  "), "{table}");
    assert!(lines[2].ends_with("  \"\\u001b\\u009b\\u202e\""), "{table}");
    assert!(lines[3].ends_with("  (secret)") && lines[3].contains("  in 2 h  "), "{table}");
    assert_eq!(list(&["--prefix", "a:", "--keys"]).out, "a:1\na:2\na:token\n");
    let page = list(&["--limit", "2"]);
    assert_eq!(page.out.lines().count(), 3);
    assert_eq!(page.err, "there are more: --all, or --after \"a:2\"\n");
    let json: Value = serde_json::from_str(&list(&["--limit", "2", "--json"]).out).unwrap();
    assert_eq!((&json["entries"][1]["key"], &json["next"]), (&json!("a:2"), &json!("a:2")));
    let all = list(&["--all", "--json", "--after", "a:2"]).out;
    let rest: Value = serde_json::from_str(&all).unwrap();
    assert_eq!(rest["entries"].as_array().unwrap().len(), 3);
    assert!(!all.contains("abc") && rest["entries"][0]["secret"] == json!(true), "{all}");
    assert!(list(&["--secrets"]).out.contains("\"abc\""));
    assert_eq!(list(&["--prefix", "c"]).err, "no entries\n");
    let empty = list(&["--prefix", "c", "--json"]);
    assert_eq!(empty.out, "{\"entries\":[],\"next\":null}\n");
    let wide = place.command(&["state", "list", "mail"]).env("COLUMNS", "40").output().unwrap();
    let wide = String::from_utf8(wide.stdout).unwrap();
    assert!(wide.lines().all(|line| line.chars().count() <= 60), "{wide}");
}

#[test]
fn a_long_list_comes_in_pages_of_its_own() {
    let place = Place::with(CONFIG);
    let lines: String = (0..2_500).map(|n| format!("{{\"key\":\"k{n:05}\",\"value\":{n}}}\n")).collect();
    let read = place.run_with(&["state", "import", "mail"], &lines);
    assert_eq!(read.code, 0, "{read:?}");
    let keys = place.run(&["state", "list", "mail", "--all", "--keys"]).out;
    assert_eq!((keys.lines().count(), keys.lines().last()), (2_500, Some("k02499")));
    let json: Value =
        serde_json::from_str(&place.run(&["state", "list", "mail", "--limit", "2000", "--json"]).out)
            .unwrap();
    assert_eq!(json["entries"].as_array().unwrap().len(), 2_000);
    assert_eq!(json["next"], "k01999");
}

#[test]
fn secrets_are_shown_to_those_who_ask() {
    let place = Place::with(CONFIG);
    assert_eq!(place.run_with(&["state", "set", "mail", "t", "-", "--secret"], "\"hunter2\"\n").code, 0);
    let masked = place.run(&["state", "get", "mail", "t"]);
    assert_eq!((masked.code, masked.out.as_str()), (1, ""));
    assert!(masked.err.contains("--secrets shows it") && !masked.err.contains("hunter2"), "{}", masked.err);
    assert_eq!(place.run(&["state", "get", "mail", "t", "--secrets"]).out, "\"hunter2\"\n");
    // It stays one when it is set again.
    assert_eq!(place.run(&["state", "set", "mail", "t", "\"other\""]).code, 0);
    assert_eq!(place.run(&["state", "get", "mail", "t"]).code, 1);
}

#[test]
fn keys_and_prefixes_are_deleted() {
    let place = Place::with(CONFIG);
    for key in ["a:1", "a:2", "aX", "b"] {
        place.run(&["state", "set", "mail", key, "1"]);
    }
    let delete = |rest: &[&str]| place.run(&[&["state", "delete", "mail"], rest].concat());
    let tried = delete(&["--prefix", "a:", "--dry-run"]);
    assert_eq!((tried.code, tried.err.as_str()), (0, "source mail: 2 entries would go, 8 B\n"));
    let old = delete(&["--all", "--older-than", "1h", "--by", "created", "--json"]);
    let old: Value = serde_json::from_str(&old.out).unwrap();
    assert_eq!((&old["entries"], &old["dry_run"]), (&json!(0), &json!(false)));
    assert_eq!(delete(&["--prefix", "a:"]).err, "source mail: 2 entries deleted, 8 B\n");
    let some = delete(&["b", "c"]);
    assert_eq!(some.code, 1);
    assert_eq!(some.err, "source mail: there is no key \"c\"\nsource mail: deleted \"b\"\n");
    assert_eq!(place.run(&["state", "list", "mail", "--keys"]).out, "aX\n");
    assert_eq!(delete(&["--all"]).code, 0);
    assert_eq!(place.run(&["state", "list", "mail", "--keys"]).out, "");
}

#[test]
fn cursors_are_shown_set_and_cleared() {
    let place = Place::with(CONFIG);
    let cursor = |rest: &[&str]| place.run(&[&["state", "cursor", "mail"], rest].concat());
    let none = cursor(&[]);
    assert_eq!((none.code, none.out.as_str(), none.err.as_str()), (0, "", "source mail has no cursor\n"));
    for value in ["18a3f", "-x", "", "{\"a\": 1}"] {
        assert_eq!(cursor(&[value]).code, 0, "{value}");
        assert_eq!(cursor(&[]).out, format!("{value}\n"));
    }
    let json: Value = serde_json::from_str(&cursor(&["--json"]).out).unwrap();
    assert_eq!(json["cursor"], "{\"a\": 1}");
    assert_eq!(cursor(&["--clear"]).err, "source mail: the cursor is cleared\n");
    assert_eq!(cursor(&["--json"]).out.matches("\"cursor\":null").count(), 1);
}

#[test]
fn a_cursor_plays_no_tricks_with_who_looks_at_the_status() {
    let place = Place::with(CONFIG);
    let cursor = "a\u{1b}[31m";
    assert_eq!(place.run(&["state", "cursor", "mail", cursor]).code, 0);
    let status = place.run(&["status"]).out;
    assert!(status.contains("mail (mock): cursor=a\\u001b[31m,"), "{status}");
    assert_eq!(
        place.run(&["state", "cursor", "mail"]).out,
        format!("{cursor}\n"),
        "a script gets every byte"
    );
}

#[test]
fn every_command_teaches_with_an_example() {
    let place = Place::new();
    let state = [
        "owners", "list", "get", "set", "edit", "delete", "cursor", "export", "import", "copy", "move",
        "history", "undo", "rewind", "watch", "forget",
    ];
    let all = state.map(|command| ("state", command)).into_iter();
    let all = all.chain(["test", "pause", "resume"].map(|command| ("source", command)));
    for (group, command) in all.chain(["pause", "resume"].map(|command| ("sink", command))) {
        let help = place.run(&[group, command, "--help"]);
        assert_eq!(help.code, 0);
        assert!(
            help.out.contains(&format!("\n  inboxclaw {group} {command}")) || command == "edit",
            "{}",
            help.out
        );
        assert!(help.out.contains("Example"), "{}", help.out);
    }
}
