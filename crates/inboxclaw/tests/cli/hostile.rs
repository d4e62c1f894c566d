//! Text of strangers on a terminal and in the log: names of files, keys, types, ids, answers of who has our port.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use inboxclaw_contract::printable;

use crate::support::Place;

const CONFIG: &str = "server: {port: 0}\nsources: {files: {type: filesystem, path: ./notes, poll_interval: 0.1}}\n\
    sink: {inbox: {type: http_pull}, sse: {}}\n";
/// A forged line, a cleared screen, a turned direction, what cannot be seen.
const NAME: &str = "a\u{1b}[2J\r\n[2026-01-01 00:00:00] forged\u{9b}\u{85}\u{202e}\u{2066}\u{200b}\u{feff}\u{2028}\u{e0041}.txt";

/// Whether a text holds lines of printable text and nothing else.
fn is_printable(text: &str) -> bool {
    text.lines().all(|line| printable(line) == line) && !text.contains('\r')
}

#[test]
fn names_of_files_are_shown_and_not_obeyed() {
    let place = Place::with(CONFIG);
    std::fs::create_dir(place.path("notes")).unwrap();
    let running = place.listen(&[]);
    place.await_health();
    place.write(&format!("notes/{NAME}"), "hello");
    let pulled = place.await_output(&["pull"]);
    assert!(is_printable(&pulled), "{pulled:?}");
    let batch: serde_json::Value = serde_json::from_str(&pulled).unwrap();
    assert_eq!(batch["events"][0]["data"]["path"], NAME, "and it is the same JSON");
    let events = place.run(&["events"]).out;
    assert!(is_printable(&events) && events.lines().count() == 2, "{events:?}");
    assert!(
        events.contains("a\\u001b[2J\\r\\n[2026-01-01 00:00:00] forged\\u009b\\u0085\\u202e"),
        "{events}"
    );
    for args in [
        &["state", "list", "files"][..],
        &["state", "history", "files", "--values"],
        &["status"],
        &["healthcheck"],
    ] {
        let ran = place.run(args);
        assert!(ran.code == 0 && is_printable(&ran.out) && is_printable(&ran.err), "{args:?}: {ran:?}");
    }
    for args in [&["events", "--json"][..], &["pull", "--json"]] {
        let json: serde_json::Value = serde_json::from_str(&place.run(args).out).unwrap();
        let event = if json.is_array() { &json[0] } else { &json["events"][0] };
        assert_eq!(event["data"]["path"], NAME, "{args:?}");
    }
    let (code, log) = running.stop("-TERM");
    assert!(code == 0 && is_printable(&log), "{log:?}");
    place.write(&format!("notes/b{NAME}"), "hello");
    let tested = place.run(&["source", "test", "files"]);
    assert!(tested.code == 0 && is_printable(&tested.out) && is_printable(&tested.err), "{tested:?}");
    assert!(tested.out.contains("ba\\u001b[2J"), "{tested:?}");
}

#[test]
fn keys_and_cursors_are_shown_and_not_obeyed() {
    let place = Place::with(CONFIG);
    let key = "k\u{202e}\u{200b}\u{e0041}";
    let value = "\"\u{9b}\u{202e}\u{feff}\"";
    assert_eq!(place.run(&["state", "set", "files", key, value]).code, 0);
    assert_eq!(place.run(&["state", "cursor", "files", "c\u{1b}[31m\nforged\u{202e}"]).code, 0);
    for args in [
        &["state", "list", "files"][..],
        &["state", "history", "files", "--values"],
        &["status"],
        &["state", "owners"],
        &["state", "get", "files", "other\u{1b}\n\u{202e}"],
        &["state", "delete", "files", "other\n\u{202e}"],
        &["state", "list", "no\u{1b}body\n\u{202e}"],
        &["events", "--source", "no\u{1b}body\n\u{202e}"],
        &["check", "--config", "no\u{1b}thing\n\u{202e}"],
    ] {
        let ran = place.run(args);
        assert!(is_printable(&ran.out) && is_printable(&ran.err), "{args:?}: {ran:?}");
        assert!(
            !(ran.out + &ran.err)
                .lines()
                .any(|line| line.starts_with("forged") || line.starts_with('\u{5c}'))
        );
    }
    // A pipe gets every byte.
    assert_eq!(place.run(&["state", "get", "files", key]).out, format!("{value}\n"));
    assert_eq!(place.run(&["state", "list", "files", "--keys"]).out, format!("{key}\n"));
    let undone = place.run(&["state", "undo", "files"]);
    assert!(undone.code == 0 && is_printable(&undone.err), "{undone:?}");
}

#[test]
fn an_answer_of_somebody_else_is_shown_and_not_obeyed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let body = "gone\u{1b}[2J\r\nforged\u{202e}";
            let head =
                format!("HTTP/1.1 410 Gone\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    let place = Place::with(&CONFIG.replace("port: 0", &format!("port: {port}")));
    for args in [
        &["pull"][..],
        &["pull-mark-processed", "--batch-id", "1"],
        &["healthcheck"],
        &["status"],
        &["subscribe"],
    ] {
        let ran = place.run(args);
        assert!(is_printable(&ran.out) && is_printable(&ran.err), "{args:?}: {ran:?}");
        assert!(!(ran.out + &ran.err).lines().any(|line| line.starts_with("forged")), "{args:?}");
    }
}
