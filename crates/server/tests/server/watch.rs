//! The state API: watching a state.

use std::sync::Arc;
use std::time::Duration;

use inboxclaw_contract::turn::{EntryChange, Turn, TurnId};
use inboxclaw_contract::{Expiry, Json, Outcome, Random as _, Version};
use inboxclaw_server::Bounds;
use inboxclaw_server::states::Watch;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::described::{Api, STATE};
use super::support::{Inbox, Running, Stream};

const WATCH: &str = "/api/sources/s/watch";

/// A message: its id, its name, its data.
type Message = (Option<i64>, String, Value);

fn parsed(message: &str) -> Message {
    let field = |name: &str| message.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    let data = serde_json::from_str(&field("data: ").unwrap()).unwrap();
    (field("id: ").map(|id| id.parse().unwrap()), field("event: ").unwrap(), data)
}

impl Stream {
    /// The next message that is no comment.
    async fn told(&mut self) -> Message {
        loop {
            let message = self.message().await.expect("the stream goes on");
            if message.contains("event: ") {
                return parsed(&message);
            }
        }
    }
}

impl Inbox {
    /// One turn with some changes: a value to put, or none to delete.
    async fn turn(&self, changes: &[(&str, Option<&str>)], expiry: Expiry) {
        let base = self.store.snapshot(self.source).await.unwrap().version;
        let mut turn = Turn::new(TurnId(self.random.next()), self.source, base);
        for (key, value) in changes {
            let change = match value {
                Some(value) => EntryChange::Put { value: Json::new(*value).unwrap(), expiry, secret: false },
                None => EntryChange::Delete,
            };
            turn.entries.insert((*key).to_owned(), change);
        }
        assert!(matches!(self.store.commit(turn).await.unwrap(), Outcome::Committed(_)));
    }

    fn watch(&self, prefix: &str) -> Watch {
        Watch::new(self.states.clone(), self.source, prefix, self.clock.clone())
    }
}

#[tokio::test]
async fn a_watcher_is_told_what_changes() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    api.set("before", "1").await;
    let mut stream = api.server.stream(WATCH, "").await;
    assert_eq!(stream.told().await, (Some(1), "reset".to_owned(), json!({ "version": 1 })));
    api.set("a", "{\n \"x\":\r\n 12345678901234567890 }").await;
    let (id, name, data) = stream.told().await;
    assert_eq!((id, name.as_str()), (Some(2), "change"));
    let at = "2026-11-22T06:46:26.063532Z";
    assert_eq!((&data["version"], &data["at"], &data["author"]), (&json!(2), &json!(at), &json!("http")));
    assert_eq!((&data["key"], &data["op"]), (&json!("a"), &json!("put")));
    assert_eq!(
        (&data["entry"]["value"]["x"], &data["entry"]["revision"]),
        (&json!(12345678901234567890_u64), &json!(2))
    );
    api.delete(&format!("{STATE}/a")).await;
    let (id, _, data) = stream.told().await;
    assert_eq!((id, &data["op"], data.get("entry")), (Some(3), &json!("delete"), None));
    api.put("/api/sources/s/cursor", r#"{"cursor":"c"}"#).await;
    assert_eq!(stream.told().await, (Some(4), "cursor".to_owned(), json!({ "version": 4, "cursor": "c" })));
    api.put(&format!("{STATE}/t?secret=1"), "\"hidden\"").await;
    let (_, _, data) = stream.told().await;
    assert_eq!((&data["entry"]["secret"], &data["entry"]["value"]), (&json!(true), &Value::Null));
    let schemas = ["WatchChange", "WatchReset", "WatchCursor", "WatchExpiry"];
    assert!(schemas.iter().all(|name| api.document()["components"]["schemas"][name].is_object()));
    api.validate(&json!({ "$ref": "#/components/schemas/WatchChange" }), &data);
}

#[tokio::test]
async fn a_watcher_sees_its_prefix_and_only_whole_turns_have_an_id() {
    let inbox = Inbox::new().await;
    let mut watch = inbox.watch("a:");
    assert_eq!(parsed(&watch.next().await.unwrap()).1, "reset");
    inbox.turn(&[("a:1", Some("1")), ("a:2", Some("1")), ("b", Some("1"))], Expiry::Never).await;
    let told = [watch.next().await.unwrap(), watch.next().await.unwrap()].map(|text| parsed(&text));
    assert_eq!(
        (told[0].0, &told[0].2["key"]),
        (None, &json!("a:1")),
        "who stops here has not all of version 1"
    );
    assert_eq!((told[1].0, &told[1].2["key"]), (Some(1), &json!("a:2")));
    inbox.turn(&[("b", Some("2"))], Expiry::Never).await;
    inbox.turn(&[("a:3", Some("1"))], Expiry::Never).await;
    let (id, _, data) = parsed(&watch.next().await.unwrap());
    assert_eq!((id, &data["key"]), (Some(3), &json!("a:3")));
}

/// A client that connects again gets what it missed, as far as history tells.
#[tokio::test]
async fn a_watch_goes_on_after_the_last_id() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    for key in ["a", "b", "c", "b"] {
        api.set(key, &inbox.random.next().to_string()).await;
    }
    let first =
        async |last: &str| api.server.stream(WATCH, &format!("Last-Event-ID: {last}\r\n")).await.told().await;
    let mut stream = api.server.stream(WATCH, "Last-Event-ID: 1\r\n").await;
    let told = [stream.told().await, stream.told().await];
    let keys = told.map(|(id, name, data)| (id, name, data["key"].clone()));
    let change = || "change".to_owned();
    assert_eq!(
        keys,
        [(Some(3), change(), json!("c")), (Some(4), change(), json!("b"))],
        "of each key the last"
    );
    assert_eq!(
        first("99").await,
        (Some(4), "reset".to_owned(), json!({ "version": 4 })),
        "of another database"
    );
    let query = api.server.stream(&format!("{WATCH}?last_event_id=3"), "").await.told().await;
    assert_eq!(query.2["key"], "b");
    for last in ["x", "-1"] {
        let refused = api.ask("GET", WATCH, &[("Last-Event-ID", last)], "").await;
        assert_eq!(refused.status, 422, "{last}");
    }
    // Two hours make no difference to a history of seven days, eight days do.
    inbox.wait(8 * 24 * 3_600);
    while inbox.store.sweep().await.unwrap().more {}
    api.set("d", "1").await;
    assert_eq!(first("1").await.1, "reset");
    assert_eq!(first("4").await.2["key"], "d");
}

/// Who was away hears of what expired meanwhile, as long as it is known; then it is to list again.
#[tokio::test]
async fn a_watch_that_goes_on_is_told_what_expired_meanwhile() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    let put = async |key: &str, ttl: u64| api.put(&format!("{STATE}/{key}?ttl={ttl}s"), "1").await;
    let resume = async |last: &str| api.server.stream(WATCH, &format!("Last-Event-ID: {last}\r\n")).await;
    put("a", 5).await;
    inbox.wait(1);
    put("b", 20).await;
    inbox.wait(5);
    let mut stream = resume("2").await;
    let (id, name, data) = stream.told().await;
    assert_eq!((id, name.as_str(), &data["key"]), (Some(2), "expire", &json!("a")));
    api.set("c", "1").await;
    assert_eq!(stream.told().await.2["key"], "c", "and of nothing else");
    let sweep = async || while inbox.store.sweep().await.unwrap().more {};
    inbox.wait(12);
    sweep().await;
    let reset = || (Some(3), "reset".to_owned(), json!({ "version": 3 }));
    assert_eq!(resume("2").await.told().await, reset(), "what is swept nobody knows");
    // Version 3 was made after that expired.
    api.put("/api/sources/s/cursor", r#"{"cursor":"c"}"#).await;
    assert_eq!(resume("3").await.told().await.1, "cursor");
    put("d", 100).await;
    // Nothing of it is known any more but that nothing expired.
    inbox.wait(8 * 24 * 3_600);
    sweep().await;
    assert_eq!(resume("5").await.told().await.1, "reset");
}

/// A person who only moves an expiry makes a change; the owner itself makes none.
#[tokio::test]
async fn a_moved_expiry_is_told() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    api.set("w", "1").await;
    let mut stream = api.server.stream(WATCH, "Last-Event-ID: 1\r\n").await;
    for (ttl, wanted) in [("1h", json!("2026-11-22T07:46:26.063532Z")), ("none", Value::Null)] {
        assert_eq!(api.put(&format!("{STATE}/w?ttl={ttl}"), "1").await.status, 200);
        let (_, name, data) = stream.told().await;
        assert_eq!(
            (name.as_str(), &data["op"], &data["entry"]["expires_at"]),
            ("change", &json!("put"), &wanted)
        );
        assert_eq!(data["entry"]["revision"], data["version"]);
    }
}

#[tokio::test]
async fn too_much_at_once_is_a_reset() {
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    let mut stream = api.server.stream(WATCH, "").await;
    assert_eq!(stream.told().await.1, "reset");
    let keys: Vec<String> = (0..1_500).map(|n| format!("k{n:04}")).collect();
    let changes: Vec<(&str, Option<&str>)> = keys.iter().map(|key| (key.as_str(), Some("1"))).collect();
    inbox.turn(&changes, Expiry::For(Duration::from_secs(60))).await;
    assert_eq!(stream.told().await, (Some(1), "reset".to_owned(), json!({ "version": 1 })));
    inbox.wait(60);
    assert_eq!(
        stream.told().await,
        (Some(1), "reset".to_owned(), json!({ "version": 1 })),
        "expired at once"
    );
    inbox.turn(&changes, Expiry::Never).await;
    assert_eq!(stream.told().await.0, Some(2));
    // A swap of the whole space.
    api.delete(&format!("{STATE}?prefix=")).await;
    assert_eq!(stream.told().await, (Some(3), "reset".to_owned(), json!({ "version": 3 })));
    api.set("a", "1").await;
    assert_eq!(stream.told().await.0, Some(4), "and it goes on");
}

/// Expiries are told at their instant. The store's clock follows tokio's, which stands still unless somebody waits.
#[tokio::test(start_paused = true)]
async fn an_expiry_is_told_at_its_instant() {
    let inbox = Arc::new(Inbox::new().await);
    inbox.turn(&[("a", Some("1"))], Expiry::For(Duration::from_millis(2_600))).await;
    inbox.turn(&[("b", Some("1")), ("c", Some("1"))], Expiry::For(Duration::from_millis(1_300))).await;
    inbox.turn(&[("never", Some("1"))], Expiry::Never).await;
    let mut watch = inbox.watch("");
    assert_eq!(parsed(&watch.next().await.unwrap()).1, "reset");
    let start = Instant::now();
    let time = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            inbox.clock.advance(Duration::from_millis(50));
        }
    };
    let listen = async {
        let mut told = Vec::new();
        for _ in 0..3 {
            let (id, name, data) = parsed(&watch.next().await.unwrap());
            assert_eq!((id, name.as_str()), (Some(3), "expire"));
            told.push((
                data["key"].as_str().unwrap().to_owned(),
                data["expires_at"].clone(),
                start.elapsed(),
            ));
        }
        told
    };
    let told = tokio::select! { told = listen => told, () = time => unreachable!() };
    let wanted = [
        ("b", "2026-11-22T06:46:27.363532Z", 1_300),
        ("c", "2026-11-22T06:46:27.363532Z", 1_300),
        ("a", "2026-11-22T06:46:28.663532Z", 2_600),
    ];
    for ((key, at, after), (wanted, expires_at, millis)) in told.into_iter().zip(wanted) {
        assert_eq!((key.as_str(), at), (wanted, json!(expires_at)));
        let late = after.saturating_sub(Duration::from_millis(millis));
        assert!(
            after >= Duration::from_millis(millis) && late <= Duration::from_millis(100),
            "{key}: {after:?}"
        );
    }
}

/// A touch wakes nobody: what it moved is known within a second all the same. What was swept before is told, too, and
/// what was put again is not.
#[tokio::test]
async fn moved_swept_and_renewed_expiries() {
    let inbox = Inbox::new().await;
    let soon = Expiry::For(Duration::from_secs(10));
    inbox.turn(&[("touched", Some("1")), ("swept", Some("1")), ("renewed", Some("1"))], soon).await;
    let mut watch = inbox.watch("");
    assert_eq!(parsed(&watch.next().await.unwrap()).1, "reset");
    let touch = EntryChange::Touch { expiry: Expiry::For(Duration::from_secs(20)) };
    let mut turn = Turn::new(TurnId(inbox.random.next()), inbox.source, Version(1));
    turn.entries.insert("touched".to_owned(), touch);
    assert!(matches!(inbox.store.commit(turn).await.unwrap(), Outcome::Committed(_)));
    inbox.turn(&[("renewed", Some("2"))], Expiry::Never).await;
    inbox.wait(10);
    while inbox.store.sweep().await.unwrap().more {}
    let told = [watch.next().await.unwrap(), watch.next().await.unwrap()].map(|text| parsed(&text));
    assert_eq!((told[0].1.as_str(), &told[0].2["key"]), ("change", &json!("renewed")));
    assert_eq!((told[1].1.as_str(), &told[1].2["key"]), ("expire", &json!("swept")));
    inbox.wait(10);
    let (_, name, data) = parsed(&watch.next().await.unwrap());
    assert_eq!((name.as_str(), &data["key"]), ("expire", &json!("touched")));
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_sends_comments_and_says_where_it_is() {
    let inbox = Inbox::new().await;
    let mut watch = inbox.watch("a");
    let comment = ": ping - 2026-11-22 06:46:26.063532+00:00\r\n\r\n";
    let start = Instant::now();
    assert_eq!(parsed(&watch.next().await.unwrap()).0, Some(0));
    assert_eq!((watch.next().await.unwrap().as_str(), start.elapsed().as_secs()), (comment, 15));
    inbox.turn(&[("b", Some("1"))], Expiry::Never).await;
    let moved = format!("{comment}id: 1\r\n\r\n");
    assert_eq!((watch.next().await.unwrap(), start.elapsed().as_secs()), (moved, 30));
    assert_eq!((watch.next().await.unwrap().as_str(), start.elapsed().as_secs()), (comment, 45));
}

#[tokio::test]
async fn watches_count_as_streams_and_end_with_the_program_or_the_owner() {
    let inbox = Inbox::new().await;
    let bounds = Bounds { streams: 1, ..Bounds::default() };
    let api: Api = inbox.api_with(|app| app.bounds = bounds).await;
    let mut stream = api.server.stream(WATCH, "").await;
    stream.told().await;
    let refused = api.get(WATCH).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    drop(stream);
    while open_streams(&api.server).await != 0 {
        tokio::task::yield_now().await;
    }
    let mut stream = api.server.stream(WATCH, "").await;
    stream.told().await;
    api.server.shutdown.cancel();
    assert_eq!(stream.message().await, None);
    api.server.task.await.unwrap().unwrap();
    let ended = CancellationToken::new();
    let mut watch = inbox.watch("").until(ended.clone());
    watch.next().await.unwrap();
    ended.cancel();
    assert_eq!(watch.next().await, None);
}

async fn open_streams(server: &Running) -> u64 {
    let metrics = server.get("/metrics").await.body;
    let line = metrics.lines().find_map(|line| line.strip_prefix("inboxclaw_sse_streams "));
    line.unwrap().parse().unwrap()
}
