//! Lines as they are written and read, and what is wrong with broken ones.

use inboxclaw_contract::limits::{JSON_DEPTH, KEY_BYTES};
use proptest::prelude::*;

use super::*;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap()
}

fn entry(key: &str, value: &str) -> Entry {
    Entry {
        key: key.into(),
        value: Json::new(value).unwrap(),
        revision: Version(7),
        created_at: at(1_700_000_000_000_001),
        updated_at: at(1_700_000_001_000_000),
        expires_at: None,
        secret: false,
    }
}

fn written(entry: &Entry, secrets: bool) -> String {
    let mut out = String::new();
    write_entry(&mut out, entry, secrets);
    out
}

/// Reads at a time that no line tells.
fn read(line: &str) -> Result<Line, String> {
    parse(line, at(1))
}

#[test]
fn lines_look_like_this() {
    let mut some = entry("a/\"b\"", "{\"n\": 1e400}");
    assert_eq!(
        written(&some, false),
        "{\"key\":\"a/\\\"b\\\"\",\"value\":{\"n\": 1e400},\"revision\":7,\
         \"created_at\":\"2023-11-14T22:13:20.000001Z\",\"updated_at\":\"2023-11-14T22:13:21Z\"}\n"
    );
    some.secret = true;
    some.expires_at = Some(at(1_700_000_002_000_000));
    assert_eq!(
        written(&some, false),
        "{\"key\":\"a/\\\"b\\\"\",\"revision\":7,\"created_at\":\"2023-11-14T22:13:20.000001Z\",\
         \"updated_at\":\"2023-11-14T22:13:21Z\",\"expires_at\":\"2023-11-14T22:13:22Z\",\"secret\":true}\n"
    );
    assert_eq!(read(&written(&some, false)), Ok(Line::Hidden("a/\"b\"".into())));
    assert_eq!(read(&written(&some, true)), Ok(Line::Entry(some)));
    let snapshot =
        Snapshot { version: Version(3), cursor: Some("c\n".into()), now: at(1_700_000_000_000_000) };
    let head = head("source:é", "fake", &snapshot);
    assert_eq!(
        head,
        "{\"inboxclaw\":\"state\",\"format\":1,\"owner\":\"source:é\",\"connector\":\"fake\",\"version\":3,\
         \"cursor\":\"c\\n\",\"at\":\"2023-11-14T22:13:20Z\"}\n"
    );
    assert_eq!(read(&head), Ok(Line::Head { cursor: Some(Some("c\n".into())) }));
}

#[test]
fn values_come_back_byte_for_byte_on_one_line() {
    let deep = format!("{}{}", "[".repeat(JSON_DEPTH), "]".repeat(JSON_DEPTH));
    let values = [
        "1e400",
        "123456789012345678901234567890",
        "-0.0",
        "\"\\u0000\\ud83d\\ude00\"",
        "{\"b\": 1,\t\"a\":[ ]}",
        "{\n  \"a\": \"\\n\",\r\n  \"b\": \"\\\\\"\n}",
        "null",
        &deep,
    ];
    for value in values {
        let entry = entry("k", value);
        let line = written(&entry, false);
        assert_eq!(line.matches(['\n', '\r']).count(), 1, "{value}");
        assert_eq!(read(&line), Ok(Line::Entry(entry)), "{value}");
    }
}

#[test]
fn only_key_and_value_are_needed() {
    let minimal = Entry { revision: Version(0), created_at: at(1), updated_at: at(1), ..entry("k", "1") };
    assert_eq!(read(r#" {"value": 1, "key": "k"}"#), Ok(Line::Entry(minimal.clone())));
    let never = r#"{"key": "k", "value": 1, "expires_at": null, "secret": false}"#;
    assert_eq!(read(never), Ok(Line::Entry(minimal)));
    assert_eq!(read(r#"{"inboxclaw": "state", "format": 1}"#), Ok(Line::Head { cursor: None }));
    let cleared = r#"{"inboxclaw": "state", "format": 1, "cursor": null}"#;
    assert_eq!(read(cleared), Ok(Line::Head { cursor: Some(None) }));
}

#[test]
fn what_is_wrong_is_named() {
    let long = format!(r#"{{"key":"{}","value":1}}"#, "k".repeat(KEY_BYTES + 1));
    for (line, reason) in [
        ("[1]", "expected a JSON object, found an array"),
        ("what", "expected a JSON object, found no JSON"),
        (r#"{"key":"k","value":1"#, "EOF while parsing an object at column 20"),
        (r#"{"key":"k","value":1}}"#, "trailing characters at column 22"),
        (r#"{"value":1}"#, "key: missing"),
        (r#"{"key":"k"}"#, "value: missing"),
        (r#"{"key":"","value":1}"#, "key: the key is empty"),
        (r#"{"key":"a\u0007","value":1}"#, "key: the key holds the control character U+0007 at byte 1"),
        (&long, "key: the key has 2049 bytes, the limit is 2048"),
        (r#"{"key":1,"value":1}"#, "key: expected a string, found a number"),
        (r#"{"key":"k","value":{"a":1,"a":2}}"#, "value: duplicate key \"a\" at byte 7"),
        (r#"{"key":"k","value":1,"text":"1"}"#, "text: there is a value already"),
        (r#"{"key":"k","text":"["}"#, "text: unexpected end, expected a value at byte 1"),
        (
            r#"{"key":"k","value":1,"revision":1.5}"#,
            "revision: expected an integer of 64 bits, found a number",
        ),
        (r#"{"key":"k","value":1,"secret":"x"}"#, "secret: expected true or false, found a string"),
        (
            r#"{"key":"k","value":1,"created_at":"soon"}"#,
            "created_at: expected a time such as 2024-05-01T12:00:00Z, found \"soon\"",
        ),
        (r#"{"key":"k","value":1,"updated_at":null}"#, "updated_at: expected a string, found null"),
        (
            r#"{"key":"k","value":1,"format":1}"#,
            "unknown field \"format\", those of an entry are key, value, text, revision, created_at, updated_at, \
             expires_at, secret",
        ),
        (r#"{"inboxclaw":"other"}"#, "inboxclaw: expected \"state\", found \"other\""),
        (r#"{"inboxclaw":"state"}"#, "format: missing in the head"),
        (r#"{"inboxclaw":"state","format":2}"#, "format: this program reads 1, found 2"),
        (r#"{"inboxclaw":"state","format":1,"cursor":5}"#, "cursor: expected a string, found a number"),
    ] {
        assert_eq!(read(line), Err(reason.to_owned()), "{line}");
    }
    let starts = [
        (r#"{"key":"k","value":1,"size":1}"#, "unknown field \"size\""),
        (r#"{"key":"k","key":"k","value":1}"#, "the field \"key\" is there twice"),
        (r#"{"key":"\ud800","value":1}"#, "key: "),
    ];
    for (line, reason) in starts {
        assert!(read(line).is_err_and(|found| found.starts_with(reason)), "{line}: {:?}", read(line));
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        key in "[^\\p{Cc}]{1,40}".prop_filter("a key is no dots", |key| key != "." && key != ".."),
        text in ".*",
        times in proptest::array::uniform2(0_i64..4_000_000_000_000_000),
        expires in proptest::option::of(0_i64..4_000_000_000_000_000),
        secret: bool,
    ) {
        let entry = Entry {
            value: Json::from_value(&text).unwrap(),
            created_at: at(times[0]),
            updated_at: at(times[1]),
            expires_at: expires.map(at),
            secret,
            ..entry(&key, "1")
        };
        prop_assert_eq!(read(&written(&entry, true)), Ok(Line::Entry(entry)));
    }

    #[test]
    fn no_line_is_too_much(line in ".*", fields in "\\{\"(key|value|text|secret)\":.{0,20}\\}") {
        let _ = read(&line);
        let _ = read(&fields);
    }
}
