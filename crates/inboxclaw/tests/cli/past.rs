//! `inboxclaw state`: going back in time, moving whole states, and editing, while nothing else runs.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::{Place, Ran};

const CONFIG: &str = "server: {port: 0}\nsources: {mail: {type: mock}, other: {type: mock}}\nsink: {}\n";

fn place() -> Place {
    Place::with(CONFIG)
}

/// A change that must work.
fn state(place: &Place, args: &[&str]) -> Ran {
    let ran = place.run(&[&["state"], args].concat());
    assert_eq!(ran.code, 0, "{args:?}: {ran:?}");
    ran
}

fn get(place: &Place, owner: &str, key: &str) -> Option<String> {
    let got = place.run(&["state", "get", owner, key]);
    (got.code == 0).then(|| got.out.trim_end().to_owned())
}

#[test]
fn changes_are_remembered_undone_and_rewound() {
    let place = place();
    for value in ["1", "2", "3"] {
        state(&place, &["set", "mail", "a", value]);
    }
    state(&place, &["cursor", "mail", "c"]);
    let history: Value = serde_json::from_str(&state(&place, &["history", "mail", "--json"]).out).unwrap();
    let turns = history["turns"].as_array().unwrap();
    assert_eq!(turns.len(), 4);
    assert_eq!(turns[0]["cursor"], json!({"before": null}));
    let author = turns[0]["author"].as_str().unwrap();
    assert!(author.starts_with("cli:uid "), "{author}");
    let table = state(&place, &["history", "mail", "--values", "--limit", "2"]);
    let lines: Vec<&str> = table.out.lines().collect();
    assert!(lines[0].starts_with("VERSION  WHEN") && lines[1].ends_with("the cursor"), "{}", table.out);
    assert!(
        lines[2].ends_with("the cursor was absent") && lines[4].ends_with("\"a\" was 2"),
        "{}",
        table.out
    );
    assert!(table.err.starts_with("there are more: --before "), "{}", table.err);

    let undone = state(&place, &["undo", "mail"]);
    assert!(undone.err.contains(": the cursor as before"), "{}", undone.err);
    let undone = state(&place, &["undo", "mail", "--json"]);
    let undone: Value = serde_json::from_str(&undone.out).unwrap();
    assert_eq!((&undone["undid"], get(&place, "mail", "a").as_deref()), (&turns[1]["version"], Some("2")));
    let first = turns[3]["version"].to_string();
    let changed = place.run(&["state", "undo", "mail", &first]);
    assert_eq!(changed.code, 1);
    assert!(
        changed.err.contains("\"a\"") && changed.err.contains("--force takes it back"),
        "{}",
        changed.err
    );
    state(&place, &["undo", "mail", &first, "--force"]);
    assert_eq!(get(&place, "mail", "a"), None);

    let rewound = state(&place, &["rewind", "mail", "--to", &first]);
    assert!(rewound.err.contains(&format!("is as version {first} was")), "{}", rewound.err);
    assert_eq!(get(&place, "mail", "a").as_deref(), Some("1"));
    let later = place.run(&["state", "rewind", "mail", "--to", "4711"]);
    assert!(later.code == 1 && later.err.contains("4711"), "{later:?}");
    state(&place, &["rewind", "mail", "--to", "0"]);
    assert_eq!(get(&place, "mail", "a"), None, "all of the past is known");
    let nothing = place.run(&["state", "undo", "other"]);
    assert_eq!((nothing.code, nothing.err.as_str()), (1, "source other: there is no change to take back\n"));
}

#[test]
fn a_state_moves_to_another_owner_and_a_bad_line_is_named() {
    let place = place();
    for (key, value) in [("a", "1"), ("b", "{\"x\":  1e999}"), ("c/d", "\"\\u0000\"")] {
        state(&place, &["set", "mail", key, value]);
    }
    state(&place, &["cursor", "mail", "c"]);
    state(&place, &["set", "mail", "token", "\"hunter2\"", "--secret"]);
    let export = state(&place, &["export", "mail"]).out;
    assert!(!export.contains("hunter2") && export.contains("{\"x\":  1e999}"), "{export}");
    state(&place, &["set", "other", "gone", "1"]);
    let read = place.run_with(&["state", "import", "other", "--replace"], &export);
    assert_eq!(read.code, 0, "{read:?}");
    assert!(read.err.contains("left out (secret without a value)"), "{}", read.err);
    assert_eq!(get(&place, "other", "b").as_deref(), Some("{\"x\":  1e999}"));
    assert_eq!(get(&place, "other", "gone"), None);
    assert_eq!(state(&place, &["cursor", "other"]).out, "c\n");
    let whole = state(&place, &["export", "mail", "--secrets"]).out;
    assert!(whole.contains("hunter2"));
    assert_eq!(place.run_with(&["state", "import", "other"], &whole).code, 0);
    assert_eq!(state(&place, &["get", "other", "token", "--secrets"]).out, "\"hunter2\"\n");

    let bad = place.run_with(&["state", "import", "other"], &format!("{whole}{{\"key\":\"z\"\n"));
    assert_eq!(bad.code, 1);
    assert!(bad.err.contains(&format!("line {}", whole.lines().count() + 1)), "{}", bad.err);
    assert_eq!(get(&place, "other", "z"), None);
    state(&place, &["delete", "other", "--all"]);
    let copied = state(&place, &["copy", "mail", "other", "--prefix", "c", "--json"]);
    let copied: Value = serde_json::from_str(&copied.out).unwrap();
    assert_eq!(copied["entries"], 1);
    assert_eq!(state(&place, &["list", "other", "--keys"]).out, "c/d\n");
}

#[test]
fn a_renamed_owner_keeps_its_state_and_an_orphan_is_forgotten() {
    let place = place();
    state(&place, &["set", "mail", "a", "1"]);
    state(&place, &["set", "other", "b", "2"]);
    let kept = place.run(&["state", "forget", "mail"]);
    assert_eq!(kept.code, 1);
    assert!(
        kept.err.contains("the source mail is in config.yaml: take it out of there first"),
        "{}",
        kept.err
    );
    place.write("config.yaml", &CONFIG.replace("mail:", "post:").replace(", other: {type: mock}", ""));
    let owners = state(&place, &["owners"]).out;
    let line = |name: &str| owners.lines().find(|line| line.contains(name)).unwrap().to_owned();
    assert!(line("mail").ends_with("orphaned: no longer configured"), "{owners}");
    assert!(line("post").ends_with("no state yet") && line("mail").contains(" mock "), "{owners}");
    let moved = state(&place, &["move", "mail", "post"]);
    assert_eq!(moved.err, "source mail is source post now\n");
    assert_eq!(get(&place, "post", "a").as_deref(), Some("1"));
    assert_eq!(place.run(&["state", "get", "mail", "a"]).code, 1);
    let taken = place.run(&["state", "move", "other", "post"]);
    assert_eq!(taken.code, 1, "{taken:?}");
    assert_eq!(place.run(&["state", "move", "other", "a/b"]).code, 1);
    state(&place, &["forget", "other"]);
    let gone = place.run(&["state", "list", "other"]);
    assert!(gone.code == 1 && gone.err.contains("there is no source or sink \"other\""), "{gone:?}");
    let owners: Value = serde_json::from_str(&state(&place, &["owners", "--json"]).out).unwrap();
    let names: Vec<&Value> = owners["owners"].as_array().unwrap().iter().map(|row| &row["name"]).collect();
    assert_eq!(names, [&json!("post")]);
}

/// Runs `state edit` with a shell script in place of an editor.
fn edit(place: &Place, key: &str, script: &str) -> Ran {
    std::fs::create_dir_all(place.path("tmp")).unwrap();
    place.write("editor", &format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(place.path("editor"), PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = place.command(&["state", "edit", "mail", key]);
    command.env("EDITOR", "./editor --wait").env("TMPDIR", place.path("tmp")).env("PATH", "/usr/bin:/bin");
    command.env("PROGRAM", env!("CARGO_BIN_EXE_inboxclaw"));
    Place::ran(command.output().unwrap())
}

fn left(place: &Place) -> usize {
    std::fs::read_dir(place.path("tmp")).unwrap().count()
}

#[test]
fn a_value_is_edited_where_the_person_likes() {
    let place = place();
    state(&place, &["set", "mail", "a", "{\"n\": 1}", "--ttl", "1h"]);
    let edited = edit(&place, "a", "test \"$(stat -c %a \"$2\")\" = 600 && sed -i s/1/2/ \"$2\"");
    assert_eq!((edited.code, edited.err.as_str()), (0, "source mail: \"a\" is set\n"));
    assert_eq!(get(&place, "mail", "a").as_deref(), Some("{\"n\": 2}"));
    let entry: Value = serde_json::from_str(&state(&place, &["get", "mail", "a", "--json"]).out).unwrap();
    assert!(!entry["expires_at"].is_null(), "the expiry stays");
    let revision = entry["revision"].clone();
    let same = edit(&place, "a", "echo >> \"$2\"");
    assert_eq!((same.code, same.err.as_str()), (0, "nothing was changed\n"));
    let entry: Value = serde_json::from_str(&state(&place, &["get", "mail", "a", "--json"]).out).unwrap();
    assert_eq!(entry["revision"], revision);
    assert_eq!(edit(&place, "new", "echo '[1]' > \"$2\"").code, 0);
    assert_eq!(get(&place, "mail", "new").as_deref(), Some("[1]"));
    assert_eq!(edit(&place, "newer", "true").err, "nothing was changed\n");
    assert_eq!((get(&place, "mail", "newer"), left(&place)), (None, 0));
}

#[test]
fn an_edit_that_cannot_be_stored_keeps_the_text() {
    let place = place();
    state(&place, &["set", "mail", "a", "1"]);
    let broken = edit(&place, "a", "echo '{' > \"$2\"");
    assert_eq!(broken.code, 1);
    assert!(broken.err.contains("the text is no JSON value"), "{}", broken.err);
    let kept = broken.err.trim().rsplit("your text is in ").next().unwrap();
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "{\n");
    let raced = edit(&place, "a", "$PROGRAM state set mail a 7 2>/dev/null; echo 8 > \"$2\"");
    assert_eq!(raced.code, 1);
    assert!(raced.err.contains("somebody changed it meanwhile"), "{}", raced.err);
    let kept = raced.err.trim().rsplit("your text is in ").next().unwrap();
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "8\n");
    assert_eq!(get(&place, "mail", "a").as_deref(), Some("7"));
    let made = edit(&place, "b", "$PROGRAM state set mail b 7 2>/dev/null; echo 8 > \"$2\"");
    assert_eq!((made.code, get(&place, "mail", "b").as_deref()), (1, Some("7")));
    let texts = left(&place);
    let failed = edit(&place, "a", "exit 3");
    assert!(failed.code == 1 && failed.err.ends_with("nothing was stored\n"), "{}", failed.err);
    assert_eq!(left(&place), texts, "what was not edited is not kept");
    let failed = edit(&place, "a", "echo 9 > \"$2\"; exit 3");
    let kept = failed.err.trim().rsplit("your text is in ").next().unwrap();
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "9\n");
    state(&place, &["set", "mail", "t", "\"hunter2\"", "--secret"]);
    let secret = edit(&place, "t", "echo 1 > \"$2\"");
    assert!(secret.code == 1 && secret.err.contains("--secrets edits it"), "{}", secret.err);
}
