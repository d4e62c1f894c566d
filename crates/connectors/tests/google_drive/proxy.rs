//! A server between a source and its Drive, which answers some requests by itself: what the service may say, and the Drive
//! that exists only here does not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Beginnings of addresses, with the answers in place of the service's.
type Answers = Arc<Mutex<Vec<(String, String)>>>;

/// The server. It ends with the runtime.
pub(crate) struct Between {
    base: String,
    answers: Answers,
}

impl Between {
    /// In front of the service at `base`.
    pub(crate) async fn start(base: &str) -> Self {
        let service = base.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let answers = Answers::default();
        let shared = answers.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, service.clone(), shared.clone()));
            }
        });
        Self { base, answers }
    }

    /// Where it is.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Answers requests whose path and query begin like this by itself from now on.
    pub(crate) fn answer(&self, beginning: &str, answer: &Value) {
        self.answers.lock().unwrap().push((beginning.to_owned(), answer.to_string()));
    }
}

/// One request without a body, and its answer.
async fn serve(mut client: TcpStream, service: String, answers: Answers) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap();
    let own = |(beginning, answer): &(String, String)| target.starts_with(beginning).then(|| answer.clone());
    let answer = answers.lock().unwrap().iter().find_map(own);
    if let Some(body) = answer {
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        client.write_all((head + &body).as_bytes()).await.unwrap();
        return;
    }
    let mut server = TcpStream::connect(service).await.unwrap();
    let head = head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    server.write_all(head.as_bytes()).await.unwrap();
    tokio::io::copy(&mut server, &mut client).await.unwrap();
}
