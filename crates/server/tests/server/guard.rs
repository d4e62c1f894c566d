//! Who may not ask: pages of other sites, other names of this machine, and who has no token.

use inboxclaw_contract::store::HistoryLimit;
use inboxclaw_server::{self as serve, ServeError, ServerSettings};
use serde_json::json;

use super::support::{Answer, Inbox, Running};

const TOKEN: &str = "a-long-token";
const GOOD: &str = "Bearer a-long-token";

/// Every route, besides the confirmation of a batch.
const ROUTES: [(&str, &str); 37] = [
    ("GET", "/inbox/extract"),
    ("GET", "/live/"),
    ("GET", "/"),
    ("GET", "/healthcheck"),
    ("GET", "/metrics"),
    ("GET", "/api/events"),
    ("GET", "/api/events/1"),
    ("GET", "/api/sources"),
    ("GET", "/nowhere"),
    ("POST", "/inbox/extract?lease=1m"),
    ("HEAD", "/api/events"),
    ("OPTIONS", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/api/owners"),
    ("GET", "/api/sinks/inbox/state"),
    ("DELETE", "/api/sinks/inbox/state?prefix="),
    ("GET", "/api/sinks/inbox/state/k"),
    ("PUT", "/api/sinks/inbox/state/k"),
    ("DELETE", "/api/sinks/inbox/state/k"),
    ("GET", "/api/sinks/inbox/cursor"),
    ("PUT", "/api/sinks/inbox/cursor"),
    ("DELETE", "/api/sinks/inbox/cursor"),
    ("GET", "/api/sinks/inbox/history"),
    ("POST", "/api/sinks/inbox/undo"),
    ("POST", "/api/sinks/inbox/rewind"),
    ("POST", "/api/sinks/inbox/import"),
    ("GET", "/api/sinks/inbox/export"),
    ("POST", "/api/sinks/inbox/copy"),
    ("POST", "/api/sinks/inbox/rename"),
    ("DELETE", "/api/sinks/inbox"),
    ("GET", "/api/sinks/inbox/watch"),
    ("POST", "/api/sinks/inbox/pause"),
    ("POST", "/api/sinks/inbox/resume"),
    ("PATCH", "/api/sinks/inbox/state/k"),
    ("GET", "/api/sinks/inbox/state/%FF"),
    ("OPTIONS", "/api/sinks/inbox/state/k"),
    ("OPTIONS", "/inbox/extract"),
];

/// Every way in which a request must not get through, and the answer to it.
const REFUSALS: [(u16, &[(&str, &str)]); 15] = [
    (403, &[("Authorization", GOOD), ("Origin", "http://evil.example")]),
    (403, &[("Authorization", GOOD), ("Origin", "null")]),
    (403, &[("Authorization", GOOD), ("Origin", "http://localhost:1")]),
    (403, &[("Authorization", GOOD), ("Origin", "https://app.example.evil")]),
    (403, &[("Authorization", GOOD), ("Host", "evil.example")]),
    (403, &[("Authorization", GOOD), ("Host", "evil.example:8000")]),
    (403, &[("Authorization", GOOD), ("Host", "other.example")]),
    (403, &[("Authorization", GOOD), ("Host", "localhost.evil.example")]),
    (403, &[("Authorization", GOOD), ("Sec-Fetch-Site", "cross-site")]),
    (403, &[("Authorization", GOOD), ("Sec-Fetch-Site", "same-site")]),
    (403, &[("Authorization", GOOD), ("X-Inboxclaw-Request", "1")]),
    (401, &[]),
    (401, &[("Authorization", "Bearer a-long-toke")]),
    (401, &[("Authorization", "Bearer ")]),
    (401, &[("Authorization", "Basic a-long-token")]),
];

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

/// None of them changes anything, either.
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
    let batch =
        server.request("GET", "/inbox/extract", &[("Authorization", GOOD)]).await.json()["batch_id"].clone();
    let confirm = format!("/inbox/mark-processed?batch_id={batch}");
    let state = "/api/sinks/inbox/state/k";
    let put = server.exchange("PUT", state, &[("Authorization", GOOD), ("Content-Length", "1")], "1").await;
    assert_eq!(put.status, 201);
    let version = inbox.store.snapshot(sink.owner()).await.unwrap().version;
    let facts = inbox.store.facts(sink.owner()).await.unwrap();
    for (method, path) in ROUTES.into_iter().chain([("POST", confirm.as_str())]) {
        for (status, headers) in REFUSALS {
            let answer = server.request(method, path, headers).await;
            assert_eq!(answer.status, status, "{method} {path} {headers:?}: {answer:?}");
            assert_eq!(answer.header("access-control-allow-origin"), None);
            let challenged =
                answer.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer "));
            assert_eq!(challenged, status == 401);
        }
    }
    assert_eq!(inbox.store.snapshot(sink.owner()).await.unwrap().version, version, "nothing was changed");
    assert_eq!(inbox.store.facts(sink.owner()).await.unwrap(), facts);
    let confirmed = server.request("POST", &confirm, &[("Authorization", GOOD)]).await;
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
        &[("Authorization", &good), ("Host", "other.example.:8443")],
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
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST, PUT, DELETE"));
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

/// Who changed something stands in its history; nobody can say to be somebody else.
#[tokio::test]
async fn history_says_who_asked() {
    let inbox = Inbox::new().await;
    let open = inbox.serve_with(|app| app.run_token = Some("run-token".to_owned())).await;
    let locked = inbox
        .serve_with(|app| {
            app.settings = guarded();
            app.run_token = Some("run-token".to_owned());
        })
        .await;
    let (good, run, bad) = (bearer(TOKEN), bearer("run-token"), bearer("run-toke"));
    let long = format!("{}\u{7f}\tz", "\u{e9}".repeat(70));
    type Asked<'a> = (&'a Running, &'a [(&'a str, &'a str)], &'a str);
    let asked: [Asked; 9] = [
        (&open, &[], "http"),
        (&open, &[("Inboxclaw-User", "root")], "http"),
        (&open, &[("Inboxclaw-User", "root"), ("Authorization", &bad)], "http"),
        (&open, &[("Inboxclaw-User", "ann"), ("Authorization", &run)], "cli:ann"),
        (&open, &[("Authorization", &run)], "cli:"),
        (&locked, &[("Inboxclaw-User", "root"), ("Authorization", &good)], "token"),
        (&locked, &[("Inboxclaw-User", "M\u{fc}ller, B."), ("Authorization", &run)], "cli:M\u{fc}ller, B."),
        (
            &locked,
            &[("Inboxclaw-User", &long[..140]), ("Authorization", &run)],
            &format!("cli:{}", &long[..128]),
        ),
        (&locked, &[("inboxclaw-user", "a\tb"), ("Authorization", &run)], "cli:ab"),
    ];
    for (n, (server, headers, who)) in asked.into_iter().enumerate() {
        let body = n.to_string();
        let headers = [headers, &[("Content-Length", "1")]].concat();
        let put = server.exchange("PUT", "/api/sources/s/state/k", &headers, &body).await;
        assert!(put.status < 300, "{headers:?}: {put:?}");
        let turns = inbox.store.history(inbox.source, None, HistoryLimit::turns(1)).await.unwrap();
        assert_eq!(turns[0].author.as_deref(), Some(who), "{headers:?}");
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
        "GET /api/events HTTP/1.0\r\n",
        "GET http://evil.example/ HTTP/1.0\r\n",
        "GET / HTTP/1.0\r\nHost: evil.example\r\n",
        "GET / HTTP/1.0\r\nHost:\r\n",
        "GET / HTTP/1.0\r\nOrigin: http://evil.example\r\n",
        "GET / HTTP/1.0\r\nOrigin: http://\r\n",
        "GET / HTTP/1.0\r\nSec-Fetch-Site: cross-site\r\n",
    ] {
        assert_eq!(raw_status(&server, head).await, 403, "{head}");
    }
    // How balancers look whether somebody is there.
    for head in [
        "OPTIONS / HTTP/1.0\r\n",
        "GET / HTTP/1.0\r\n",
        "HEAD /healthcheck HTTP/1.0\r\n",
        "GET /healthcheck/live?x=1 HTTP/1.0\r\n",
        "GET / HTTP/1.1\r\nHost: localhost.\r\n",
        "GET /api/events HTTP/1.1\r\nHost: LOCALHOST.:8000\r\n",
    ] {
        assert_eq!(raw_status(&server, head).await, 200, "{head}");
    }
    let locked = inbox.serve_with(|app| app.settings = guarded()).await;
    assert_eq!(raw_status(&locked, "GET / HTTP/1.0\r\n").await, 401, "without a host, not without a token");
    assert_eq!(raw_status(&locked, "GET /healthcheck/live HTTP/1.0\r\n").await, 200);
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
