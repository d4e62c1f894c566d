//! What happens where no root certificates are installed: https says so, http goes on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod server;
mod support;

use std::process::Command;

use inboxclaw_connectors::http::{Http, Reach};
use inboxclaw_contract::Class;
use reqwest::{Method, Url};
use server::{Server, ok};
use support::outside;

const NOWHERE: &str = "/nonexistent";

/// The certificates are found through the environment, so the test runs itself again in a process of its own.
#[tokio::test]
async fn without_root_certificates_https_is_a_failure_and_http_works() {
    if std::env::var_os("SSL_CERT_DIR").is_none_or(|folder| folder != NOWHERE) {
        return again_without_certificates("without_root_certificates_https_is_a_failure_and_http_works");
    }
    let http = Http::shared(&outside("/"));
    let failure = http
        .request(Method::GET, Url::parse("https://example.org/").unwrap(), Reach::CONFIGURED)
        .err()
        .unwrap();
    assert_eq!(failure.class, Class::Configuration);
    assert!(failure.to_string().starts_with("cannot prepare connections by https: "), "{failure}");
    assert!(failure.action.unwrap().contains("ca-certificates"));
    let server = Server::start().await;
    server.set("/", ok("hello"));
    let request = http.request(Method::GET, Url::parse(&server.base).unwrap(), Reach::CONFIGURED).unwrap();
    assert_eq!(http.send(request).await.unwrap().body(5).await.unwrap(), b"hello");
}

fn again_without_certificates(test: &str) {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env("SSL_CERT_FILE", NOWHERE)
        .env("SSL_CERT_DIR", NOWHERE)
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&status.stdout);
    assert!(status.status.success() && output.contains("1 passed"), "{output}");
}
