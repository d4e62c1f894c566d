//! The state API, many entries at once: deletion by prefix and age, export and import, copies.

use inboxclaw_contract::Owner;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::described::{Api, STATE};
use super::support::Inbox;

const OWNER: &str = "/api/sources/s";
const LINES: [(&str, &str); 1] = [("Accept", "application/x-ndjson")];

/// The last line of a streamed answer; those before are about progress.
fn last(body: &str) -> Value {
    let lines: Vec<Value> = body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (last, before) = lines.split_last().unwrap();
    assert!(before.iter().all(|line| line["progress"]["done"].is_u64()), "{body}");
    last.clone()
}

async fn with_target(inbox: &Inbox) -> Api {
    inbox.store.register(&Owner::source("t"), "test").await.unwrap();
    inbox.store.register(&Owner::sink("t"), "test").await.unwrap();
    inbox.api().await
}

#[tokio::test]
async fn entries_go_by_prefix_and_age() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    for key in ["a:1", "a:2", "b:1"] {
        api.set(key, "1").await;
    }
    inbox.wait(3_600);
    api.set("a:1", "2").await;
    api.set("a:3", "1").await;
    inbox.woken.take();
    let gone = |entries, version, dry_run| json!({ "entries": entries, "bytes": entries * 4, "version": version, "dry_run": dry_run });
    let ask = async |query: &str| {
        let answer = api.delete(&format!("{STATE}?{query}")).await;
        (answer.status, answer.json())
    };
    assert_eq!(ask("prefix=a:&dry_run=1").await, (200, gone(3, 5, true)));
    assert_eq!(ask("prefix=a:&older_than=30m&dry_run=1").await, (200, gone(1, 5, true)));
    assert_eq!(ask("prefix=a:&older_than=30m&by=created&dry_run=1").await, (200, gone(2, 5, true)));
    assert!(inbox.woken.take().is_empty(), "nothing was changed");
    assert_eq!(ask("prefix=a:&older_than=30m&by=updated").await.1["entries"], 1);
    assert_eq!(api.all().await, json!({ "a:1": 2, "a:3": 1, "b:1": 1 }));
    let (status, deleted) = ask("prefix=a").await;
    assert_eq!((status, &deleted["entries"], inbox.woken.take().len()), (200, &json!(2), 2));
    assert_eq!(ask("prefix=").await.1["entries"], 1);
    assert_eq!(api.all().await, json!({}));
    assert_eq!(ask("").await.0, 422, "nobody deletes everything by accident");
    for query in
        ["prefix=&older_than=x", "prefix=&by=created", "prefix=&older_than=1d&by=age", "prefix=&dry_run=x"]
    {
        assert_eq!(ask(query).await.0, 422, "{query}");
    }
}

/// A person's deletion is a change like any other, also by age.
#[tokio::test]
async fn what_went_by_its_age_comes_back() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    for key in ["a", "b"] {
        api.set(key, "1").await;
    }
    inbox.wait(3_600);
    api.set("c", "1").await;
    let deleted = api.delete(&format!("{STATE}?prefix=&older_than=30m")).await.json();
    assert_eq!((&deleted["entries"], &deleted["version"]), (&json!(2), &json!(4)));
    assert_eq!(api.all().await, json!({ "c": 1 }));
    let undone = api.post(&format!("{OWNER}/undo"), json!({})).await;
    assert_eq!((undone.status, &undone.json()["undid"]), (200, &json!(4)), "{undone:?}");
    assert_eq!(api.all().await, json!({ "a": 1, "b": 1, "c": 1 }));
}

#[tokio::test]
async fn an_export_is_an_import_elsewhere() {
    let inbox = Inbox::new().await;
    let api = with_target(&inbox).await;
    api.put(&format!("{OWNER}/cursor"), r#"{"cursor":"c"}"#).await;
    for n in 0..50 {
        api.set(&format!("k{n:02}"), &format!("{{ \"n\": {n}, \"big\": 12345678901234567890 }}")).await;
    }
    api.put(&format!("{STATE}/k50?ttl=1h"), "1").await;
    api.put(&format!("{STATE}/secret?secret=1"), "\"hidden\"").await;
    let export = api.get(&format!("{OWNER}/export")).await;
    assert!(!export.body.contains("hidden"));
    assert_eq!(export.body.lines().count(), 1 + 52, "a head and a line for each");
    let target = "/api/sinks/t";
    let import = async |query: &str, headers: &[(&str, &str)], body: &str| {
        api.ask("POST", &format!("{target}/import{query}"), headers, body).await
    };
    inbox.woken.take();
    let brought = import("?mode=replace", &[], &export.body).await;
    assert_eq!(
        (brought.status, &brought.json()["entries"], &brought.json()["secrets"]),
        (200, &json!(52), &json!(1))
    );
    assert_eq!(inbox.woken.take(), [Owner::sink("t")]);
    let path = |key: &str| format!("{target}/state/{key}");
    assert_eq!(api.get(&path("k07")).await.body, "{ \"n\": 7, \"big\": 12345678901234567890 }");
    assert_eq!(
        api.get(&format!("{}?entry=1", path("k50"))).await.json()["expires_at"],
        "2026-11-22T07:46:26.063532Z"
    );
    assert_eq!(api.get(&format!("{target}/cursor")).await.json()["cursor"], "c");
    assert_eq!(api.get(&path("secret")).await.status, 404);
    let whole = api.get(&format!("{OWNER}/export?secrets=1")).await;
    let streamed = import("?mode=merge", &LINES, &whole.body).await;
    assert_eq!(
        (streamed.status, &last(&streamed.body)["result"]["entries"]),
        (200, &json!(52)),
        "{}",
        streamed.body
    );
    assert_eq!(api.get(&format!("{}?secrets=1", path("secret"))).await.body, "\"hidden\"");
    inbox.wait(3_601);
    let late = import("?mode=replace", &[], &whole.body).await.json();
    assert_eq!((&late["entries"], &late["expired"]), (&json!(52), &json!(1)));
}

#[tokio::test]
async fn an_import_of_nothing_replaces_nothing() {
    let inbox = Inbox::new().await;
    let api = with_target(&inbox).await;
    let state = "/api/sinks/t/state";
    api.put(&format!("{state}/a"), "1").await;
    let nothing = api.ask("POST", "/api/sinks/t/import?mode=replace", &[], "").await;
    assert_eq!(nothing.status, 422, "{}", nothing.body);
    assert_eq!(api.get(&format!("{state}/a")).await.body, "1");
    assert_eq!(
        api.ask("POST", "/api/sinks/t/import", &[], "").await.status,
        200,
        "nothing comes to what is there"
    );
}

#[tokio::test]
async fn an_import_is_all_or_nothing() {
    let inbox = Inbox::new().await;
    let api = with_target(&inbox).await;
    api.set("a", "1").await;
    let export = api.get(&format!("{OWNER}/export")).await.body;
    let broken = format!("{export}{{\"key\":\"b\",\"value\":}}\n");
    let path = "/api/sources/t/import";
    let refused = api.ask("POST", path, &[], &broken).await;
    assert_eq!((refused.status, &refused.json()["line"]), (400, &json!(3)), "{refused:?}");
    let streamed = api.ask("POST", path, &LINES, &broken).await;
    assert_eq!((streamed.status, &last(&streamed.body)["error"]["status"]), (200, &json!(400)));
    assert_eq!(api.ask("POST", &format!("{path}?mode=over"), &[], &export).await.status, 422);
    // A client that sends all of it before it reads gets the answer, too.
    let long = format!("{broken}{}", "\n".repeat(30 << 20));
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}",
        long.len()
    );
    let mut tcp = api.server.send(&format!("{head}\r\n\r\n{long}")).await;
    let mut raw = Vec::new();
    tcp.read_to_end(&mut raw).await.unwrap();
    assert!(raw.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&raw));
    let state = api.get("/api/sources/t/state").await.json();
    assert_eq!(state["entries"], json!([]));
    // A client that goes away half-way leaves nothing behind either.
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{export}");
    let mut tcp = api.server.send(&head).await;
    tcp.shutdown().await.unwrap();
    let mut raw = Vec::new();
    tcp.read_to_end(&mut raw).await.unwrap();
    assert!(!raw.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&raw));
    let state = api.get("/api/sources/t/state").await.json();
    assert_eq!(state["entries"], json!([]));
}

/// Far beyond the bound of other bodies, in chunks, with progress.
#[tokio::test]
async fn an_import_may_be_of_any_size() {
    let inbox = Inbox::new().await;
    let api = with_target(&inbox).await;
    api.set("a", "1").await;
    let export = api.get(&format!("{OWNER}/export")).await.body;
    let (head, line) = export.split_once('\n').unwrap();
    let entry: Value = serde_json::from_str(line).unwrap();
    let mut lines = format!("{head}\n");
    for n in 0..12_000 {
        let mut entry = entry.clone();
        entry["key"] = json!(format!("k{n:05}"));
        entry["value"] = json!("x".repeat(300));
        lines.push_str(&format!("{entry}\n"));
    }
    assert!(lines.len() > 4 << 20);
    let chunks: String = lines.as_bytes().chunks(100_000).fold(String::new(), |all, chunk| {
        let chunk = std::str::from_utf8(chunk).unwrap();
        format!("{all}{:x}\r\n{chunk}\r\n", chunk.len())
    });
    let headers = [LINES[0], ("Transfer-Encoding", "chunked")];
    let path = "/api/sources/t/import?mode=replace";
    let answer = api.ask("POST", path, &headers, &format!("{chunks}0\r\n\r\n")).await;
    assert_eq!(last(&answer.body)["result"]["entries"], 12_000, "{}", answer.body);
    let export = api.get("/api/sources/t/export").await.body;
    assert_eq!(export.lines().count(), 12_001);
    let cleared = api.ask("DELETE", "/api/sources/t/state?prefix=", &LINES, "").await;
    assert_eq!(last(&cleared.body)["result"]["entries"], 12_000);
}

#[tokio::test]
async fn entries_are_copied_from_another_owner() {
    let inbox = Inbox::new().await;
    let api = with_target(&inbox).await;
    for key in ["a:1", "a:2", "b:1"] {
        api.set(key, "1").await;
    }
    let copy = async |to: &str, body: Value| {
        let answer = api.post(&format!("/api/{to}/copy"), body).await;
        (answer.status, answer.json())
    };
    let keys = async |owner: &str| {
        let page = api.get(&format!("/api/{owner}/state?keys=1")).await.json();
        page["entries"].as_array().unwrap().iter().map(|entry| entry["key"].clone()).collect::<Value>()
    };
    let (status, brought) = copy("sinks/t", json!({ "from": "source:s", "prefix": "a:" })).await;
    assert_eq!((status, &brought["entries"]), (200, &json!(2)));
    assert_eq!(keys("sinks/t").await, json!(["a:1", "a:2"]));
    assert_eq!(copy("sources/t", json!({ "from": "s", "mode": "replace" })).await.1["entries"], 3);
    assert_eq!(keys("sources/t").await, json!(["a:1", "a:2", "b:1"]));
    for (body, status) in [
        (json!({ "from": "t" }), 422),
        (json!({ "from": "source:s" }), 422),
        (json!({ "from": "sink:s" }), 404),
        (json!({ "from": "nobody" }), 404),
        (json!({ "from": "source:t", "mode": "over" }), 400),
        (json!({}), 400),
    ] {
        assert_eq!(copy("sources/s", body.clone()).await.0, status, "{body}");
    }
}
