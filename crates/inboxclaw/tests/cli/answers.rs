//! What commands answer where there is nothing, where it cannot be, and where it is something else than was meant.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::support::Place;

const CONFIG: &str = "server: {port: 0}\nsources: {mock: {interval: 0.05}, quiet: {type: mock, interval: 1h}}\n\
    sink: {inbox: {type: http_pull}, sse: {}}\n";

#[test]
fn no_events_are_an_empty_list() {
    let place = Place::with(CONFIG);
    for _ in ["no database", "no events"] {
        let none = place.run(&["events", "--json", "--source", "quiet"]);
        assert_eq!((none.code, none.out.as_str()), (0, "[]\n"), "{none:?}");
        assert_eq!(place.run(&["events", "--source", "quiet"]).out, "No published events found.\n");
        place.run(&["state", "set", "quiet", "a", "1"]);
    }
    let unknown = place.run(&["events", "--source", "quite"]);
    assert_eq!((unknown.code, unknown.out.as_str()), (0, "No published events found.\n"));
    assert!(unknown.err.contains("there is no source \"quite\", did you mean \"quiet\"?"), "{}", unknown.err);
}

#[test]
fn event_types_are_patterns_as_in_pull() {
    let place = Place::with(CONFIG);
    let running = place.listen(&[]);
    place.await_output(&["events", "--source", "mock", "-n", "3"]);
    assert_eq!(running.stop("-TERM").0, 0);
    let types = |pattern: &str| -> Vec<String> {
        let found = place.run(&["events", "--json", "-n", "5", "--event-type", pattern]).out;
        let found: Vec<Value> = serde_json::from_str(&found).unwrap();
        found.iter().map(|event| event["event_type"].as_str().unwrap().to_owned()).collect()
    };
    let all = types("*");
    assert!(!all.is_empty() && all.len() <= 5);
    assert!(types("mock.*").iter().all(|found| found == "mock.random_number") && !types("mock.*").is_empty());
    assert_eq!(types("mock.random_number").len(), types("mock.*").len());
    assert!(types("!mock.*").iter().all(|found| found.starts_with("inboxclaw.")));
    assert!(types("mock").is_empty() && types("other.*").is_empty());
}

#[test]
fn what_cannot_work_is_refused_at_once() {
    let place = Place::with(CONFIG);
    for args in [
        &["pull", "--batch-size", "0"][..],
        &["pull", "--batch-size", "-1"],
        &["healthcheck", "--timeout", "0"],
        &["healthcheck", "--timeout", "-1"],
        &["healthcheck", "--timeout", "nan"],
        &["healthcheck", "--timeout", "inf"],
    ] {
        let ran = place.run(args);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}: {ran:?}");
        assert!(!ran.err.contains("no answer within"), "{ran:?}");
    }
}

#[test]
fn the_configuration_may_stand_anywhere() {
    let place = Place::new();
    place.write("other.yaml", CONFIG);
    let listed = "quiet";
    for args in [
        &["--config", "other.yaml", "state", "owners"][..],
        &["state", "--config", "other.yaml", "owners"],
        &["state", "owners", "--config", "other.yaml"],
        &["--config", "nowhere.yaml", "state", "owners", "--config", "other.yaml"],
    ] {
        let ran = place.run(args);
        assert!(ran.code == 0 && ran.out.contains(listed), "{args:?}: {ran:?}");
    }
    let by_name = |args: &[&str], file: &str| {
        Place::ran(place.command(args).env("INBOXCLAW_CONFIG", file).output().unwrap())
    };
    assert!(by_name(&["state", "owners"], "other.yaml").out.contains(listed));
    assert_eq!(by_name(&["check"], "other.yaml").out, "other.yaml is valid\n");
    assert_eq!(by_name(&["check", "--config", "other.yaml"], "nowhere.yaml").code, 0, "what is said wins");
    assert_eq!(by_name(&["check"], "nowhere.yaml").code, 1);
    assert_eq!(by_name(&["check"], "").code, 1, "nothing is none");
    let watch = by_name(&["listen", "--watch", "notes"], "other.yaml");
    assert!(watch.code == 2 && watch.err.contains("INBOXCLAW_CONFIG"), "{watch:?}");
}

#[test]
fn commands_of_the_forerunner_get_a_sentence() {
    let place = Place::new();
    for (command, said) in [
        ("install", "systemd"),
        ("restart", "stop the program"),
        ("logs", "standard error"),
        ("update", "new binary"),
    ] {
        let ran = place.run(&[command]);
        assert_eq!(ran.code, 2);
        assert!(ran.err.contains(said) && !ran.err.contains("similar"), "{ran:?}");
    }
    assert!(place.run(&["lisen"]).err.contains("listen"), "a slip gets the nearest one");
    let version = place.run(&["--version"]);
    assert!(version.code == 0 && version.out.starts_with("inboxclaw "), "{version:?}");
}

#[test]
fn errors_are_json_for_who_reads_json() {
    let place = Place::with(CONFIG);
    for (args, code, said) in [
        (&["pull", "--json"][..], 1, "no program runs with"),
        (&["healthcheck", "--json"], 2, "no program runs with"),
        (&["state", "get", "nobody", "a", "--json"], 1, "there is no source or sink"),
        (&["state", "undo", "quiet", "-j"], 1, "no change to take back"),
    ] {
        let ran = place.run(args);
        let error: Value = serde_json::from_str(&ran.err).unwrap_or_else(|_| panic!("{args:?}: {ran:?}"));
        assert_eq!((ran.code, &error["exit_code"]), (code, &json!(code)));
        assert!(error["error"].as_str().unwrap().contains(said), "{ran:?}");
    }
}

#[test]
fn a_rewind_beyond_history_removes_nothing() {
    let place = Place::with(CONFIG);
    assert_eq!(place.run(&["state", "set", "quiet", "a", "1"]).code, 0);
    for to in ["1h", "2020-01-01", "2020-01-01T00:00:00Z"] {
        let ran = place.run(&["state", "rewind", "quiet", "--to", to]);
        assert!(ran.code == 1 && ran.err.contains("history begins at 20"), "{to}: {ran:?}");
    }
    for to in ["2100-01-01", "2100-01-01T00:00:00Z"] {
        let ran = place.run(&["state", "rewind", "quiet", "--to", to]);
        assert!(ran.code == 1 && ran.err.contains("a time that has passed"), "{to}: {ran:?}");
    }
    assert_eq!(place.run(&["state", "get", "quiet", "a"]).out, "1\n");
    let past = place.run(&["state", "set", "quiet", "a", "1", "--ttl", "2020-01-01"]);
    assert!(past.code == 1 && past.err.contains("ttl must be in the future"), "{past:?}");
    let back = place.run(&["state", "rewind", "quiet", "--to", "0"]);
    assert!(back.code == 0 && back.err.contains("changed by that: 1 entry"), "{back:?}");
}

#[test]
fn check_says_what_listen_would_say_of_the_database() {
    let place = Place::with(CONFIG);
    let valid = place.run(&["check"]);
    assert_eq!((valid.code, valid.out.as_str()), (0, "config.yaml is valid\n"));
    assert!(valid.err.contains("every user of this machine can read"), "{}", valid.err);
    assert_eq!(place.names(), ["config.yaml"], "and makes nothing");
    std::fs::create_dir(place.path("data")).unwrap();
    for text in [
        "hello, this is no database at all, but it is longer than a header of a hundred bytes, as it has to be here.",
        "short",
    ] {
        place.write("data/data2.db", text);
        let (checked, listened) = (place.run(&["check"]), place.run(&["listen"]));
        assert_eq!((checked.code, listened.code), (1, 1), "{checked:?} {listened:?}");
        assert!(
            checked.out.contains("database.db_path: ") && checked.out.contains("is no SQLite database"),
            "{checked:?}"
        );
        assert_eq!(place.read("data/data2.db"), text);
    }
    std::fs::remove_dir_all(place.path("data")).unwrap();
    assert_eq!(place.run(&["state", "set", "quiet", "a", "1"]).code, 0);
    let running = place.listen(&[]);
    assert_eq!(place.run(&["check"]).code, 0, "one that is in use is valid");
    assert_eq!(running.stop("-TERM").0, 0);
}

#[test]
fn files_with_secrets_that_others_can_read_are_named() {
    let place = Place::with(CONFIG);
    let mode = |name: &str, mode: u32| {
        std::fs::set_permissions(place.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let said = |wanted: bool, file: &str| {
        for json in [false, true] {
            let args = if json { &["check", "--json"][..] } else { &["check"] };
            let ran = place.run(args);
            let all = ran.out + &ran.err;
            assert_eq!(all.contains(&format!("{file} holds a secret")), wanted, "{all}");
            assert!(!all.contains("s3cret"), "{all}");
        }
    };
    mode("config.yaml", 0o644);
    said(false, "config.yaml");
    place.write("config.yaml", &CONFIG.replace("port: 0", "port: 0, token: s3cret-token"));
    said(true, "config.yaml");
    mode("config.yaml", 0o600);
    said(false, "config.yaml");
    place.write("config.yaml", &CONFIG.replace("port: 0", "port: 0, token: $INBOX_TOKEN"));
    place.write(".env", "INBOX_TOKEN=s3cret-token\n");
    mode("config.yaml", 0o644);
    mode(".env", 0o644);
    said(false, "config.yaml");
    said(true, ".env");
    let (_, log) = place.listen(&[]).stop("-TERM");
    drop(log);
    mode(".env", 0o400);
    said(false, ".env");
}

#[test]
fn sinks_in_the_way_of_routes_are_named() {
    for name in ["mcp", "hooks", ".well-known"] {
        let place = Place::with(&CONFIG.replace("sse: {}", &format!("{name}: {{type: sse}}")));
        let ran = place.run(&["check"]);
        assert_eq!(ran.code, 1);
        assert!(
            ran.out.contains(&format!("the name {name:?} cannot be used"))
                && ran.out.contains(&format!("inboxclaw state move sink:{name} NAME")),
            "{ran:?}"
        );
    }
}
