//! What `listen` refuses, and that it has started nothing by then.

use std::net::TcpListener;

use crate::support::{Place, Ran, beside};

const MOCK: &str = "sources: {mock: {interval: 0.01}}\nsink: {inbox: {type: http_pull}}\n";

/// Checks that `listen` ends with this code and says all of this.
fn refused(place: &Place, code: i32, said: &[&str]) -> Ran {
    let ran = place.run(&["listen"]);
    assert_eq!(ran.code, code, "{ran:?}");
    for text in said {
        assert!(ran.err.contains(text), "{text:?} is not said: {}", ran.err);
    }
    ran
}

#[test]
fn no_configuration() {
    let place = Place::new();
    refused(
        &place,
        1,
        &["there is no config.yaml here", "inboxclaw init", "inboxclaw listen --watch FOLDER"],
    );
    assert!(place.names().is_empty());
}

#[test]
fn a_bad_configuration() {
    let place = Place::with("server: {prot: 1}\nsources: {}\n");
    refused(
        &place,
        1,
        &[
            "config.yaml:1:1: the key `sink` is missing",
            "config.yaml:1:10: server: unknown key `prot`, did you mean `port`?",
        ],
    );
    assert_eq!(place.names(), ["config.yaml"]);
}

#[test]
fn an_address_that_others_can_reach() {
    let place = Place::with(&format!("server: {{host: 0.0.0.0}}\n{MOCK}"));
    refused(
        &place,
        1,
        &["config.yaml:1:16: server.host: ", "set server.token", "server.allow_anonymous: true"],
    );
    assert_eq!(place.names(), ["config.yaml"]);
}

#[test]
fn a_database_that_cannot_be_written() {
    let place = Place::new();
    place.write("file", "");
    for path in ["./file/data2.db", "/proc/inboxclaw/data2.db"] {
        place.write("config.yaml", &format!("server: {{port: 0}}\ndatabase: {{db_path: {path}}}\n{MOCK}"));
        refused(
            &place,
            1,
            &[path.trim_start_matches("./").trim_end_matches("/data2.db"), "set database.db_path to"],
        );
    }
    assert_eq!(place.names(), ["config.yaml", "file"]);
    assert_eq!(place.read("file"), "");
}

#[test]
fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let place = Place::with(&format!("server: {{port: {port}}}\n{MOCK}"));
    refused(&place, 3, &[&format!("port {port} of 127.0.0.1 is taken"), "server.port"]);
    assert_eq!(
        beside(&place.path("data"), "data2.db"),
        ["data2.db.lock"],
        "a refused start makes no database"
    );
}

#[test]
fn a_second_instance() {
    let place = Place::with(&format!("server: {{port: 0}}\n{MOCK}"));
    let first = place.listen(&[]);
    let pid = format!("process {}", first.pid());
    refused(&place, 1, &["data2.db is in use by another inboxclaw", &pid, "stop it first"]);
    // The first one is as well as before, and still known by its run file.
    place.await_health();
    assert_eq!(first.stop("-TERM").0, 0);
}

#[test]
fn the_database_of_the_forerunner_stays_untouched() {
    let place = Place::with(&format!("server: {{port: 0}}\n{MOCK}"));
    std::fs::create_dir(place.path("data")).unwrap();
    let path = place.path("data/data2.db");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch(
        "CREATE TABLE sources (id INTEGER NOT NULL, name VARCHAR NOT NULL, type VARCHAR NOT NULL, cursor VARCHAR,
            PRIMARY KEY (id), UNIQUE (name));
         CREATE TABLE sinks (id INTEGER NOT NULL, name VARCHAR NOT NULL, type VARCHAR NOT NULL,
            PRIMARY KEY (id), UNIQUE (name));
         CREATE TABLE events (id INTEGER NOT NULL, event_id VARCHAR NOT NULL, source_id INTEGER NOT NULL,
            event_type VARCHAR NOT NULL, entity_id VARCHAR, created_at DATETIME, occurred_at DATETIME, data JSON,
            meta JSON, PRIMARY KEY (id), CONSTRAINT _source_event_uc UNIQUE (source_id, event_id),
            FOREIGN KEY(source_id) REFERENCES sources (id));
         INSERT INTO sources VALUES (1, 'mock', 'mock', NULL);
         INSERT INTO events VALUES (1, 'e', 1, 'mock.random_number', NULL, '2026-11-22 06:46:20.047621', NULL, '{}', '{}');",
    )
    .unwrap();
    drop(db);
    let before = std::fs::read(&path).unwrap();
    refused(&place, 1, &["data2.db", "not touched", "database.db_path"]);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let events = place.run(&["events"]);
    assert_eq!(events.code, 1, "{events:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}
