//! Commands that write and check files; no program runs.

use serde_json::{Value, json};

use crate::support::Place;

#[test]
fn the_command_line_teaches() {
    let place = Place::new();
    let bare = place.run(&[]);
    assert_eq!((bare.code, bare.out.as_str()), (2, ""));
    assert!(bare.err.contains("Usage: inboxclaw") && bare.err.contains("listen --watch"), "{}", bare.err);
    assert_eq!(place.run(&["frobnicate"]).code, 2);
    assert_eq!(place.run(&["events", "--nope"]).code, 2);
    let commands = [
        "listen",
        "init",
        "check",
        "schema",
        "events",
        "status",
        "healthcheck",
        "pull",
        "pull-mark-processed",
        "subscribe",
        "state",
        "source",
        "sink",
    ];
    let help = place.run(&["--help"]);
    assert_eq!(help.code, 0);
    assert!(help.out.contains("Exit codes:"));
    for command in commands {
        assert!(help.out.contains(&format!("\n  {command} ")), "{command}: {}", help.out);
        let own = place.run(&[command, "--help"]);
        assert_eq!(own.code, 0, "{command}");
    }
    assert!(place.names().is_empty());
}

#[test]
fn init_writes_a_file_that_works_and_never_writes_over_one() {
    let place = Place::new();
    let ran = place.run(&["init"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.ends_with("next: inboxclaw listen\n"), "{}", ran.out);
    assert_eq!(place.names(), ["config.yaml", "inbox"]);
    let checked = place.run(&["check"]);
    assert_eq!((checked.code, checked.out.as_str()), (0, "config.yaml is valid\n"), "{checked:?}");

    place.write("config.yaml", "mine\n");
    let again = place.run(&["init"]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("config.yaml is there already"), "{}", again.err);
    assert_eq!(place.read("config.yaml"), "mine\n");

    let other = place.run(&["init", "a/b.yaml", "--json"]);
    assert_eq!(other.code, 0, "{other:?}");
    let answer: Value = serde_json::from_str(&other.out).unwrap();
    assert_eq!(
        answer,
        json!({"file": "a/b.yaml", "folder": "a/inbox", "next": "inboxclaw listen --config a/b.yaml"})
    );
    assert!(place.has("a/inbox"));
}

#[test]
fn check_names_every_problem_with_its_place() {
    let place = Place::with("server:\n  prot: 8000\nsources:\n  a: {type: mock, interval: 5x}\nsink: {}\n");
    let ran = place.run(&["check"]);
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.out,
        "config.yaml:2:3: server: unknown key `prot`, did you mean `port`?\n\
         config.yaml:4:29: sources.a.mock.interval: invalid interval \"5x\": \"x\" is no unit, use w, d, h, m or s\n"
    );
    let json: Value = serde_json::from_str(&place.run(&["check", "--json"]).out).unwrap();
    assert_eq!(json["valid"], false);
    assert_eq!(json["problems"][0]["line"], 2);
    assert_eq!(json["problems"][1]["path"], "sources.a.mock.interval");

    place.write("config.yaml", "database: {echo: yes}\nsources: {}\nsink: {}\n");
    let ran = place.run(&["check"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "config.yaml is valid\n"));
    assert!(ran.err.starts_with("warning: config.yaml:1:12: database.echo: "), "{}", ran.err);
    let missing = place.run(&["check", "--config", "nowhere.yaml"]);
    assert_eq!(missing.code, 1);
    assert!(missing.err.starts_with("nowhere.yaml: cannot be read: "), "{}", missing.err);
}

#[test]
fn schema_and_reference_pages() {
    let place = Place::new();
    let schema: Value = serde_json::from_str(&place.run(&["schema"]).out).unwrap();
    assert_eq!(schema["properties"]["server"]["properties"]["port"]["default"], 8000);
    assert_eq!(place.run(&["schema", "--markdown", "pages"]).code, 0);
    for (name, text) in inboxclaw::commands::pages() {
        assert_eq!(place.read(&format!("pages/{name}")), text);
    }
}

#[test]
fn reading_commands_make_no_files() {
    let place = Place::with("sources: {}\nsink: {inbox: {type: http_pull}}\nserver: {port: 1}\n");
    let events = place.run(&["events"]);
    assert_eq!((events.code, events.out.as_str()), (0, "No published events found.\n"));
    let status = place.run(&["status"]);
    assert_eq!(status.code, 0, "{status:?}");
    assert!(status.out.contains("Endpoint http://127.0.0.1:1/healthcheck: Unreachable ("), "{}", status.out);
    let health = place.run(&["healthcheck"]);
    assert_eq!(health.code, 2, "{health:?}");
    let pull = place.run(&["pull"]);
    assert_eq!(pull.code, 1);
    assert!(pull.err.contains("is `inboxclaw listen` running?"), "{}", pull.err);
    assert_eq!(place.names(), ["config.yaml"]);
}

#[test]
fn sinks_must_be_named_where_there_are_several() {
    let place = Place::with(
        "sources: {}\nsink: {a: {type: http_pull}, b: {type: http_pull}, s: {type: sse}}\nserver: {port: 1}\n",
    );
    for (args, message) in [
        (&["pull"][..], "there are several http_pull sinks, name one with --name: a, b"),
        (&["pull", "--name", "c"], "there is no http_pull sink \"c\"; there are: a, b"),
        (&["subscribe", "--sink", "c"], "there is no sse sink \"c\"; there are: s"),
    ] {
        let ran = place.run(args);
        assert_eq!((ran.code, ran.err.trim()), (1, message));
    }
    place.write("config.yaml", "sources: {}\nsink: {}\n");
    assert_eq!(place.run(&["pull"]).err.trim(), "config.yaml has no http_pull sink");
    assert_eq!(place.run(&["subscribe"]).err.trim(), "config.yaml has no sse sink");
}
