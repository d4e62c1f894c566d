//! Circumstances that the program does not choose: full outputs, taken ports, other files in its folder.

use std::fs::OpenOptions;
use std::net::TcpListener;

use serde_json::Value;

use crate::support::Place;

const CONFIG: &str =
    "server: {port: 0}\nsources: {mock: {interval: 0.05}}\nsink: {inbox: {type: http_pull}, sse: {}}\n";

#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    let place = Place::with("server: {port: 0}\nsources: {}\nsink: {}\nx-a: $UNKNOWN\n");
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut child = place.command(&["listen"]).stderr(full).spawn().unwrap();
    place.await_health();
    assert!(std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_hangup_does_not_end_a_service() {
    let place = Place::with(CONFIG);
    let running = place.listen(&[]);
    let hangup = std::process::Command::new("kill").args(["-HUP", &running.pid().to_string()]).status();
    assert!(hangup.unwrap().success());
    place.await_health();
    place.await_output(&["pull"]);
    let (code, log) = running.stop("-TERM");
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("SIGHUP changes nothing") && log.trim_end().ends_with("stopped"), "{log}");
}

#[test]
fn commands_find_a_program_on_another_port_than_the_configured_one() {
    let place = Place::with(&CONFIG.replace("port: 0", "port: 1, token: configured"));
    let running = place.listen(&["--port", "0"]);
    place.await_health();
    place.await_output(&["pull"]);
    assert_eq!(running.stop("-TERM").0, 0);
}

#[test]
fn a_word_that_is_no_log_level() {
    let place = Place::with("sources: {}\nsink: {}\n");
    let ran = place.run(&["events", "--log-level", "verbose"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.err.contains("--log-level \"verbose\" is no log level; there are: off, error"),
        "{}",
        ran.err
    );
    let output = place.command(&["events"]).env("RUST_LOG", "verbose").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("RUST_LOG \"verbose\" is no log level") && said.contains("info is taken"),
        "{said}"
    );
}

#[test]
fn watching_beside_a_configuration_is_refused() {
    let place = Place::with("sources: {}\nsink: {}\n");
    let ran = place.run(&["listen", "--watch", "notes", "--port", "0"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.starts_with("there is a config.yaml here: run `inboxclaw listen`, or --watch"),
        "{}",
        ran.err
    );
    assert_eq!(place.names(), ["config.yaml"]);
}

#[test]
fn a_watch_that_is_refused_leaves_no_folder_and_promises_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let place = Place::new();
    let ran = place.run(&["listen", "--watch", "notes", "--port", &port]);
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("give --port") && !ran.err.contains("server.port"), "{}", ran.err);
    assert!(!ran.err.contains("taken as known") && !place.has("notes"), "{}", ran.err);
}

#[test]
fn only_a_new_watch_takes_files_as_known() {
    let place = Place::new();
    for known in [true, false] {
        let (_, log) = place.listen_and_stop(&["--watch", "notes", "--port", "0"]);
        assert_eq!(log.contains("are taken as known"), known, "{log}");
    }
}

#[test]
fn nothing_followed_is_a_failure_and_an_empty_batch_is_json() {
    let place = Place::with(&CONFIG.replace("port: 0", "port: 1").replace("mock: {interval: 0.05}", ""));
    assert_eq!(place.run(&["subscribe"]).code, 1, "nobody answers");
    let _running = place.listen(&["--port", "0"]);
    place.await_health();
    assert_eq!(place.run(&["pull"]).out, "");
    let batch: Value = serde_json::from_str(&place.run(&["pull", "--json"]).out).unwrap();
    assert_eq!(batch["events"], serde_json::json!([]));
}

#[test]
fn check_answers_in_json_also_about_a_file_that_is_not_there() {
    let place = Place::new();
    for args in [&["check", "--json"][..], &["check", "--json", "--config", "nowhere.yaml"]] {
        let ran = place.run(args);
        let answer: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((ran.code, &answer["valid"]), (1, &Value::from(false)), "{ran:?}");
        assert!(!answer["problems"][0]["message"].as_str().unwrap().is_empty());
    }
}

#[test]
fn a_host_that_makes_no_address_is_no_health_either_way() {
    let place = Place::with("server: {host: \"a b\", token: x}\nsources: {}\nsink: {}\n");
    assert_eq!(place.run(&["healthcheck"]).code, 2);
}
