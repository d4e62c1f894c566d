//! The configurations in `examples/forerunner`, in the forms that the Python program documents: each is accepted, and
//! those that hand events on do what they say.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::support::{Place, Running};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/forerunner")
}

/// A place with this example, and a server for what it posts.
fn place(name: &str) -> (Place, Receiver) {
    let place = Place::with(&std::fs::read_to_string(folder().join(format!("{name}.yaml"))).unwrap());
    let receiver = Receiver::new();
    place.write(".env", &format!("RECEIVER={}\nHOOK_TOKEN=a-token-of-ours\n", receiver.address));
    for name in ["config.yaml", ".env"] {
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(place.path(name), private).unwrap();
    }
    std::fs::create_dir(place.path("watched")).unwrap();
    (place, receiver)
}

/// The same, running, and past the first look of its sources.
fn running(name: &str) -> (Place, Receiver, Running) {
    let (place, receiver) = place(name);
    let running = place.listen(&["--port", "0"]);
    place.await_health();
    (place, receiver, running)
}

/// Asks until there is an answer.
fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The lines of a file once there are so many.
fn lines(place: &Place, name: &str, count: usize) -> Vec<String> {
    until(name, || {
        let text = std::fs::read_to_string(place.path(name)).ok()?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (text.ends_with('\n') && lines.len() >= count).then_some(lines)
    })
}

/// The event with this `event_id` as the log has it: what a sink should have handed on, as compact JSON.
fn envelope(place: &Place, event_id: &str, source: u64) -> Value {
    let ran = place.run(&["events", "--json", "-n", "500"]);
    let events: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    let event = events.into_iter().find(|event| event["event_id"] == event_id).expect("it is in the log");
    json!({
        "id": event["id"], "event_id": event["event_id"], "event_type": event["event_type"],
        "entity_id": event["entity_id"], "created_at": event["created_at"], "data": event["data"],
        "source": {"id": source, "name": event["source"]}, "meta": event["meta"],
    })
}

/// The envelope in the log of the event in this one.
fn logged(place: &Place, body: &Value) -> Value {
    envelope(place, body["event_id"].as_str().unwrap(), body["source"]["id"].as_u64().unwrap())
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn every_example_is_accepted() {
    // What is said of an example that holds what has no meaning here, or a file that is not there.
    let expected: &[(&str, &[&str])] = &[
        ("gmail", &["token_file"]),
        ("google-calendar", &["token_file", "show_deleted", "single_events", "collapse_recurring_events"]),
        ("google-drive", &["token_file", "include_removed", "bootstrap_mode"]),
        ("win11toast", &["sink.toast"]),
        ("yaml-forms", &["database.echo"]),
    ];
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let (place, _receiver) = place(&name);
        let ran = place.run(&["check", "--json"]);
        assert_eq!(ran.code, 0, "{name}: {ran:?}");
        let warnings = parsed(&ran.out)["warnings"].as_array().unwrap().clone();
        let expected = expected.iter().find(|(of, _)| *of == name).map_or(&[][..], |(_, parts)| parts);
        assert_eq!(warnings.len(), expected.len(), "{name}: {warnings:#?}");
        for part in expected {
            assert!(
                warnings.iter().any(|warning| warning.to_string().contains(part)),
                "{name}: {warnings:#?}"
            );
        }
    }
}

#[test]
fn a_webhook_gets_the_envelope() {
    for name in ["webhook", "webhook-no-ttl"] {
        let (place, receiver, _running) = running(name);
        let posted = receiver.next();
        assert_eq!(posted.line, "POST /hook HTTP/1.1");
        assert_eq!(posted.header("content-type"), Some("application/json"));
        let body = parsed(&posted.body);
        assert_eq!(body["event_type"], "mock.random_number");
        assert_eq!(
            posted.body,
            logged(&place, &body).to_string(),
            "compact, keys in the order of the envelope"
        );
    }
}

#[test]
fn a_webhook_has_the_headers_that_are_given() {
    let (place, receiver) = place("webhook-headers");
    let ran = place.run(&["sink", "test", "hook"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let posted = receiver.next();
    for (name, value) in [
        ("authorization", "Bearer a-token-of-ours"),
        ("x-environment", "production"),
        ("user-agent", "my-inbox/1.0"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(posted.header(name), Some(value));
    }
}

#[test]
fn a_payload_keeps_types() {
    let (place, receiver) = place("webhook-payload");
    let data = r#"{"number": 42, "text": "two words", "float": 1.50, "big": 12345678901234567890123}"#;
    place.write(
        "event.json",
        &format!(
            r#"{{"id": 7, "event_id": "e 1", "event_type": "mock.random_number", "entity_id": null,
                "created_at": "2026-11-22T06:46:26.063532", "source": {{"id": 3, "name": "mock"}}, "data": {data}}}"#
        ),
    );
    let ran = place.run(&["sink", "test", "hook", "--event", "event.json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let body = receiver.next().body;
    let compact = r#"{"number":42,"text":"two words","float":1.50,"big":12345678901234567890123}"#;
    assert!(body.starts_with(r#"{"title":"mock.random_number","event":"e 1","number":42,"data":"#), "{body}");
    assert!(
        body.contains(r#""float":1.50"#) || body.contains(r#""float": 1.50"#),
        "as it was spelled: {body}"
    );
    let body = parsed(&body);
    assert_eq!(body["data"], parsed(data));
    assert_eq!(body["as_text"], data, "its JSON with blanks");
    assert_eq!(parsed(body["everything"].as_str().unwrap())["event_id"], "e 1");
    assert_eq!(body["nothing"], Value::Null);
    let name = parsed(body["everything"].as_str().unwrap())["source"]["name"].as_str().unwrap().to_owned();
    assert_eq!(body["message"], format!("Event e 1 of {name}: 42||"));
    assert_eq!(body["json"], format!("Data: {compact}"));
    assert_eq!(
        body["nested"][1],
        json!({"entity": null, "flag": true, "level": 3, "ratio": 0.5, "none": null})
    );
    assert!(body["nested"][0].is_number());
    assert_eq!(body["channel"], "a #channel for $5 x");
}

#[test]
fn each_sink_takes_what_it_matches() {
    let (place, _receiver, _running) = running("match");
    place.write("watched/note.txt", "one");
    until("the file is seen", || place.run(&["events"]).out.contains("fs.file_created").then_some(()));
    place.write("watched/note.txt", "one and two");
    until("its change is seen", || place.run(&["events"]).out.contains("fs.file_updated").then_some(()));
    std::fs::remove_file(place.path("watched/note.txt")).unwrap();
    let read = |sink: &str| -> Vec<String> {
        let files = std::fs::read_dir(place.path(sink)).into_iter().flatten();
        let text: String = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
        let types = text.lines().map(|line| parsed(line)["event_type"].as_str().unwrap().to_owned());
        let mut types: Vec<String> = types.filter(|name| !name.starts_with("inboxclaw.")).collect();
        types.dedup();
        types
    };
    let has = |sink: &str, wanted: &[&str]| {
        until(sink, || {
            let found = read(sink);
            wanted.iter().all(|name| found.iter().any(|found| found == name)).then_some(found)
        })
    };
    let all = ["fs.file_created", "fs.file_updated", "fs.file_deleted"];
    has("everything", &[&all[..], &["mock.random_number"]].concat());
    assert_eq!(has("prefix", &all), all);
    assert_eq!(has("one", &all[..1]), all[..1]);
    let list = has("list", &["fs.file_updated", "mock.random_number"]);
    assert!(list.iter().all(|name| name == "fs.file_updated" || name == "mock.random_number"), "{list:?}");
    assert_eq!(has("but", &all[..2]), all[..2]);
    assert_eq!(has("only_exclusion", &["mock.random_number"]), ["mock.random_number"]);
    assert!(read("none").is_empty());
}

#[test]
fn times_to_live_by_type_let_through_what_is_new() {
    let (place, receiver, _running) = running("webhook-ttl");
    place.write("watched/note.txt", "one");
    let created = parsed(&receiver.next().body);
    assert_eq!(
        (&created["event_type"], &created["entity_id"]),
        (&json!("fs.file_created"), &json!("note.txt"))
    );
    std::fs::remove_file(place.path("watched/note.txt")).unwrap();
    until("its end is seen", || place.run(&["events"]).out.contains("fs.file_deleted").then_some(()));
    place.write("watched/other.txt", "two");
    let next = parsed(&receiver.next().body);
    assert_eq!(next["entity_id"], "other.txt", "the end of the first one is excluded");
}

/// The answer to a request: status line and body.
fn ask(running: &Running, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(&running.address).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", running.address).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn pull_has_the_paths_that_are_given() {
    let (place, _receiver, running) = running("pull-path");
    place.await_output(&["pull", "--name", "inbox"]);
    for (extract, confirm) in [("inbox/get", "inbox/done"), ("http_pull/next", "http_pull/mark-processed")] {
        let (status, body) = ask(&running, &format!("GET /{extract}?batch_size=1"));
        assert_eq!(status, "HTTP/1.1 200 OK");
        let batch = parsed(&body);
        assert_eq!(batch["events"][0], logged(&place, &batch["events"][0]), "{extract}");
        let (_, marked) = ask(&running, &format!("POST /{confirm}?batch_id={}", batch["batch_id"]));
        assert_eq!(marked, r#"{"status":"success","marked_count":1}"#, "{confirm}");
    }
    for other in ["GET /inbox/extract", "GET /http_pull/extract", "POST /inbox/mark-processed?batch_id=1"] {
        assert_eq!(ask(&running, other).0, "HTTP/1.1 404 Not Found", "{other}");
    }
}

#[test]
fn streams_have_the_paths_that_are_given() {
    let (place, _receiver, running) = running("sse");
    for path in ["/alerts/live", "/sse/"] {
        let mut stream = TcpStream::connect(&running.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", running.address).unwrap();
        let lines = BufReader::new(stream).lines().map(|line| line.unwrap());
        let mut data = lines.filter_map(|line| line.strip_prefix("data: ").map(str::to_owned));
        assert_eq!(data.next().as_deref(), Some("connected"), "{path}");
        let event = parsed(&data.find(|data| data.starts_with('{')).unwrap());
        assert_eq!(event, logged(&place, &event), "{path}");
    }
}

/// What the Python program took and this one does not, with what to do instead.
#[test]
fn what_is_refused_says_what_to_do() {
    let command =
        |text: &str| format!("sources: {{}}\nsink: {{a: {{type: command, command: {}}}}}\n", json!(text));
    let way_out =
        "write `command` as a list of arguments, which no shell reads, or take the event from standard input";
    let text = |text: &str| text.to_owned();
    for (config, said) in [
        (command("echo $(echo #root.id)"), way_out),
        (command("bash -c 'echo #root.id'"), way_out),
        (command("cat <<EOF\n$root\nEOF"), way_out),
        (command("#root.data.program x"), way_out),
        (
            text("server: {host: 0.0.0.0}\nsources: {}\nsink: {}\n"),
            "set server.token, or server.allow_anonymous",
        ),
        (
            text("sources: {}\nsink: {a: {type: webhook, url: 'http://a.b/', retry_interval: 0}}\n"),
            "it must be at least 1s",
        ),
        (
            text("sources: {}\nsink: {a: {type: sse, heartbeat_timeout: 0.5}}\n"),
            "it must be at least 1 second",
        ),
        (
            text("sources: {mock: {coalesce: [{match: a, strategy: batch, window: 0}]}}\nsink: {}\n"),
            "the window is 0 seconds, it must be longer",
        ),
        (
            text(
                "sources: {mock: {coalesce: [{match: a, strategy: batch, window: 5, aggregation: sum}]}}\nsink: {}\n",
            ),
            "expected one of `latest`, `merge`, `list`",
        ),
        (text("sources: {}\nsink: {a: {type: diary, path: x}}\n"), "not available in this version yet"),
        (text("sources: {}\nsink: {sse: }\n"), "without settings write `sse: {}`"),
    ] {
        let ran = Place::with(&config).run(&["check"]);
        assert!(ran.code == 1 && ran.out.contains(said), "{config}: {ran:?}");
    }
    let ran = Place::with("sources: {}\nsink:\n  a:\n    type: command\n    command: echo #root.id\n")
        .run(&["check"]);
    assert!(ran.code == 0 && ran.err.contains("config.yaml:5:18: sink.a.command: `#root` behind"), "{ran:?}");
}

#[test]
fn a_text_for_the_shell_runs_with_values_as_they_are() {
    let (place, _receiver, _running) = running("command-text");
    let name = "it's $(touch bad) `x` \"y\".txt";
    place.write(&format!("watched/{name}"), "one");
    let runs = lines(&place, "runs.txt", 1);
    assert_eq!(runs, [format!("fs.file_created|{name}|path {name}")]);
    let whole = lines(&place, "whole.txt", 1);
    assert_eq!(whole[0], logged(&place, &parsed(&whole[0])).to_string());
    assert!(!place.has("bad"));
}

#[test]
fn arguments_in_a_list_are_filled_in() {
    let (place, _receiver, _running) = running("command-list");
    let run = until("a run", || place.names().into_iter().find(|name| name.starts_with("run-")));
    let input = lines(&place, &run, 1);
    let body = parsed(&input[0]);
    assert_eq!(run, format!("run-{}", body["id"]));
    assert_eq!(
        input,
        [logged(&place, &body).to_string()],
        "one run, with the envelope on its standard input"
    );
}

#[test]
fn many_events_are_one_run_with_their_list() {
    let (place, _receiver, _running) = running("command-batch");
    // Moved into place at once, so that one look of the source finds all of them.
    std::fs::create_dir(place.path("beside")).unwrap();
    for n in 0..5 {
        place.write(&format!("beside/{n}.txt"), &format!("text {n}"));
    }
    std::fs::rename(place.path("beside"), place.path("watched/in")).unwrap();
    let batch = parsed(&lines(&place, "batch.txt", 1)[0]);
    let batch = batch.as_array().unwrap();
    assert_eq!(batch.len(), 5);
    for event in batch {
        assert_eq!(*event, logged(&place, event));
    }
    let mut paths: Vec<&str> = batch.iter().map(|event| event["data"]["path"].as_str().unwrap()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["in/0.txt", "in/1.txt", "in/2.txt", "in/3.txt", "in/4.txt"]);
    place.write("watched/alone.txt", "x");
    assert_eq!(lines(&place, "single.txt", 1), ["alone.txt"]);
    assert_eq!(lines(&place, "batch.txt", 1).len(), 1, "one event is below the threshold");
}

#[test]
fn several_sinks_have_the_same_events() {
    let (place, receiver, _running) = running("several-sinks");
    let posted = receiver.next();
    let body = parsed(&posted.body);
    assert_eq!(posted.line, "POST /all HTTP/1.1");
    assert_eq!(posted.body, logged(&place, &body).to_string());
    let pulled = parsed(&place.await_output(&["pull", "--name", "inbox"]));
    assert_eq!(pulled["events"][0], body);
    assert_eq!(lines(&place, "runs.txt", 1)[0], body["id"].to_string());
    let archive = until("the archive", || std::fs::read_dir(place.path("archive")).ok()?.next());
    let archive = archive.unwrap().file_name().into_string().unwrap();
    assert_eq!(parsed(&lines(&place, &format!("archive/{archive}"), 1)[0]), body);
    assert!(receiver.waiting().iter().all(|posted| posted.line.starts_with("POST /all ")));
}

#[test]
fn debounce_waits_until_nothing_more_happens() {
    let (place, receiver, _running) = running("coalesce-debounce");
    let pending = || parsed(&place.run(&["pending-events", "--json"]).out);
    until("two numbers wait", || (pending()[0]["count"].as_u64()? >= 2).then_some(()));
    assert_eq!(place.run(&["source", "pause", "mock"]).code, 0);
    let posted = receiver.next();
    let body = parsed(&posted.body);
    assert_eq!(posted.body, logged(&place, &body).to_string());
    assert!(body["event_id"].as_str().unwrap().starts_with("coalesced:"), "{body}");
    assert!(body["meta"]["coalesced_count"].as_u64().unwrap() >= 2 && body["meta"]["coalesced"] == true);
    assert!(body["meta"]["first_seen_at"].as_str() < body["meta"]["last_seen_at"].as_str());
    assert_eq!(body["data"].as_object().unwrap().len(), 1, "the data of the last one: {body}");
    assert!(receiver.waiting().is_empty(), "nothing came by itself");
}

#[test]
fn a_batch_ends_at_its_window() {
    let (place, receiver, _running) = running("coalesce-batch");
    for _ in 0..2 {
        let posted = receiver.next();
        let body = parsed(&posted.body);
        assert_eq!(posted.body, logged(&place, &body).to_string());
        assert_eq!(
            (&body["event_type"], &body["entity_id"]),
            (&json!("mock.random_number"), &json!("mock-mock"))
        );
        assert!(body["meta"]["coalesced_count"].as_u64().is_some_and(|count| count >= 2), "{body}");
    }
}
