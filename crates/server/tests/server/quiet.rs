//! Nothing of a state is logged: no key, no value, no cursor, at any level.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use inboxclaw_server::Bounds;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use super::described::STATE;
use super::support::Inbox;

/// What was logged.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logged {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn nothing_of_a_state_is_logged() {
    let logged = Logged::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(logged.clone());
    tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
    let inbox = Inbox::new().await;
    let api = inbox.api().await;
    let key = format!("{STATE}/hush-key");
    for (method, path, body) in [
        ("PUT", key.clone(), "\"hush-value\"".to_owned()),
        ("PUT", format!("{key}?secret=1"), "\"hush-secret\"".to_owned()),
        ("PUT", key.clone(), "\"hush-broken".to_owned()),
        ("PUT", format!("{STATE}/hush-{}", "x".repeat(3_000)), "1".to_owned()),
        ("GET", key.clone(), String::new()),
        ("GET", format!("{STATE}/hush-%FF"), String::new()),
        ("GET", format!("{STATE}?prefix=hush&secrets=1"), String::new()),
        ("PUT", "/api/sources/s/cursor".to_owned(), json!({ "cursor": "hush-cursor" }).to_string()),
        ("GET", "/api/sources/s/history?values=1".to_owned(), String::new()),
        ("GET", "/api/sources/s/export?secrets=1".to_owned(), String::new()),
        ("POST", "/api/sources/s/import".to_owned(), "{\"hush\": 1}\n".to_owned()),
        ("POST", "/api/sources/s/undo".to_owned(), json!({ "hush": 1 }).to_string()),
        ("POST", "/api/sources/s/rewind".to_owned(), json!({ "to": 1 }).to_string()),
        ("DELETE", format!("{STATE}?prefix=hush"), String::new()),
    ] {
        assert!(!api.ask(method, &path, &[], &body).await.body.is_empty(), "{method} {path}");
    }
    let mut watch = api.server.stream("/api/sources/s/watch?prefix=hush", "").await;
    watch.message().await.unwrap();
    let bounds = Bounds { answer_timeout: Duration::from_millis(50), ..Bounds::default() };
    let hasty = inbox.serve_with(|app| app.bounds = bounds).await;
    let late = hasty.exchange("PUT", &format!("{key}/"), &[("Content-Length", "9")], "").await;
    assert_eq!(late.status, 404, "no such path");
    let late = hasty.exchange("PUT", &key, &[("Content-Length", "9")], "").await;
    assert_eq!(late.status, 503, "the rest of the body does not come");
    let text = String::from_utf8(logged.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("no answer in time") && text.contains(STATE), "what is logged is seen: {text}");
    for line in text.lines() {
        assert!(!line.contains("hush"), "{line}");
    }
}
