//! `sink test` and `stats`, as a person meets them.

use serde_json::Value;

use crate::support::Place;

const CONFIG: &str = "server: {port: 0}\nsources: {mock: {interval: 0.05}}\n\
    sink: {days: {type: folder, path: days}, inbox: {type: http_pull}, sse: {}}\n";

#[test]
fn one_event_goes_to_a_sink_that_pushes_and_nothing_is_stored() {
    let place = Place::with(CONFIG);
    let ran = place.run(&["sink", "test", "days", "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((told["done"].as_bool(), told["outcome"].as_str()), (Some(true), Some("done")));
    assert_eq!(told["event_type"], "inboxclaw.sink.test");
    assert!(told["message_id"].as_str().unwrap().ends_with(".r0"), "{told}");
    assert_eq!(place.names(), ["config.yaml", "days"], "no database was made");
    let file = std::fs::read_dir(place.path("days")).unwrap().next().unwrap().unwrap().path();
    assert!(std::fs::read_to_string(file).unwrap().contains("inboxclaw.sink.test"));
}

#[test]
fn the_event_of_a_file_is_sent() {
    let place = Place::with(CONFIG);
    place.write(
        "event.json",
        r#"{"id": 7, "event_type": "a.b", "created_at": "2026-11-22T06:46:26.063532", "data": {"x": 1}}"#,
    );
    let ran = place.run(&["sink", "test", "days", "--event", "event.json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.starts_with("sent to days (folder): event 7 a.b, test:"), "{ran:?}");
    assert!(place.read("days/2026-11-22.jsonl").contains(r#""data": {"x": 1}"#));
    for bad in ["[]", r#"{"event_type": "a", "data": [1]}"#, r#"{"data": {}}"#] {
        place.write("event.json", bad);
        let ran = place.run(&["sink", "test", "days", "--event", "event.json"]);
        assert!(ran.code == 1 && ran.err.contains("event.json is no event: "), "{ran:?}");
    }
}

#[test]
fn what_cannot_be_sent_says_why() {
    let place = Place::with(CONFIG);
    for (sink, word) in [
        ("inbox", "`inboxclaw pull --name inbox`"),
        ("sse", "`inboxclaw subscribe --sink sse`"),
        ("dais", "did you mean \"days\"?"),
    ] {
        let ran = place.run(&["sink", "test", sink]);
        assert!(ran.code == 1 && ran.err.contains(word), "{ran:?}");
    }
    place.write("days", "a file where the folder should be");
    let ran = place.run(&["sink", "test", "days"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("the receiver takes nothing for now, after "), "{ran:?}");
    assert!(!ran.err.is_empty());
}

#[test]
fn stats_count_what_was_reported_lately() {
    let place = Place::with(CONFIG);
    assert_eq!(place.run(&["stats"]).code, 1, "no database yet");
    let running = place.listen(&[]);
    place.await_output(&["events", "--source", "mock"]);
    assert_eq!(running.stop("-TERM").0, 0);
    let stats: Value = serde_json::from_str(&place.run(&["stats", "--json"]).out).unwrap();
    let mock = stats["types"].as_array().unwrap().iter().find(|row| row["name"] == "mock.random_number");
    let mock = mock.unwrap();
    assert!(mock["1d"].as_u64().unwrap() > 0 && mock["1d"] == mock["30d"], "{stats}");
    let size = stats["sizes"].as_array().unwrap().iter().find(|row| row["name"] == "mock.random_number");
    let size = size.unwrap();
    assert!((12..=14).contains(&size["average_bytes"].as_u64().unwrap()), "{stats}");
    assert_eq!(size["events"], mock["30d"]);
    let text = place.run(&["stats"]).out;
    for title in ["[Events by Source]", "[Events by Type]", "[Average Event Size (Bytes)]"] {
        assert!(text.contains(title), "{text}");
    }
}
