//! Who may not ask: pages of other sites, other names of this machine, and who has no token.

use inboxclaw_daemon::serve::{self, ServeError, ServerSettings};
use serde_json::json;

use super::support::{Answer, Inbox, Running};

const TOKEN: &str = "a-long-token";

fn guarded() -> ServerSettings {
    ServerSettings {
        port: 0,
        token: Some(TOKEN.to_owned()),
        allowed_hosts: vec!["Inbox.example".to_owned(), "other.example:8443".to_owned()],
        cors_origins: vec!["https://app.example".to_owned()],
        ..ServerSettings::default()
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Every route, and every way in which a request must not get through to it. None of them changes anything.
#[tokio::test]
async fn no_route_answers_whom_it_must_not() {
    let inbox = Inbox::new().await;
    let sink = inbox.pull_sink("inbox", json!({})).await;
    let server = inbox
        .serve_with(|app| {
            app.settings = guarded();
            app.run_token = Some("run-token".to_owned());
        })
        .await;
    inbox.emit(&["a"]).await;
    let good = bearer(TOKEN);
    let good = good.as_str();
    let batch =
        server.request("GET", "/inbox/extract", &[("Authorization", good)]).await.json()["batch_id"].clone();
    let version = inbox.store.snapshot(sink.owner()).await.unwrap().version;
    let confirm = format!("/inbox/mark-processed?batch_id={batch}");
    let routes = [
        ("POST", confirm.as_str()),
        ("GET", "/inbox/extract"),
        ("GET", "/live/"),
        ("GET", "/"),
        ("GET", "/healthcheck"),
        ("GET", "/metrics"),
        ("GET", "/api/events"),
        ("GET", "/api/events/1"),
        ("GET", "/api/sources"),
        ("GET", "/nowhere"),
        ("OPTIONS", "/inbox/extract"),
    ];
    let refusals: [(u16, &[(&str, &str)]); 14] = [
        (403, &[("Authorization", good), ("Origin", "http://evil.example")]),
        (403, &[("Authorization", good), ("Origin", "null")]),
        (403, &[("Authorization", good), ("Origin", "http://localhost:1")]),
        (403, &[("Authorization", good), ("Origin", "https://app.example.evil")]),
        (403, &[("Authorization", good), ("Host", "evil.example")]),
        (403, &[("Authorization", good), ("Host", "evil.example:8000")]),
        (403, &[("Authorization", good), ("Host", "other.example")]),
        (403, &[("Authorization", good), ("Host", "localhost.evil.example")]),
        (403, &[("Authorization", good), ("Sec-Fetch-Site", "cross-site")]),
        (403, &[("Authorization", good), ("Sec-Fetch-Site", "same-site")]),
        (401, &[]),
        (401, &[("Authorization", "Bearer a-long-toke")]),
        (401, &[("Authorization", "Bearer ")]),
        (401, &[("Authorization", "Basic a-long-token")]),
    ];
    for (method, path) in routes {
        for (status, headers) in refusals {
            let answer = server.request(method, path, headers).await;
            assert_eq!(answer.status, status, "{method} {path} {headers:?}: {answer:?}");
            assert_eq!(answer.header("access-control-allow-origin"), None);
            let challenged =
                answer.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer "));
            assert_eq!(challenged, status == 401);
        }
    }
    assert_eq!(inbox.store.snapshot(sink.owner()).await.unwrap().version, version, "nothing was changed");
    let confirmed = server.request("POST", &confirm, &[("Authorization", good)]).await;
    assert_eq!(confirmed.json()["marked_count"], 1);
}

#[tokio::test]
async fn who_may_ask_gets_through() {
    let inbox = Inbox::new().await;
    let server = inbox
        .serve_with(|app| {
            app.settings = guarded();
            app.run_token = Some("run-token".to_owned());
        })
        .await;
    let own = format!("http://{}", server.address);
    let port = server.address.port();
    let named = format!("localhost:{port}");
    let (good, run) = (bearer(TOKEN), bearer("run-token"));
    let passes: [&[(&str, &str)]; 10] = [
        &[("Authorization", &good)],
        &[("Authorization", &run)],
        &[("Authorization", "bearer a-long-token")],
        &[("Authorization", &good), ("Host", &named)],
        &[("Authorization", &good), ("Host", "LOCALHOST")],
        &[("Authorization", &good), ("Host", "[::1]:80")],
        &[("Authorization", &good), ("Host", "inbox.example:80")],
        &[("Authorization", &good), ("Host", "other.example:8443")],
        &[("Authorization", &good), ("Origin", &own), ("Sec-Fetch-Site", "same-origin")],
        &[("Authorization", &good), ("Sec-Fetch-Site", "none")],
    ];
    for headers in passes {
        assert_eq!(server.request("GET", "/", headers).await.status, 200, "{headers:?}");
    }
    assert_eq!(server.get("/healthcheck/live").await.status, 200, "the one route without a token");
    assert_eq!(server.request("GET", "/healthcheck/live", &[("Host", "evil.example")]).await.status, 403);
}

#[tokio::test]
async fn a_listed_page_may_read_with_the_token() {
    let inbox = Inbox::new().await;
    let server = inbox.serve_with(|app| app.settings = guarded()).await;
    let origin = ("Origin", "https://app.example");
    let preflight = [origin, ("Access-Control-Request-Method", "POST"), ("Sec-Fetch-Site", "cross-site")];
    let answer = server.request("OPTIONS", "/inbox/mark-processed", &preflight).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "OK"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST"));
    assert!(answer.header("access-control-allow-headers").unwrap().contains("authorization"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    let good = bearer(TOKEN);
    let answer = server.request("GET", "/", &[origin, ("Authorization", &good)]).await;
    assert_eq!((answer.status, shared(&answer)), (200, Some("https://app.example")));
    assert_eq!(answer.header("vary"), Some("origin"));
    let answer = server.request("GET", "/", &[origin]).await;
    assert_eq!((answer.status, shared(&answer)), (401, Some("https://app.example")));
    let foreign = [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "POST")];
    let answer = server.request("OPTIONS", "/inbox/mark-processed", &foreign).await;
    assert_eq!((answer.status, shared(&answer)), (403, None));
}

fn shared(answer: &Answer) -> Option<&str> {
    answer.header("access-control-allow-origin")
}

#[tokio::test]
async fn without_a_token_everybody_at_this_machine_may_ask_but_no_foreign_page() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    assert_eq!(server.get("/api/events").await.status, 200);
    for headers in [
        [("Origin", "https://evil.example")],
        [("Host", "rebound.example")],
        [("Sec-Fetch-Site", "cross-site")],
    ] {
        assert_eq!(server.request("GET", "/inbox/extract", &headers).await.status, 403, "{headers:?}");
    }
}

/// Two hosts are no host, and none is none.
#[tokio::test]
async fn ambiguous_hosts_are_refused() {
    let inbox = Inbox::new().await;
    let server = inbox.serve().await;
    for head in [
        "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n",
        "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n",
        "GET / HTTP/1.0\r\n",
    ] {
        assert_eq!(raw_status(&server, head).await, 403, "{head}");
    }
}

async fn raw_status(server: &Running, head: &str) -> u16 {
    use tokio::io::AsyncReadExt;
    let mut tcp = server.send(&format!("{head}Connection: close\r\n\r\n")).await;
    let mut raw = String::new();
    tcp.read_to_string(&mut raw).await.unwrap();
    raw.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn an_open_address_needs_a_token_or_the_explicit_permission() {
    let open = ServerSettings { host: "0.0.0.0".to_owned(), port: 0, ..ServerSettings::default() };
    let refused = serve::bind(&open).unwrap_err();
    assert!(matches!(refused, ServeError::Exposed { .. }));
    let message = refused.to_string();
    assert!(message.contains("server.token") && message.contains("server.allow_anonymous"), "{message}");
    assert!(serve::bind(&ServerSettings { token: Some("t".to_owned()), ..open.clone() }).is_ok());
    assert!(serve::bind(&ServerSettings { allow_anonymous: true, ..open }).is_ok());
    for host in ["127.0.0.1", "localhost", "127.0.0.2"] {
        let local = ServerSettings { host: host.to_owned(), port: 0, ..ServerSettings::default() };
        assert!(serve::bind(&local).is_ok(), "{host}");
    }
}

#[test]
fn settings_that_cannot_work_are_named_without_secrets() {
    let first = serve::bind(&ServerSettings { port: 0, ..ServerSettings::default() }).unwrap();
    let taken = ServerSettings { port: first.address().port(), ..ServerSettings::default() };
    assert!(matches!(serve::bind(&taken), Err(ServeError::Taken { .. })));
    let base = || ServerSettings { port: 0, ..ServerSettings::default() };
    for (settings, name) in [
        (ServerSettings { token: Some(String::new()), ..base() }, "server.token"),
        (ServerSettings { token: Some("two words".to_owned()), ..base() }, "server.token"),
        (ServerSettings { allowed_hosts: vec!["*".to_owned()], ..base() }, "server.allowed_hosts"),
        (ServerSettings { cors_origins: vec!["app.example".to_owned()], ..base() }, "server.cors_origins"),
        (
            ServerSettings { cors_origins: vec!["https://a.example/".to_owned()], ..base() },
            "server.cors_origins",
        ),
    ] {
        let message = serve::bind(&settings).unwrap_err().to_string();
        assert!(message.starts_with(name) && !message.contains("two words"), "{message}");
    }
    let shown = format!("{:?}", guarded());
    assert!(!shown.contains(TOKEN), "{shown}");
}
