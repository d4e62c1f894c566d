//! The state API, one entry at a time: values as they went in, keys of any text, conditions, expiry, secrets, limits.

use std::time::Duration;

use inboxclaw_contract::store::StateLimits;
use inboxclaw_contract::turn::{EntryChange, Turn, TurnId};
use inboxclaw_contract::{Entry, Json, Owner, Random as _, Version};
use inboxclaw_server::Bounds;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::described::{Api, STATE};
use super::support::Inbox;

/// The path of a key, every character but letters and digits encoded.
fn at(key: &str) -> String {
    format!("{STATE}/{}", utf8_percent_encode(key, NON_ALPHANUMERIC))
}

fn detail(answer: &super::support::Answer) -> String {
    answer.json()["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_value_comes_back_as_it_went_in() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    for (n, value) in [
        r#"{ "z" : 1e400,"a":[12345678901234567890, -0, "\u0000\ud83d\ude00é"] }"#,
        "{\n\t\"lines\": []\n}",
        "null",
        "\"text\"",
        "-1.50",
    ]
    .into_iter()
    .enumerate()
    {
        let path = at(&format!("k{n}"));
        let put = api.put(&path, &format!(" {value}\n")).await;
        let revision = n as i64 + 1;
        assert_eq!(put.status, 201);
        assert_eq!(put.json(), json!({ "key": format!("k{n}"), "revision": revision, "version": revision }));
        let got = api.get(&path).await;
        assert_eq!((got.status, got.body.as_str()), (200, value));
        let etag = format!("\"{revision}\"");
        assert_eq!((put.header("etag"), got.header("etag")), (Some(etag.as_str()), Some(etag.as_str())));
        assert_eq!(got.header("last-modified"), Some("Sun, 22 Nov 2026 06:46:26 GMT"));
        let again = api.put(&path, value).await;
        assert_eq!(
            (again.status, &again.json()["version"]),
            (200, &json!(revision)),
            "an equal value changes nothing"
        );
        let entry = api.get(&format!("{path}?entry=1")).await;
        assert!(entry.body.contains(value), "{}", entry.body);
    }
    let entry = api.get(&format!("{}?entry=1", at("k3"))).await.json();
    let wanted = json!({
        "key": "k3", "value": "text", "revision": 4, "created_at": "2026-11-22T06:46:26.063532Z",
        "updated_at": "2026-11-22T06:46:26.063532Z", "expires_at": null, "size": 6,
    });
    assert_eq!(entry, wanted);
    assert_eq!(api.delete(&at("k3")).await.status, 204);
    assert_eq!((api.get(&at("k3")).await.status, api.delete(&at("k3")).await.status), (404, 404));
}

#[tokio::test]
async fn a_key_may_be_any_text() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    let long = "k".repeat(2_048);
    let mut keys =
        ["a/b", "a%2Fb", "%", "a+b", "a b", " ", "ü", "\u{1f600}", "...", "?x=1&y#z", "\\", "state", &long];
    for key in keys {
        let value = json!(key).to_string();
        assert_eq!(api.put(&at(key), &value).await.status, 201, "{key}");
        assert_eq!(api.get(&at(key)).await.body, value);
    }
    let plain = api.get(&format!("{STATE}/a+b")).await;
    assert_eq!(plain.body, "\"a+b\"", "a plus in a path is a plus");
    keys.sort_unstable();
    let listed: Vec<String> = all_keys(&api, "prefix=").await;
    assert_eq!(listed, keys, "in the order of their bytes");
    for key in keys {
        assert_eq!(api.delete(&at(key)).await.status, 204, "{key}");
    }
    assert_eq!(all_keys(&api, "").await, Vec::<String>::new());
}

/// Clients that tidy up addresses cannot name them. What is there from before can be read and removed.
#[tokio::test]
async fn dots_are_no_new_keys() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    for key in [".", ".."] {
        let refused = api.put(&at(key), "1").await;
        assert_eq!((refused.status, detail(&refused).contains("cannot be used")), (422, true), "{refused:?}");
        let line = format!("{{\"key\":\"{key}\",\"value\":1}}");
        assert_eq!(api.ask("POST", "/api/sources/s/import", &[], &line).await.status, 400);
        let now = inbox.store.snapshot(inbox.source).await.unwrap();
        let mut turn = Turn::new(TurnId(inbox.random.next()), inbox.source, now.version);
        let old = Entry {
            key: key.to_owned(),
            value: Json::new("7").unwrap(),
            revision: now.version,
            created_at: now.now,
            updated_at: now.now,
            expires_at: None,
            secret: false,
        };
        turn.entries.insert(key.to_owned(), EntryChange::Restore(old));
        inbox.store.commit(turn).await.unwrap();
        assert_eq!(api.get(&at(key)).await.body, "7");
        assert_eq!(api.delete(&at(key)).await.status, 204);
        assert_eq!(api.get(&at(key)).await.status, 404);
    }
}

/// The keys of all pages of three.
async fn all_keys(api: &Api, query: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut after = String::new();
    loop {
        let page = api.get(&format!("{STATE}?{query}&limit=3&keys=1{after}")).await.json();
        let entries = page["entries"].as_array().unwrap();
        assert!(entries.iter().all(|entry| entry.get("value").is_none()), "only keys");
        assert!(entries.len() <= 3);
        keys.extend(entries.iter().map(|entry| entry["key"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { return keys };
        after = format!("&after={}", utf8_percent_encode(next, NON_ALPHANUMERIC));
    }
}

#[tokio::test]
async fn a_prefix_is_literal() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    for key in ["a_b", "aXb", "A_B", "a_b:1", "a%", "a%b"] {
        assert_eq!(api.put(&at(key), "1").await.status, 201);
    }
    assert_eq!(all_keys(&api, "prefix=a_b").await, ["a_b", "a_b:1"]);
    assert_eq!(all_keys(&api, "prefix=a%25").await, ["a%", "a%b"]);
    assert_eq!(all_keys(&api, "prefix=A").await, ["A_B"]);
    assert_eq!(api.get(&format!("{STATE}?prefix=a_b:")).await.json()["entries"][0]["value"], 1);
}

/// Nine values of one MiB are two pages.
#[tokio::test]
async fn a_page_ends_at_its_bytes() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    let value = json!("x".repeat((1 << 20) - 2)).to_string();
    for n in 0..9 {
        api.set(&format!("k{n}"), &value).await;
    }
    let page = api.get(STATE).await.json();
    assert_eq!((page["entries"].as_array().unwrap().len(), &page["next"]), (8, &json!("k7")));
    let keys = api.get(&format!("{STATE}?keys=1")).await.json();
    assert_eq!(
        (keys["entries"].as_array().unwrap().len(), &keys["entries"][8]["size"]),
        (9, &json!(1 << 20))
    );
}

#[tokio::test]
async fn a_change_may_have_a_condition() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    let path = at("k");
    let put = async |name, tag: &str, value: &str| {
        let answer = api.ask("PUT", &path, &[(name, tag)], value).await;
        (answer.status, answer.json()["revision"].clone())
    };
    assert_eq!(put("If-Match", "*", "1").await, (412, Value::Null));
    assert_eq!(put("If-Match", "\"1\"", "1").await, (412, Value::Null));
    assert_eq!(put("If-None-Match", "*", "1").await, (201, json!(1)));
    assert_eq!(put("If-None-Match", "*", "2").await, (412, json!(1)));
    assert_eq!(put("If-Match", "\"1\"", "2").await, (200, json!(2)));
    assert_eq!(put("If-Match", "\"1\"", "3").await, (412, json!(2)));
    assert_eq!(put("If-Match", "W/\"2\"", "3").await, (412, json!(2)));
    assert_eq!(put("If-Match", "*", "3").await, (200, json!(3)));
    assert_eq!(put("If-Match", "\"1\", \"3\"", "4").await.0, 400);
    assert_eq!(put("If-None-Match", "\"1\"", "4").await.0, 400);
    let get = async |tag| api.ask("GET", &path, &[("If-None-Match", tag)], "").await;
    let unchanged = get("\"2\", \"3\"").await;
    assert_eq!((unchanged.status, unchanged.header("etag")), (304, Some("\"3\"")));
    assert_eq!((get("\"2\"").await.status, get("*").await.status), (200, 304));
    let delete = async |tag| api.ask("DELETE", &path, &[("If-Match", tag)], "").await.status;
    assert_eq!([delete("\"2\"").await, delete("\"3\"").await, delete("*").await], [412, 204, 412]);
}

#[tokio::test]
async fn a_value_expires_when_it_was_told_to() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    let expiry = async |query: &str| {
        assert!(api.put(&format!("{}{query}", at("k")), "1").await.status < 300, "{query}");
        api.get(&format!("{}?entry=1", at("k"))).await.json()["expires_at"].clone()
    };
    assert_eq!(expiry("").await, Value::Null);
    assert_eq!(expiry("?ttl=5m").await, "2026-11-22T06:51:26.063532Z");
    inbox.wait(60);
    assert_eq!(expiry("").await, "2026-11-22T06:51:26.063532Z", "kept");
    assert_eq!(expiry("?ttl=keep").await, "2026-11-22T06:51:26.063532Z");
    assert_eq!(expiry("?ttl=none").await, Value::Null);
    assert_eq!(expiry("?ttl=2026-11-22T08:00:00%2B01:00").await, "2026-11-22T07:00:00Z");
    inbox.wait(12 * 60 + 33);
    assert_eq!(api.get(&at("k")).await.status, 200);
    inbox.wait(1);
    assert_eq!(api.get(&at("k")).await.status, 404);
    let past = ["2020-01-01T00:00:00Z", "2026-11-22T06:00:00Z", "1969-12-31T23:59:59Z", "0.0000001s"];
    for ttl in ["", "soon", "-5m", "-1", "0", "0s", "2026-11-22"].into_iter().chain(past) {
        for key in ["x", "y"] {
            let answer = api.put(&format!("{}?ttl={ttl}", at(key)), "1").await;
            assert_eq!((answer.status, detail(&answer).starts_with("ttl must be")), (422, true), "{ttl}");
        }
        api.set("y", "1").await;
    }
    assert_eq!(api.get(&at("y")).await.body, "1");
    assert_eq!(api.put(&format!("{}?ttl=9999-12-30T00:00:00Z", at("x")), "1").await.status, 201);
}

#[tokio::test]
async fn secrets_are_masked_unless_asked_for() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    let path = at("token");
    assert_eq!(api.put(&format!("{path}?secret=1"), "\"hidden\"").await.status, 201);
    let denied = api.get(&path).await;
    assert_eq!((denied.status, denied.body.contains("hidden")), (403, false));
    for (query, shown) in [("", Value::Null), ("secrets=0&", Value::Null), ("secrets=1&", json!("hidden"))] {
        let one = api.get(&format!("{path}?{query}entry=1")).await.json();
        let listed = api.get(&format!("{STATE}?{query}")).await.json()["entries"][0].clone();
        for entry in [one, listed] {
            assert_eq!(
                (&entry["secret"], &entry["value"], &entry["size"]),
                (&json!(true), &shown, &json!(8))
            );
        }
    }
    assert_eq!(api.get(&format!("{path}?secrets=1")).await.body, "\"hidden\"");
    api.set("token", "\"newer\"").await;
    assert_eq!(api.get(&path).await.status, 403, "it stays a secret");
    assert_eq!(api.put(&format!("{path}?secret=0"), "\"plain\"").await.status, 200);
    assert_eq!(api.get(&path).await.body, "\"plain\"");
}

#[tokio::test]
async fn what_cannot_be_taken_is_said() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    let deep = format!("{}{}", "[".repeat(129), "]".repeat(129));
    for (body, status, says) in [
        ("", 400, "line 1, column 1"),
        ("{\n \"é\": x}", 400, "line 2, column 7"),
        ("{\"a\":1,\"a\":2}", 400, "duplicate key"),
        (&deep, 422, "128 levels"),
    ] {
        let answer = api.put(&at("k"), body).await;
        assert_eq!((answer.status, detail(&answer).contains(says)), (status, true), "{answer:?}");
    }
    let large = format!("\"{}\"", "x".repeat(16 << 20));
    let answer = api.put(&at("k"), &large).await;
    assert_eq!((answer.status, detail(&answer).contains("the limit is 16777216")), (413, true), "{answer:?}");
    let largest = format!("\"{}\"", "x".repeat((16 << 20) - 2));
    assert_eq!(api.put(&at("k"), &largest).await.status, 201);
    assert_eq!(api.get(&at("k")).await.body, largest);
    let declared = api.ask("PUT", &at("k"), &[("Content-Length", "99999999")], "").await;
    assert_eq!((declared.status, detail(&declared).contains("the limit is")), (413, true));
    let chunks = format!("1200000\r\n{}\r\n0\r\n\r\n", "x".repeat(0x120_0000));
    let chunked = api.ask("PUT", &at("k"), &[("Transfer-Encoding", "chunked")], &chunks).await;
    assert_eq!(chunked.status, 413);
    for (path, status, says) in [
        (format!("{STATE}/"), 422, "the key is empty"),
        (format!("{STATE}/a%07b"), 422, "U+0007"),
        (at(&"k".repeat(2_049)), 422, "the limit is 2048"),
        (format!("{STATE}/%FF"), 400, "UTF-8"),
        (format!("{STATE}/%4"), 400, "hexadecimal"),
        (format!("{STATE}?limit=0"), 422, "limit must be an integer from 1 to 1000"),
        (format!("{STATE}?keys=yes"), 422, "keys must be 0 or 1"),
        (format!("{STATE}?prefix=%FF"), 400, "UTF-8"),
        (format!("{STATE}?prefix=a%00"), 422, "U+0000"),
        ("/api/sources/nobody/state".to_owned(), 404, "there is no source \"nobody\""),
        ("/api/sinks/s/state".to_owned(), 404, "there is no sink \"s\""),
    ] {
        let answer = api.get(&path).await;
        assert_eq!((answer.status, detail(&answer).contains(says)), (status, true), "{path}: {answer:?}");
    }
    let wrong = api.ask("PATCH", &at("k"), &[], "").await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, HEAD, PUT, DELETE")));
    assert_eq!(
        inbox.store.snapshot(inbox.source).await.unwrap().version,
        Version(1),
        "nothing else was stored"
    );
}

#[tokio::test]
async fn the_limits_of_an_owner_are_named() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    let policy = StateLimits { max_entries: Some(2), max_bytes: Some(20), ..StateLimits::default() };
    inbox.store.set_limits(inbox.source, policy).await.unwrap();
    for (key, value, status, says) in [
        ("a", "1", 201, ""),
        ("b", "\"so many bytes and more\"", 422, "20"),
        ("b", "1", 201, ""),
        ("c", "1", 422, "2"),
        ("b", "2", 200, ""),
    ] {
        let answer = api.put(&at(key), value).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(status < 300 || detail(&answer).contains(says), "{answer:?}");
    }
    assert_eq!(api.all().await, json!({ "a": 1, "b": 2 }));
}

#[tokio::test]
async fn a_body_that_does_not_come_ends_in_time() {
    use tokio::io::AsyncReadExt;
    let inbox = Inbox::new().await;
    let bounds = Bounds { stall_timeout: Duration::from_millis(100), ..Bounds::default() };
    let server = inbox.serve_with(|app| app.bounds = bounds).await;
    let head = format!("PUT {STATE}/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n[1,");
    let mut raw = Vec::new();
    server.send(&head).await.read_to_end(&mut raw).await.unwrap();
    assert!(raw.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&raw));
}

#[tokio::test]
async fn the_cursor_is_a_text_or_none() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    let path = "/api/sources/s/cursor";
    assert_eq!(api.get(path).await.json(), json!({ "cursor": null, "version": 0 }));
    assert_eq!(
        api.put(path, r#"{"cursor":"a\u0000é"}"#).await.json(),
        json!({ "cursor": "a\0é", "version": 1 })
    );
    assert_eq!(api.get(path).await.json(), json!({ "cursor": "a\0é", "version": 1 }));
    assert_eq!(api.delete(path).await.json(), json!({ "cursor": null, "version": 2 }));
    assert_eq!(api.put(path, r#"{"cursor":null}"#).await.json(), json!({ "cursor": null, "version": 2 }));
    for body in ["", "{}", "7", r#"{"cursor":7}"#, r#"{"cursor":"a","x":1}"#] {
        assert_eq!(api.put(path, body).await.status, 400, "{body}");
    }
    let long = json!({ "cursor": "x".repeat((1 << 20) + 1) }).to_string();
    assert_eq!(api.put(path, &long).await.status, 422);
}

#[tokio::test]
async fn every_owner_has_its_own_state_and_is_woken() {
    let inbox = Inbox::new().await;
    let (odd, sink) = (Owner::source("m\u{fc}ll & co"), Owner::sink("s"));
    for owner in [&odd, &sink] {
        inbox.store.register(owner, "test").await.unwrap();
    }
    let api = inbox.api().await;
    for (path, owner) in
        [("sources/m%C3%BCll%20%26%20co", odd), ("sinks/s", sink), ("sources/s", Owner::source("s"))]
    {
        let path = format!("/api/{path}/state/k");
        assert_eq!(api.get(&path).await.status, 404, "{path}");
        assert_eq!(api.put(&path, "1").await.status, 201);
        assert_eq!(inbox.woken.take(), [owner]);
        assert_eq!(api.get(&path).await.status, 200);
        assert!(inbox.woken.take().is_empty(), "a look wakes nobody");
    }
}
